"""Fill events as columns.

Fills that are as nodes write them are read by polars. Where one is not, DuckDB parses them value by value, so that an
odd value costs one column of one row.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from indexer.hyperliquid import scan
from indexer.hyperliquid.cutting import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterable
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


# Fields as nodes write them. Every fill has all of them but `user`, which only flattened fills name, and `liquidation`.
TAG = pl.Struct(dict.fromkeys(FIELDS["liquidation"], pl.String))
WRITTEN = pl.Schema(
    dict.fromkeys(FIELDS, pl.String) | {"time": pl.Int64, "tid": pl.Int64, "crossed": pl.Boolean, "liquidation": TAG}
)
ALWAYS = [name for name in FIELDS if name not in {"user", "liquidation"}]
TEXTS = ["account", "coin", "side", "dir", "hash", "fee_token", "liquidated_user", "method"]
DECIMALS = [name for name, kind in SCHEMA.items() if kind == pl.Float64]


class NotJson(ValueError):
    "A fill is no JSON: the cut that made it was wrong."


def decode(events: list[Event]) -> pl.DataFrame:
    """One row per event, in order, columns of SCHEMA; a value that is not of its column's type is NULL.

    `is_tagged` says that a `liquidation` object is there, whatever it holds. Raises NotJson.
    """
    if not events:
        return pl.DataFrame(schema=SCHEMA)
    accounts, fills, blocks = zip(*events, strict=True)
    try:
        incoming = pl.DataFrame(
            {
                "account": pl.Series(accounts, dtype=pl.Binary).cast(pl.String),
                "raw": pl.Series(fills, dtype=pl.Binary).cast(pl.String),
                "block_number": pl.Series(blocks, dtype=pl.Int64),
            }
        )
    except pl.exceptions.PolarsError as error:
        raise NotJson(f"not UTF-8: {error}") from error
    decoded = as_nodes_write(incoming, fills)
    if decoded is None:
        decoded = value_by_value(incoming)
    as_written = incoming.select("block_number", raw_account="account", raw="raw")
    return decoded.hstack(as_written).cast(pl.Schema(SCHEMA))


def as_nodes_write(incoming: pl.DataFrame, fills: tuple[bytes, ...]) -> pl.DataFrame | None:
    "What `fills` say (the text of them is `raw` of `incoming`), if all are whole and as nodes write them; else None."
    try:
        read = pl.read_ndjson(b"\n".join(fills), schema=WRITTEN)
    except pl.exceptions.PolarsError:
        return None
    if read.height != len(fills):
        return None
    tag, is_tagged = pl.col("liquidation").struct, pl.col("liquidation").is_not_null()
    decoded = read.with_columns(incoming.get_column("account"), incoming.get_column("raw")).select(
        *(pl.col(name).alias(snake(name)) for name in ALWAYS),
        account=pl.coalesce(pl.col("account").replace("", None), "user").str.to_lowercase(),
        is_tagged=is_tagged,
        is_told=is_tagged == pl.col("raw").str.contains('"liquidation"', literal=True),
        liquidated_user=tag.field("liquidatedUser").str.to_lowercase(),
        mark_px=tag.field("markPx"),
        method=tag.field("method"),
    )
    decoded = decoded.with_columns(pl.col(DECIMALS).cast(pl.Float64, strict=False))
    is_there = pl.all_horizontal(pl.col(snake(name) for name in ALWAYS).is_not_null())
    has_tag = pl.all_horizontal(
        (pl.col("liquidated_user") != "").fill_null(value=False), pl.col("method").is_not_null()
    )
    is_finite = pl.all_horizontal(pl.col(DECIMALS).is_finite().fill_null(value=~pl.col("is_tagged")))
    is_whole = is_there & pl.col("is_told") & (~pl.col("is_tagged") | has_tag) & is_finite
    if not decoded.select((is_whole & ~pl.any_horizontal(is_other_type(name) for name in TEXTS)).all()).item():
        return None
    return decoded.select(name for name in SCHEMA if name in decoded.columns)


def is_other_type(name: str) -> pl.Expr:
    "True where a column of text has what polars made of a number, a truth value, an object or a list."
    text = pl.col(name)
    is_number = text.cast(pl.Float64, strict=False).is_not_null()
    return (is_number | text.str.contains(r"^(true|false|[\[{].*)$")).fill_null(value=False)


def snake(name: str) -> str:
    "The column of a field."
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def value_by_value(incoming: pl.DataFrame) -> pl.DataFrame:
    "What the fills of `incoming` say, NULL for a value that is not of its column's type; raises NotJson."
    cursor = parser().cursor()
    cursor.register("incoming", incoming.to_arrow())
    try:
        return pl.DataFrame(cursor.sql(DECODE))
    except duckdb.InvalidInputException as error:
        raise NotJson(str(error)) from error


@functools.cache
def parser() -> duckdb.DuckDBPyConnection:
    "A private DuckDB that parses JSON; one a process, as opening costs more than a batch."
    return duckdb.connect()


def read_hour(path: Path, hour_ms: int, until_ms: int | None = None) -> tuple[pl.DataFrame, scan.Facts]:
    """The candidate fills of an hour file (columns of SCHEMA) and what the scan learned.

    All of the file is parsed line by line where the quick way is refuted: by a sample of lines, or because the
    liquidation objects that it met are not as many as the fills that carry one.
    """
    facts = scan.Facts()
    try:
        return checked(scan.batches(path, hour_ms, until_ms, facts, scan.quick), facts), facts
    except (Doubt, NotJson):
        return read_slowly(path, hour_ms, until_ms)


def checked(batches: Iterable[list[Event]], facts: scan.Facts) -> pl.DataFrame:
    "All `batches` decoded; Doubt unless as many of the fills carry a liquidation object as `facts` say were met."
    frame = pl.concat(decode(events) for events in batches)
    if facts.n_tags != facts.n_others + frame["is_tagged"].sum():
        raise Doubt
    return frame


def read_slowly(path: Path, hour_ms: int, until_ms: int | None = None) -> tuple[pl.DataFrame, scan.Facts]:
    "What `read_hour` gives, every line parsed."
    facts = scan.Facts()
    return pl.concat(decode(events) for events in scan.batches(path, hour_ms, until_ms, facts, scan.slow)), facts
