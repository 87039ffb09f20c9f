-- Waves inside a cascade
--
-- Did it come in waves, each lower than the last?
--
-- column: cascade_id     VARCHAR    Key and start: quote it together with the parameters.
-- column: wave           BIGINT     Number of the wave, from 1.
-- column: wave_start_at  TIMESTAMP  Left edge of its first bucket: the trough before it.
-- column: peak_at        TIMESTAMP  Left edge of its largest bucket, the earliest of equals.
-- column: wave_end_at    TIMESTAMP  Right edge of its last bucket, excluded.
-- column: forced_usd     DOUBLE     Value liquidated in the wave, in US dollars at the time.
-- column: peak_usd       DOUBLE     Value of the largest bucket.
-- column: n_events       BIGINT     Rows.
-- column: gap_seconds    BIGINT     From the peak of the wave before to this peak.
-- column: price_low      DOUBLE     Lowest price of the cascade's largest asset inside the wave, in US dollars.
-- column: is_lower_low   BOOLEAN    Whether it lies below that of the wave before.

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
SET VARIABLE smooth_buckets = coalesce(getvariable('smooth_buckets')::BIGINT, 3);  -- centred moving average, odd
SET VARIABLE trough = coalesce(getvariable('trough')::DOUBLE, 0.5);  -- depth that separates two waves

WITH RECURSIVE spans AS MATERIALIZED (
  SELECT cascade_id, key, start_at, end_at FROM cascade_spans(getvariable('cascade_id'))
), members AS MATERIALIZED (
  SELECT cascade_id, bucket_at, asset, forced_usd FROM cascade_members('spans')
), largest AS (
  SELECT cascade_id, first(asset ORDER BY usd DESC NULLS LAST, asset) AS asset FROM (
    SELECT cascade_id, coalesce(asset, 'unknown') AS asset, sum(forced_usd) AS usd FROM members GROUP BY ALL)
  GROUP BY cascade_id
), buckets AS MATERIALIZED (
  SELECT cascade_id, bucket_at, coalesce(sum(forced_usd), 0) AS usd, count(members.bucket_at) AS n_events,
    row_number() OVER (PARTITION BY cascade_id ORDER BY bucket_at) AS i
  FROM (SELECT cascade_id, unnest(range(start_at, end_at, seconds_long(getvariable('bucket_seconds')))) AS bucket_at FROM spans)
  LEFT JOIN members USING (cascade_id, bucket_at)
  GROUP BY cascade_id, bucket_at
), smoothed AS MATERIALIZED (
  SELECT cascade_id, i, round(avg(usd) OVER (PARTITION BY cascade_id ORDER BY i
    ROWS BETWEEN getvariable('smooth_buckets') // 2 PRECEDING AND getvariable('smooth_buckets') // 2 FOLLOWING), 6) AS x
  FROM buckets
), walk AS (  -- peak and lowest since it, of the wave so far; began_at: the bucket where a new wave turned out to begin
  SELECT cascade_id, i, x AS peak, x AS low, i AS low_i, 1::BIGINT AS began_i FROM smoothed WHERE i = 1
  UNION ALL
  SELECT cascade_id, i, CASE WHEN is_new OR x > peak THEN x ELSE peak END, CASE WHEN moves THEN x ELSE low END,
    CASE WHEN moves THEN i ELSE low_i END, CASE WHEN is_new THEN low_i END
  FROM (SELECT s.cascade_id AS cascade_id, s.i AS i, x, peak, low, low_i,
      low < getvariable('trough') * least(peak, x) AS is_new, is_new OR x > peak OR x <= low AS moves
    FROM walk JOIN smoothed AS s ON s.cascade_id = walk.cascade_id AND s.i = walk.i + 1)
), waves AS (
  SELECT cascade_id, bucket_at, usd, n_events, count(began_i) OVER (PARTITION BY cascade_id ORDER BY buckets.i) AS wave
  FROM buckets LEFT JOIN (SELECT DISTINCT cascade_id, began_i, began_i AS i FROM walk) AS begins USING (cascade_id, i)
), lows AS (
  SELECT cascade_id, wave, min(price_usd) AS price_low
  FROM waves JOIN largest USING (cascade_id)
  JOIN prices ON prices.asset = largest.asset AND bucket_of(getvariable('bucket_seconds'), priced_at) = bucket_at
  WHERE priced_at >= (SELECT min(start_at) FROM spans) AND priced_at < (SELECT max(end_at) FROM spans) GROUP BY ALL
), totals AS (
  SELECT cascade_id, wave, min(bucket_at) AS start_at, max(bucket_at) AS last_at,
    first(bucket_at ORDER BY usd DESC, bucket_at) AS peak_at, max(usd) AS peak_usd, sum(usd) AS usd,
    sum(n_events)::BIGINT AS n_events
  FROM waves GROUP BY ALL
)
SELECT cascade_id, wave, start_at AS wave_start_at, peak_at,
  last_at + seconds_long(getvariable('bucket_seconds')) AS wave_end_at, usd AS forced_usd, peak_usd, n_events,
  seconds_between(lag(peak_at) OVER one, peak_at) AS gap_seconds, price_low,
  price_low < lag(price_low) OVER one AS is_lower_low
FROM totals LEFT JOIN lows USING (cascade_id, wave)
WINDOW one AS (PARTITION BY cascade_id ORDER BY wave)
ORDER BY cascade_id, wave;
