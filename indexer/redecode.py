"""Every row of logs again from the stored raw logs, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import calls, flow_values, pricing, store
from indexer.decode import LOG_SCHEMA
from indexer.deployments import EMITTERS
from indexer.derive import derive, looked_back
from indexer.plan import routes
from indexer.scope import stored_companions, stored_feeds, table
from indexer.valuing import Valuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import polars as pl

    from indexer.narration import Narrate

BATCH_LOGS = 60_000


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Narrate) -> None:
    "Derive every row again from the stored raw logs, one transaction a chain."
    chains = [row[0] for row in connection.execute("SELECT DISTINCT chain FROM raw_logs ORDER BY 1").fetchall()]
    for chain in chains:
        with store.transaction(connection):
            for name in ("liquidations", "prices", "flow_rows"):
                connection.execute(
                    f"DELETE FROM {name} WHERE chain = ? AND (source = 'rpc' OR source LIKE 'chainlink:%')", [chain]
                )
            connection.execute("DELETE FROM valuation_inputs WHERE chain = ?", [chain])
            connection.execute("DELETE FROM rates WHERE chain = ? AND kind <> 'call'", [chain])
            connection.execute("DELETE FROM rejected WHERE chain = ? AND source = 'rpc'", [chain])
            companions, parents = stored_companions(connection, chain)
            ways = routes(
                table(connection, "emitters", chain, EMITTERS), stored_feeds(connection, chain), companions, parents
            )
            told = calls.stored(connection, chain)
            n_logs = 0
            valuer = Valuer(connection, chain)
            for logs in stored_logs(connection, chain):
                topics = looked_back(logs)
                earlier = store.earlier_logs(connection, chain, logs["block_number"][0], topics) if topics else None
                tables = derive(chain, logs, ways, earlier, told)
                n_logs += logs.height
                tables.pop("raw_logs")
                store.write(connection, tables)
                is_new = valuer.stage(tables) or "markets" in tables
                valuer.insert(is_new=is_new)
                flow_values.insert(connection, chain, ())
            priced = pricing.price(connection, chain)
            flow_values.mark_legs(connection, chain)
        narrate(
            f"{chain}: {n_logs} logs decoded again, {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} without a price"
        )


def stored_logs(connection: duckdb.DuckDBPyConnection, chain: str) -> Iterator[pl.DataFrame]:
    "The raw logs of `chain` in block order, whole blocks at a time."
    bounds = connection.execute(
        "SELECT max(block_number) FROM (SELECT block_number, row_number() OVER (ORDER BY block_number, log_index) // ? AS part"
        " FROM raw_logs WHERE chain = ?) GROUP BY part ORDER BY 1",
        [BATCH_LOGS, chain],
    ).fetchall()
    first = 0
    columns = ", ".join(LOG_SCHEMA.names())
    for (last,) in bounds:
        if last < first:
            continue
        cursor = connection.cursor()
        rows = cursor.sql(
            f"SELECT {columns} FROM raw_logs WHERE chain = $chain AND block_number BETWEEN $first AND $last"
            " ORDER BY block_number, log_index", params={"chain": chain, "first": first, "last": last},
        ).pl()  # fmt: skip
        yield rows.cast(dict(LOG_SCHEMA))
        first = last + 1


def price_all(connection: duckdb.DuckDBPyConnection, narrate: Narrate) -> None:
    "Value every stored row again, chain by chain."
    chains = [
        row[0]
        for row in connection.execute(
            "SELECT chain FROM liquidations WHERE source = 'rpc' UNION SELECT chain FROM flow_rows WHERE source = 'rpc' ORDER BY 1"
        ).fetchall()
    ]
    for chain in chains:
        with store.transaction(connection):
            priced = pricing.price(connection, chain)
            flow_values.revalue(connection, chain)
        narrate(f"{chain}: {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} of them without a price")
