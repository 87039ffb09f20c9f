"""What tables add to rows of perps: SQL that pricing runs over stored or staged rows."""

from __future__ import annotations

from indexer.deployments import NAMED_TOKENS

# Perps: tokens and assets of the market or of what an id names, sizes and prices once the index token's decimals are known,
# and the notional where the event states it as a multiple of the collateral.
PERPS = f"""
CREATE OR REPLACE TEMP TABLE perps AS
WITH open AS (
  FROM {{table}} WHERE sector = 'perp' AND source = 'rpc' AND chain = getvariable('price_chain')
    AND (asset IS NULL OR size IS NULL OR forced_usd IS NULL OR (collateral_token IS NOT NULL AND collateral_symbol IS NULL))
),
tokens_of AS (
  SELECT market, any_value(token) AS token FROM ({NAMED_TOKENS}) WHERE chain = getvariable('price_chain') GROUP BY market
),
known AS (
  SELECT o.event_id, o.liquidated_at, o.forced_usd AS own_forced_usd, o.price_source AS own_price_source,
    o.price_at AS own_price_at,
    coalesce(o.asset, t.asset, upper(t.symbol)) AS asset, coalesce(o.collateral_token, ct.token) AS collateral_token,
    coalesce(o.collateral_symbol, c.symbol) AS collateral_symbol,
    o.collateral_raw::DOUBLE / pow(10, coalesce(v.collateral_decimals, c.decimals)) AS collateral_amount,
    coalesce(o.size, v.unit_size / pow(10, t.decimals)) AS own_size,
    coalesce(o.price, v.unit_price * pow(10, t.decimals)) AS price,
    coalesce(o.mark_price, v.unit_mark * pow(10, t.decimals)) AS mark_price,
    o.margin_lost_usd, v.event_price, v.notional_multiple, v.lost_multiple
  FROM open o
  LEFT JOIN inputs v ON v.event_id = o.event_id
  LEFT JOIN tokens_of ct ON ct.market = v.collateral_market
  LEFT JOIN tokens_of it ON it.market = v.debt_market
  LEFT JOIN markets m ON m.chain = o.chain AND m.venue = o.venue AND m.market = o.market
  LEFT JOIN tokens t ON t.chain = o.chain AND t.address = coalesce(it.token, m.params ->> 'index_token')
  LEFT JOIN tokens c ON c.chain = o.chain AND c.address = coalesce(o.collateral_token, ct.token)
),
closed AS (
  SELECT *, coalesce(own_forced_usd, collateral_amount * event_price * notional_multiple) AS forced_usd FROM known
)
SELECT event_id, asset, collateral_token, collateral_symbol, collateral_amount, price, mark_price, forced_usd,
  coalesce(own_size, CASE WHEN notional_multiple IS NOT NULL AND price > 0 THEN forced_usd / price END) AS size,
  coalesce(margin_lost_usd, collateral_amount * event_price * lost_multiple) AS margin_lost_usd,
  CASE WHEN own_forced_usd IS NULL AND forced_usd IS NOT NULL THEN 'event' ELSE own_price_source END AS price_source,
  coalesce(own_price_at, CASE WHEN own_forced_usd IS NULL AND forced_usd IS NOT NULL THEN liquidated_at END) AS price_at
FROM closed
"""
PERP_COLUMNS = (
    "asset", "collateral_token", "collateral_symbol", "collateral_amount", "size", "price", "mark_price", "forced_usd",
    "margin_lost_usd", "price_source", "price_at",
)  # fmt: skip
WRITE_PERPS = f"""
UPDATE liquidations AS l SET {", ".join(f"{name} = p.{name}" for name in PERP_COLUMNS)}
FROM perps p WHERE l.event_id = p.event_id AND ({" OR ".join(f"l.{name} IS DISTINCT FROM p.{name}" for name in PERP_COLUMNS)})
"""

# Perps whose event states no price: valued at the price of the asset that their market was named with.
# What the stored rows of a chain lack; the event's own figures stay.
PERP_LEGS = """
CREATE OR REPLACE TEMP TABLE perp_rows AS
SELECT l.rowid AS leg_id, l.liquidated_at, l.block_number * 1000000 + l.log_index AS place, l.size,
  coalesce(l.asset, upper(m.params ->> 'asset')) AS asset,
  coalesce(l.price_source = 'event', l.price IS NOT NULL OR l.forced_usd IS NOT NULL) AS is_stated
FROM liquidations l LEFT JOIN markets m ON m.chain = l.chain AND m.venue = l.venue AND m.market = l.market
WHERE l.source = 'rpc' AND l.chain = getvariable('price_chain') AND l.sector = 'perp' AND l.size IS NOT NULL
  AND (l.asset IS NULL OR l.price_source IS DISTINCT FROM 'event');
CREATE OR REPLACE TEMP TABLE legs AS
SELECT leg_id, getvariable('price_chain') AS chain, liquidated_at AS happened_at, place, asset AS own_key, asset AS asset_key,
  'volatile' AS kind, true AS is_listed
FROM perp_rows WHERE asset IS NOT NULL AND NOT is_stated
"""
PRICED = {
    "price": "price_usd",
    "forced_usd": "size * price_usd",
    "price_source": "price_source",
    "price_at": "price_at",
}
# After the prices of the legs are known.
WRITE_PRICED = f"""
UPDATE liquidations SET asset = r.asset,
  {", ".join(f"{name} = CASE WHEN r.is_stated THEN liquidations.{name} ELSE r.new_{name} END" for name in PRICED)}
FROM (SELECT leg_id, asset, is_stated, {", ".join(f"{value} AS new_{name}" for name, value in PRICED.items())}
      FROM perp_rows LEFT JOIN leg_prices USING (leg_id)) r
WHERE liquidations.rowid = r.leg_id AND (liquidations.asset IS DISTINCT FROM r.asset
  OR (NOT r.is_stated AND (liquidations.price IS DISTINCT FROM r.new_price
    OR liquidations.price_source IS DISTINCT FROM r.new_price_source)))
"""
