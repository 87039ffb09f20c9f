"""A database of liquidations in Python: questions of the pack or SQL in, polars or Arrow out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import duckdb
import polars as pl

from indexer import adhoc, pack, query, query_coverage, query_text, store
from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

# What a parameter takes: None is its default, a list is joined by commas, a time without a zone is UTC.
Value: TypeAlias = "str | float | dt.date | Sequence[str] | None"
# Arrow has no 128-bit integer: by version DuckDB hands these out as a DOUBLE, a text or a DECIMAL.
WIDE = ("HUGEINT", "UHUGEINT", "BIGNUM")


class Database:
    """A database file, open for reading; a context manager. No method changes the file.

    Every method raises UserError, one line that ends in the remedy, where the command line exits with 2, and once the
    database is closed.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file at `path`.

        Raises UserError (no such file) and StoreError (in use by a writer, not a database).
        """
        self.path = Path(path)
        self._connection: duckdb.DuckDBPyConnection | None = store.connect(path, read_only=True)

    def query(self, name: str, /, **parameters: Value) -> pl.DataFrame:
        """The answer to question `name` (theme/file, or the file's name alone): the columns that `help` lists, in order.

        `parameters` are those of the question, e.g. `since="2025-10-10"`, `top=10`, `venues=["aave_v3", "spark"]`;
        those not given have their defaults. Times are UTC without a zone, counts Int64, money Float64, unknown null.
        Raises UserError for a name that is no question (with the nearest ones) and for a value that does not fit;
        UnknownParameter, a UserError, for a parameter that the question does not have.
        """
        return frame(self._answer(name, parameters))

    def query_arrow(self, name: str, /, **parameters: Value) -> pa.Table:
        "The answer of `query` as an Arrow table."
        return table(self._answer(name, parameters))

    def sql(self, statement: str) -> pl.DataFrame:
        """The rows of one SELECT; statements before it may only set variables.

        Integers wider than 64 bits (a sum of counts) are Decimal(38, 0). Raises UserError for a statement that could
        change anything and for SQL that DuckDB refuses.
        """
        return frame(adhoc.run(self._open(), statement))

    def sql_arrow(self, statement: str) -> pa.Table:
        "The rows of `sql` as an Arrow table."
        return table(adhoc.run(self._open(), statement))

    def notes(self, name: str, /, **parameters: Value) -> list[str]:
        """What the reader of `query(name, **parameters)` must know of its records, as the command line says on stderr.

        One line each: what share of the window is covered by source, names the database does not know, simulated
        chains. Raises as `query`.
        """
        return query_coverage.narrate(self._open(), pack.named(name), texts(parameters))

    def queries(self) -> pl.DataFrame:
        "The pack: one row a question, ordered by name; columns name, title, question (String) and parameters (list of names)."
        questions = pack.find().values()
        return pl.DataFrame(
            {
                "name": [one.name for one in questions],
                "title": [one.title for one in questions],
                "question": [one.question for one in questions],
                "parameters": [list(one.parameters) for one in questions],
            }
        )

    def help(self, name: str) -> str:
        "Title, question, parameters with type and default, and columns of question `name`. Raises UserError."
        return query_text.described(pack.named(name))

    def close(self) -> None:
        "Let go of the file, so that a writer can have it; closing twice is closing once."
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._connection is not None else ", closed"
        return f"<indexer database {self.path}{state}>"

    def _answer(self, name: str, parameters: dict[str, Value]) -> duckdb.DuckDBPyRelation:
        return query.run(self._open(), pack.named(name), texts(parameters))

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            raise UserError(f"{self.path}: closed; open it again with indexer.open")
        return self._connection


def texts(parameters: dict[str, Value]) -> dict[str, str]:
    "Parameter values as the text that the command line takes; raises UserError for a kind of value that none can be."
    return {name: text(name, value) for name, value in parameters.items() if value is not None}


def text(name: str, value: Value) -> str:
    "One value as text; raises UserError with the parameter's name."
    if isinstance(value, str):
        return value
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(one, str) for one in value):
        return ",".join(sorted(value) if isinstance(value, set | frozenset) else value)
    raise UserError(f"{name}={value!r}: give a text, a number, a date or time, or a list of texts")


def frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    "The rows as polars has them."
    return pl.DataFrame(pl.from_arrow(table(relation)))


def table(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    "The rows as an Arrow table, integers wider than 64 bits as DECIMAL(38, 0); raises UserError for one beyond that."
    wide = [str(kind) in WIDE for kind in relation.types]
    try:
        if any(wide):
            names = ['"' + name.replace('"', '""') + '"' for name in relation.columns]
            columns = [
                f"{name}::DECIMAL(38, 0) AS {name}" if is_wide else name
                for name, is_wide in zip(names, wide, strict=True)
            ]
            relation = relation.project(", ".join(columns))
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise UserError(query.one_line(error)) from error
