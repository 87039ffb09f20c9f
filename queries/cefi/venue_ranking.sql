-- Venues, with the uncertainty of the rank
--
-- Who was largest, and is that certain?
--
-- column: floor_rank     BIGINT   Rank by what was observed, 1 = largest; NULL: nothing priced.
-- column: venue          VARCHAR  Where the positions were held.
-- column: venue_kind     VARCHAR  defi or cefi.
-- column: completeness   VARCHAR  Completeness classes of the rows, comma-separated.
-- column: low_usd        DOUBLE   Observed value, in US dollars at the time: a floor.
-- column: high_usd       DOUBLE   The same where the feed is complete, else throttled_factor times as much.
-- column: best_rank      BIGINT   Rank if this venue is at its highest and the others at their lowest.
-- column: worst_rank     BIGINT   Rank if this venue is at its lowest and the others at their highest.
-- column: floor_share    DOUBLE   Share of the observed value of all venues.
-- column: n_events       BIGINT   Rows.
-- column: n_accounts     BIGINT   Accounts; exchanges name none.
-- column: n_unpriced     BIGINT   Rows without value.
-- column: long_share     DOUBLE   Share of the value that closed longs.
-- column: exposure_usd   DOUBLE   Open interest or debt at the start of the window, in US dollars.
-- column: exposure_kind  VARCHAR  open_interest or borrowed: not comparable with each other.
-- column: exposure_rate  DOUBLE   Observed value over exposure.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE throttled_factor = coalesce(getvariable('throttled_factor')::DOUBLE, 100);  -- upper bound of an incomplete feed: floor times this (a claim, not a measurement)

WITH rows_in_play AS (
  SELECT venue, venue_kind, completeness, account, side, forced_usd, liquidated_at
  FROM selection(getvariable('since'), getvariable('until'), 'all', getvariable('venues'), getvariable('assets'),
                 getvariable('min_usd'))
), totals AS MATERIALIZED (
  SELECT venue, min(venue_kind) AS venue_kind, string_agg(DISTINCT completeness, ',' ORDER BY completeness) AS completeness,
    sum(forced_usd) AS low_usd, bool_and(coalesce(completeness IN ('full', 'trade_flag'), false)) AS is_whole,
    low_usd * CASE WHEN is_whole THEN 1 ELSE getvariable('throttled_factor') END AS high_usd, count(*) AS n_events,
    count(DISTINCT account) AS n_accounts, count(*) - count(forced_usd) AS n_unpriced,
    coalesce(sum(forced_usd) FILTER (WHERE side = 'long'), 0) / nullif(sum(forced_usd), 0) AS long_share,
    min(liquidated_at) AS first_at
  FROM rows_in_play GROUP BY venue
), start AS (
  SELECT CASE getvariable('since') WHEN TIMESTAMP '1970-01-01' THEN min(first_at) ELSE getvariable('since') END AS start_at
  FROM totals
), interest AS (
  SELECT venue, usd / sides AS usd
  FROM open_interest JOIN start ON observed_at BETWEEN start_at - INTERVAL 24 HOUR AND start_at
  WHERE usd / sides IS NOT NULL
    AND (trim(getvariable('assets')) = '' OR list_contains(names_in(getvariable('assets')), asset))
  QUALIFY row_number() OVER (PARTITION BY venue, market ORDER BY observed_at DESC, source) = 1
), debts AS (
  SELECT venue, borrowed_usd AS usd
  FROM lending_totals JOIN start ON observed_at BETWEEN start_at - INTERVAL 24 HOUR AND start_at
  WHERE borrowed_usd IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY venue, market ORDER BY observed_at DESC, source) = 1
), exposures AS (
  SELECT venue, sum(usd) AS usd, 'open_interest' AS kind FROM interest GROUP BY venue
  UNION ALL
  SELECT venue, sum(usd), 'borrowed' FROM debts WHERE venue NOT IN (SELECT venue FROM interest) GROUP BY venue
), ranks AS (
  SELECT mine.venue AS venue, 1 + count(*) FILTER (WHERE other.low_usd > mine.high_usd) AS best_rank,
    1 + count(*) FILTER (WHERE other.venue <> mine.venue AND (other.high_usd > mine.low_usd
      OR other.high_usd = mine.low_usd AND other.venue < mine.venue)) AS worst_rank
  FROM totals AS mine CROSS JOIN totals AS other WHERE mine.low_usd IS NOT NULL GROUP BY mine.venue
)
SELECT CASE WHEN low_usd IS NOT NULL THEN row_number() OVER (ORDER BY low_usd DESC NULLS LAST, totals.venue) END
    AS floor_rank, totals.venue, venue_kind, completeness, low_usd, high_usd, best_rank, worst_rank,
  low_usd / nullif(sum(low_usd) OVER (), 0) AS floor_share, n_events, n_accounts, n_unpriced, long_share,
  usd AS exposure_usd, kind AS exposure_kind, low_usd / nullif(usd, 0) AS exposure_rate
FROM totals LEFT JOIN ranks ON ranks.venue = totals.venue LEFT JOIN exposures ON exposures.venue = totals.venue
ORDER BY floor_rank NULLS LAST, totals.venue;
