"""The database file: open it, and write rows with their coverage in one transaction."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from indexer import schema
from indexer.errors import StoreError, UserError
from indexer.ranges import Range, merge, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

# Tables that are read through a view of their name: what is written goes to the table behind it.
STORED_IN = {"flows": "flow_rows"}
# duckdb 1.5 refuses files of a newer storage version than it writes itself (STYLE: facts of DuckDB).
CONFIG = {"storage_compatibility_version": "v1.4.0"}


def connect(path: str | Path, *, read_only: bool = False, row_group: int | None = None) -> duckdb.DuckDBPyConnection:
    """An open connection to the database at `path`, with every table and view of schema.sql.

    `:memory:` opens a private database. `row_group`: what is appended in one transaction with so many rows or more goes to
    the file at once, compressed, and not through the log of changes first (a multiple of 2048; DuckDB's own is 122,880).
    A read-only connection needs an existing file. Raises UserError (no such file)
    and StoreError (locked by another process, not a database, folder not writable), one line each with the remedy.
    """
    target = str(path)
    if read_only and target != ":memory:" and not Path(target).exists():
        raise UserError(f"{target}: no such database; run `indexer backfill` or `indexer demo` first, or pass --db")
    try:
        if read_only:
            # A reader asks for nothing of its own: a notebook may hold the file with plain duckdb at the same time.
            connection = duckdb.connect(target, read_only=True)
        elif row_group is None or target == ":memory:":
            connection = duckdb.connect(target, config=dict(CONFIG))
        else:
            connection = attached(target, row_group)
    except duckdb.Error as error:
        raise StoreError(explain(target, error)) from error
    if not read_only:
        try:
            with transaction(connection):
                schema.prepare(connection)
        except duckdb.Error as error:
            connection.close()
            raise StoreError(explain(target, error)) from error
    return connection


def attached(path: str, row_group: int) -> duckdb.DuckDBPyConnection:
    "A connection whose default database is the file at `path`: only an attached file takes a row group size."
    connection = duckdb.connect(config={**CONFIG, "temp_directory": f"{path}.tmp"})
    try:
        connection.execute(f"ATTACH '{schema.quoted(path)}' AS indexed (ROW_GROUP_SIZE {row_group})")
        connection.execute("USE indexed")
        # A checkpoint would write neighbouring groups that fit one again as one.
        connection.execute("SET max_vacuum_tasks = 0")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def explain(path: str, error: Exception) -> str:
    "One line for a failure of the database at `path`: what, where, the remedy."
    message = str(error)
    first_line = message.splitlines()[0] if message else type(error).__name__
    if "Could not set lock" in message or "Conflicting lock" in message or "Unique file handle conflict" in message:
        return f"{path}: in use by another process; wait for it to end, or pass another --db"
    if "not a valid DuckDB database" in message or "Corrupt" in message or "checksum" in message.lower():
        return f"{path}: not a readable DuckDB file; move it away and index again, or pass another --db"
    if "Permission denied" in message or "Read-only file system" in message:
        return f"{path}: not writable; check the folder's permissions, or pass another --db"
    if "No space left" in message or "not enough space" in message.lower():
        return f"{path}: the disk is full; free some space and run again, nothing committed is lost"
    return f"{path}: {first_line}"


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    "Everything inside commits together, or nothing does."
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Stream:
    """`rows` as DuckDB reads them straight from polars' memory, by the Arrow PyCapsule interface.

    A frame registered as it is goes through pyarrow, whose import costs as much as half an hour of a busy archive.
    DuckDB refuses a column of polars' type Null: it goes as text.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows.cast({pl.Null: pl.String})

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        "A new stream at each call: a query may read the rows twice."
        return self.rows.__arrow_c_stream__(requested_schema)


def stored_in(table: str) -> str:
    "The table that holds the rows of `table`."
    return STORED_IN.get(table, table)


def append(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> int:
    """Append `rows` to `table` by column name; the number of rows.

    Missing columns become NULL; a column the table lacks is our bug and raises ValueError.
    """
    if rows.is_empty():
        return 0
    table = stored_in(table)
    known = {name for (name,) in connection.execute("SELECT column_name FROM (DESCRIBE " + table + ")").fetchall()}
    if unknown := [name for name in rows.columns if name not in known]:
        raise ValueError(f"{table} has no column {', '.join(unknown)}")
    connection.register("incoming", Stream(rows))
    try:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
    finally:
        connection.unregister("incoming")
    return rows.height


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    "Column name to DuckDB type of `table`, in order."
    return dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall())


# Which of two rows of one key stands: the smaller rank. What the user says beats a log, a log beats a list or a call; of
# two announcements of a contract the earlier one stands.
RANKS = {
    "markets": "CASE {0}.source WHEN 'file' THEN 0 WHEN 'event' THEN 1 ELSE 2 END",
    "tokens": "CASE {0}.source WHEN 'file' THEN 0 WHEN 'rpc' THEN 2 ELSE 1 END",
    "feeds": "CASE {0}.source WHEN 'file' THEN 0 WHEN 'rpc' THEN 2 ELSE 1 END",
    "emitters": "CASE {0}.source WHEN 'built_in' THEN 0 WHEN 'file' THEN 1"
    " ELSE 2 + coalesce({0}.first_block, 0) / 1e12 END",
}
KEYS = {
    "markets": ("chain", "venue", "market"),
    "tokens": ("chain", "address"),
    "feeds": ("chain", "address"),
    "emitters": ("chain", "address", "protocol"),
    "owners": ("chain", "address", "owner"),
    "rates": ("chain", "base", "quote", "source", "block_number", "log_index"),
}


def upsert(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    "Add `rows` to a table of KEYS: one row a key stays, the one of the smaller rank, else the first seen."
    if rows.is_empty():
        return
    rank = RANKS.get(table, "0")
    same = " AND ".join(f"t.{key} IS NOT DISTINCT FROM i.{key}" for key in KEYS[table])
    order = "from_at" if "from_at" in rows.columns else KEYS[table][0]
    connection.register("incoming", arrow(rows))
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE incoming_rows AS SELECT * FROM incoming i"
            f" QUALIFY row_number() OVER (PARTITION BY {', '.join(KEYS[table])} ORDER BY {rank.format('i')}, {order}) = 1"
        )
        if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall():
            connection.execute(
                f"DELETE FROM {table} t USING incoming_rows i WHERE {same} AND {rank.format('t')} > {rank.format('i')}"
            )
        connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM incoming_rows i"
            f" WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {same})"
        )
    finally:
        connection.unregister("incoming")


