-- Liquidation cascades
--
-- When did liquidations bunch, how large, how fast?
--
-- column: cascade_id        VARCHAR    Key and start: quote it together with the parameters.
-- column: key               VARCHAR    What the cascade was found within: all, an asset or a venue.
-- column: start_at          TIMESTAMP  Left edge of the first hot bucket.
-- column: end_at            TIMESTAMP  Right edge of the last hot bucket, excluded.
-- column: duration_seconds  BIGINT     From start to end.
-- column: forced_usd        DOUBLE     Value liquidated, in US dollars at the time.
-- column: n_events          BIGINT     Rows from start to end.
-- column: n_accounts        BIGINT     Accounts; a row without account counts as its own.
-- column: n_venues          BIGINT     Venues.
-- column: n_unpriced        BIGINT     Rows without value.
-- column: long_share        DOUBLE     Share of the value that closed longs.
-- column: peak_at           TIMESTAMP  Left edge of the largest hot bucket, the earliest of equals.
-- column: peak_usd          DOUBLE     Its value.
-- column: half_seconds      BIGINT     From the first row until half of the value was reached.
-- column: hot_share         DOUBLE     Share of the value inside hot buckets.
-- column: largest_asset     VARCHAR    Asset with the largest value.

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

WITH islands AS MATERIALIZED (
  SELECT island, cascade_id, key, start_at, end_at, peak_at, peak_usd, hot_usd
  FROM numbered_islands(getvariable('cascade_id'))
), members AS MATERIALIZED (
  SELECT island, bucket_at, venue, asset, side = 'long' AS is_long, liquidated_at, forced_usd,
    CASE WHEN account IS NOT NULL THEN hash(account) END AS account
  FROM island_members('islands')
), cells AS MATERIALIZED ( -- what the rows add up to, where their order does not matter
  SELECT island, bucket_at, venue, asset, is_long, sum(forced_usd) AS usd, count(*) AS n_events,
    count(*) - count(forced_usd) AS n_unpriced, min(liquidated_at) AS first_at
  FROM members GROUP BY ALL
), buckets AS (
  SELECT island, bucket_at, sum(usd) OVER (PARTITION BY island ORDER BY bucket_at) - usd AS usd_before,
    sum(usd) OVER (PARTITION BY island ORDER BY bucket_at) AS so_far,
    sum(usd) OVER (PARTITION BY island) * (0.5 - 1e-12) AS half_usd -- sums that are equal may differ in their last digit
  FROM (SELECT island, bucket_at, coalesce(sum(usd), 0) AS usd FROM cells GROUP BY ALL)
), turns AS (
  SELECT island, half_usd, min(bucket_at) AS bucket_at, min(usd_before) AS usd_before
  FROM buckets WHERE so_far >= half_usd GROUP BY island, half_usd
), halves AS (
  SELECT turns.island AS island, liquidated_at,
    usd_before + sum(forced_usd) OVER (PARTITION BY turns.island ORDER BY liquidated_at) >= half_usd AS is_reached
  FROM members JOIN turns ON turns.island = members.island AND turns.bucket_at = members.bucket_at
), assets AS (
  SELECT island, first(asset ORDER BY usd DESC NULLS LAST, asset) AS largest_asset
  FROM (SELECT island, coalesce(asset, 'unknown') AS asset, sum(usd) AS usd FROM cells GROUP BY ALL)
  GROUP BY island
), totals AS (
  SELECT island, sum(usd) AS forced_usd, sum(n_events)::BIGINT AS n_events, count(DISTINCT venue) AS n_venues,
    sum(n_unpriced)::BIGINT AS n_unpriced, sum(usd) FILTER (WHERE is_long) AS long_usd, min(first_at) AS first_at
  FROM cells GROUP BY island
)
SELECT cascade_id, key, start_at, end_at, seconds_between(start_at, end_at) AS duration_seconds, forced_usd, n_events,
  n_accounts, n_venues, n_unpriced, coalesce(long_usd, 0) / forced_usd AS long_share, peak_at, peak_usd,
  seconds_between(first_at, half_at) AS half_seconds, hot_usd / forced_usd AS hot_share, largest_asset
FROM islands
JOIN island_accounts('members') AS accounts ON accounts.island = islands.island
JOIN totals ON totals.island = islands.island
JOIN (SELECT island, min(liquidated_at) AS half_at FROM halves WHERE is_reached GROUP BY island) AS reached
  ON reached.island = islands.island
JOIN assets ON assets.island = islands.island
WHERE n_accounts >= getvariable('min_accounts')
ORDER BY start_at, key;
