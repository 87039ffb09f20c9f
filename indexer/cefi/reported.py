"""What third parties stated of real nights: the packaged table with its sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from indexer import store

if TYPE_CHECKING:
    import duckdb

TOTALS = Path(__file__).parents[1] / "data" / "reported_totals.csv"


def load(connection: duckdb.DuckDBPyConnection, path: Path = TOTALS) -> int:
    "Add the rows of the CSV that `reported_totals` has not got yet (all columns are its key); how many there were."
    columns = store.columns(connection, "reported_totals")
    typed = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    with store.transaction(connection):
        ((before,),) = connection.sql("SELECT count(*) FROM reported_totals").fetchall()
        connection.execute(
            "INSERT INTO reported_totals BY NAME"
            f" FROM read_csv($path, header=true, auto_detect=false, columns={{{typed}}})"
            " EXCEPT FROM reported_totals",
            {"path": str(path)},
        )
        ((after,),) = connection.sql("SELECT count(*) FROM reported_totals").fetchall()
    return int(after - before)
