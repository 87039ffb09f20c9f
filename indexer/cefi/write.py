"""One transaction: decoded rows, what was put aside, the records as received, and what they cover."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from indexer import store
from indexer.cefi.decode import ROW_COLUMNS
from indexer.cefi.units import Instrument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from indexer.feed import Venue

# The same order from a vendor's file and from the venue has two ids where the vendor keeps another price: the venue's
# stays.
SAME_ORDER = """liquidations.venue = $venue AND liquidations.market = decoded.market
  AND liquidations.liquidated_at = decoded.liquidated_at AND liquidations.side = decoded.side
  AND coalesce(abs(liquidations.size - decoded.size) <= 1e-6 * decoded.size, liquidations.size IS NULL AND decoded.size IS NULL)"""  # fmt: skip  # noqa: E501

# Whose record of an order stays: the venue's own before a vendor's archive before a provider's list.
VENDOR_RANK = "CASE split_part({}.source, '_', -1) WHEN 'coinglass' THEN 2 WHEN 'tardis' THEN 1 ELSE 0 END"

# Frames that gave a record or were refused; heartbeats and ordinary trades only prove the connection alive.
RAW_FRAMES = """
INSERT INTO raw_frames BY NAME
SELECT DISTINCT source, received_at, market, connection, frame
FROM frames JOIN (
  SELECT row, any_value(source) AS source FROM (
    SELECT row, source FROM records UNION ALL SELECT row, source FROM refused) GROUP BY row) USING (row)
