"""US dollar values with provenance: tokens, sides and values of rows, from tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from indexer import builtin
from indexer.deployments import NAMED_TOKENS
from indexer.perp_values import PERP_LEGS, PERPS, WRITE_PERPS, WRITE_PRICED
from indexer.ranges import merge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb

    from indexer.ranges import Range

DEFAULT_AGE_SECONDS = 25 * 3600  # where a feed declares no heartbeat
FLOOR_AGE_SECONDS = 600  # feeds declared at 27 or 60 s arrive later under load
OFF_CHAIN_AGE_SECONDS = 600  # a mark, trade or kline that stands in for a missing oracle answer
# A place in the chain as one number: blocks hold fewer than a million logs.
PLACE = "{0}.block_number * 1000000 + {0}.log_index"

AGES = f"""
CREATE OR REPLACE TEMP TABLE feed_ages AS
SELECT chain, 'chainlink:' || address AS source,
  CASE WHEN heartbeat_seconds IS NULL THEN {DEFAULT_AGE_SECONDS}
    ELSE greatest(2 * heartbeat_seconds, {FLOOR_AGE_SECONDS}) END AS max_age_seconds
FROM feeds
"""

# legs: leg_id, chain, happened_at, place, own_key, asset_key, kind, is_listed -> leg_prices: leg_id, price_usd, price_source, price_at
LEG_PRICES = f"""
CREATE OR REPLACE TEMP TABLE leg_prices AS
WITH answers AS (
  SELECT asset, chain, {PLACE.format("p")} AS place, price_usd, p.source, priced_at
  FROM prices p WHERE chain = getvariable('price_chain') AND block_number IS NOT NULL
    AND priced_at BETWEEN getvariable('usable_since') AND getvariable('usable_until')
),
keys AS (
  SELECT leg_id, chain, happened_at, place, own_key AS key, 1 AS preference FROM legs WHERE is_listed AND own_key IS NOT NULL
  UNION ALL
  SELECT leg_id, chain, happened_at, place, asset_key, 2 FROM legs
  WHERE is_listed AND kind IN ('stable', 'volatile') AND asset_key IS DISTINCT FROM own_key AND asset_key IS NOT NULL
),
direct AS (
  SELECT k.leg_id, k.preference, a.price_usd, a.source AS price_source, a.priced_at AS price_at
  FROM keys k ASOF JOIN answers a ON a.asset = k.key AND a.chain = k.chain AND a.place < k.place
  JOIN feed_ages f ON f.chain = k.chain AND f.source = a.source
  WHERE k.happened_at <= a.priced_at + to_seconds(f.max_age_seconds)
),
ratios AS (
  SELECT r.chain, r.base, r.quote, r.rate, r.rated_at, r.kind, r.source, {PLACE.format("r")} AS place,
    coalesce(f.max_age_seconds, {DEFAULT_AGE_SECONDS}) AS max_age_seconds
  FROM rates r LEFT JOIN feed_ages f ON f.chain = r.chain AND f.source = r.source
  WHERE r.log_index IS NOT NULL AND r.chain = getvariable('price_chain')
    AND r.rated_at BETWEEN getvariable('usable_since') AND getvariable('usable_until')
),
pairs AS (SELECT DISTINCT chain, base, quote, kind FROM ratios),
staked AS (
  SELECT l.leg_id, l.chain, l.happened_at, l.place, p.base, p.quote, p.kind
  FROM legs l JOIN pairs p ON p.chain = l.chain AND p.base = l.own_key
  WHERE l.kind = 'staked' AND l.is_listed
),
rated AS (
  SELECT s.leg_id, s.chain, s.happened_at, s.place, s.quote, s.kind, r.rate, r.rated_at, r.source
  FROM staked s ASOF JOIN ratios r
    ON r.chain = s.chain AND r.base = s.base AND r.quote = s.quote AND r.kind = s.kind AND r.place < s.place
  WHERE s.happened_at <= r.rated_at + to_seconds(r.max_age_seconds)
),
chained AS (
  SELECT r.leg_id, CASE r.kind WHEN 'exchange_rate' THEN 3 ELSE 4 END AS preference, r.rate * a.price_usd AS price_usd,
    r.source || '*' || a.source AS price_source, least(r.rated_at, a.priced_at) AS price_at
  FROM rated r ASOF JOIN answers a ON a.asset = r.quote AND a.chain = r.chain AND a.place < r.place
  JOIN feed_ages f ON f.chain = r.chain AND f.source = a.source
  WHERE r.happened_at <= a.priced_at + to_seconds(f.max_age_seconds)
),
elsewhere AS (
  SELECT l.leg_id, 5 AS preference, p.price_usd, p.kind || ':' || p.source AS price_source, p.priced_at AS price_at
  FROM legs l ASOF JOIN (
    FROM prices WHERE block_number IS NULL AND priced_at BETWEEN getvariable('usable_since') AND getvariable('usable_until')
  ) p ON p.asset = l.asset_key AND p.priced_at <= l.happened_at
  WHERE l.is_listed AND l.kind IN ('stable', 'volatile')
    AND l.happened_at <= p.priced_at + to_seconds({OFF_CHAIN_AGE_SECONDS})
),
candidates AS (
  FROM direct UNION ALL BY NAME FROM chained UNION ALL BY NAME FROM elsewhere
  UNION ALL BY NAME SELECT leg_id, 6 AS preference, 1.0 AS price_usd, 'par' AS price_source, NULL::TIMESTAMP AS price_at
    FROM legs WHERE kind = 'stable' AND is_listed
  UNION ALL BY NAME SELECT leg_id, 7 AS preference, NULL::DOUBLE AS price_usd, 'no_rate' AS price_source,
    NULL::TIMESTAMP AS price_at FROM legs WHERE kind = 'staked'
)
SELECT leg_id, price_usd, price_source, price_at
FROM candidates QUALIFY row_number() OVER (PARTITION BY leg_id ORDER BY preference, price_source) = 1
"""

# One row a combination of market and tokens: what is known of the tokens does not depend on the row. `collateral_market` and
# `debt_market` stand for tokens of rows whose event names a market instead, a reserve id for example.
COMBINATION = (
    "venue", "market", "collateral_token", "collateral_symbol", "debt_token", "debt_symbol", "collateral_market", "debt_market",
)  # fmt: skip
CHOSEN = f"""
CREATE OR REPLACE TEMP TABLE chosen AS
SELECT l.rowid AS row_id, l.event_id, l.block_number, l.log_index, l.liquidated_at, l.kind, l.collateral_raw, l.debt_raw,
  l.protocol_fee_usd, {", ".join(COMBINATION)}
