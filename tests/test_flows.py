"""Who moved what: flows of the recorded chain against web3.py, the manifest and the tokens' own supply."""

import gzip
import json
import threading
from collections import Counter, defaultdict
from pathlib import Path

import duckdb
import polars as pl
import pytest
from web3 import Web3
from web3._utils.events import get_event_data

from indexer import flow_plan, imports, store
from indexer.backfill import EvmOptions, evm, redecode
from indexer.errors import UserError
from indexer.ranges import Range
from tests.node import rpc_node

RECORDING = Path(__file__).parent / "devnet_recording"
DEPLOYMENTS = json.loads((RECORDING / "deployments.json").read_text())
MANIFEST = json.loads((RECORDING / "manifest.json").read_text())
EXCHANGE = MANIFEST["actors"]["exchange_hot_wallet"]
COLD_WALLET = MANIFEST["actors"]["cold_wallet"]
ZERO = "0x" + "0" * 40
ABIS = Path(__file__).parent.parent / "abis"
# What each loan event means, by the protocols' own documentation: kind, whose position, who pays in or receives.
MEANING = {
    "aave_v3": {
        "Supply": ("supply", "onBehalfOf", "user"), "Withdraw": ("withdraw", "user", "to"),
        "Borrow": ("borrow", "onBehalfOf", "user"), "Repay": ("repay", "user", "repayer"),
    },
    "compound_v2": {
        "Mint": ("supply", "minter", "minter"), "Redeem": ("withdraw", "redeemer", "redeemer"),
        "Borrow": ("borrow", "borrower", "borrower"), "RepayBorrow": ("repay", "borrower", "payer"),
    },
    "compound_v3": {
        "Supply": ("supply", "dst", "from"), "SupplyCollateral": ("supply", "dst", "from"),
        "Withdraw": ("withdraw", "src", "to"), "WithdrawCollateral": ("withdraw", "src", "to"),
    },
    "morpho_blue": {
        "Supply": ("supply", "onBehalf", "caller"), "SupplyCollateral": ("supply", "onBehalf", "caller"),
        "Withdraw": ("withdraw", "onBehalf", "receiver"), "WithdrawCollateral": ("withdraw", "onBehalf", "receiver"),
        "Borrow": ("borrow", "onBehalf", "receiver"), "Repay": ("repay", "onBehalf", "caller"),
    },
}  # fmt: skip
AMOUNTS = ("amount", "mintAmount", "redeemAmount", "borrowAmount", "repayAmount", "assets")


def quiet(*_, **__):
    "No narration."


@pytest.fixture(scope="module")
def node():
    "The URL of a faultless node of the recorded chain."
    options = rpc_node.parser().parse_args([str(RECORDING / "chain.json.gz"), "--port", "0"])
    server, _ = rpc_node.serve(options)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def index(db, node, first=0, last="latest", **settings):
    "The exit code of one backfill of the recorded chain with its flows."
    asked = {"datasets": ("flows",), "deployments": RECORDING / "deployments.json"} | settings
    return evm(db, EvmOptions("devnet", first, last, rpc=(node,), **asked), quiet)


def rows_of(db, sql):
    "The rows of a query as dictionaries."
    with duckdb.connect(str(db), read_only=True) as connection:
        return connection.sql(sql).pl().to_dicts()


def contents(db):
    "Every row that must not depend on how the runs went."
    tables = ("flow_rows", "liquidations", "raw_logs", "prices", "rejected", "markets", "tokens")
    return {table: rows_of(db, f"FROM {table} ORDER BY ALL") for table in tables}


def label(db, path, **rows):
    "Import labels of the recorded chain: entity, and address with kind."
    lines = [f"{address},devnet,{entity},{kind},test" for entity, (address, kind) in rows.items()]
    path.write_text("address,chain,entity,kind,source\n" + "\n".join(lines) + "\n")
    connection = store.connect(db)
    imports.load(connection, [path], quiet)
    connection.close()


@pytest.fixture(scope="module")
def moved(node, tmp_path_factory):
    "The recorded chain with its flows, every transfer of its tokens."
    folder = tmp_path_factory.mktemp("moved")
    db = folder / "a.duckdb"
    assert index(db, node) == 0
    label(db, folder / "labels.csv", testex=(EXCHANGE, "exchange"))
    return db


@pytest.fixture(scope="module")
def recorded():
    "The logs and contract reads of the recorded chain."
    with gzip.open(RECORDING / "chain.json.gz", "rt") as file:
        chain = json.load(file)
    return chain["logs"], chain["calls"]


