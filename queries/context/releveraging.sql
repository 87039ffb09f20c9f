-- Leverage up, price not
--
-- On which days had open interest grown while the price had not, and what followed?
--
-- column: day               DATE     UTC day.
-- column: asset             VARCHAR  Asset.
-- column: oi_units          DOUBLE   Open interest at the end of the day, in coins, one side.
-- column: oi_change         DOUBLE   Its change over oi_days, of the venues present on both days.
-- column: price_change      DOUBLE   Change of the price over the same days.
-- column: oi_rank_share     DOUBLE   Share of the 365 days before with less open interest.
-- column: funding_annual    DOUBLE   Mean funding rate of the day, as a yearly share.
-- column: is_signal         BOOLEAN  Open interest up by oi_up, price by no more than price_up.
-- column: forward_drawdown  DOUBLE   Lowest price of the next forward_days over this day's price, less 1; at most 0.
-- column: signal_hit_share  DOUBLE   Of the asset's signal days: share followed by a fall of at least drawdown.
-- column: base_hit_share    DOUBLE   The same of all its days: a signal means nothing without it.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE oi_days = coalesce(getvariable('oi_days')::BIGINT, 7);  -- days over which open interest and price are compared
SET VARIABLE oi_up = coalesce(getvariable('oi_up')::DOUBLE, 0.10);  -- signal: open interest rose at least this share
SET VARIABLE price_up = coalesce(getvariable('price_up')::DOUBLE, 0.02);  -- signal: price rose at most this share
SET VARIABLE forward_days = coalesce(getvariable('forward_days')::BIGINT, 7);  -- days after in which a fall counts
SET VARIABLE drawdown = coalesce(getvariable('drawdown')::DOUBLE, 0.10);  -- fall that counts as a hit

-- Coins, not US dollars: the value of open interest moves with the price.
WITH markets AS (
  SELECT observed_at::DATE AS day, venue, asset, units / sides AS units
  FROM open_interest
  WHERE units / sides IS NOT NULL AND asset IS NOT NULL
    AND (trim(getvariable('venues')) = '' OR list_contains(names_in(getvariable('venues')), venue))
    AND (trim(getvariable('assets')) = '' OR list_contains(names_in(getvariable('assets')), asset))
  QUALIFY row_number() OVER (PARTITION BY venue, market, asset, observed_at::DATE ORDER BY observed_at DESC, source) = 1
), interest AS MATERIALIZED (
  SELECT day, venue, asset, sum(units) AS units FROM markets GROUP BY ALL
), changes AS (
  SELECT now.day AS day, now.asset AS asset, sum(now.units) / nullif(sum(past.units), 0) - 1 AS oi_change
  FROM interest AS now JOIN interest AS past
    ON past.venue = now.venue AND past.asset = now.asset AND past.day = now.day - getvariable('oi_days')::INTEGER
  GROUP BY ALL
), totals AS MATERIALIZED (
  SELECT day, asset, sum(units) AS units FROM interest GROUP BY ALL
), wanted AS (
  SELECT day, asset, units FROM totals WHERE day >= getvariable('since') AND day < getvariable('until')
), standing AS (
  SELECT mine.day AS day, mine.asset AS asset, avg((other.units < mine.units)::INTEGER) AS rank_share
  FROM range(1, 366) AS back (n), wanted AS mine, totals AS other
  WHERE other.asset = mine.asset AND other.day = mine.day - back.n::INTEGER
  GROUP BY ALL
), paths AS MATERIALIZED (
  SELECT asset, day, close_usd, last_day, min(low_usd) OVER (PARTITION BY asset
    ORDER BY day - DATE '1970-01-01' RANGE BETWEEN 1 FOLLOWING AND getvariable('forward_days') FOLLOWING) AS next_low_usd
  FROM daily_prices('wanted')
), rates AS (
  SELECT asset, observed_at::DATE AS day, avg(rate * 86400 * 365 / nullif(interval_seconds, 0)) AS funding_annual
  FROM funding WHERE trim(getvariable('venues')) = '' OR list_contains(names_in(getvariable('venues')), venue)
  GROUP BY ALL
), signals AS (
  SELECT wanted.day AS day, wanted.asset AS asset, units, oi_change, today.close_usd / past.close_usd - 1 AS price_change,
    rank_share, funding_annual, round(oi_change, 12) >= getvariable('oi_up')
      AND round(price_change, 12) <= getvariable('price_up') AS is_signal,
    CASE WHEN today.last_day >= wanted.day + getvariable('forward_days')::INTEGER AND today.next_low_usd IS NOT NULL
      THEN least(today.next_low_usd / today.close_usd - 1, 0) END AS fall
  FROM wanted
  LEFT JOIN changes ON changes.asset = wanted.asset AND changes.day = wanted.day
  LEFT JOIN standing ON standing.asset = wanted.asset AND standing.day = wanted.day
  LEFT JOIN paths AS today ON today.asset = wanted.asset AND today.day = wanted.day
  LEFT JOIN paths AS past ON past.asset = wanted.asset AND past.day = wanted.day - getvariable('oi_days')::INTEGER
  LEFT JOIN rates ON rates.asset = wanted.asset AND rates.day = wanted.day
)
SELECT day, asset, units AS oi_units, oi_change, price_change, rank_share AS oi_rank_share, funding_annual, is_signal,
  fall AS forward_drawdown, avg((round(fall, 12) <= -getvariable('drawdown'))::INTEGER) FILTER (WHERE is_signal)
    OVER (PARTITION BY asset) AS signal_hit_share,
  avg((round(fall, 12) <= -getvariable('drawdown'))::INTEGER) OVER (PARTITION BY asset) AS base_hit_share
FROM signals
ORDER BY day, asset;
