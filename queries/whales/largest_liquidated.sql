-- Largest liquidated accounts
--
-- Which accounts lost the most in the window?
--
-- column: rank             BIGINT     1 is the largest.
-- column: account          VARCHAR    Account that was liquidated.
-- column: n_events         BIGINT     Rows.
-- column: n_episodes       BIGINT     Episodes: rows of one position close in time count once.
-- column: n_unpriced       BIGINT     Rows without value.
-- column: venues           VARCHAR    Distinct venues in name order, comma-separated.
-- column: assets           VARCHAR    Distinct assets in name order, comma-separated.
-- column: forced_usd       DOUBLE     Value liquidated, in US dollars at the time.
-- column: margin_lost_usd  DOUBLE     Account value lost, where known.
-- column: largest_usd      DOUBLE     Largest single row.
-- column: first_at         TIMESTAMP  First row.
-- column: last_at          TIMESTAMP  Last row.
-- column: total_share      DOUBLE     Share of the whole selection, accounts that are left out here included.
-- column: entity           VARCHAR    Who stands behind the account, where labelled.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept after ranking
SET VARIABLE episode_seconds = coalesce(getvariable('episode_seconds')::BIGINT, 60);  -- rows of one position at most this far apart are one episode

WITH totals AS (
  SELECT account, sum(forced_usd) AS forced_usd
  FROM selected()
  WHERE account IS NOT NULL AND account_kind IS DISTINCT FROM 'protocol'
  GROUP BY account
), ranked AS MATERIALIZED (
  SELECT row_number() OVER (ORDER BY forced_usd DESC, account) AS rank, account, forced_usd
  FROM totals
  ORDER BY forced_usd DESC, account
  LIMIT getvariable('top')
), details AS (
  SELECT in_play.account AS account, count(*) AS n_events, count(*) - count(in_play.forced_usd) AS n_unpriced,
    string_agg(DISTINCT venue, ',' ORDER BY venue) AS venues, string_agg(DISTINCT asset, ',' ORDER BY asset) AS assets,
    sum(margin_lost_usd) AS margin_lost_usd, max(in_play.forced_usd) AS largest_usd,
    min(liquidated_at) AS first_at, max(liquidated_at) AS last_at
  FROM selected() AS in_play SEMI JOIN ranked ON ranked.account = in_play.account
  WHERE account_kind IS DISTINCT FROM 'protocol'
  GROUP BY in_play.account
), starts AS (
  SELECT in_play.account AS account, coalesce(liquidated_at - lag(liquidated_at) OVER (
      PARTITION BY venue, in_play.account, asset ORDER BY liquidated_at)
    > seconds_long(getvariable('episode_seconds')), true) AS is_first
  FROM selected() AS in_play SEMI JOIN ranked ON ranked.account = in_play.account
  WHERE account_kind IS DISTINCT FROM 'protocol'
), episodes AS (
  SELECT account, count(*) FILTER (WHERE is_first) AS n_episodes FROM starts GROUP BY account
), whole AS (
  SELECT sum(forced_usd) AS total_usd FROM selected()
)
SELECT rank, ranked.account, n_events, n_episodes, n_unpriced, venues, assets, forced_usd, margin_lost_usd, largest_usd,
  first_at, last_at, forced_usd / nullif(total_usd, 0) AS total_share, entity
FROM ranked
JOIN details ON details.account = ranked.account
JOIN episodes ON episodes.account = ranked.account
CROSS JOIN whole
LEFT JOIN entities ON entities.address = ranked.account
ORDER BY rank;
