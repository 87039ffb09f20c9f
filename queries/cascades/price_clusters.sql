-- Price levels where liquidations clustered
--
-- Did forced closes bunch at levels, and near round numbers?
--
-- column: asset          VARCHAR  Asset whose price it is.
-- column: bin            BIGINT   Number of the logarithmic price bin.
-- column: bin_low        DOUBLE   Lower edge, in US dollars, included.
-- column: bin_high       DOUBLE   Upper edge, in US dollars, excluded.
-- column: forced_usd     DOUBLE   Value liquidated in the bin, in US dollars at the time.
-- column: long_usd       DOUBLE   Of it, longs.
-- column: short_usd      DOUBLE   Of it, shorts.
-- column: n_events       BIGINT   Rows.
-- column: asset_share    DOUBLE   Share of the asset's value.
-- column: smoothed_usd   DOUBLE   Mean of the bins of the centred window, empty ones included.
-- column: lift           DOUBLE   Smoothed value over the mean of all bins from the asset's lowest to its highest.
-- column: is_peak        BOOLEAN  Largest of its window, the lowest of equals, and lift at least min_lift.
-- column: nearest_round  DOUBLE   Two-digit round number nearest to the middle of the bin.
-- column: distance_bps   DOUBLE   From that number to the middle of the bin.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE bin_bps = coalesce(getvariable('bin_bps')::DOUBLE, 10);  -- width of a logarithmic price bin
SET VARIABLE smooth_bins = coalesce(getvariable('smooth_bins')::BIGINT, 5);  -- centred window over price bins, odd
SET VARIABLE min_lift = coalesce(getvariable('min_lift')::DOUBLE, 2);  -- smoothed bin over mean bin that makes a peak

-- That a level is special needs a null: grids shifted at random (indexer/finish.py).
WITH priced AS (
  SELECT asset, side, forced_usd, price_of(mark_price, price, seized_usd, collateral_amount) AS price
  FROM selected()
), bins AS (
  SELECT asset, floor(ln(price) / ln(1 + getvariable('bin_bps') / 10000))::BIGINT AS bin, sum(forced_usd) AS usd,
    sum(forced_usd) FILTER (WHERE side = 'long') AS long_usd,
    sum(forced_usd) FILTER (WHERE side = 'short') AS short_usd,
    count(*) AS n_events
  FROM priced
  WHERE asset IS NOT NULL AND price > 0
  GROUP BY ALL
  HAVING usd IS NOT NULL
), smoothed AS (
  SELECT asset, bin, usd, long_usd, short_usd, n_events, getvariable('smooth_bins') // 2 AS reach,
    sum(usd) OVER around / getvariable('smooth_bins') AS smoothed_usd,
    max(usd) OVER around AS window_usd, max(usd) OVER below AS below_usd,
    sum(usd) OVER whole AS asset_usd,
    asset_usd / (max(bin) OVER whole - min(bin) OVER whole + 1) AS mean_usd
  FROM bins
  WINDOW around AS (PARTITION BY asset ORDER BY bin RANGE BETWEEN reach PRECEDING AND reach FOLLOWING),
    below AS (PARTITION BY asset ORDER BY bin RANGE BETWEEN reach PRECEDING AND 1 PRECEDING),
    whole AS (PARTITION BY asset)
), levels AS (
  SELECT asset, bin, usd, long_usd, short_usd, n_events, asset_usd, smoothed_usd, window_usd, below_usd,
    smoothed_usd / nullif(mean_usd, 0) AS lift, 1 + getvariable('bin_bps') / 10000 AS ratio,
    sqrt(pow(ratio, bin) * pow(ratio, bin + 1)) AS middle, pow(10, floor(log10(middle)) - 1) AS round_step,
    round(middle / round_step) * round_step AS nearest_round
  FROM smoothed
)
SELECT asset, bin, pow(ratio, bin) AS bin_low, pow(ratio, bin + 1) AS bin_high, usd AS forced_usd,
  coalesce(long_usd, 0) AS long_usd, coalesce(short_usd, 0) AS short_usd, n_events,
  usd / nullif(asset_usd, 0) AS asset_share, smoothed_usd, lift,
  coalesce(usd = window_usd AND coalesce(below_usd < usd, true) AND lift >= getvariable('min_lift'), false) AS is_peak,
  nearest_round, (middle / nearest_round - 1) * 10000 AS distance_bps
FROM levels
ORDER BY asset, bin;
