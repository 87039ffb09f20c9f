"""Context series from files: open interest, funding, klines, fear and greed, any rate."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import store, venues
from indexer.cefi import units, write
from indexer.errors import BadRecord, UserError
from indexer.sources import capture, csv_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import duckdb


@dataclass(frozen=True)
class Table:
    """How a CSV of Binance's public archive becomes rows of a table.

    `dataset` is the file name's word for it (a regular expression). `rows` is SQL over `texts` (the columns as text,
    and market, asset, unit, contract_value, multiplier, is_par of the market) that gives the table's columns and a
    `reason` that is NULL for a good row.
    """

    table: str
    dataset: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    rows: str
    market: str = "hint"


# An instant as epoch milliseconds, or microseconds (spot files from 2025-01-01 on).
INSTANT = """CASE WHEN TRY_CAST({0} AS DOUBLE) BETWEEN 1.2e12 AND 7.2e12 THEN make_timestamp(TRY_CAST({0} AS BIGINT) *
1000)
    WHEN TRY_CAST({0} AS DOUBLE) BETWEEN 1.2e15 AND 7.2e15 THEN make_timestamp(TRY_CAST({0} AS BIGINT)) END"""
TABLES = {
    "open_interest": Table(
        table="open_interest",
        dataset="metrics",
        columns=(
            "create_time",
            "symbol",
            "sum_open_interest",
            "sum_open_interest_value",
            "count_toptrader_long_short_ratio",
            "sum_toptrader_long_short_ratio",
            "count_long_short_ratio",
            "sum_taker_long_short_vol_ratio",
        ),
        key=("venue", "market", "observed_at", "source"),
        market="symbol",
        # USD-M: base units and USDT. COIN-M: contracts and base coin. create_time names no zone: taken as UTC.
        rows="""
SELECT $venue AS venue, market, asset, TRY_CAST(create_time AS TIMESTAMP) AS observed_at,
  CASE unit WHEN 'usd_contracts' THEN TRY_CAST(sum_open_interest_value AS DOUBLE)
    ELSE TRY_CAST(sum_open_interest AS DOUBLE) * multiplier END AS units,
  CASE WHEN unit = 'usd_contracts' THEN TRY_CAST(sum_open_interest AS DOUBLE) * contract_value
    WHEN is_par THEN TRY_CAST(sum_open_interest_value AS DOUBLE) END AS usd,
  1 AS sides,
  CASE WHEN observed_at IS NULL THEN 'not a time: ' || create_time
    WHEN coalesce(units < 0, true) THEN 'not an amount: ' || coalesce(sum_open_interest, 'none') END AS reason""",
    ),
    "funding": Table(
        table="funding",
        dataset="fundingRate",
        columns=("calc_time", "funding_interval_hours", "last_funding_rate"),
        key=("venue", "market", "observed_at", "source"),
        rows=f"""
SELECT $venue AS venue, market, asset, {INSTANT.format("calc_time")} AS observed_at,
  TRY_CAST(last_funding_rate AS DOUBLE) AS rate, TRY_CAST(funding_interval_hours AS INTEGER) * 3600 AS interval_seconds,
  CASE WHEN observed_at IS NULL THEN 'not a time: ' || calc_time
    WHEN coalesce(NOT isfinite(rate), true) THEN 'not a rate: ' || coalesce(last_funding_rate, 'none') END AS reason""",
    ),
    "klines": Table(
        table="prices",
        dataset=r"\d+(?:s|m|h|d|w|mo)",
        columns=(
            "open_time",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "close_time",
            "quote_volume",
            "count",
            "taker_buy_volume",
            "taker_buy_quote_volume",
            "ignore",
        ),
        key=("asset", "priced_at", "kind", "source"),
        # The close is known when the bar ends, not before.
        rows=f"""
