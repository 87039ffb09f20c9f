"""What one run works on: the contracts and feeds of a chain, once registries, proxies and reads have been asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer import discovery, store
from indexer.deployments import EMITTERS, FEEDS
from indexer.deployments import feeds as listed_feeds
from indexer.plan import Member, padded, topic
from indexer.protocols import all_protocols

if TYPE_CHECKING:
    import duckdb

    from indexer.deployments import Catalogue
    from indexer.ranges import Range
    from indexer.rpc import Pool


class Scope(NamedTuple):
    "What one run works on: the chain's known contracts, the range, and what the routes need."

    known: Catalogue
    wanted: Range
    final_block: int
    emitters: pl.DataFrame
    feeds: pl.DataFrame
    companions: tuple[Member, ...]
    parents: dict[str, str]
    settled: frozenset[str]
    touched: list[Range]  # stored by this run
    fresh: list[Range]  # stored by this run where nothing was before
    failed: set[Range]  # what this run could not complete
    has_flows: bool = False
    min_usd: float | None = None  # all transfers from this value on; None: those of labelled addresses


def prepare(
    connection: duckdb.DuckDBPyConnection, pool: Pool, known: Catalogue, wanted: Range, final_block: int
) -> Scope:
    "Store what is known of the chain, ask registries and proxies, and read what a filter of its own needs."
    chain = known.chain
    with store.transaction(connection):
        store.upsert(connection, "tokens", known.tokens)
        store.upsert(connection, "feeds", known.feeds.select(FEEDS.names()))
        store.upsert(connection, "markets", known.markets)
        store.upsert(connection, "emitters", known.emitters)
        if known.is_simulated:
            connection.execute("DELETE FROM facts WHERE name = ?", [f"simulated:{chain}"])
            connection.execute("INSERT INTO facts VALUES (?, 'true')", [f"simulated:{chain}"])
        named, settled = discovery.registries(pool, chain, known.emitters)
        store.upsert(connection, "emitters", named)
        proxies = [one for one in known.feeds["proxy"] if one is not None]
        discovery.feed_phases(connection, pool, chain, sorted(set(proxies)))
        companions, parents = eager_reads(connection, pool, chain, known.emitters)
    empty = Scope(
        known, wanted, final_block, known.emitters, known.feeds, companions, parents, frozenset(settled), [], [], set()
    )
    return refreshed(connection, empty)


def refreshed(connection: duckdb.DuckDBPyConnection, scope: Scope) -> Scope:
    "The scope with the contracts and feeds that the database knows by now; only protocols of this run."
    known = scope.known
    listed = known.emitters["address"].to_list()
    rows = table(connection, "emitters", known.chain, EMITTERS)
    own = rows.filter(
        pl.col("protocol").is_in(known.emitters["protocol"].unique().to_list())
        & (pl.col("address").is_in(listed) | pl.col("parent").is_in(listed))
    )
    return scope._replace(emitters=own, feeds=stored_feeds(connection, known.chain))


def stored_feeds(connection: duckdb.DuckDBPyConnection, chain: str) -> pl.DataFrame:
    "The feeds of `chain` with `rate_kind` of a ratio: as the built-in list says, else exchange_rate."
    kinds = {row["asset"]: row["rate_kind"] for row in listed_feeds(chain, []).to_dicts() if row["rate_kind"]}
    ratio = pl.when(pl.col("asset").str.contains("/")).then(
        pl.col("asset").replace_strict(kinds, default="exchange_rate", return_dtype=pl.String)
    )
    return table(connection, "feeds", chain, FEEDS).with_columns(rate_kind=ratio)


def table(connection: duckdb.DuckDBPyConnection, name: str, chain: str, schema: pl.Schema) -> pl.DataFrame:
    "The rows of `chain` of a small table, sorted by address."
    columns = ", ".join(schema.names())
    rows = connection.execute(f"SELECT {columns} FROM {name} WHERE chain = ? ORDER BY address", [chain]).fetchall()
    return pl.DataFrame(rows, schema=schema, orient="row")


def eager_reads(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, emitters: pl.DataFrame
) -> tuple[tuple[Member, ...], dict[str, str]]:
    "Contracts that must be known before logs are asked, because a filter names them: Liquity's LUSD and Stability Pool."
    companions, parents = [], {}
    for name, protocol in all_protocols().items():
        reads = [read for read in protocol.reads if read.emits is not None]
        rows = emitters.filter(pl.col("protocol") == name).to_dicts()
        if not reads or not rows:
            continue
        found = discovery.read_emitters(pool, protocol, rows)
        store.upsert(connection, "markets", discovery.market_rows(chain, found))
        for one in found:
            for read in reads:
                address, event = one.values.get(read.into), read.emits
                if address is None or event is None:
                    continue
                lists = tuple(
                    None if names is None
                    else tuple(padded(one.values.get(value) or "0x") if not value.startswith("0x") else value for value in names)
                    for names in protocol.topics.get(event, ())
                )  # fmt: skip
                dataset = f"liquidations:{one.emitter['venue']}"
                companions.append(Member(address, name, one.emitter["venue"], dataset, (topic(event),), lists))
                parents[address] = one.emitter["address"]
    return tuple(companions), parents


def stored_companions(connection: duckdb.DuckDBPyConnection, chain: str) -> tuple[tuple[Member, ...], dict[str, str]]:
    "The contracts that eager reads once found, from `markets`."
    companions, parents = [], {}
    for name, protocol in all_protocols().items():
        for read in protocol.reads:
            if read.emits is None:
                continue
            found = connection.execute(
                "SELECT m.venue, m.market, coalesce(m.params ->> $1, CASE $1 WHEN 'debt_token' THEN m.debt_token END)"
                " FROM markets m JOIN emitters e ON e.chain = m.chain AND e.address = m.market AND e.protocol = $2 WHERE m.chain = $3",
                [read.into, name, chain],
            ).fetchall()
            for venue, market, address in found:
                if address:
                    companions.append(Member(address, name, venue, f"liquidations:{venue}", (topic(read.emits),)))
                    parents[address] = market
    return tuple(companions), parents
