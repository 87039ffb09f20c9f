"""What the reader of an answer must know about its records: coverage, misspelt names, simulated chains."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from indexer import simulated
from indexer.errors import UserError
from indexer.query import checked, one_line, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from indexer.query import Query

MOST_GAPS = 3
READS_LIQUIDATIONS = re.compile(
    r"\bliquidations\b|\bselect(ed|ion)\(|\bcascade_|\bepisodes_of_|\bseizures_in_play\b|\bfeedback_events\b|\bside_series\b"
)
# Tables a question may read besides liquidations, and the prefix of the data sets that fill them.
OTHER_DATASETS = {
    "flows": re.compile(
        r"\b(flows|flow_rows|flow_cells|labelled_flows|catalyst_moves|walk_transfers|transfers_of_liquidators)\b"
    ),
    "prices": re.compile(r"\b(daily_)?prices(_at)?\b"),
}
# The pieces of a source inside the window, merged: how long they are together and what lies between them.
COVERED = """
WITH pieces AS (
  SELECT coalesce(venue, dataset) AS name, chain, from_at, to_at FROM liquidation_coverage
  WHERE $liquidations AND ($kind = 'all' OR venue_kind = $kind) AND (len($venues) = 0 OR list_contains($venues, coalesce(venue, dataset)))
  UNION ALL
  SELECT dataset, chain, from_at, to_at FROM coverage WHERE list_contains($others, split_part(dataset, ':', 1))
), sources AS (
  SELECT DISTINCT name, chain FROM pieces
  UNION
  SELECT DISTINCT venue, chain FROM liquidations
  WHERE $liquidations AND is_headline AND liquidated_at >= $since AND liquidated_at < $until
    AND ($kind = 'all' OR venue_kind = $kind) AND (len($venues) = 0 OR list_contains($venues, venue))
), clipped AS (
  SELECT name, chain, greatest(from_at, $since) AS from_at, least(to_at, $until) AS to_at FROM pieces
  WHERE from_at < $until AND to_at > $since
  UNION ALL
  SELECT name, chain, $until, $until FROM sources
), marked AS (
  SELECT name, chain, from_at,
    greatest(coalesce(max(to_at) OVER (PARTITION BY name, chain ORDER BY from_at, to_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), $since), $since) AS reached_at
  FROM clipped
)
SELECT name, chain, coalesce(sum(epoch(from_at) - epoch(reached_at)) FILTER (WHERE from_at > reached_at), 0),
  list([reached_at, from_at] ORDER BY from_at) FILTER (WHERE from_at > reached_at)
