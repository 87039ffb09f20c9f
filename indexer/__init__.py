"""Liquidations of EVM protocols, Hyperliquid and exchanges in one DuckDB file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.database import Database

__version__ = "0.1.0"


def open(path: str | Path) -> Database:  # noqa: A001 - said as `indexer.open`, like `gzip.open`
    """The database at `path`, to be asked and never changed; see `indexer.database.Database`.

    Raises UserError (no such file) and StoreError (in use by a writer, not a database), one line each with the remedy.
    """
    from indexer.database import Database  # noqa: PLC0415 - the package alone loads neither duckdb nor polars

    return Database(path)
