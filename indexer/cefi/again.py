"""Exchange rows again from the records as received, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import simulated, venues
from indexer.cefi import decode, files, orders, write

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from indexer.feed import Feed, Venue

FRAMES_AT_ONCE = 500_000


def run(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> int:
    "Decode every row of `raw_frames` again, in place of what it gave before; how many rows of `liquidations` there are."
    sources = connection.sql("SELECT source, count(*) FROM raw_frames GROUP BY source ORDER BY source").fetchall()
    n_rows = 0
    for source, n_frames in sources:
        name, _, transport = source.rpartition("_")
        if name not in venues.names() and transport != orders.TRANSPORT:
            continue
        are_orders = transport == orders.TRANSPORT
        venue = orders.read_as_orders(name) if are_orders else venues.get(name)
        for first in range(0, n_frames, FRAMES_AT_ONCE):
            take(connection, source, first)
            if transport in ("archive", "tardis"):
                feed, columns = layout(venue, transport)
                markets = connection.sql("SELECT DISTINCT market FROM frames ORDER BY ALL").fetchall()
                decode.from_texts(connection, venue, feed, lines(columns), [market for (market,) in markets])
            elif are_orders:
                orders.read(connection, venue)
            else:
                decode.from_frames(connection, venue, "frames")
                if source.endswith(simulated.SOURCE):
                    decode.attribute(connection, source)
            decode.price(connection, venue, write.instruments(connection, venue))
            written = write.write(connection, venue, [])
            n_rows += written.n_new + written.n_known
            narrate(f"{source}: {written}")
    return n_rows


def take(connection: duckdb.DuckDBPyConnection, source: str, first: int) -> None:
    "The temp table `frames`: a part of the records of one source, in a fixed order, the file they came from numbered."
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE frames AS SELECT row_number() OVER () AS row, * FROM ("
        "SELECT received_at, market, connection, frame, dense_rank() OVER (ORDER BY connection) AS file FROM raw_frames"
        " WHERE source = $source ORDER BY received_at, connection, market, frame LIMIT $n OFFSET $first)",
        {"source": source, "first": first, "n": FRAMES_AT_ONCE},
    )


def layout(venue: Venue, transport: str) -> tuple[Feed, tuple[str, ...]]:
    "Feed and columns of the lines of an archive."
    if transport == "tardis":
        return files.tardis_feed(venue), files.TARDIS_COLUMNS
    return venue.archives[0].feed, venue.archives[0].columns


def lines(columns: tuple[str, ...]) -> str:
    "SQL that cuts the stored lines into their columns."
    fields = ", ".join(f"nullif(fields[{number}], '') AS \"{name}\"" for number, name in enumerate(columns, 1))
    return (
        f"(SELECT file, received_at, market AS hint, frame AS raw, {fields}"
        " FROM (SELECT *, string_split(frame, ',') AS fields FROM frames))"
    )
