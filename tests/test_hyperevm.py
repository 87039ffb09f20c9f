"""HyperEVM (chain 999) through the EVM engine: narrow ranges and small answers cost requests, never rows."""

from __future__ import annotations

import duckdb

from indexer.chains import CHAINS, log_range
from indexer.deployments import catalogue
from tests.test_backfill import contents, index

# hyperliquid-dex/node: 50 blocks at the public endpoint, 1000 elsewhere, 1 MiB an answer. The recorded chain is less
# dense than HyperEVM, so that the cap on an answer is smaller here; nanoreth and reth word their refusals alike.
JSONRPSEE = ("--errors", "jsonrpsee")
LIMITS = {
    "public": (50, *JSONRPSEE, "--max-range", "50", "--max-bytes", "20000"),
    "others": (None, *JSONRPSEE, "--max-range", "1000", "--max-bytes", "40000"),
    "a block beyond the cap": (50, *JSONRPSEE, "--max-range", "50", "--max-bytes", "3500"),
}


def test_limits(serve, tmp_path):
    "Under all limits the same rows are stored without a gap; the structural one is learned, the dense one never."
    url, _ = serve()
    index(tmp_path / "unlimited.duckdb", url)
    for name, (cap, *switches) in LIMITS.items():
        url, node = serve(*switches)
        path = tmp_path / f"{name}.duckdb"
        code = index(path, url)
        n_requests = node.state()["n_http"]
        with duckdb.connect(str(path), read_only=True) as connection:
            learned = connection.execute(
                "SELECT max(max_blocks) FROM endpoints WHERE method = 'eth_getLogs'"
            ).fetchall()
            gaps = connection.execute("SELECT count(*) FROM gaps").fetchall()
        again = index(path, url)

        assert (code, again, learned, gaps) == (0, 0, [(cap,)], [(0,)]), name
        assert contents(path) == contents(tmp_path / "unlimited.duckdb"), name
        assert node.state()["n_http"] - n_requests < n_requests / 2, name


def test_chain():
    "The chain is known with its cap, its finality and its lenders."
    known = catalogue("hyperevm", (), None)

    assert CHAINS["hyperevm"].chain_id == 999
    assert log_range(CHAINS["hyperevm"], "rpc.hyperliquid.xyz") == 50
    assert {"hyperlend", "hypurrfi", "felix"} <= set(known.emitters["venue"])
