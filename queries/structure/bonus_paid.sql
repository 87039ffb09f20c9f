-- What liquidation cost the borrowers
--
-- How much more was seized than repaid, by venue and asset?
--
-- column: venue             VARCHAR  Venue.
-- column: asset             VARCHAR  Asset the position was exposed to.
-- column: n_events          BIGINT   Rows.
-- column: repaid_usd        DOUBLE   Value of the debt repaid, where known.
-- column: seized_usd        DOUBLE   Value of the collateral seized, where known.
-- column: bonus_usd         DOUBLE   Seized less repaid, where both are known.
-- column: bonus_bps         DOUBLE   Bonus over repaid, of the rows that know both.
-- column: protocol_fee_usd  DOUBLE   What the protocol kept, where known.
-- column: n_bonus_known     BIGINT   Rows with a known bonus.
-- column: n_negative        BIGINT   Rows with a bonus below 0: bad prices or bad debt.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value

SELECT venue, asset, count(*) AS n_events, sum(repaid_usd) AS repaid_usd, sum(seized_usd) AS seized_usd,
  sum(bonus_usd) AS bonus_usd,
  10000 * sum(bonus_usd) FILTER (WHERE repaid_usd IS NOT NULL)
    / nullif(sum(repaid_usd) FILTER (WHERE bonus_usd IS NOT NULL), 0) AS bonus_bps,
  sum(protocol_fee_usd) AS protocol_fee_usd, count(bonus_usd) AS n_bonus_known,
  count(*) FILTER (WHERE bonus_usd < 0) AS n_negative
FROM selected()
WHERE sector IN ('lending', 'cdp')
GROUP BY venue, asset
ORDER BY bonus_usd DESC, venue, asset;
