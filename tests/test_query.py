"""Find, read, check and run a question; its formats; what is narrated beside the answer."""

import datetime as dt
import io
import json
import re

import duckdb
import pytest
from fixture_store import empty_store, example_store, insert

from indexer import query, query_coverage, query_format
from indexer.errors import UnknownParameter, UserError
from indexer.schema import SCHEMA

TEXT = """-- Largest rows
--
-- Which rows are the largest,
-- and since when?
--
-- column: event_id    VARCHAR  The row.
-- column: forced_usd  DOUBLE   Its value.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues

SELECT event_id, forced_usd
FROM liquidations
WHERE liquidated_at >= getvariable('since') AND (getvariable('venues') = '' OR venue IN (getvariable('venues')))
ORDER BY forced_usd DESC, event_id
LIMIT getvariable('top');
"""


@pytest.fixture
def question():
    "A small question."
    return query.parse("whales/rows", TEXT)


def test_parse(question):
    "The header gives title, question, columns and parameters with type, default and help."
    assert (question.title, question.question) == ("Largest rows", "Which rows are the largest, and since when?")
    assert question.columns["forced_usd"] == ("DOUBLE", "Its value.")
    assert question.parameters["since"] == ("TIMESTAMP", "1970-01-01", "start of the window")
    assert question.parameters["top"] == ("BIGINT", "20", "rows kept")


@pytest.mark.parametrize("text", ["SELECT 1;", "-- Title\n--\n-- Why?\n\nSELECT 1;", "-- T\n-- column: x\n-- Why?\n"])
def test_parse_refuses(text):
    "A file without title, question or columns is named."
    with pytest.raises(UserError, match=r"queries/a/b\.sql"):
        query.parse("a/b", text)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("getvariable('top');", "getvariable('limit');", "limit is used and not declared"),
        ("SELECT event_id, forced_usd", "SELECT *", "SELECT \\* is used"),
        ("ORDER BY forced_usd DESC, event_id\n", "", "no order"),
        ("forced_usd\nFROM", "now() AS forced_usd\nFROM", "the clock is used"),
        ("coalesce(getvariable('top')::BIGINT, 20)", "20", "top is not declared in the agreed form"),
    ],
)
def test_check(old, new, says):
    "A file that breaks the contract is told how."
    wrong = query.check(query.parse("whales/rows", TEXT.replace(old, new)))

    assert query.check(query.parse("whales/rows", TEXT)) == []
    assert any(re.search(says, line) for line in wrong), wrong


def test_named():
    "A question is found by theme/file, by the file's name alone, or the nearest is offered."
    assert query.named("cascades/cascades").name == query.named("cascades").name == "cascades/cascades"
    with pytest.raises(UserError, match="did you mean cascades/cascades"):
        query.named("casades")


def test_run(question):
    "Values are text; the relation has names, types and rows; no variable stays set."
    connection = example_store()
    answer = query.run(connection, question, {"since": "2026-03-14T10:01:00+01:00", "top": "2"})

    assert answer.columns == ["event_id", "forced_usd"]
    assert answer.fetchall() == [("p11", 9000.0), ("p04", 6000.0)]
    assert query.run(connection, question, {"since": "2026-03-14T09:30Z", "top": "1"}).fetchall() == [("p09", 500.0)]
    assert connection.execute("SELECT getvariable('top')").fetchall() == [(None,)]


def test_unknown_parameter(question):
    "A parameter that the question does not declare is refused, with the nearest one."
    with pytest.raises(UnknownParameter, match="since"):
        query.run(empty_store(), question, {"sinse": "2026-01-01"})


@pytest.mark.parametrize(
    ("name", "value"), [("since", "yesterday"), ("top", "many"), ("top", "-1"), ("top", "1.5"), ("top", "")]
)
def test_bad_value(question, name, value):
    "A value that does not fit is refused in one line with the parameter's name."
    with pytest.raises(UserError, match=f"^{name}=[^\n]*$"):
        query.run(empty_store(), question, {name: value})


