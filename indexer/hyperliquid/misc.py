"""Misc events as columns: ledger updates as they are, and the hourly funding of every open position."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.hyperliquid import coins, scan
from indexer.hyperliquid.fills import parser
from indexer.hyperliquid.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCH_BYTES = 32 << 20  # a funding line alone may have more than 20 MB
FUNDING_SECONDS = 3600
EVENT = {
    "time": "VARCHAR",
    "hash": "VARCHAR",
    "inner": {
        "LedgerUpdate": {"users": ["VARCHAR"], "delta": "JSON"},
        "Funding": {
            "deltas": [{"user": "VARCHAR", "coin": "VARCHAR", "szi": "DOUBLE", "funding_rate": "DOUBLE"}],
        },
    },
}
BLOCK = {"block_number": "BIGINT", "events": [EVENT]}
# Node times have nanoseconds and no zone; API times are the same instants truncated to milliseconds.
EVENTS = f"""
CREATE OR REPLACE TEMP TABLE misc_event AS
SELECT
  row_number() OVER () AS position,
  block_number,
  epoch_ms(try_cast(left(event.time, 23) AS TIMESTAMP)) AS time,
  event.hash AS hash,
  event.inner.LedgerUpdate AS ledger,
  event.inner.Funding.deltas AS deltas
FROM (
  SELECT block.block_number AS block_number, unnest(block.events) AS event
  FROM (SELECT json_transform(line, '{json.dumps(BLOCK)}') AS block FROM incoming WHERE has_events)
  UNION ALL
  SELECT NULL, json_transform(line, '{json.dumps(EVENT)}') FROM incoming WHERE NOT has_events
)
"""
LEDGER = """
SELECT block_number, time, hash, ledger.users AS users, ledger.delta::VARCHAR AS delta
FROM misc_event WHERE ledger IS NOT NULL ORDER BY position
"""
FUNDING = """
SELECT
  block_number, time, lower(delta.user) AS account, delta.coin AS coin, delta.szi AS szi, delta.funding_rate AS rate
