"""The database file: open it, and write rows with their coverage in one transaction."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from indexer.errors import StoreError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

SCHEMA = Path(__file__).with_name("schema.sql")
# duckdb 1.5 refuses files of a newer storage version than it writes itself (STYLE: facts of DuckDB).
CONFIG = {"storage_compatibility_version": "v1.4.0"}


def connect(path: str | Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """
    An open connection to the database at `path`, with every table and view of schema.sql.

    `:memory:` opens a private database. A read-only connection needs an existing file. Raises UserError (no such file)
    and StoreError (locked by another process, not a database, folder not writable), one line each with the remedy.
    """
    target = str(path)
    if read_only and target != ":memory:" and not Path(target).exists():
        raise UserError(f"{target}: no such database; run `indexer backfill` or `indexer demo` first, or pass --db")
    try:
        connection = duckdb.connect(target, read_only=read_only, config=dict(CONFIG))
    except duckdb.Error as error:
        raise StoreError(explain(target, error)) from error
    if not read_only:
        try:
            connection.execute(SCHEMA.read_text())
        except duckdb.Error as error:
            connection.close()
            raise StoreError(explain(target, error)) from error
    return connection


def explain(path: str, error: Exception) -> str:
    "One line for a failure of the database at `path`: what, where, the remedy."
    message = str(error)
    first_line = message.splitlines()[0] if message else type(error).__name__
    if "Could not set lock" in message or "Conflicting lock" in message:
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


def append(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> int:
    """
    Append `rows` to `table` by column name; the number of rows.

    Missing columns become NULL; a column the table lacks is our bug and raises ValueError.
    """
    if rows.is_empty():
        return 0
    known = {name for (name,) in connection.execute("SELECT column_name FROM (DESCRIBE " + table + ")").fetchall()}
    if unknown := [name for name in rows.columns if name not in known]:
        raise ValueError(f"{table} has no column {', '.join(unknown)}")
    connection.register("incoming", rows.to_arrow())
    try:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")  # noqa: S608 - table names are ours
    finally:
        connection.unregister("incoming")
    return rows.height


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    "Column name to DuckDB type of `table`, in order."
    return dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall())  # noqa: S608
