"""cryo 0.3.2 (Rust): its logs dataset with the event's signature, to Parquet."""

from __future__ import annotations

import cryo

from tests.benchmarks.peers import common

EVENT = (
    "event LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user, "
    "uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)"
)


def main() -> None:
    "Index the chain into a folder beside the database path."
    options = common.options(__doc__)
    folder = options.db.with_suffix(".cryo")
    folder.mkdir(parents=True, exist_ok=True)
    cryo.freeze(
        "logs", blocks=[f"0:{options.to_block + 1}"], rpc=options.rpc, output_dir=str(folder), topic0=[common.TOPIC],
        event_signature=EVENT, chunk_size=max(options.blocks, 20_000), inner_request_size=options.blocks,
        overwrite=True, hex=True, no_verbose=True,
    )  # fmt: skip


main()