FROM liquidations l LEFT JOIN valuation_inputs v ON v.event_id = l.event_id
WHERE l.source = 'rpc' AND l.chain = getvariable('price_chain') AND l.sector IN ('lending', 'cdp')
  AND (l.liquidated_at BETWEEN getvariable('price_since') AND getvariable('price_until') OR l.price_source IS NULL)
  AND NOT EXISTS (SELECT 1 FROM fresh f WHERE l.block_number BETWEEN f.first_block AND f.last_block)
"""
STORED_COMBINATIONS = f"""
CREATE OR REPLACE TEMP TABLE stored_combinations AS
SELECT row_number() OVER () AS combination, * FROM (SELECT DISTINCT {", ".join(COMBINATION)} FROM chosen)
"""
COMBINATIONS = f"""
CREATE OR REPLACE TEMP TABLE combinations AS
WITH listed AS (
  SELECT chain, address, symbol, decimals, coalesce(asset, upper(symbol)) AS asset, kind, source <> 'rpc' AS is_listed
  FROM tokens WHERE chain = getvariable('price_chain')
  UNION ALL SELECT chain, address, symbol, decimals, asset, 'volatile', true FROM native_tokens
),
by_symbol AS (
  SELECT upper(symbol) AS symbol, min(address) AS address FROM listed WHERE is_listed GROUP BY ALL HAVING count(*) = 1
),
own_markets AS (SELECT * FROM markets WHERE chain = getvariable('price_chain')),
clips AS (
  SELECT venue, params ->> 'clip' AS clip, min(market) AS market, min(collateral_token) AS collateral_token
  FROM own_markets WHERE (params ->> 'clip') IS NOT NULL GROUP BY ALL
),
tokens_of AS (
  SELECT market, any_value(token) AS token FROM ({NAMED_TOKENS}) WHERE chain = getvariable('price_chain') GROUP BY market
),
named AS (
  SELECT d.* REPLACE (
      coalesce(ct.token, d.collateral_token) AS collateral_token, coalesce(dt.token, d.debt_token) AS debt_token),
    coalesce(dt.token, d.debt_token) IS NOT NULL AS has_debt_token
  FROM distinct_ones d
  LEFT JOIN tokens_of ct ON ct.market = d.collateral_market
  LEFT JOIN tokens_of dt ON dt.market = d.debt_market
),
placed AS (
  SELECT c.combination, c.venue, c.collateral_symbol, c.debt_symbol, c.has_debt_token, c.collateral_token AS share,
    coalesce(clips.market, c.market) AS market,
    coalesce(c.collateral_token, m.collateral_token, clips.collateral_token, cs.address) AS collateral_token,
    coalesce(c.debt_token, m.debt_token, ds.address) AS debt_token,
    m.params ->> 'base_feed_description' AS base_feed_description
  FROM named c
  LEFT JOIN clips ON clips.venue = c.venue AND clips.clip = c.market
  LEFT JOIN own_markets m ON m.venue = c.venue AND m.market = coalesce(clips.market, c.market)
  LEFT JOIN by_symbol cs ON cs.symbol = upper(c.collateral_symbol)
  LEFT JOIN by_symbol ds ON ds.symbol = upper(c.debt_symbol)
),
described AS (
  SELECT p.*,
    shares.market IS NOT NULL AS is_share, ct.symbol AS c_symbol, ct.decimals AS c_decimals,
    coalesce(ut.decimals, ct.decimals) AS u_decimals, coalesce(ut.symbol, ct.symbol, p.collateral_symbol) AS u_symbol,
    coalesce(ut.asset, ct.asset, upper(p.collateral_symbol)) AS c_asset, coalesce(ut.kind, ct.kind, cd.kind) AS c_kind,
    coalesce(ut.is_listed, ct.is_listed, cd.symbol IS NOT NULL) AS c_listed,
    coalesce(dt.symbol, p.debt_symbol) AS d_symbol, coalesce(dt.decimals, dd.decimals) AS d_decimals,
    coalesce(dt.asset, dd.asset, upper(p.debt_symbol)) AS d_asset, coalesce(dt.kind, dd.kind) AS d_kind,
    coalesce(dt.is_listed, dd.symbol IS NOT NULL) AS d_listed
  FROM placed p
  LEFT JOIN listed ct ON ct.address = p.collateral_token
  LEFT JOIN own_markets shares ON shares.venue = p.venue AND shares.market = p.collateral_token
  LEFT JOIN listed ut ON ut.address = shares.debt_token
  LEFT JOIN listed dt ON dt.address = p.debt_token
  LEFT JOIN declared_tokens cd ON cd.symbol = p.collateral_symbol AND p.collateral_token IS NULL
  LEFT JOIN declared_tokens dd ON dd.symbol = p.debt_symbol AND p.debt_token IS NULL
)
SELECT *,
  c_kind = 'stable' OR (c_kind = 'staked' AND c_asset IN (SELECT asset FROM stable_assets)) AS c_stable,
  d_kind = 'stable' OR (d_kind = 'staked' AND d_asset IN (SELECT asset FROM stable_assets)) AS d_stable,
  coalesce(base_feed_description LIKE '%/ USD', d_kind = 'stable') AS is_dollar_base
