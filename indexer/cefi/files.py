"""Files of exchange records into the store: captures, archives of the venues, archives of vendors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from indexer import simulated, venues
from indexer.cefi import decode, listing, write
from indexer.errors import BadRecord
from indexer.feed import ORDER, Feed
from indexer.sources import capture, csv_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import duckdb

    from indexer.feed import Venue

GROUP_BYTES = 256 << 20  # plain CSV read in one go: what bounds the memory of an import
TARDIS_COLUMNS = ("exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount")


class Layout(NamedTuple):
    "How a CSV file is read: its feed, columns, and the market and day its name states."

    feed: Feed
    columns: tuple[str, ...]
    has_header: bool
    market: str | None
    from_at: datetime | None
    to_at: datetime | None


def load(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    files: Sequence[Path],
    narrate: Callable[[str], None],
    markets: Sequence[str] = (),
) -> None:
    "Import `files` of `venue`; raises BadRecord for a file that cannot be what it is given as."
    archives = [path for path in files if csv_archive.is_archive(path)]
    for path in files:
        if not path.is_file():
            raise BadRecord(str(path), None, "a folder; name the files in it" if path.is_dir() else "no such file")
    for path in files:
        if path not in archives:
            load_capture(connection, venue, path, narrate)
    if archives:
        with tempfile.TemporaryDirectory() as folder:
            members = csv_archive.unpack(archives, Path(folder))
            layouts = {member.path: layout(venue, member, markets) for member in members}
            load_archives(connection, venue, layouts, members, narrate)


def load_capture(
    connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path, narrate: Callable[[str], None]
) -> None:
    "Import the frames of one JSONL capture, a block at a time."
    n_known_frames = 0
    last = None
    is_one_block = path.stat().st_size < capture.BLOCK_BYTES
    for lines in capture.blocks(path):
        capture.unwrap(connection, lines)
        check_named_venue(connection, venue, path)
        n_frames = decode.from_frames(connection, venue, "frames")
        source = source_of(connection, venue, path)
        refuse_other_venues(connection, venue, path)
        n_listed = listing.learn(connection, venue)
        n_known_frames += n_frames + n_listed
        if is_one_block and n_known_frames == 0:
            refuse_unknown(connection, venue, path)
        decode.price(connection, venue, write.instruments(connection, venue))
        written = write.write(connection, venue, capture_spans(connection, venue, path, source, last), write.RAW_FRAMES)
        ((last,),) = connection.sql("SELECT max(received_at) FROM frames").fetchall()
        listed = f", {n_listed:,} markets listed" if n_listed else ""
        narrate(f"{path.name}: {n_frames:,} frames of {venue.name}: {written}{listed}")
    if n_known_frames == 0:
        refuse_unknown(connection, venue, path)


def refuse_unknown(connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path) -> None:
    "Raises BadRecord for a capture without any frame of the venue, unless receive times show that it listened."
    ((n_valid, n_timed),) = connection.sql("SELECT count(*), count(received_at) FROM known_frames").fetchall()
    if n_timed == 0:
        feeds = ", ".join(dict.fromkeys(feed.name for feed in venue.feeds))
        what = "no line is JSON" if n_valid == 0 else f"no frame of {venue.name} ({feeds})"
        raise BadRecord(str(path), None, f"{what}; pass the --venue the file was recorded from")


def source_of(connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path) -> str:
    """The source of the frames of a capture; a simulated one is a source of its own, marked in `facts`.

    Raises BadRecord if some of its lines say that they are simulated and others do not.
    """
    ((row, n_simulated, n_frames),) = connection.sql(
        "SELECT min(row) FILTER (simulated), count(*) FILTER (simulated), count(*) FROM frames"
    ).fetchall()
    if not n_simulated:
        return f"{venue.name}_ws"
    if n_simulated < n_frames:
        raise BadRecord(str(path), row, "a simulated frame among others; split the file")
    source = f"{venue.name}{simulated.SOURCE}"
    decode.attribute(connection, source)
    connection.execute(
        "INSERT INTO facts SELECT $name, 'true' WHERE NOT EXISTS (FROM facts WHERE name = $name)",
        {"name": f"simulated:{source}"},
    )
    return source


def check_named_venue(connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path) -> None:
    "Raises BadRecord if a line says that it is of another venue."
    others = connection.sql(
        "SELECT row, venue FROM frames WHERE venue <> $venue ORDER BY row LIMIT 1", params={"venue": venue.name}
    ).fetchall()
    if others:
        row, name = others[0]
        raise BadRecord(str(path), row, f"a record of {name} in a file read as {venue.name}; split the file by venue")


def refuse_other_venues(connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path) -> None:
    "Raises BadRecord if a frame that `venue` cannot have sent has the shape of another venue's liquidations."
    mine = belongs(venue)
    cases = " ".join(
        f"WHEN {belongs(other)} THEN '{other.name}'" for other in venues.all_venues() if other.name != venue.name
    )
    others = connection.sql(
        f"SELECT row, CASE {cases} END AS other FROM known_frames WHERE NOT ({mine}) AND other IS NOT NULL"
        " ORDER BY row LIMIT 1"
    ).fetchall()
    if others:
        row, name = others[0]
        raise BadRecord(str(path), row, f"a frame of {name} in a file read as {venue.name}; split the file by venue")


def belongs(venue: Venue) -> str:
    "SQL over `frame`: is it of a feed of the venue, or its list of contracts."
    predicates = [feed.frame for feed in venue.feeds]
    if venue.instruments:
        predicates.append(venue.instruments.frame)
    return " OR ".join(f"coalesce({predicate}, false)" for predicate in predicates)


def capture_spans(
    connection: duckdb.DuckDBPyConnection, venue: Venue, path: Path, source: str, last: datetime | None
) -> list[write.Span]:
    """What a capture covers: the stretches in which frames arrived without a silence longer than the feed's bound.

    `last` is the receive time at which the block before ended. Any frame proves the connection alive. Without receive
    times only the records themselves are evidence: unverified.
    """
    quiet = min((stream.quiet_seconds for stream in venue.streams), default=60.0)
    live = [feed for feed in venue.feeds if feed.transport == "ws"] or list(venue.feeds)
    stated = {
        "quiet": quiet,
        "feed": live[0].name,
        "venue": venue.name,
        "source": source,
        "name": path.name,
        "last": last,
    }
    return [write.Span._make(row) for row in connection.sql(SPANS, params=stated).fetchall()]


# One interval per island of receive times (or of event times where there are none), for each feed that was seen.
SPANS = """
WITH seen AS (
  SELECT DISTINCT feed, source FROM decoded
  UNION SELECT $feed, $source WHERE NOT EXISTS (FROM decoded)
),
instants AS (
  SELECT feed, source, received_at AS instant, coalesce(connection, '') AS line, 'capture' AS proof
  FROM frames, seen WHERE received_at IS NOT NULL
  UNION ALL
  SELECT feed, source, $last::TIMESTAMP, line, 'capture' FROM seen, (SELECT DISTINCT coalesce(connection, '') AS line
    FROM frames WHERE received_at IS NOT NULL) WHERE $last::TIMESTAMP IS NOT NULL
  UNION ALL
  SELECT feed, source, liquidated_at, '', 'unverified' FROM decoded
  WHERE NOT EXISTS (FROM frames WHERE received_at IS NOT NULL)
),
marked AS (
  SELECT *, coalesce(instant - lag(instant) OVER lines > to_microseconds(($quiet * 1000000)::BIGINT), true) AS is_first
  FROM instants WINDOW lines AS (PARTITION BY feed, source, line ORDER BY instant)
),
islands AS (
  SELECT feed, source, line, proof, min(instant) AS from_at, max(instant) + INTERVAL 1 MILLISECOND AS to_at
  FROM (SELECT *, sum(is_first::INTEGER) OVER (PARTITION BY feed, source, line ORDER BY instant
    ROWS UNBOUNDED PRECEDING) AS island FROM marked)
  GROUP BY feed, source, line, proof, island
)
SELECT source, $venue || ':' || feed, from_at, to_at,
  (SELECT count(*) FROM decoded WHERE decoded.feed = islands.feed AND decoded.source = islands.source
    AND liquidated_at >= from_at AND liquidated_at < to_at),
  (SELECT count(*) FROM refused WHERE refused.source = islands.source), proof, $name