def earlier_logs(connection: duckdb.DuckDBPyConnection, chain: str, before: int, topics: list[bytes]) -> pl.DataFrame:
    "The stored logs of `chain` before a block with one of `topics` as their first, in order."
    from indexer.decode import LOG_SCHEMA  # noqa: PLC0415 - numpy comes with it, which only logs need

    names = ", ".join(LOG_SCHEMA.names())
    rows = connection.cursor().sql(
        f"SELECT {names} FROM raw_logs WHERE chain = $chain AND block_number < $before AND topic0 IN (SELECT unnest($topics::BLOB[]))"
        " ORDER BY block_number, log_index", params={"chain": chain, "before": before, "topics": topics},
    ).pl()  # fmt: skip
    return pl.DataFrame(rows).cast(LOG_SCHEMA)


def asked(connection: duckdb.DuckDBPyConnection, chain: str) -> dict[str, list[Range]]:
    "Member to the final ranges it was asked for."
    rows = connection.execute(
        "SELECT m.member, a.from_block, a.to_block FROM asked a JOIN asked_members m USING (members_id)"
        " WHERE a.chain = ? AND a.finality = 'final'",
        [chain],
    ).fetchall()
    done: dict[str, list[Range]] = {}
    for member, first, last in rows:
        done.setdefault(member, []).append(Range(first, last))
    return {member: merge(ranges) for member, ranges in done.items()}


def mark_asked(
    connection: duckdb.DuckDBPyConnection, chain: str, members: list[str], block_range: Range, finality: str
) -> None:
    "Remember that `members` were asked for `block_range`; a range marked before is replaced."
    members_id = hashlib.sha256("\n".join(sorted(members)).encode()).hexdigest()[:16]
    if not connection.execute("SELECT 1 FROM asked_members WHERE members_id = ? LIMIT 1", [members_id]).fetchall():
        connection.execute("INSERT INTO asked_members SELECT ?, unnest(?::VARCHAR[])", [members_id, list(members)])
    touching = connection.execute(
        "SELECT from_block, to_block, finality FROM asked WHERE chain = ? AND members_id = ?"
        " AND from_block <= ? + 1 AND to_block >= ? - 1",
        [chain, members_id, block_range.last, block_range.first],
    ).fetchall()
    kept = []
    whole = block_range
    for first, last, old in touching:
        if old == finality:
            whole = Range(min(whole.first, first), max(whole.last, last))
        else:
            kept += [(old, part) for part in missing(Range(first, last), [block_range])]
        connection.execute(
            "DELETE FROM asked WHERE chain = ? AND members_id = ? AND from_block = ? AND finality = ?",
            [chain, members_id, first, old],
        )
    for state, part in [(finality, whole), *kept]:
        connection.execute(
            "INSERT INTO asked VALUES (?, ?, ?, ?, ?)", [chain, members_id, part.first, part.last, state]
        )