def test_choices():
    "A venue kind or scope that nothing can have is refused by name."
    with pytest.raises(UserError, match=r"^venue_kind=dex: must be one of defi, cefi, all$"):
        query.run(empty_store(), query.named("cascades"), {"venue_kind": "dex"})


def test_sql_error(question):
    "An error of the SQL is one line with the query's name."
    broken = question._replace(sql=TEXT.replace("forced_usd DESC", "no_such DESC"))
    with pytest.raises(UserError, match=r"^whales/rows: [^\n]*no_such[^\n]*$"):
        query.run(empty_store(), broken, {})


def test_csv_and_json_are_exact():
    "Every value reads back as it was: floats, instants, large integers, NULL apart from the empty text."
    relation = duckdb.connect().sql(
        "SELECT 0.1::DOUBLE + 0.2 AS third, 9007199254740993 AS large, "
        "99999999999999999999999999999999999999::DECIMAL(38,0) AS raw, TIMESTAMP '2026-03-14 09:00:05.25' AS seen_at, "
        "NULL::VARCHAR AS none, '' AS empty, 'a,\"b' AS text, true AS yes"
    )
    as_csv, as_json = io.StringIO(), io.StringIO()
    query_format.write(relation, "csv", as_csv)
    query_format.write(relation, "json", as_json)

    assert as_csv.getvalue().splitlines()[1] == (
        '0.30000000000000004,9007199254740993,99999999999999999999999999999999999999,2026-03-14T09:00:05.250000,,"",'
        '"a,""b",true'
    )
    (row,) = json.loads(as_json.getvalue())
    assert (row["third"], row["large"], row["none"], row["empty"]) == (0.1 + 0.2, 9007199254740993, None, "")
    assert int(row["raw"]) == 10**38 - 1


def test_parquet(tmp_path):
    "Parquet needs a file, and refuses a column that it would turn into a DOUBLE."
    connection = duckdb.connect()
    target = tmp_path / "rows.parquet"
    query_format.write(connection.sql("SELECT 1::BIGINT AS n"), "parquet", io.StringIO(), target)

    assert connection.sql(f"FROM '{target}'").fetchall() == [(1,)]
    with pytest.raises(UserError, match="n is HUGEINT"):
        query_format.write(connection.sql("SELECT 1::HUGEINT AS n"), "parquet", io.StringIO(), target)
    with pytest.raises(UserError, match="--output"):
        query_format.write(connection.sql("SELECT 1 AS n"), "parquet", io.StringIO())


def test_table():
    "A table shows numbers that people can read; no rows are said."
    paper = io.StringIO()
    relation = duckdb.connect().sql("SELECT 'a' AS key, 1234567.891::DOUBLE AS forced_usd, 4200 AS n_rows")
    query_format.write(relation, "table", paper)
    nothing = io.StringIO()
    query_format.write(relation.filter("n_rows = 0"), "table", nothing)

    assert "1,234,567.89" in paper.getvalue()
    assert "4,200" in paper.getvalue()
    assert nothing.getvalue() == "no rows\n"


def test_narrow_table():
    "A row that does not fit the terminal becomes a block of lines."
    relation = duckdb.connect().sql("SELECT 'x' AS first_column, 2 AS second_column")

    assert query_format.blocks(relation.columns, [["x", "2"]]) == "first_column   x\nsecond_column  2\n"


def test_wide_table():
    "Columns that do not fit go on below, led by the first one; few rows, or a column too wide, become blocks."
    relation = duckdb.connect().sql(
        "SELECT range AS rank, 'a' || range AS account, 1000000.5::DOUBLE + range AS forced_usd, 'b' || range AS venue FROM range(5)"
    )
    text = query_format.table(relation, 33)
    first, second = text.split("\n\n")

    assert first.splitlines()[0].split() == ["rank", "account", "forced_usd"]
    assert second.splitlines()[0].split() == ["rank", "venue"]
    assert second.splitlines()[-1].split() == ["4", "b4"]
    assert "1,000,004.50" in first
    assert max(map(len, text.splitlines())) <= 33
    assert query_format.table(relation, 41).splitlines()[0].split() == ["rank", "account", "forced_usd", "venue"]
    assert query_format.table(relation.limit(2), 33).startswith("rank        0\naccount     a0\n")
    assert query_format.table(relation, 15).startswith("rank        0\naccount     a0\n")


