"""What the info API says of this moment, as rows: positions of an account, contexts of markets, candles, HLP's children."""

from __future__ import annotations

from typing import Any

import polars as pl

from indexer.hyperliquid import coins

SOURCE = "hyperliquid_api"
FUNDING_SECONDS = 3600


def positions(account: str, state: dict[str, Any]) -> pl.DataFrame:
    "Rows of table positions from a clearinghouseState answer; size is signed, negative is short."
    held = pl.DataFrame(
        [(entry["position"]["coin"], entry["position"]["szi"]) for entry in state.get("assetPositions", [])],
        schema={"coin": pl.String, "szi": pl.String},
        orient="row",
        strict=False,
    )
    coin = pl.col("coin")
    return held.select(
        observed_at=pl.from_epoch(pl.lit(state["time"], pl.Int64), time_unit="ms"),
        account=pl.lit(account.lower()),
        venue=pl.lit("hyperliquid"),
        market=coin,
        asset=coins.asset(coin),
        size=coins.exact(pl.col("szi").cast(pl.Float64, strict=False) * coins.multiplier(coin)),
        source=pl.lit(SOURCE),
    ).filter(pl.col("size") != 0)


def contexts(meta: dict[str, Any], each: list[dict[str, Any]], at_ms: int, dex: str = "") -> pl.DataFrame:
    "One row a market from a metaAndAssetCtxs answer, in the columns of asset_ctxs files, with `observed_at`."
    names = [str(market["name"]) for market in meta["universe"]]
    names = [f"{dex}:{name}" if dex and ":" not in name else name for name in names]
    rows = [
        (name, *(context.get(key) for key in ("funding", "openInterest", "oraclePx", "markPx")))
        for name, context in zip(names, each, strict=False)
    ]
    columns = ["funding", "open_interest", "oracle_px", "mark_px"]
    schema = {"coin": pl.String} | dict.fromkeys(columns, pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False).select(
        "coin",
        pl.col(columns).cast(pl.Float64, strict=False),
        observed_at=pl.from_epoch(pl.lit(at_ms, pl.Int64), time_unit="ms"),
    )


def candle_prices(candles: list[dict[str, Any]]) -> pl.DataFrame:
    "Rows of table prices from a candleSnapshot answer: the close, at the end of its interval."
    coin = pl.col("coin")
    rows = [(candle["s"], candle["T"], candle["c"]) for candle in candles]
    return (
        pl.DataFrame(
            rows, schema={"coin": pl.String, "closed": pl.Int64, "close": pl.String}, orient="row", strict=False
        )
        .select(
            asset=coins.asset(coin),
            priced_at=pl.from_epoch("closed", time_unit="ms"),
            price_usd=coins.exact(pl.col("close").cast(pl.Float64, strict=False) / coins.multiplier(coin)),
            kind=pl.lit("kline"),
            source=pl.when(coins.dex(coin) == "")
            .then(pl.lit("hyperliquid"))
            .otherwise(pl.format("hyperliquid:{}", coins.dex(coin))),
        )
        .filter(pl.col("asset").is_not_null() & (pl.col("price_usd") > 0))
    )


def funding(rates: list[dict[str, Any]]) -> pl.DataFrame:
    "Rows of table funding from fundingHistory answers: the rate of each hour, at the moment it was paid."
    rows = [(rate["coin"], rate["time"], rate["fundingRate"]) for rate in rates]
    schema = {"coin": pl.String, "time": pl.Int64, "rate": pl.String}
    return (
        pl.DataFrame(rows, schema=schema, orient="row", strict=False)
        .unique(["coin", "time"], keep="first", maintain_order=True)
        .select(
            venue=pl.lit("hyperliquid"),
            market="coin",
            asset=coins.asset(pl.col("coin")),
            observed_at=pl.from_epoch("time", time_unit="ms"),
            rate=pl.col("rate").cast(pl.Float64, strict=False),
            interval_seconds=pl.lit(FUNDING_SECONDS, pl.Int32),
            source=pl.lit(SOURCE),
        )
        .filter(pl.col("rate").is_not_null())
    )


def children(parent: str, details: dict[str, Any]) -> list[str]:
    "The addresses behind a vault: its own and its children's, lower case."
    data = (details.get("relationship") or {}).get("data") or {}
    return sorted({parent.lower(), *(child.lower() for child in data.get("childAddresses", []))})
