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
WITH series AS MATERIALIZED (
  SELECT i, x, y FROM side_series()
), correlations AS (
  SELECT g, corr(a.x, b.y) AS r, count(*) AS n_pairs
  FROM range(-getvariable('max_lag'), getvariable('max_lag') + 1) AS lags (g), series AS a, series AS b
  WHERE b.i = a.i + g
  GROUP BY g
), complete AS (
  SELECT lags.g AS g, CASE WHEN NOT isnan(r) THEN r END AS r, coalesce(n_pairs, 0) AS n_pairs
  FROM range(-getvariable('max_lag'), getvariable('max_lag') + 1) AS lags (g)
  LEFT JOIN correlations ON correlations.g = lags.g
  WHERE EXISTS (SELECT i FROM series)
)
SELECT g AS lag_buckets, g * getvariable('bucket_seconds') AS lag_seconds, r, n_pairs,
  coalesce(r = max(r) OVER (), false) AS is_max
FROM complete
ORDER BY lag_buckets;
