"""Morpho optimizer on Aave v3: one contract emits Liquidated by the names of the tokens."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col

PROTOCOL = Protocol(
    name="morpho_aave_v3",
    sector="lending",
    methodology="Debt repaid and collateral seized as emitted; in the pool below, the optimizer's own rows are a protocol's.",
    mappings=(
        Mapping(
            event=event("morpho_aave_v3", "Liquidated"),
            kind="call",
            liquidation={
                "account": col("borrower"),
                "liquidator": col("liquidator"),
                "collateral_token": col("underlyingCollateral"),
                "collateral_raw": col("amountSeized"),
                "debt_token": col("underlyingBorrowed"),
                "debt_raw": col("amountLiquidated"),
            },
        ),
    ),
    holds_positions=True,
    is_synthetic="no public source quotes a log of it",
    deployments=(Deployment("morpho_aave_v3", "ethereum", "0x33333aea097c193e66081E930c33020272b33333", 17161283),),
)
