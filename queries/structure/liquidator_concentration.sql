-- Who earns from liquidations
--
-- How concentrated are liquidators, month by month?
--
-- column: month_at       TIMESTAMP  First instant of the month.
-- column: venue          VARCHAR    all first, then each venue.
-- column: n_liquidators  BIGINT     Liquidators: entities where labelled, else addresses.
-- column: seized_usd     DOUBLE     Value of the collateral seized.
-- column: hhi            DOUBLE     Sum of squared percent shares: 10,000 is one liquidator.
-- column: effective_n    DOUBLE     10,000 / hhi.
-- column: top1_share     DOUBLE     Share of the largest.
-- column: top5_share     DOUBLE     Share of the five largest.
-- column: gini           DOUBLE     Inequality of the shares: 0 is all equal.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value

WITH seizures AS (
  SELECT date_trunc('month', liquidated_at) AS month_at, venue, coalesce(entity, liquidator) AS name,
    coalesce(seized_usd, forced_usd) AS usd
  FROM selected() AS in_play LEFT JOIN entities ON entities.address = in_play.liquidator
  WHERE sector IN ('lending', 'cdp') AND liquidator IS NOT NULL AND coalesce(seized_usd, forced_usd) IS NOT NULL
), sums AS (
  SELECT month_at, false AS is_all, venue, name, sum(usd) AS usd FROM seizures GROUP BY month_at, venue, name
  UNION ALL
  SELECT month_at, true, 'all', name, sum(usd) FROM seizures GROUP BY month_at, name
), shares AS (
  SELECT month_at, is_all, venue, usd,
    usd / nullif(sum(usd) OVER (PARTITION BY month_at, is_all, venue), 0) AS usd_share,
    row_number() OVER (PARTITION BY month_at, is_all, venue ORDER BY usd, name) AS place,
    row_number() OVER (PARTITION BY month_at, is_all, venue ORDER BY usd DESC, name) AS place_from_top
  FROM sums
)
SELECT month_at::TIMESTAMP AS month_at, venue, count(*) AS n_liquidators, sum(usd) AS seized_usd,
  10000 * sum(usd_share * usd_share) AS hhi, 1 / nullif(sum(usd_share * usd_share), 0) AS effective_n,
  max(usd_share) AS top1_share, sum(usd_share) FILTER (WHERE place_from_top <= 5) AS top5_share,
  2 * sum(place * usd_share) / count(*) - (count(*) + 1) / count(*) AS gini
FROM shares
GROUP BY month_at, is_all, venue
ORDER BY month_at, is_all DESC, venue;
