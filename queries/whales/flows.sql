-- Exchange, bridge and lending flows around a cascade
--
-- Did money move to exchanges before, and where did it go after?
--
-- column: cascade_id                VARCHAR    Key and start of the cascade.
-- column: phase                     VARCHAR    before_24h, before_1h, during, after_1h or after_24h.
-- column: phase_start_at            TIMESTAMP  Start, included.
-- column: phase_end_at              TIMESTAMP  End, excluded.
-- column: n_flows                   BIGINT     Flows, whatever their direction.
-- column: to_exchange_usd           DOUBLE     Moved to exchanges.
-- column: from_exchange_usd         DOUBLE     Moved from exchanges.
-- column: net_to_exchange_usd       DOUBLE     To less from.
-- column: to_bridge_usd             DOUBLE     Moved to bridges.
-- column: from_bridge_usd           DOUBLE     Moved from bridges.
-- column: to_lending_usd            DOUBLE     Moved to lending venues.
-- column: from_lending_usd          DOUBLE     Moved from lending venues.
-- column: to_exchange_usd_per_hour  DOUBLE     To exchanges, per hour of the phase.
-- column: baseline_usd_per_hour     DOUBLE     Median of the same phase 1 to 14 days earlier; NULL with fewer than 7 of them.
-- column: baseline_ratio            DOUBLE     To exchanges, over that median.

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

WITH spans AS MATERIALIZED (
  SELECT cascade_id, start_at, end_at FROM cascade_spans(getvariable('cascade_id'))
), phases AS (
  SELECT cascade_id, start_at, unnest([
    {'phase': 'before_24h', 'from_at': start_at - INTERVAL 24 HOUR, 'to_at': start_at - INTERVAL 1 HOUR},
    {'phase': 'before_1h', 'from_at': start_at - INTERVAL 1 HOUR, 'to_at': start_at},
    {'phase': 'during', 'from_at': start_at, 'to_at': end_at},
    {'phase': 'after_1h', 'from_at': end_at, 'to_at': end_at + INTERVAL 1 HOUR},
    {'phase': 'after_24h', 'from_at': end_at + INTERVAL 1 HOUR, 'to_at': end_at + INTERVAL 24 HOUR}]) AS part
  FROM spans
), windows AS MATERIALIZED (
  SELECT cascade_id, start_at, part.phase AS phase, days_back, part.from_at - to_days(days_back::INTEGER) AS from_at,
    part.to_at - to_days(days_back::INTEGER) AS to_at
  FROM range(15) AS shifts(days_back), phases, (SELECT min(flowed_at) AS first_at FROM flow_rows) AS stored
  WHERE days_back = 0 OR part.from_at - to_days(days_back::INTEGER) >= first_at
), sums AS (
  SELECT cascade_id, phase, days_back, sum(n_flows)::BIGINT AS n_flows, coalesce(sum(to_exchange), 0) AS to_exchange,
    coalesce(sum(from_exchange), 0) AS from_exchange, coalesce(sum(to_bridge), 0) AS to_bridge,
    coalesce(sum(from_bridge), 0) AS from_bridge, coalesce(sum(to_lending), 0) AS to_lending,
    coalesce(sum(from_lending), 0) AS from_lending
  FROM window_cells('windows', gcd(getvariable('bucket_seconds'), 3600)) AS wanted
  LEFT JOIN flow_cells('windows', gcd(getvariable('bucket_seconds'), 3600)) AS cells
    ON cells.is_hour = wanted.is_hour AND cells.cell_at = wanted.cell_at
  GROUP BY cascade_id, phase, days_back
), baselines AS (
  SELECT cascade_id, phase, CASE WHEN count(*) >= 7 THEN median(to_exchange) END AS usual
  FROM sums WHERE days_back > 0 GROUP BY cascade_id, phase
)
SELECT windows.cascade_id, windows.phase, from_at AS phase_start_at, to_at AS phase_end_at, coalesce(n_flows, 0) AS n_flows,
  to_exchange AS to_exchange_usd, from_exchange AS from_exchange_usd, to_exchange - from_exchange AS net_to_exchange_usd,
  to_bridge AS to_bridge_usd, from_bridge AS from_bridge_usd, to_lending AS to_lending_usd,
  from_lending AS from_lending_usd, to_exchange * 3600 / epoch(to_at - from_at) AS to_exchange_usd_per_hour,
  usual * 3600 / epoch(to_at - from_at) AS baseline_usd_per_hour, to_exchange / nullif(usual, 0) AS baseline_ratio
FROM windows
JOIN sums ON sums.cascade_id = windows.cascade_id AND sums.phase = windows.phase AND sums.days_back = windows.days_back
LEFT JOIN baselines ON baselines.cascade_id = windows.cascade_id AND baselines.phase = windows.phase
WHERE windows.days_back = 0
ORDER BY start_at, windows.cascade_id, from_at;
