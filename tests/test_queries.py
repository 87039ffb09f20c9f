"""The contract that every file of queries/ keeps: its declarations, its columns, its golden rows."""

import csv
import datetime as dt
import math
import re
from pathlib import Path

import pytest
from fixture_store import empty_store, example_store

from indexer import query

PACK = query.find()
GOLDEN = Path(__file__).with_name("golden")
# Questions that answer about an empty database too: how many rows they give.
ROWS_OF_NOTHING = {"quality/double_count_audit": 8, "cascades/self_excitation": 1}
MOST_LINES = 80

every_query = pytest.mark.parametrize("name", sorted(PACK))


@pytest.fixture(scope="module")
def example():
    "The example night, shared: queries only read it."
    return example_store()


def cell(value) -> str:
    "A value as golden files hold it."
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return str(value)


def equal(left: str, right: str, kind: str) -> bool:
    "Equal as text, floats to 1e-9 relative."
    if kind == "DOUBLE" and left and right:
        return math.isclose(float(left), float(right), rel_tol=1e-9, abs_tol=1e-12)
    return left == right


def differences(left: list[list[str]], right: list[list[str]], kinds: list[str]) -> list[str]:
    "Where two lists of rows differ."
    found = [] if len(left) == len(right) else [f"{len(left)} rows against {len(right)}"]
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        pairs = zip(one, other, kinds, strict=True)
        found += [f"row {number}: {a} against {b}" for a, b, kind in pairs if not equal(a, b, kind)]
    return found


@every_query
def test_text(name):
    "Declared and used parameters agree, the answer is ordered, no clock, no SELECT *, at most 80 lines."
    assert query.check(PACK[name]) == []
    assert len(PACK[name].sql.splitlines()) <= MOST_LINES


def test_one_meaning():
    "A parameter has one type, one default and one help over the whole pack."
    seen: dict[str, set] = {}
    for each in PACK.values():
        for name, parameter in each.parameters.items():
            seen.setdefault(name, set()).add(parameter)

    assert {name: found for name, found in seen.items() if len(found) > 1} == {}


@every_query
def test_columns(name, example):
    "The result's columns and types are the declared ones; none is wider than Parquet keeps exactly."
    answer = query.run(example, PACK[name], {})
    declared = [(column, kind.type) for column, kind in PACK[name].columns.items()]

    assert list(zip(answer.columns, map(str, answer.types), strict=True)) == declared
    assert not {str(kind) for kind in answer.types} & {"HUGEINT", "UHUGEINT", "BIGNUM"}


@every_query
def test_golden(name, example, request):
    "With its defaults on the example night a query gives its golden rows."
    answer = query.run(example, PACK[name], {})
    rows = [[cell(value) for value in row] for row in answer.fetchall()]
    path = GOLDEN / f"{name}.csv"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([answer.columns, *rows])
    with path.open(newline="") as file:
        header, *golden = list(csv.reader(file))

    assert header == answer.columns
    assert differences(rows, golden, list(map(str, answer.types))) == []


@every_query
def test_twice(name, example):
    "A file runs twice in one shell with equal rows: its variables keep their types."
    shell = example.cursor()
    answers = []
    for _ in range(2):
        *settings, answer = shell.extract_statements(PACK[name].sql)
        for statement in settings:
            shell.execute(statement)
        answers.append([list(map(cell, row)) for row in shell.sql(answer.query).fetchall()])

    assert differences(*answers, [kind.type for kind in PACK[name].columns.values()]) == []


@pytest.fixture(scope="module")
def nothing():
    "A store without rows, shared."
    return empty_store()


@every_query
def test_empty(name, nothing):
    "An empty database is no error: no rows, or those that count nothing."
    rows = query.run(nothing, PACK[name], {}).fetchall()

    assert len(rows) == ROWS_OF_NOTHING.get(name, 0)


@every_query
def test_names_of_folder(name):
    "A query is reachable by its file's name alone, and its header names every column in lower case."
    assert query.named(name.split("/")[-1], PACK) == PACK[name]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in PACK[name].columns)


def test_every_file_has_a_golden():
    "No golden file is left without its query."
    kept = {str(path.relative_to(GOLDEN).with_suffix("")) for path in GOLDEN.glob("*/*.csv")}

    assert kept == set(PACK)
