"""The careful way: orjson, eth-abi one log at a time, DuckDB."""

from __future__ import annotations

import duckdb
import httpx
import orjson
import pyarrow as pa
from eth_abi import decode

from tests.benchmarks.peers import common

DATA = ["uint256", "uint256", "address", "bool"]


def main() -> None:
    "Index the chain."
    options = common.options(__doc__)
    with duckdb.connect(str(options.db)) as connection, httpx.Client() as client:
        connection.execute(common.TABLE)
        for first, last in common.ranges(options):
            answer = client.post(options.rpc, content=orjson.dumps(common.get_logs(first, last)), headers=common.JSON)
            rows = []
            for log in orjson.loads(answer.content)["result"]:
                topics = log["topics"]
                debt, collateral, liquidator, receives = decode(DATA, bytes.fromhex(log["data"][2:]))
                addresses = ("0x" + topic[26:] for topic in topics[1:])
                rows.append((
                    int(log["blockNumber"], 16), log["transactionHash"], int(log["logIndex"], 16), *addresses,
                    str(debt), str(collateral), liquidator, receives,
                ))  # fmt: skip
            if rows:
                incoming = pa.table(list(map(list, zip(*rows, strict=True))), names=common.COLUMNS)
                connection.register("incoming", incoming)
                connection.execute("INSERT INTO logs SELECT * FROM incoming")


main()
