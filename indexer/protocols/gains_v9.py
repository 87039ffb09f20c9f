"""Gains v9: a diamond emits LimitExecuted for every triggered close; the order's type says which was a liquidation."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, emitter, lit, scaled, traded, when

EXECUTED = event("gains_v9", "LimitExecuted")
LIQUIDATION = 6  # LIQ_CLOSE of enum ITradingStorage.PendingOrderType
MARKET = col("t.pairIndex").cast(str)
ASSET = traded(MARKET)
COLLATERAL = scaled("t.collateralAmount", 0)
OPENED = scaled("t.openPrice", 10)

PROTOCOL = Protocol(
    name="gains_v9",
    sector="perp",
    methodology="Collateral times leverage at entry, moved by the oracle's price at execution over the opening price.",
    mappings=(
        Mapping(
            event=EXECUTED,
            kind="market",
            where=col("orderType") == LIQUIDATION,
            liquidation={
                "market": MARKET,
                "account": col("t.user"),
                "liquidator": col("triggerCaller"),
                "side": when(col("t.long")).then(lit("long")).otherwise(lit("short")),
                "asset": ASSET,
                "collateral_raw": col("t.collateralAmount"),
                # Pairs that the list leaves out may be quoted in another currency than the dollar.
                "price": when(ASSET.is_not_null()).then(scaled("oraclePrice", 10)),
            },
            values={
                "collateral_market": emitter + ":" + col("t.collateralIndex").cast(str),
                "event_price": scaled("collateralPriceUsd", 8),
                "notional_multiple": when(OPENED > 0).then(
                    scaled("t.leverage", 3) * scaled("oraclePrice", 10) / OPENED
                ),
                "lost_multiple": when(COLLATERAL > 0).then(1 - scaled("amountSentToTrader", 0) / COLLATERAL),
            },
        ),
    ),
    id_read="getCollateral(uint8)",
    notes=("Value needs the collateral's decimals: NULL until the diamond told its token.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("gains", "apechain", "0x2BE5D7058AdBa14Bc38E4A83E94A81f7491b0163"),
        Deployment("gains", "arbitrum", "0xFF162c694eAA571f685030649814282eA457f169"),
        Deployment("gains", "base", "0x6cD5aC19a07518A8092eEFfDA4f1174C72704eeb"),
        Deployment("gains", "polygon", "0x209A9A01980377916851af2cA075C2b170452018"),
    ),
)
