-- Who came back, and at what price
--
-- Did liquidated accounts re-enter, lower or higher than they were forced out?
--
-- column: account            VARCHAR    Account that was liquidated.
-- column: venue              VARCHAR    Where.
-- column: asset              VARCHAR    Of what.
-- column: side               VARCHAR    Side that was closed.
-- column: liquidated_usd     DOUBLE     Value of the episode.
-- column: liquidation_price  DOUBLE     Mean price of the forced exit, weighted by units.
-- column: ended_at           TIMESTAMP  Last row of the episode.
-- column: reentered_at       TIMESTAMP  First sign of a new position; of hourly observations, so an upper bound.
-- column: delay_seconds      BIGINT     From the one to the other.
-- column: is_same_side       BOOLEAN    Whether the new position is on the side that was closed.
-- column: reentry_price      DOUBLE     Price at re-entry.
-- column: discount_bps       DOUBLE     Negative: a better price than the forced exit.
-- column: reentry_usd        DOUBLE     Value of the new position beyond what the liquidation left.
-- column: size_ratio         DOUBLE     The same over the value liquidated.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE episode_seconds = coalesce(getvariable('episode_seconds')::BIGINT, 60);  -- rows of one position at most this far apart are one episode
SET VARIABLE horizon_hours = coalesce(getvariable('horizon_hours')::BIGINT, 24);  -- how far around an event a walk or re-entry is searched
SET VARIABLE max_price_age_seconds = coalesce(getvariable('max_price_age_seconds')::BIGINT, 120);  -- an older price is NULL

WITH episodes AS MATERIALIZED (
  SELECT row_number() OVER () AS episode, account, venue, asset, side, is_perp, first_at, ended_at,
    ended_at + to_hours(getvariable('horizon_hours')) AS horizon_at, liquidated_usd, liquidation_price, units
  FROM episodes_of_accounts()
), remains AS ( -- what the liquidation left of the position the venue last showed
  SELECT episode,
    greatest(coalesce(max_by(abs(size), (observed_at, abs(size))), 0) - coalesce(max(units), 0), 0) AS units_left
  FROM episodes LEFT JOIN positions ON positions.venue = episodes.venue AND positions.account = episodes.account
    AND positions.asset = episodes.asset AND observed_at <= first_at
  WHERE is_perp
  GROUP BY episode
), candidates AS (
  SELECT episodes.episode AS episode, observed_at AS wanted_at, positions.asset AS asset, NULL::DOUBLE AS usd,
    CASE WHEN size > 0 THEN 'long' ELSE 'short' END AS new_side,
    CASE WHEN new_side = side THEN abs(size) - units_left ELSE abs(size) END AS amount
  FROM episodes
  JOIN remains ON remains.episode = episodes.episode
  JOIN positions ON positions.account = episodes.account AND positions.asset = episodes.asset
  WHERE observed_at > ended_at AND observed_at <= horizon_at AND size <> 0 AND amount > 1e-9 * abs(size)
  UNION ALL
  SELECT episode, flowed_at, flows.asset, usd, side, amount
  FROM episodes JOIN flows ON flows.account = episodes.account AND flows.asset = episodes.asset
  WHERE NOT is_perp AND kind IN ('supply', 'borrow') AND kind = CASE side WHEN 'long' THEN 'supply' ELSE 'borrow' END
    AND flowed_at >= getvariable('since') AND flowed_at < getvariable('until') + to_hours(getvariable('horizon_hours'))
    AND flowed_at > ended_at AND flowed_at <= horizon_at
), firsts AS MATERIALIZED (
  SELECT episode, wanted_at, asset, new_side, amount, usd / nullif(amount, 0) AS flow_price FROM candidates
  QUALIFY row_number() OVER (PARTITION BY episode ORDER BY wanted_at, amount DESC, new_side, usd DESC) = 1
), priced AS (
  SELECT episode, firsts.wanted_at AS reentered_at, new_side, amount, coalesce(flow_price, price_usd) AS reentry_price
  FROM firsts LEFT JOIN prices_at('firsts') AS quotes
    ON quotes.asset = firsts.asset AND quotes.wanted_at = firsts.wanted_at
)
SELECT account, venue, asset, side, liquidated_usd, liquidation_price, ended_at, reentered_at,
  seconds_between(ended_at, reentered_at) AS delay_seconds, new_side = side AS is_same_side, reentry_price,
  CASE new_side WHEN 'short' THEN -1 ELSE 1 END * (reentry_price / nullif(liquidation_price, 0) - 1) * 10000 AS discount_bps,
  amount * reentry_price AS reentry_usd, amount * reentry_price / nullif(liquidated_usd, 0) AS size_ratio
FROM episodes LEFT JOIN priced ON priced.episode = episodes.episode
ORDER BY liquidated_usd DESC, account, venue, asset, ended_at, side;
