"""An index of a chain of real contracts equals its truth, also when blocks are replaced."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading

import pytest

from tests.devnet import chain as chains
from tests.devnet import deploy, truth
from tests.devnet.indexed import index, rows

EXACT = (
    "venue", "kind", "block_hash", "tx_hash", "market", "account", "liquidator", "side",
    "collateral_token", "collateral_symbol", "debt_token", "debt_symbol",
)  # fmt: skip
USD = ("forced_usd", "repaid_usd", "bad_debt_usd")
LARGEST_DECIMAL = 10**38


def stored(path):
    "Every liquidation and every price in the database, in order."
    return [rows(path, f"FROM {table} ORDER BY ALL") for table in ("liquidations", "prices")]


def blocks_of(chain):
    "Block by hash of every transaction that liquidates."
    rows_of_truth = truth.collect(chain.world, chain.first_block).liquidations
    return {row["tx_hash"]: row["block_number"] for row in rows_of_truth}


def assert_equal(found, path):
    "The table holds the rows of the truth and no other."
    indexed = {
        (row["block_number"], row["log_index"]): row for row in rows(path, "FROM liquidations WHERE chain = 'devnet'")
    }
    expected = {(row["block_number"], row["log_index"]): row for row in found.liquidations}
    assert sorted(indexed) == sorted(expected)
    for key, row in expected.items():
        got = indexed[key]
        assert {name: got[name] for name in EXACT} == {name: row[name] for name in EXACT}, key
        assert row["side"] is None or got["asset"] == row["asset"], key
        for name in ("collateral_raw", "debt_raw"):
            assert got[name] == (row[name] if row[name] < LARGEST_DECIMAL else None), (key, name)
        for name in USD:
            if name != "bad_debt_usd" or row["venue"] != deploy.AAVE:
                assert got[name] == (None if row[name] is None else pytest.approx(row[name], rel=1e-9)), (key, name)
        assert got["is_headline"], key


def test_index_equals_truth(chain, found, tmp_path):
    "Accounts, tokens, raw amounts, sides, dollars and positions are those of the truth; a second run changes nothing."
    path = tmp_path / "index.duckdb"

    assert index(chain, path) == 0
    assert_equal(found, path)
    before = stored(path)
    assert index(chain, path) == 0
    assert stored(path) == before


def test_reorg(moving_chain, tmp_path):
    "After a reorg that moves transactions to other blocks, the next run leaves what an index from scratch has."
    path = tmp_path / "index.duckdb"
    index(moving_chain, path)
    for depth in (5, 62):  # within a busy stretch; just above finality, which lies 64 blocks below the head
        before = blocks_of(moving_chain)
        hashes = chains.delay(moving_chain, depth)
        after = blocks_of(moving_chain)
        chains.go_on(moving_chain, 2)
        scratch = tmp_path / f"scratch-{depth}.duckdb"

        assert index(moving_chain, path) == index(moving_chain, scratch) == 0
        assert stored(path) == stored(scratch)
        kept = [one for one in hashes if before.get(one, 10**9) < after.get(one, 0)]
        assert kept or depth < 60  # a liquidation has kept its hash and changed its block
    assert_equal(moving_chain.truth(), path)


def test_reorg_during_a_backfill(moving_chain, tmp_path):
    "A reorg in the middle of a run leaves no row of the abandoned branch once the next run is done."
    path = tmp_path / "index.duckdb"
    with interrupted(moving_chain, 4, lambda: chains.delay(moving_chain, 25)) as url:
        index(moving_chain, path, url, width=20)

    assert index(moving_chain, path) == 0
    assert_equal(moving_chain.truth(), path)


@contextlib.contextmanager
def interrupted(chain, n_requests, act):
    "URL of a proxy of the chain's node that runs `act` once, before it passes on request number `n_requests`."
    port, lock, seen = int(chain.node.url.rsplit(":", 1)[1]), threading.Lock(), []

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                seen.append(len(body))
                if len(seen) == n_requests:
                    act()
                connection.request("POST", "/", body, {"content-type": "application/json"})
                answer = connection.getresponse().read()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert len(seen) >= n_requests
