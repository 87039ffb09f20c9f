"""An anvil process on a free port, with a JSON-RPC client of one connection."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.devnet import packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHAIN_ID = 31337
GENESIS_AT = 1_759_990_000  # 2025-10-09T06:06:40Z, the eve of the night of 10 October
BLOCK_SECONDS = 12
BATCH = 100  # calls in one HTTP request
START_SECONDS = 20


class RpcError(Exception):
    "The node answered with an error."


class Node:
    "JSON-RPC of one node; `send` and `mine` are what the scenario is written in."

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, body: Any) -> Any:
        "The decoded answer to one HTTP request."
        self.connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
        return json.loads(self.connection.getresponse().read())

    def rpc(self, method: str, *params: Any) -> Any:
        "The result of one call; raises RpcError."
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def batch(self, calls: Iterable[tuple[str, list[Any]]]) -> list[Any]:
        "The results of many calls, in order; raises RpcError at the first that failed."
        queue = list(calls)
        results: list[Any] = []
        for first in range(0, len(queue), BATCH):
            part = queue[first : first + BATCH]
            body = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(part)]
            answers = sorted(self.post(body), key=lambda answer: answer["id"])
            for answer, (method, _) in zip(answers, part, strict=True):
                if "error" in answer:
                    raise RpcError(f"{method}: {answer['error']['message']}")
                results.append(answer["result"])
        return results

    def head(self) -> int:
        "Number of the newest block."
        return int(self.rpc("eth_blockNumber"), 16)

    def send(self, sender: str, to: str | None, calldata: str, gas: int = 1_500_000) -> str:
        "Hash of a transaction put into the pool; the sender is impersonated."
        request = {"from": sender, "data": calldata, "gas": hex(gas), "gasPrice": hex(10**11)}
        return self.rpc("eth_sendTransaction", request | ({"to": to} if to else {}))

    def mine(self) -> None:
        "One block of everything in the pool, in the order of arrival."
        self.rpc("evm_mine")

    def receipts(self, hashes: Iterable[str]) -> list[dict[str, Any]]:
        "The receipts of mined transactions, in order."
        return self.batch(("eth_getTransactionReceipt", [one]) for one in hashes)


@contextlib.contextmanager
def running() -> Iterator[Node]:
    "A fresh chain that ends with the context; blocks are mined on demand, 12 s apart."
    command = [
        str(packages.install() / packages.ANVIL),
        *("--host", "127.0.0.1", "--port", "0", "--chain-id", str(CHAIN_ID), "--timestamp", str(GENESIS_AT)),
        *("--auto-impersonate", "--accounts", "1", "--gas-limit", "100000000", "--order", "fifo", "--no-mining"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            node = Node(listening_port(process))
            threading.Thread(target=drain, args=(process,), daemon=True).start()
            node.rpc("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
            yield node
            node.connection.close()
        finally:
            process.kill()


def listening_port(process: subprocess.Popen[str]) -> int:
    "The port that anvil prints once it answers."
    deadline = time.monotonic() + START_SECONDS
    assert process.stdout is not None
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if line.startswith("Listening on "):
            return int(line.rsplit(":", 1)[1])
        if not line and process.poll() is not None:
            break
    raise RpcError("anvil did not start")


def drain(process: subprocess.Popen[str]) -> None:
    "Reads what anvil prints: it stops answering once the pipe is full."
    with contextlib.suppress(ValueError):  # closed at the end
        for _ in process.stdout or ():
            pass
