"""What stored flows are worth and which of them are legs of another act, from tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import pricing
from indexer.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from indexer.plan import Member

EVERYTHING = Range(0, 2**62)
CHUNK_ROWS = 200_000  # flows valued at once

LISTED = """
CREATE OR REPLACE TEMP TABLE listed_tokens AS
SELECT address, symbol, decimals, coalesce(asset, upper(symbol)) AS asset, kind, source <> 'rpc' AS is_listed
FROM tokens WHERE chain = ?
UNION ALL SELECT address, symbol, decimals, asset, 'volatile', true FROM native_tokens
"""

# Values flows of a table by position. A market's share (a cToken) is no unit of its underlying: it keeps its own name and has
# no price here.
TARGETS = """
CREATE OR REPLACE TEMP TABLE flow_targets AS
WITH shares AS (
  SELECT DISTINCT market FROM markets WHERE chain = $chain AND debt_token IS NOT NULL AND market LIKE '0x%'
    AND market IN (SELECT address FROM tokens WHERE chain = $chain)
), chosen AS (
  SELECT f.rowid AS row_id, f.block_number, f.log_index, f.flowed_at, f.amount_raw, f.amount_float,
    coalesce(f.token, CASE f.token_of WHEN 'collateral_token' THEN m.collateral_token ELSE m.debt_token END) AS token
  FROM {table} f LEFT JOIN markets m ON m.chain = f.chain AND m.venue = f.venue AND m.market = f.market
  WHERE f.chain = $chain AND f.source = 'rpc' AND f.block_number BETWEEN $first AND $last
    AND NOT EXISTS (SELECT 1 FROM fresh WHERE f.block_number BETWEEN fresh.first_block AND fresh.last_block)
)
SELECT c.row_id, c.block_number, c.log_index, c.flowed_at, c.token, t.symbol, t.kind,
  CASE WHEN shares.market IS NULL THEN t.asset ELSE upper(t.symbol) END AS asset,
  coalesce(t.is_listed AND shares.market IS NULL, false) AS is_listed,
  coalesce(c.amount_raw::DOUBLE, c.amount_float) / pow(10, t.decimals) AS amount
FROM chosen c
LEFT JOIN listed_tokens t ON t.address = c.token
LEFT JOIN shares ON shares.market = c.token
"""

LEGS = f"""
CREATE OR REPLACE TEMP TABLE legs AS
SELECT row_id AS leg_id, $chain AS chain, flowed_at AS happened_at, {pricing.PLACE.format("f")} AS place,
  upper(symbol) AS own_key, asset AS asset_key, kind, is_listed
FROM flow_targets f
"""

VALUED = """
CREATE OR REPLACE TEMP TABLE flow_values AS
SELECT f.row_id, f.token, f.asset, f.amount, f.amount * p.price_usd AS usd,
  CASE WHEN f.amount IS NOT NULL THEN p.price_source END AS price_source
FROM flow_targets f LEFT JOIN leg_prices p ON p.leg_id = f.row_id
"""

SET = ("token", "asset", "amount", "usd", "price_source")
CHANGED = f"""
CREATE OR REPLACE TEMP TABLE changed_flows AS
SELECT v.* FROM flow_values v JOIN flow_rows f ON f.rowid = v.row_id
WHERE {" OR ".join(f"f.{name} IS DISTINCT FROM v.{name}" for name in SET)}
"""
WRITE = f"""
UPDATE flow_rows SET {", ".join(f"{name} = v.{name}" for name in SET)}
FROM changed_flows v WHERE flow_rows.rowid = v.row_id
"""
# Transfers below the threshold of a token that is read whole, unless someone labelled is in them.
SMALL = """
CREATE OR REPLACE TEMP TABLE small AS
SELECT s.rowid AS row_id, s.block_number, s.log_index
FROM staged_flows s JOIN flow_values v ON v.row_id = s.rowid
WHERE s.kind = 'transfer' AND v.usd < $least AND s.token IN (SELECT unnest($tokens::VARCHAR[]))
  AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.address IN (s.from_address, s.to_address) AND (l.chain IS NULL OR l.chain = $chain))
