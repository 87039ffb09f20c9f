-- Time and price of realised liquidations
--
-- When, and at which price, were positions of the asset closed?
-- Prices of the liquidations themselves: what happened, not a model of what might. Of a loan of the asset against a
-- stable collateral the debt says the price.
--
-- column: bucket_at   TIMESTAMP  Left edge of the step.
-- column: price_low   DOUBLE     Lower edge of the price cell, in US dollars, included.
-- column: price_high  DOUBLE     Upper edge, excluded but for the highest price.
-- column: forced_usd  DOUBLE     Value liquidated in the cell, in US dollars at the time.
-- column: long_usd    DOUBLE     Of it, longs.
-- column: short_usd   DOUBLE     Of it, shorts.
-- column: n_events    BIGINT     Rows.
SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE step_seconds = coalesce(getvariable('step_seconds')::BIGINT, 3600);  -- row distance of a printed time series
SET VARIABLE reference_asset = coalesce(getvariable('reference_asset')::VARCHAR, 'BTC');  -- asset others are compared with
SET VARIABLE n_cells = coalesce(getvariable('n_cells')::BIGINT, 32);  -- price cells from the lowest to the highest price, logarithmic

WITH priced AS MATERIALIZED (
  SELECT bucket_of(getvariable('step_seconds'), liquidated_at) AS bucket_at, side, forced_usd,
    CASE WHEN sector <> 'perp' AND side = 'short' THEN repaid_usd / nullif(debt_amount, 0)
      ELSE price_of(mark_price, price, seized_usd, collateral_amount) END AS usd_price
  FROM selected()
  WHERE asset = getvariable('reference_asset') AND forced_usd IS NOT NULL
), span AS (
  SELECT ln(min(usd_price)) AS low, greatest(ln(max(usd_price)) - ln(min(usd_price)), 0.002) / getvariable('n_cells') AS width
  FROM priced WHERE usd_price > 0
), placed AS (
  SELECT bucket_at, side, forced_usd, low, width,
    least(floor((ln(usd_price) - low) / width), getvariable('n_cells') - 1) AS cell
  FROM priced CROSS JOIN span WHERE usd_price > 0
)
SELECT bucket_at, exp(any_value(low) + cell * any_value(width)) AS price_low,
  exp(any_value(low) + (cell + 1) * any_value(width)) AS price_high, round(sum(forced_usd), 2) AS forced_usd,
  round(coalesce(sum(forced_usd) FILTER (WHERE side = 'long'), 0), 2) AS long_usd,
  round(coalesce(sum(forced_usd) FILTER (WHERE side = 'short'), 0), 2) AS short_usd, count(*) AS n_events
FROM placed
GROUP BY bucket_at, cell
ORDER BY bucket_at, price_low;
