"""The plain way: web3.py get_logs, process_log one log at a time, DuckDB."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from web3 import Web3

from tests.benchmarks.peers import common

INPUTS = [
    ("collateralAsset", "address", True), ("debtAsset", "address", True), ("user", "address", True),
    ("debtToCover", "uint256", False), ("liquidatedCollateralAmount", "uint256", False),
    ("liquidator", "address", False), ("receiveAToken", "bool", False),
]  # fmt: skip
ABI = {
    "type": "event",
    "anonymous": False,
    "name": "LiquidationCall",
    "inputs": [{"name": name, "type": kind, "indexed": indexed} for name, kind, indexed in INPUTS],
}


def main() -> None:
    "Index the chain."
    options = common.options(__doc__)
    web3 = Web3(Web3.HTTPProvider(options.rpc))
    event = web3.eth.contract(abi=[ABI]).events.LiquidationCall()
    with duckdb.connect(str(options.db)) as connection:
        connection.execute(common.TABLE)
        for first, last in common.ranges(options):
            logs = web3.eth.get_logs({
                "fromBlock": first, "toBlock": last, "address": Web3.to_checksum_address(common.POOL),
                "topics": [common.TOPIC],
            })  # fmt: skip
            rows = []
            for log in logs:
                one = event.process_log(log)
                values = one["args"]
                rows.append((
                    one["blockNumber"], one["transactionHash"].to_0x_hex(), one["logIndex"], values["collateralAsset"],
                    values["debtAsset"], values["user"], str(values["debtToCover"]),
                    str(values["liquidatedCollateralAmount"]), values["liquidator"], values["receiveAToken"],
                ))  # fmt: skip
            if rows:
                incoming = pa.table(list(map(list, zip(*rows, strict=True))), names=common.COLUMNS)
                connection.register("incoming", incoming)
                connection.execute("INSERT INTO logs SELECT * FROM incoming")


main()
