"""Synthetix staking: AccountLiquidated pays a staker's debt with the SNX behind it."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col, lit

PROTOCOL = Protocol(
    name="synthetix_v1",
    sector="lending",
    methodology="SNX redeemed and sUSD of debt removed, as emitted.",
    mappings=(
        Mapping(
            event=event("synthetix_v1", "AccountLiquidated"),
            kind="call",
            liquidation={
                "account": col("account"),
                "liquidator": col("liquidator"),
                "collateral_symbol": lit("SNX"),
                "collateral_raw": col("snxRedeemed"),
                "debt_symbol": lit("sUSD"),
                "debt_raw": col("amountLiquidated"),
            },
            values={"collateral_decimals": lit(18), "debt_decimals": lit(18)},
        ),
    ),
    notes=("No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
