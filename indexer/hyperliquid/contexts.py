"""asset_ctxs files, one a day: open interest, mark and oracle prices and funding, one row a minute and coin."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.errors import BadRecord
from indexer.hyperliquid import coins
from indexer.hyperliquid.lines import Lines

if TYPE_CHECKING:
    from pathlib import Path

FUNDING_SECONDS = 3600
N_COLUMNS = 12
REQUIRED = ["time", "coin", "funding", "open_interest", "oracle_px", "mark_px"]


class Contexts(NamedTuple):
    "Rows of tables open_interest, prices and funding, the broken lines, and why the file ends early, if it does."

    open_interest: pl.DataFrame
    prices: pl.DataFrame
    funding: pl.DataFrame
    rejected: pl.DataFrame
    broken: str | None


def read_day(path: Path, source: str) -> Contexts:
    "What a day's file says; raises BadRecord for a file without the documented columns."
    lines = Lines(path, is_whole=lambda line: line.count(b",") == N_COLUMNS - 1)
    text = b"".join(stretch.buffer[stretch.start : stretch.end] for stretch in lines)
    raw = pl.read_csv(io.BytesIO(text), infer_schema=False, truncate_ragged_lines=True) if text else pl.DataFrame()
    if missing := [name for name in REQUIRED if name not in raw.columns]:
        raise BadRecord(path.name, 1, f"no column {', '.join(missing)}; an asset_ctxs file has them")
    numbers = pl.col("funding", "open_interest", "oracle_px", "mark_px").cast(pl.Float64, strict=False)
    at = (
        pl.col("time")
        .str.slice(0, 19)
        .str.replace(" ", "T", literal=True)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    )
    rows = raw.with_row_index("row").with_columns(numbers, observed_at=at)
    is_whole = pl.col("observed_at").is_not_null() & pl.col("coin").is_not_null()
    is_priced = pl.any_horizontal(pl.col("mark_px", "oracle_px", "open_interest").is_not_null())
    good = rows.filter(is_whole & is_priced).unique(["observed_at", "coin"], keep="first", maintain_order=True)
    bad = rows.filter(~(is_whole & is_priced)).select("row")
    rejected = raw.with_row_index("row").join(bad, on="row", how="semi").drop("row")
    return Contexts(
        open_interest(good, source),
        prices(good),
        funding(good, source),
        rejected.select(
            block_number=pl.lit(None, pl.Int64),
            reason=pl.lit("a line without time, coin or numbers"),
            raw=pl.concat_str(pl.all().fill_null(""), separator=","),
        ),
        lines.broken,
    )


def open_interest(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    "One side of the open positions: base units, and their value at the mark."
    coin = pl.col("coin")
    return rows.filter(pl.col("open_interest").is_not_null()).select(
        venue=pl.lit("hyperliquid"),
        market=coin,
        asset=coins.asset(coin),
        observed_at="observed_at",
        units=coins.exact(pl.col("open_interest") * coins.multiplier(coin)),
        usd=coins.exact(pl.col("open_interest") * pl.col("mark_px")),
        sides=pl.lit(1, pl.Int32),
        source=pl.lit(source),
    )


def prices(rows: pl.DataFrame) -> pl.DataFrame:
    "Mark and oracle price of one unit of each asset; a builder dex is a source of its own, as it marks for itself."
    coin = pl.col("coin")
    dex = coins.dex(coin)
    return (
        rows.select(
            asset=coins.asset(coin),
            priced_at="observed_at",
            mark=coins.exact(pl.col("mark_px") / coins.multiplier(coin)),
            oracle=coins.exact(pl.col("oracle_px") / coins.multiplier(coin)),
            source=pl.when(dex == "").then(pl.lit("hyperliquid")).otherwise(pl.format("hyperliquid:{}", dex)),
        )
        .unpivot(
            ["mark", "oracle"], index=["asset", "priced_at", "source"], variable_name="kind", value_name="price_usd"
        )
        .filter(pl.col("asset").is_not_null() & (pl.col("price_usd") > 0) & pl.col("price_usd").is_finite())
        .unique(["asset", "priced_at", "kind", "source"], keep="first", maintain_order=True)
        .select("asset", "priced_at", "price_usd", "kind", "source")
    )


def funding(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    "The rate of each coin at the first minute of each hour, when it is paid."
    coin = pl.col("coin")
    return (
        rows.filter(pl.col("funding").is_not_null() & coins.is_perp(coin))
        .sort("observed_at", "coin")
        .unique([pl.col("observed_at").dt.truncate("1h").alias("hour"), "coin"], keep="first", maintain_order=True)
        .select(
            venue=pl.lit("hyperliquid"),
            market=coin,
            asset=coins.asset(coin),
            observed_at="observed_at",
            rate="funding",
            interval_seconds=pl.lit(FUNDING_SECONDS, pl.Int32),
            source=pl.lit(source),
        )
    )
