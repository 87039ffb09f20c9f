-- How many were liquidated
--
-- How many accounts, episodes and rows, overall, by sector and by venue?
--
-- column: scope                   VARCHAR  all, then sectors, then venues.
-- column: n_accounts              BIGINT   Accounts.
-- column: n_episodes              BIGINT   Episodes: rows of one position close in time count once.
-- column: n_events                BIGINT   Rows.
-- column: n_orders                BIGINT   Rows without account: centralised venues publish orders.
-- column: n_first_time_accounts   BIGINT   Accounts without any earlier headline row before the window.
-- column: repeat_share            DOUBLE   Share of the accounts with two or more episodes.
-- column: n_multi_venue_accounts  BIGINT   Accounts on two or more venues.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE episode_seconds = coalesce(getvariable('episode_seconds')::BIGINT, 60);  -- rows of one position at most this far apart are one episode

-- Accounts and positions are told apart by their hashes: windows and groups over texts take three times as long.
WITH in_play AS (
  SELECT CASE WHEN account IS NOT NULL THEN hash(account) END AS account, hash(venue, account, asset) AS position, venue,
    sector, liquidated_at
  FROM selected()
), starts AS (
  SELECT account, venue, sector, coalesce(liquidated_at - lag(liquidated_at) OVER (
      PARTITION BY position ORDER BY liquidated_at)
    > seconds_long(getvariable('episode_seconds')), true) AS is_first
  FROM in_play
), parts AS MATERIALIZED (
  SELECT account, venue, sector, count(*) AS n_events, count(*) FILTER (WHERE is_first) AS n_episodes
  FROM starts
  GROUP BY account, venue, sector
), earlier AS (
  SELECT DISTINCT hash(account) AS account
  FROM liquidations
  WHERE is_headline AND account IS NOT NULL AND liquidated_at < getvariable('since')
), scoped AS (
  SELECT 1 AS part, 'all' AS scope, account, venue, n_events, n_episodes FROM parts
  UNION ALL
  SELECT 2, sector, account, venue, n_events, n_episodes FROM parts
  UNION ALL
  SELECT 3, venue, account, venue, n_events, n_episodes FROM parts
), people AS (
  SELECT part, scope, account, sum(n_events)::BIGINT AS n_events, sum(n_episodes)::BIGINT AS n_episodes,
    min(venue) <> max(venue) AS is_on_several
  FROM scoped
  GROUP BY part, scope, account
)
SELECT scope, count(people.account) AS n_accounts,
  coalesce(sum(n_episodes) FILTER (WHERE people.account IS NOT NULL), 0)::BIGINT AS n_episodes,
  sum(n_events)::BIGINT AS n_events,
  coalesce(sum(n_events) FILTER (WHERE people.account IS NULL), 0)::BIGINT AS n_orders,
  count(people.account) FILTER (WHERE earlier.account IS NULL) AS n_first_time_accounts,
  count(people.account) FILTER (WHERE n_episodes >= 2) / nullif(count(people.account), 0) AS repeat_share,
  count(people.account) FILTER (WHERE is_on_several) AS n_multi_venue_accounts
FROM people LEFT JOIN earlier ON earlier.account = people.account
GROUP BY part, scope
HAVING n_accounts > 0
ORDER BY part, scope;
