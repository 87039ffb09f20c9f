"""The answers to the questions of queries/."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from typing import TYPE_CHECKING

import duckdb

from indexer.errors import UnknownParameter, UserError
from indexer.pack import CHOICES, Column, Parameter, Query, check, find, folder, named, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Column", "Parameter", "Query", "cast_alone", "check", "checked", "computed", "find", "folder", "named", "one_line",
    "parse", "run", "utc",
]  # fmt: skip

# What a value must be beyond its type: a bucket of no length or a quantile above 1 has no meaning in any question.
POSITIVE = frozenset(
    {"bucket_seconds", "step_seconds", "throttle_seconds", "lead_seconds", "jitter_seconds", "smooth_buckets"}
    | {"smooth_bins", "bin_bps", "oi_days", "forward_days"}
)
SIGNED = frozenset({"oi_up", "price_up"})
FRACTIONS = frozenset({"threshold_quantile", "min_kept_share", "drawdown"})
# Wide enough for a window of any data; beyond it interval arithmetic leaves the range of TIMESTAMP.
SPAN_DAYS = 365 * 400


def run(connection: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, str]) -> duckdb.DuckDBPyRelation:
    """The answer to `query` with `values` (parameter name to text), computed; columns and types as its header declares.

    Uses a cursor of its own, so that no variable stays set. Raises UnknownParameter for a name that the question does
    not declare, and UserError in one line for a value that does not fit its parameter and for any error of the SQL.
    """
    cursor = connection.cursor()
    for name, value in checked(query, values).items():
        cast_alone(cursor, query.parameters[name], name, value)
    try:
        *settings, answer = cursor.extract_statements(query.sql)
        for statement in settings:
            cursor.execute(statement)
        return computed(cursor.sql(answer.query))
    except duckdb.Error as error:
        raise UserError(f"{query.name}: {one_line(error)}") from error


def computed(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    "The relation with its rows at hand: duckdb 2.0 runs an unmaterialized one at every call, 1.5 has no materialize()."
    if hasattr(duckdb.DuckDBPyRelation, "materialize"):
        return relation.materialize()
    relation.execute()  # type: ignore[operator]  # duckdb 2.0, whose types are read here, has no execute()
    return relation


def checked(query: Query, values: Mapping[str, str]) -> dict[str, str]:
    "`values` with every name known to the query; raises UnknownParameter, or UserError where one looks misspelt."
    unknown = sorted(values.keys() - query.parameters.keys())
    for name in unknown:
        if close := difflib.get_close_matches(name, query.parameters, n=1):
            raise UnknownParameter(query.name, [f"{name} (did you mean {close[0]}?)"], list(query.parameters))
    if unknown:
        raise UnknownParameter(query.name, unknown, list(query.parameters))
    return dict(values)


def cast_alone(cursor: duckdb.DuckDBPyConnection, parameter: Parameter, name: str, value: str) -> None:
    "Sets variable `name` to `value` in the parameter's type; raises UserError with the parameter's name."
    text = utc(value) if parameter.type == "TIMESTAMP" else value.strip()
    try:
        cursor.execute(f"SET VARIABLE {name} = CAST(? AS {parameter.type})", [text])
        set_to = cursor.execute("SELECT getvariable(?)", [name]).fetchall()[0][0]
    except duckdb.Error as error:
        raise UserError(f"{name}={value}: not a {parameter.type}: {one_line(error)}") from error
    wrong = None
    if name in CHOICES and set_to not in CHOICES[name]:
        wrong = f"must be one of {', '.join(CHOICES[name])}"
    elif parameter.type in {"BIGINT", "DOUBLE"} and not (set_to >= 0 or name in SIGNED):
        wrong = "must not be negative"
    elif name in POSITIVE and not set_to:
        wrong = "must be above 0"
    elif name in FRACTIONS and not 0 <= set_to <= 1:
        wrong = "must be from 0 to 1"
    elif parameter.type == "BIGINT" and not re.fullmatch(r"[+-]?\d+(?:\.0*)?", text):
        wrong = "must be a whole number"
    elif name.endswith("_days") and set_to > SPAN_DAYS:
        wrong = f"must be at most {SPAN_DAYS}"
    if wrong:
        raise UserError(f"{name}={value}: {wrong}")


def utc(text: str) -> str:
    "An instant as UTC without an offset: DuckDB's cast to TIMESTAMP ignores `+02:00`, and 1.5 refuses `09:00Z`."
    try:
        instant = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return text.strip()
    if instant.tzinfo is None:
        return text.strip()
    return instant.astimezone(dt.UTC).replace(tzinfo=None).isoformat()


def one_line(error: Exception) -> str:
    "The first line of DuckDB's message, without the name of the error's class before it."
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return first.removeprefix("Invalid Input Error: ")