FROM described
"""
# The rows to value, by combination: stored ones by what they name, staged ones know theirs.
TARGETS = f"""
CREATE OR REPLACE TEMP TABLE stored_targets AS
SELECT t.row_id, t.event_id, t.block_number, t.log_index, t.liquidated_at, t.kind, t.collateral_raw, t.debt_raw,
  t.protocol_fee_usd, c.combination
FROM chosen t JOIN stored_combinations c ON {" AND ".join(f"c.{name} IS NOT DISTINCT FROM t.{name}" for name in COMBINATION)}
"""
LEGS = f"""
CREATE OR REPLACE TEMP TABLE legs AS
SELECT 2 * t.row_id AS leg_id, getvariable('price_chain') AS chain, t.liquidated_at AS happened_at,
  {PLACE.format("t")} AS place, upper(c.u_symbol) AS own_key, c.c_asset AS asset_key, c.c_kind AS kind, c.c_listed AS is_listed
FROM targets t JOIN combinations c USING (combination) WHERE c.c_kind IS NOT NULL
UNION ALL
SELECT 2 * t.row_id + 1, getvariable('price_chain'), t.liquidated_at, {PLACE.format("t")}, upper(c.d_symbol), c.d_asset,
  c.d_kind, c.d_listed
FROM targets t JOIN combinations c USING (combination) WHERE c.d_kind IS NOT NULL
"""

VALUES = """
CREATE OR REPLACE TEMP TABLE valued AS
WITH amounts AS (
  SELECT t.row_id, t.liquidated_at, t.kind, t.protocol_fee_usd, t.combination, i.is_share, i.c_decimals, i.d_decimals,
    i.c_asset, i.d_asset, i.c_stable, i.d_stable, v.* EXCLUDE (event_id, chain, block_number),
    i.has_debt_token OR t.debt_raw IS NOT NULL AS has_debt, r.rate AS share_rate, r.source AS share_source,
    CASE WHEN i.is_share THEN coalesce(t.collateral_raw::DOUBLE, v.collateral_float) * r.rate / pow(10, i.u_decimals)
      ELSE coalesce(t.collateral_raw::DOUBLE, v.collateral_float) / pow(10, coalesce(v.collateral_decimals, i.c_decimals))
    END AS c_amount,
    coalesce(t.debt_raw::DOUBLE, v.debt_float) / pow(10, coalesce(v.debt_decimals, i.d_decimals)) AS d_amount,
    c.price_usd AS c_price, c.price_source AS c_source, c.price_at AS c_at,
    d.price_usd AS d_price, d.price_source AS d_source,
    CASE WHEN v.event_quote IS NULL THEN NULL WHEN v.event_quote = 'USD' OR i.is_dollar_base THEN 1.0
      ELSE d.price_usd END AS quote_price,
    CASE WHEN v.event_quote = 'USD' OR i.is_dollar_base THEN 'event' ELSE 'event*' || d.price_source END AS quote_source
  FROM targets t
  JOIN combinations i USING (combination)
  LEFT JOIN inputs v ON v.event_id = t.event_id
  LEFT JOIN leg_prices c ON c.leg_id = 2 * t.row_id
  LEFT JOIN leg_prices d ON d.leg_id = 2 * t.row_id + 1
  LEFT JOIN (SELECT base, block_number, any_value(rate) AS rate, any_value(source) AS source
             FROM rates WHERE kind = 'call' AND chain = getvariable('price_chain') AND block_number
               BETWEEN (SELECT min(block_number) FROM targets) AND (SELECT max(block_number) FROM targets) GROUP BY ALL) r
    ON i.is_share AND r.base = i.share AND r.block_number = t.block_number
),
sums AS (
  SELECT *,
    kind IN ('call', 'absorb', 'auction_take', 'redistribution', 'stability_pool') AS is_closed,
    CASE WHEN event_value IS NOT NULL THEN event_value * quote_price
      WHEN event_price IS NOT NULL THEN event_price * c_amount
      ELSE CASE WHEN c_amount = 0 AND seized_debt_raw > 0 THEN 0 ELSE c_price * c_amount END
        + CASE WHEN seized_debt_raw > 0 THEN d_price * seized_debt_raw::DOUBLE / pow(10, coalesce(debt_decimals, d_decimals)) ELSE 0 END
      END AS seized,
    CASE WHEN event_debt_value IS NOT NULL THEN event_debt_value * quote_price ELSE d_price * d_amount END AS repaid,
    CASE WHEN event_value IS NOT NULL THEN quote_source WHEN event_price IS NOT NULL THEN 'event'
      WHEN is_share AND share_rate IS NULL THEN 'no_rate'
      WHEN is_share AND c_price IS NOT NULL THEN share_source || '*' || c_source
      ELSE coalesce(c_source, CASE WHEN seized_debt_raw > 0 THEN d_source END) END AS value_source,
    CASE WHEN event_value IS NOT NULL OR event_price IS NOT NULL THEN liquidated_at ELSE c_at END AS value_at
  FROM amounts
)
SELECT row_id, combination, has_debt OR debt_float IS NOT NULL AS has_debt, c_amount AS collateral_amount,
  d_amount AS debt_amount,
  CASE WHEN NOT is_closed AND kind <> 'auction_start' THEN NULL
    WHEN d_stable AND NOT coalesce(c_stable, false) AND c_asset IS NOT NULL THEN 'long'
    WHEN c_stable AND NOT coalesce(d_stable, false) AND d_asset IS NOT NULL THEN 'short' END AS side,
  CASE WHEN kind = 'bad_debt' THEN d_asset
    WHEN kind NOT IN ('resale') AND c_stable AND NOT coalesce(d_stable, false) AND d_asset IS NOT NULL THEN d_asset
    ELSE c_asset END AS asset,
  CASE WHEN is_closed THEN seized END AS seized_usd,
  CASE WHEN is_closed THEN repaid END AS repaid_usd,
  CASE WHEN kind = 'call' THEN seized - repaid END AS bonus_usd,
  CASE WHEN fee_raw IS NOT NULL THEN CASE WHEN fee_raw = 0 THEN 0.0
      ELSE fee_raw::DOUBLE / pow(10, coalesce(collateral_decimals, c_decimals)) * c_price END
    ELSE protocol_fee_usd END AS protocol_fee_usd,
  CASE WHEN event_bad_debt_value IS NOT NULL THEN event_bad_debt_value * quote_price
    WHEN bad_debt_raw = 0 THEN 0.0
    WHEN bad_debt_raw IS NOT NULL THEN bad_debt_raw::DOUBLE / pow(10, coalesce(debt_decimals, d_decimals)) * d_price
    END AS bad_debt_usd,
  CASE WHEN is_closed THEN CASE WHEN seized IS NOT NULL THEN value_source WHEN value_source = 'no_rate' THEN 'no_rate' END
    WHEN kind = 'bad_debt' THEN CASE WHEN event_bad_debt_value IS NOT NULL THEN quote_source ELSE d_source END
    END AS price_source,
  CASE WHEN is_closed AND seized IS NOT NULL THEN value_at END AS price_at
