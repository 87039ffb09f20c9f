"""Files in: CSV and Parquet named after their tables, checked like any source, merged in one transaction."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from indexer import flow_values, store
from indexer.columns import ROW, bad_row, column, is_nested
from indexer.datasets import DATASETS
from indexer.errors import BadRecord, UserError
from indexer.export import MANIFEST, digest, listed_files, literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexer.narration import Narrate

# Columns that no table can do without, where the schema itself allows NULL.
ALSO_REQUIRED = {"reported_totals": ("source", "metric", "value")}
DERIVED = {"liquidations": {"is_headline": "(SELECT any_value(k.is_headline) FROM kinds k WHERE k.kind = taken.kind)"}}
SUFFIXES = (".csv", ".parquet")
LONGEST_LINE = 20_000_000  # bytes of one CSV record: a rejected log may be long
FILE = (
    "imported file"  # columns of the staging tables that say where a row comes from; no table has a name with a blank
)


class Imported(NamedTuple):
    "How many rows of one table came, from how many files, and what became of them."

    table: str
    n_files: int
    n_rows: int  # rows now in the table
    n_duplicates: int  # identical records merged
    n_replaced: int  # rows of the table that had the same key

    def __str__(self) -> str:
        files = "file" if self.n_files == 1 else "files"
        merged = f", {self.n_duplicates} identical ones merged" if self.n_duplicates else ""
        replaced = f", {self.n_replaced} stored ones replaced" if self.n_replaced else ""
        return f"{self.table}: {self.n_rows} rows from {self.n_files} {files}{merged}{replaced}"


def load(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], narrate: Narrate) -> list[Imported]:
    """Store every record of `paths` (files, folders, export trees), all or none; one entry a table.

    A file is named after its table and has any of its columns, the required ones included. Raises UserError and
    BadRecord (file, row, reason) for what is no record of its table: an unknown or missing column, a value that does
    not fit, two different records with one key. A record whose key is already stored replaces what is stored.
    """
    files = find(paths)
    imported = []
    with store.transaction(connection):
        for table in DATASETS:
            own_files = [path for path, of_table in files if of_table == table]
            if own_files:
                imported.append(_load_table(connection, table, own_files))
                narrate(str(imported[-1]), done=sum(one.n_files for one in imported), total=len(files))
        if {"flows", "liquidations"} & {one.table for one in imported}:
            flow_values.mark_all_legs(connection)
    return imported


def find(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    "Every importable file of `paths` with its table, each once; raises UserError for a name that is no table's."
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            _check_manifest(path)
            below = [file for file in sorted(path.rglob("*")) if _is_importable(file, path)]
            if not below and not (path / MANIFEST).exists():
                raise UserError(f"{path}: holds no .csv or .parquet file")
        elif path.exists():
            below = [path]
        else:
            raise UserError(f"{path}: no such file or folder")
        found.update({file.resolve(): table_of(file) for file in below})
    return list(found.items())


def table_of(path: Path) -> str:
    "The table whose name `path` begins with (or its dataset= folder says); raises UserError if there is none."
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: neither .csv nor .parquet")
    name = path.name.lower()
    for table in sorted(DATASETS, key=len, reverse=True):
        if name.startswith(table) or f"dataset={table}" in path.parts:
            return table
    raise UserError(
        f"{path}: not named after a table; name it NAME.csv, NAME.parquet or NAME_anything: {', '.join(DATASETS)}"
    )


def _is_importable(file: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not is_hidden and file.is_file()


def _check_manifest(folder: Path) -> None:
    "Raise UserError unless every file that the manifest of `folder` lists is there, byte for byte."
    for name, sha256 in listed_files(folder).items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: listed in {MANIFEST}, not there; export again")
        if digest(folder / name) != sha256:
            raise UserError(f"{folder / name}: not the bytes that {MANIFEST} lists; export again")


def _load_table(connection: duckdb.DuckDBPyConnection, table: str, files: list[Path]) -> Imported:
    "Stage the files of one table, then merge them into it."
    types = store.columns(connection, table)
    connection.execute(
        f'CREATE OR REPLACE TEMP TABLE staged AS SELECT *, 0 AS "{FILE}", 0::BIGINT AS "{ROW}" FROM {table} LIMIT 0'
    )
    for number, path in enumerate(files):
        _stage(connection, table, path, number)
    n_staged = _count(connection, "staged")
    _merge_duplicates(connection, table, list(types), files)
    key = DATASETS[table].key or tuple(types)
    same_key = " AND ".join(f"stored.{name} IS NOT DISTINCT FROM staged.{name}" for name in key)
    target = store.stored_in(table)
    n_rows, n_before = _count(connection, "staged"), _count(connection, target)
    connection.execute(f"DELETE FROM {target} AS stored WHERE EXISTS (FROM staged WHERE {same_key})")
    n_replaced = n_before - _count(connection, target)
    order = ", ".join(dict.fromkeys((*DATASETS[table].order, *key)))
    connection.execute(f"INSERT INTO {target} BY NAME SELECT {', '.join(types)} FROM staged ORDER BY {order}")
    connection.execute("DROP TABLE staged")
    return Imported(table, len(files), n_rows, n_staged - n_rows, n_replaced)


def _stage(connection: duckdb.DuckDBPyConnection, table: str, path: Path, number: int) -> None:
    "Check one file row by row and append it, typed, to `staged`."
    types = store.columns(connection, table)
    given = dict(_csv_columns(path) if path.suffix.lower() == ".csv" else _parquet_columns(connection, path))
    if unknown := [name for name in given if name not in types]:
        raise BadRecord(str(path), None, f"{table} has no column {', '.join(unknown)}; it has: {', '.join(types)}")
    needed = required(connection, table)
    if absent := [name for name in needed if name not in given]:
        raise BadRecord(
            str(path), None, f"column {', '.join(absent)} is missing; {table} requires: {', '.join(needed)}"
        )
    if nested := [name for name, kind in given.items() if is_nested(kind)]:
        raise BadRecord(str(path), None, f"column {', '.join(nested)} holds lists or structures; give one value a row")
    columns = [column(table, name, given[name], types[name], is_required=name in needed) for name in given]
    values = {name: one.value for name, one in zip(given, columns, strict=True)} | DERIVED.get(table, {})
    selected = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
    records = _records(path, given)
    try:
        bad = connection.execute(bad_row(columns, records)).fetchall()
        if not bad:
            connection.execute(
                f'INSERT INTO staged BY NAME SELECT {selected}, {number} AS "{FILE}", "{ROW}" FROM {records} AS taken'
            )
    except duckdb.Error as error:
        raise _bad_file(path, str(error)) from error
    if bad:
        raise BadRecord(str(path), bad[0][0], " ".join(bad[0][1].split()))


def required(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    "Columns that a file of `table` must have: those that may not be NULL and are not derived."
    names = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND NOT is_nullable ORDER BY column_index",
        [store.stored_in(table)],
    ).fetchall()
    return [name for (name,) in names if name not in DERIVED.get(table, {})] + list(ALSO_REQUIRED.get(table, ()))


def _csv_columns(path: Path) -> list[tuple[str, str]]:
    "Name and type (always VARCHAR) of each column that the first line of a CSV file names."
    with path.open("rb") as file:
        first_line = re.split(rb"[\r\n]", file.readline(LONGEST_LINE))[0]
    try:
        names = [name.strip() for name in next(csv.reader([first_line.decode("utf-8-sig")], strict=True), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRecord(str(path), None, "not a CSV file in UTF-8") from error
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadRecord(str(path), None, f"column {', '.join(repeated)} stands there twice")
    return [(name, "VARCHAR") for name in names]


def _parquet_columns(connection: duckdb.DuckDBPyConnection, path: Path) -> list[tuple[str, str]]:
    "Name and type of each column of a Parquet file."
    try:
        return connection.execute(
            f"SELECT column_name, column_type FROM (DESCRIBE FROM {_parquet(path)}) WHERE column_name <> 'file_row_number'"
        ).fetchall()
    except duckdb.Error as error:
        raise BadRecord(str(path), None, "not a readable Parquet file; export or copy it again") from error


def _parquet(path: Path) -> str:
    return f"read_parquet({literal(_glob_free(path))}, hive_partitioning = false, file_row_number = true)"


def _glob_free(path: Path) -> str:
    "The path as a pattern that matches only itself."
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _records(path: Path, given: dict[str, str]) -> str:
    "SQL of the records of a file as they stand there, numbered from 1."
    if path.suffix.lower() == ".parquet":
        return f'(SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS "{ROW}" FROM {_parquet(path)})'
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in given)
    source = (
        f"read_csv({literal(_glob_free(path))}, auto_detect = false, header = true, delim = ',', quote = '\"',"
        f" escape = '\"', strict_mode = true, max_line_size = {LONGEST_LINE}, columns = {{{columns}}})"
    )
    return f'(SELECT *, row_number() OVER () AS "{ROW}" FROM {source})'


def _bad_file(path: Path, message: str) -> BadRecord:
    "What DuckDB says about a file it cannot read, as file, row and reason."
    line = re.search(r"CSV Error on Line: (\d+)", message)
    row = max(int(line[1]) - 1, 1) if line else None
    if "unicode" in message or "utf-8" in message:
        return BadRecord(str(path), row, "not UTF-8; save it as UTF-8")
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        return BadRecord(str(path), row, f"{fields[2]} fields, the first line names {fields[1]} columns")
    if "quote" in message:
        return BadRecord(str(path), row, "a quoted value does not end as RFC 4180 has it")
    if path.suffix.lower() == ".csv":
        return BadRecord(
            str(path), row, "not a CSV file as RFC 4180 has it (commas, double quotes, one kind of line end)"
        )
    return BadRecord(str(path), row, "not a readable Parquet file; export or copy it again")


def _merge_duplicates(connection: duckdb.DuckDBPyConnection, table: str, names: list[str], files: list[Path]) -> None:
    "Leave one of each group of identical staged records; raise BadRecord for two different records with one key."
    key = DATASETS[table].key or tuple(names)
    (distinct,) = connection.execute(f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(key)} FROM staged)").fetchall()[
        0
    ]
    if distinct == _count(connection, "staged"):
        return
    connection.execute(
        f'CREATE OR REPLACE TEMP TABLE merged AS SELECT {", ".join(names)}, min("{FILE}") AS "{FILE}",'
        f' min("{ROW}") AS "{ROW}" FROM staged GROUP BY {", ".join(names)}'
    )
    if _count(connection, "merged") > distinct:
        number, row, *values = connection.execute(
            f'SELECT "{FILE}", "{ROW}", {", ".join(key)} FROM merged'
            f' QUALIFY row_number() OVER (PARTITION BY {", ".join(key)} ORDER BY "{FILE}", "{ROW}") = 2'
            f' ORDER BY "{FILE}", "{ROW}" LIMIT 1'
        ).fetchall()[0]
        shown = ", ".join(f"{name} {value}" for name, value in zip(key, values, strict=True))
        raise BadRecord(str(files[number]), row, f"another record has the same {shown} and other values; keep one")
    connection.execute("DROP TABLE staged")
    connection.execute("ALTER TABLE merged RENAME TO staged")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    (n_rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0]
    return int(n_rows)
