"""Exchange records to rows of `liquidations`, whole columns at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from indexer.cefi import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from indexer.feed import Feed, Venue

# A host clock behind the newest fact in this code is wrong, so the future starts no earlier than here.
NEWEST_FACT = datetime(2026, 11, 1)  # noqa: DTZ001 - instants are naive UTC
AHEAD = timedelta(minutes=1)  # clocks of venues and recorders differ by seconds
ROW_COLUMNS = (
    "event_id, venue, venue_kind, sector, market, kind, is_headline, liquidated_at, side, asset, size, price,"
    " forced_usd, price_source, price_at, completeness, source"
)
CLOCKS = {
    "ms": "make_timestamp(TRY_CAST(event_time AS BIGINT) * 1000)",
    "us": "date_trunc('milliseconds', make_timestamp(TRY_CAST(event_time AS BIGINT)))",
    "s": "make_timestamp((TRY_CAST(event_time AS DOUBLE) * 1000)::BIGINT * 1000)",
    "iso": "date_trunc('milliseconds', TRY_CAST(event_time AS TIMESTAMP))",
    "received": "date_trunc('milliseconds', received_at)",
}
# Numbers outside these are in another unit than the clock's; make_timestamp would fail on the largest.
MEANINGFUL = ("market", "raw_side", "raw_size", "raw_price", "event_time", "native_id")
REPLACEMENT = 0xFFFD  # the character that stands for bytes that were not UTF-8
EMPTY_REFUSED = (
    "CREATE OR REPLACE TEMP TABLE refused (row BIGINT, file INTEGER, source VARCHAR, reason VARCHAR, raw VARCHAR)"
)
BOUNDS = {"ms": (1.2e12, 7.2e12), "us": (1.2e15, 7.2e15), "s": (1.2e9, 7.2e9)}


class Decoded(NamedTuple):
    "Rows of `liquidations` (with the `row` of their frame) and of `rejected`, and how many frames were of the venue."

    rows: pl.DataFrame
    rejected: pl.DataFrame
    n_frames: int


def frames(
    venue: Venue, received: pl.DataFrame, instruments: dict[str, list[units.Instrument]] | None = None
) -> Decoded:
    """What the frames of a venue say.

    `received` has one row a frame: row (BIGINT, its number), received_at (naive UTC or NULL), market (of the request,
    or NULL) and frame (the text). Pure: the same frames give the same rows.
    """
    with duckdb.connect() as connection:
        connection.register("incoming_frames", received.to_arrow())
        connection.execute(
            "CREATE TEMP TABLE frames AS SELECT row, received_at::TIMESTAMP AS received_at, market, frame"
            " FROM incoming_frames"
        )
        n_frames = from_frames(connection, venue, "frames")
        price(connection, venue, instruments or {})
        rows = connection.sql(f"SELECT row, {ROW_COLUMNS} FROM decoded ORDER BY row, side").pl()
        rejected = connection.sql("SELECT source, reason, raw FROM refused ORDER BY row").pl()
    return Decoded(rows, rejected, n_frames)


def from_frames(connection: duckdb.DuckDBPyConnection, venue: Venue, table: str) -> int:
    """Fill the temp tables `records` (one row a record and side) and `refused`; how many frames were known.

    The table has the columns of `frames`. A frame that is not JSON, or has lost bytes, is refused; a frame of no feed is
    left alone.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE known_frames AS SELECT row, received_at, market AS hint, frame::JSON AS frame"
        f" FROM {table} WHERE json_valid(frame) AND NOT contains(frame, chr({REPLACEMENT}))"
    )
    connection.execute(EMPTY_REFUSED)
    connection.execute(
        f"INSERT INTO refused SELECT row, 0, '{venue.name}_ws',"
        f" if(contains(frame, chr({REPLACEMENT})), 'not UTF-8', 'not JSON'), frame"
        f" FROM {table} WHERE NOT json_valid(frame) OR contains(frame, chr({REPLACEMENT}))"
    )
    union = " UNION ALL BY NAME ".join(f"({select_records(venue, feed)})" for feed in venue.feeds)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE json_records AS {union}")
    connection.execute("CREATE OR REPLACE TEMP VIEW records AS FROM json_records")
    connection.execute("CREATE OR REPLACE TEMP TABLE keys AS SELECT DISTINCT feed, market FROM records")
    belongs = " OR ".join(f"coalesce({feed.frame}, false)" for feed in venue.feeds)
    ((found,),) = connection.sql(f"SELECT count(*) FROM known_frames WHERE {belongs}").fetchall()
    return int(found)


