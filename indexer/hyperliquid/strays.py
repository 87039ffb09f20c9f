"""Fills that stand in the file of another hour than their own: counted under their own time, whatever the order of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer.hyperliquid import again, blocks, classify, fills, placing, raws, scan, write
from indexer.hyperliquid.archive import HOUR_MS
from indexer.hyperliquid.plan import moment

if TYPE_CHECKING:
    import duckdb

    from indexer.hyperliquid.plan import Selection, Unit

SOURCE = classify.ARCHIVE


def of_hour(unit: Unit, records: pl.DataFrame) -> pl.DataFrame:
    "The `records` of the hour's own file that are neither of the hour nor late arrivals of the one before."
    time = pl.col("time")
    return records.filter((time < unit.hour - scan.ARRIVAL_MS) | (time >= unit.hour + HOUR_MS))


def wanted(foreign: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    "The fills of `foreign` that were asked for."
    asked = foreign.filter(pl.col("time").is_between(selection.since, selection.until, closed="left"))
    if selection.blocks is None or asked.is_empty():
        return asked
    numbered = asked.with_columns(number=pl.coalesce("block_number", blocks.from_hash(asked)))
    return placing.placed(numbered, selection.blocks, "number").inside.drop("number")


def notes(foreign: pl.DataFrame, selection: Selection) -> list[str]:
    "What a user should read of `foreign`."
    n_wanted = wanted(foreign, selection).height
    n_left = foreign.height - n_wanted
    said = [f"{n_wanted} forced fills of other hours than the file's, stored under their own time"] if n_wanted else []
    return said + ([f"{n_left} forced fills of hours that were not asked for, left out"] if n_left else [])


def stored(connection: duckdb.DuckDBPyConnection, unit: Unit) -> pl.DataFrame:
    "The fills (fills.SCHEMA and `connection`) of the wanted part of the hour that files of other hours gave before."
    own = [raws.named("fills", unit.hour), raws.named("fills", unit.hour + HOUR_MS)]
    condition = "received_at >= ? AND received_at < ? AND starts_with(connection, 'fills/') AND NOT list_contains(?, connection)"
    found = again.frames(connection, SOURCE, condition, [moment(unit.since), moment(unit.until), own])
    if found.is_empty():
        return pl.DataFrame(schema=fills.SCHEMA | {"connection": pl.String()})
    return raws.to_fills(found)


def save(
    connection: duckdb.DuckDBPyConnection,
    unit: Unit,
    foreign: pl.DataFrame,
    vaults: pl.DataFrame,
    selection: Selection,
) -> None:
    "Store the wanted fills of `foreign` in place of those the same file gave before. Call it inside a transaction."
    name = raws.named("fills", unit.hour)
    outside = "connection = ? AND (received_at < ? OR received_at >= ?)"
    bounds: list[object] = [name, moment(unit.hour - scan.ARRIVAL_MS), moment(unit.hour + HOUR_MS)]
    before = again.frames(connection, SOURCE, outside, bounds) if selection.blocks is None else None
    kept = raws.of_fills(wanted(foreign, selection).with_columns(connection=pl.lit(name)), SOURCE)
    if kept.is_empty() and (before is None or before.is_empty()):
        return
    times = kept["received_at"]
    if before is not None:
        connection.execute(f"DELETE FROM raw_frames WHERE source = ? AND {outside}", [SOURCE, *bounds])
        again.forget(connection, SOURCE, before)
        times = pl.concat([times, before["received_at"]])
    write.keep_raw(connection, kept, None, [])
    touched = again.frames(connection, SOURCE, "list_contains(?, received_at)", [times.unique().to_list()])
    if not touched.is_empty():
        again.judge(connection, SOURCE, touched, vaults)