FROM islands ORDER BY ALL
"""


def load_archives(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    layouts: dict[Path, Layout],
    members: Sequence[csv_archive.Member],
    narrate: Callable[[str], None],
) -> None:
    "Import CSV files, those of one layout together."
    for group in groups(members, layouts):
        shared = layouts[group[0].path]
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE files (path VARCHAR, file INTEGER, name VARCHAR, market VARCHAR,"
            " from_at TIMESTAMP, to_at TIMESTAMP)"
        )
        connection.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
            [
                (str(one.path), number, one.name, of.market, of.from_at, of.to_at)
                for number, one in enumerate(group)
                for of in (layouts[one.path],)
            ],
        )
        is_vendor = shared.feed.transport == "tardis"
        texts = csv_archive.texts(group, shared.columns, has_header=shared.has_header)
        if is_vendor:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE vendor AS SELECT * FROM {texts}")
            check_exchange(connection, venue)
            texts = "vendor"
        line = "concat(" + ", ',', ".join(f'"{name}"' for name in shared.columns) + ")"  # NULL is empty here
        received = "make_timestamp(TRY_CAST(local_timestamp AS BIGINT))" if is_vendor else "NULL::TIMESTAMP"
        source = (
            f"(SELECT texts.*, file, {received} AS received_at, market AS hint, {line} AS raw"
            f" FROM {texts} texts JOIN files ON texts.filename = files.path)"
        )
        decode.from_texts(connection, venue, shared.feed, source, markets_of(connection, is_vendor=is_vendor))
        decode.price(connection, venue, write.instruments(connection, venue))
        refuse_lines(connection, venue, shared.feed)
        written = write.write(connection, venue, archive_spans(connection, venue, shared.feed), write.RAW_LINES)
        name = group[0].archive.name if len(group) == 1 else f"{len(group)} files, {group[0].archive.name} to {group[-1].archive.name}"  # fmt: skip  # noqa: E501
        narrate(f"{name}: {written}")


def markets_of(connection: duckdb.DuckDBPyConnection, *, is_vendor: bool) -> list[str | None]:
    "The markets of the files: in a column of the vendor's, in the names of the venues' own."
    column = "symbol FROM vendor" if is_vendor else "market FROM files"
    return [market for (market,) in connection.sql(f"SELECT DISTINCT {column} ORDER BY ALL").fetchall()]


def layout(venue: Venue, member: csv_archive.Member, markets: Sequence[str]) -> Layout:
    "How `member` is read, by its header; raises BadRecord if it is no layout of the venue."
    if member.columns == TARDIS_COLUMNS:
        if not venue.tardis:
            raise BadRecord(
                str(member.archive), 1, f"a vendor file, but the vendor has no {venue.name}; pass its --venue"
            )
        return Layout(tardis_feed(venue), TARDIS_COLUMNS, True, *stated(member, "liquidations"))  # noqa: FBT003
    for archive in venue.archives:
        has_header = member.columns == archive.columns
        if not has_header and not (len(member.columns) == len(archive.columns) and member.columns[0].isdigit()):
            continue
        market, *window = stated(member, archive.feed.name)
        market = market or (markets[0] if len(markets) == 1 else None)
        if market is None:
            reason = f"the file name does not say the market; name it SYMBOL-{archive.feed.name}-DATE or pass --market"
            raise BadRecord(str(member.archive), None, reason)
        return Layout(archive.feed, archive.columns, has_header, market, *window)
    known = [archive.columns for archive in venue.archives] + ([TARDIS_COLUMNS] if venue.tardis else [])
    expected = "; or ".join(",".join(columns) for columns in known) or "no CSV of this venue is known"
    raise BadRecord(str(member.archive), 1, f"the columns are {member.first_line[:200]}; expected {expected}")


def stated(member: csv_archive.Member, dataset: str) -> tuple[str | None, datetime | None, datetime | None]:
    "Market and window that the name inside the archive states, else the archive's own name."
    inside = csv_archive.stated(member.name, dataset)
    return inside if inside[0] else csv_archive.stated(member.archive.name, dataset)


def tardis_feed(venue: Venue) -> Feed:
    "A vendor's liquidations: every venue in one layout, side of the order, amounts in the venue's own unit."
    return Feed(
        name="tardis",
        frame="false",
        fields={
            "market": "symbol",
            "raw_side": "side",
            "raw_size": "amount",
            "raw_price": "price",
            "event_time": "timestamp",
            "native_id": "id",
        },
        native_id="nullif(native_id, '')",
        side=ORDER,
        clock="us",
        price=venue.tardis_price,
        transport="tardis",
    )


def groups(members: Sequence[csv_archive.Member], layouts: dict[Path, Layout]) -> Iterator[list[csv_archive.Member]]:
    "The files of one layout, in groups of at most GROUP_BYTES."
    kinds: dict[tuple[str, bool], list[csv_archive.Member]] = {}
    for one in members:
        kinds.setdefault((layouts[one.path].feed.name, layouts[one.path].has_header), []).append(one)
    for same in kinds.values():
        group: list[csv_archive.Member] = []
        n_bytes = 0
        for one in same:
            size = one.path.stat().st_size
            if group and n_bytes + size > GROUP_BYTES:
                yield group
                group, n_bytes = [], 0
            group.append(one)
            n_bytes += size
        yield group


def check_exchange(connection: duckdb.DuckDBPyConnection, venue: Venue) -> None:
    "Raises BadRecord if the vendor's `exchange` column names another venue."
    others = connection.sql(
        "SELECT name, exchange FROM vendor JOIN files ON vendor.filename = files.path"
        " WHERE NOT list_contains($own, exchange) LIMIT 1",
        params={"own": list(venue.tardis)},
    ).fetchall()
    if others:
        name, exchange = others[0]
        raise BadRecord(name, None, f"records of {exchange} in a file read as {venue.name}; split the file by venue")


def refuse_lines(connection: duckdb.DuckDBPyConnection, venue: Venue, feed: Feed) -> None:
    "Put the lines that DuckDB could not read among the refused."
    csv_archive.refused_lines(connection)
    connection.execute(
        "INSERT INTO refused SELECT line, coalesce(file, 0), $source, reason, raw"
        " FROM refused_lines LEFT JOIN files ON refused_lines.path = files.path ORDER BY ALL",
        {"source": f"{venue.name}_{feed.transport}"},
    )


def archive_spans(connection: duckdb.DuckDBPyConnection, venue: Venue, feed: Feed) -> list[write.Span]:
    "The day or month that each file's name states, else from its first record to its last, unverified."
    rows = connection.sql(ARCHIVE_SPANS).fetchall()
    source = f"{venue.name}_{feed.transport}"
    return [
        write.Span(source, f"{venue.name}:{feed.name}" + (f":{market}" if market else ""), *rest)
        for market, *rest in rows
    ]


ARCHIVE_SPANS = """
SELECT market, coalesce(from_at, min_at), coalesce(to_at, max_at + INTERVAL 1 MILLISECOND), coalesce(n_rows, 0),
  coalesce(n_rejected, 0), CASE WHEN from_at IS NULL THEN 'unverified' ELSE 'archive_file' END, name
FROM files
LEFT JOIN (SELECT file, count(*) AS n_rows, min(liquidated_at) AS min_at, max(liquidated_at) AS max_at
  FROM decoded GROUP BY file) USING (file)
LEFT JOIN (SELECT file, count(*) AS n_rejected FROM refused GROUP BY file) USING (file)
WHERE coalesce(from_at, min_at) IS NOT NULL ORDER BY file
"""
