"""A store with the records of tests/fixtures: the example night, small enough to compute every answer by hand."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from indexer import query, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIXTURES = Path(__file__).with_name("fixtures")
NUMBERS = itertools.count()


def address(short: str) -> str:
    "`a1` as the 20-byte address 0x00..a1."
    return f"0x{int(short, 16):040x}"


@functools.cache
def shelf() -> tempfile.TemporaryDirectory[str]:
    "Where finished stores are kept to be copied: the schema costs 0.1 s of CPU, a copied file a tenth of it."
    return tempfile.TemporaryDirectory(prefix="stores-")


@functools.cache
def finished(name: str) -> Path:
    "The file of an `empty` or `example` store."
    path = Path(shelf().name) / f"{name}.duckdb"
    connection = store.connect(path)
    if name == "example":
        for table in sorted(FIXTURES.glob("*.csv")):
            load(connection, table.stem, table)
    connection.close()
    return path


def copy_of(name: str) -> duckdb.DuckDBPyConnection:
    "A store of its own for the caller, equal to a finished one."
    path = finished(name)
    return duckdb.connect(
        shutil.copy(path, path.with_name(f"{name}-{next(NUMBERS)}.duckdb")), config=dict(store.CONFIG)
    )


def empty_store() -> duckdb.DuckDBPyConnection:
    "A store without rows."
    return copy_of("empty")


def example_store() -> duckdb.DuckDBPyConnection:
    "The example night of 2026-03-14: every CSV file of tests/fixtures in the table it is named after."
    return copy_of("example")


def load(connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    "Append the CSV file to `table`; columns it lacks are NULL, is_headline follows from the kind."
    types = json.dumps(store.columns(connection, table))
    relation = connection.sql(f"SELECT * FROM read_csv('{path}', header = true, all_varchar = true)")
    named = [f'"{name}"::{kind} AS "{name}"' for name, kind in json.loads(types).items() if name in relation.columns]
    chosen = ", ".join(named)
    if table == "liquidations":
        chosen += ", (SELECT kinds.is_headline FROM kinds WHERE kinds.kind = incoming.kind) AS is_headline"
    connection.execute(
        f"INSERT INTO {store.stored_in(table)} BY NAME SELECT {chosen} "
        f"FROM read_csv('{path}', header = true, all_varchar = true) AS incoming"
    )


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    "Append `rows` (column name to value); for liquidations what a test does not care about has a default."
    full = [dict(row) for row in rows]
    if table == "liquidations":
        rule = dict(connection.execute("SELECT kind, is_headline FROM kinds").fetchall())
        full = [
            {"venue": "hyperliquid", "venue_kind": "defi", "sector": "perp", "kind": "market"} | row for row in full
        ]
        full = [{"is_headline": rule[row["kind"]]} | row for row in full]
    store.append(connection, table, pl.DataFrame(full, infer_schema_length=None))


def ask(connection: duckdb.DuckDBPyConnection, name: str, **values: object) -> list[dict[str, object]]:
    "The rows of question `name` as dictionaries, asked with `values`."
    relation = query.run(connection, query.named(name), {key: str(value) for key, value in values.items()})
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def at(text: str) -> dt.datetime:
    "A time of the example night, or any ISO time."
    return dt.datetime.fromisoformat(text if "-" in text else f"2026-03-14T{text}")


def unlike(row: Mapping[str, object], expected: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    "The columns named in `expected` whose value differs (floats by more than 1e-9 relative): empty when all agree."
    return {
        name: (row[name], wanted)
        for name, wanted in expected.items()
        if not (
            row[name] == wanted
            or (isinstance(row[name], float) and wanted is not None and math.isclose(row[name], wanted, rel_tol=1e-9))
        )
    }
