"""The database file: one line for each way it fails, and coverage as sets of ranges."""

import os
import stat
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import store
from indexer.errors import StoreError, UserError
from indexer.ranges import Range, merge

START = datetime(2025, 1, 1)
EMPTY = store.connect(":memory:")  # shared by the examples of a property: opening costs more than an example


def test_no_such_database(tmp_path):
    "Reading needs a file; the message says how to get one."
    with pytest.raises(UserError, match="indexer backfill"):
        store.connect(tmp_path / "none.duckdb", read_only=True)


def test_corrupt_file(tmp_path):
    "A file that is no database is refused in one line and left as it is."
    file = tmp_path / "broken.duckdb"
    file.write_bytes(b"not a database" * 1000)

    with pytest.raises(StoreError, match="not a readable DuckDB file"):
        store.connect(file)
    assert file.read_bytes() == b"not a database" * 1000


def test_second_process(tmp_path):
    "While one process writes, another gets one clear line."
    file = tmp_path / "one.duckdb"
    holder = store.connect(file)
    script = (
        f"from indexer import store\ntry: store.connect({str(file)!r})\nexcept store.StoreError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    holder.close()

    assert "in use by another process" in said
    assert said.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_read_only_folder(tmp_path):
    "A folder that may not be written to is named."
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(StoreError, match="not writable"):
            store.connect(tmp_path / "new.duckdb")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_transaction_leaves_nothing():
    "An exception between two writes leaves neither."
    connection = store.connect(":memory:")

    def half():
        with store.transaction(connection):
            connection.execute("INSERT INTO facts VALUES ('a', '1')")
            raise ValueError("between")

    with pytest.raises(ValueError, match="between"):
        half()

    assert connection.execute("SELECT count(*) FROM facts").fetchall() == [(0,)]


def stretch(span, dataset="liquidations:x", finality="final", **settings):
    "A row of coverage for blocks of ten seconds."
    return {
        "source": "rpc", "chain": "c", "dataset": dataset, "from_block": span.first, "to_block": span.last,
        "from_at": START + timedelta(seconds=10 * span.first), "to_at": START + timedelta(seconds=10 * (span.last + 1)),
        "n_rows": span.n_blocks, "n_rejected": 0, "head_hash": f"0x{span.last}", "proof": "header_in_batch",
        "endpoint": "host", "finality": finality, "indexed_at": START, **settings,
    }  # fmt: skip


SPANS = st.builds(lambda first, n: Range(first, first + n), st.integers(0, 60), st.integers(0, 20))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SPANS, st.sampled_from(["final", "pending"])), min_size=1, max_size=7))
def test_coverage_is_a_set_of_ranges(marks):
    "Whatever is marked in whatever order: each block once, in no two rows, with the finality it was last given."
    connection = EMPTY
    connection.execute("DELETE FROM coverage")
    last: dict[int, str] = {}
    for span, finality in marks:
        store.cover_all(connection, [stretch(span, finality=finality), stretch(span, "liquidations:y", finality)])
        last |= dict.fromkeys(range(span.first, span.last + 1), finality)
    rows = connection.execute(
        "SELECT from_block, to_block, finality FROM coverage WHERE dataset = 'liquidations:x' ORDER BY from_block"
    ).fetchall()
    found = [(block, state) for first, end, state in rows for block in range(first, end + 1)]

    assert found == sorted(last.items())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SPANS, st.sampled_from([("a",), ("a", "b"), ("b",)])), min_size=1, max_size=7))
def test_asked_remembers_each_member(marks):
    "A member was asked for the union of the ranges it was asked for, with whomever it was asked."
    connection = EMPTY
    connection.execute("DELETE FROM asked")
    for span, members in marks:
        store.mark_asked(connection, "c", list(members), span, "final")
    done = store.asked(connection, "c")

    for member in ("a", "b"):
        assert done.get(member, []) == merge(span for span, members in marks if member in members)


def test_neighbours_tile():
    "Stretches that follow each other leave no time between them, whoever answered."
    connection = store.connect(":memory:")
    store.cover(connection, stretch(Range(0, 9)) | {"to_at": START + timedelta(seconds=91)})
    store.cover(connection, stretch(Range(10, 19), endpoint="another"))
    rows = connection.execute("SELECT from_at, to_at FROM coverage ORDER BY from_block").fetchall()

    assert rows[0][1] == rows[1][0]


def test_file_can_be_opened_by_an_older_shell(tmp_path):
    "The file is written in a storage version that DuckDB 1.4 and later read (64 to 68)."
    store.connect(tmp_path / "a.duckdb").close()
    header = (tmp_path / "a.duckdb").read_bytes()[:64]

    assert header[8:12] == b"DUCK"
    assert 64 <= int.from_bytes(header[12:20], "little") <= 68


def test_a_file_of_an_older_version_gets_the_columns_that_came_since(tmp_path):
    "Rows stay, new columns are NULL, and the file works as one of this version."
    path = tmp_path / "old.duckdb"
    with store.connect(path) as connection:
        connection.execute("INSERT INTO valuation_inputs (event_id, chain, fee_raw) VALUES ('a', 'ethereum', 7)")
        connection.execute("DROP VIEW IF EXISTS inputs")
        connection.execute("ALTER TABLE valuation_inputs DROP COLUMN fee_raw")
        connection.execute("ALTER TABLE valuation_inputs DROP COLUMN bad_debt_raw")
        connection.execute("COMMENT ON TABLE kinds IS 'made by schema of another day'")
    with store.connect(path) as connection:
        rows = connection.execute("SELECT event_id, fee_raw, bad_debt_raw FROM valuation_inputs").fetchall()
        kinds = store.columns(connection, "valuation_inputs")

    assert rows == [("a", None, None)]
    assert kinds["fee_raw"] == kinds["bad_debt_raw"] == "DECIMAL(38,0)"
