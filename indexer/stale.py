"""What an earlier run stored of the logs that a segment asks for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.plan import padded, pairs

if TYPE_CHECKING:
    import duckdb

    from indexer.plan import Segment
    from indexer.ranges import Range

ROW_TABLES = ("liquidations", "prices", "flow_rows", "rates", "raw_logs")


def replace(connection: duckdb.DuckDBPyConnection, chain: str, segment: Segment, span: Range) -> bool:
    """Delete what is stored of the members of `segment` in `span`: it was pending, or asked by an older version.

    Whether any log of any member was stored there.
    """
    inside = "chain = ? AND block_number BETWEEN ? AND ?"
    where = [chain, span.first, span.last]
    datasets = sorted({member.dataset for member in segment.members})
    connection.execute(
        "DELETE FROM gaps WHERE source = 'rpc' AND chain = ? AND from_block >= ? AND to_block <= ?"
        " AND dataset IN (SELECT unnest(?::VARCHAR[]))",
        [*where, datasets],
    )
    if not connection.execute(f"SELECT 1 FROM raw_logs WHERE {inside} LIMIT 1", where).fetchall():
        return False
    find(connection, chain, segment, span)
    places = "(SELECT block_number, log_index FROM stale)"
    for name in ROW_TABLES:
        connection.execute(f"DELETE FROM {name} WHERE {inside} AND (block_number, log_index) IN {places}", where)
    connection.execute(
        f"DELETE FROM valuation_inputs WHERE {inside} AND event_id IN"
        " (SELECT chain || ':' || block_number || ':' || log_index FROM (SELECT ? AS chain), stale)",
        [*where, chain],
    )
    connection.execute(
        f"DELETE FROM rejected WHERE {inside} AND source = 'rpc' AND (block_number, (raw ->> 'logIndex')::INTEGER) IN {places}",
        where,
    )
    if not all(name.startswith("flows:") for name in datasets):
        connection.execute(f"DELETE FROM rates WHERE {inside} AND kind = 'call'", where)
    return True


def find(connection: duckdb.DuckDBPyConnection, chain: str, segment: Segment, span: Range) -> None:
    "Table `stale`: the places of stored logs of `span` that the members ask for; of an account only its own transfers."
    accounts = [member for member in segment.members if member.tokens]
    contracts = [member for member in segment.members if not member.tokens]
    own = [bytes.fromhex(padded(member.address)[2:]) for member in accounts]
    for name, members in (("asked_pairs", contracts), ("account_pairs", accounts)):
        connection.register("incoming", pairs(members).to_arrow())
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM incoming")
        connection.unregister("incoming")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE stale AS SELECT block_number, log_index FROM raw_logs"
        " WHERE chain = $chain AND block_number BETWEEN $first AND $last AND ("
        " (address, topic0) IN (SELECT address, topic0 FROM asked_pairs)"
        " OR ((topic1 IN (SELECT unnest($own::BLOB[])) OR topic2 IN (SELECT unnest($own::BLOB[])))"
        " AND (address, topic0) IN (SELECT address, topic0 FROM account_pairs)))",
        {"chain": chain, "first": span.first, "last": span.last, "own": own},
    )
