"""Synthetix v3 core: an account's debt and collateral go to the other holders of its vault, or a whole vault is liquidated."""

from indexer.abi import event
from indexer.declare import NOBODY, Mapping, Protocol, col, digits, lit, raw_word

ONE = event("snx_v3_core", "Liquidation")
VAULT = event("snx_v3_core", "VaultLiquidation")
AMOUNTS = {
    "liquidator": col("sender"),
    "collateral_token": col("collateralType"),
    "collateral_raw": col("liquidationData.collateralLiquidated"),
    "debt_symbol": lit("sUSD"),
    "debt_raw": col("liquidationData.debtLiquidated"),
}
# The core counts in 18 decimals, whatever the token's own.
WAD = {"collateral_decimals": lit(18), "debt_decimals": lit(18)}

PROTOCOL = Protocol(
    name="snx_v3_core",
    sector="lending",
    methodology="Collateral and debt as emitted: of one account shared out among its vault, or of a whole vault.",
    mappings=(
        Mapping(
            event=ONE,
            kind="redistribution",
            liquidation={
                "market": digits(raw_word(ONE, "poolId")),
                "account": digits(raw_word(ONE, "accountId")),
                **AMOUNTS,
            },
            values=WAD,
        ),
        Mapping(
            event=VAULT,
            kind="call",
            liquidation={"market": digits(raw_word(VAULT, "poolId")), "account": NOBODY, **AMOUNTS},
            values=WAD,
        ),
    ),
    notes=("An account is its number. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