FROM (SELECT block_number, time, unnest(deltas) AS delta FROM misc_event WHERE deltas IS NOT NULL)
"""
LEDGER_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "block_number": pl.Int64,
    "time": pl.Int64,
    "hash": pl.String,
    "users": pl.List(pl.String),
    "delta": pl.String,
}
FUNDING_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "block_number": pl.Int64,
    "time": pl.Int64,
    "account": pl.String,
    "coin": pl.String,
    "szi": pl.Float64,
    "rate": pl.Float64,
}


class Misc(NamedTuple):
    "One row per ledger update (LEDGER_SCHEMA) and one per account and coin funded (FUNDING_SCHEMA)."

    ledger: pl.DataFrame
    funding: pl.DataFrame


def read_hour(path: Path, hour_ms: int, until_ms: int | None = None) -> tuple[Misc, scan.Facts]:
    "The misc events of an hour file, and what was learned on the way; a line that is no JSON is put aside."
    facts = scan.Facts()
    parts = [parse(batch, facts) for batch in batches(path, hour_ms, until_ms, facts)]
    parts.append(Misc(pl.DataFrame(schema=LEDGER_SCHEMA), pl.DataFrame(schema=FUNDING_SCHEMA)))
    return Misc(pl.concat(part.ledger for part in parts), pl.concat(part.funding for part in parts)), facts


def batches(path: Path, hour_ms: int, until_ms: int | None, facts: scan.Facts) -> Iterator[pl.Series]:
    "The lines of `path` in batches of bounded size, `facts` filled as by scan.batches."
    lines = Lines(path)
    batch: list[bytes] = []
    n_bytes, final = 0, None
    for stretch in lines:
        at = scan.opening(stretch, hour_ms, facts)
        if until_ms is not None and at is not None and at > until_ms + scan.ARRIVAL_MS:
            break
        batch.extend(stretch.buffer[stretch.start : stretch.end].splitlines())
        n_bytes += stretch.end - stretch.start
        final = stretch
        if n_bytes > BATCH_BYTES:
            yield pl.Series("line", batch, dtype=pl.Binary)
            batch, n_bytes = [], 0
    facts.broken = lines.broken
    facts.last = (scan.closing(final) if final else None) or facts.opening
    yield pl.Series("line", batch, dtype=pl.Binary)


def parse(lines: pl.Series, facts: scan.Facts) -> Misc:
    "The events in `lines`; broken lines and events without what makes them one go to `facts.rejected`."
    cursor = parser().cursor()
    texts = pl.DataFrame({"raw": lines, "line": lines.cast(pl.String, strict=False)})
    texts = texts.filter(pl.col("raw").bin.size() > 0)
    facts.n_lines += texts.height
    cursor.register("texts", texts.to_arrow())
    judged = cursor.sql("""
        SELECT raw, line, coalesce(json_valid(line), false) AS is_valid,
          CASE WHEN json_valid(line) THEN json_type(line, '$.events') END AS events_type
        FROM texts
    """).to_arrow_table()
    frame = pl.DataFrame(pl.from_arrow(judged)).with_columns(has_events=pl.col("events_type").is_not_null())
    is_block = pl.col("is_valid") & (pl.col("events_type").fill_null("ARRAY") == "ARRAY")
    facts.rejected += [("not a line of misc events", raw) for raw in frame.filter(~is_block)["raw"]]
    cursor.register("incoming", frame.filter(is_block).select("line", "has_events").to_arrow())
    cursor.execute(EVENTS)
    ledger = pl.DataFrame(pl.from_arrow(cursor.sql(LEDGER).to_arrow_table())).cast(pl.Schema(LEDGER_SCHEMA))
    funding = pl.DataFrame(pl.from_arrow(cursor.sql(FUNDING).to_arrow_table())).cast(pl.Schema(FUNDING_SCHEMA))
    return Misc(ledger, funding)


def is_whole_funding() -> pl.Expr:
    "True for a funding line that names its time, account, coin and a finite size."
    named = pl.all_horizontal(pl.col("time", "account", "coin").is_not_null())
    return named & pl.col("szi").is_finite().fill_null(value=False)


def broken_funding(funding: pl.DataFrame) -> pl.DataFrame:
    "Funding lines that say nothing of a position (block_number, reason, raw)."
    return funding.filter(~is_whole_funding()).select(
        "block_number",
        reason=pl.lit("a funding line without time, user, coin or size"),
        raw=pl.struct("account", "coin", "szi", "rate").struct.json_encode(),
    )


def positions(funding: pl.DataFrame, source: str) -> pl.DataFrame:
    "Rows of table positions: what every account held when funding was paid; zero sizes are no positions."
    return (
        funding.filter(is_whole_funding() & (pl.col("szi") != 0))
        .unique(["time", "account", "coin"], keep="first", maintain_order=True)
        .select(
            observed_at=pl.from_epoch("time", time_unit="ms"),
            account="account",
            venue=pl.lit("hyperliquid"),
            market="coin",
            asset=coins.asset(pl.col("coin")),
            size=coins.exact(pl.col("szi") * coins.multiplier(pl.col("coin"))),
            source=pl.lit(source),
        )
    )


def funding_rates(funding: pl.DataFrame, source: str) -> pl.DataFrame:
    "Rows of table funding: the rate of each coin and hour, once."
    return (
        funding.filter(is_whole_funding() & pl.col("rate").is_not_null())
        .unique(["time", "coin"], keep="first", maintain_order=True)
        .select(
            venue=pl.lit("hyperliquid"),
            market="coin",
            asset=coins.asset(pl.col("coin")),
            observed_at=pl.from_epoch("time", time_unit="ms"),
            rate="rate",
            interval_seconds=pl.lit(FUNDING_SECONDS, pl.Int32),
            source=pl.lit(source),
        )
    )
