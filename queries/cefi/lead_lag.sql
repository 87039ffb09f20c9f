-- Does CeFi lead?
--
-- Which side moves first, minute by minute?
--
-- column: lag_buckets  BIGINT   How many buckets the CeFi side is read later; positive: CeFi later.
-- column: lag_seconds  BIGINT   The same in seconds.
-- column: r            DOUBLE   Correlation of ln(1 + USD) of both sides at that lag; NULL: a side is constant.
-- column: n_pairs      BIGINT   Pairs of buckets it rests on.
-- column: is_max       BOOLEAN  The largest r.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE bucket_seconds = coalesce(getvariable('bucket_seconds')::BIGINT, 60);  -- bucket of cascade detection and correlation
SET VARIABLE max_lag = coalesce(getvariable('max_lag')::BIGINT, 60);  -- largest lag, in buckets
SET VARIABLE detrend_seconds = coalesce(getvariable('detrend_seconds')::BIGINT, 86400);  -- centred mean removed before correlation; 0: none

-- Buckets that a side does not cover count as zeros: choose a window that both cover. The band of chance is found by
-- circular shifts (indexer/finish.py); 1.96 / sqrt(n) is far too narrow.
WITH sums AS MATERIALIZED (
  SELECT epoch_us(bucket_of(getvariable('bucket_seconds'), liquidated_at)) // (1000000 * getvariable('bucket_seconds')) AS i,
    sum(forced_usd) FILTER (WHERE venue_kind = 'defi') AS defi_usd,
    sum(forced_usd) FILTER (WHERE venue_kind = 'cefi') AS cefi_usd
  FROM selection(getvariable('since'), getvariable('until'), 'all', '', getvariable('assets'), 0)
  GROUP BY i
), spine AS (
  SELECT unnest(range(
    CASE getvariable('since') WHEN TIMESTAMP '1970-01-01' THEN min(i)
      ELSE epoch_us(getvariable('since')) // (1000000 * getvariable('bucket_seconds')) END,
    CASE getvariable('until') WHEN TIMESTAMP '2200-01-01' THEN max(i)
      ELSE (epoch_us(getvariable('until')) - 1) // (1000000 * getvariable('bucket_seconds')) END + 1)) AS i
  FROM sums
), logs AS (
  SELECT spine.i AS i, ln(1 + coalesce(defi_usd, 0)) AS x, ln(1 + coalesce(cefi_usd, 0)) AS y
  FROM spine LEFT JOIN sums ON sums.i = spine.i
), series AS MATERIALIZED (  -- rounded: a constant less its own mean is 0, not noise
  SELECT i, CASE WHEN getvariable('detrend_seconds') > 0 THEN round(x - avg(x) OVER around, 12) ELSE x END AS x,
    CASE WHEN getvariable('detrend_seconds') > 0 THEN round(y - avg(y) OVER around, 12) ELSE y END AS y
  FROM logs
  WINDOW around AS (ORDER BY i ROWS BETWEEN getvariable('detrend_seconds') // (2 * getvariable('bucket_seconds')) PRECEDING
    AND getvariable('detrend_seconds') // (2 * getvariable('bucket_seconds')) FOLLOWING)
), correlations AS (
  SELECT g, corr(a.x, b.y) AS r, count(*) AS n_pairs
  FROM range(-getvariable('max_lag'), getvariable('max_lag') + 1) AS lags (g), series AS a, series AS b
  WHERE b.i = a.i + g
  GROUP BY g
), complete AS (
  SELECT lags.g AS g, CASE WHEN NOT isnan(r) THEN r END AS r, coalesce(n_pairs, 0) AS n_pairs
  FROM range(-getvariable('max_lag'), getvariable('max_lag') + 1) AS lags (g)
  LEFT JOIN correlations ON correlations.g = lags.g
  WHERE EXISTS (SELECT i FROM spine)
)
SELECT g AS lag_buckets, g * getvariable('bucket_seconds') AS lag_seconds, r, n_pairs,
  coalesce(r = max(r) OVER (), false) AS is_max
FROM complete
ORDER BY lag_buckets;
