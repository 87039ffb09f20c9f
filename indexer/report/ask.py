"""Asks the questions of one window, each once, and keeps every answer with what it rests on."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer import query, query_coverage
from indexer.errors import UnknownParameter, UserError
from indexer.report.picture import Answer, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

OWN = Path(__file__).with_name("sql")
STEPS = (60, 300, 900, 3600, 21600, 86400, 604800)
EDGES = """
SELECT min(first_at), max(last_at) FROM (
  SELECT min(liquidated_at) AS first_at, max(liquidated_at) + INTERVAL 1 MICROSECOND AS last_at FROM liquidations WHERE is_headline
  UNION ALL SELECT min(from_at), max(to_at) FROM liquidation_coverage)
"""


class Desk(NamedTuple):
    "Where questions of one window are asked: half-open times, values that hold for every question, answers so far."

    connection: duckdb.DuckDBPyConnection
    since: dt.datetime
    until: dt.datetime
    params: dict[str, str]
    pack: dict[str, query.Query]
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Answer]

    def ask(self, name: str, **values: str) -> Answer:
        "The answer to question `name` with `values`; what the reader set for the whole report wins."
        asked = self.pack[name]
        window = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        given = {key: value for key, value in (window | values | self.params).items() if key in asked.parameters}
        key = (name, tuple(sorted(given.items())))
        if key not in self.known:
            table = query.run(self.connection, asked, given).pl()
            lines = query_coverage.coverage_lines(self.connection.cursor(), asked, given)
            sql = asked.sql.strip() + "\n"
            self.known[key] = Answer(name, asked.title, asked.question, sql, given, table, merged(lines))
        return self.known[key]

    def step(self, name: str, sql: str, **values: str) -> list[tuple[object, ...]]:
        "The rows of a step that question `name` shares with its Python finish: same variables, same cursor."
        asked = self.pack[name]
        window = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        cursor = self.connection.cursor()
        for key, value in (window | values | self.params).items():
            if key in asked.parameters:
                query.cast_alone(cursor, asked.parameters[key], key, value)
        for statement in cursor.extract_statements(asked.sql)[:-1]:
            cursor.execute(statement)
        return cursor.execute(sql).fetchall()

    def step_of(self, since: dt.datetime, until: dt.datetime, most: int = 120) -> int:
        "Seconds of the finest step that cuts a window into at most so many bars."
        length = (until - since).total_seconds()
        return next((seconds for seconds in STEPS if length <= seconds * most), STEPS[-1])


def desk(
    connection: duckdb.DuckDBPyConnection,
    since: dt.datetime | None,
    until: dt.datetime | None,
    params: Mapping[str, str],
) -> Desk:
    """The desk of a window; an edge left open is where records or their coverage begin or end.

    Raises UnknownParameter for a name that no question of the report has, UserError for an empty window.
    """
    pack = query.find() | query.find(OWN)
    known = sorted({name for question in pack.values() for name in question.parameters})
    if unknown := [name for name in params if name not in known]:
        raise UnknownParameter("the report", unknown, known)
    first, last = connection.execute(EDGES).fetchall()[0]
    opened = since or first or dt.datetime(1970, 1, 1)  # noqa: DTZ001 - instants are naive UTC
    closed = until or last or opened + dt.timedelta(days=1)
    if opened >= closed:
        raise UserError(f"the window {opened} .. {closed} is empty; give --since before --until")
    return Desk(connection, opened, closed, dict(params), pack, {})


def simulated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "Names of the simulated chains that the database holds: never compared with what was reported of real nights."
    facts = connection.execute("SELECT name FROM facts WHERE name LIKE 'simulated:%' AND value = 'true' ORDER BY name")
    return [name.removeprefix("simulated:") for (name,) in facts.fetchall()]


def picture(main: Answer, name: str, title: str, **said: Any) -> Picture:  # noqa: ANN401 - the fields of a picture
    "The picture drawn from `main`, with what is said of it."
    return Picture(
        name=name, title=title, question=said.pop("question", main.question), query=main.query, sql=main.sql,
        params=main.params, table=main.table, coverage=main.coverage, **said,
    )  # fmt: skip


def nothing(of_what: str) -> str:
    "Why there is nothing to draw, as a sentence."
    return f"{of_what[:1].upper()}{of_what[1:]}."


def merged(lines: Iterable[str]) -> str:
    "Lines of `source: statement` as one line, sources of one statement together."
    by_statement: dict[str, list[str]] = {}
    for line in lines:
        source, colon, statement = line.partition("): ")
        if colon:
            by_statement.setdefault(statement, []).append(source + ")")
        else:
            by_statement.setdefault(line, [])
    said = (f"{', '.join(of)}: {statement}" if of else statement for statement, of in by_statement.items())
    return ". ".join(said)
