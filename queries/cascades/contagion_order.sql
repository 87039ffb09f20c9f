-- Who fell first
--
-- In which order did assets and venues reach half of their share?
--
-- column: cascade_id   VARCHAR    Key and start: quote it together with the parameters.
-- column: dimension    VARCHAR    asset or venue.
-- column: key          VARCHAR    Which one; unknown where a row names no asset.
-- column: forced_usd   DOUBLE     Its value in the cascade, in US dollars at the time.
-- column: total_share  DOUBLE     Of the cascade's value.
-- column: first_at     TIMESTAMP  Its first row.
-- column: t10_at       TIMESTAMP  When a tenth of its own value was reached.
-- column: t50_at       TIMESTAMP  When half of it was reached.
-- column: lag_seconds  DOUBLE     From the half of reference_asset, or of the earliest venue, to its own.

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
SET VARIABLE reference_asset = coalesce(getvariable('reference_asset')::VARCHAR, 'BTC');  -- asset others are compared with

-- Differences below the coarsest block time in use, 12 s, are no order: clocks of chains do not agree more closely.
WITH spans AS MATERIALIZED (
  SELECT cascade_id, key, start_at, end_at FROM cascade_spans(getvariable('cascade_id'))
), members AS MATERIALIZED (
  SELECT cascade_id, venue, coalesce(asset, 'unknown') AS asset, liquidated_at, forced_usd FROM cascade_members('spans')
), instants AS (
  SELECT cascade_id, 'asset' AS dimension, asset AS key, liquidated_at, sum(forced_usd) AS usd FROM members GROUP BY ALL
  UNION ALL
  SELECT cascade_id, 'venue', venue, liquidated_at, sum(forced_usd) FROM members GROUP BY ALL
), running AS (
  SELECT cascade_id, dimension, key, liquidated_at, usd,
    sum(usd) OVER (PARTITION BY cascade_id, dimension, key ORDER BY liquidated_at) AS so_far,
    sum(usd) OVER (PARTITION BY cascade_id, dimension, key) * (1 - 1e-12) AS total  -- a sum's last digit decides nothing
  FROM instants
), reached AS (
  SELECT cascade_id, dimension, key, sum(usd) AS usd, min(liquidated_at) AS first_at,
    min(liquidated_at) FILTER (WHERE so_far >= total / 10) AS t10_at,
    min(liquidated_at) FILTER (WHERE so_far >= total / 2) AS t50_at
  FROM running GROUP BY ALL
), compared AS (
  SELECT cascade_id, dimension, key, usd, first_at, t10_at, t50_at,
    usd / nullif(sum(usd) OVER (PARTITION BY cascade_id, dimension), 0) AS total_share,
    min(t50_at) FILTER (WHERE dimension = 'venue' OR key = getvariable('reference_asset'))
      OVER (PARTITION BY cascade_id, dimension) AS from_at
  FROM reached
)
SELECT compared.cascade_id, dimension, compared.key, usd AS forced_usd, total_share, first_at, t10_at, t50_at,
  (epoch_us(t50_at) - epoch_us(from_at)) / 1e6 AS lag_seconds
FROM compared JOIN spans ON spans.cascade_id = compared.cascade_id
ORDER BY start_at, compared.cascade_id, dimension, t50_at NULLS LAST, compared.key;
