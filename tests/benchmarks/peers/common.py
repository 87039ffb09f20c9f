"""What every peer is given: the endpoint, the range, the width of a request, the table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL = "0xcab53c2e27d862c8144e0067a5d43a577582e696"
# keccak of LiquidationCall(address,address,address,uint256,uint256,address,bool)
TOPIC = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
JSON = {"content-type": "application/json"}
COLUMNS = [
    "block_number", "tx_hash", "log_index", "collateral_token", "debt_token", "account", "debt_raw", "collateral_raw",
    "liquidator", "receives_a_token",
]  # fmt: skip
TABLE = (
    "CREATE TABLE logs (block_number UINTEGER, tx_hash VARCHAR, log_index UINTEGER, collateral_token VARCHAR, "
    "debt_token VARCHAR, account VARCHAR, debt_raw VARCHAR, collateral_raw VARCHAR, liquidator VARCHAR, "
    "receives_a_token BOOLEAN)"
)


def options(doc: str | None) -> argparse.Namespace:
    "The command line of a peer."
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rpc", required=True)
    parser.add_argument("--to-block", type=int, required=True)
    parser.add_argument("--blocks", type=int, required=True, help="in one request")
    parser.add_argument("--db", type=Path, required=True)
    return parser.parse_args()


def ranges(given: argparse.Namespace) -> Iterator[tuple[int, int]]:
    "First and last block of every request."
    for first in range(0, given.to_block + 1, given.blocks):
        yield first, min(first + given.blocks - 1, given.to_block)


def get_logs(first: int, last: int) -> dict[str, Any]:
    "The JSON-RPC request for one range."
    wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": POOL, "topics": [TOPIC]}
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [wanted]}
