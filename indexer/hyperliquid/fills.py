"""Fill events as columns: parsed by DuckDB, value by value, so that one odd value costs one column of one row."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from indexer.hyperliquid import cutting, scan

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.hyperliquid.scan import Event

# Decimals stay text until they are columns: DOUBLE is the nearest value of the text as written.
FIELDS = {
    "user": "VARCHAR",
    "coin": "VARCHAR",
    "px": "DOUBLE",
    "sz": "DOUBLE",
    "side": "VARCHAR",
    "time": "BIGINT",
    "startPosition": "DOUBLE",
    "dir": "VARCHAR",
    "closedPnl": "DOUBLE",
    "hash": "VARCHAR",
    "crossed": "BOOLEAN",
    "fee": "DOUBLE",
    "feeToken": "VARCHAR",
    "tid": "BIGINT",
    "liquidation": {"liquidatedUser": "VARCHAR", "markPx": "DOUBLE", "method": "VARCHAR"},
}
DECODE = f"""
SELECT
  lower(coalesce(nullif(account, ''), fill.user)) AS account,
  fill.coin AS coin,
  fill.px AS px,
  fill.sz AS sz,
  fill.side AS side,
  fill.time AS time,
  fill.startPosition AS start_position,
  fill.dir AS dir,
  fill.closedPnl AS closed_pnl,
  fill.hash AS hash,
  fill.crossed AS crossed,
  fill.fee AS fee,
  fill.feeToken AS fee_token,
  fill.tid AS tid,
  is_tagged,
  lower(nullif(fill.liquidation.liquidatedUser, '')) AS liquidated_user,
  fill.liquidation.markPx AS mark_px,
  fill.liquidation.method AS method
FROM (
  SELECT
    account,
    json_transform(raw, '{json.dumps(FIELDS)}') AS fill,
    coalesce(json_type(raw, '$.liquidation'), 'NULL') <> 'NULL' AS is_tagged
  FROM incoming
)
"""
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account": pl.String,
    "coin": pl.String,
    "px": pl.Float64,
    "sz": pl.Float64,
    "side": pl.String,
    "time": pl.Int64,
    "start_position": pl.Float64,
    "dir": pl.String,
    "closed_pnl": pl.Float64,
    "hash": pl.String,
    "crossed": pl.Boolean,
    "fee": pl.Float64,
    "fee_token": pl.String,
    "tid": pl.Int64,
    "is_tagged": pl.Boolean,
    "liquidated_user": pl.String,
    "mark_px": pl.Float64,
    "method": pl.String,
    "block_number": pl.Int64,
    "raw_account": pl.String,
    "raw": pl.String,
}


class NotJson(ValueError):
    "A fill is no JSON: the cut that made it was wrong."


def decode(events: list[Event]) -> pl.DataFrame:
    """One row per event, in order, columns of SCHEMA; a value that is not of its column's type is NULL.

    `is_tagged` says that a `liquidation` object is there, whatever it holds. Raises NotJson.
    """
    if not events:
        return pl.DataFrame(schema=SCHEMA)
    accounts, fills, blocks = zip(*events, strict=True)
    incoming = pl.DataFrame(
        {
            "account": pl.Series(accounts, dtype=pl.Binary).cast(pl.String, strict=False).fill_null(""),
            "raw": pl.Series(fills, dtype=pl.Binary).cast(pl.String, strict=False),
            "block_number": pl.Series(blocks, dtype=pl.Int64),
        }
    )
    if incoming["raw"].null_count():
        raise NotJson("not UTF-8")
    cursor = parser().cursor()
    cursor.register("incoming", incoming.to_arrow())
    try:
        decoded = cursor.sql(DECODE).to_arrow_table()
    except duckdb.InvalidInputException as error:
        raise NotJson(str(error)) from error
    as_written = incoming.select("block_number", raw_account="account", raw="raw")
    return pl.DataFrame(pl.from_arrow(decoded)).hstack(as_written).cast(pl.Schema(SCHEMA))


@functools.cache
def parser() -> duckdb.DuckDBPyConnection:
    "A private DuckDB that parses JSON; one a process, as opening costs more than a batch."
    return duckdb.connect()


def read_hour(path: Path, hour_ms: int, until_ms: int | None = None) -> tuple[pl.DataFrame, scan.Facts]:
    """The candidate fills of an hour file (columns of SCHEMA) and what the scan learned.

    All of the file is parsed line by line where the quick way is refuted: by a sample of lines, or because the
    liquidation objects that it met are not as many as the fills that carry one.
    """
    try:
        facts = scan.Facts()
        frame = pl.concat(decode(events) for events in scan.batches(path, hour_ms, until_ms, facts, scan.quick))
        if facts.n_tags == facts.n_others + frame["is_tagged"].sum():
            return frame, facts
    except (cutting.Doubt, NotJson):
        pass
    facts = scan.Facts()
    return pl.concat(decode(events) for events in scan.batches(path, hour_ms, until_ms, facts, scan.slow)), facts
