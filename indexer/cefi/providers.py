"""Buckets of data providers into `cefi_totals`: Coinalyze, CoinGlass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from indexer import assets, store, venues
from indexer.cefi import orders, units, write
from indexer.errors import BadRecord, UserError
from indexer.sources import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import duckdb

# Coinalyze names an exchange by the letter after the dot (its endpoint /v1/exchanges).
COINALYZE_CODES = {
    "A": "binance",
    "6": "bybit",
    "3": "okx",
    "4": "htx",
    "0": "bitmex",
    "2": "deribit",
    "F": "bitfinex",
    "K": "kraken_futures",
    "Y": "gate",
    "8": "dydx",
    "H": "hyperliquid",
    "W": "woo_x",
}


CLASSES: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "venue": pl.String(),
    "asset": pl.String(),
    "from_at": pl.Datetime("us"),
    "to_at": pl.Datetime("us"),
    "completeness": pl.String(),
}


@dataclass(frozen=True)
class Provider:
    """How a provider's JSON is read: `records` is SQL that gives symbol, bucket, long_usd, short_usd as text.

    It reads `known_frames` (row, hint, frame). `to_ms` scales the bucket's number to milliseconds.
    """

    name: str
    frame: str
    records: str
    to_ms: int


PROVIDERS = {
    "coinalyze": Provider(
        name="coinalyze",
        frame="json_type(frame) = 'ARRAY' AND (json_array_length(frame) = 0"
        " OR (frame ->> '$[0].symbol') IS NOT NULL AND json_type(frame, '$[0].history') = 'ARRAY')",
        records="""
SELECT row, series ->> '$.symbol' AS symbol, record ->> '$.t' AS bucket, record ->> '$.l' AS long_usd,
  record ->> '$.s' AS short_usd, record::VARCHAR AS raw
FROM (SELECT row, series, unnest(series -> '$.history[*]') AS record
  FROM (SELECT row, unnest(frame -> '$[*]') AS series FROM known_frames WHERE is_known))""",
        to_ms=1000,
    ),
    "coinglass": Provider(
        name="coinglass",
        frame="json_type(frame, '$.data') = 'ARRAY' AND (json_array_length(frame, '$.data') = 0"
        " OR (frame ->> '$.data[0].long_liquidation_usd') IS NOT NULL"
        " OR (frame ->> '$.data[0].aggregated_long_liquidation_usd') IS NOT NULL)",
        records="""
SELECT row, CASE WHEN record ->> '$.aggregated_long_liquidation_usd' IS NULL THEN hint
    ELSE 'all:' || split_part(hint, ':', -1) END AS symbol,
  record ->> '$.time' AS bucket,
  coalesce(record ->> '$.long_liquidation_usd', record ->> '$.aggregated_long_liquidation_usd') AS long_usd,
  coalesce(record ->> '$.short_liquidation_usd', record ->> '$.aggregated_short_liquidation_usd') AS short_usd,
  record::VARCHAR AS raw
