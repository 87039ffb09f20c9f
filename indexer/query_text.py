"""The question pack as text: the list by theme, the help of one question."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.pack import Query


def listing(queries: Mapping[str, Query]) -> str:
    "Every question by theme, one line each."
    width = max((len(name) for name in queries), default=0)
    lines = []
    for theme, names in groupby(queries, key=lambda name: name.split("/")[0]):
        lines += ["", theme, *(f"  {name:<{width}}  {_first_sentence(queries[name].question)}" for name in names)]
    lines += ["", "`indexer query NAME --help` shows parameters and columns."]
    return "\n".join(lines[1:])


def described(query: Query) -> str:
    "Title, question, parameters with type and default, and columns of one question."
    options = [
        (f"-p {name}={parameter.default or 'TEXT'}", parameter.type, parameter.help)
        for name, parameter in query.parameters.items()
    ]
    columns = [(name, column.type, column.meaning) for name, column in query.columns.items()]
    blocks = [f"{query.name}: {query.title}", query.question, "Parameters, with their defaults:", *_aligned(options)]
    return "\n".join([*blocks[:1], "", blocks[1], "", *blocks[2:], "", "Columns:", *_aligned(columns)])


def values(assignments: Sequence[str]) -> dict[str, str]:
    "Parameter values from NAME=VALUE texts; raises UserError for one of another form and for a name given twice."
    given: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UserError(f"-p {assignment}: give NAME=VALUE")
        if name.strip() in given:
            raise UserError(f"-p {name.strip()} is given twice; give it once")
        given[name.strip()] = value
    return given


def _first_sentence(question: str) -> str:
    before, mark, _ = question.partition("?")
    return before + mark


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["  none"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
