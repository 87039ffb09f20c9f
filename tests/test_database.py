"""`indexer.open`: questions and SQL in, polars and Arrow out, and the same files in plain DuckDB."""

import datetime as dt
import decimal
import runpy
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from fixture_store import address, finished

import indexer
from indexer import demo, pack, store
from indexer.errors import StoreError, UnknownParameter, UserError

ROOT = Path(__file__).parents[1]
PACK = pack.find()


@pytest.fixture
def night():
    "The example night, open."
    with indexer.open(finished("example")) as database:
        yield database


def test_query(night):
    "A question gives its declared columns in their order, as polars has them."
    rows = night.query("largest_liquidated", top=2, since="2026-03-14")

    assert isinstance(rows, pl.DataFrame)
    assert rows.columns == list(PACK["whales/largest_liquidated"].columns)
    assert rows.select("account", "forced_usd").rows() == [(address("a3"), 6000.0), (address("a1"), 4320.0)]
    assert (rows.schema["first_at"], rows.schema["n_events"]) == (pl.Datetime("us"), pl.Int64)


@pytest.mark.parametrize(
    "since",
    ["2026-03-14T09:30", dt.datetime(2026, 3, 14, 9, 30), "2026-03-14T10:30+01:00",
     dt.datetime(2026, 3, 14, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))],
)  # fmt: skip
def test_times(night, since):
    "A time is a text or a datetime; with a zone it is turned into UTC."
    rows = night.query("market_split", split="side", since=since)

    assert rows.select("key", "forced_usd").rows() == [("short", 500.0), ("long", None)]


def test_values(night):
    "Lists are joined, None is the default, whole floats are counts."
    some = night.query("market_split", venues=["spark", "gmx_v2"], assets=None, min_usd=600)

    assert some["key"].to_list() == ["spark"]
    assert night.query("largest_liquidated", top=1.0, since=dt.date(2026, 3, 14)).height == 1


def test_arrow(night):
    "The same answer as Arrow."
    table = night.query_arrow("market_split")

    assert isinstance(table, pa.Table)
    assert table.to_pylist() == night.query("market_split").to_dicts()
    assert night.sql_arrow("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_sql(night):
    "A SELECT gives a frame; a sum of counts keeps every digit."
    assert night.sql("SELECT count(*) AS n FROM liquidations").rows() == [(11,)]
    assert night.sql("SET VARIABLE x = 2; SELECT getvariable('x') AS x").rows() == [(2,)]
    wide = night.sql('SELECT sum(n)::HUGEINT AS "the ""sum" FROM (VALUES (9007199254740993), (1)) AS t(n)')
    assert (wide.columns, wide.rows()) == (['the "sum'], [(decimal.Decimal(9007199254740994),)])


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE prices", "INSERT INTO prices (asset) VALUES ('BTC')", "COPY prices TO 'x.csv'", "SELECT no_such", "",
     "SELECT 100000000000000000000000000000000000000::HUGEINT AS n"],
)  # fmt: skip
def test_sql_refuses(night, statement):
    "What would change anything, or is no SQL, is one line."
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        night.sql(statement)


def test_errors_are_those_of_the_command_line(night):
    "An unknown question or parameter offers the nearest; a value that does not fit names its parameter."
    with pytest.raises(UserError, match=r"no such question; did you mean whales/largest_liquidated\?$"):
        night.query("largest_liquidatd")
    with pytest.raises(UnknownParameter, match=r"sinse \(did you mean since\?\)"):
        night.query("market_split", sinse="2026-03-14")
    with pytest.raises(UserError, match=r"^since=yesterday: not a TIMESTAMP"):
        night.query("market_split", since="yesterday")
    with pytest.raises(UserError, match=r"^venue_kind=dex: must be one of defi, cefi, all$"):
        night.query("market_split", venue_kind="dex")
    with pytest.raises(UserError, match=r"^top=True: give a text"):
        night.query("largest_liquidated", top=True)
    with pytest.raises(UserError, match=r"^top=\[1\]: give a text"):
        night.query("largest_liquidated", top=[1])


def test_notes_and_help(night):
    "What the command line says on stderr and shows with --help."
    (line,) = night.notes("market_split", venues="hyperliqid", since="2026-03-14", until="2026-03-15")[:1]

    assert line == "venues: the database knows no hyperliqid; did you mean hyperliquid?"
    assert night.help("waves").startswith("cascades/waves: Waves inside a cascade\n")
    assert night.queries().select("name", "title").rows() == [(one.name, one.title) for one in PACK.values()]
    assert night.queries().row(0, named=True)["parameters"] == list(PACK["cascades/cascades"].parameters)


def test_closed(tmp_path):
    "A closed database says so, and its file is free for a writer."
    path = tmp_path / "night.duckdb"
    store.connect(path).close()
    with indexer.open(path) as database:
        assert repr(database) == f"<indexer database {path}>"
    database.close()

    with pytest.raises(UserError, match="closed; open it again"):
        database.query("market_split")
    assert repr(database).endswith(", closed>")
    store.connect(path).close()


def test_cannot_open(tmp_path):
    "No file and no database are one line each with the remedy."
    with pytest.raises(UserError, match="no such database; run `indexer"):
        indexer.open(tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("no database at all" * 400)
    with pytest.raises(StoreError, match="not a readable DuckDB file"):
        indexer.open(str(tmp_path / "text.duckdb"))


def test_the_package_alone_is_light():
    "`import indexer` loads neither duckdb nor polars."
    code = "import indexer, sys; print(sorted({'duckdb', 'polars', 'pyarrow', 'click'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("name", PACK)
def test_plain_duckdb(night, name):
    "A file run whole in DuckDB alone, variables set before as in its shell, gives what `query` gives."
    chosen = {
        key: value for key, value in {"floor_usd": "1000", "min_usd": "100"}.items() if key in PACK[name].parameters
    }
    with duckdb.connect(finished("example"), read_only=True) as shell:
        for key, value in chosen.items():
            shell.execute(f"SET VARIABLE {key} = {value}")
        rows = shell.sql((ROOT / "queries" / f"{name}.sql").read_text()).fetchall()

    assert rows == night.query(name, **chosen).rows()


def test_notebook(tmp_path, monkeypatch, capsys):
    "The example notebook runs from its first to its last cell on the demo's database."
    demo.fill(tmp_path / "demo", lambda *_, **__: None)
    capsys.readouterr()
    monkeypatch.setenv("INDEXER_DB", str(tmp_path / "demo" / "demo.duckdb"))
    cells = runpy.run_path(str(ROOT / "examples" / "notebook.py"))
    printed = capsys.readouterr().out

    assert cells["venues"].row(0, named=True)["key"] == "aave_v3"
    assert "devnet is a simulated chain" in printed
    assert printed.endswith("True\n")
