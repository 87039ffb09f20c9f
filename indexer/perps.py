"""Perps of a numbered market in SQL: the asset its market was named with, and that asset's price where no event states one."""

# What the stored rows of a chain lack; the event's own figures stay.
LEGS = """
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
VALUED = {
    "price": "price_usd",
    "forced_usd": "size * price_usd",
    "price_source": "price_source",
    "price_at": "price_at",
}
# After the prices of the legs are known.
WRITE = f"""
UPDATE liquidations SET asset = r.asset,
  {", ".join(f"{name} = CASE WHEN r.is_stated THEN liquidations.{name} ELSE r.new_{name} END" for name in VALUED)}
FROM (SELECT leg_id, asset, is_stated, {", ".join(f"{value} AS new_{name}" for name, value in VALUED.items())}
      FROM perp_rows LEFT JOIN leg_prices USING (leg_id)) r
WHERE liquidations.rowid = r.leg_id AND (liquidations.asset IS DISTINCT FROM r.asset
  OR (NOT r.is_stated AND (liquidations.price IS DISTINCT FROM r.new_price
    OR liquidations.price_source IS DISTINCT FROM r.new_price_source)))
"""
