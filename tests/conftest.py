"""Options of the suite, and what tests of several modules share."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from tests.node import rpc_node

RECORDING = Path(__file__).parent / "devnet_recording" / "chain.json.gz"


def pytest_addoption(parser):
    "`--update-golden` rewrites tests/golden from the answers of today instead of comparing."
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


@pytest.fixture(scope="session")
def recorded_chain():
    "The recorded chain, read once: nodes share it and only read it."
    return rpc_node.Chain(RECORDING)


@pytest.fixture
def serve(recorded_chain):
    """A function that serves the recorded devnet with the given switches; (url, node).

    `node.state()` counts requests; `node.control({"head": 400})` and the like change the chain while it runs.
    """
    with contextlib.ExitStack() as running:

        def start(*switches: str) -> tuple[str, rpc_node.Node]:
            options = rpc_node.parser().parse_args([str(RECORDING), "--port", "0", *switches])
            node = rpc_node.Node(recorded_chain, options)
            handler = type("BoundHandler", (rpc_node.Handler,), {"node": node})
            server = rpc_node.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            running.callback(thread.join)
            running.callback(server.server_close)
            running.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}", node

        yield start
