-- Debt left behind
--
-- Which liquidations left debt without collateral?
--
-- column: event_id              VARCHAR    The row.
-- column: liquidated_at         TIMESTAMP  When.
-- column: venue                 VARCHAR    Venue.
-- column: market                VARCHAR    Market as the venue names it.
-- column: asset                 VARCHAR    Asset the position was exposed to.
-- column: account               VARCHAR    Whose debt.
-- column: kind                  VARCHAR    What happened.
-- column: debt_symbol           VARCHAR    Token of the debt.
-- column: bad_debt_usd          DOUBLE     Debt left without collateral, valued at the event.
-- column: venue_cumulative_usd  DOUBLE     Running sum of the venue.
-- column: tx_hash               VARCHAR    Transaction.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value

SELECT event_id, liquidated_at, venue, market, asset, account, kind, debt_symbol, bad_debt_usd,
  sum(bad_debt_usd) OVER (
    PARTITION BY venue ORDER BY liquidated_at, chain, block_number, log_index, event_id
    ROWS UNBOUNDED PRECEDING) AS venue_cumulative_usd,
  tx_hash
FROM liquidations
WHERE (bad_debt_usd > 0 OR kind = 'bad_debt')
  AND liquidated_at >= getvariable('since') AND liquidated_at < getvariable('until')
  AND (trim(getvariable('venues')) = '' OR list_contains(names_in(getvariable('venues')), venue))
  AND (trim(getvariable('assets')) = '' OR list_contains(names_in(getvariable('assets')), asset))
  AND (getvariable('min_usd') <= 0 OR bad_debt_usd >= getvariable('min_usd'))
ORDER BY liquidated_at, chain, block_number, log_index, event_id;