def cover(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    """Record one proven stretch of blocks of one dataset.

    `row` has the columns of `coverage`. What was covered before inside the stretch is cut out; a neighbour of the same
    proof, endpoint and finality that ends right before it is extended.
    """
    key = [row["source"], row["chain"], row["dataset"]]
    span = Range(row["from_block"], row["to_block"])
    where = "source = ? AND chain = ? AND dataset = ?"
    old = connection.execute(
        f"SELECT * FROM coverage WHERE {where} AND from_block <= ? + 1 AND to_block >= ? - 1",
        [*key, span.last, span.first],
    )
    names = [column[0] for column in old.description]
    before = [dict(zip(names, values, strict=True)) for values in old.fetchall()]
    new = dict(row)
    for one in before:
        connection.execute(f"DELETE FROM coverage WHERE {where} AND from_block = ?", [*key, one["from_block"]])
        rest = missing(Range(one["from_block"], one["to_block"]), [span])
        same = all(one[name] == row[name] for name in ("proof", "endpoint", "finality"))
        for part in rest:
            cut = one | {"from_block": part.first, "to_block": part.last}
            if part.last < span.first and part.last != one["to_block"]:
                cut["to_at"], cut["head_hash"] = new["from_at"], None
            if part.first > span.last:
                cut["from_at"] = new["to_at"]
            if len(rest) > 1 or (part.first, part.last) != (one["from_block"], one["to_block"]):
                cut["n_rows"] = None
            if same and part.last == span.first - 1 and one["to_block"] == part.last:
                new["from_block"], new["from_at"] = part.first, cut["from_at"]
                new["n_rows"] = None if cut["n_rows"] is None else (new["n_rows"] or 0) + cut["n_rows"]
                new["n_rejected"] = (new["n_rejected"] or 0) + (cut["n_rejected"] or 0)
                continue
            insert(connection, "coverage", cut)
        if one["from_block"] == span.last + 1:
            new["to_at"] = one["from_at"]
        if one["to_block"] == span.first - 1:
            new["from_at"] = new["from_at"] if new["from_block"] != span.first else one["to_at"]
    insert(connection, "coverage", new)


def cover_all(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    "Record one proven stretch of several datasets: `rows` differ in dataset and n_rows only. See `cover`."
    one = rows[0]
    names = [row["dataset"] for row in rows]
    place = "source = ? AND chain = ? AND dataset IN (SELECT unnest(?::VARCHAR[]))"
    key = [one["source"], one["chain"], names]
    extended = "to_block = ? - 1 AND proof = ? AND endpoint = ? AND finality = ?"
    same = [one["from_block"], one["proof"], one["endpoint"], one["finality"]]
    n_touching, n_extended = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {extended}) FROM coverage"
        f" WHERE {place} AND from_block <= ? + 1 AND to_block >= ? - 1",
        [*same, *key, one["to_block"], one["from_block"]],
    ).fetchall()[0]
    if n_touching == n_extended == len(rows):
        connection.execute(
            f"UPDATE coverage SET to_block = ?, to_at = ?, head_hash = ?, indexed_at = ?, n_rejected = n_rejected + ?,"
            f" n_rows = n_rows + map(?::VARCHAR[], ?::BIGINT[])[dataset] WHERE {place} AND {extended}",
            [one["to_block"], one["to_at"], one["head_hash"], one["indexed_at"], one["n_rejected"], names,
             [row["n_rows"] for row in rows], *key, *same],
        )  # fmt: skip
        return
    if not n_touching:
        shared = {name: value for name, value in one.items() if name not in ("dataset", "n_rows")}
        connection.execute(
            f"INSERT INTO coverage ({', '.join(shared)}, dataset, n_rows)"
            f" SELECT {', '.join('?' * len(shared))}, unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
            [*shared.values(), names, [row["n_rows"] for row in rows]],
        )
        return
    for row in rows:
        cover(connection, row)


def insert(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    "Add one row to `table`."
    names = ", ".join(row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


# DuckDB types of `liquidations` as polars has them.
TYPES = {
    "VARCHAR": pl.String(), "DOUBLE": pl.Float64(), "BIGINT": pl.Int64(), "INTEGER": pl.Int32(), "BOOLEAN": pl.Boolean(),
    "TIMESTAMP": pl.Datetime("us"), "DECIMAL(38,0)": pl.Decimal(38, 0),
}  # fmt: skip


def write(connection: duckdb.DuckDBPyConnection, tables: dict[str, pl.DataFrame]) -> None:
    """Append derived rows of every table but `liquidations` and `flows`.

    Flows become the temporary table `staged_flows`; valuing.Valuer and flow_values.insert value and store both.
    """
    for name in ("markets", "emitters", "owners"):
        if name in tables:
            upsert(connection, name, tables[name])
    for name in ("valuation_inputs", "prices", "rates", "rejected", "raw_logs"):
        if name in tables and tables[name].width:
            append(connection, name, tables[name])
    connection.execute("CREATE OR REPLACE TEMP TABLE staged_flows AS FROM flow_rows LIMIT 0")
    if "flows" in tables:
        append(connection, "staged_flows", tables["flows"])


def completed(rows: pl.DataFrame, types: dict[str, str]) -> pl.DataFrame:
    "`rows` with every column of `types` (DuckDB types by name), in its order; absent ones are NULL."
    if not rows.width:
        return pl.DataFrame(schema={name: TYPES[kind] for name, kind in types.items()})
    return rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, dtype=TYPES[kind]).alias(name)
        for name, kind in types.items()
    )


def arrow(rows: pl.DataFrame) -> pa.Table:
    """`rows` as Arrow, without copying text where DuckDB reads string views.

    duckdb 1.5 hands comparisons of a registered table to pyarrow, which has none for string views.
    """
    reads_views = int(duckdb.__version__.split(".")[0]) > 1
    return rows.to_arrow(compat_level=pl.CompatLevel.newest() if reads_views else pl.CompatLevel.oldest())