SELECT asset, {INSTANT.format("close_time")} AS priced_at, TRY_CAST(close AS DOUBLE) / multiplier AS price_usd,
  'kline' AS kind,
  CASE WHEN priced_at IS NULL THEN 'not a time: ' || close_time
    WHEN coalesce(price_usd <= 0 OR NOT isfinite(price_usd), true) THEN 'not a price: ' || coalesce(close, 'none')
    WHEN NOT is_par THEN 'not quoted in dollars: ' || market END AS reason""",
    ),
}
SERIES_KEY = ("name", "observed_at", "source")
KINDS = ("fear_greed", *TABLES, "rates")


def load(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    venue: str,
    files: Sequence[Path],
    narrate: Callable[[str], None],
    *,
    markets: Sequence[str] = (),
    name: str | None = None,
) -> None:
    "Import `files` of one kind of context; raises BadRecord for a file that is none of it."
    if kind not in KINDS:
        raise UserError(f"no context {kind!r}; known: {', '.join(KINDS)}")
    for path in files:
        if not path.is_file():
            raise BadRecord(str(path), None, "no such file")
    if kind == "fear_greed":
        for path in files:
            load_fear_greed(connection, path, narrate)
        return
    with tempfile.TemporaryDirectory() as folder:
        for member in csv_archive.unpack(files, Path(folder)):
            if kind == "rates":
                load_rates(connection, member, narrate, name)
            else:
                load_table(connection, TABLES[kind], venue, member, narrate=narrate, markets=markets)


def load_table(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    venue: str,
    member: csv_archive.Member,
    *,
    narrate: Callable[[str], None],
    markets: Sequence[str],
) -> None:
    "Import one CSV of Binance's archive."
    has_header = member.columns[0] == table.columns[0]
    if len(member.columns) != len(table.columns) or (has_header and member.columns[:2] != table.columns[:2]):
        expected = ",".join(table.columns)
        raise BadRecord(str(member.archive), 1, f"the columns are {member.first_line[:200]}; expected {expected}")
    market, first, last = csv_archive.stated(member.name, table.dataset)
    if market is None:
        market, first, last = csv_archive.stated(member.archive.name, table.dataset)
    market = market or (markets[0] if len(markets) == 1 else None)
    if market is None and table.market == "hint":
        raise BadRecord(
            str(member.archive), None, "the file name does not say the market; name it SYMBOL-... or pass --market"
        )
    texts = csv_archive.texts([member], table.columns, has_header=has_header)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE lines AS SELECT *, $market AS hint FROM {texts}", {"market": market}
    )
    found = connection.sql(f"SELECT DISTINCT {table.market} FROM lines ORDER BY ALL").fetchall()
    segments = units.segments(venues.get(venue), [(table.dataset, one) for (one,) in found], {})
    connection.register("incoming_segments", segments.to_arrow())
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE segments AS SELECT DISTINCT ON (market) * EXCLUDE (feed, from_at, to_at)"
        " FROM incoming_segments ORDER BY market, from_at DESC"
    )
    connection.unregister("incoming_segments")
    source = f"{venue}_archive:{market}" if table.table == "prices" else f"{venue}_archive"
    line = " || ',' || ".join(f"coalesce(\"{column}\", '')" for column in table.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE observed AS {table.rows}, $source AS source, raw FROM"
        f" (SELECT lines.*, segments.*, {line} AS raw FROM lines"
        f" JOIN segments ON segments.market IS NOT DISTINCT FROM lines.{table.market})",
        {"source": source} | ({"venue": venue} if "$venue" in table.rows else {}),
    )
    span = (first, last, f"{table.table}:{venue}:{market}" if market else f"{table.table}:{venue}")
    finish(connection, table.table, table.key, span=span, source=source, name=member.archive.name, narrate=narrate)


def load_fear_greed(connection: duckdb.DuckDBPyConnection, path: Path, narrate: Callable[[str], None]) -> None:
    "Import a response of alternative.me: newest first, every leaf a string, days at 00:00 UTC in seconds."
    for lines in capture.blocks(path):
        capture.unwrap(connection, lines)
        store_fear_greed(connection, path.name, narrate)


def store_fear_greed(connection: duckdb.DuckDBPyConnection, name: str, narrate: Callable[[str], None]) -> None:
    "Store the days in the temp table `frames`."
    frames = connection.sql(
        "SELECT json_type(frame, '$.data'), frame ->> '$.metadata.error' FROM frames WHERE json_valid(frame)"
    ).fetchall()
    errors = [error for _, error in frames if error]
    if errors:
        raise UserError(f"{name}: the index answered with an error: {errors[0]}; ask again later")
    if not frames or any(kind != "ARRAY" for kind, _ in frames):
        raise BadRecord(name, None, "no answer of alternative.me/fng; save the response as it came")
    connection.execute(FEAR_GREED)
    span = (None, None, "series:fear_greed")
    finish(connection, "series", SERIES_KEY, span=span, source="alternative_me", name=name, narrate=narrate)


FEAR_GREED = """
CREATE OR REPLACE TEMP TABLE observed AS
SELECT 'fear_greed' AS name, CASE WHEN TRY_CAST(day ->> '$.timestamp' AS DOUBLE) BETWEEN 1.2e9 AND 7.2e9
    THEN make_timestamp((day ->> '$.timestamp')::BIGINT * 1000000) END AS observed_at,
  TRY_CAST(day ->> '$.value' AS DOUBLE) AS value, day ->> '$.value_classification' AS label, 'alternative_me' AS source,
  day::VARCHAR AS raw, CASE WHEN observed_at IS NULL THEN 'not a time: ' || coalesce(day ->> '$.timestamp', 'none')
    WHEN coalesce(value NOT BETWEEN 0 AND 100, true) THEN 'not an index of 0 to 100: ' || coalesce(day ->> '$.value',
    'none')
  END AS reason
