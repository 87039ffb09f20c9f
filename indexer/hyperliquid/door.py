"""A database that is open only while something is stored, so that others can read it in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import store

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb


class Door:
    "The connection to a database: opened when it is asked for, closed when told."

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.opened: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        "The open connection; raises StoreError while another process has the file."
        if self.opened is None:
            self.opened = store.connect(self.path)
        return self.opened

    def close(self) -> None:
        "Let others have the file."
        if self.opened is not None:
            self.opened.close()
            self.opened = None
