"""Silo v2, first deployments: LiquidationCall names the liquidator and nothing else."""

from indexer.abi import event
from indexer.declare import NOBODY, Mapping, Protocol, col

PROTOCOL = Protocol(
    name="silo_v2_early",
    sector="lending",
    methodology="The event names only the liquidator: account and amounts are unknown.",
    mappings=(
        Mapping(
            event=event("silo_v2_early", "LiquidationCall"),
            kind="call",
            liquidation={"account": NOBODY, "liquidator": col("liquidator")},
        ),
    ),
    notes=("Account, amounts and value are in no event. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
