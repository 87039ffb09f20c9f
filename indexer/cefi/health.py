"""How late the records of exchanges arrive, and which of their symbols no rule knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import assets, venues
from indexer.cefi import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import duckdb

NEWEST_FRAMES = 20_000  # of a source: enough to tell how late it is, and soon read

TIMED = """
SELECT source, max(received_at) FROM raw_frames WHERE received_at IS NOT NULL GROUP BY source ORDER BY source
"""
LATENESS = """
SELECT count(*), median(late), quantile_cont(late, 0.99), max(late) FROM (
  SELECT (epoch_us(received_at) - epoch_us(event_at)) / 1e6 AS late FROM records
  WHERE received_at IS NOT NULL AND event_at IS NOT NULL)
"""
MARKETS = """
SELECT venue, market, count(*), sum(forced_usd) FROM liquidations
WHERE venue IN (SELECT unnest($venues)) AND market IS NOT NULL
  AND NOT EXISTS (FROM markets WHERE markets.venue = liquidations.venue AND markets.market = liquidations.market
    AND (params ->> '$.base') IS NOT NULL)
GROUP BY ALL ORDER BY 3 DESC, 1, 2
"""
NEWEST = """
CREATE OR REPLACE TEMP TABLE newest AS
SELECT row_number() OVER () AS row, received_at, market, frame FROM (
  SELECT received_at, market, frame FROM raw_frames WHERE source = $source AND received_at IS NOT NULL
  ORDER BY received_at DESC LIMIT $n)
"""


def lateness(
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[tuple[str, int, float | None, float | None, float | None, datetime]]:
    """Receive time minus the venue's time: (source, records, median, 99th percentile, longest, last receive time).

    In seconds, over the newest frames of each source whose receive times are stored. A venue whose clock is ahead
    gives negative numbers.
    """
    for source, last_at in connection.sql(TIMED).fetchall():  # one a venue
        name, _, transport = source.rpartition("_")
        if name not in venues.names() or transport in ("archive", "tardis"):
            continue
        venue = venues.get(name)
        if all(feed.clock == "received" for feed in venue.feeds):
            continue  # its records have no time of their own
        connection.execute(NEWEST, {"source": source, "n": NEWEST_FRAMES})
        decode.from_frames(connection, venue, "newest")
        ((n_records, *late),) = connection.sql(LATENESS).fetchall()
        yield source, n_records, *late, last_at


def unknown_symbols(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int, float | None]]:
    "Symbols that no pattern and no list of contracts names: (venue, symbol, rows, forced_usd), most rows first."
    found = connection.execute(MARKETS, {"venues": venues.names()}).fetchall()
    return [row for row in found if not assets.parse(row[1], row[0]).is_known]
