"""The lists of contracts that venues publish, kept with their dates: what a contract was worth when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import assets, store
from indexer.cefi.decode import coalesced, unnested

if TYPE_CHECKING:
    import duckdb

    from indexer.feed import Venue


def learn(connection: duckdb.DuckDBPyConnection, venue: Venue) -> int:
    """Store what the lists among `known_frames` say; how many markets are new or changed.

    A market seen for the first time is valid from the listing time that the venue states, else always. A changed value
    closes the stored one at the receive time and opens the next: the past keeps the value it had.
    """
    if venue.instruments is None:
        return 0
    declared = venue.instruments
    texts = ", ".join(f'{coalesced(paths)} AS "{name}"' for name, paths in declared.fields.items())
    absent = ", ".join(
        f'NULL::VARCHAR AS "{name}"' for name in ("from_ms", "to_ms", "base", "settle") if name not in declared.fields
    )
    value = "value" if declared.value == "value" else declared.value
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE listed AS
        SELECT market, unit, value, base, settle, from_at, received_at FROM (
          SELECT market, {declared.unit} AS unit, TRY_CAST({value} AS DOUBLE) AS value, base, settle,
            make_timestamp(TRY_CAST(nullif(from_ms, '') AS BIGINT) * 1000) AS from_at, received_at,
            row_number() OVER (PARTITION BY market ORDER BY row DESC) AS nth
          FROM (SELECT row, received_at, {", ".join(part for part in (texts, absent) if part)} FROM (
            SELECT *, {unnested("frame", declared.records)} AS record FROM known_frames WHERE {declared.frame}))
          WHERE market IS NOT NULL)
        WHERE nth = 1""")
    markets = connection.sql("SELECT * FROM listed ORDER BY market").fetchall()
    if not markets:
        return 0
    parsed = {market: assets.parse(market, venue.name) for market, *_ in markets}
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE parsed (market VARCHAR, quote VARCHAR, kind VARCHAR, expiry VARCHAR)"
    )
    connection.executemany(
        "INSERT INTO parsed VALUES (?, ?, ?, ?)", [(m, s.quote, s.kind, s.expiry) for m, s in parsed.items()]
    )
    with store.transaction(connection):
        connection.execute(CHANGED, {"venue": venue.name})
        ((n_changed,),) = connection.sql("SELECT count(*) FROM changed").fetchall()
        connection.execute(
            "UPDATE markets SET to_at = changed.received_at FROM changed WHERE markets.venue = $venue"
            " AND markets.chain IS NULL AND markets.market = changed.market AND markets.to_at IS NULL",
            {"venue": venue.name},
        )
        connection.execute(OPENED, {"venue": venue.name, "source": f"{venue.name}_instruments"})
    return int(n_changed)


CHANGED = """
CREATE OR REPLACE TEMP TABLE changed AS
SELECT listed.*, stored.market IS NOT NULL AS is_stored
FROM listed LEFT JOIN (SELECT market, params FROM markets WHERE venue = $venue AND chain IS NULL AND to_at IS NULL)
stored
  ON listed.market = stored.market
WHERE stored.market IS NULL OR (stored.params ->> '$.unit', TRY_CAST(stored.params ->> '$.value' AS DOUBLE))
  IS DISTINCT FROM (listed.unit, listed.value)
"""

OPENED = """
INSERT INTO markets BY NAME
SELECT $venue AS venue, changed.market, $source AS source,
  CASE WHEN is_stored THEN received_at ELSE from_at END AS from_at,
  json_object('unit', unit, 'value', value, 'base', base, 'quote', quote, 'settle', settle, 'kind', kind,
    'expiry', expiry) AS params
FROM changed JOIN parsed USING (market)
"""
