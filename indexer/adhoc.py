"""SQL of the user's own, against a store that it cannot change."""

from __future__ import annotations

import re

import duckdb

from indexer.errors import UserError
from indexer.query import computed, one_line

EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?(\s*\([^)]*\))?\s", re.IGNORECASE)
SET_VARIABLE = re.compile(r"SET\s+VARIABLE\s", re.IGNORECASE)


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The rows of the last statement of `sql`, computed; those before it may only set variables.

    Raises UserError in one line for a statement that could change anything (the store or a file) and for SQL that
    DuckDB refuses.
    """
    cursor = connection.cursor()
    try:
        statements = [statement.query for statement in cursor.extract_statements(sql)]
        for statement in statements:
            kinds = {inner.type.name for inner in cursor.extract_statements(EXPLAIN.sub("", statement, count=1))}
            if SET_VARIABLE.search(statement):
                kinds.discard("SET")
            if kinds - {"SELECT"}:
                raise UserError(f"{', '.join(sorted(kinds - {'SELECT'}))}: `indexer sql` only reads; give a SELECT")
        if not statements:
            raise UserError("no statement; give a SELECT")
        for statement in statements[:-1]:
            cursor.execute(statement).fetchall()
        return computed(cursor.sql(statements[-1]))
    except duckdb.Error as error:
        raise UserError(one_line(error)) from error