"""
INSERT = f"""
INSERT INTO flow_rows BY NAME
SELECT s.* REPLACE ({", ".join(f"v.{name} AS {name}" for name in SET)})
FROM staged_flows s JOIN flow_values v ON v.row_id = s.rowid
WHERE s.rowid NOT IN (SELECT row_id FROM small)
"""

# What moved tokens in a transaction and says so in an event of its own: who paid in or received, and to or from where.
ACTS = """
CREATE OR REPLACE TEMP TABLE acts AS
WITH loans AS (
  SELECT tx_hash, log_index, block_number, token, amount_raw, amount_float, from_address, to_address,
    kind IN ('supply', 'repay', 'bridge_out') AS is_in
  FROM flow_rows
  WHERE chain = $chain AND kind IN ('supply', 'withdraw', 'borrow', 'repay', 'bridge_in', 'bridge_out')
    AND tx_hash IS NOT NULL AND block_number BETWEEN $first AND $last
),
liquidated AS (
  SELECT l.tx_hash, l.log_index, l.block_number, account, liquidator, market, collateral_token, collateral_raw, debt_token,
    debt_raw, collateral_float, debt_float
  FROM liquidations l LEFT JOIN valuation_inputs v ON v.event_id = l.event_id
  WHERE l.chain = $chain AND tx_hash IS NOT NULL AND l.block_number BETWEEN $first AND $last
)
SELECT block_number, tx_hash, log_index, token, amount_raw, amount_float, is_in,
  CASE WHEN is_in THEN from_address ELSE to_address END AS party,
  CASE WHEN is_in THEN to_address ELSE from_address END AS contract, NULL AS account
FROM loans
UNION ALL
SELECT block_number, tx_hash, log_index, debt_token, debt_raw, debt_float, true, liquidator, market, account FROM liquidated
UNION ALL
SELECT block_number, tx_hash, log_index, collateral_token, collateral_raw, collateral_float, false, liquidator, collateral_token,
  account FROM liquidated
"""

# A transfer is the leg of an act of its transaction that moved this much of this token on this side. Of more such transfers
# than acts only the nearest of each act is. A share that its own market hands out, takes back or seizes is a leg as well,
# and so is what a liquidation repays or withdraws in the name of the liquidated account.
MARKED = """
CREATE OR REPLACE TEMP TABLE leg_rows AS
WITH transfers AS (
  SELECT f.block_number, f.tx_hash, f.log_index, f.token, f.amount_raw, f.amount_float, f.from_address, f.to_address
  FROM flow_rows f
  WHERE f.chain = $chain AND f.kind = 'transfer' AND f.block_number BETWEEN $first AND $last
    AND f.tx_hash IN (SELECT tx_hash FROM acts)
),
matched AS (
  SELECT t.block_number, t.log_index, a.log_index AS act, t.tx_hash, t.token, t.amount_raw, a.is_in,
    row_number() OVER (PARTITION BY a.tx_hash, a.log_index, a.is_in ORDER BY abs(t.log_index - a.log_index), t.log_index) AS nearness
  FROM transfers t JOIN acts a ON a.block_number = t.block_number AND a.tx_hash = t.tx_hash AND a.token = t.token
    AND a.amount_raw IS NOT DISTINCT FROM t.amount_raw AND (a.amount_raw IS NOT NULL OR a.amount_float = t.amount_float)
    AND CASE WHEN a.is_in THEN t.from_address = a.party OR t.to_address = a.contract
      ELSE t.to_address = a.party OR t.from_address = a.contract END
),
counted AS (
  SELECT tx_hash, token, amount_raw, is_in, count(DISTINCT log_index) AS n_transfers, count(DISTINCT act) AS n_acts
  FROM matched GROUP BY ALL
)
SELECT m.block_number, m.log_index FROM matched m
JOIN counted c ON c.tx_hash = m.tx_hash AND c.token = m.token AND c.amount_raw IS NOT DISTINCT FROM m.amount_raw AND c.is_in = m.is_in
WHERE n_transfers <= n_acts OR nearness = 1
UNION
SELECT t.block_number, t.log_index FROM transfers t JOIN acts a ON a.block_number = t.block_number AND a.tx_hash = t.tx_hash
WHERE (a.contract = t.token AND (t.from_address = t.token OR t.to_address = t.token))
  OR (a.token = t.token AND NOT a.is_in AND t.from_address = a.account)
UNION
SELECT f.block_number, f.log_index
FROM flow_rows f JOIN liquidations l ON l.chain = f.chain AND l.block_number = f.block_number AND l.tx_hash = f.tx_hash
  AND l.venue = f.venue AND l.account = f.account
