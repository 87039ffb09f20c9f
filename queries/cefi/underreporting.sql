-- What a one-per-second feed hides
--
-- How much would a throttled feed have shown of a complete one, and what does that say of the throttled venues?
--
-- column: venue               VARCHAR  Perp venue.
-- column: completeness        VARCHAR  What its feed shows; unknown where nothing says.
-- column: saturation_band     BIGINT   Occupied slots of the minute: 1 below 0.1, 2 below 0.5, 3 below 0.9, 4 the rest.
-- column: n_minutes           BIGINT   Minutes of a market in the band.
-- column: n_events            BIGINT   Rows.
-- column: n_occupied_slots    BIGINT   Slots of a market with at least one order.
-- column: observed_usd        DOUBLE   Value observed, in US dollars at the time.
-- column: kept_largest_share  DOUBLE   Of a complete feed: what one report a slot, the largest, would have kept.
-- column: kept_latest_share   DOUBLE   The same with the latest.
-- column: occupancy_events    DOUBLE   Count of orders that the occupied share suggests: a weak lower estimate.
-- column: estimate_low_usd    DOUBLE   Of an incomplete feed: observed over the share that complete feeds keep in this band.
-- column: estimate_high_usd   DOUBLE   The same by the less generous rule, where the feed's own rule is unknown.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE throttle_seconds = coalesce(getvariable('throttle_seconds')::BIGINT, 1);  -- one report per market and slot of this length

-- Feeds throttle orders and chains show fills, so fills of one order are summed first. An order without account is a row of
-- its own. Feeds and accounts are told apart by their hashes: groups over texts take three times as long.
WITH in_play AS MATERIALIZED (
  SELECT hash(venue, market, coalesce(completeness, 'unknown')) AS feed, venue, coalesce(completeness, 'unknown') AS completeness,
    hash(account) AS account, account IS NULL AS is_order, side, liquidated_at, forced_usd, event_id
  FROM selection(getvariable('since'), getvariable('until'), 'all', getvariable('venues'), getvariable('assets'), 0)
  WHERE sector = 'perp' AND market IS NOT NULL AND forced_usd IS NOT NULL
), feeds AS (
  SELECT DISTINCT feed, venue, completeness FROM in_play
), orders AS (
  SELECT feed, liquidated_at, forced_usd AS usd, event_id AS last_id, 1 AS n_events FROM in_play WHERE is_order
  UNION ALL
  SELECT feed, liquidated_at, sum(forced_usd), max(event_id), count(*)
  FROM in_play WHERE NOT is_order GROUP BY feed, account, side, liquidated_at
), slots AS (
  SELECT feed, date_trunc('minute', liquidated_at) AS minute_at, sum(usd) AS usd, max(usd) AS largest_usd,
    sum(n_events) AS n_events, arg_max(usd, (liquidated_at, last_id)) AS latest_usd
  FROM orders GROUP BY feed, minute_at, epoch_us(liquidated_at) // (1000000 * getvariable('throttle_seconds'))
), minutes AS (
  SELECT feed, 60.0::DOUBLE / getvariable('throttle_seconds') AS n_slots, count(*) AS n_occupied,
    CASE WHEN n_occupied < 0.1 * n_slots THEN 1 WHEN n_occupied < 0.5 * n_slots THEN 2
      WHEN n_occupied < 0.9 * n_slots THEN 3 ELSE 4 END AS band, sum(n_events) AS n_events, sum(usd) AS usd,
    sum(largest_usd) AS largest_usd, sum(latest_usd) AS latest_usd,
    -n_slots * ln(1 - least(n_occupied / n_slots, greatest(1 - 1 / (2 * n_slots), 0))) AS occupancy
  FROM slots GROUP BY feed, minute_at
), bands AS MATERIALIZED (
  SELECT venue, completeness, band, count(*) AS n_minutes, sum(n_events)::BIGINT AS n_events,
    sum(n_occupied)::BIGINT AS n_occupied, sum(usd) AS usd, sum(largest_usd) AS largest_usd,
    sum(latest_usd) AS latest_usd, sum(occupancy) AS occupancy
  FROM minutes JOIN feeds ON feeds.feed = minutes.feed GROUP BY ALL
), kept AS (
  SELECT band, sum(largest_usd) / nullif(sum(usd), 0) AS largest, sum(latest_usd) / nullif(sum(usd), 0) AS latest
  FROM bands WHERE completeness = 'full' GROUP BY band
)
SELECT venue, completeness, bands.band::BIGINT AS saturation_band, n_minutes, n_events, n_occupied AS n_occupied_slots,
  usd AS observed_usd, CASE completeness WHEN 'full' THEN largest_usd / nullif(usd, 0) END AS kept_largest_share,
  CASE completeness WHEN 'full' THEN latest_usd / nullif(usd, 0) END AS kept_latest_share, occupancy AS occupancy_events,
  usd / CASE completeness WHEN 'throttled_largest_1s' THEN largest WHEN 'throttled_latest_1s' THEN latest
    WHEN 'unknown' THEN greatest(largest, latest) END AS estimate_low_usd,
  usd / CASE completeness WHEN 'throttled_largest_1s' THEN largest WHEN 'throttled_latest_1s' THEN latest
    WHEN 'unknown' THEN least(largest, latest) END AS estimate_high_usd
FROM bands LEFT JOIN kept ON kept.band = bands.band
ORDER BY venue, saturation_band, completeness;
