"""Gearbox v3: a credit facade emits LiquidateCreditAccount without amounts, and partial liquidations with them."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, Read, col

PROTOCOL = Protocol(
    name="gearbox_v3",
    sector="lending",
    methodology="Partial liquidations as emitted; of a full one debt and collateral are in no event, so the row has no value.",
    mappings=(
        Mapping(
            event=event("gearbox_v3", "LiquidateCreditAccount"),
            kind="call",
            liquidation={"account": col("creditAccount"), "liquidator": col("liquidator")},
        ),
        Mapping(
            event=event("gearbox_v3", "PartiallyLiquidateCreditAccount"),
            kind="call",
            liquidation={
                "account": col("creditAccount"),
                "liquidator": col("liquidator"),
                "collateral_token": col("token"),
                "collateral_raw": col("seizedCollateral"),
                "debt_raw": col("repaidDebt"),
            },
        ),
    ),
    reads=(
        Read("creditManager()", into="credit_manager"),
        Read("underlying()", into="debt_token", of="credit_manager"),
    ),
    notes=(
        "The account is the credit account, not its owner; amounts of a full liquidation are in no event.",
        "No contract is built in: a deployments file names them.",
    ),
    is_synthetic="no public source quotes a log of it",
)
