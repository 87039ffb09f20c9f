"""Parquet out: the tree, its manifest, and what a crash or a second export leaves."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import duckdb
import polars as pl
import pytest
from command_line import FIXTURES, files_of
from exotic import INSTANT, LARGEST, fill
from fixture_store import empty_store, insert

from indexer import __version__, export, imports, schema, store
from indexer.datasets import DATASETS, LOCAL_TABLES
from indexer.errors import UserError


def silent(line, **_):
    "Narration that nobody reads."


@pytest.fixture(scope="module")
def shared():
    "The store of this module."
    return empty_store()


@pytest.fixture
def full(shared):
    "A store with rows in every table."
    for table in DATASETS:
        shared.execute(f"DELETE FROM {store.stored_in(table)}")
    return fill(shared)


def test_every_table_of_the_schema_is_a_dataset_or_local(full):
    "A table added to schema.sql leaves as a file, or is named as one that does not."
    tables = {name for (name,) in full.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()}

    assert tables == {*map(store.stored_in, DATASETS), *LOCAL_TABLES}


def test_keys_are_those_of_the_schema():
    "The keys by which rows replace each other contain those that schema.sql states."
    text = " ".join(line.removeprefix("--").strip() for line in schema.SCHEMA.read_text().splitlines())
    for name, dataset in DATASETS.items():
        before_table = text.split(f"CREATE TABLE IF NOT EXISTS {store.stored_in(name)} (")[0]
        stated = before_table.rsplit("Key: ", 1)[1].split(".")[0]

        if not stated.startswith("all columns"):
            assert set(stated.split(", ")) <= set(dataset.key), name


def test_layout(full, tmp_path):
    "One folder a dataset, chain, venue and month; NULL as Hive writes it; odd names escaped."
    export.write(full, tmp_path / "out", silent)
    written = set(files_of(tmp_path / "out"))

    assert {
        "manifest.json",
        "dataset=liquidations/chain=ethereum/venue=aave_v3/month=2025-10/liquidations.parquet",
        "dataset=liquidations/chain=hyperliquid/venue=hyperliquid/month=1969-12/liquidations.parquet",
        "dataset=liquidations/chain=__HIVE_DEFAULT_PARTITION__/venue=binance%2Fusd-m%20%C3%A9/month=2025-11/liquidations.parquet",
        "dataset=rates/chain=ethereum/month=__HIVE_DEFAULT_PARTITION__/rates.parquet",
        "dataset=tokens/tokens.parquet",
    } <= written
    assert len(list(tmp_path.iterdir())) == 1


def test_values_survive_in_duckdb_and_polars(full, tmp_path):
    "38 digits, microseconds, the smallest and largest doubles and odd texts are read back as they were."
    export.write(full, tmp_path, silent)
    tree = f"{tmp_path}/dataset=liquidations/**/*.parquet"
    columns = ", ".join(store.columns(full, "liquidations"))
    by_duckdb = duckdb.sql(f"SELECT {columns} FROM read_parquet('{tree}', hive_partitioning = true) ORDER BY event_id")
    by_polars = pl.read_parquet(tree, hive_partitioning=True).sort("event_id")

    assert by_duckdb.fetchall() == full.sql(f"SELECT {columns} FROM liquidations ORDER BY event_id").fetchall()
    assert by_polars["collateral_raw"].to_list() == [None, LARGEST, None]
    assert by_polars["liquidated_at"].to_list()[1] == INSTANT
    assert by_polars["venue"].to_list()[0] == "binance/usd-m é"
    assert by_polars["chain"].to_list() == [None, "ethereum", "hyperliquid"]


def test_files_are_compressed_sorted_and_have_statistics(tmp_path):
    "zstd, ordered by time and position, with the least and largest value of every column."
    connection = empty_store()
    rows = [
        {"event_id": f"ethereum:{n}:0", "chain": "ethereum", "block_number": n, "log_index": 0, "account": "0xa1",
         "liquidated_at": INSTANT + dt.timedelta(seconds=n)}
        for n in (5, 3, 9, 1)
    ]  # fmt: skip
    insert(connection, "liquidations", rows)
    export.write(connection, tmp_path, silent, ["liquidations"])
    (file,) = tmp_path.rglob("*.parquet")
    metadata = duckdb.sql(f"FROM parquet_metadata('{file}')").pl()
    block = metadata.filter(pl.col("path_in_schema") == "block_number")

    assert pl.read_parquet(file)["block_number"].to_list() == [1, 3, 5, 9]
    assert set(metadata["compression"]) == {"ZSTD"}
    assert (block["stats_min_value"].item(), block["stats_max_value"].item()) == ("1", "9")


def test_manifest(full, tmp_path):
    "Rows, bytes and sha256 of every file, the columns of every dataset, coverage and the version of the code."
    manifest = export.write(full, tmp_path, silent)
    written = files_of(tmp_path)
    listed = [file for dataset in manifest["datasets"].values() for file in dataset["files"]]

    assert json.loads(written.pop("manifest.json")) == manifest
    assert {file["path"]: file["sha256"] for file in listed} == {
        path: hashlib.sha256(content).hexdigest() for path, content in written.items()
    }
    assert {file["path"]: file["bytes"] for file in listed} == {path: len(content) for path, content in written.items()}
    assert {name: dataset["rows"] for name, dataset in manifest["datasets"].items()} == {
        name: full.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in DATASETS
    }
    assert manifest["datasets"]["liquidations"]["columns"] == store.columns(full, "liquidations")
    assert manifest["code_version"] == __version__
    assert manifest["simulated_chains"] == ["devnet"]
    assert [(one["dataset"], one["from_block"], one["to_block"]) for one in manifest["coverage"]] == [
        ("binance:forceOrder", None, None),
        ("liquidations:aave_v3", 1, 9),
    ]


def test_no_column_that_parquet_would_round(full, tmp_path):
    "No file has a DOUBLE where the table has an integer."
    export.write(full, tmp_path, silent)
    for name in DATASETS:
        stored = {column: kind.replace("JSON", "VARCHAR") for column, kind in store.columns(full, name).items()}
        files = f"{tmp_path}/dataset={name}/**/*.parquet"
        relation = duckdb.sql(f"FROM read_parquet('{files}', hive_partitioning = false)")

        assert dict(zip(relation.columns, map(str, relation.types), strict=True)) == stored


def test_equal_rows_give_equal_bytes(full, tmp_path):
    "The order in which rows were stored does not show."
    export.write(full, tmp_path / "a", silent)
    for name in DATASETS:
        table = store.stored_in(name)
        full.execute(f"CREATE OR REPLACE TEMP TABLE shuffled AS FROM {table} ORDER BY random()")
        full.execute(f"DELETE FROM {store.stored_in(table)}")
        full.execute(f"INSERT INTO {table} FROM shuffled")
    export.write(full, tmp_path / "b", silent)

    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_window(full, tmp_path):
    "--since and --until keep rows inside; coverage is cut to what is proven of them."
    manifest = export.write(full, tmp_path, silent, (), (INSTANT, dt.datetime(2025, 11, 1)))
    imported = empty_store()
    imports.load(imported, [tmp_path], silent)
    coverage = imported.sql("SELECT dataset, from_block, to_block, from_at, to_at, n_rows FROM coverage ORDER BY 1")

    assert imported.sql("SELECT event_id FROM liquidations").fetchall() == [("ethereum:1:2",)]
    assert coverage.fetchall() == [
        ("binance:forceOrder", None, None, INSTANT, dt.datetime(2025, 11, 1), None),
        ("liquidations:aave_v3", 1, 9, INSTANT, dt.datetime(2025, 10, 10, 22), 1),
    ]
    assert imported.sql("SELECT count(*) FROM asked").fetchall() == [(0,)]
    assert (manifest["since"], manifest["until"]) == (str(INSTANT), "2025-11-01 00:00:00")


def test_window_across_a_range_of_blocks(tmp_path):
    "A covered range that begins before the window is cut to the blocks of the rows inside it."
    connection = empty_store()
    base = dt.datetime(2026, 1, 1)
    insert(
        connection,
        "liquidations",
        [
            {"event_id": f"ethereum:{n}:0", "venue": "aave_v3", "sector": "lending", "kind": "call", "chain": "ethereum",
             "block_number": n, "log_index": 0, "liquidated_at": base + dt.timedelta(hours=n)}
            for n in range(10)
        ],
    )  # fmt: skip
    insert(
        connection,
        "coverage",
        [
            {"source": "rpc", "chain": "ethereum", "dataset": "liquidations:aave_v3", "from_block": first, "to_block": last,
             "from_at": base + dt.timedelta(hours=first), "to_at": base + dt.timedelta(hours=last + 1), "n_rows": 5,
             "head_hash": f"0x0{last}"}
            for first, last in ((0, 4), (5, 9))
        ],
    )  # fmt: skip
    export.write(connection, tmp_path, silent, (), (base + dt.timedelta(hours=3), base + dt.timedelta(hours=7)))
    imported = empty_store()
    imports.load(imported, [tmp_path], silent)

    assert imported.sql("SELECT block_number FROM liquidations ORDER BY 1").fetchall() == [(3,), (4,), (5,), (6,)]
    assert imported.sql("SELECT from_block, to_block, head_hash, n_rows FROM coverage ORDER BY 1").fetchall() == [
        (3, 4, "0x04", None),
        (5, 6, None, None),
    ]


def test_a_second_export_replaces_the_first(full, tmp_path):
    "Files of the earlier manifest that are no longer written go; files of others stay."
    export.write(full, tmp_path, silent)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "dataset=liquidations" / "extra.txt").write_text("mine too")
    full.execute("DELETE FROM liquidations WHERE chain = 'hyperliquid'")
    export.write(full, tmp_path, silent)
    export.write(full, tmp_path.with_name("fresh"), silent)
    left = files_of(tmp_path)

    assert left.pop("notes.txt") == b"mine"
    assert left.pop("dataset=liquidations/extra.txt") == b"mine too"
    assert left == files_of(tmp_path.with_name("fresh"))
    assert not (tmp_path / "dataset=liquidations" / "chain=hyperliquid").exists()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_crash_leaves_nothing_that_looks_complete(full, tmp_path, monkeypatch, is_first):
    "An export that dies while it writes leaves the folder as it was."
    target = tmp_path / "out"
    if not is_first:
        export.write(full, target, silent)
    before = files_of(target) if target.exists() else None
    full.execute("DELETE FROM series")
    monkeypatch.setattr(export, "digest", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.write(full, target, silent)

    assert (files_of(target) if target.exists() else None) == before
    assert [path.name for path in tmp_path.iterdir()] == ([] if is_first else ["out"])


def test_a_crash_while_files_move_leaves_no_manifest(full, tmp_path, monkeypatch):
    "Between the first and the last moved file there is no manifest; the next export mends the tree."
    target = tmp_path / "out"
    export.write(full, target, silent)
    full.execute("DELETE FROM liquidations WHERE chain = 'hyperliquid'")
    with monkeypatch.context() as broken:
        broken.setattr(export, "_remove", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export.write(full, target, silent)
    interrupted = set(files_of(target))
    export.write(full, target, silent)
    export.write(full, tmp_path / "fresh", silent)

    assert "manifest.json" not in interrupted
    assert files_of(target) == files_of(tmp_path / "fresh")


def test_a_manifest_cannot_delete_elsewhere(full, tmp_path):
    "A path of an old manifest that leads out of the folder is left alone."
    target = tmp_path / "out"
    export.write(full, target, silent)
    (tmp_path / "precious").write_text("keep")
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["datasets"]["facts"]["files"].append({"path": "../precious", "sha256": ""})
    (target / "manifest.json").write_text(json.dumps(manifest))
    export.write(full, target, silent)

    assert (tmp_path / "precious").read_text() == "keep"


def test_targets_that_are_refused(full, tmp_path):
    "A file, and a folder whose manifest is something else, are not written to."
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text('{"name": "my web site"}')

    with pytest.raises(UserError, match="is a file"):
        export.write(full, file, silent)
    with pytest.raises(UserError, match="not a manifest of an export"):
        export.write(full, tmp_path / "site", silent)


def test_the_example_night(tmp_path):
    "CSV in, Parquet out: rows by month and venue."
    connection = empty_store()
    imports.load(connection, [FIXTURES], silent)
    manifest = export.write(connection, tmp_path, silent, ["liquidations", "flows"])

    assert list(manifest["datasets"]) == ["liquidations", "flows"]
    assert manifest["datasets"]["liquidations"]["rows"] == 11
