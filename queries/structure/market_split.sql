-- The total, divided
--
-- How does the total divide by side, asset, venue, kind, chain, protocol, sector, hour or day?
--
-- column: key          VARCHAR  Part of the total; unknown or none where a record does not say.
-- column: forced_usd   DOUBLE   Value liquidated, in US dollars at the time.
-- column: total_share  DOUBLE   Share of the total.
-- column: n_events     BIGINT   Rows.
-- column: n_accounts   BIGINT   Accounts: they do not add up over keys.
-- column: long_share   DOUBLE   Share of the key's value that closed longs.
-- column: short_share  DOUBLE   Share of the key's value that closed shorts; the rest is unknown.
-- column: largest_usd  DOUBLE   Largest single row.
-- column: median_usd   DOUBLE   Median of priced rows.
-- column: p99_usd      DOUBLE   99th percentile of priced rows.
-- column: n_unpriced   BIGINT   Rows without value.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE split = coalesce(getvariable('split')::VARCHAR, 'venue');  -- side, asset, venue, kind, chain, protocol, sector, hour or day

WITH keyed AS (
  SELECT forced_usd, account, side,
    CASE getvariable('split')
      WHEN 'side' THEN coalesce(side, 'unknown')
      WHEN 'asset' THEN coalesce(asset, 'unknown')
      WHEN 'venue' THEN venue
      WHEN 'kind' THEN kind
      WHEN 'chain' THEN coalesce(chain, 'none')
      WHEN 'protocol' THEN coalesce(protocol, 'none')
      WHEN 'sector' THEN sector
      WHEN 'hour' THEN strftime(date_trunc('hour', liquidated_at), '%Y-%m-%dT%H:%M')
      WHEN 'day' THEN strftime(liquidated_at, '%Y-%m-%d')
      ELSE error('split must be side, asset, venue, kind, chain, protocol, sector, hour or day')
    END AS key
  FROM selected()
), parts AS (
  SELECT key, sum(forced_usd) AS forced_usd, count(*) AS n_events, count(DISTINCT account) AS n_accounts,
    sum(forced_usd) FILTER (WHERE side = 'long') AS long_usd,
    sum(forced_usd) FILTER (WHERE side = 'short') AS short_usd,
    max(forced_usd) AS largest_usd, median(forced_usd) AS median_usd, quantile_cont(forced_usd, 0.99) AS p99_usd,
    count(*) - count(forced_usd) AS n_unpriced
  FROM keyed
  GROUP BY key
)
SELECT key, forced_usd, forced_usd / nullif(sum(forced_usd) OVER (), 0) AS total_share, n_events, n_accounts,
  coalesce(long_usd, 0) / nullif(forced_usd, 0) AS long_share,
  coalesce(short_usd, 0) / nullif(forced_usd, 0) AS short_share, largest_usd, median_usd, p99_usd, n_unpriced
FROM parts
ORDER BY CASE WHEN getvariable('split') IN ('hour', 'day') THEN key END, forced_usd DESC, key;
