"""Inverse FiRM: a market emits Liquidate with the DOLA repaid and the collateral the liquidator receives."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, Read, col, lit

PROTOCOL = Protocol(
    name="inverse_firm",
    sector="lending",
    methodology="DOLA repaid and collateral the liquidator receives, as emitted; the layout is from one source.",
    mappings=(
        Mapping(
            event=event("inverse_firm", "Liquidate"),
            kind="call",
            liquidation={
                "account": col("account"),
                "liquidator": col("liquidator"),
                "collateral_raw": col("liquidatorReward"),
                "debt_symbol": lit("DOLA"),
                "debt_raw": col("repaidDebt"),
            },
            values={"debt_decimals": lit(18)},
        ),
    ),
    reads=(Read("collateral()", into="collateral_token"),),
    notes=("No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
