-- Large moves just before a cascade
--
-- Which accounts moved to an exchange or borrowed in the last half hour, and how unusual was that?
--
-- column: cascade_id            VARCHAR    Key and start of the cascade.
-- column: rank                  BIGINT     1 is the largest of the cascade.
-- column: kind                  VARCHAR    exchange_inflow or borrow.
-- column: account               VARCHAR    Who moved.
-- column: asset                 VARCHAR    What moved.
-- column: usd                   DOUBLE     Value moved.
-- column: n_flows               BIGINT     Flows.
-- column: first_at              TIMESTAMP  First of them.
-- column: before_start_seconds  BIGINT     From the last of them to the start.
-- column: window_usd            DOUBLE     Value that all accounts moved in this way.
-- column: percentile            DOUBLE     Share of earlier windows in which less was moved.
-- column: placebo_p             DOUBLE     Chance of at least as much in an earlier window, this one counted too.
-- column: n_placebo             BIGINT     Earlier windows.

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
SET VARIABLE min_transfer_usd = coalesce(getvariable('min_transfer_usd')::DOUBLE, 10000);  -- smallest flow considered
SET VARIABLE lead_seconds = coalesce(getvariable('lead_seconds')::BIGINT, 1800);  -- window before a cascade searched for catalysts
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept after ranking

WITH spans AS MATERIALIZED (
  SELECT cascade_id, start_at, start_at - seconds_long(getvariable('lead_seconds')) AS lead_at,
    epoch(start_at)::BIGINT % getvariable('lead_seconds') AS phase,
    epoch(start_at)::BIGINT // getvariable('lead_seconds') AS number,
    greatest(least(getvariable('lookback_days') * 86400 // getvariable('lead_seconds'),
      (epoch_us(start_at) - epoch_us(first_at)) // (getvariable('lead_seconds') * 1000000) - 1), 0) AS n_placebo
  FROM cascade_spans(getvariable('cascade_id')), (SELECT min(flowed_at) AS first_at FROM flow_rows) AS stored
), hours AS (
  SELECT cascade_id, start_at, lead_at, unnest(range(bucket_of(3600, lead_at), start_at, INTERVAL 1 HOUR)) AS hour_at
  FROM spans
), moves AS MATERIALIZED (
  SELECT move, account, asset, usd, flowed_at FROM catalyst_moves('spans')
), ranked AS MATERIALIZED (
  SELECT cascade_id, move, account, asset, sum(usd) AS usd, count(*) AS n_flows, min(flowed_at) AS first_at,
    max(flowed_at) AS last_at, sum(sum(usd)) OVER (PARTITION BY cascade_id, move) AS window_usd,
    row_number() OVER (PARTITION BY cascade_id ORDER BY sum(usd) DESC, account, asset, move) AS rank
  FROM hours JOIN moves ON bucket_of(3600, flowed_at) = hour_at
  WHERE flowed_at >= lead_at AND flowed_at < start_at
  GROUP BY cascade_id, move, account, asset
), cells AS (
  SELECT move, epoch(bucket_of(gcd(getvariable('bucket_seconds'), getvariable('lead_seconds')), flowed_at))::BIGINT AS cell,
    sum(usd) AS usd
  FROM moves GROUP BY ALL
), totals AS ( -- windows back to back, at each phase at which a cascade starts
  SELECT phase, move, (cell - phase) // getvariable('lead_seconds') AS number, sum(usd) AS usd
  FROM (SELECT DISTINCT phase FROM spans) AS phases, cells
  GROUP BY ALL
), earlier AS (
  SELECT cascade_id, phase, number - 1 - unnest(range(1, n_placebo + 1)) AS number FROM spans
), placebos AS ( -- equal sums may differ in their last digit
  SELECT measured.cascade_id AS cascade_id, measured.move AS move, count(*) AS n_at_least
  FROM (SELECT DISTINCT cascade_id, move, window_usd FROM ranked) AS measured
  JOIN earlier ON earlier.cascade_id = measured.cascade_id
  JOIN totals ON totals.phase = earlier.phase AND totals.move = measured.move AND totals.number = earlier.number
    AND totals.usd >= window_usd * (1 - 1e-12)
  GROUP BY measured.cascade_id, measured.move
)
SELECT cascade_id, rank, move AS kind, account, asset, usd, n_flows, first_at,
  seconds_between(last_at, start_at) AS before_start_seconds, window_usd,
  (n_placebo - coalesce(n_at_least, 0)) / nullif(n_placebo, 0) AS percentile,
  CASE WHEN n_placebo > 0 THEN (1 + coalesce(n_at_least, 0)) / (1 + n_placebo) END AS placebo_p, n_placebo
FROM ranked JOIN spans USING (cascade_id) LEFT JOIN placebos USING (cascade_id, move)
WHERE rank <= getvariable('top')
ORDER BY start_at, cascade_id, rank;
