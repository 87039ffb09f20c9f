"""Perps that tables finish: tokens by number, notional over collateral, and closes that only their call explains."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path

import duckdb
import eth_abi
import polars as pl
import pytest
from test_protocols import blob, call_frame, log_frame

from indexer import audit, calls, pricing, store
from indexer.abi import event, keccak256, selector
from indexer.backfill import EvmOptions, evm, redecode
from indexer.declare import Call
from indexer.derive import ROUTE_SCHEMA, uncalled
from indexer.errors import NoEndpoint
from indexer.protocols import all_protocols
from indexer.rpc_errors import Verdict
from indexer.wire import Reply
from tests.node import rpc_node

FOLDER = Path(__file__).parent / "protocols"
NAMES = ("gains_v8", "gains_v9", "gmx_v1", "mux", "perp_v2", "vertex")
VECTORS = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in NAMES}
LIQUIDATE = selector("liquidatePosition(address,address,address,bool,address)")
USDC, WETH, DAI, APE = ("0x" + f"{place:02x}" * 20 for place in (0xA1, 0xA2, 0xA3, 0xA4))
MANAGER, STRANGER, KEEPER = ("0x" + f"{place:02x}" * 20 for place in (0xB1, 0xB2, 0xB3))
CHAIN_ID = 31339


def padded(address):
    "An address as a word."
    return "0x" + address[2:].rjust(64, "0")


def word(number):
    "A number as a word."
    return f"0x{number:064x}"


# ---- one small chain with all of them -------------------------------------------------------------------------


def emitters():
    "The contracts of the vectors that a deployments file must name: (protocol, venue, address)."
    found = set()
    for name, vector in VECTORS.items():
        listed = {(one.chain, one.address.lower()): one.venue for one in all_protocols()[name].deployments}
        for log in vector["logs"]:
            venue = log.get("emitter_of") or listed.get((log["chain"], log["address"]))
            if venue:
                found.add((name, venue, log["address"]))
    return sorted(found)


def recording():
    "Every vector's logs on one chain, a block a transaction, as the node's recordings have it."
    logs, transactions, number = [], [], 1
    sent = {one["tx_hash"]: one for one in VECTORS["gmx_v1"]["calls"]}
    for vector in VECTORS.values():
        for tx_hash in dict.fromkeys(log["tx_hash"] for log in vector["logs"]):
            own = [log for log in vector["logs"] if log["tx_hash"] == tx_hash]
            logs += [
                {key: log[key] for key in ("address", "topics", "data")}
                | {"blockNumber": hex(number), "blockHash": word(number), "transactionHash": tx_hash, "removed": False}
                | {"logIndex": hex(log["log_index"]), "transactionIndex": "0x0", "blockTimestamp": hex(1_700_000_000 + number)}
                for log in own
            ]  # fmt: skip
            call = sent.get(tx_hash, {}).get("call", "0x12345678")
            transactions.append(
                {"hash": tx_hash, "blockNumber": hex(number), "from": KEEPER, "to": MANAGER, "input": call, "value": "0x0"}
            )  # fmt: skip
            number += 1
    blocks = [{"number": hex(place), "hash": word(place), "parentHash": word(max(place - 1, 0)), "transactions": [],
               "timestamp": hex(1_700_000_000 + place)} for place in range(number + 5)]  # fmt: skip
    vault = next(log["address"] for log in VECTORS["gmx_v1"]["logs"])
    answers = {(MANAGER, selector("vault()")): padded(vault)}
    for pool in {log["address"] for log in VECTORS["mux"]["logs"]}:
        answers |= {(pool, selector("getAssetAddress(uint8)") + word(number)[2:]): padded(token)
                    for number, token in ((0, USDC), (1, DAI), (3, WETH))}  # fmt: skip
    for diamond in {log["address"] for name in ("gains_v8", "gains_v9") for log in VECTORS[name]["logs"]}:
        is_ape = diamond == "0x2be5d7058adba14bc38e4a83e94a81f7491b0163"
        answers |= {(diamond, selector("getCollateral(uint8)") + word(number)[2:]): padded(token) + "00" * 128
                    for number, token in ((1, APE if is_ape else DAI), (2, WETH), (3, USDC))}  # fmt: skip
    known = [
        {"to": to, "data": data, "block": "latest", "sig": "", "result": answer}
        for (to, data), answer in answers.items()
    ]
    empty = {"blocks": [], "logs": [], "receipts": [], "transactions": []}
    return {"chain_id": CHAIN_ID, "client": "test", "fork_from": number + 6, "blocks": blocks, "logs": logs, "receipts": [],
            "transactions": transactions, "fork": empty, "calls": known, "head": number + 4}  # fmt: skip


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    "A database that one backfill of that chain filled, and the node's counts."
    folder = tmp_path_factory.mktemp("perps")
    (folder / "chain.json.gz").write_bytes(gzip.compress(json.dumps(recording()).encode()))
    tokens = [{"chain": "lab", "address": address, "symbol": symbol, "decimals": decimals, "asset": asset, "kind": kind}
              for address, symbol, decimals, asset, kind in
              ((USDC, "USDC", 6, "USDC", "stable"), (DAI, "DAI", 18, "DAI", "stable"), (WETH, "WETH", 18, "ETH", "volatile"),
               (APE, "APE", 18, "APE", "volatile"),
               ("0x82af49447d8a07e3bd95bd0d56f35241523fbab1", "WETH", 18, "ETH", "volatile"))]  # fmt: skip
    rows = [{"venue": venue, "protocol": name, "chain": "lab", "chain_id": CHAIN_ID, "address": address, "first_block": 0}
            for name, venue, address in emitters()]  # fmt: skip
    file = folder / "deployments.json"
    file.write_text(json.dumps({"deployments": rows, "tokens": tokens}))
    server, node = rpc_node.serve(
        rpc_node.parser().parse_args([str(folder / "chain.json.gz"), "--port", "0", "--finalized-depth", "0"])
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    db = folder / "perps.duckdb"
    settings = {"chain": "lab", "from_block": 0, "to_block": "latest", "deployments": file, "verify_sample": 0.0}
    settings["rpc"] = (f"http://127.0.0.1:{server.server_address[1]}",)
    try:
        code = evm(db, EvmOptions(**settings), lambda *_, **__: None)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert code == 0
    return db, node.state()


def rows(db, protocol, columns):
    "Columns of a protocol's rows, in order."
    with duckdb.connect(str(db), read_only=True) as connection:
        return connection.execute(
            f"SELECT {columns} FROM liquidations WHERE protocol = ? ORDER BY block_number, log_index", [protocol]
        ).fetchall()


def test_gains_values_its_collateral(indexed):
    "Notional is collateral x price x leverage x the price's move; what was sent to the trader is not lost."
    found = rows(indexed[0], "gains_v9", "chain, forced_usd, margin_lost_usd, size, collateral_symbol, price_source")
    bitcoin = 2500 * 0.9999 * 50 * 62880 / 64000

    assert [row[4:] for row in found] == [("USDC", "event"), ("APE", "event"), ("USDC", "event")]
    assert found[0][1:4] == pytest.approx((bitcoin, 2500 * 0.9999, bitcoin / 62880))
    assert found[1][1:3] == pytest.approx((1000 * 1.2 * 150 * 150.9 / 150, 999 * 1.2))
    assert found[2][3] is None


def test_gains_without_an_opening_price_has_no_value(indexed):
    "An event that states neither leverage nor opening price is a row without a value."
    found = rows(indexed[0], "gains_v8", "forced_usd, side, collateral_amount, price_source")

    assert found[0] == (pytest.approx(400 * 0.9999 * 25 * 3321 / 3200), "short", 400.0, "event")
    assert found[1] == (None, "long", 0.0, None)


def test_mux_names_tokens_by_number(indexed):
    "Asset and collateral come from the pool's own list; an asset without a token stays unnamed."
    found = rows(indexed[0], "mux", "asset, collateral_token, collateral_symbol, forced_usd, price_source")

    assert found == [
        ("ETH", USDC, "USDC", pytest.approx(19740), "event"),
        (None, DAI, "DAI", pytest.approx(7500), "event"),
    ]


def test_gmx_counts_silent_liquidations(indexed):
    "The close that the PositionManager was called for is a row beside the two events; asset by the index token."
    found = rows(indexed[0], "gmx_v1", "side, asset, forced_usd, margin_lost_usd, size, price_source")

    assert found == [
        ("long", "ETH", pytest.approx(50000), pytest.approx(480.25), None, "event"),
        ("short", None, pytest.approx(250000000), pytest.approx(2500000), None, "event"),
        ("short", "ETH", pytest.approx(12345), None, None, "event"),
    ]


def test_all_protocols_share_their_requests(indexed):
    "One merged filter for all, one for each block that Perpetual liquidated in, and the transactions no log explains."
    counts = indexed[1]["calls"]
    topic0 = "0x" + event("perp_v2", "PositionLiquidated").topic0.hex()
    house = all_protocols()["perp_v2"].deployments[0].address.lower()
    blocks = {
        log["tx_hash"] for log in VECTORS["perp_v2"]["logs"] if (log["address"], log["topics"][0]) == (house, topic0)
    }

    assert counts["eth_getLogs"] == 1 + len(blocks)
    assert counts["eth_getTransactionByHash"] == 3


def test_redecode_needs_no_node(indexed, tmp_path):
    "Rows derived again from what is stored are the same, silent liquidations and values included."
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(indexed[0].read_bytes())
    query = "SELECT * FROM liquidations ORDER BY event_id"
    with store.connect(copy) as connection:
        before = connection.execute(query).fetchall()
        redecode(connection, lambda *_, **__: None)
        pricing.price(connection, "lab")
        after = connection.execute(query).fetchall()

    assert after == before
    assert len(before) == 18


def test_audits_pass(indexed):
    "Nothing is counted twice and every value has its source."
    with store.connect(indexed[0], read_only=True) as connection:
        failed = [str(check) for check in audit.run(connection) if check.is_failed]

    assert failed == []


def test_gmx_position_counted_twice_is_found(indexed, tmp_path):
    "A second headline row of one position in one transaction fails the audit."
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(indexed[0].read_bytes())
    with store.connect(copy) as connection:
        connection.execute(
            "INSERT INTO raw_logs SELECT * REPLACE (log_index + 1 AS log_index) FROM raw_logs"
            " SEMI JOIN (FROM liquidations WHERE protocol = 'gmx_v1') USING (chain, block_number, log_index)"
        )
        connection.execute(
            "INSERT INTO liquidations SELECT * REPLACE (event_id || 'x' AS event_id, log_index + 1 AS log_index)"
            " FROM liquidations WHERE protocol = 'gmx_v1'"
        )
        failed = {check.name for check in audit.run(connection) if check.is_failed}

    assert "gmx_v1_position_once" in failed


# ---- what transactions called ----------------------------------------------------------------------------------


class Node:
    "Answers of a node: transactions by hash, and the vault that each contract names (None: it reverts)."

    def __init__(self, transactions, vaults=None, error=None):
        self.transactions, self.vaults, self.error, self.asked = transactions, vaults or {}, error, []

    def ask_many(self, asked, settles):
        "One reply a call; a contract that no one recorded lacks its state."
        if isinstance(self.error, Exception):
            raise self.error
        return [
            self.read(params[0]) if method == "eth_call" else self.tell(params[0], settles) for method, params in asked
        ]

    def tell(self, tx_hash, settles):
        "A transaction."
        self.asked.append(tx_hash)
        assert self.error is None or settles(self.error)
        return Reply(None if self.error else self.transactions.get(tx_hash), self.error)

    def read(self, call):
        "The vault that a contract names."
        assert call["data"] == selector("vault()")
        answer = self.vaults.get(call["to"], "state")
        errors = {"state": Verdict("state", "missing trie node"), None: Verdict("unknown", "execution reverted")}
        return Reply(None, errors[answer]) if answer in errors else Reply(answer, None)


VECTOR = VECTORS["gmx_v1"]
SILENT = VECTOR["calls"][0]
VAULT = SILENT["address"]
LOGS = log_frame([log for log in VECTOR["logs"] if log["chain"] == "arbitrum"])
ROUTES = pl.DataFrame(
    [(blob(address), "gmx_v1", "gmx_v1", None, None, None) for _, venue, address in emitters() if venue == "gmx_v1"],
    schema=ROUTE_SCHEMA, orient="row",
)  # fmt: skip


@pytest.fixture(scope="module")
def connection():
    "A database for facts; tests start without any."
    with store.connect(":memory:") as opened:
        yield opened


def told(node, connection):
    "The calls that the logs of the vector get from a node."
    return calls.fetch(connection, node, "arbitrum", LOGS, ROUTES).select("tx_hash", "address").rows()


def transaction(to, call=SILENT["call"]):
    "What a node tells of the silent liquidation's transaction."
    return {SILENT["tx_hash"]: {"to": to, "input": call, "from": KEEPER}}


def test_only_unexplained_closes_are_asked_for():
    "Full closes without a word of the router, the order book or the Vault; a decrease and a liquidation explain themselves."
    asked = {"0x" + one.hex() for one in uncalled(LOGS, ROUTES)["tx_hash"]}
    closes = {log["tx_hash"] for log in VECTOR["logs"] if log["block_number"] in {30000100, 30000400, 30000500}}

    assert asked == closes


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Node(transaction(MANAGER), {MANAGER: padded(VAULT)}), 1),
        (Node(transaction(VAULT)), 1),
        (Node(transaction(VAULT.upper().replace("0X", "0x"))), 1),
        (Node(transaction(STRANGER), {STRANGER: padded(MANAGER)}), 0),
        (Node(transaction(STRANGER), {STRANGER: None}), 0),
        (Node(transaction(STRANGER), {STRANGER: "0x"}), 0),
        (Node(transaction(MANAGER)), 1),
        (Node(transaction(MANAGER, "0x12345678" + SILENT["call"][10:]), {MANAGER: padded(VAULT)}), 0),
        (Node(transaction(None)), 0),
        (Node(transaction(VAULT, "no hex")), 0),
        (Node({SILENT["tx_hash"]: {"hash": SILENT["tx_hash"]}}), 0),
        (Node({}), 0),
        (Node({}, error=Verdict("spurious", "the method eth_getTransactionByHash does not exist")), 0),
        (Node({}, error=NoEndpoint("none left")), 0),
    ],
    ids=["manager", "vault", "upper_case", "names_another", "names_none", "no_code", "no_state", "other_function",
         "creation", "no_hex", "no_fields", "unknown", "refused", "no_endpoint"],
)  # fmt: skip
def test_a_call_counts_where_it_reached_the_vault(node, expected, connection):
    "The function must be the liquidation, at the Vault or at a contract that names it, or that cannot be asked."
    connection.execute("DELETE FROM facts")
    found = told(node, connection)

    assert found == [(blob(SILENT["tx_hash"]), blob(VAULT))] * expected


def test_what_is_known_is_not_asked_again(connection):
    "A call that a run stored is read from the file; the others may be told by another node."
    connection.execute("DELETE FROM facts")
    node = Node(transaction(VAULT))
    first, n_asked = told(node, connection), len(node.asked)
    second = told(node, connection)

    assert first == second
    assert (n_asked, node.asked[n_asked:].count(SILENT["tx_hash"])) == (3, 0)


def test_nothing_is_asked_where_nothing_is_unexplained(connection):
    "Logs of other protocols cost no request."
    logs = log_frame(VECTORS["mux"]["logs"])

    assert calls.fetch(connection, Node({}, error=NoEndpoint("none")), "arbitrum", logs, ROUTES) is None


def test_a_call_too_short_for_its_arguments_says_nothing():
    "Bytes that end inside the arguments are no call of the function."
    from indexer.derive import called  # noqa: PLC0415

    frame = LOGS.head(1)
    short = call_frame([SILENT | {"tx_hash": "0x" + frame["tx_hash"][0].hex(), "address": "0x" + frame["address"][0].hex(),
                                  "call": SILENT["call"][:-2]}])  # fmt: skip
    call = Call("liquidatePosition(address,address,address,bool,address)", ("a", "b", "c", "d", "e"), of="vault()")

    assert called(frame, short, call).is_empty()


# ---- one name, several events ----------------------------------------------------------------------------------


def test_generations_of_gains_do_not_share_a_topic():
    "The two LimitExecuted differ in topic0 and in the number of topics: a diamond may be listed for both."
    old, new = event("gains_v8", "LimitExecuted"), event("gains_v9", "LimitExecuted")
    both = {one.address for one in all_protocols()["gains_v8"].deployments} & {
        one.address for one in all_protocols()["gains_v9"].deployments
    }

    assert old.topic0 != new.topic0
    assert (old.n_topics, new.n_topics) == (2, 4)
    assert len(both) == 2


def test_a_position_key_is_the_hash_of_what_the_call_names():
    "GMX v1 keys are keccak of account, collateral, index token and side: the call's arguments name the log's position."
    log = next(log for log in VECTOR["logs"] if log["tx_hash"] == SILENT["tx_hash"])
    account, collateral, index, is_long, _ = eth_abi.decode(
        ["address", "address", "address", "bool", "address"], blob(SILENT["call"])[4:]
    )
    packed = b"".join(bytes.fromhex(one[2:]) for one in (account, collateral, index)) + bytes([is_long])

    assert SILENT["call"].startswith(LIQUIDATE)
    assert log["data"][2:66] == keccak256(packed).hex()
