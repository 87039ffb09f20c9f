"""A data provider's lists of single orders, as rows of the venues they name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from indexer import venues
from indexer.cefi import decode, write
from indexer.errors import BadRecord
from indexer.feed import Disclosure, Feed, Rule, Venue

if TYPE_CHECKING:
    import duckdb

TRANSPORT: Final = "coinglass"
MOST_ORDERS = 200  # of one answer
KEPT_SECONDS = 7 * 86400
# docs.coinglass.com: liquidation-order over REST, liquidationOrders over websocket.
FRAME = "coalesce(frame ->> '$.data[0].exchange_name', frame ->> '$.data[0].exName') IS NOT NULL"
EXCHANGES = """
SELECT DISTINCT coalesce(record ->> '$.exchange_name', record ->> '$.exName') FROM (
  SELECT unnest(frame -> '$.data[*]') AS record FROM (
    SELECT frame::JSON AS frame FROM frames WHERE json_valid(frame))) ORDER BY ALL
"""
# Names of exchanges that are not the venue's slug in other letters.
NAMES = {"kraken": "kraken_futures", "huobi": "htx", "gate.io": "gate", "gateio": "gate", "okex": "okx"}
OWN_LEDGER = "hyperliquid"  # indexed whole from its own archive: what a provider saw of it would count twice


class Stored(NamedTuple):
    "What the lists gave."

    n_new: int
    n_known: int
    n_rejected: int

    def __str__(self) -> str:
        known = f", {self.n_known:,} known" if self.n_known else ""
        return f"{self.n_new:,} new orders{known}" + (f", {self.n_rejected:,} rejected" if self.n_rejected else "")


def are_listed(connection: duckdb.DuckDBPyConnection) -> bool:
    "Is every frame of the temp table `frames` a list of orders."
    found = connection.sql(
        f"SELECT count(*) > 0 AND bool_and(coalesce(({FRAME}), false)) FROM"
        " (SELECT CASE WHEN json_valid(frame) THEN frame::JSON END AS frame FROM frames)"
    ).fetchall()
    return bool(found[0][0])


def store_frames(connection: duckdb.DuckDBPyConnection, name: str) -> Stored:
    "Store the orders of the temp table `frames`, venue by venue; raises BadRecord for an order without an exchange."
    totals = [0, 0, 0]
    exchanges = [exchange for (exchange,) in connection.sql(EXCHANGES).fetchall()]
    if None in exchanges:
        raise BadRecord(name, None, "an order without its exchange; save the response as it came")
    for slug in sorted({slug_of(exchange) for exchange in exchanges}):
        venue = read_as_orders(slug)
        read(connection, venue)
        decode.price(connection, venue, {})
        written = write.write(connection, venue, [], write.RAW_FRAMES)
        counted = (written.n_new, written.n_known, sum(written.rejected.values()))
        totals = [total + one for total, one in zip(totals, counted, strict=True)]
    return Stored(*totals)


def read(connection: duckdb.DuckDBPyConnection, venue: Venue) -> None:
    "Fill `records` and `refused` from the temp table `frames`: the orders of one venue (of read_as_orders)."
    decode.from_frames(connection, venue, "frames")
    if venue.name == OWN_LEDGER:
        connection.execute("INSERT INTO refused SELECT row, 0, source, 'indexed from its own ledger', raw FROM records")
        connection.execute("DELETE FROM json_records")


def slug_of(exchange: str) -> str:
    "The venue that the provider means by the name of an exchange."
    name = exchange.strip().lower()
    return NAMES.get(name, name.replace(" ", "_"))


def read_as_orders(slug: str) -> Venue:
    "The venue `slug` with the provider's feed in place of its own."
    spelt = [slug, slug.replace("_", " "), *(name for name, one in NAMES.items() if one == slug)]
    wanted = ", ".join("'" + name.replace("'", "''") + "'" for name in spelt)
    feed = Feed(
        name="provider",
        frame=FRAME,
        records=("$.data[*]",),
        fields={
            "exchange": ("exchange_name", "exName"),
            "market": "symbol",
            "raw_side": "side",
            "raw_size": ("usd_value", "volUsd"),
            "raw_price": "price",
            "event_time": "time",
        },
        where=f"lower(trim(exchange)) IN ({wanted})",
        side="CASE raw_side WHEN '1' THEN 'short' WHEN '2' THEN 'long' END",  # the order: 1 buys, 2 sells
        stated_usd="raw_size",
        price="trade",
        transport=TRANSPORT,
    )
    rules = (Rule("", "usd", "docs.coinglass.com: usd_value in US dollars"),)
    if slug in venues.names():
        return replace(venues.get(slug), feeds=(feed,), rules=rules)
    return Venue(slug, "cefi", "", (feed,), rules, (Disclosure("unknown", "nothing documented"),), quote="USD")
