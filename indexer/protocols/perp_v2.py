"""Perpetual v2: the ClearingHouse emits PositionLiquidated without a sign; PositionChanged of the same trader has it."""

from indexer.abi import event
from indexer.declare import Deployment, Join, Mapping, Protocol, col, lit, scaled, traded, when

LIQUIDATED, CHANGED = event("perp_v2", "PositionLiquidated"), event("perp_v2", "PositionChanged")
SIZE, NOTIONAL = scaled("positionSize", 18), scaled("positionNotional", 18)
EXCHANGED = col("PositionChanged.exchangedPositionSize")  # the closing trade: negative for a long

PROTOCOL = Protocol(
    name="perp_v2",
    sector="perp",
    methodology="Notional that the liquidated position was closed at, as emitted.",
    mappings=(
        Mapping(
            event=LIQUIDATED,
            kind="market",
            joins=(Join(CHANGED, (("emitter", "emitter"), ("trader", "trader"), ("baseToken", "baseToken")), "backward"),),
            liquidation={
                "market": col("baseToken"),
                "account": col("trader"),
                "liquidator": col("liquidator"),
                "side": when(EXCHANGED < 0).then(lit("long")).when(EXCHANGED > 0).then(lit("short")),
                "asset": traded(col("baseToken")),
                "size": SIZE,
                "price": when(SIZE > 0).then(NOTIONAL / SIZE),
                "forced_usd": NOTIONAL,
                "closed_pnl_usd": scaled("PositionChanged.realizedPnl", 18),
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
        ),
    ),
    supporting=(CHANGED,),
    beside={CHANGED: LIQUIDATED},
    notes=("Collateral sold for a trader's debt (CollateralLiquidated) is no row: no position is closed by it.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(Deployment("perp_v2", "optimism", "0x82ac2CE43e33683c58BE4cDc40975E73aA50f459", 513591),),
)  # fmt: skip