def read_by_web3(logs):
    "Each loan event of the deployments as web3.py decodes it: position to (kind, account, other, amount, venue)."
    codec = Web3().codec
    venues = {row["address"]: (row["venue"], row["protocol"]) for row in DEPLOYMENTS["deployments"]}
    known = {
        (protocol, Web3.keccak(text=f"{entry['name']}({','.join(one['type'] for one in entry['inputs'])})").hex()): entry
        for protocol, names in MEANING.items()
        for entry in json.loads((ABIS / f"{protocol}.json").read_text())["events"]
        if entry["name"] in names
    }  # fmt: skip
    found = {}
    for log in logs:
        venue, protocol = venues.get(log["address"], (None, None))
        entry = known.get((protocol, log["topics"][0].removeprefix("0x")))
        if entry is None:
            continue
        numbers = {name: int(log[name], 16) for name in ("blockNumber", "logIndex", "transactionIndex")}
        raw = {
            **log,
            **numbers,
            "topics": [bytes.fromhex(one[2:]) for one in log["topics"]],
            "data": bytes.fromhex(log["data"][2:]),
        }
        arguments = get_event_data(codec, entry, raw)["args"]
        kind, owner, other = MEANING[protocol][entry["name"]]
        amount = next(arguments[name] for name in AMOUNTS if name in arguments)
        token = arguments.get("reserve", arguments.get("asset"))
        place = (numbers["blockNumber"], numbers["logIndex"])
        found[place] = (
            kind, venue, arguments[owner].lower(), arguments[other].lower(), amount, token.lower() if token else None
        )  # fmt: skip
    return found


def test_loans_agree_with_web3(moved, recorded):
    "Each loan event is one flow, of the owner of the position, with the amount that web3.py reads; there is no other."
    expected = read_by_web3(recorded[0])
    found = {
        (row["block_number"], row["log_index"]): row
        for row in rows_of(moved, "FROM flow_rows WHERE kind <> 'transfer'")
    }

    assert sorted(found) == sorted(expected)
    assert len(expected) > 300
    for place, (kind, venue, account, other, amount, token) in expected.items():
        row = found[place]
        far = row["from_address"] if kind in {"supply", "repay"} else row["to_address"]
        raw = row["amount_raw"]
        assert (row["kind"], row["venue"], row["account"], far) == (kind, venue, account, other)
        assert raw is None if amount >= 10**38 else int(raw) == amount
        assert row["token"] == (token or row["token"]) is not None


def test_tokens_of_markets(moved):
    "Where the log does not name the token it is the one of its market: the base, the underlying, the loan or the collateral."
    token_of = {
        ("morpho_blue", row["market"], side): row[name]
        for row in DEPLOYMENTS["markets"] if row["venue"] == "morpho_blue"
        for side, name in (("debt_token", "loan_token"), ("collateral_token", "collateral_token"))
    }  # fmt: skip
    token_of |= {
        (row["venue"], row["market"], "debt_token"): row.get("underlying", row.get("base_token"))
        for row in DEPLOYMENTS["markets"] if row["venue"].startswith("compound")
    }  # fmt: skip
    rows = rows_of(moved, "FROM flow_rows WHERE market IS NOT NULL")

    assert len(rows) > 100
    assert all(row["token"] == token_of[row["venue"], row["market"], row["token_of"]] for row in rows)


def test_transfers_to_the_exchange(moved):
    "The planted transfers are found with time, amount, dollars, account and direction, and no other flow reaches it."
    planted = MANIFEST["truth"]["exchange_transfers"]
    rows = rows_of(moved, "FROM flows WHERE direction = 'to_exchange' ORDER BY block_number")

    assert [(row["block_number"], row["log_index"], row["tx_hash"], row["token"]) for row in rows] == [
        (row["block_number"], row["log_index"], row["tx_hash"], row["token"]) for row in planted
    ]
    assert [int(row["amount_raw"]) for row in rows] == [10_000 * 10**18] * 3
    for row in rows:
        assert (row["account"], row["to_label"], row["asset"], row["amount"]) == (
            COLD_WALLET,
            "testex",
            "ETH",
            10_000.0,
        )
        (price,) = rows_of(
            moved,
            "SELECT price_usd FROM prices WHERE asset = 'ETH'"
            f" AND (block_number, log_index) < ({row['block_number']}, {row['log_index']})"
            " ORDER BY block_number DESC, log_index DESC LIMIT 1",
        )
        assert row["usd"] == pytest.approx(10_000 * price["price_usd"], rel=1e-12)
        (block,) = rows_of(moved, f"SELECT DISTINCT logged_at FROM raw_logs WHERE block_number = {row['block_number']}")
        assert row["flowed_at"] == block["logged_at"]


