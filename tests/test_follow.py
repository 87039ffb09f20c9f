"""Following the head stores what a backfill stores, through reorganisations, and refuses a node on another chain."""

import threading
import time

import pytest

from indexer.errors import EndpointUnusable
from indexer.follow import evm as follow
from indexer.options import EvmOptions
from tests.test_backfill import DEPLOYMENTS, contents, index, quiet


def options(url, **settings):
    "What is asked of the recorded chain."
    return EvmOptions("devnet", deployments=DEPLOYMENTS, rpc=(url,), **settings)


def test_follow_equals_backfill(serve, tmp_path):
    "A chain that grows while it is followed, and forks, ends as the same rows as one backfill of its last branch."
    url, node = serve("--head", "480")

    def grow():
        for head in (520, 549):
            time.sleep(1.5)
            node.control({"head": head})
        time.sleep(1.5)
        node.control({"fork": True})
        node.control({"head": 555})

    growing = threading.Thread(target=grow)
    growing.start()
    code = follow(tmp_path / "followed.duckdb", options(url, from_block=0), quiet, poll_seconds=0.2, until_block=555)
    growing.join()
    index(tmp_path / "scratch.duckdb", url)

    assert code == 0
    assert contents(tmp_path / "followed.duckdb") == contents(tmp_path / "scratch.duckdb")


def test_resumes_after_what_is_final(serve, tmp_path):
    "Without --from-block the tail starts where final coverage ends, and asks for nothing older."
    url, node = serve()
    index(tmp_path / "b.duckdb", url)
    before = node.state()["n_http"]
    follow(tmp_path / "b.duckdb", options(url), quiet, poll_seconds=0.2, until_block=554)

    assert node.state()["n_http"] - before < 40


def test_deep_reorg_is_refused(serve, tmp_path):
    "A node whose blocks do not follow a final block is on another chain: one line, and nothing changes."
    url, node = serve("--finalized-depth", "5", "--safe-depth", "3")
    index(tmp_path / "b.duckdb", url)
    before = contents(tmp_path / "b.duckdb")
    node.control({"fork": True})

    with pytest.raises(EndpointUnusable, match="does not follow the final block"):
        index(tmp_path / "b.duckdb", url)
    assert contents(tmp_path / "b.duckdb") == before
