"""Answers as text or files: a readable table, exact CSV and JSON, Parquet."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import math
import re
import shutil
from typing import TYPE_CHECKING, Any

from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TextIO

    import duckdb

FORMATS = ("table", "csv", "json", "parquet")
# Parquet has no 128-bit integer: DuckDB 2.0 writes these as DOUBLE or text without a word.
INEXACT = ("HUGEINT", "UHUGEINT", "BIGNUM")
TO_QUOTE = re.compile(r'[",\r\n]|^$|^\s|\s$')
EXACT: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (bool, lambda value: str(value).lower()),
    ((dt.datetime, dt.date, dt.time), lambda value: value.isoformat()),
    (decimal.Decimal, lambda value: f"{value:f}"),
    (bytes, lambda value: "0x" + value.hex()),
    ((list, dict, tuple), lambda value: json.dumps(value, default=exact)),
)
NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL"}
)
FEW = 3  # rows: so few are easier to read as blocks
MOST_BANDS = 4
LONG_HEX = re.compile(r"0x[0-9a-f]{20,}")


def write(relation: duckdb.DuckDBPyRelation, form: str, stream: TextIO, output: Path | None = None) -> None:
    """Write the rows of `relation` in `form` to `output`, or to `stream`.

    CSV and JSON are exact: every float in the shortest form that reads back equal, instants in ISO 8601 UTC, NULL as
    nothing (an empty text is quoted) or null. Parquet needs `output`. Raises UserError.
    """
    if form not in FORMATS:
        raise UserError(f"{form}: no such format; use one of {', '.join(FORMATS)}")
    if form == "parquet":
        parquet(relation, output)
        return
    width = 0
    if output is None and stream.isatty():
        width = shutil.get_terminal_size().columns
    text = table(relation, width) if form == "table" else {"csv": csv_text, "json": json_text}[form](relation)
    if output is None:
        stream.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}; give another --output") from error


def parquet(relation: duckdb.DuckDBPyRelation, output: Path | None) -> None:
    "A Parquet file at `output`; raises UserError for a column that it would not keep exactly."
    if output is None:
        raise UserError("parquet is not text; give --output FILE")
    for name, column_type in zip(relation.columns, relation.types, strict=True):
        if str(column_type) in INEXACT:
            raise UserError(
                f"{name} is {column_type}, which Parquet would not keep exactly; cast it, e.g. {name}::BIGINT"
            )
    if not output.parent.is_dir():
        raise UserError(f"{output.parent}: no such folder; create it, or give another --output")
    relation.write_parquet(str(output))


def csv_text(relation: duckdb.DuckDBPyRelation) -> str:
    "The rows as CSV with a header line."
    lines = [",".join(map(quoted, relation.columns))]
    lines += [",".join("" if value is None else quoted(exact(value)) for value in row) for row in relation.fetchall()]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    "A CSV field; the empty text is quoted, so that it differs from NULL."
    return '"' + text.replace('"', '""') + '"' if TO_QUOTE.search(text) else text


def exact(value: Any) -> str:  # noqa: ANN401 - whatever DuckDB hands out
    "A value as text from which it can be read back unchanged."
    for kinds, form in EXACT:
        if isinstance(value, kinds):
            return form(value)
    return str(value)


def json_text(relation: duckdb.DuckDBPyRelation) -> str:
    "The rows as a JSON list of objects, one a line."
    names = [json.dumps(name) for name in relation.columns]
    rows = [
        "{" + ", ".join(f"{name}: {json_value(value)}" for name, value in zip(names, row, strict=True)) + "}"
        for row in relation.fetchall()
    ]
    return "[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n"


def json_value(value: Any) -> str:  # noqa: ANN401 - whatever DuckDB hands out
    "A JSON value; NaN and infinities, which JSON lacks, are null; a DECIMAL is text, as readers make it a float."
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if value is None or isinstance(value, bool | int | float | str | list | dict | tuple):
        return json.dumps(value, default=exact, ensure_ascii=False)
    return json.dumps(exact(value), ensure_ascii=False)


def table(relation: duckdb.DuckDBPyRelation, width: int = 0) -> str:
    """The rows for a reader: numbers with separators.

    Where lines would pass `width` (0: no limit) the columns go on in further tables below, each led by the first
    column; where that takes too many of them, or there are few rows, one block a row.
    """
    numeric = [str(one).split("(")[0] in NUMBERS for one in relation.types]
    shown = [readable(name) for name in relation.columns]
    rows = [
        ["" if value is None else form(value) for form, value in zip(shown, row, strict=True)]
        for row in relation.fetchall()
    ]
    if not rows:
        return "no rows\n"
    if width and line_width(relation.columns, rows) > width:
        rows = [[LONG_HEX.sub(lambda hit: hit[0][:6] + "…" + hit[0][-4:], cell) for cell in row] for row in rows]
    if width and line_width(relation.columns, rows) > width:
        parts = bands(relation.columns, rows, width) if len(rows) > FEW else []
        if not 0 < len(parts) <= MOST_BANDS:
            return blocks(relation.columns, rows)
        tables = []
        for part in parts:
            names, cells = [relation.columns[at] for at in part], [[row[at] for at in part] for row in rows]
            tables.append(rich_table(names, cells, [numeric[at] for at in part], line_width(names, cells)))
        return "\n".join(tables)
    return rich_table(relation.columns, rows, numeric, line_width(relation.columns, rows))


def line_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    "Characters of the widest line, two blanks and a rule around each column."
    return sum(max(len(name), *(len(row[at]) for row in rows)) + 3 for at, name in enumerate(columns)) + 1


def bands(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    "Columns by place, the first one leading each list, so that no line passes `width`; none where one alone would."
    widths = [line_width([name], [[row[at]] for row in rows]) - 1 for at, name in enumerate(columns)]
    parts: list[list[int]] = []
    for at in range(1, len(columns)):
        if widths[0] + widths[at] + 1 > width:
            return []
        if not parts or sum(widths[one] for one in parts[-1]) + widths[at] + 1 > width:
            parts.append([0])
        parts[-1].append(at)
    return parts


def blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    "One block of `name  value` lines a row."
    widest = max(map(len, columns))
    each = [
        "\n".join(f"{name:<{widest}}  {cell}".rstrip() for name, cell in zip(columns, row, strict=True)) for row in rows
    ]
    return "\n\n".join(each) + "\n"


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], width: int) -> str:
    "The rows under their column names, numbers to the right."
    from rich import box  # noqa: PLC0415 - 0.1 s that csv and json need not wait for
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, is_number in zip(columns, numeric, strict=True):
        grid.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*map(Text, row))
    paper = io.StringIO()
    Console(file=paper, width=width + 2, color_system=None, legacy_windows=False).print(grid)
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines()) + "\n"


def readable(name: str) -> Callable[[Any], str]:
    "How the values of column `name` are shown to a reader."

    def form(value: Any) -> str:  # noqa: ANN401 - whatever DuckDB hands out
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, dt.datetime):
            return value.isoformat(sep=" ", timespec="milliseconds" if value.microsecond else "seconds")
        if isinstance(value, int) and not name.endswith(("block_number", "_raw")) and name not in {"log_index", "bin"}:
            return f"{value:,}"
        if isinstance(value, float) and math.isfinite(value):
            return number(name, value)
        return exact(value)

    return form


def number(name: str, value: float) -> str:
    "A float for a reader: money to the cent, shares to four places, the rest to six significant digits."
    cent = 0.005
    if name.endswith("_usd") and (value == 0 or abs(value) >= cent):
        return f"{value:,.2f}"
    if name.endswith(("_share", "percentile", "_p")):
        return f"{value:.4f}"
    if name.endswith("_bps"):
        return f"{value:,.1f}"
    large = 1e15
    return f"{value:,.2f}" if 1000 <= abs(value) < large else f"{value:.6g}"  # noqa: PLR2004