def test_nothing_is_counted_twice(moved):
    "A token transfer inside a loan or a liquidation is its leg: of the acts' transactions only gas compensations are left."
    left = rows_of(
        moved,
        "SELECT asset, amount FROM flow_rows t WHERE kind = 'transfer' AND NOT coalesce(is_leg, false) AND tx_hash IN"
        " (SELECT tx_hash FROM flow_rows WHERE kind <> 'transfer' UNION SELECT tx_hash FROM liquidations)",
    )
    repaid = rows_of(moved, "SELECT DISTINCT direction FROM flows WHERE kind = 'repay'")
    ids = rows_of(moved, "SELECT count(*) AS n, count(DISTINCT flow_id) AS n_ids FROM flows")

    # Liquity pays 200 LUSD a trove to whoever liquidates, from a pool that no event names.
    assert {row["asset"] for row in left} == {"LUSD"}
    assert {row["amount"] % 200 for row in left} == {0.0}
    assert repaid == [{"direction": "other"}]
    assert ids[0]["n"] == ids[0]["n_ids"]


def test_each_act_has_its_leg(moved, recorded):
    "Amounts that loans and liquidations moved equal the amounts of their legs, token by token."
    call = Web3.keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
    as_shares = {
        (int(log["blockNumber"], 16), int(log["logIndex"], 16))
        for log in recorded[0] if log["topics"][0].removeprefix("0x") == call and log["data"].endswith("1")
    }  # fmt: skip
    acts, legs = Counter(), Counter()
    for row in rows_of(moved, "FROM flow_rows WHERE kind <> 'transfer' AND NOT coalesce(is_leg, false)"):
        acts[row["token"]] += int(row["amount_raw"] or 0)
    # A Comet's absorb and the CDPs move no token; what a Comet sells moves both.
    for row in rows_of(moved, "FROM liquidations WHERE kind IN ('call', 'resale')"):
        acts[row["debt_token"]] += int(row["debt_raw"])
        if (row["block_number"], row["log_index"]) not in as_shares:
            acts[row["collateral_token"]] += int(row["collateral_raw"] or 0)
    for row in rows_of(moved, "FROM flow_rows WHERE kind = 'transfer' AND is_leg"):
        legs[row["token"]] += int(row["amount_raw"] or 0)
    shares = {row["address"] for row in DEPLOYMENTS["tokens"] if row.get("underlying")}

    assert {token: legs[token] for token in acts if token not in shares} == {
        token: amount for token, amount in acts.items() if token not in shares
    }
    assert len(acts) > 5


def test_conservation(moved, recorded):
    """Transfers, mints and burns add up: no account is ever below zero, and all of them hold the supply.

    The supply is what the token answered to totalSupply() at the head.
    """
    rows = [
        (
            row["token"],
            row["block_number"],
            row["log_index"],
            row["from_address"],
            row["to_address"],
            int(row["amount_raw"]),
        )
        for row in rows_of(moved, "FROM flow_rows WHERE kind = 'transfer' AND amount_raw IS NOT NULL")
    ]
    transfer = Web3.keccak(text="Transfer(address,address,uint256)").hex()
    for log in rows_of(moved, f"FROM raw_logs WHERE topic0 = unhex('{transfer}')"):
        source, target = ("0x" + log[name][12:].hex() for name in ("topic1", "topic2"))
        if ZERO in {source, target}:
            place = ("0x" + log["address"].hex(), log["block_number"], log["log_index"])
            rows.append((*place, source, target, int.from_bytes(log["data"])))
    held = defaultdict(int)
    for token, _, _, source, target, amount in sorted(rows, key=lambda row: row[1:3]):
        held[token, source] -= amount
        held[token, target] += amount
        # A Compound market hands out and takes back its shares itself, without the zero address.
        assert source in {ZERO, token} or held[token, source] >= 0
    supply = {
        call["to"]: int(call["result"], 16)
        for call in recorded[1] if call["sig"] == "totalSupply()" and call["block"] == "latest" and "result" in call
    }  # fmt: skip
    tokens = {row["address"] for row in DEPLOYMENTS["tokens"]} & set(supply)

    assert len(tokens) >= 6
    for token in tokens:
        whole = sum(amount for (one, account), amount in held.items() if one == token and account not in {ZERO, token})
        wide = list(rows_of(moved, f"FROM flow_rows WHERE token = '{token}' AND amount_raw IS NULL"))
        assert wide or whole == supply[token]