FROM marked GROUP BY name, chain ORDER BY name, chain
"""


class Window(NamedTuple):
    "Half-open times, UTC."

    since: dt.datetime
    until: dt.datetime

    def __str__(self) -> str:
        "The two edges."
        return f"{self.since.isoformat(sep=' ')} .. {self.until.isoformat(sep=' ')}"


def narrate(connection: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, str]) -> list[str]:
    "Lines for stderr about the records behind the answer to `query`; empty where there is nothing to say."
    given = checked(query, values)
    cursor = connection.cursor()
    return [
        *unknown_names(cursor, given),
        *simulated_rows(cursor, query),
        *coverage_lines(cursor, query, given),
    ]


def unknown_names(connection: duckdb.DuckDBPyConnection, values: Mapping[str, str]) -> list[str]:
    "One line for each name in `venues` or `assets` that no stored record has, with the nearest known one."
    lines = []
    known_from = {
        "venues": "SELECT DISTINCT venue FROM liquidations",
        "assets": "SELECT DISTINCT asset FROM liquidations UNION SELECT DISTINCT asset FROM prices",
    }
    for parameter, sql in known_from.items():
        if wanted := split_names(values.get(parameter, "")):
            known = {name for (name,) in connection.execute(sql).fetchall() if name is not None}
            lines += close_names(wanted, known, parameter)
    return lines


def split_names(text: str) -> list[str]:
    "The names of a comma-separated list, trimmed."
    return [name for name in (part.strip() for part in text.split(",")) if name]


def close_names(names: Iterable[str], known: Iterable[str], parameter: str) -> list[str]:
    "One line for each of `names` that is not `known`, with the nearest known one."
    folded = {name.lower(): name for name in sorted(known)}
    lines = []
    for name in names:
        if name not in folded.values():
            close = difflib.get_close_matches(name.lower(), folded, n=1)
            hint = f"; did you mean {folded[close[0]]}?" if close else ""
            lines.append(f"{parameter}: the database knows no {name}{hint}")
    return lines


def simulated_rows(connection: duckdb.DuckDBPyConnection, query: Query | None = None) -> list[str]:
    "One line for each simulated chain or source whose rows an answer may hold."
    what = "this answer" if query is None else query.name
    return [f"{said}: rows of it in {what} are no real liquidations" for said in simulated.sentences(connection)]


def window_of(connection: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, str]) -> Window | None:
    "The window asked for; an edge left at its default is the first or last stored time. None: nothing is stored."
    edges = connection.execute(
        "SELECT min(first_at), max(last_at) FROM ("
        "SELECT min(liquidated_at) AS first_at, max(liquidated_at) AS last_at FROM liquidations "
        "UNION ALL SELECT min(from_at), max(to_at) FROM coverage)"
    ).fetchall()[0]
    asked = {name: values[name] for name in ("since", "until") if name in query.parameters and name in values}
    since, until = (
        instant(connection, name, asked[name]) if name in asked else edge
        for name, edge in zip(("since", "until"), edges, strict=True)
    )
    if since is None or until is None:
        return None
    return Window(since, until)


def instant(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> dt.datetime:
    "The time written in `text`; raises UserError with the parameter's name."
    try:
        found: dt.datetime = connection.execute("SELECT CAST(? AS TIMESTAMP)", [utc(text)]).fetchall()[0][0]
    except duckdb.Error as error:
        raise UserError(f"{name}={text}: not a TIMESTAMP: {one_line(error)}") from error
    return found


def coverage_lines(connection: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, str]) -> list[str]:
    "Per source in play, the covered share of the window and of the lookback, where there is one, and the gaps."
    window = window_of(connection, query, values)
    if window is None:
        return ["nothing is stored and nothing is covered: an empty answer proves nothing"]
    if window.since >= window.until:
        return [f"the window {window} is empty: since must be before until"] if "since" in values else []
    found = covered(connection, query, values, window)
    days = lookback_days(query, values)
    past = Window(window.since - dt.timedelta(days=days), window.since)
    before = covered(connection, query, values, past) if days else {}
    whole, lines = [], []
    for (name, chain), (missing, gaps) in found.items():
        label = f"{name} ({chain})" if chain else name
        missing_before, _ = before.get((name, chain), (0.0, []))
        if not (missing or missing_before):
            whole.append(label)
            continue
        lookback = f"; {share(past, missing_before)} of the {days} days before" if days else ""
        lines.append(f"{label}: {share(window, missing)} of {window} covered{lookback}{gaps_text(gaps)}")
    if whole:
        lines.insert(0, f"{window}: all covered for {', '.join(whole)}")
    return lines or [f"{window}: no source in play is covered: an empty answer proves nothing"]


def lookback_days(query: Query, values: Mapping[str, str]) -> int:
    "Days before the window that the question reads too."
    if "lookback_days" not in query.parameters:
        return 0
    return int(float(values.get("lookback_days", query.parameters["lookback_days"].default)))


def covered(
    connection: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, str], window: Window
) -> dict[tuple[str, str | None], tuple[float, list[list[dt.datetime]]]]:
    "Per source in play (venue or data set, chain): seconds of the window that are not covered, and the gaps."
    venues = values.get("venues", "") if "venues" in query.parameters else ""
    kind = query.parameters["venue_kind"].default if "venue_kind" in query.parameters else "all"
    body = re.sub(r"--.*", "", query.sql)
    settings = {
        "since": window.since,
        "until": window.until,
        "kind": values.get("venue_kind", kind).strip(),
        "venues": split_names(venues),
        "liquidations": bool(READS_LIQUIDATIONS.search(body)),
        "others": [prefix for prefix, pattern in OTHER_DATASETS.items() if pattern.search(body)],
    }
    rows = connection.execute(COVERED, settings).fetchall()
    return {(name, chain): (missing, gaps or []) for name, chain, missing, gaps in rows}


def share(window: Window, missing_seconds: float) -> str:
    "The covered share in per cent, never rounded up to 100."
    length = (window.until - window.since).total_seconds()
    if missing_seconds <= 0:
        return "100 %"
    return f"{min(100 * (1 - missing_seconds / length), 99.9):.1f} %"


def gaps_text(gaps: list[list[dt.datetime]]) -> str:
    "The first gaps and how many more there are."
    if not gaps:
        return ""
    shown = ", ".join(str(Window(first, last)) for first, last in gaps[:MOST_GAPS])
    more = f" and {len(gaps) - MOST_GAPS} more" if len(gaps) > MOST_GAPS else ""
    return f"; not covered: {shown}{more}"
