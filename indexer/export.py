"""Parquet out: one tree of hive folders with a manifest, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb

from indexer import __version__, simulated, store
from indexer.covered import ISLANDS
from indexer.datasets import DATASETS
from indexer.errors import StoreError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from indexer.narration import Narrate

MANIFEST = "manifest.json"
REPLACED_MANIFEST = ".manifest.replaced.json"  # the old list of files, while a tree is being replaced
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"  # how Hive, DuckDB, Spark and polars spell a NULL partition value
# Mostly hashes and addresses: level 3, the default, costs twice the processor time of level 1 and saves no byte on them.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
ALWAYS = ("-infinity", "infinity")


def write(
    connection: duckdb.DuckDBPyConnection,
    target: Path,
    narrate: Narrate,
    names: Sequence[str] = (),
    window: tuple[datetime | None, datetime | None] = (None, None),
) -> dict[str, Any]:
    """Write the tables `names` (none: all) as a Parquet tree in `target`; the manifest.

    Rows are those inside the half-open `window` where a table has an instant. A file is
    `dataset=NAME/chain=…/venue=…/month=YYYY-MM/NAME.parquet`, sorted by a total order, so that equal rows give equal
    bytes. The tree is written beside `target` and moved into place, the manifest last; files that an earlier manifest
    of `target` lists and this one does not are removed, others are left alone.
    """
    names = chosen(names)
    since, until = window
    if since is not None and until is not None and since >= until:
        raise UserError(f"--since {since} is not before --until {until}")
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; name a folder")
    listed_files(target)
    staging = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror}); name another folder") from error
    bounds = (str(since or ALWAYS[0]), str(until or ALWAYS[1]))
    try:
        manifest = _manifest(connection, bounds)
        for done, name in enumerate(names):
            manifest["datasets"][name] = _dataset(connection, name, bounds, staging)
            if n_rows := manifest["datasets"][name]["rows"]:
                narrate(f"{name}: {n_rows} rows", done=done + 1, total=len(names))
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        _publish(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    "The tables `names` asks for (none: all), in the order of the schema; raises UserError for one that is none."
    if unknown := sorted(set(names) - set(DATASETS)):
        raise UserError(f"no dataset {', '.join(unknown)}; there are: {', '.join(DATASETS)}")
    return tuple(name for name in DATASETS if not names or name in names)


def listed_files(folder: Path, name: str = MANIFEST) -> dict[str, str]:
    "Path to sha256 of the files that the manifest of `folder` lists, if any; raises UserError for a bad one."
    try:
        manifest = json.loads((folder / name).read_text())
        files = [file for dataset in manifest["datasets"].values() for file in dataset["files"]]
        return {file["path"]: file["sha256"] for file in files}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / name}: not a manifest of an export; remove it or name another folder") from error


def digest(path: Path) -> str:
    "The sha256 of a file, in hex."
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(connection: duckdb.DuckDBPyConnection, window: tuple[str, str]) -> dict[str, Any]:
    "What the manifest says before any file: nothing in it depends on when or where the export ran."
    covered = connection.execute(
        "SELECT source, chain, dataset, CASE unit WHEN 'blocks' THEN first END, CASE unit WHEN 'blocks' THEN past - 1"
        f" END, from_at::VARCHAR, to_at::VARCHAR, proofs, n_pending > 0 FROM ({ISLANDS}) ORDER BY ALL"
    ).fetchall()
    fields = ("source", "chain", "dataset", "from_block", "to_block", "from_at", "to_at", "proofs", "has_pending")
    since, until = window
    return {
        "format": 1,
        "code_version": __version__,
        "written_by": f"duckdb {duckdb.__version__}",
        "since": None if since == ALWAYS[0] else since,
        "until": None if until == ALWAYS[1] else until,
        "simulated_chains": simulated.chains(connection),
        "simulated_sources": simulated.sources(connection),
        "coverage": [dict(zip(fields, row, strict=True)) for row in covered],
        "datasets": {},
    }


def _dataset(connection: duckdb.DuckDBPyConnection, name: str, window: tuple[str, str], root: Path) -> dict[str, Any]:
    "Write every partition of one table below `root`; its entry of the manifest."
    types = {column: "VARCHAR" if kind == "JSON" else kind for column, kind in store.columns(connection, name).items()}
    selected = ", ".join(
        column if store_type == types[column] else f"{column}::{types[column]} AS {column}"
        for column, store_type in store.columns(connection, name).items()
    )
    dataset = DATASETS[name]
    order = dict.fromkeys((*dataset.order, *(dataset.key or types)))
    sorting = ", ".join(column for column in order if column not in dataset.folders)  # one value a file
    rows = _rows(name, window)

    def write_file(partition: tuple[str, str, int]) -> dict[str, Any]:
        folder, condition, n_rows = partition
        path = root / folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        connection.cursor().execute(
            f"COPY (SELECT {selected} FROM ({rows}) WHERE {condition} ORDER BY {sorting})"
            f" TO {literal(str(path))} ({PARQUET})"
        )
        relative = path.relative_to(root).as_posix()
        return {"path": relative, "rows": n_rows, "bytes": path.stat().st_size, "sha256": digest(path)}

    # A small partition keeps one thread of DuckDB busy: several at once use the machine.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as executor:
        files = list(executor.map(write_file, _partitions(connection, name, rows)))
    return {"rows": sum(file["rows"] for file in files), "columns": types, "files": files}


def _partitions(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> Iterator[tuple[str, str, int]]:
    "Folder, WHERE clause and number of rows of each partition of `rows`, in the order of the folders."
    dataset = DATASETS[name]
    at = dataset.at if dataset.by_month else None
    month = f"strftime({at}, '%Y-%m')" if at else "NULL"
    bounds = f"min({at})::VARCHAR, max({at})::VARCHAR" if at else "NULL, NULL"
    found = connection.execute(
        f"SELECT {month}, {bounds}, count(*), {', '.join((*dataset.folders, 'NULL'))} FROM ({rows})"
        f" GROUP BY ALL HAVING count(*) > 0 ORDER BY {', '.join((*dataset.folders, '1'))}"
    ).fetchall()
    for month_value, first, last, n_rows, *values in found:
        keys = list(zip(dataset.folders, values, strict=False))
        conditions = [f"{key} IS NULL" if value is None else f"{key} = {literal(value)}" for key, value in keys]
        if at:
            keys.append(("month", month_value))
            conditions.append(f"{at} BETWEEN {literal(first)} AND {literal(last)}" if first else f"{at} IS NULL")
        folders = [f"{key}={NULL_FOLDER if value is None else quote(value, safe='')}" for key, value in keys]
        yield "/".join((f"dataset={name}", *folders)), " AND ".join(conditions) or "true", n_rows


def _rows(name: str, window: tuple[str, str]) -> str:
    "SQL of the rows of one table inside the window."
    if window == ALWAYS:
        return f"FROM {name}"
    since, until = (f"TIMESTAMP {literal(bound)}" for bound in window)
    if at := DATASETS[name].at:
        return f"FROM {name} WHERE {at} >= {since} AND {at} < {until}"
    placed = ("liquidations", "flows", "prices", "raw_logs")
    blocks = " UNION ALL ".join(f"SELECT chain, block_number FROM ({_rows(table, window)})" for table in placed)
    special = {
        "valuation_inputs": f"FROM valuation_inputs SEMI JOIN ({_rows('liquidations', window)}) AS i USING (event_id)",
        "coverage": COVERAGE_INSIDE.format(since=since, until=until, blocks=blocks),
        "asked": "FROM asked WHERE false",  # whole ranges were asked for, but only a part of their rows is here
        "gaps": f"FROM gaps WHERE coalesce(to_at > {since}, true) AND coalesce(from_at < {until}, true)",
    }
    return special.get(name, f"FROM {name}")


# A range that reaches over an end of the window is cut to the blocks of the rows inside: block time never runs
# backwards within a chain, so between the first and the last of them no row is missing.
COVERAGE_INSIDE = """
  WITH bounds AS (
    SELECT chain, min(block_number) AS first_block, max(block_number) AS last_block FROM ({blocks}) GROUP BY chain
  )
  SELECT coverage.* REPLACE (
      CASE WHEN is_inside THEN from_block ELSE greatest(from_block, first_block) END AS from_block,
      CASE WHEN is_inside THEN to_block ELSE least(to_block, last_block) END AS to_block,
      greatest(from_at, {since}) AS from_at,
      least(to_at, {until}) AS to_at,
      CASE WHEN is_inside THEN n_rows END AS n_rows,
      CASE WHEN is_inside THEN n_rejected END AS n_rejected,
      CASE WHEN is_inside OR to_block <= last_block THEN head_hash END AS head_hash
    )
  FROM (SELECT *, coalesce(from_at >= {since} AND to_at <= {until}, false) AS is_inside FROM coverage) AS coverage
  LEFT JOIN bounds USING (chain)
  WHERE coalesce(to_at > {since}, true) AND coalesce(from_at < {until}, true)
    AND (is_inside OR (from_block IS NULL AND from_at IS NOT NULL AND to_at IS NOT NULL)
         OR (from_block <= last_block AND to_block >= first_block))
"""


def literal(text: str) -> str:
    "A text as an SQL literal."
    return "'" + text.replace("'", "''") + "'"


def _publish(staging: Path, target: Path) -> None:
    "Move a finished tree to its place: at no moment is there a manifest beside files that are not its own."
    if not target.exists():
        staging.rename(target)
        return
    old_files = {*listed_files(target), *listed_files(target, REPLACED_MANIFEST)}
    if (target / MANIFEST).exists():
        (target / MANIFEST).replace(target / REPLACED_MANIFEST)
    new_files = set(listed_files(staging))
    for file in sorted(new_files):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (staging / file).replace(target / file)
    _remove(target, sorted(old_files - new_files))
    (staging / MANIFEST).replace(target / MANIFEST)
    (target / REPLACED_MANIFEST).unlink(missing_ok=True)


def _remove(target: Path, files: Iterable[str]) -> None:
    "Delete `files` of `target` and the folders that are empty then; nothing outside of it, whatever a manifest says."
    for file in files:
        path = (target / file).resolve()
        if not path.is_relative_to(target):
            continue
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == target or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
