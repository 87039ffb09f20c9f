"""Tables, views and built-in labels of a database file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

SCHEMA = Path(__file__).with_name("schema.sql")
LABELS = Path(__file__).with_name("data") / "labels.csv"
LABEL_COLUMNS = dict.fromkeys(("address", "chain", "entity", "kind", "source", "from_at", "to_at"), "VARCHAR")


def quoted(text: object) -> str:
    "Text for between single quotes in SQL."
    return str(text).replace("'", "''")


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Have every table, view and built-in label of this version; a file that this version has opened before has them.

    Tables of a file that an older version made get the columns that came since, without values.
    """
    ddl = SCHEMA.read_text()
    stamp = "made by schema " + hashlib.sha256(ddl.encode() + LABELS.read_bytes()).hexdigest()[:16]
    known = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'kinds'"
    ).fetchall()
    if known == [(stamp,)]:
        return
    if known:
        widen(connection, ddl)
    connection.execute(ddl)
    load_labels(connection)
    connection.execute(f"COMMENT ON TABLE kinds IS '{stamp}'")


def widen(connection: duckdb.DuckDBPyConnection, ddl: str) -> None:
    "Add the columns of `ddl` that stored tables lack."
    listed = (
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid)"
        " WHERE c.database_name = current_database() AND t.database_name = current_database() AND NOT t.temporary"
        " ORDER BY c.table_name, c.column_index"
    )
    with duckdb.connect() as fresh:
        fresh.execute(ddl)
        wanted = fresh.execute(listed).fetchall()
    stored = {(table, column) for table, column, _ in connection.execute(listed).fetchall()}
    tables = {table for table, _ in stored}
    for table, column, kind in wanted:
        if table in tables and (table, column) not in stored:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def load_labels(connection: duckdb.DuckDBPyConnection) -> None:
    "Have the built-in labels in `labels`, each once, with their source as `built_in: ...`; others are left alone."
    path = quoted(LABELS)
    listed = (
        "SELECT address, chain, entity, kind, 'built_in: ' || source AS source, from_at::TIMESTAMP AS from_at,"
        f" to_at::TIMESTAMP AS to_at FROM read_csv('{path}', header = true, auto_detect = false, columns = {LABEL_COLUMNS})"
    )
    stored = "SELECT * FROM labels WHERE source LIKE 'built_in: %'"
    if connection.execute(
        f"(({listed}) EXCEPT ALL ({stored})) UNION ALL (({stored}) EXCEPT ALL ({listed}))"
    ).fetchall():
        connection.execute("DELETE FROM labels WHERE source LIKE 'built_in: %'")
        connection.execute(f"INSERT INTO labels BY NAME {listed}")
