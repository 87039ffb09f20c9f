"""New rows on their way into `liquidations`: each combination of market and tokens is looked up once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer import pricing, store
from indexer.perp_values import PERP_COLUMNS, PERPS

if TYPE_CHECKING:
    import duckdb

KEY = ("protocol", *pricing.COMBINATION)
NAMED = ("collateral_market", "debt_market")  # columns of valuation_inputs that stand for a token
VIEWS = """
CREATE OR REPLACE TEMP VIEW distinct_ones AS FROM staged_combinations;
CREATE OR REPLACE TEMP VIEW targets AS
SELECT row_id, event_id, block_number, log_index, liquidated_at, kind, collateral_raw, debt_raw, protocol_fee_usd, combination
FROM staged WHERE sector IN ('lending', 'cdp');
CREATE OR REPLACE TEMP VIEW inputs AS FROM staged_inputs
"""
NO_PERPS = f"""
CREATE OR REPLACE TEMP TABLE perps AS
SELECT event_id, {", ".join(PERP_COLUMNS)} FROM liquidations LIMIT 0
"""
# A row of `staged` is valued as lending or CDP (v), as a perp (p), or stands as it came.
LENT = {name: f"v.{name}" for name in pricing.VALUED} | {"forced_usd": "v.seized_usd"}
PERP = {name: f"p.{name}" for name in PERP_COLUMNS}
SHOWN = {
    name: f"CASE WHEN v.row_id IS NOT NULL THEN {LENT.get(name, 's.' + name)}"
    f" WHEN p.event_id IS NOT NULL THEN {PERP.get(name, 's.' + name)} ELSE s.{name} END AS {name}"
    for name in LENT | PERP
}
INSERT = f"""
INSERT INTO liquidations BY NAME
SELECT s.* EXCLUDE (row_id, combination) REPLACE (k.is_headline AS is_headline, {", ".join(SHOWN.values())})
FROM staged s JOIN kinds k USING (kind) LEFT JOIN outcome v ON v.row_id = s.row_id LEFT JOIN perps p ON p.event_id = s.event_id
"""


class Valuer:
    "Values and stores the derived rows of one chain on one connection; `close` frees what it registered."

    def __init__(self, connection: duckdb.DuckDBPyConnection, chain: str) -> None:
        self.connection = connection
        self.chain = chain
        self.seen = pl.DataFrame(schema={**dict.fromkeys(KEY, pl.String()), "combination": pl.Int64()})
        self.columns = {name: store.columns(connection, name) for name in ("liquidations", "valuation_inputs")}
        self.is_prepared = False

    def stage(self, tables: dict[str, pl.DataFrame]) -> bool:
        """Register the rows of `tables` as the views `staged` and `staged_inputs`; whether they name something new.

        `staged` has the columns of `liquidations`, a `row_id` and the `combination` of market and tokens.
        """
        inputs = store.completed(tables.get("valuation_inputs", pl.DataFrame()), self.columns["valuation_inputs"])
        rows = store.completed(tables.get("liquidations", pl.DataFrame()), self.columns["liquidations"])
        named = inputs.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in NAMED))
        if named.is_empty():
            keys = rows.select(
                *(name for name in KEY if name not in NAMED), *(pl.lit(None, pl.String).alias(name) for name in NAMED)
            )
        else:
            keys = rows.join(named.select("event_id", *NAMED), on="event_id", how="left", maintain_order="left")
        keys = keys.select(KEY)
        fresh = keys.unique().join(self.seen, on=KEY, how="anti", nulls_equal=True)
        if not fresh.is_empty():
            first = self.seen.height
            numbered = (
                fresh.sort(KEY).with_row_index("combination", first).select(*KEY, pl.col("combination").cast(pl.Int64))
            )
            self.seen = pl.concat([self.seen, numbered])
        found = keys.join(self.seen, on=KEY, how="left", nulls_equal=True, maintain_order="left")
        rows = rows.with_columns(found["combination"]).with_row_index("row_id")
        for name, frame in (("staged", rows), ("staged_inputs", inputs), ("staged_combinations", self.seen)):
            self.connection.register(name, store.arrow(frame))
        self.has_perps = not rows.filter(pl.col("sector") == "perp").is_empty()
        return not fresh.is_empty()

    def insert(self, *, is_new: bool) -> None:
        "Store the staged rows, valued; `is_new`: combinations, markets or tokens came since the last time."
        execute = self.connection.execute
        if not self.is_prepared:
            pricing.known(self.connection, self.chain)
        execute(VIEWS)
        if is_new or not self.is_prepared:
            execute(pricing.COMBINATIONS)
        execute(PERPS.format(table="staged") if self.has_perps else NO_PERPS)
        pricing.resolve(self.connection)
        execute(INSERT)
        self.is_prepared = True