WHERE f.chain = $chain AND f.block_number BETWEEN $first AND $last
  AND ((f.kind = 'repay' AND f.amount_raw = l.debt_raw) OR (f.kind = 'withdraw' AND f.amount_raw = l.collateral_raw))
"""

MARK = """
UPDATE flow_rows SET is_leg = NOT coalesce(is_leg, false)
WHERE chain = $chain AND block_number BETWEEN $first AND $last
  AND coalesce(is_leg, false) IS DISTINCT FROM ((block_number, log_index) IN (SELECT block_number, log_index FROM leg_rows))
"""


def insert(connection: duckdb.DuckDBPyConnection, chain: str, members: Sequence[Member]) -> None:
    """Store the rows of the temporary table `staged_flows` (columns of `flow_rows`), valued.

    Of tokens that `members` read whole from some value on, smaller transfers are forgotten with their logs. What a
    labelled address sent or received stays, and what has no known value.
    """
    prepare(connection, chain, ())
    value(connection, chain, EVERYTHING, "staged_flows")
    least = {member.address: member.min_usd for member in members if member.min_usd}
    threshold = {"chain": chain, "tokens": list(least), "least": min(least.values(), default=0.0)}
    connection.execute(SMALL, threshold)
    connection.execute(INSERT)
    connection.execute(
        "DELETE FROM raw_logs WHERE chain = ? AND (block_number, log_index) IN (SELECT block_number, log_index FROM small)",
        [chain],
    )


def revalue(
    connection: duckdb.DuckDBPyConnection, chain: str, span: Range = EVERYTHING, fresh: Sequence[Range] = ()
) -> None:
    """Resolve tokens, amounts and US dollar values of stored flows of `chain` in `span` again, but not in `fresh`.

    A row that comes out as it stands is not written.
    """
    prepare(connection, chain, fresh)
    for first, last in chunks(connection, chain, span):
        value(connection, chain, Range(first, last), "flow_rows")
        connection.execute(CHANGED)
        connection.execute(WRITE)


def prepare(connection: duckdb.DuckDBPyConnection, chain: str, fresh: Sequence[Range]) -> None:
    "Temporary tables that the statements read."
    pricing.known(connection, chain, fresh)
    connection.execute(LISTED, [chain])


def value(connection: duckdb.DuckDBPyConnection, chain: str, span: Range, table: str) -> None:
    "Temporary table `flow_values`: what the flows of `table` in `span` are worth, by their rowid."
    connection.execute(TARGETS.format(table=table), {"chain": chain, "first": span.first, "last": span.last})
    connection.execute(LEGS, {"chain": chain})
    pricing.price_legs(connection)
    connection.execute(VALUED)


def mark_legs(connection: duckdb.DuckDBPyConnection, chain: str, span: Range = EVERYTHING) -> None:
    "Mark every flow of `chain` in `span` that is part of another act of its transaction, and no other."
    for first, last in chunks(connection, chain, span):
        for statement in (ACTS, MARKED, MARK):
            connection.execute(statement, {"chain": chain, "first": first, "last": last})


def mark_all_legs(connection: duckdb.DuckDBPyConnection) -> None:
    "Mark legs on every chain: what a file brings may hold the act of a stored transfer, or its transfers."
    chains = connection.execute(
        "SELECT DISTINCT chain FROM flow_rows WHERE chain IS NOT NULL AND tx_hash IS NOT NULL ORDER BY 1"
    )
    for (chain,) in chains.fetchall():
        mark_legs(connection, chain)


def chunks(connection: duckdb.DuckDBPyConnection, chain: str, span: Range) -> list[tuple[int, int]]:
    "Block ranges that hold every flow of `chain` in `span`, each with about CHUNK_ROWS of them; none without flows."
    rows = connection.execute(
        "SELECT min(block_number), max(block_number) FROM (SELECT block_number, sum(n) OVER (ORDER BY block_number) // ? AS part"
        " FROM (SELECT block_number, count(*) AS n FROM flow_rows WHERE chain = ? AND block_number BETWEEN ? AND ?"
        " GROUP BY block_number)) GROUP BY part ORDER BY 1",
        [CHUNK_ROWS, chain, span.first, span.last],
    )
    return [(first, last) for first, last in rows.fetchall()]