def test_coverage_lines():
    "Per source in play the covered share of the window, its gaps, and the share of the lookback."
    connection = example_store()
    day = dt.datetime(2026, 3, 14)
    pieces = [(0, 6), (5, 9), (12, 24)]
    insert(
        connection,
        "coverage",
        [
            {
                "source": "rpc",
                "chain": "ethereum",
                "dataset": "liquidations:aave_v3",
                "from_at": day + dt.timedelta(hours=first),
                "to_at": day + dt.timedelta(hours=last),
            }
            for first, last in pieces
        ],
    )
    values = {"since": "2026-03-14", "until": "2026-03-15", "venues": " aave_v3 , spark ,hyperlikuid"}
    lines = query_coverage.narrate(connection, query.named("cascades"), values)

    assert "venues: the database knows no hyperlikuid; did you mean hyperliquid?" in lines
    assert (
        "aave_v3 (ethereum): 87.5 % of 2026-03-14 00:00:00 .. 2026-03-15 00:00:00 covered; "
        "0.0 % of the 30 days before; not covered: 2026-03-14 09:00:00 .. 2026-03-14 12:00:00"
    ) in lines
    assert any(line.startswith("spark: 0.0 % of") for line in lines)
    assert not any(line.startswith("hyperliquid") for line in lines)


def test_all_covered():
    "Sources without a gap, the lookback included, share one line."
    connection = example_store()
    piece = {"source": "rpc", "chain": None, "from_at": dt.datetime(2026, 2, 1), "to_at": dt.datetime(2026, 4, 1)}
    datasets = [{"dataset": f"liquidations:{venue}"} for venue in ("aave_v3", "spark", "gmx_v2", "hyperliquid")]
    insert(connection, "coverage", [piece | one for one in datasets])
    values = {"since": "2026-03-14", "until": "2026-03-15"}

    assert query_coverage.narrate(connection, query.named("cascades"), values) == [
        "2026-03-14 00:00:00 .. 2026-03-15 00:00:00: all covered for aave_v3, gmx_v2, hyperliquid, spark"
    ]


def test_nothing_covered():
    "Over an empty database the answer proves nothing, and that is said."
    assert query_coverage.narrate(empty_store(), query.named("cascades"), {}) == [
        "nothing is stored and nothing is covered: an empty answer proves nothing"
    ]


def test_simulated_chains():
    "Answers over a simulated chain say so."
    connection = example_store()
    insert(connection, "facts", [{"name": "simulated:devnet", "value": "true"}])
    lines = query_coverage.narrate(connection, query.named("cascades"), {})

    assert any("devnet is a simulated chain" in line for line in lines)


def words_of(sql):
    "The bare words of SQL, comments and texts left out."
    return set(re.findall(r"\w+", re.sub(r"'[^']*'", "''", re.sub(r"--.*", "", sql))))


@pytest.mark.parametrize("name", query.find())
def test_what_a_question_reads(name):
    "Whichever views and macros lie between, the tables that an answer rests on are those whose coverage is told."
    text = re.sub(r"'[^']*'", "''", re.sub(r"--.*", "", SCHEMA.read_text()))
    definitions = dict(re.findall(r"CREATE OR REPLACE (?:MACRO|VIEW) (\w+)(.*?);", text, re.DOTALL))
    sql = query.named(name).sql
    reached, ahead = set(), words_of(sql)
    while ahead:
        word = ahead.pop()
        reached.add(word)
        ahead |= words_of(definitions.get(word, "")) - reached
    body = re.sub(r"--.*", "", sql)
    told = {table for table, pattern in query_coverage.OTHER_DATASETS.items() if pattern.search(body)}

    assert ("liquidations" in reached) == bool(query_coverage.READS_LIQUIDATIONS.search(body))
    assert ({"flow_rows", "labelled_flows"} & reached != set(), "prices" in reached) == (
        "flows" in told,
        "prices" in told,
    )
