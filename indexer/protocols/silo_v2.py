"""Silo v2: the hook of a market emits LiquidationCall; a defaulting liquidation cancels what no collateral covers."""

from indexer.abi import event
from indexer.declare import Join, Mapping, Protocol, Read, col, emitter

CALL, CREATED = event("silo_v2", "LiquidationCall"), event("silo_v2", "NewSilo")
UNCOVERED = col("canceledDebt") - col("deductedFromCollateral")

PROTOCOL = Protocol(
    name="silo_v2",
    sector="lending",
    methodology="Debt repaid and collateral withdrawn as emitted; bad debt is the debt cancelled beyond the collateral deducted.",
    mappings=(
        Mapping(
            event=CALL,
            kind="call",
            liquidation={
                "market": col("silo"),
                "account": col("borrower"),
                "liquidator": col("liquidator"),
                "collateral_raw": col("withdrawCollateral"),
                "debt_raw": col("repayDebtAssets"),
            },
        ),
        Mapping(
            event=event("silo_v2", "DefaultingLiquidation"),
            kind="bad_debt",
            joins=(Join(CALL, (("emitter", "emitter"),), "any"),),
            liquidation={
                "market": col("LiquidationCall.silo").fill_null(emitter),
                "account": col("LiquidationCall.borrower"),
                "debt_raw": UNCOVERED,
            },
            values={"bad_debt_raw": UNCOVERED},
        ),
        Mapping(event=event("silo_v2", "NewSiloHook"), emitters={"address": col("hook")}),
        Mapping(
            event=CREATED,
            is_registry=True,
            markets={"market": col("silo0"), "debt_token": col("token0"), "collateral_token": col("token1")},
        ),
        Mapping(
            event=CREATED,
            markets={"market": col("silo1"), "debt_token": col("token1"), "collateral_token": col("token0")},
        ),
    ),
    reads=(Read("asset()", into="debt_token"),),
    notes=("No factory or hook is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
