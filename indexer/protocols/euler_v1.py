"""Euler v1: one contract emits Liquidation, in internal units of 18 decimals whatever the token's own."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, lit

PROTOCOL = Protocol(
    name="euler_v1",
    sector="lending",
    methodology="Debt repaid and collateral the liquidator receives, as emitted in units of 18 decimals.",
    mappings=(
        Mapping(
            event=event("euler_v1", "Liquidation"),
            kind="call",
            liquidation={
                "account": col("violator"),
                "liquidator": col("liquidator"),
                "collateral_token": col("collateral"),
                "collateral_raw": col("yield"),
                "debt_token": col("underlying"),
                "debt_raw": col("repay"),
            },
            values={"collateral_decimals": lit(18), "debt_decimals": lit(18)},
        ),
    ),
    is_synthetic="no public source quotes a log of it",
    deployments=(Deployment("euler_v1", "ethereum", "0x27182842E098f60e3D576794A5bFFb0777E025d3", 13711759),),
)
