"""What of a store is made up: simulated chains, and sources of simulated records of exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

SOURCE = "_simulated"  # ends the name of a source whose records no venue sent: binance_simulated
UNMARKED = frozenset({"false", "0", "no"})


def chains(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "The simulated chains, in order."
    return [name for name in _marked(connection) if not name.endswith(SOURCE)]


def sources(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "The sources of simulated records, in order."
    return [name for name in _marked(connection) if name.endswith(SOURCE)]


def sentences(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "One beginning of a sentence each: devnet is a simulated chain, binance_simulated is a simulated source."
    return [
        *(f"{name} is a simulated chain" for name in chains(connection)),
        *(f"{name} is a simulated source" for name in sources(connection)),
    ]


def _marked(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = connection.execute("SELECT name, value FROM facts WHERE name LIKE 'simulated:%' ORDER BY name").fetchall()
    return [name.removeprefix("simulated:") for name, value in found if str(value).lower() not in UNMARKED]
