"""Gains v8: LimitExecuted with one price and the caller indexed; its diamonds emit v9's event since their upgrade."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, emitter, lit, scaled, traded, when

EXECUTED = event("gains_v8", "LimitExecuted")
LIQUIDATION = 6  # LIQ_CLOSE of enum ITradingStorage.PendingOrderType
MARKET = col("t.pairIndex").cast(str)
ASSET = traded(MARKET)
COLLATERAL = scaled("t.collateralAmount", 0)
OPENED = scaled("t.openPrice", 10)

PROTOCOL = Protocol(
    name="gains_v8",
    sector="perp",
    methodology="Collateral times leverage at entry, moved by the price at execution over the opening price.",
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
                "price": when(ASSET.is_not_null()).then(scaled("price", 10)),
            },
            values={
                "collateral_market": emitter + ":" + col("t.collateralIndex").cast(str),
                "event_price": scaled("collateralPriceUsd", 8),
                "notional_multiple": when(OPENED > 0).then(scaled("t.leverage", 3) * scaled("price", 10) / OPENED),
                "lost_multiple": when(COLLATERAL > 0).then(1 - scaled("amountSentToTrader", 0) / COLLATERAL),
            },
        ),
    ),
    id_read="getCollateral(uint8)",
    notes=(
        "Value needs the collateral's decimals: NULL until the diamond told its token.",
        "What the callback contracts before the diamonds emitted is not verified and gives no row.",
    ),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("gains", "arbitrum", "0x6C612C804c84e3D20E3109c8efD06cD2d8b28F46", 49275558),
        Deployment("gains", "arbitrum", "0x298a695906e16aeA0a184A2815A76eAd1a0b7522", 74190311),
        Deployment("gains", "arbitrum", "0xFF162c694eAA571f685030649814282eA457f169"),
        Deployment("gains", "polygon", "0xb454d8A8C98035C65Bb73FE2a11567b9B044E0fa", 36865608),
        Deployment("gains", "polygon", "0x82e59334da8C667797009BBe82473B55c7A6b311", 40827039),
        Deployment("gains", "polygon", "0x209A9A01980377916851af2cA075C2b170452018"),
    ),
)
