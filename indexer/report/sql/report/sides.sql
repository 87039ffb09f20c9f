-- Longs and shorts, step by step
--
-- When were positions closed, and on which side?
--
-- column: bucket_at    TIMESTAMP  Left edge of the step; a step without rows has none here.
-- column: long_usd     DOUBLE     Longs closed, in US dollars at the time.
-- column: short_usd    DOUBLE     Shorts closed.
-- column: unsided_usd  DOUBLE     Value of rows without a side.
-- column: n_events     BIGINT     Rows.
-- column: n_unpriced   BIGINT     Rows without value.
SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE step_seconds = coalesce(getvariable('step_seconds')::BIGINT, 3600);  -- row distance of a printed time series

SELECT bucket_of(getvariable('step_seconds'), liquidated_at) AS bucket_at,
  round(coalesce(sum(forced_usd) FILTER (WHERE side = 'long'), 0), 2) AS long_usd,
  round(coalesce(sum(forced_usd) FILTER (WHERE side = 'short'), 0), 2) AS short_usd,
  round(coalesce(sum(forced_usd) FILTER (WHERE side IS NULL), 0), 2) AS unsided_usd,
  count(*) AS n_events, count(*) - count(forced_usd) AS n_unpriced
FROM selected()
GROUP BY ALL
ORDER BY bucket_at;
