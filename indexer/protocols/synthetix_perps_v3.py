"""Synthetix perps v3: one proxy emits PositionLiquidated, a window's part at a time, each behind its MarketUpdated."""

import polars as pl

from indexer.abi import event
from indexer.declare import Join, Mapping, Protocol, coalesce, col, digits, json, lit, raw_word, scaled, when
from indexer.dynamic import text_at

LIQUIDATED, MARGIN, CREATED, UPDATED, UPDATED_EARLY = (
    event("synthetix_perps_v3", name)
    for name in (
        "PositionLiquidated",
        "AccountMarginLiquidation",
        "MarketCreated",
        "MarketUpdated",
        "MarketUpdatedEarly",
    )
)
SIZE, LEFT = scaled("amountLiquidated", 18), col("currentPositionSize")
# The update of the market that a liquidation makes stands before it, with the oracle's price and the signed change.
UPDATE = (("marketId", "marketId"),)
CHANGE = coalesce("MarketUpdated.sizeDelta", "MarketUpdatedEarly.sizeDelta")
PRICE = coalesce(scaled("MarketUpdated.price", 18), scaled("MarketUpdatedEarly.price", 18))
ACT = ("block_number", "tx_hash", "topic1")


def named(frame: pl.DataFrame) -> pl.DataFrame:
    "Name and symbol of each created market."
    texts = [(text_at(data, 0), text_at(data, 1)) for data in frame["data"]]
    return frame.hstack(pl.DataFrame(texts, schema={"name": pl.String, "symbol": pl.String}, orient="row"))


PROTOCOL = Protocol(
    name="synthetix_perps_v3",
    sector="perp",
    methodology="The size closed times the oracle's price that the market's update states; a row for each part of a position.",
    decode=named,
    mappings=(
        Mapping(
            event=LIQUIDATED,
            kind="market",
            joins=(
                Join(UPDATED, UPDATE, "backward"),
                Join(UPDATED_EARLY, UPDATE, "backward"),
                Join(MARGIN, (("topic1", "topic1"),), "any"),
            ),
            liquidation={
                "market": digits(raw_word(LIQUIDATED, "marketId")),
                "account": digits(raw_word(LIQUIDATED, "accountId")),
                "side": when((LEFT > 0) | (LEFT == 0) & (CHANGE < 0))
                .then(lit("long"))
                .when((LEFT < 0) | (LEFT == 0) & (CHANGE > 0))
                .then(lit("short")),
                "size": SIZE,
                "price": PRICE,
                "forced_usd": SIZE * PRICE,
                "margin_lost_usd": when(col("log_index") == col("log_index").min().over(ACT)).then(
                    scaled("AccountMarginLiquidation.seizedMarginValue", 18)
                ),
                "price_source": when(PRICE.is_not_null()).then(lit("event")),
                "price_at": when(PRICE.is_not_null()).then(col("logged_at")),
            },
        ),
        Mapping(
            event=CREATED,
            is_registry=True,
            markets={
                "market": digits(raw_word(CREATED, "perpsMarketId")),
                "params": json(asset=col("symbol"), name=col("name")),
            },
        ),
    ),
    supporting=(MARGIN, UPDATED, UPDATED_EARLY),
    notes=(
        "An account is its number; no liquidator is named; margin lost is measured where the account's act states it.",
        "No contract is built in: a deployments file names the proxy, and may name a market's `asset`.",
    ),
    is_synthetic="no public source quotes a log of it",
)
