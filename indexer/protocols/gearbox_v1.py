"""Gearbox v1: a credit facade emits LiquidateCreditAccount with nothing but the funds that remain."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col

PROTOCOL = Protocol(
    name="gearbox_v1",
    sector="lending",
    methodology="The event names the owner and the liquidator; debt and collateral are in no event, so the row has no value.",
    mappings=(
        Mapping(
            event=event("gearbox_v1", "LiquidateCreditAccount"),
            kind="call",
            liquidation={"account": col("owner"), "liquidator": col("liquidator")},
        ),
    ),
    notes=("Amounts and value are in no event. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