def test_any_order_stores_the_same(moved, node, tmp_path):
    "Liquidations first, flows in pieces and backwards, and the whole again: the same rows as in one run."
    db = tmp_path / "b.duckdb"
    assert index(db, node, datasets=("liquidations",)) == 0
    for first, last in ((300, "latest"), (120, 340), (0, "latest"), (0, "latest")):
        assert index(db, node, first, last) == 0

    assert contents(db) == contents(moved)
    assert (
        rows_of(db, "SELECT count(*) AS n FROM coverage WHERE dataset = 'flows:transfers' AND from_block = 0")[0]["n"]
        == 1
    )


def test_liquidations_do_not_depend_on_flows(moved, node, tmp_path):
    "The liquidations of a run with flows are those of a run without."
    db = tmp_path / "c.duckdb"
    index(db, node, datasets=("liquidations",))

    assert rows_of(db, "FROM liquidations ORDER BY ALL") == rows_of(moved, "FROM liquidations ORDER BY ALL")
    assert rows_of(db, "FROM flows") == []


def test_redecode(moved, tmp_path):
    "Decoding the stored logs again gives the same flows."
    db = tmp_path / "d.duckdb"
    db.write_bytes(moved.read_bytes())
    connection = store.connect(db)
    redecode(connection, quiet)
    connection.close()

    assert contents(db) == contents(moved)


def test_labelled_accounts_only(moved, node, tmp_path, monkeypatch):
    "Without a full scan the transfers of labelled accounts are stored, both ways, and a label more asks for its own only."
    monkeypatch.setattr(flow_plan, "is_own", lambda _: False)
    monkeypatch.setattr(
        flow_plan, "majors", lambda known: known.tokens.filter(pl.col("source") == "file")["address"].to_list()
    )
    db, (liquidator, *_) = tmp_path / "e.duckdb", MANIFEST["actors"]["liquidators"]
    store.connect(db).close()
    label(db, tmp_path / "labels.csv", testex=(EXCHANGE, "exchange"))
    whole = [row for row in contents(moved)["flow_rows"] if row["kind"] == "transfer"]
    for known in ({EXCHANGE}, {EXCHANGE, liquidator}):
        assert index(db, node) == 0
        found = [row for row in contents(db)["flow_rows"] if row["kind"] == "transfer"]
        assert found == [row for row in whole if {row["from_address"], row["to_address"]} & known]
        label(db, tmp_path / "labels_more.csv", bot=(liquidator, "whale"))


def test_threshold(moved, node, tmp_path):
    "From a value on, smaller transfers are forgotten with their logs, unless someone labelled is in them."
    db = tmp_path / "f.duckdb"
    small_exchange = rows_of(moved, "SELECT to_address FROM flow_rows WHERE kind = 'transfer' AND usd < 1000 LIMIT 1")[
        0
    ]["to_address"]
    store.connect(db).close()
    label(db, tmp_path / "labels.csv", pool=(small_exchange, "exchange"))
    index(db, node, min_usd=1e6)
    kept = {row["flow_id"] for row in rows_of(db, "FROM flow_rows WHERE kind = 'transfer'")}
    expected = rows_of(
        moved,
        "SELECT flow_id FROM flow_rows WHERE kind = 'transfer' AND"
        f" (usd IS NULL OR usd >= 1e6 OR '{small_exchange}' IN (from_address, to_address))",
    )

    assert kept == {row["flow_id"] for row in expected}
    index(db, node, min_usd=1e5)
    assert {row["flow_id"] for row in rows_of(db, "FROM flow_rows WHERE kind = 'transfer' AND usd >= 1e5")} == {
        row["flow_id"] for row in rows_of(moved, "FROM flow_rows WHERE kind = 'transfer' AND usd >= 1e5")
    }
    before = contents(db)
    index(db, node, 0, "finalized", min_usd=1e6)
    assert contents(db) == before


def test_mistakes_of_the_user(node, tmp_path):
    "An unknown token and an impossible threshold are one clear line."
    with pytest.raises(UserError, match="unknown token WEHT on devnet, did you mean WETH"):
        index(tmp_path / "g.duckdb", node, tokens=("WEHT",))
    with pytest.raises(UserError, match="--min-usd -1 is no amount"):
        index(tmp_path / "g.duckdb", node, min_usd=-1)


def test_segments_are_covered(moved):
    "Every venue with loan events and the transfers have their own coverage, from the first block to the head."
    found = rows_of(
        moved, "SELECT dataset, min(from_block) AS first, max(to_block) AS last FROM coverage GROUP BY 1 ORDER BY 1"
    )
    names = ["aave_fork", "aave_v3", "compound_v2", "compound_v3", "morpho_blue", "transfers"]

    assert [row for row in found if row["dataset"].startswith("flows:")] == [
        {"dataset": f"flows:{name}", "first": Range(0, 554).first, "last": 554} for name in names
    ]
