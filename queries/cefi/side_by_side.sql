-- DeFi and CeFi, hour by hour
--
-- How large was each side in each hour, as far as it was observed?
--
-- column: bucket_at             TIMESTAMP  Left edge of the step.
-- column: defi_perp_usd         DOUBLE     Perps on chain, in US dollars; NULL: not observed, or nothing priced.
-- column: defi_lending_usd      DOUBLE     Lending, collateral seized; NULL as above.
-- column: defi_cdp_usd          DOUBLE     CDPs, collateral sold or taken; NULL as above.
-- column: cefi_floor_usd        DOUBLE     Forced orders that exchanges showed: a floor.
-- column: cefi_provider_usd     DOUBLE     What data providers state: never mixed with the floor.
-- column: defi_floor_share      DOUBLE     DeFi over DeFi plus floor: an upper bound of its true share.
-- column: n_unpriced            BIGINT     Rows without value.
-- column: defi_covered_share    DOUBLE     Share of the step that DeFi liquidation data sets cover.
-- column: cefi_covered_share    DOUBLE     The same for CeFi.
-- column: cefi_completeness     VARCHAR    Completeness classes of the CeFi rows, comma-separated.
-- column: reference_price       DOUBLE     Last price of reference_asset inside the step, in US dollars.
-- column: reference_return_bps  DOUBLE     Against the last price of the step before.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE step_seconds = coalesce(getvariable('step_seconds')::BIGINT, 3600);  -- row distance of a printed time series
SET VARIABLE reference_asset = coalesce(getvariable('reference_asset')::VARCHAR, 'BTC');  -- asset others are compared with

WITH sums AS MATERIALIZED (
  SELECT bucket_of(getvariable('step_seconds'), liquidated_at) AS bucket_at, completeness,
    CASE venue_kind WHEN 'cefi' THEN 'cefi' ELSE sector END AS cell, sum(forced_usd) AS usd,
    count(*) - count(forced_usd) AS n_unpriced, min(liquidated_at) AS first_at, max(liquidated_at) AS last_at
  FROM selection(getvariable('since'), getvariable('until'), 'all', getvariable('venues'), getvariable('assets'),
                 getvariable('min_usd')) GROUP BY ALL
), spine AS (
  SELECT unnest(generate_series(bucket_of(getvariable('step_seconds'),
      CASE getvariable('since') WHEN TIMESTAMP '1970-01-01' THEN min(first_at) ELSE getvariable('since') END),
    CASE getvariable('until') WHEN TIMESTAMP '2200-01-01' THEN max(last_at)
      ELSE getvariable('until') - INTERVAL 1 MICROSECOND END, seconds_long(getvariable('step_seconds')))) AS begin_at,
    begin_at + seconds_long(getvariable('step_seconds')) AS end_at
  FROM sums
), covered AS (  -- what a row adds to those of its side that begin before it
  SELECT venue_kind, to_at, greatest(from_at, max(to_at) OVER (
    PARTITION BY venue_kind ORDER BY from_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS from_at
  FROM liquidation_coverage WHERE from_at < to_at
), shares AS (
  SELECT bucket_at, coalesce(sum(covered_us) FILTER (WHERE venue_kind = 'defi'), 0) / any_value(long_us) AS defi_share,
    coalesce(sum(covered_us) FILTER (WHERE venue_kind = 'cefi'), 0) / any_value(long_us) AS cefi_share
  FROM (SELECT begin_at AS bucket_at, venue_kind, epoch_us(end_at) - epoch_us(begin_at) AS long_us,
      epoch_us(least(to_at, end_at)) - epoch_us(greatest(from_at, begin_at)) AS covered_us
    FROM spine LEFT JOIN covered ON from_at < end_at AND to_at > begin_at AND from_at < to_at) GROUP BY bucket_at
), cells AS (
  SELECT bucket_at, list(cell) AS cells, bool_or(cell <> 'cefi') AS has_defi, sum(n_unpriced)::BIGINT AS n_unpriced,
    string_agg(DISTINCT completeness, ',' ORDER BY completeness) FILTER (WHERE cell = 'cefi') AS completeness,
    sum(usd) FILTER (WHERE cell = 'perp') AS perp, sum(usd) FILTER (WHERE cell = 'lending') AS lending,
    sum(usd) FILTER (WHERE cell = 'cdp') AS cdp, sum(usd) FILTER (WHERE cell = 'cefi') AS cefi
  FROM sums GROUP BY bucket_at
), sizes AS (
  SELECT bucket_at, coalesce(n_unpriced, 0) AS n_unpriced, completeness, defi_share, cefi_share,
    CASE WHEN has_defi OR defi_share = 1 THEN 0 END AS nothing,
    CASE WHEN list_contains(cells, 'perp') THEN perp ELSE nothing END AS perp_usd,
    CASE WHEN list_contains(cells, 'lending') THEN lending ELSE nothing END AS lending_usd,
    CASE WHEN list_contains(cells, 'cdp') THEN cdp ELSE nothing END AS cdp_usd,
    CASE WHEN list_contains(cells, 'cefi') THEN cefi WHEN cefi_share = 1 THEN 0 END AS cefi_usd
  FROM shares LEFT JOIN cells USING (bucket_at)
), providers AS (
  SELECT bucket_of(getvariable('step_seconds'), bucket_at) AS bucket_at,
    sum(CASE WHEN long_usd IS NULL THEN short_usd ELSE long_usd + coalesce(short_usd, 0) END) AS provider_usd
  FROM cefi_totals WHERE (trim(getvariable('venues')) = '' OR list_contains(names_in(getvariable('venues')), venue))
    AND (trim(getvariable('assets')) = '' OR list_contains(names_in(getvariable('assets')), asset)) GROUP BY ALL
), lasts AS (
  SELECT bucket_of(getvariable('step_seconds'), priced_at) AS bucket_at,
    arg_min(price_usd, price_order(priced_at, kind, source, chain, block_number, log_index, price_usd)) AS price
  FROM prices WHERE asset = getvariable('reference_asset') GROUP BY ALL
)
SELECT bucket_at, perp_usd AS defi_perp_usd, lending_usd AS defi_lending_usd, cdp_usd AS defi_cdp_usd,
  cefi_usd AS cefi_floor_usd, provider_usd AS cefi_provider_usd, (perp_usd + lending_usd + cdp_usd)
    / nullif(perp_usd + lending_usd + cdp_usd + cefi_usd, 0) AS defi_floor_share, n_unpriced,
  defi_share AS defi_covered_share, cefi_share AS cefi_covered_share, completeness AS cefi_completeness,
  price AS reference_price, (price / lag(price) OVER (ORDER BY bucket_at) - 1) * 10000 AS reference_return_bps
FROM sizes LEFT JOIN providers USING (bucket_at) LEFT JOIN lasts USING (bucket_at)
ORDER BY bucket_at;
