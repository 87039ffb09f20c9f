"""Synthetix BFP: one proxy emits PositionLiquidated with the size before and after, a window's part at a time."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col, digits, json, lit, raw_word, scaled, text, when

LIQUIDATED, CREATED = (event("synthetix_bfp", name) for name in ("PositionLiquidated", "MarketCreated"))
CLOSED = scaled("sizeBeforeLiquidation", 18) - scaled("remainingSize", 18)
PRICE = scaled("liquidationPrice", 18)

PROTOCOL = Protocol(
    name="synthetix_bfp",
    sector="perp",
    methodology="The size closed, before less after, times the price of the event; a row for each part of a position.",
    mappings=(
        Mapping(
            event=LIQUIDATED,
            kind="market",
            liquidation={
                "market": digits(raw_word(LIQUIDATED, "marketId")),
                "account": digits(raw_word(LIQUIDATED, "accountId")),
                "liquidator": col("keeper"),
                "side": when(CLOSED > 0).then(lit("long")).when(CLOSED < 0).then(lit("short")),
                "size": CLOSED.abs(),
                "price": PRICE,
                "forced_usd": CLOSED.abs() * PRICE,
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
        ),
        Mapping(
            event=CREATED,
            is_registry=True,
            markets={
                "market": digits(raw_word(CREATED, "id")),
                "params": json(asset=text("name").str.extract("^([A-Z0-9]+?)(?:PERP)?$"), name=text("name")),
            },
        ),
    ),
    notes=(
        "An account is its number. Margin is lost when a position is flagged, and not measured.",
        "No contract is built in: a deployments file names the proxy, and may name a market's `asset`.",
    ),
    is_synthetic="no public source quotes a log of it",
)
