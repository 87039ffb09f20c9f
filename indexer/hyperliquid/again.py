"""Liquidations of HyperCore again from the records kept beside them, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer import store
from indexer.hyperliquid import classify, ledger, raws, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import duckdb

BATCH_FRAMES = 200_000  # one transaction holds about so many, and whole minutes: the rows of a trade share a moment
SOURCES = ("hyperliquid_archive", "hyperliquid_api", "hyperliquid_watch")


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> int:
    """Judge every kept record again by the vaults that `labels` knows now; the number of rows.

    Rows of which no record is kept stay as they are.
    """
    vaults = write.vaults(connection)
    n_all = 0
    for source in SOURCES:
        n_rows = n_frames = 0
        for first, past in stretches(connection, source):
            found = frames(connection, source, "received_at >= ? AND received_at < ?", [first, past])
            n_frames += found.height
            with store.transaction(connection):
                n_rows += judge(connection, source, found, vaults)
        if n_frames:
            narrate(f"{source}: {n_frames} records decoded again, {n_rows} rows")
        n_all += n_rows
    return n_all


def stretches(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[datetime, datetime]]:
    "Half-open times of whole minutes, in order, that hold the frames of `source`: some BATCH_FRAMES each."
    return connection.execute(
        f"""
        SELECT min(minute), max(minute) + INTERVAL 1 MINUTE
        FROM (
          SELECT minute, sum(n_frames) OVER (ORDER BY minute) // {BATCH_FRAMES} AS batch
          FROM (
            SELECT date_trunc('minute', received_at) AS minute, count(*) AS n_frames
            FROM raw_frames WHERE source = ? GROUP BY minute
          )
        )
        GROUP BY batch ORDER BY 1
        """,
        [source],
    ).fetchall()


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