FROM sums
"""

# What pricing sets; forced_usd of a lending or CDP row is its seized_usd.
VALUED = (
    "market", "collateral_token", "collateral_symbol", "collateral_amount", "debt_token", "debt_symbol", "debt_amount",
    "side", "asset", "seized_usd", "repaid_usd", "bonus_usd", "protocol_fee_usd", "bad_debt_usd", "price_source", "price_at",
)  # fmt: skip
OUTCOME = """
CREATE OR REPLACE TEMP VIEW outcome AS
SELECT v.*, c.market, c.collateral_token, coalesce(c.c_symbol, c.collateral_symbol) AS collateral_symbol,
  CASE WHEN v.has_debt THEN c.debt_token END AS debt_token, CASE WHEN v.has_debt THEN c.d_symbol END AS debt_symbol
FROM valued v JOIN combinations c USING (combination)
"""
CHANGED = f"""
CREATE OR REPLACE TEMP TABLE changed AS
SELECT v.* FROM outcome v JOIN liquidations l ON l.rowid = v.row_id
WHERE {" OR ".join(f"l.{name} IS DISTINCT FROM v.{name}" for name in VALUED)}
"""
WRITE = f"""
UPDATE liquidations SET forced_usd = v.seized_usd, {", ".join(f"{name} = v.{name}" for name in VALUED)}
FROM changed v WHERE liquidations.rowid = v.row_id
"""
STORED = """
CREATE OR REPLACE TEMP VIEW distinct_ones AS FROM stored_combinations;
CREATE OR REPLACE TEMP VIEW targets AS FROM stored_targets;
CREATE OR REPLACE TEMP VIEW inputs AS SELECT * FROM valuation_inputs WHERE chain = getvariable('price_chain')
"""


class Priced(NamedTuple):
    "What one run of pricing left: headline rows of lending and CDP on the chain, and those without a value."

    n_rows: int
    n_unpriced: int


def price(
    connection: duckdb.DuckDBPyConnection,
    chain: str,
    since: datetime | None = None,
    until: datetime | None = None,
    fresh: Sequence[Range] = (),
) -> Priced:
    """Resolve tokens, sides and US dollar values of the stored rows of `chain`.

    Rows in [since, until] and every row without a price are looked at again, but not those of the blocks in `fresh`: they
    were valued when they were stored. A row that comes out as it stands is not written.
    """
    known(connection, chain, fresh)
    connection.execute("SET VARIABLE price_since = coalesce(?::TIMESTAMP, '1970-01-01'::TIMESTAMP)", [since])
    connection.execute("SET VARIABLE price_until = coalesce(?::TIMESTAMP, '2200-01-01'::TIMESTAMP)", [until])
    for statement in (CHOSEN, STORED_COMBINATIONS, TARGETS, STORED, COMBINATIONS):
        connection.execute(statement)
    resolve(connection)
    for statement in (CHANGED, WRITE, PERPS.format(table="liquidations"), WRITE_PERPS):
        connection.execute(statement)
    connection.execute(PERP_LEGS)
    price_legs(connection)
    connection.execute(WRITE_PRICED)
    return counted(connection, chain)


def counted(connection: duckdb.DuckDBPyConnection, chain: str) -> Priced:
    "How many stored rows of `chain` count in totals, and how many of them have no value."
    counts = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE forced_usd IS NULL) FROM liquidations"
        " WHERE chain = ? AND is_headline AND source = 'rpc'",
        [chain],
    ).fetchall()
    return Priced(*counts[0])


def resolve(connection: duckdb.DuckDBPyConnection) -> None:
    "View `outcome`: what the rows of `targets` are worth, by `combinations`, `inputs` and prices."
    connection.execute(LEGS)
    price_legs(connection)
    connection.execute(VALUES)
    connection.execute(OUTCOME)


def price_legs(connection: duckdb.DuckDBPyConnection) -> None:
    "Table `leg_prices`: the price of each of `legs`, from answers that are not too old for any of them."
    ages = connection.execute("SELECT max(max_age_seconds) FROM feed_ages").fetchall()
    longest = max(DEFAULT_AGE_SECONDS, ages[0][0] or 0)
    since, until = connection.execute("SELECT min(happened_at), max(happened_at) FROM legs").fetchall()[0]
    connection.execute("SET VARIABLE usable_since = ?::TIMESTAMP - to_seconds(?)", [since, longest])
    connection.execute("SET VARIABLE usable_until = ?::TIMESTAMP", [until])
    connection.execute(LEG_PRICES)


def known(connection: duckdb.DuckDBPyConnection, chain: str, fresh: Sequence[Range] = ()) -> None:
    "Temporary tables and variables that the statements read; blocks of `fresh` are left out."
    connection.register("declared_rows", builtin.declared().to_arrow())
    connection.register("native_rows", builtin.natives(chain).to_arrow())
    connection.execute("CREATE OR REPLACE TEMP TABLE declared_tokens AS FROM declared_rows")
    connection.execute("CREATE OR REPLACE TEMP TABLE native_tokens AS FROM native_rows")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE stable_assets AS SELECT DISTINCT asset FROM declared_rows WHERE kind = 'stable'"
    )
    connection.unregister("declared_rows")
    connection.unregister("native_rows")
    connection.execute("CREATE OR REPLACE TEMP TABLE fresh (first_block BIGINT, last_block BIGINT)")
    for one in merge(fresh):
        connection.execute("INSERT INTO fresh VALUES (?, ?)", [one.first, one.last])
    connection.execute("SET VARIABLE price_chain = ?", [chain])
    connection.execute(AGES)


def longest_age(connection: duckdb.DuckDBPyConnection, chain: str) -> int:
    "Seconds for which an answer of any feed of `chain` can be used."
    connection.execute(AGES)
    found = connection.execute("SELECT max(max_age_seconds) FROM feed_ages WHERE chain = ?", [chain]).fetchall()
    return int(found[0][0] or DEFAULT_AGE_SECONDS)
