"""Asks the questions of one window, each once, and keeps every answer with what it rests on."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer import query, query_coverage
from indexer import simulated as made_up
from indexer.errors import UnknownParameter, UserError
from indexer.report import words
from indexer.report.picture import Answer, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

STATEMENT = re.compile(r"(?P<source>\S+(?: \([^)]*\))?): (?P<statement>.*)")
# What of a question decides which coverage its answer rests on, besides the tables it reads.
SCOPE = ("since", "until", "venue_kind", "venues", "lookback_days")
OWN = Path(__file__).with_name("sql")
STEPS = (60, 300, 900, 3600, 21600, 86400, 604800)
# A tenth of quiet, then all records of liquidations, cut to where every source that was there from the start is covered.
EDGES = """
WITH records AS (
  SELECT min(liquidated_at) AS first_at, max(liquidated_at) AS last_at FROM liquidations WHERE is_headline
), sources AS (
  SELECT source, chain, dataset, min(from_at) AS from_at, max(to_at) AS to_at FROM liquidation_coverage GROUP BY ALL
), proven AS (
  SELECT max(from_at) FILTER (WHERE from_at <= first_at) AS from_at, min(to_at) FILTER (WHERE to_at > last_at) AS to_at,
    min(from_at) AS earliest_at, max(to_at) AS latest_at
  FROM sources CROSS JOIN records
), wanted AS (
  SELECT date_trunc('minute', first_at - to_microseconds((epoch_us(last_at) - epoch_us(first_at)) // 10 + 60000000)) AS early_at,
    date_trunc('minute', last_at) + INTERVAL 1 MINUTE AS late_at
  FROM records
)
SELECT CASE WHEN early_at IS NULL THEN earliest_at ELSE greatest(early_at, from_at) END,
  CASE WHEN late_at IS NULL THEN latest_at ELSE least(late_at, to_at) END
FROM wanted CROSS JOIN proven
"""


class Desk(NamedTuple):
    "Where questions of one window are asked: half-open times, values that hold for every question, answers so far."

    connection: duckdb.DuckDBPyConnection
    since: dt.datetime
    until: dt.datetime
    params: dict[str, str]
    pack: dict[str, query.Query]
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Answer]
    covered: dict[tuple[object, ...], str]

    def ask(self, name: str, **values: str) -> Answer:
        "The answer to question `name` with `values`; what the reader set for the whole report wins."
        asked = self.pack[name]
        window = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        given = {key: value for key, value in (window | values | self.params).items() if key in asked.parameters}
        key = (name, tuple(sorted(given.items())))
        if key not in self.known:
            table = query.run(self.connection, asked, given).pl()
            sql = asked.sql.strip() + "\n"
            self.known[key] = Answer(name, asked.title, asked.question, sql, given, table, self.coverage(asked, given))
        return self.known[key]

    def coverage(self, asked: query.Query, given: dict[str, str]) -> str:
        "What of the window is covered, as one line; questions that read the same records share it."
        body = re.sub(r"--.*", "", asked.sql)
        others = (name for name, pattern in query_coverage.OTHER_DATASETS.items() if pattern.search(body))
        scope = ((name, given.get(name, asked.parameters[name].default)) for name in SCOPE if name in asked.parameters)
        key = (bool(query_coverage.READS_LIQUIDATIONS.search(body)), *others, "", *scope)
        if key not in self.covered:
            cursor = self.connection.cursor()
            lines = query_coverage.coverage_lines(cursor, asked, given)
            self.covered[key] = merged(lines, query_coverage.window_of(cursor, asked, given))
        return self.covered[key]

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
    return Desk(connection, opened, closed, dict(params), pack, {}, {})


def simulated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "Simulated chains, else simulated sources: a night that holds any is never compared with what was reported of real ones."
    return made_up.chains(connection) or made_up.sources(connection)


def simulated_parts(connection: duckdb.DuckDBPyConnection) -> str:
    "What of a night is simulated, as the subject of a sentence; empty where nothing is."
    chains = made_up.chains(connection)
    venues = [words.venue(name.removesuffix(made_up.SOURCE)) for name in made_up.sources(connection)]
    parts = [f"the chain{'s' if len(chains) > 1 else ''} {words.listed(chains)}"] if chains else []
    parts += [f"the exchange records of {words.listed(venues)}"] if venues else []
    return " and ".join(parts)


def picture(main: Answer, name: str, title: str, **said: Any) -> Picture:  # noqa: ANN401 - the fields of a picture
    "The picture drawn from `main`, with what is said of it; what its file says after the question is a note."
    asked, mark, rest = main.question.partition("?")
    notes = (*said.pop("notes", ()), *([rest.strip()] if rest.strip() else []))
    return Picture(
        name=name, title=title, question=said.pop("question", asked + mark), notes=notes, query=main.query, sql=main.sql,
        params=main.params, table=main.table, coverage=main.coverage, **said,
    )  # fmt: skip


def nothing(of_what: str) -> str:
    "Why there is nothing to draw, as a sentence."
    return f"{of_what[:1].upper()}{of_what[1:]}."


def merged(lines: Iterable[str], window: query_coverage.Window | None) -> str:
    "Lines of `source: statement` as one line: sources of one statement together, the window named once."
    by_statement: dict[str, list[str]] = {}
    for line in lines:
        found = STATEMENT.match(line)
        if found:
            by_statement.setdefault(found["statement"].replace(f" of {window}", "", 1), []).append(found["source"])
        else:
            by_statement.setdefault(line.removeprefix(f"{window}: "), [])
    said = [f"{', '.join(of)}: {statement}" if of else statement for statement, of in by_statement.items()]
    edges = f"{words.window(window.since, window.until)}: " if window and said else ""
    return f"{edges}{'. '.join(said)}." if said else ""
