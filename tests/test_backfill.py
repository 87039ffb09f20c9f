"""The main job on the recorded chain of real contracts: the truth, whatever the node does and however ranges are cut."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from indexer import store
from indexer.backfill import EvmOptions, evm, redecode
from indexer.errors import NoEndpoint, UserError
from indexer.protocols import all_protocols
from tests.node import rpc_node

RECORDING = Path(__file__).parent / "devnet_recording"
DEPLOYMENTS = RECORDING / "deployments.json"
# Every table whose rows carry no time, endpoint or order of a run.
TABLES = ("liquidations", "valuation_inputs", "prices", "rates", "markets", "tokens", "feeds", "rejected", "raw_logs")
EXACT = (
    "venue", "kind", "is_headline", "market", "account", "liquidator", "side", "asset", "collateral_token",
    "collateral_symbol", "debt_token", "debt_symbol", "tx_hash", "block_hash", "sector", "protocol",
)  # fmt: skip


def quiet(*_, **__):
    "No narration."


def index(db, url, first=0, last="latest", narrate=quiet, **settings):
    "The exit code of one backfill of the recorded chain."
    urls = (url,) if isinstance(url, str) else tuple(url)
    options = {"deployments": DEPLOYMENTS, "chain": "devnet", "from_block": first, "to_block": last, "rpc": urls}
    return evm(db, EvmOptions(**(options | settings)), narrate)


def contents(db):
    "Every row of the tables that must not depend on how a run went."
    connection = duckdb.connect(str(db), read_only=True)
    rows = {table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in TABLES}
    connection.close()
    return rows


def lines(name):
    "The lines of one truth file; protocols that are not built yet have none to compare with."
    with gzip.open(RECORDING / name, "rt") as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if row["row"] and row["protocol"] in all_protocols()]


def stored(db):
    "Stored liquidations by position."
    connection = duckdb.connect(str(db), read_only=True)
    rows = connection.sql("SELECT * FROM liquidations").pl().to_dicts()
    connection.close()
    return {(row["block_number"], row["log_index"]): row for row in rows}


def compare(found, truth):
    "Assert that stored rows are the expected ones, column by column."
    expected = {(row["block_number"], row["log_index"]): row for row in truth}

    assert sorted(found) == sorted(expected)
    for place, row in expected.items():
        got = found[place]
        exact = [name for name in EXACT if name in row and not (name == "asset" and row.get("side") is None)]
        assert {name: got[name] for name in exact} == {name: row[name] for name in exact}
        for name in ("collateral_raw", "debt_raw"):
            if name in row and row[name] is not None:
                whole = int(row[name])
                assert got[name] is None if whole >= 10**38 else int(got[name]) == whole
        # The exchange rate of a second branch's block was recorded on the first branch.
        tolerance = 1e-6 if row["venue"] == "compound_v2" else 1e-9
        for name in ("forced_usd", "repaid_usd", "bad_debt_usd"):
            if name in row:
                assert got[name] == (None if row[name] is None else pytest.approx(row[name], rel=tolerance))


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    "The recorded chain indexed once from a node without faults."
    options = rpc_node.parser().parse_args([str(RECORDING / "chain.json.gz"), "--port", "0"])
    server, _ = rpc_node.serve(options)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    db = tmp_path_factory.mktemp("faultless") / "a.duckdb"
    code = index(db, f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
    assert code == 0
    return db


def test_truth(faultless):
    "Every row of the recorded chain is there with its exact amounts and USD, and no other row."
    compare(stored(faultless), lines("truth.jsonl.gz"))


def test_wide_amount_is_exact_in_raw_logs(faultless):
    "An amount beyond 10^38 is NULL in its column, sized in collateral_amount, and exact in the raw log."
    connection = duckdb.connect(str(faultless), read_only=True)
    raw, amount, data = connection.execute(
        "SELECT l.collateral_raw, l.collateral_amount, r.data FROM liquidations l JOIN raw_logs r USING (chain, block_number, log_index)"
        " WHERE block_number = 357 AND log_index = 27"
    ).fetchall()[0]
    connection.close()

    assert raw is None
    assert amount == pytest.approx(118.8)
    assert int.from_bytes(data[64:96]) == 118800000000000000000000000000111111110


def test_sums(faultless):
    "Integer sums per venue, event and token are those of the manifest, which were not computed here."
    manifest = json.loads((RECORDING / "manifest.json").read_text())
    connection = duckdb.connect(str(faultless), read_only=True)
    usd = dict(
        connection.execute(
            "SELECT venue, sum(forced_usd) FROM liquidations WHERE is_headline GROUP BY venue"
        ).fetchall()
    )
    debts = {
        (venue, symbol): int(total)
        for venue, symbol, total in connection.execute(
            "SELECT venue, debt_symbol, sum(debt_raw) FROM liquidations WHERE is_headline AND debt_raw IS NOT NULL GROUP BY ALL"
        ).fetchall()
    }
    connection.close()
    stated = manifest["truth"]["headline_forced_usd_by_venue"]
    raw = {
        (venue, event, symbol): int(total)
        for venue, events in manifest["truth"]["summary"].items()
        for event, summary in events.items()
        for symbol, total in summary["sums"].get("debt_raw", {}).items()
        if (venue, event) in {("aave_v3", "LiquidationCall"), ("morpho_blue", "Liquidate")}
    }

    assert {venue: pytest.approx(stated[venue], rel=1e-8) for venue in usd} == usd
    assert {(venue, event, symbol): debts[venue, symbol] for venue, event, symbol in raw} == raw


@pytest.mark.parametrize(
    "cuts",
    [
        [(400, "latest"), (0, 399), (0, "latest")],
        [(450, 500), (100, 300), (250, 470), (0, 120), (480, "latest"), (0, "latest")],
    ],
)
def test_any_order_of_ranges(serve, tmp_path, faultless, cuts):
    "However the ranges are cut, in whatever order they run and overlap, the same rows are stored."
    url, _ = serve()
    for first, last in cuts:
        index(tmp_path / "b.duckdb", url, first, last)

    assert contents(tmp_path / "b.duckdb") == contents(faultless)


@pytest.mark.parametrize(
    "switches",
    [
        "--max-range 7 --errors quicknode --workers 2",
        "--max-results 50 --errors alchemy",
        "--flaky 0.1 --rate-limit 9 --max-range 40 --max-results 120 --lag-blocks 3 --lag-every 4 --errors reth",
        "--no-block-timestamp --shuffle-batch --max-batch 3",
    ],
)
def test_bad_nodes(serve, tmp_path, faultless, switches):
    "A node with limits, faults, lag or without block times leads to the same rows."
    url, _ = serve(*switches.replace("--workers 2", "").split(), "--retry-after", "0")

    assert index(tmp_path / "b.duckdb", url) == 0
    assert contents(tmp_path / "b.duckdb") == contents(faultless)


def test_reorg(serve, tmp_path):
    "An index that followed one branch and meets the other equals an index of the other branch alone."
    url, node = serve()
    index(tmp_path / "followed.duckdb", url)
    node.control({"fork": True})
    index(tmp_path / "followed.duckdb", url)
    index(tmp_path / "scratch.duckdb", url)
    truth = [row for row in lines("truth.jsonl.gz") if row["block_number"] <= 542] + lines("fork_truth.jsonl.gz")

    assert contents(tmp_path / "followed.duckdb") == contents(tmp_path / "scratch.duckdb")
    compare(stored(tmp_path / "followed.duckdb"), truth)


def test_covered_ranges_are_not_asked_again(serve, tmp_path):
    "A second run asks for no logs of final blocks; only what is above finality is asked again."
    url, node = serve()
    index(tmp_path / "b.duckdb", url, last="finalized")
    before = node.state()["calls"]["eth_getLogs"]
    index(tmp_path / "b.duckdb", url, last="finalized")

    assert node.state()["calls"]["eth_getLogs"] == before


def test_new_deployment_fetches_only_its_own(serve, tmp_path, faultless):
    "A protocol added to a covered range is fetched alone, and the result is that of one run."
    url, _ = serve()
    others = tuple(sorted({"aave_v3", "compound_v2", "compound_v3", "maker", "liquity_v1"} & set(all_protocols())))
    index(tmp_path / "b.duckdb", url, protocols=others)
    index(tmp_path / "b.duckdb", url)
    connection = duckdb.connect(str(tmp_path / "b.duckdb"), read_only=True)
    n_rows = connection.execute(
        "SELECT sum(n_rows)::BIGINT FROM coverage WHERE dataset LIKE 'liquidations:%'"
    ).fetchall()
    connection.close()

    assert contents(tmp_path / "b.duckdb") == contents(faultless)
    assert n_rows == [(len(stored(faultless)),)]


def test_new_price_feed_values_stored_rows(serve, tmp_path, faultless):
    "A feed added to a covered range gives the rows that were stored without a price their value."
    url, _ = serve()
    known = json.loads(DEPLOYMENTS.read_text())
    blind = tmp_path / "blind.json"
    blind.write_text(json.dumps(known | {"feeds": []}))
    index(tmp_path / "b.duckdb", url, deployments=blind)
    n_unpriced = sum(row["is_headline"] and row["forced_usd"] is None for row in stored(tmp_path / "b.duckdb").values())
    index(tmp_path / "b.duckdb", url)

    assert n_unpriced > 0
    assert contents(tmp_path / "b.duckdb") == contents(faultless)


def test_redecode(faultless, tmp_path):
    "Everything comes out the same from the stored raw logs, without any network."
    db = tmp_path / "again.duckdb"
    db.write_bytes(faultless.read_bytes())
    connection = store.connect(db)
    connection.execute("UPDATE liquidations SET account = 'nobody', forced_usd = 1")
    connection.execute("DELETE FROM prices WHERE block_number > 300")
    redecode(connection, quiet)
    connection.close()

    assert contents(db) == contents(faultless)


def test_lookalikes_give_nothing(faultless):
    "The impostor's logs share topics with three protocols: no row, no raw log."
    impostor = json.loads((RECORDING / "manifest.json").read_text())["actors"]["impostor_contract"]
    connection = duckdb.connect(str(faultless), read_only=True)
    found = connection.execute(
        "SELECT count(*) FROM raw_logs WHERE address = ?", [bytes.fromhex(impostor[2:])]
    ).fetchall()
    connection.close()

    assert found == [(0,)]


def test_gap_is_recorded(serve, tmp_path):
    "Blocks that no endpoint can prove are a listed gap and exit code 1; the rest is kept, and a better node closes it."
    url, _ = serve("--prune-below", "300", "--errors", "erigon")
    whole, _ = serve()
    notes = []
    code = index(tmp_path / "b.duckdb", url, narrate=lambda line, **_: notes.append(line))
    connection = duckdb.connect(str(tmp_path / "b.duckdb"), read_only=True)
    gaps = connection.execute("SELECT DISTINCT from_block, to_block FROM gaps ORDER BY ALL").fetchall()
    first = connection.execute("SELECT min(from_block) FROM coverage WHERE dataset = 'liquidations:aave_v3'").fetchall()
    connection.close()

    assert code == 1
    assert any("left open" in note for note in notes)
    assert gaps[0][0] == 0
    assert first[0][0] >= 300
    assert index(tmp_path / "b.duckdb", whole) == 0


def test_above_the_head(serve, tmp_path):
    "A range that ends above the head is indexed to the head, says what is left, and exits with 1."
    url, _ = serve("--head", "400")
    notes = []

    assert index(tmp_path / "b.duckdb", url, 300, 9999, narrate=lambda line, **_: notes.append(line)) == 1
    assert any("401..9999 is left" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 600}, "beyond the head"),
        ({"first": 9, "last": 5}, "above --to-block"),
        ({"chain": "etherium"}, "did you mean ethereum"),
        ({"protocols": ("aave_v33",)}, "did you mean aave_v3"),
        ({"last": "soon"}, "neither a block number"),
        ({"deployments": None}, "unknown chain devnet"),
        ({"verify_sample": 2.0}, "not a share"),
    ],
)
def test_wrong_input(serve, tmp_path, settings, message):
    "Each mistake is one line that names the remedy; nothing is written."
    url, _ = serve()

    with pytest.raises(UserError, match=message) as raised:
        index(tmp_path / "b.duckdb", url, **settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[1", "not JSON"),
        ("[]", "must be an object"),
        ('{"deployments": [{"venue": "x"}]}', r"deployments\[0\]: `protocol` is missing"),
        ('{"deployments": [{"venue": "x", "protocol": "aave_v3", "chain": "d", "chain_id": "1", "address": "0x"}]}', "a number"),
        ('{"deployments": [{"venue": "x", "protocol": "aave_v3", "chain": "d", "chain_id": 1, "address": "0x12"}]}', "is not an address"),
        ('{"deployments": [], "tokens": [{"chain": "d"}]}', r"tokens\[0\]: `address` is missing"),
    ],
)  # fmt: skip
def test_wrong_deployments(serve, tmp_path, document, message):
    "A deployments file with a mistake names the file, the place and what is wrong."
    url, _ = serve()
    file = tmp_path / "deployments.json"
    file.write_text(document)

    with pytest.raises(UserError, match=message):
        index(tmp_path / "b.duckdb", url, deployments=file)


def test_wrong_chain_id(serve, tmp_path):
    "An endpoint of another chain is refused with both numbers."
    url, _ = serve()

    with pytest.raises(NoEndpoint, match=r"31337.*\b1\b|\b1\b.*31337"):
        index(tmp_path / "b.duckdb", url, chain="ethereum", deployments=None)


def test_dry_run_writes_nothing(serve, tmp_path, capsys):
    "The plan names ranges, requests and what is covered; no file appears and no log is asked."
    url, node = serve()

    assert index(tmp_path / "b.duckdb", url, dry_run=True) == 0
    assert "left: 555 blocks" in capsys.readouterr().out
    assert not (tmp_path / "b.duckdb").exists()
    assert "eth_getLogs" not in node.state()["calls"]


def test_kill_9(serve, tmp_path, faultless):
    "Killed at any moment, the next run completes to the same rows."
    url, _ = serve("--max-range", "20", "--latency", "5")
    db = tmp_path / "b.duckdb"
    script = (
        "import sys; from tests.test_backfill import index; import indexer.loop as loop; loop.COMMIT_LOGS = 30;"
        f"index({str(db)!r}, {url!r})"
    )
    for seconds in (1.2, 2.2):
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=Path(__file__).parent.parent, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    index(db, url)

    assert contents(db) == contents(faultless)