def attribute(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    "Say of everything in `records` (from frames) and `refused` that it comes from `source`."
    connection.execute("UPDATE json_records SET source = $source", {"source": source})
    connection.execute("UPDATE refused SET source = $source", {"source": source})


def select_records(venue: Venue, feed: Feed) -> str:
    "SQL that gives the records of one feed in `known_frames`, one row a record and side."
    parents = unnested("frame", feed.parents) if feed.parents else "frame"
    columns = {name: coalesced(paths) for name, paths in feed.fields.items()}
    texts = f"""
      SELECT row, 0 AS file, received_at, hint, record::VARCHAR AS raw, {named(columns)} FROM (
        SELECT *, {unnested("parent", feed.records)} AS record FROM (
          SELECT row, received_at, hint, frame, {parents} AS parent FROM known_frames WHERE {feed.frame}))
      WHERE json_type(record) = '{feed.record_type}'"""
    return facts(venue, feed, texts)


def named(columns: dict[str, str]) -> str:
    "A SELECT list of the feed's text columns; those with a meaning are there even where the feed has none."
    missing = {name: "NULL::VARCHAR" for name in MEANINGFUL if name not in columns}
    return ", ".join(f'{expression} AS "{name}"' for name, expression in (columns | missing).items())


def from_texts(
    connection: duckdb.DuckDBPyConnection, venue: Venue, feed: Feed, table: str, markets: Sequence[str | None]
) -> None:
    """Make the temp view `records` and an empty `refused` for a relation of text columns: CSV files of `markets`.

    The relation has file, received_at, hint, raw and the columns that the feed's `fields` name.
    """
    columns = {name: f'"{column}"' for name, column in feed.fields.items()}
    texts = f"SELECT 0::BIGINT AS row, file, received_at, hint, raw, {named(columns)} FROM {table}"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW records AS {facts(venue, feed, texts)}")
    connection.execute("CREATE OR REPLACE TEMP TABLE keys (feed VARCHAR, market VARCHAR)")
    connection.executemany("INSERT INTO keys VALUES (?, ?)", [(feed.name, market) for market in markets])
    connection.execute(EMPTY_REFUSED)


def facts(venue: Venue, feed: Feed, texts: str) -> str:
    """SQL that turns the text columns of `texts` into the columns of `records`.

    `texts` has row, file, received_at, hint, raw and the feed's fields. One row a record and side.
    """
    low, high = BOUNDS.get(feed.clock, (None, None))
    clock = CLOCKS[feed.clock]
    if low is not None:
        clock = f"CASE WHEN TRY_CAST(event_time AS DOUBLE) BETWEEN {low} AND {high} THEN {clock} END"
    side = f"unnest(coalesce(({feed.side}), [NULL::VARCHAR]))" if feed.is_side_list else f"({feed.side})"
    return f"""
    SELECT row, file, '{feed.name}' AS feed, '{venue.name}_{feed.transport}' AS source, '{feed.price}' AS price_kind,
      {feed.is_signed} AS is_signed, received_at, raw, market, raw_size, raw_price, event_time, event_at, kind, side,
      quantity, stated_usd, raw_side_text AS raw_side, {feed.native_id} || ({feed.id_suffix}) AS own_id
    FROM (
      SELECT *, {side} AS side
      FROM (SELECT * REPLACE (coalesce(market, hint) AS market), {clock} AS event_at, {feed.kind} AS kind,
        {feed.size} AS quantity, ({feed.stated_usd})::VARCHAR AS stated_usd, {feed.raw_side} AS raw_side_text
        FROM ({texts}))
      WHERE {feed.where})"""


def price(connection: duckdb.DuckDBPyConnection, venue: Venue, instruments: dict[str, list[units.Instrument]]) -> None:
    """Fill the temp table `decoded` (rows of `liquidations`) from `records`; what cannot be one joins `refused`.

    Records of one file with one event_id are one order reported twice: the first stays, the others are refused.
    `records` is read once: it may be a view over a file.
    """
    keys = connection.sql("SELECT feed, market FROM keys ORDER BY ALL").fetchall()
    connection.register("incoming_segments", units.segments(venue, keys, instruments).to_arrow())
    connection.execute("CREATE OR REPLACE TEMP TABLE segments AS SELECT * FROM incoming_segments")
    connection.unregister("incoming_segments")
    future = max(datetime.now(UTC).replace(tzinfo=None), NEWEST_FACT) + timedelta(days=1)
    connection.execute(DECODED, {"future": future, "ahead": AHEAD, "venue": venue.name, "venue_kind": venue.venue_kind})
    ((n_refused,),) = connection.sql("SELECT count(reason) FROM decoded").fetchall()
    if n_refused:
        connection.execute("INSERT INTO refused SELECT row, file, source, reason, raw FROM decoded WHERE reason <> ''")
        connection.execute("DELETE FROM decoded WHERE reason <> ''")
    ((n_repeated,),) = connection.sql(REPEATED).fetchall()
    if n_repeated:
        connection.execute(DUPLICATES)
        connection.execute(DUPLICATES_REFUSED)
        connection.execute("DELETE FROM decoded WHERE nth > 1 OR nth_of_all > 1")


# Base units and dollars of a size in each unit; a missing value or price makes NULL, never a guess.
DECODED = """
CREATE OR REPLACE TEMP TABLE decoded AS
SELECT row, file, feed, received_at, raw, reason, 1 AS nth, 1 AS nth_of_all,
  CASE WHEN own_id IS NULL THEN concat($venue, ':', market, ':', epoch_ms(event_at), ':', raw_side, ':', raw_size, ':',
    raw_price) ELSE concat($venue, ':', own_id) END AS event_id,
  $venue AS venue, $venue_kind AS venue_kind, 'perp' AS sector, market, kind, kind = 'market' AS is_headline,
  event_at AS liquidated_at, side, asset,
  CASE unit WHEN 'base' THEN number WHEN 'contracts' THEN number * contract_value
    WHEN 'usd_contracts' THEN number * contract_value / venue_price
    WHEN 'usd' THEN number / venue_price WHEN 'quote' THEN number / venue_price END * multiplier AS size,
  venue_price / multiplier AS price,
  CASE WHEN stated IS NOT NULL THEN CASE WHEN is_par THEN stated END
    WHEN unit = 'usd' THEN number
    WHEN unit = 'usd_contracts' THEN number * contract_value
    WHEN NOT is_par THEN NULL
    WHEN unit = 'quote' THEN number
    WHEN unit = 'base' THEN number * venue_price
    WHEN unit = 'contracts' THEN number * contract_value * venue_price END AS forced_usd,
  CASE WHEN forced_usd IS NULL THEN NULL WHEN stated IS NOT NULL OR unit = 'quote' THEN 'turnover'
    WHEN unit IN ('usd', 'usd_contracts') THEN 'contract_value' ELSE price_kind END AS price_source,
  CASE WHEN forced_usd IS NOT NULL THEN event_at END AS price_at,
  completeness, source
FROM (
  SELECT numbers.*, segments.* EXCLUDE (feed, market, from_at, to_at), CASE
      WHEN event_at IS NULL AND event_time IS NULL THEN 'neither a time nor a receive time'
      WHEN event_at IS NULL THEN 'not a time in the unit of the feed: ' || event_time
      WHEN event_at > coalesce(received_at + $ahead::INTERVAL, $future::TIMESTAMP) THEN
        'clock in the future: ' || event_at::VARCHAR
      WHEN side IS NULL THEN 'not a side the venue documents: ' || coalesce(nullif(raw_side, ''), raw_size, 'none')
      WHEN raw_number IS NULL OR NOT isfinite(raw_number) OR raw_number = 0 OR (raw_number < 0 AND NOT is_signed)
        OR (quantity IS NOT NULL AND coalesce(number <= 0 OR NOT isfinite(number), true))
        THEN 'not a size: ' || coalesce(raw_size, 'none')
      WHEN raw_price IS NOT NULL AND coalesce(venue_price <= 0 OR NOT isfinite(venue_price), true)
        THEN 'not a price: ' || raw_price
    END AS reason
  FROM (
    SELECT * REPLACE (nullif(raw_price, '') AS raw_price), TRY_CAST(raw_size AS DOUBLE) AS raw_number,
      CASE WHEN is_signed THEN abs(TRY_CAST(quantity AS DOUBLE)) ELSE TRY_CAST(quantity AS DOUBLE) END AS number,
      TRY_CAST(nullif(raw_price, '') AS DOUBLE) AS venue_price, TRY_CAST(stated_usd AS DOUBLE) AS stated
    FROM records) numbers
  LEFT JOIN segments ON numbers.feed = segments.feed AND coalesce(numbers.market, '') = coalesce(segments.market, '')
    AND event_at >= segments.from_at AND event_at < segments.to_at)
"""

REPEATED = "SELECT count(*) FROM (SELECT 1 FROM decoded GROUP BY event_id HAVING count(*) > 1)"
# Within one file a repeated record is a duplicate; in another file it is simply known.
DUPLICATES = """
CREATE OR REPLACE TEMP TABLE decoded AS
SELECT * REPLACE (row_number() OVER (PARTITION BY event_id ORDER BY file, nth) AS nth_of_all)
FROM (SELECT * REPLACE (row_number() OVER (PARTITION BY file, event_id ORDER BY row, raw) AS nth) FROM decoded)
"""
# Lines of a CSV have no number: there the repetition's own number tells equal records apart.
DUPLICATES_REFUSED = (
    "INSERT INTO refused SELECT if(row = 0, nth, row), file, source, 'duplicate', raw FROM decoded WHERE nth > 1"
)


def unnested(column: str, paths: tuple[str, ...]) -> str:
    "SQL that unnests the JSON values at all `paths` of `column`, one row each."
    lists = [
        f"({column} -> '{path}')" if "*" in path else f"[{column}]" if path == "$" else f"[{column} -> '{path}']"
        for path in paths
    ]
    return f"unnest({lists[0]})" if len(lists) == 1 else f"unnest(list_concat({', '.join(lists)}))"


def coalesced(paths: str | tuple[str, ...]) -> str:
    "SQL for the first text among `paths` of a record, its parent or its frame."
    found = [text_at(path) for path in ((paths,) if isinstance(paths, str) else paths)]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def text_at(path: str) -> str:
    "SQL for the text at one path: `s`, `[5]`, `parent.instId`, `frame.arg.instId`."
    origin, _, rest = path.partition(".")
    if origin in ("parent", "frame") and rest:
        return f"({origin} ->> '$.{rest}')"
    return f"(record ->> '${path}')" if path.startswith("[") else f"(record ->> '$.{path}')"
