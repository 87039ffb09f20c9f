"""One liquidation night in a notebook; each `# %%` is a cell. `indexer demo` makes the database it asks."""

# %% Open a database. It is only read; a writer can have the file once it is closed.
import os
from pathlib import Path

import duckdb
import polars as pl

import indexer
from indexer import pack

database = Path(os.environ.get("INDEXER_DB", "demo/demo.duckdb"))
night = indexer.open(database)
print(night.queries().select("name", "title"))

# %% A question of the pack gives a polars DataFrame. What the reader must know of its records comes apart.
venues = night.query("structure/market_split", split="venue")
print("\n".join(night.notes("structure/market_split")))
print(venues.select("key", "forced_usd", "total_share", "n_accounts"))

# %% Parameters are numbers, texts, times or lists; `help` shows them with their defaults.
print(night.help("cascades"))
cascades = night.query("cascades", floor_usd=100_000, venues=["aave_v3", "compound_v2"])
print(cascades.select("cascade_id", "forced_usd", "n_accounts", "long_share").sort("forced_usd", descending=True))

# %% SQL of one's own, and the same as Arrow.
hourly = night.sql(
    "SELECT date_trunc('hour', liquidated_at) AS hour_at, side, sum(forced_usd) AS usd, count(*) AS n"
    " FROM liquidations WHERE is_headline GROUP BY hour_at, side ORDER BY hour_at, side"
)
print(hourly.pivot("side", index="hour_at", values="usd").with_columns(pl.exclude("hour_at").fill_null(0)))
print(night.query_arrow("whales/largest_liquidated", top=3).schema)

# %% The same file in DuckDB alone: set variables, run the file.
with duckdb.connect(str(database), read_only=True) as connection:
    connection.execute("SET VARIABLE split = 'venue'")
    same = connection.sql((pack.folder() / "structure" / "market_split.sql").read_text()).fetchall()
print(same == venues.rows())

# %%
night.close()
