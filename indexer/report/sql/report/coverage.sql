-- What is covered
--
-- Can this report be trusted?
-- One row a source and step; flows and prices stand beside the liquidations they explain.
--
-- column: source         VARCHAR    Venue of a liquidation data set, else the data set.
-- column: chain          VARCHAR    Chain; NULL for centralised venues.
-- column: bucket_at      TIMESTAMP  Left edge of the step, cut at the window.
-- column: covered_share  DOUBLE     Share of the step, as far as it lies in the window, with a proof of completeness.
SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE step_seconds = coalesce(getvariable('step_seconds')::BIGINT, 3600);  -- row distance of a printed time series

WITH pieces AS (
  SELECT coalesce(venue, dataset) AS source, chain, from_at, to_at FROM liquidation_coverage
  UNION ALL
  SELECT split_part(dataset, ':', 1) AS source, chain, from_at, to_at
  FROM coverage WHERE split_part(dataset, ':', 1) IN ('flows', 'prices')
), sources AS (
  SELECT source, chain FROM pieces
  UNION
  SELECT venue, chain FROM liquidations
  WHERE is_headline AND liquidated_at >= getvariable('since') AND liquidated_at < getvariable('until')
), spine AS (
  SELECT greatest(edge_at, getvariable('since')) AS bucket_at,
    least(edge_at + seconds_long(getvariable('step_seconds')), getvariable('until')) AS end_at
  FROM (SELECT unnest(generate_series(bucket_of(getvariable('step_seconds'), getvariable('since')),
    getvariable('until') - INTERVAL 1 MICROSECOND, seconds_long(getvariable('step_seconds')))) AS edge_at)
), disjoint AS (  -- what a range adds to those of its source that begin before it
  SELECT source, chain, to_at, greatest(from_at, max(to_at) OVER (PARTITION BY source, chain
    ORDER BY from_at, to_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS from_at
  FROM pieces WHERE from_at < getvariable('until') AND to_at > getvariable('since')
), shares AS (
  SELECT source, chain, bucket_at,
    sum(epoch_us(least(to_at, end_at)) - epoch_us(greatest(from_at, bucket_at)))::DOUBLE AS covered_us
  FROM spine JOIN disjoint ON from_at < end_at AND to_at > bucket_at AND from_at < to_at
  GROUP BY ALL
)
SELECT sources.source AS source, sources.chain AS chain, spine.bucket_at AS bucket_at,
  coalesce(covered_us, 0) / (epoch_us(end_at) - epoch_us(spine.bucket_at)) AS covered_share
FROM sources CROSS JOIN spine
LEFT JOIN shares ON shares.source = sources.source AND shares.chain IS NOT DISTINCT FROM sources.chain
  AND shares.bucket_at = spine.bucket_at
ORDER BY source, chain, bucket_at;
