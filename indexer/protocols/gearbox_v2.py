"""Gearbox v2: a credit facade emits LiquidateCreditAccount with nothing but the funds that remain."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col

PROTOCOL = Protocol(
    name="gearbox_v2",
    sector="lending",
    methodology="The event names the borrower and the liquidator; debt and collateral are in no event, so the row has no value.",
    mappings=(
        Mapping(
            event=event("gearbox_v2", "LiquidateCreditAccount"),
            kind="call",
            liquidation={"account": col("borrower"), "liquidator": col("liquidator")},
        ),
    ),
    notes=("Amounts and value are in no event. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
