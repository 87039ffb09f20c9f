"""Rows of HyperCore into the store: replaced by window and by key, with their coverage, in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer import builtin, store
from indexer.hyperliquid import classify, coins

if TYPE_CHECKING:
    import duckdb

CHAIN = "hyperliquid"
# Of one fill or ledger entry that several sources saw the fullest is kept: hour files, then the account's own rows.
RANKS = {"hyperliquid_archive": 3, "hyperliquid_api": 2, "hyperliquid_watch": 1}


class Table(NamedTuple):
    "How rows of a table are told apart: the column of their time, and their key."

    name: str
    time: str
    key: tuple[str, ...]


LIQUIDATIONS = Table("liquidations", "liquidated_at", ("event_id",))
FLOWS = Table("flow_rows", "flowed_at", ("flow_id",))
POSITIONS = Table("positions", "observed_at", ("observed_at", "account", "venue", "market", "source"))
FUNDING = Table("funding", "observed_at", ("venue", "market", "observed_at", "source"))
OPEN_INTEREST = Table("open_interest", "observed_at", ("venue", "market", "observed_at", "source"))
PRICES = Table("prices", "priced_at", ("asset", "priced_at", "kind", "source"))


class Window(NamedTuple):
    "What a write replaces: times [since, until), and only blocks of `blocks` where given."

    since: datetime
    until: datetime
    blocks: tuple[int, int] | None = None


def stage(connection: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> None:
    "Have `rows` as the temporary table `name`: what is joined is better there than behind a stream."
    connection.register("incoming", store.Stream(rows))
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM incoming")
    finally:
        connection.unregister("incoming")


def replace_ranked(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame, window: Window | None
) -> int:
    """Store `rows` of one source; the number of rows that were stored.

    What that source stored in `window` goes; a row that a better source has under the same key stays and ours is left
    out. Call it inside a transaction.
    """
    (key,) = table.key
    if window is not None:
        blocks = "" if window.blocks is None else f"AND block_number BETWEEN {window.blocks[0]} AND {window.blocks[1]}"
        connection.execute(
            f"DELETE FROM {table.name} WHERE {table.time} >= ? AND {table.time} < ? AND source = ? {blocks}",
            [window.since, window.until, classify.ARCHIVE],
        )
    if rows.is_empty():
        return 0
    rank = RANKS[rows["source"][0]]
    better = [source for source, other in RANKS.items() if other > rank]
    worse = [source for source, other in RANKS.items() if other <= rank]
    first, last = rows[table.time].min(), rows[table.time].max()
    stage(connection, "incoming_keys", rows.select(key))
    scope = f"{table.time} BETWEEN ? AND ? AND {key} IN (SELECT {key} FROM incoming_keys)"
    connection.execute(f"DELETE FROM {table.name} WHERE {scope} AND list_contains(?, source)", [first, last, worse])
    kept = connection.execute(
        f"SELECT {key} FROM {table.name} WHERE {scope} AND list_contains(?, source)",
        [first, last, better],
    ).fetchall()
    known = pl.Series([value for (value,) in kept], dtype=pl.String)
    return store.append(connection, table.name, rows.filter(~pl.col(key).is_in(known.implode())))


def replace(connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame) -> int:
    "Store `rows` in place of what has the same key; the number of rows. Call it inside a transaction."
    if rows.is_empty():
        return 0
    first, last = rows[table.time].min(), rows[table.time].max()
    same = " AND ".join(f"{table.name}.{name} IS NOT DISTINCT FROM incoming_keys.{name}" for name in table.key)
    stage(connection, "incoming_keys", rows.select(table.key))
    connection.execute(
        f"DELETE FROM {table.name} USING incoming_keys WHERE {table.name}.{table.time} BETWEEN ? AND ? AND {same}",
        [first, last],
    )
    return store.append(connection, table.name, rows)


def reject(connection: duckdb.DuckDBPyConnection, source: str, rejected: pl.DataFrame) -> int:
    "Put `rejected` (block_number, reason, raw) aside, each record once; how many there are."
    if rejected.is_empty():
        return 0
    rows = rejected.unique().select("block_number", "reason", "raw", source=pl.lit(source), chain=pl.lit(CHAIN))
    stage(connection, "incoming_rejected", rows)
    connection.execute("""
        INSERT INTO rejected BY NAME
        SELECT * FROM incoming_rejected
        WHERE NOT EXISTS (
          FROM rejected AS known
          WHERE known.source = incoming_rejected.source
            AND known.block_number IS NOT DISTINCT FROM incoming_rejected.block_number
            AND known.reason = incoming_rejected.reason
            AND known.raw IS NOT DISTINCT FROM incoming_rejected.raw
        )
    """)
    return rows.height


def keep_raw(
    connection: duckdb.DuckDBPyConnection, frames: pl.DataFrame, window: Window | None, files: list[str]
) -> None:
    """Keep `frames` (raws.SCHEMA), each once, in place of what the same `files` gave in `window`.

    Within wanted blocks, or without a window, what is there stays. Call it inside a transaction.
    """
    is_added = window is None or window.blocks is not None
    if window is not None and not is_added:
        connection.execute(
            "DELETE FROM raw_frames WHERE source = ? AND received_at >= ? AND received_at < ?"
            " AND list_contains(?, connection)",
            [classify.ARCHIVE, window.since, window.until, files],
        )
    if frames.is_empty():
        return
    if not is_added:
        store.append(connection, "raw_frames", frames)
        return
    stage(connection, "incoming_frames", frames)
    connection.execute("""
        INSERT INTO raw_frames BY NAME SELECT * FROM incoming_frames
        WHERE NOT EXISTS (FROM raw_frames AS known WHERE known.source = incoming_frames.source
          AND known.received_at = incoming_frames.received_at AND known.frame = incoming_frames.frame)
    """)


def cover(connection: duckdb.DuckDBPyConnection, coverage: dict[str, object]) -> None:
    "Mark what is proven; rows of the same dataset that lie inside it go."
    connection.execute(
        """
        DELETE FROM coverage
        WHERE source = ? AND chain = ? AND dataset = ?
          AND CASE WHEN ?::TIMESTAMP IS NOT NULL THEN from_at >= ? AND to_at <= ?
            ELSE from_at IS NULL AND from_block >= ? AND to_block <= ? END
        """,
        [
            *(coverage["source"], CHAIN, coverage["dataset"], coverage["from_at"]),
            *(coverage["from_at"], coverage["to_at"], coverage.get("from_block"), coverage.get("to_block")),
        ],
    )
    stored = {"chain": CHAIN, "finality": "final", "indexed_at": datetime.now(UTC).replace(tzinfo=None)} | coverage
    names = ", ".join(stored)
    marks = ", ".join("?" for _ in stored)
    connection.execute(f"INSERT INTO coverage ({names}) VALUES ({marks})", list(stored.values()))


def uncover(connection: duckdb.DuckDBPyConnection, dataset: str, since: datetime, until: datetime) -> None:
    "Take [since, until) out of what hour files cover; what is left on either side knows its times only."
    touched = "source = ? AND chain = ? AND dataset = ? AND from_at < ? AND to_at > ?"
    place = [classify.ARCHIVE, CHAIN, dataset, until, since]
    sides = connection.execute(
        f"SELECT * EXCLUDE (from_block, to_block, n_rows, n_rejected) FROM coverage WHERE {touched}", place
    )
    names = [column[0] for column in sides.description]
    before = [dict(zip(names, row, strict=True)) for row in sides.fetchall()]
    connection.execute(f"DELETE FROM coverage WHERE {touched}", place)
    for row in before:
        for first, last in ((row["from_at"], min(row["to_at"], since)), (max(row["from_at"], until), row["to_at"])):
            if first < last:
                store.insert(connection, "coverage", row | {"from_at": first, "to_at": last})


def clear_gaps(
    connection: duckdb.DuckDBPyConnection, source: str, dataset: str, since: datetime, until: datetime
) -> None:
    "Forget what was missing in [since, until); what is missing before or after stays."
    touched = "source = ? AND chain = ? AND dataset = ? AND from_at < ? AND to_at > ?"
    place = [source, CHAIN, dataset, until, since]
    before = connection.execute(f"SELECT from_at, to_at, reason FROM gaps WHERE {touched}", place).fetchall()
    connection.execute(f"DELETE FROM gaps WHERE {touched}", place)
    for first, past, reason in before:
        for start, end in ((first, min(past, since)), (max(first, until), past)):
            if start < end:
                gap = {"from_at": start, "to_at": end, "reason": reason}
                store.insert(connection, "gaps", {"source": source, "chain": CHAIN, "dataset": dataset} | gap)


def mark_gap(connection: duckdb.DuckDBPyConnection, gap: dict[str, object]) -> None:
    "Say what is missing and why, in place of an earlier statement that begins at the same point."
    stored = {"chain": CHAIN, "source": classify.ARCHIVE} | gap
    connection.execute(
        """
        DELETE FROM gaps
        WHERE source = ? AND chain = ? AND dataset = ?
          AND from_at IS NOT DISTINCT FROM ? AND from_block IS NOT DISTINCT FROM ?
        """,
        [stored["source"], CHAIN, stored["dataset"], stored.get("from_at"), stored.get("from_block")],
    )
    names = ", ".join(stored)
    marks = ", ".join("?" for _ in stored)
    connection.execute(f"INSERT INTO gaps ({names}) VALUES ({marks})", list(stored.values()))


def seed_vaults(connection: duckdb.DuckDBPyConnection) -> None:
    "Put the known vaults of HyperCore into `labels`; an address that has a row of that entity already keeps its dates."
    listed = builtin.labels().filter((pl.col("chain") == CHAIN) & (pl.col("kind") == "vault"))
    known = connection.execute("SELECT lower(address), entity FROM labels").fetchall()
    taken = pl.DataFrame(known, schema={"address": pl.String, "entity": pl.String}, orient="row")
    store.append(connection, "labels", listed.join(taken, on=["address", "entity"], how="anti"))


def label_vaults(connection: duckdb.DuckDBPyConnection, entity: str, addresses: list[str], source: str) -> int:
    "Have each of `addresses` as a vault of `entity`, always valid where nothing says otherwise; how many are new."
    known = connection.execute("SELECT lower(address) FROM labels WHERE entity = ? AND kind = 'vault'", [entity])
    taken = {address for (address,) in known.fetchall()}
    rows = pl.DataFrame(
        {"address": [address for address in addresses if address not in taken]}, schema={"address": pl.String}
    )
    return store.append(
        connection,
        "labels",
        rows.select("address", chain=pl.lit(CHAIN), entity=pl.lit(entity), kind=pl.lit("vault"), source=pl.lit(source)),
    )


def vaults(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    "Every vault that `labels` knows on HyperCore (classify.LABEL_SCHEMA)."
    rows = connection.execute(
        """
        SELECT lower(address), lower(entity), from_at, to_at
        FROM labels WHERE kind = 'vault' AND (chain IS NULL OR chain = ?)
        ORDER BY ALL
        """,
        [CHAIN],
    ).fetchall()
    return pl.DataFrame(rows, schema=pl.Schema(classify.LABEL_SCHEMA), orient="row")


def markets(connection: duckdb.DuckDBPyConnection, coins_seen: pl.DataFrame) -> None:
    "Add to `markets` the coins of `coins_seen` (coin, fee_token) that are not there: their dex, quote and multiplier."
    coin = pl.col("coin")
    rows = (
        coins_seen.drop_nulls("coin")
        .unique("coin")
        .select(
            chain=pl.lit(CHAIN),
            venue=pl.lit("hyperliquid"),
            market=coin,
            params=pl.struct(
                dex=coins.dex(coin),
                quote=pl.when(coins.dex(coin) == "").then(pl.lit("USDC")).otherwise("fee_token"),
                multiplier=coins.multiplier(coin).cast(pl.Int64),
            ).struct.json_encode(),
            source=pl.lit("event"),
        )
    )
    known = connection.execute(
        "SELECT market FROM markets WHERE chain = ? AND venue = 'hyperliquid'", [CHAIN]
    ).fetchall()
    taken = pl.Series([market for (market,) in known], dtype=pl.String)
    store.append(connection, "markets", rows.filter(~pl.col("market").is_in(taken.implode())).sort("market"))