FROM (SELECT row, hint, unnest(frame -> '$.data[*]') AS record FROM known_frames WHERE is_known)""",
        to_ms=1,
    ),
}


def load(
    connection: duckdb.DuckDBPyConnection,
    provider: Provider,
    files: Sequence[Path],
    narrate: Callable[[str], None],
    markets: Sequence[str] = (),
) -> None:
    """Import a provider's JSON files: buckets, or lists of orders; raises BadRecord for one that is none of its.

    `markets` names what a CoinGlass file leaves out, its own request: Binance:BTCUSDT, or BTC for an aggregate.
    """
    for path in files:
        if not path.is_file():
            raise BadRecord(str(path), None, "no such file")
        for lines in capture.blocks(path):
            capture.unwrap(connection, lines)
            if provider.name == orders.TRANSPORT and orders.are_listed(connection):
                narrate(f"{path.name}: {orders.store_frames(connection, path.name)}")
            else:
                narrate(f"{path.name}: {store_frames(connection, provider, path.name, markets)}")


def store_frames(
    connection: duckdb.DuckDBPyConnection,
    provider: Provider,
    name: str,
    markets: Sequence[str] = (),
    interval_seconds: int | None = None,
) -> write.Written:
    "Store the buckets in the temp table `frames`, with what they cover, in one transaction."
    stated = markets[0] if len(markets) == 1 else None
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE known_frames AS SELECT *, coalesce({provider.frame}, false) AS is_known FROM ("
        "SELECT row, coalesce(market, $stated) AS hint, frame::JSON AS frame FROM frames WHERE json_valid(frame))",
        {"stated": stated},
    )
    ((n_frames, n_known),) = connection.sql("SELECT count(*), count(*) FILTER (is_known) FROM known_frames").fetchall()
    if n_frames > n_known or n_frames == 0:
        raise BadRecord(name, None, f"no liquidation history of {provider.name}; save the response as it came")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE buckets AS {provider.records}")
    symbols = [symbol for (symbol,) in connection.sql("SELECT DISTINCT symbol FROM buckets ORDER BY ALL").fetchall()]
    if None in symbols:
        raise UserError(
            f"{name}: the response does not say its market; pass --market Binance:BTCUSDT, or BTC for a sum"
        )
    connection.register("incoming_classes", classes(provider, symbols).to_arrow())
    connection.execute("CREATE OR REPLACE TEMP TABLE classes AS SELECT * FROM incoming_classes")
    connection.unregister("incoming_classes")
    connection.execute(TOTALS, {"scale": provider.to_ms, "source": provider.name, "interval": interval_seconds})
    ((n_rows, n_duplicate),) = connection.sql(
        "SELECT count(*) FILTER (reason IS NULL), count(*) FILTER (reason = 'duplicate') FROM totals"
    ).fetchall()
    reasons = connection.sql(
        "SELECT split_part(reason, ':', 1) AS why, count(*) FROM totals WHERE reason <> '' GROUP BY why ORDER BY why"
    ).fetchall()
    with store.transaction(connection):
        ((n_known_rows,),) = connection.sql(KNOWN).fetchall()
        rows = "SELECT * EXCLUDE (reason, raw) FROM totals WHERE reason IS NULL"
        write.replace(connection, "cefi_totals", rows, ("venue", "market", "bucket_at", "interval_seconds", "source"))
        write.replace(connection, "rejected", REFUSED, ("source", "reason", "raw"))
        connection.execute(PARTS_GO_BEFORE_SUMS, {"source": provider.name})
        write.cover(connection, spans(connection, provider, name, n_duplicate))
    return write.Written(n_rows - n_known_rows, n_known_rows, 0, dict(reasons))


def classes(provider: Provider, symbols: Sequence[str]) -> pl.DataFrame:
    "Venue, asset and completeness of each symbol by time: the class of the venue's own feed at the date, else unknown."
    parts = []
    for symbol in symbols:
        venue_name, market = named(provider, symbol)
        asset = assets.parse(market, venue_name).asset
        if venue_name in venues.names():
            frame = units.segments(venues.get(venue_name), [("provider", market)], {})
            parts.append(frame.with_columns(symbol=pl.lit(symbol), venue=pl.lit(venue_name), asset=pl.lit(asset)))
        else:
            parts.append(
                pl.DataFrame(
                    {
                        "symbol": [symbol],
                        "venue": [venue_name],
                        "asset": [asset],
                        "from_at": [units.BEGIN],
                        "to_at": [units.END],
                        "completeness": ["full" if venue_name == "hyperliquid" else "unknown"],
                    }
                )
            )
    return pl.concat([part.select(*CLASSES) for part in parts]) if parts else pl.DataFrame(schema=CLASSES)


def named(provider: Provider, symbol: str) -> tuple[str, str]:
    "Slug of the venue and the market as the venue writes it, from a provider's symbol."
    if provider.name == "coinalyze":
        market, _, code = symbol.rpartition(".")
        return COINALYZE_CODES.get(code, f"coinalyze_{code.lower()}"), market or symbol
    exchange, _, market = symbol.rpartition(":")
    return orders.slug_of(exchange) or "all", market


def spans(connection: duckdb.DuckDBPyConnection, provider: Provider, name: str, n_rejected: int) -> list[write.Span]:
    "From the first bucket to the end of the last, a market: what a provider states is not proven."
    rows = connection.sql(
        "SELECT market, min(bucket_at), max(bucket_at) + to_seconds(coalesce(any_value(interval_seconds), 1)), count(*)"
        " FROM totals WHERE reason IS NULL GROUP BY market ORDER BY market"
    ).fetchall()
    return [
        write.Span(
            provider.name,
            f"context:cefi_totals:{provider.name}:{market}",
            first,
            last,
            n,
            n_rejected,
            "unverified",
            name,
        )
        for market, first, last, n in rows
    ]


TOTALS = """
CREATE OR REPLACE TEMP TABLE totals AS
WITH numbers AS (
  SELECT *, TRY_CAST(long_usd AS DOUBLE) AS long_number, TRY_CAST(short_usd AS DOUBLE) AS short_number,
    CASE WHEN TRY_CAST(bucket AS DOUBLE) * $scale BETWEEN 1.2e12 AND 7.2e12
      THEN make_timestamp((TRY_CAST(bucket AS DOUBLE) * $scale)::BIGINT * 1000) END AS bucket_at
  FROM buckets
),
widths AS (
  SELECT symbol, min(width) AS interval_seconds FROM (
    SELECT symbol, date_diff('second', lag(bucket_at) OVER (PARTITION BY symbol ORDER BY bucket_at), bucket_at) AS width
    FROM numbers) WHERE width > 0 GROUP BY symbol
)
SELECT classes.venue, numbers.symbol AS market, classes.asset, bucket_at,
  coalesce($interval, widths.interval_seconds)::INTEGER AS interval_seconds, long_number AS long_usd,
  short_number AS short_usd, $source AS source, coalesce(completeness, 'unknown') AS completeness, raw,
  CASE WHEN bucket_at IS NULL THEN 'not a time: ' || coalesce(bucket, 'none')
    WHEN coalesce(long_number < 0 OR NOT isfinite(long_number), true) THEN 'not an amount: ' || coalesce(long_usd,
    'none') WHEN coalesce(short_number < 0 OR NOT isfinite(short_number), true) THEN 'not an amount: ' ||
    coalesce(short_usd, 'none') WHEN row_number() OVER (PARTITION BY numbers.symbol, bucket_at ORDER BY row) > 1 THEN
    'duplicate' END AS reason
FROM numbers
LEFT JOIN widths USING (symbol)
LEFT JOIN classes ON classes.symbol = numbers.symbol
  AND coalesce(bucket_at >= classes.from_at AND bucket_at < classes.to_at, classes.from_at = TIMESTAMP '1970-01-01')
"""

REFUSED = "SELECT DISTINCT source, reason, raw FROM totals WHERE reason IS NOT NULL"

KNOWN = """
SELECT count(*) FROM totals JOIN cefi_totals ON cefi_totals.venue = totals.venue AND cefi_totals.market = totals.market
  AND cefi_totals.bucket_at = totals.bucket_at AND cefi_totals.source = totals.source
  AND cefi_totals.interval_seconds IS NOT DISTINCT FROM totals.interval_seconds
WHERE reason IS NULL
"""

# A provider's sum over all venues is not stored beside its parts: nobody must add them up.
PARTS_GO_BEFORE_SUMS = """
DELETE FROM cefi_totals AS sums USING cefi_totals AS parts
WHERE sums.source = $source AND parts.source = $source AND sums.venue = 'all' AND parts.venue <> 'all'
  AND sums.asset = parts.asset AND sums.bucket_at = parts.bucket_at
"""
