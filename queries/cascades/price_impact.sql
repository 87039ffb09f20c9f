-- Price during and after a cascade
--
-- How far did prices fall, and did they come back?
--
-- column: cascade_id            VARCHAR  Key and start: quote it together with the parameters.
-- column: asset                 VARCHAR  Asset of a member.
-- column: price_before          DOUBLE   Price pre_seconds before the start, in US dollars.
-- column: price_low             DOUBLE   Lowest price from start to end.
-- column: price_end             DOUBLE   Price at the end.
-- column: price_after_5m        DOUBLE   Price 5 minutes after the end.
-- column: price_after_60m       DOUBLE   Price 60 minutes after the end.
-- column: price_after_24h       DOUBLE   Price 24 hours after the end.
-- column: drop_bps              DOUBLE   From price_before to price_low.
-- column: rebound_60m_bps       DOUBLE   From price_low to price_after_60m.
-- column: recovery_60m_share    DOUBLE   Share of the fall made good after 60 minutes.
-- column: placebo_drop_p50_bps  DOUBLE   Median of drop_bps in windows as long, as volatile and without a cascade.
-- column: placebo_drop_p95_bps  DOUBLE   The fall that 95 % of those windows stay within.
-- column: n_placebo             BIGINT   Those windows; with fewer than 20 the two before are NULL.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE bucket_seconds = coalesce(getvariable('bucket_seconds')::BIGINT, 60);  -- bucket of cascade detection and correlation
SET VARIABLE threshold_quantile = coalesce(getvariable('threshold_quantile')::DOUBLE, 0.99);  -- quantile of past buckets above which a bucket is hot
SET VARIABLE lookback_days = coalesce(getvariable('lookback_days')::BIGINT, 30);  -- trailing days for thresholds and placebos
SET VARIABLE floor_usd = coalesce(getvariable('floor_usd')::DOUBLE, 1000000);  -- a bucket below this is never hot
SET VARIABLE gap_seconds = coalesce(getvariable('gap_seconds')::BIGINT, 600);  -- hot buckets at most this far apart are one cascade
SET VARIABLE min_accounts = coalesce(getvariable('min_accounts')::BIGINT, 3);  -- a cascade has at least so many accounts
SET VARIABLE scope = coalesce(getvariable('scope')::VARCHAR, 'all');  -- all, asset or venue: what a cascade is found within
SET VARIABLE cascade_id = coalesce(getvariable('cascade_id')::VARCHAR, '');  -- one cascade; empty: all in the window
SET VARIABLE pre_seconds = coalesce(getvariable('pre_seconds')::BIGINT, 300);  -- price before is read so long before the start
SET VARIABLE max_price_age_seconds = coalesce(getvariable('max_price_age_seconds')::BIGINT, 120);  -- an older price is NULL

-- Window 0 is the cascade. Window and bucket edges lie on granules of the greatest length that divides both.
WITH spans AS MATERIALIZED (
  SELECT cascade_id, key, start_at, end_at FROM cascade_spans(getvariable('cascade_id'))
), struck AS MATERIALIZED (
  SELECT cascade_id, asset, start_at, end_at
  FROM (SELECT DISTINCT cascade_id, asset FROM cascade_members('spans') WHERE asset IS NOT NULL)
  JOIN spans USING (cascade_id)
), windows AS MATERIALIZED (
  SELECT cascade_id, asset, k, start_at, end_at, start_at - seconds_long(getvariable('pre_seconds')) AS wanted_at
  FROM placebo_windows('struck')
), offsets AS (
  SELECT cascade_id, asset, minutes, end_at + to_minutes(minutes) AS wanted_at
  FROM struck, (VALUES (0), (5), (60), (1440)) AS v (minutes)
), later AS (
  SELECT cascade_id, asset, any_value(price_usd) FILTER (WHERE minutes = 0) AS price_end,
    any_value(price_usd) FILTER (WHERE minutes = 5) AS price_after_5m,
    any_value(price_usd) FILTER (WHERE minutes = 60) AS price_after_60m,
    any_value(price_usd) FILTER (WHERE minutes = 1440) AS price_after_24h
  FROM offsets LEFT JOIN prices_at('offsets') AS known USING (asset, wanted_at) GROUP BY ALL
), granules AS (
  SELECT asset, bucket_of(gcd(getvariable('bucket_seconds'), 3600), priced_at) AS granule_at, min(price_usd) AS low_usd
  FROM prices
  WHERE priced_at >= (SELECT min(start_at) FROM windows) AND priced_at < (SELECT max(end_at) FROM windows) GROUP BY ALL
), lows AS (
  SELECT cascade_id, asset, k, min(low_usd) AS price_low
  FROM (SELECT cascade_id, asset, k, unnest(range(start_at, end_at,
    seconds_long(gcd(getvariable('bucket_seconds'), 3600)))) AS granule_at FROM windows)
  JOIN granules USING (asset, granule_at) GROUP BY ALL
), falls AS MATERIALIZED (
  SELECT cascade_id, asset, k, price_usd AS price_before, price_low, (price_low / price_before - 1) * 10000 AS drop_bps
  FROM windows LEFT JOIN prices_at('windows') AS known USING (asset, wanted_at)
  LEFT JOIN lows USING (cascade_id, asset, k)
), placebos AS (
  SELECT cascade_id, asset, count(drop_bps) AS n_placebo, quantile_cont(drop_bps, 0.5) AS p50, quantile_cont(drop_bps, 0.05) AS p95
  FROM falls WHERE k > 0 GROUP BY ALL
)
SELECT cascade_id, asset, price_before, price_low, price_end, price_after_5m, price_after_60m, price_after_24h, drop_bps,
  (price_after_60m / price_low - 1) * 10000 AS rebound_60m_bps,
  (price_after_60m - price_low) / nullif(price_before - price_low, 0) AS recovery_60m_share,
  CASE WHEN n_placebo >= 20 THEN p50 END AS placebo_drop_p50_bps,
  CASE WHEN n_placebo >= 20 THEN p95 END AS placebo_drop_p95_bps, coalesce(n_placebo, 0) AS n_placebo
FROM falls JOIN spans USING (cascade_id) JOIN later USING (cascade_id, asset) LEFT JOIN placebos USING (cascade_id, asset)
WHERE k = 0
ORDER BY start_at, cascade_id, asset;
