"""The records behind liquidations, as they were written: stored as frames, and read back as columns.

A frame is a line as a node writes it, of one event: with the envelope's block number, or bare where the source has none.
`received_at` is the block's time, `connection` the hour file the record is from (the same for every family, mirror and
format), or the account whose records were asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from indexer.hyperliquid import classify, fills, misc, scan

NUMBERED, NUMBERED_END = '{"block_number":', "]}"
LEDGER = '"LedgerUpdate"'
NODE_TIME = "%Y-%m-%dT%H:%M:%S%.3f"
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,
    "received_at": pl.Datetime("us"),
    "market": pl.String,
    "connection": pl.String,
    "frame": pl.String,
}


def named(dataset: str, hour_ms: int) -> str:
    "The name of an hour's files of one dataset."
    return f"{dataset}/{datetime.fromtimestamp(hour_ms / 1000, UTC):%Y%m%d/%-H}"


def of_fills(candidates: pl.DataFrame, source: str) -> pl.DataFrame:
    "Rows of raw_frames for `candidates` (fills.SCHEMA and `connection`); without a time nothing finds them again."
    return framed(candidates.filter(pl.col("time").is_not_null()), classify.raw(), source, pl.col("coin"))


def of_ledger(updates: pl.DataFrame, source: str) -> pl.DataFrame:
    "Rows of raw_frames for the liquidations among `updates` (misc.LEDGER_SCHEMA and `connection`)."
    is_liquidation = pl.col("delta").str.contains(r'"type"\s*:\s*"liquidation"') & pl.col("time").is_not_null()
    users = pl.struct("users").struct.json_encode().str.strip_suffix("}")
    named_hash = pl.struct(pl.from_epoch("time", time_unit="ms").dt.strftime(NODE_TIME).alias("time"), "hash")
    event = pl.concat_str(
        named_hash.struct.json_encode().str.strip_suffix("}"),
        pl.lit(',"inner":{"LedgerUpdate":'),
        users,
        pl.lit(',"delta":'),
        "delta",
        pl.lit("}}}"),
    )
    return framed(updates.filter(is_liquidation), event, source, pl.lit(None, pl.String))


def framed(records: pl.DataFrame, event: pl.Expr, source: str, market: pl.Expr) -> pl.DataFrame:
    "Rows of raw_frames: `event` inside the envelope of its block, where one is known."
    number = pl.col("block_number").cast(pl.String)
    numbered = pl.concat_str(pl.lit(NUMBERED), number, pl.lit(',"events":['), event, pl.lit(NUMBERED_END))
    return records.select(
        source=pl.lit(source),
        received_at=pl.from_epoch("time", time_unit="ms").cast(pl.Datetime("us")),
        market=market,
        connection="connection",
        frame=pl.coalesce(numbered, event),
    ).unique(maintain_order=True)


def to_fills(frames: pl.DataFrame) -> pl.DataFrame:
    "The fills (fills.SCHEMA and `connection`) in rows of raw_frames."
    kept = frames.filter(~pl.col("frame").str.contains(LEDGER, literal=True))
    is_numbered = pl.col("frame").str.starts_with(NUMBERED)
    opened = kept.with_columns(
        block_number=pl.when(is_numbered).then(pl.col("frame").str.extract(r"^\D*(\d+)")).cast(pl.Int64),
        event=pl.when(is_numbered).then(pl.col("frame").str.extract(r"(?s)^[^\[]*\[(.*)\]\}$")).otherwise("frame"),
    )
    is_pair = pl.col("event").str.starts_with("[")
    parts = opened.select(
        "connection",
        account=pl.when(is_pair)
        .then(pl.col("event").str.extract(r'^\["([^"]*)"'))
        .otherwise(pl.lit(""))
        .cast(pl.Binary),
        fill=pl.when(is_pair)
        .then(pl.col("event").str.extract(r'(?s)^\["[^"]*",(.*)\]$'))
        .otherwise("event")
        .cast(pl.Binary),
        number="block_number",
    )
    decoded = fills.decode(parts.select("account", "fill", "number").rows())
    return decoded.with_columns(connection=parts["connection"])


def to_ledger(frames: pl.DataFrame) -> pl.DataFrame:
    "The ledger updates (misc.LEDGER_SCHEMA) in rows of raw_frames."
    lines = frames.filter(pl.col("frame").str.contains(LEDGER, literal=True))["frame"]
    return misc.parse(lines.cast(pl.Binary).alias("line"), scan.Facts()).ledger
