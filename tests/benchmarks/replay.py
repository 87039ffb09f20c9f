"""A local JSON-RPC server over a generated chain: `python -m tests.benchmarks.replay FOLDER`; it prints its URL.

Logs lie on disk as the text of the answer, so an eth_getLogs costs one copy to the socket and the server is never what
is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import generated_chain as generated
from tests.benchmarks.peers.common import POOL, TOPIC

ZERO_HASH = "0x" + "0" * 64
HEADER = {
    "nonce": "0x0000000000000000", "sha3Uncles": ZERO_HASH, "logsBloom": "0x" + "0" * 512, "transactionsRoot": ZERO_HASH,
    "stateRoot": ZERO_HASH, "receiptsRoot": ZERO_HASH, "miner": "0x" + "0" * 40, "difficulty": "0x0", "extraData": "0x",
    "totalDifficulty": "0x0", "size": "0x200", "gasLimit": "0x1c9c380", "gasUsed": "0x0", "baseFeePerGas": "0x1",
    "mixHash": ZERO_HASH, "transactions": [], "uncles": [],
}  # fmt: skip
FINALITY = 64


class Chain:
    "The generated chain as a node would serve it; every block with logs is final."

    def __init__(self, folder: Path, max_range: int) -> None:
        self.max_range = max_range
        with (folder / "logs.json").open("rb") as file:
            self.text = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        index = np.load(folder / "index.npy")
        self.block, self.start, self.end = (np.ascontiguousarray(index[name]) for name in ("block", "start", "end"))
        self.head = json.loads((folder / "totals.json").read_text())["n_blocks"] - 1 + FINALITY

    def number(self, tag: str) -> int:
        "Block number of a tag or a hex text."
        tags = {"latest": 0, "pending": 0, "safe": FINALITY // 2, "finalized": FINALITY, "earliest": self.head}
        return self.head - tags[tag] if tag in tags else int(tag, 16)

    def width(self, asked: dict[str, Any]) -> int:
        "How many blocks an eth_getLogs spans."
        return self.number(asked.get("toBlock", "latest")) - self.number(asked.get("fromBlock", "latest")) + 1

    def logs(self, asked: dict[str, Any]) -> bytes | memoryview:
        "The matching logs, joined by commas."
        addresses = asked.get("address", POOL)
        topics = (asked.get("topics") or [None])[0] or TOPIC
        if POOL not in str(addresses).lower() or TOPIC not in str(topics).lower():
            return b""
        first, last = (self.number(asked.get(name, "latest")) for name in ("fromBlock", "toBlock"))
        start, end = int(np.searchsorted(self.block, first)), int(np.searchsorted(self.block, last, "right"))
        return self.text[int(self.start[start]) : int(self.end[end - 1])] if start < end else b""

    def header(self, number: int) -> dict[str, Any] | None:
        "A block without transactions; None beyond the head."
        if number > self.head:
            return None
        parent = generated.block_hash(number - 1) if number else ZERO_HASH
        at = hex(generated.FIRST_AT + generated.BLOCK_SECONDS * number)
        ends = {"number": hex(number), "hash": generated.block_hash(number), "parentHash": parent, "timestamp": at}
        return HEADER | ends

    def answer(self, call: dict[str, Any]) -> list[bytes | memoryview]:
        "The answer to one call, in pieces."
        method, params = call["method"], call.get("params") or []
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
        if method == "eth_getLogs":
            if self.max_range and self.width(params[0]) > self.max_range:
                message = f"block range is too large, max {self.max_range} blocks"
                return [json.dumps(body | {"error": {"code": -32600, "message": message}}).encode()]
            return [
                b'{"jsonrpc":"2.0","id":%s,"result":[' % json.dumps(call["id"]).encode(),
                self.logs(params[0]),
                b"]}",
            ]
        results = {
            "eth_blockNumber": lambda: hex(self.head),
            "eth_chainId": lambda: hex(generated.CHAIN_ID),
            "net_version": lambda: str(generated.CHAIN_ID),
            "eth_syncing": lambda: False,
            "web3_clientVersion": lambda: "replay/1",
            "eth_getBlockByNumber": lambda: self.header(self.number(params[0])),
            "eth_getBlockReceipts": list,
        }
        if method in results:
            return [json.dumps(body | {"result": results[method]()}).encode()]
        error = {"code": -32601, "message": f"the method {method} does not exist/is not available"}
        return [json.dumps(body | {"error": error}).encode()]


async def serve(chain: Chain) -> None:
    "Serves until cancelled; the URL is the first line of stdout."

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
                asked = json.loads(await reader.readexactly(length))
                if isinstance(asked, list):
                    pieces = [piece for call in asked for piece in (b",", *chain.answer(call))][1:]
                    pieces = [b"[", *pieces, b"]"]
                else:
                    pieces = chain.answer(asked)
                size = sum(len(piece) for piece in pieces)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % size)
                writer.writelines(pieces)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.replay", description=__doc__)
    parser.add_argument("folder", type=Path, help="what generated_chain.generate wrote")
    parser.add_argument("--max-range", type=int, default=0, help="refuse more blocks in one eth_getLogs; 0: never")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Chain(options.folder, options.max_range)))
