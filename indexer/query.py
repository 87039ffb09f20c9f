"""The question files of queries/: find, read, check and run them."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from indexer.errors import UnknownParameter, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARATION = re.compile(
    r"^SET VARIABLE (?P<name>\w+) = coalesce\(getvariable\('(?P<used>\w+)'\)::(?P<type>[A-Z]+), (?P<default>.*)\);"
    r"\s+-- (?P<help>.+)$",
    re.MULTILINE,
)
COLUMN = re.compile(r"^column:\s+(?P<name>\w+)\s+(?P<type>[A-Z]\S*)\s+(?P<meaning>\S.*)$")
USED = re.compile(r"getvariable\('(\w+)'\)")
# What a value must be beyond its type: a bucket of no length or a quantile above 1 has no meaning in any question.
CHOICES = {
    "venue_kind": ("defi", "cefi", "all"),
    "scope": ("all", "asset", "venue"),
    "split": ("side", "asset", "venue", "kind", "chain", "protocol", "sector", "hour", "day"),
}
POSITIVE = frozenset(
    {"bucket_seconds", "step_seconds", "throttle_seconds", "lead_seconds", "jitter_seconds", "smooth_buckets"}
    | {"smooth_bins", "bin_bps", "oi_days", "forward_days"}
)
SIGNED = frozenset({"oi_up", "price_up"})
FRACTIONS = frozenset({"threshold_quantile", "min_kept_share", "drawdown"})
# Wide enough for a window of any data; beyond it interval arithmetic leaves the range of TIMESTAMP.
SPAN_DAYS = 365 * 400


class Parameter(NamedTuple):
    "What a question can be asked with: DuckDB type, default as text, one line of help."

    type: str
    default: str
    help: str


class Column(NamedTuple):
    "A column of the answer: DuckDB type and one line of meaning."

    type: str
    meaning: str


class Query(NamedTuple):
    "One question: its name is theme/file, its sql runs unchanged in a DuckDB shell."

    name: str
    title: str
    question: str
    parameters: dict[str, Parameter]
    columns: dict[str, Column]
    sql: str


def folder() -> Path:
    "Where the question files stand: inside the package in a wheel, beside it in a checkout."
    inside = Path(__file__).with_name("queries")
    return inside if inside.is_dir() else Path(__file__).parent.parent / "queries"


def find(root: Path | None = None) -> dict[str, Query]:
    "Every question by its name (theme/file), in name order; raises UserError for a file whose header cannot be read."
    home = root or folder()
    paths = sorted(home.glob("*/*.sql"))
    return {
        f"{path.parent.name}/{path.stem}": parse(f"{path.parent.name}/{path.stem}", path.read_text()) for path in paths
    }


def named(name: str, queries: Mapping[str, Query] | None = None) -> Query:
    "The question of that name; the file's name alone is enough where it is unique. Raises UserError."
    pack = find() if queries is None else queries
    wanted = name.strip().removesuffix(".sql").removeprefix("queries/")
    if wanted in pack:
        return pack[wanted]
    matching = [query for full, query in pack.items() if full.split("/")[-1] == wanted]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UserError(
            f"{name}: several questions have this name; give one of {', '.join(one.name for one in matching)}"
        )
    short = {full.split("/")[-1]: full for full in pack} | {full: full for full in pack}
    close = {short[match]: None for match in difflib.get_close_matches(wanted, short, n=3)}
    hint = f"did you mean {' or '.join(close)}?" if close else "`indexer query` lists them"
    raise UserError(f"{name}: no such question; {hint}")


def parse(name: str, sql: str) -> Query:
    "The question declared by a file's text; raises UserError where its header is not of the agreed form."
    lines = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    title = lines[0] if lines else ""
    columns = {}
    prose = []
    for line in lines[1:]:
        if not line.startswith("column:"):
            prose.append(line)
        elif match := COLUMN.match(line):
            columns[match["name"]] = Column(match["type"], match["meaning"].strip())
        else:
            raise UserError(f"queries/{name}.sql: `{line}` is not `column: name TYPE meaning`")
    question = " ".join(part for part in prose if part)
    if not (title and question and columns):
        raise UserError(f"queries/{name}.sql: the header needs a title, a question and its `column:` lines")
    parameters = {
        match["name"]: Parameter(match["type"], match["default"].strip("'"), match["help"].strip())
        for match in DECLARATION.finditer(sql)
    }
    return Query(name, title, question, parameters, columns, sql)


def check(query: Query) -> list[str]:
    "What is wrong with a question's text, one line each: undeclared, misdeclared or unused variables, forbidden words."
    declared = re.findall(r"^\s*SET VARIABLE (\w+)", query.sql, re.MULTILINE)
    wrong = [
        f"{match['name']} is set from getvariable('{match['used']}')"
        for match in DECLARATION.finditer(query.sql)
        if match["name"] != match["used"]
    ]
    wrong += [f"{name} is not declared in the agreed form" for name in declared if name not in query.parameters]
    wrong += [f"{name} is declared twice" for name in sorted(set(declared)) if declared.count(name) > 1]
    wrong += [f"{name} is used and not declared" for name in sorted(set(USED.findall(query.sql)) - set(declared))]
    body = re.sub(r"--.*", "", query.sql)
    forbidden = {
        r"SELECT\s+(?:DISTINCT\s+)?\*": "SELECT *",
        r"\bnow\(\)|\bcurrent_\w+": "the clock",
        r"\brandom\(": "random()",
    }
    wrong += [f"{what} is used" for pattern, what in forbidden.items() if re.search(pattern, body, re.IGNORECASE)]
    if "ORDER BY" not in body.rsplit(")", 1)[-1] and not re.search(r"ORDER BY [^;]*;\s*$", body):
        wrong.append("the answer has no order")
    return wrong


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
