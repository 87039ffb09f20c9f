"""The question files of queries/: find, read and check them."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARATION = re.compile(
    r"^SET VARIABLE (?P<name>\w+) = coalesce\(getvariable\('(?P<used>\w+)'\)::(?P<type>[A-Z]+), (?P<default>.*)\);"
    r"\s+-- (?P<help>.+)$",
    re.MULTILINE,
)
COLUMN = re.compile(r"^column:\s+(?P<name>\w+)\s+(?P<type>[A-Z]\S*)\s+(?P<meaning>\S.*)$")
USED = re.compile(r"getvariable\('(\w+)'\)")
# Parameters of few values.
CHOICES = {
    "venue_kind": ("defi", "cefi", "all"),
    "scope": ("all", "asset", "venue"),
    "split": ("side", "asset", "venue", "kind", "chain", "protocol", "sector", "hour", "day"),
}


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
