"""Liquity v1: the TroveManager emits TroveLiquidated once a trove and Liquidation once a call."""

from indexer.abi import event
from indexer.declare import NATIVE, Deployment, Group, Mapping, Protocol, Read, Sum, col, lit, when

TROVE = event("liquity_v1", "TroveLiquidated")
CALL = event("liquity_v1", "Liquidation")
BURN = event("erc20", "Transfer")
# Forks by venue, with the stablecoin each lends against collateral of several kinds.
FORKS = {"prisma": "mkUSD", "vesta": "VST"}
ZERO = "0x" + "0" * 64
# The Stability Pool is drained first, trove by trove; what it burns in LUSD is the debt it offsets.
BEFORE = col("_debt").cum_sum().over("group.id", order_by="log_index") - col("_debt")
OFFSET = (col("offset").fill_null(0) - BEFORE).clip(lower_bound=0)

PROTOCOL = Protocol(
    name="liquity_v1",
    sector="cdp",
    methodology="The whole trove as emitted, gas compensation included; offset by the Stability Pool or redistributed by its larger part.",
    mappings=(
        Mapping(
            event=TROVE,
            where=col("_operation").is_in(
                [1, 2]
            ),  # enum TroveManagerOperation: liquidations in normal and recovery mode
            groups=(Group(CALL, (("emitter", "emitter"),), (Sum("offset", BURN, "value"),)),),
            kind=when(OFFSET.cast(float) * 2 >= col("_debt").cast(float))
            .then(lit("stability_pool"))
            .otherwise(lit("redistribution")),
            liquidation={
                "account": col("_borrower"),
                "collateral_token": when(~col("venue").is_in(list(FORKS))).then(lit(NATIVE)),
                "collateral_raw": col("_coll"),
                "debt_raw": col("_debt"),
                "debt_symbol": col("venue").replace_strict(FORKS, default="LUSD"),
            },
        ),
    ),
    supporting=(CALL, BURN),
    reads=(
        Read("stabilityPool()", into="stability_pool"),
        Read("lusdToken()", into="debt_token", emits=BURN),
        # Forks: the trove manager's or its pool's stablecoin, and the collateral where a contract has one kind.
        Read("debtToken()", into="debt_token"),
        Read("debtToken()", into="debt_token", of="stability_pool"),
        Read("collateralToken()", into="collateral_token"),
    ),
    topics={BURN: (("stability_pool",), (ZERO,))},
    notes=("A contract that liquidates troves of several collaterals (Prisma) names none: no collateral, no value.",),
    deployments=(Deployment("liquity_v1", "ethereum", "0xA39739EF8b0231DbFA0DcdA07d7e29faAbCf4bb2", 12178557),),
)
