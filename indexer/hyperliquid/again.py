"""Liquidations of HyperCore again from the records kept beside them, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer import store
from indexer.hyperliquid import classify, ledger, raws, write

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

SOURCES = ("hyperliquid_archive", "hyperliquid_api", "hyperliquid_watch")


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> int:
    """Judge every kept record again by the vaults that `labels` knows now, an hour a transaction; the number of rows.

    Rows of which no record is kept stay as they are.
    """
    vaults = write.vaults(connection)
    n_all = 0
    for source in SOURCES:
        hours = connection.execute(
            "SELECT date_trunc('hour', received_at) AS hour FROM raw_frames WHERE source = ? GROUP BY hour ORDER BY hour",
            [source],
        ).fetchall()
        n_rows = n_frames = 0
        for (hour,) in hours:
            found = frames(connection, source, "date_trunc('hour', received_at) = ?", [hour])
            n_frames += found.height
            with store.transaction(connection):
                n_rows += judge(connection, source, found, vaults)
        if hours:
            narrate(f"{source}: {n_frames} records decoded again, {n_rows} rows")
        n_all += n_rows
    return n_all


def frames(connection: duckdb.DuckDBPyConnection, source: str, condition: str, values: list[object]) -> pl.DataFrame:
    "The rows of raw_frames of `source` for which `condition` holds, in a fixed order."
    names = ", ".join(raws.SCHEMA)
    rows = connection.sql(
        f"SELECT {names} FROM raw_frames WHERE source = ? AND ({condition}) ORDER BY ALL", params=[source, *values]
    )
    return pl.DataFrame(rows).cast(pl.Schema(raws.SCHEMA))


def judge(connection: duckdb.DuckDBPyConnection, source: str, kept: pl.DataFrame, vaults: pl.DataFrame) -> int:
    "Put what the frames `kept` say in place of what is stored of the same trades. Call it inside a transaction."
    candidates = forget(connection, source, kept)
    events = ledger.read(raws.to_ledger(kept), source).liquidations
    verdict = classify.classify(candidates, vaults, events, source=source)
    n_rows = write.replace_ranked(connection, write.LIQUIDATIONS, verdict.rows, None)
    write.reject(connection, source, verdict.rejected)
    return n_rows


def forget(connection: duckdb.DuckDBPyConnection, source: str, kept: pl.DataFrame) -> pl.DataFrame:
    "Take away what is stored of the trades in the frames `kept`; their fills."
    candidates = raws.to_fills(kept)
    trade = pl.format("hyperliquid:{}:{}:{}:", "time", "coin", "tid")
    trades = candidates.select(trade=trade, raw=classify.raw(), at=pl.from_epoch("time", time_unit="ms"))
    connection.register("judged_again", trades.to_arrow())
    try:
        connection.execute(
            "DELETE FROM liquidations WHERE source = ? AND liquidated_at BETWEEN ? AND ?"
            " AND regexp_replace(event_id, '[^:]*$', '') IN (SELECT trade FROM judged_again)",
            [source, trades["at"].min(), trades["at"].max()],
        )
        connection.execute("DELETE FROM rejected WHERE source = ? AND raw IN (SELECT raw FROM judged_again)", [source])
    finally:
        connection.unregister("judged_again")
    return candidates
