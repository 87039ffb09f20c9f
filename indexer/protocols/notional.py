"""Notional v3: one proxy emits three liquidation events and the deleverage of vaults, by currency ids."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col, emitter, lit

# Notional counts in 8 decimals internally, whatever the token's own; signs say who pays.
INTERNAL = {"collateral_decimals": lit(8), "debt_decimals": lit(8)}
WHO = {"account": col("liquidated"), "liquidator": col("liquidator")}
LOCAL = emitter + ":" + col("localCurrencyId").cast(str)

PROTOCOL = Protocol(
    name="notional",
    sector="lending",
    methodology="Amounts as emitted in internal units of 8 decimals; fCash needs a discount rate and has no value.",
    mappings=(
        Mapping(
            event=event("notional", "LiquidateCollateralCurrency"),
            kind="call",
            liquidation={
                **WHO,
                "collateral_raw": col("netCollateralTransfer").abs(),
                "debt_raw": col("netLocalFromLiquidator").abs(),
            },
            values={
                **INTERNAL,
                "collateral_market": emitter + ":" + col("collateralCurrencyId").cast(str),
                "debt_market": LOCAL,
            },
        ),
        Mapping(
            event=event("notional", "LiquidateLocalCurrency"),
            kind="call",
            liquidation={**WHO, "debt_raw": col("netLocalFromLiquidator").abs()},
            values={"debt_decimals": lit(8), "debt_market": LOCAL},
        ),
        Mapping(
            event=event("notional", "LiquidatefCashEvent"),
            kind="call",
            liquidation={**WHO, "debt_raw": col("netLocalFromLiquidator").abs()},
            values={"debt_decimals": lit(8), "debt_market": LOCAL},
        ),
        Mapping(
            event=event("notional", "VaultDeleverageAccount"),
            kind="call",
            liquidation={
                "market": col("vault"),
                "account": col("account"),
                "collateral_raw": col("vaultSharesToLiquidator"),
                "debt_raw": col("depositAmountPrimeCash").abs(),
            },
            values={"debt_decimals": lit(8), "debt_market": emitter + ":" + col("currencyId").cast(str)},
        ),
    ),
    notes=(
        "fCash, nTokens and vault shares have no value.",
        "A deployments file names the proxy, and the token of a currency as the market {proxy}:{currency id}.",
    ),
    is_synthetic="no public source quotes a log of it",
)
