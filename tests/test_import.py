"""Files in: what is accepted, what is refused and where, and the way out and back."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import duckdb
import hypothesis
import hypothesis.strategies as st
import polars as pl
import pytest
from command_line import FIXTURES, files_of, indexer
from exotic import LARGEST, fill
from fixture_store import empty_store, example_store, insert

from indexer import export, imports, store
from indexer.datasets import DATASETS
from indexer.errors import BadRecord, UserError

REQUIRED = "event_id,venue,venue_kind,sector,kind,liquidated_at"
ROW = "a,aave_v3,defi,lending,call,2026-03-14 09:00:05"


def silent(line, **_):
    "Narration that nobody reads."


@pytest.fixture(scope="module")
def shared():
    "The store of this module's tests: opening one takes longer than emptying it."
    return empty_store()


@pytest.fixture
def connection(shared):
    "An empty store."
    for table in DATASETS:
        shared.execute(f"DELETE FROM {store.stored_in(table)}")
    return shared


@pytest.fixture
def put(connection, tmp_path):
    "Import text or bytes as a file of that name; the rows of a SELECT afterwards."

    def imported(content, select="FROM liquidations", name="liquidations.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        imports.load(connection, [file], silent)
        return connection.sql(select).fetchall()

    return imported


def test_export_import_export_gives_the_same_bytes(tmp_path):
    "Every table, with values at the edges of its types, comes back byte for byte, the manifest included."
    export.write(fill(empty_store()), tmp_path / "a", silent)
    second = empty_store()
    imports.load(second, [tmp_path / "a"], silent)
    export.write(second, tmp_path / "b", silent)

    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_importing_twice_is_importing_once(tmp_path):
    "Rows replace those with the same key."
    store = fill(empty_store())
    export.write(store, tmp_path / "a", silent)
    again = imports.load(store, [tmp_path / "a"], silent)
    export.write(store, tmp_path / "b", silent)

    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert all(one.n_replaced == one.n_rows for one in again)
    assert {one.table for one in again} == set(DATASETS)


def test_the_example_night_through_the_command_line(tmp_path):
    "A folder of CSV files gives the rows that a plain cast of them gives."
    path = tmp_path / "night.duckdb"
    answer = indexer("--db", path, "import", FIXTURES)
    expected = example_store()
    with duckdb.connect(str(path)) as stored:
        for file in FIXTURES.glob("*.csv"):
            everything = f"FROM {file.stem} ORDER BY ALL"
            assert stored.sql(everything).fetchall() == expected.sql(everything).fetchall(), file.stem

    assert answer.code == 0
    assert "liquidations: 11 rows from 1 file\n" in answer.err


records = st.fixed_dictionaries(
    {
        "market": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20),
        "collateral_raw": st.integers(0, LARGEST).map(Decimal),
        "forced_usd": st.floats(0, allow_infinity=False, allow_nan=False),
        "liquidated_at": st.datetimes(dt.datetime(2025, 12, 20), dt.datetime(2026, 1, 10)),
    }
)


@hypothesis.settings(max_examples=3, deadline=None, phases=[hypothesis.Phase.generate])
@hypothesis.given(rows=st.lists(records, min_size=5, max_size=30))
def test_any_value_survives_the_way_out_and_back(tmp_path_factory, rows):
    "Texts, 38-digit integers, doubles and microseconds are the same after Parquet out and in."
    folder = tmp_path_factory.mktemp("any")
    with empty_store() as first, empty_store() as second:
        insert(first, "liquidations", [{"event_id": str(number)} | row for number, row in enumerate(rows)])
        export.write(first, folder, silent, ["liquidations"])
        imports.load(second, [folder], silent)
        back = second.sql(
            "SELECT market, collateral_raw, forced_usd, liquidated_at FROM liquidations ORDER BY event_id::INTEGER"
        ).fetchall()

    assert back == [
        (row["market"], row["collateral_raw"], row["forced_usd"], row["liquidated_at"].replace(fold=0)) for row in rows
    ]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-14 09:00:05", dt.datetime(2026, 3, 14, 9, 0, 5)),
        ("2026-03-14T09:00:05Z", dt.datetime(2026, 3, 14, 9, 0, 5)),
        ("2026-03-14T09:00:05.123+02:00", dt.datetime(2026, 3, 14, 7, 0, 5, 123000)),
        ("2026-03-14T09:00:05.123456-0530", dt.datetime(2026, 3, 14, 14, 30, 5, 123456)),
        ("2026-03-14 09:00+09", dt.datetime(2026, 3, 14)),
        ("2026-03-14 09:00:05 UTC", dt.datetime(2026, 3, 14, 9, 0, 5)),
        ("2026-03-14", dt.datetime(2026, 3, 14)),
    ],
)
def test_times(put, text, instant):
    "ISO 8601 with or without a zone becomes UTC; milliseconds and microseconds stay."
    assert put(f"{REQUIRED}\na,v,defi,perp,market,{text}\n", "SELECT liquidated_at FROM liquidations") == [(instant,)]


def test_parquet_times_of_every_unit(connection, tmp_path):
    "Zones, milliseconds, nanoseconds and dates of other writers become naive UTC microseconds."
    at = dt.datetime(2026, 3, 14, 9, 0, 5, 123000)
    series = {
        "zoned": pl.Series([at]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        "ms": pl.Series([at]).cast(pl.Datetime("ms")),
        "ns": pl.Series([at]).cast(pl.Datetime("ns")),
        "text": pl.Series([at.isoformat() + "Z"]),
    }
    for name, values in series.items():
        frame = pl.DataFrame(
            {"asset": ["ETH"], "priced_at": values, "price_usd": [1.0], "kind": ["mark"], "source": [name]}
        )
        frame.write_parquet(tmp_path / f"prices_{name}.parquet")
    imports.load(connection, [tmp_path], silent)

    assert connection.sql("SELECT source, priced_at FROM prices ORDER BY 1").fetchall() == [
        (name, at) for name in sorted(series)
    ]


def test_exotic_csv_values(put):
    "38 digits, quotes, commas, line ends in a text, CRLF, a byte-order mark; nothing and '' are NULL."
    rows = put(
        f"\ufeff{REQUIRED},market,collateral_raw,account,side,block_number\r\n"
        f'{ROW},"a ""b"", c\r\nd é",{LARGEST},0xAbCdEF,"",\r\n',
        "SELECT market, collateral_raw, account, side, block_number FROM liquidations",
    )

    assert rows == [('a "b", c\r\nd é', Decimal(LARGEST), "0xabcdef", None, None)]


def test_is_headline_is_recomputed(put):
    "What counts in totals follows from the kind, whatever the file says."
    rows = put(
        f"{REQUIRED},is_headline\n{ROW},false\nb,hyperliquid,defi,perp,adl,2026-03-14,true\n",
        "SELECT kind, is_headline FROM liquidations ORDER BY event_id",
    )

    assert rows == [("call", True), ("adl", False)]


def test_hex_is_lower_case_and_other_names_are_not(put):
    "Addresses and hashes in lower case; accounts that are no hex and markets as written."
    rows = put(
        f"{REQUIRED},account,market,tx_hash\n{ROW},0xABC1,ETH-PERP,0xFF\nb{ROW[1:]},cosmos1Abc,0xDEAD,\n",
        "SELECT account, market, tx_hash FROM liquidations ORDER BY event_id",
    )

    assert rows == [("0xabc1", "ETH-PERP", "0xff"), ("cosmos1Abc", "0xdead", None)]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("forced_usd", "nan", "forced_usd is not a finite number: nan"),
        ("forced_usd", "inf", "forced_usd is not a finite number: inf"),
        ("forced_usd", "1e999", "forced_usd is not a finite number"),
        ("forced_usd", "12 USD", "forced_usd is not a finite number: 12 USD"),
        ("forced_usd", "1_000", "forced_usd is not a finite number"),
        ("forced_usd", "-5", "forced_usd is negative: -5"),
        ("collateral_raw", "1.5", "collateral_raw is not a whole number that fits DECIMAL(38,0): 1.5"),
        ("collateral_raw", str(10**38), "collateral_raw is not a whole number"),
        ("collateral_raw", "1e18", "collateral_raw is not a whole number"),
        ("collateral_raw", "0x10", "collateral_raw is not a whole number"),
        ("log_index", "2147483648", "log_index is not a whole number that fits INTEGER"),
        ("side", "buy", "side is buy, not one of long, short"),
        ("completeness", "most", "completeness is most, not one of"),
        ("price_at", "1700000000", "price_at is not a time"),
        ("price_at", "2026-02-30", "price_at is not a time"),
        ("price_at", "infinity", "price_at is not a time"),
        ("price_at", "10/11/2026", "price_at is not a time"),
        ("is_headline", "maybe", "is_headline is not true or false: maybe"),
        ("account", "0xZZ", "account is no hex number: 0xZZ"),
    ],
)
def test_a_bad_value_is_refused_with_file_row_and_reason(put, connection, column, value, said):
    "The second record of the file is bad: it is named, and the first is not stored either."
    with pytest.raises(BadRecord, match=re.escape(f"liquidations.csv, row 2: {said}")):
        put(f"{REQUIRED},{column}\n{ROW},\nb{ROW[1:]},{value}\n")

    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{REQUIRED},colour\n{ROW},red\n", ": liquidations has no column colour; it has: event_id"),
        (f"{REQUIRED},side,side\n{ROW},long,long\n", ": column side stands there twice"),
        ("event_id,venue\na,b\n", ": column venue_kind, sector, kind, liquidated_at is missing"),
        ("", ": column event_id, venue, venue_kind, sector, kind, liquidated_at is missing"),
        (REQUIRED.replace(",", ";") + "\n", ": liquidations has no column event_id;venue"),
        (f"{REQUIRED}\n,v,defi,perp,market,2026-01-01\n", ", row 1: event_id is missing"),
        (f"{REQUIRED}\na,v,dex,perp,market,2026-01-01\n", ", row 1: venue_kind is dex, not one of defi, cefi"),
        (f"{REQUIRED}\na,v,defi,perp,bust,2026-01-01\n", ", row 1: kind is bust, not one of table kinds"),
        (f"{REQUIRED}\na,v,defi,perp,market\n", ", row 1: 5 fields, the first line names 6 columns"),
        (f"{REQUIRED}\n{ROW}\n{ROW},extra\n", ", row 2: 7 fields, the first line names 6 columns"),
        (f'{REQUIRED}\na,"v,defi,perp,market,2026-01-01\n', ", row 1: a quoted value does not end"),
        (f"{REQUIRED}\n{ROW}\nb,caf\xe9,defi,perp,market,2026-01-01\n".encode("latin-1"), ", row 2: not UTF-8"),
        (f"{REQUIRED}\n{ROW}\n".encode("utf-16"), ": not a CSV file in UTF-8"),
        (f"{REQUIRED}\n{ROW}\nb{ROW[1:]}\na{ROW[1:-1]}6\n", ", row 3: another record has the same event_id a"),
    ],
)
def test_a_bad_file_is_refused(put, connection, content, said):
    "One line with the file, the row where there is one, and the reason; nothing is stored."
    with pytest.raises(BadRecord, match=re.escape(f"liquidations.csv{said}")) as refused:
        put(content)

    assert "\n" not in str(refused.value)
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(0,)]


def test_identical_records_are_merged_and_counted(connection, tmp_path):
    "The same record twice in a file, and once more in another file, is one row."
    (tmp_path / "liquidations_1.csv").write_text(f"{REQUIRED}\n{ROW}\n{ROW}\n")
    (tmp_path / "liquidations_2.csv").write_text(f"{REQUIRED}\n{ROW}\n")
    (imported,) = imports.load(connection, [tmp_path], silent)

    assert (imported.n_rows, imported.n_duplicates, imported.n_replaced) == (1, 2, 0)


def test_contradicting_records_of_two_files_are_refused(connection, tmp_path):
    "The later file and its row are named."
    (tmp_path / "liquidations_1.csv").write_text(f"{REQUIRED}\n{ROW}\n")
    (tmp_path / "liquidations_2.csv").write_text(f"{REQUIRED}\nz{ROW[1:]}\n{ROW}.5\n")

    with pytest.raises(BadRecord, match=r"liquidations_2\.csv, row 2: another record has the same event_id a"):
        imports.load(connection, [tmp_path], silent)


def test_one_bad_file_keeps_all_out(connection, tmp_path):
    "Nothing of a folder is stored when one of its files is refused."
    (tmp_path / "liquidations.csv").write_text(f"{REQUIRED}\n{ROW}\n")
    (tmp_path / "prices.csv").write_text("asset,priced_at,price_usd,kind\nETH,2026-01-01,0,oracle\n")

    with pytest.raises(BadRecord, match=r"prices\.csv, row 1: price_usd is not above 0"):
        imports.load(connection, [tmp_path], silent)
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(0,)]


@pytest.mark.parametrize("n_kept", [0, 3, 40, -1])
def test_a_truncated_parquet_file(connection, tmp_path, n_kept):
    "Cut anywhere, it is refused in one line."
    file = tmp_path / "prices.parquet"
    pl.DataFrame({"asset": ["ETH"], "priced_at": [dt.datetime(2026, 1, 1)]}).write_parquet(file)
    file.write_bytes(file.read_bytes()[:n_kept])

    with pytest.raises(BadRecord, match=r"prices\.parquet: not a readable Parquet file"):
        imports.load(connection, [file], silent)


def test_parquet_values_are_checked_too(connection, tmp_path):
    "A fraction where a whole number belongs, or NaN, is refused; a whole number in a float is not."
    base = {"flow_id": ["a", "b"], "flowed_at": [dt.datetime(2026, 1, 1)] * 2, "kind": ["transfer"] * 2}
    for values, said in (([1.0, 2.5], "amount_raw is not a whole number"), ([1.0, 1e30], "amount_raw is not a whole")):
        pl.DataFrame(base | {"amount_raw": values}).write_parquet(tmp_path / "flows.parquet")
        with pytest.raises(BadRecord, match=rf"flows\.parquet, row 2: {said}"):
            imports.load(connection, [tmp_path], silent)
    pl.DataFrame(base | {"usd": [1.0, float("nan")]}).write_parquet(tmp_path / "flows.parquet")
    with pytest.raises(BadRecord, match="usd is not a finite number"):
        imports.load(connection, [tmp_path], silent)
    pl.DataFrame(base | {"amount_raw": [1.0, None]}).write_parquet(tmp_path / "flows.parquet")
    imports.load(connection, [tmp_path], silent)

    assert connection.sql("SELECT amount_raw FROM flows ORDER BY flow_id").fetchall() == [(Decimal(1),), (None,)]


def test_nested_columns_are_refused(connection, tmp_path):
    "A list is no value of any column."
    pl.DataFrame({"name": ["a"], "observed_at": [dt.datetime(2026, 1, 1)], "label": [["x", "y"]]}).write_parquet(
        tmp_path / "series.parquet"
    )

    with pytest.raises(BadRecord, match=r"series\.parquet: column label holds lists"):
        imports.load(connection, [tmp_path], silent)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trades.csv", "not named after a table"),
        ("liquidations.xlsx", "neither .csv nor .parquet"),
        ("kinds.csv", "not named after"),
    ],
)
def test_names_that_are_no_tables(connection, tmp_path, name, said):
    "A file must be named after its table."
    file = tmp_path / name
    file.write_text("a\n")

    with pytest.raises(UserError, match=said):
        imports.load(connection, [file], silent)


@pytest.mark.parametrize(
    "name", ["liquidations2.csv", "Liquidations-2026.CSV", "liquidations (1).csv", "liquidations[x]*.csv"]
)
def test_names_of_tables(put, name):
    "Anything may follow the table's name; characters that mean something to a pattern mean themselves."
    assert len(put(f"{REQUIRED}\n{ROW}\n", name=name)) == 1


def test_a_tree_of_another_writer(connection, tmp_path):
    "Files in a dataset= folder belong to that table, whatever they are called."
    folder = tmp_path / "dataset=prices" / "chain=ethereum"
    folder.mkdir(parents=True)
    frame = pl.DataFrame(
        {"asset": ["ETH"], "priced_at": [dt.datetime(2026, 1, 1)], "price_usd": [1.0], "kind": ["mark"]}
    )
    frame.write_parquet(folder / "part-0.parquet")
    (imported,) = imports.load(connection, [tmp_path], silent)

    assert (imported.table, imported.n_rows) == ("prices", 1)


def test_folders_without_files(connection, tmp_path):
    "An empty folder is an error; an export of an empty store, which holds the built-in labels, is not."
    (tmp_path / "nothing").mkdir()
    export.write(empty_store(), tmp_path / "empty", silent)

    with pytest.raises(UserError, match=r"holds no \.csv or \.parquet file"):
        imports.load(connection, [tmp_path / "nothing"], silent)
    assert [one.table for one in imports.load(connection, [tmp_path / "empty"], silent)] == ["labels"]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_tree_that_is_not_what_its_manifest_says(connection, tmp_path, damage):
    "A listed file that is not there, or not the same bytes, is named."
    export.write(fill(empty_store()), tmp_path, silent)
    file = next(tmp_path.rglob("series.parquet"))
    if damage == "missing":
        file.unlink()
    else:
        pl.DataFrame({"name": ["a"], "observed_at": [dt.datetime(2026, 1, 1)]}).write_parquet(file)

    with pytest.raises(UserError, match=r"series\.parquet: (listed in|not the bytes)"):
        imports.load(connection, [tmp_path], silent)


@pytest.mark.parametrize("table", [*DATASETS])
def test_required_columns_are_enough(put, connection, table):
    "Every table takes a file that has only its required columns."
    samples = {
        "TIMESTAMP": "2026-01-01",
        "BIGINT": "1",
        "INTEGER": "1",
        "DOUBLE": "1.5",
        "BLOB": "0x00ff",
        "VARCHAR": "x",
    }
    words = {"kind": {"liquidations": "call", "flows": "transfer", "prices": "oracle"}.get(table, "x")}
    words |= {"venue_kind": "defi", "sector": "cdp", "finality": "final"}
    types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall())
    names = imports.required(connection, table)
    cells = [words.get(name, samples[types[name]]) for name in names]

    assert names
    assert len(put(f"{','.join(names)}\n{','.join(cells)}\n", f"FROM {table}", f"{table}.csv")) == 1
