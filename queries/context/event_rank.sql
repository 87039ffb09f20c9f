-- How rare was this one
--
-- Where does an event stand among all that published totals name?
--
-- column: rank                    BIGINT   By the median of its figures, 1 = largest.
-- column: event                   VARCHAR  Name of the night.
-- column: day                     DATE     Day of its first figure.
-- column: n_sources               BIGINT   Sources that state a total.
-- column: n_figures               BIGINT   Totals stated.
-- column: reported_low_usd        DOUBLE   Lowest of them, in US dollars in 24 hours.
-- column: reported_median_usd     DOUBLE   Median of them.
-- column: reported_high_usd       DOUBLE   Highest of them.
-- column: defi_usd                DOUBLE   What is stored of DeFi on that UTC day; NULL: nothing.
-- column: defi_peak_hour_usd      DOUBLE   Its largest hour.
-- column: percentile              DOUBLE   Share of the other events with a smaller median.
-- column: oi_percentile           DOUBLE   The same of the median over the open interest of the day before.
-- column: n_ranked                BIGINT   Events ranked.
-- column: fear_greed              DOUBLE   Fear and greed index of the day, set at 00:00.
-- column: fear_greed_label        VARCHAR  The word beside it.
-- column: fear_greed_week_before  DOUBLE   The index seven days earlier.

SET VARIABLE event = coalesce(getvariable('event')::VARCHAR, '');  -- one named event of reported_totals
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept after ranking

-- Venue sets grow, so totals inflate: the percentile over open interest is the fairer one.
WITH events AS MATERIALIZED (
  SELECT event, min(reported_at)::DATE AS day, count(DISTINCT source) AS n_sources, count(*) AS n_figures,
    min(value) AS low_usd, median(value) AS median_usd, max(value) AS high_usd
  FROM reported_totals
  WHERE metric = 'total' AND unit = 'usd' AND venue = 'all' AND asset = 'all' AND window_hours = 24
    AND event IS NOT NULL AND reported_at IS NOT NULL AND value IS NOT NULL
  GROUP BY event
), markets AS (
  SELECT observed_at::DATE + 1 AS day, usd / sides AS usd
  FROM open_interest
  WHERE usd / sides IS NOT NULL AND observed_at::DATE + 1 IN (SELECT day FROM events)
  QUALIFY row_number() OVER (PARTITION BY venue, market, observed_at::DATE ORDER BY observed_at DESC, source) = 1
), relative AS (
  SELECT event, percent_rank() OVER (ORDER BY median_usd / interest_usd) AS oi_percentile
  FROM events JOIN (SELECT day, sum(usd) AS interest_usd FROM markets GROUP BY day) AS interest ON interest.day = events.day
  WHERE interest_usd > 0
), hours AS (
  SELECT liquidated_at::DATE AS day, date_trunc('hour', liquidated_at) AS hour_at, sum(forced_usd) AS usd
  FROM liquidations AS l
  WHERE is_headline AND venue_kind = 'defi' AND liquidated_at::DATE IN (SELECT day FROM events)
    AND NOT EXISTS (SELECT name FROM facts WHERE name = 'simulated:' || l.chain AND value = 'true')
  GROUP BY ALL
), ours AS (
  SELECT day, sum(usd) AS defi_usd, max(usd) AS defi_peak_hour_usd FROM hours GROUP BY day
), moods AS (
  SELECT observed_at, min_by(value, coalesce(source, '')) AS value, min_by(label, coalesce(source, '')) AS label
  FROM series WHERE name = 'fear_greed' AND value IS NOT NULL GROUP BY observed_at
), ranked AS (
  SELECT row_number() OVER (ORDER BY median_usd DESC, event) AS rank, event, day, n_sources, n_figures, low_usd, median_usd,
    high_usd, percent_rank() OVER (ORDER BY median_usd) AS percentile, count(*) OVER () AS n_ranked
  FROM events
)
SELECT rank, ranked.event, ranked.day, n_sources, n_figures, low_usd AS reported_low_usd, median_usd AS reported_median_usd,
  high_usd AS reported_high_usd, defi_usd, defi_peak_hour_usd, percentile, oi_percentile, n_ranked,
  today.value AS fear_greed, today.label AS fear_greed_label, before.value AS fear_greed_week_before
FROM ranked LEFT JOIN ours ON ours.day = ranked.day LEFT JOIN relative ON relative.event = ranked.event
LEFT JOIN moods AS today ON today.observed_at = ranked.day
LEFT JOIN moods AS before ON before.observed_at = ranked.day - 7
WHERE getvariable('event') = '' OR ranked.event = getvariable('event')
ORDER BY rank
LIMIT getvariable('top');