FROM (SELECT unnest(frame::JSON -> '$.data[*]') AS day FROM frames WHERE json_valid(frame))
"""


def load_rates(
    connection: duckdb.DuckDBPyConnection, member: csv_archive.Member, narrate: Callable[[str], None], name: str | None
) -> None:
    "Import a CSV of (date, value) into `series` as `name`, else as the file; an empty value or a dot is missing."
    columns = member.columns
    has_header = not columns[0][:4].isdigit()
    if len(columns) != 2:  # noqa: PLR2004 - a date and a value
        raise BadRecord(
            str(member.archive), 1, f"the columns are {member.first_line[:200]}; expected a date and a value"
        )
    series = name or Path(member.name).stem.lower()
    texts = csv_archive.texts([member], ("day", "stated"), has_header=has_header)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE lines AS SELECT * FROM {texts}")
    connection.execute(RATES.format(instant=INSTANT.format("day")), {"name": series, "source": member.name})
    span = (None, None, f"series:{series}")
    finish(connection, "series", SERIES_KEY, span=span, source=member.name, name=member.archive.name, narrate=narrate)


RATES = """
CREATE OR REPLACE TEMP TABLE observed AS
SELECT $name AS name, coalesce({instant}, CASE WHEN TRY_CAST(day AS DOUBLE) BETWEEN 1.2e9 AND 7.2e9
    THEN make_timestamp((TRY_CAST(day AS DOUBLE) * 1e6)::BIGINT) END, TRY_CAST(day AS TIMESTAMP)) AS observed_at,
  TRY_CAST(nullif(trim(stated), '.') AS DOUBLE) AS value, $source AS source, day || ',' || coalesce(stated, '') AS raw,
  CASE WHEN observed_at IS NULL THEN 'not a date: ' || coalesce(day, 'none')
    WHEN value IS NULL AND trim(coalesce(stated, '')) NOT IN ('', '.', 'NA', 'null') THEN 'not a number: ' || stated
    WHEN NOT isfinite(value) THEN 'not a number: ' || stated END AS reason
FROM lines
"""


def finish(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    key: Sequence[str],
    *,
    span: tuple[datetime | None, datetime | None, str],
    source: str,
    name: str,
    narrate: Callable[[str], None],
) -> None:
    "Store the temp table `observed` in `table`, its bad rows in `rejected`, and what it covers, in one transaction."
    instant = "priced_at" if "priced_at" in key else "observed_at"
    partition = ", ".join(column for column in key)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sorted AS SELECT * REPLACE (CASE WHEN reason IS NULL AND row_number() OVER"
        f" (PARTITION BY reason IS NULL, {partition} ORDER BY raw) > 1 THEN 'duplicate' ELSE reason END AS reason)"
        " FROM observed"
    )
    csv_archive.refused_lines(connection)
    connection.execute(
        "INSERT INTO sorted BY NAME SELECT reason, raw, $source AS source FROM refused_lines ORDER BY line",
        {"source": source},
    )
    reasons = connection.sql(
        "SELECT split_part(reason, ':', 1) AS why, count(*) FROM sorted WHERE reason <> '' GROUP BY why ORDER BY why"
    ).fetchall()
    good = "FROM sorted WHERE reason IS NULL"
    ((n_rows, first_seen, last_seen),) = connection.sql(
        f"SELECT count(*), min({instant}), max({instant}) {good}"
    ).fetchall()
    if n_rows == 0 and reasons:
        raise BadRecord(name, None, f"no usable line: {', '.join(f'{n:,} {why}' for why, n in reasons)}")
    same = " AND ".join(f"{table}.{column} IS NOT DISTINCT FROM sorted.{column}" for column in key)
    with store.transaction(connection):
        ((n_known,),) = connection.sql(
            f"SELECT count(*) FROM sorted JOIN {table} ON {same} WHERE reason IS NULL"
        ).fetchall()
        write.replace(connection, table, f"SELECT * EXCLUDE (reason, raw) {good}", key)
        refused = "SELECT DISTINCT source, reason, raw FROM sorted WHERE reason IS NOT NULL"
        write.replace(connection, "rejected", refused, ("source", "reason", "raw"))
        from_at, to_at, dataset = span
        proof = "archive_file" if from_at else "unverified"
        first, last = from_at or first_seen, to_at or last_seen
        if first is not None and last is not None:
            n_refused = sum(number for _, number in reasons)
            write.cover(connection, [write.Span(source, dataset, first, last, n_rows, n_refused, proof, name)])
    narrate(f"{name}: {write.Written(n_rows - n_known, n_known, 0, dict(reasons))}")