"""
# Lines of an archive: those of the same files are replaced. A repeated line is stored once.
RAW_LINES = """
INSERT INTO raw_frames BY NAME
SELECT decoded.source, received_at, decoded.market, files.name AS connection, raw AS frame
FROM decoded JOIN files USING (file)
UNION ALL BY NAME
SELECT DISTINCT source, files.market, files.name AS connection, raw AS frame
FROM refused JOIN files USING (file) WHERE reason <> 'duplicate'
"""
STALE = {
    RAW_FRAMES: """DELETE FROM raw_frames WHERE EXISTS (FROM frames WHERE raw_frames.frame = frames.frame
      AND raw_frames.received_at IS NOT DISTINCT FROM frames.received_at
      AND raw_frames.market IS NOT DISTINCT FROM frames.market)
      AND source IN (SELECT source FROM records UNION ALL SELECT source FROM refused)""",
    RAW_LINES: """DELETE FROM raw_frames WHERE connection IN (SELECT name FROM files)
      AND source IN (SELECT source FROM decoded)""",
}


# The line of the file, or the number of the repetition, keeps equal records countable.
REFUSED = "SELECT DISTINCT source, nullif(row, 0) AS block_number, reason, raw FROM refused"
# Rows of the store that are decoded again. The bounds let DuckDB skip the rest; only a receive time may differ by a little.
KNOWN = """venue = $venue AND liquidated_at BETWEEN $first::TIMESTAMP - INTERVAL 1 DAY AND $last::TIMESTAMP + INTERVAL 1 DAY
  AND event_id IN (SELECT event_id FROM decoded)"""


class Span(NamedTuple):
    "A stretch of time in which a dataset is complete as far as its feed goes, and by what proof."

    source: str
    dataset: str
    from_at: datetime
    to_at: datetime
    n_rows: int
    n_rejected: int
    proof: str
    endpoint: str


class Written(NamedTuple):
    "How many rows are new and how many were known, how many have no USD value, and why others were put aside."

    n_new: int
    n_known: int
    n_unpriced: int
    rejected: dict[str, int]

    def __str__(self) -> str:
        "In one line."
        n_rejected = sum(self.rejected.values())
        why = ", ".join(f"{number:,} {reason}" for reason, number in self.rejected.items())
        parts = [f"{self.n_new:,} new"]
        parts += [f"{self.n_known:,} known"] if self.n_known else []
        parts += [f"{self.n_unpriced:,} without a USD value"] if self.n_unpriced else []
        parts += [f"{n_rejected:,} rejected ({why})"] if n_rejected else []
        return ", ".join(parts)


def write(
    connection: duckdb.DuckDBPyConnection, venue: Venue, spans: Sequence[Span], raw_frames: str | None = None
) -> Written:
    """Store the temp tables `decoded` and `refused` with `spans` in one transaction.

    `raw_frames` is RAW_FRAMES (after frames), RAW_LINES (after archives) or None (they are stored). Everything replaces
    what has the same key, so that twice is once.
    """
    ((n_unpriced,),) = connection.sql("SELECT count(*) FROM decoded WHERE forced_usd IS NULL").fetchall()
    reasons = connection.sql(
        "SELECT CASE WHEN contains(reason, ': ') THEN split_part(reason, ': ', 1) ELSE reason END AS why, count(*)"
        " FROM refused GROUP BY why ORDER BY count(*) DESC, why"
    ).fetchall()
    with store.transaction(connection):
        drop_vendor_copies(connection, venue)
        ((n_rows,),) = connection.sql("SELECT count(*) FROM decoded").fetchall()
        ((first, last),) = connection.sql("SELECT min(liquidated_at), max(liquidated_at) FROM decoded").fetchall()
        near = {"venue": venue.name, "first": first, "last": last}
        ((n_known,),) = connection.sql(f"SELECT count(*) FROM liquidations WHERE {KNOWN}", params=near).fetchall()
        if n_known:
            connection.execute(f"DELETE FROM liquidations WHERE {KNOWN}", near)
        connection.execute(f"INSERT INTO liquidations BY NAME SELECT {ROW_COLUMNS} FROM decoded")
        replace(connection, "rejected", REFUSED, ("source", "block_number", "reason", "raw"))
        if raw_frames:
            connection.execute(STALE[raw_frames])
            connection.execute(raw_frames)
        cover(connection, spans)
    return Written(n_rows - n_known, n_known, n_unpriced, dict(reasons))


def drop_vendor_copies(connection: duckdb.DuckDBPyConnection, venue: Venue) -> None:
    "Take out of `decoded`, or out of the store, what a vendor's file repeats of an order the venue itself reported."
    decoded, stored = VENDOR_RANK.format("decoded"), VENDOR_RANK.format("liquidations")
    connection.execute(
        f"DELETE FROM decoded WHERE {decoded} > 0 AND EXISTS (FROM liquidations WHERE {stored} < {decoded} AND {SAME_ORDER})",
        {"venue": venue.name},
    )
    connection.execute(
        f"DELETE FROM liquidations WHERE {stored} > 0 AND EXISTS (FROM decoded WHERE {decoded} < {stored} AND {SAME_ORDER})",
        {"venue": venue.name},
    )


def replace(connection: duckdb.DuckDBPyConnection, table: str, rows: str, key: Sequence[str]) -> None:
    "Put the rows of a SELECT in place of those of `table` with the same key (NULLs count as equal)."
    connection.execute(f"CREATE OR REPLACE TEMP TABLE replacing AS {rows}")
    ((n_rows,),) = connection.sql("SELECT count(*) FROM replacing").fetchall()
    if n_rows:
        same = " AND ".join(f"{table}.{name} IS NOT DISTINCT FROM replacing.{name}" for name in key)
        connection.execute(f"DELETE FROM {table} WHERE EXISTS (FROM replacing WHERE {same})")
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM replacing")
    connection.execute("DROP TABLE replacing")


def cover(connection: duckdb.DuckDBPyConnection, spans: Sequence[Span]) -> None:
    "Mark `spans` as covered, each in place of what begins at the same instant."
    now = datetime.now(UTC).replace(tzinfo=None)
    for span in spans:
        connection.execute(
            "DELETE FROM coverage WHERE source = ? AND dataset = ? AND chain IS NULL AND from_at = ?",
            [span.source, span.dataset, span.from_at],
        )
        connection.execute(
            "INSERT INTO coverage BY NAME SELECT ? AS source, ? AS dataset, ? AS from_at, ? AS to_at, ? AS n_rows,"
            " ? AS n_rejected, ? AS proof, ? AS endpoint, 'final' AS finality, ? AS indexed_at",
            [*span, now],
        )


def instruments(connection: duckdb.DuckDBPyConnection, venue: Venue) -> dict[str, list[Instrument]]:
    "What is stored of the venue's list of contracts, by market."
    listed: dict[str, list[Instrument]] = {}
    rows = connection.sql(
        "SELECT market, params, from_at, to_at FROM markets WHERE venue = $venue AND chain IS NULL"
        " ORDER BY market, from_at NULLS FIRST",
        params={"venue": venue.name},
    ).fetchall()
    for market, params, from_at, to_at in rows:  # one a contract, not one a record
        stated = json.loads(params)
        one = Instrument(stated.get("unit"), stated.get("value"), stated.get("base"), from_at, to_at)
        listed.setdefault(market, []).append(one)
    return listed
