-- Do stated totals agree with the data?
--
-- For every published figure: what do we have for the same window and scope?
--
-- column: reported_at       TIMESTAMP  When the figure was stated: end of its window.
-- column: event             VARCHAR    Name of the night.
-- column: source            VARCHAR    Who stated it.
-- column: metric            VARCHAR    total, longs or shorts.
-- column: venue             VARCHAR    Scope: a venue, or all; NULL: not stated.
-- column: asset             VARCHAR    Scope: an asset, or all; NULL: not stated.
-- column: window_hours      DOUBLE     Length of the window.
-- column: reported_usd      DOUBLE     The figure, in US dollars.
-- column: ours_usd          DOUBLE     What is stored for the same window and scope, DeFi and CeFi; NULL: nothing priced.
-- column: ratio             DOUBLE     ours_usd over reported_usd.
-- column: best_match_at     TIMESTAMP  End of the window, within match_hours, whose value is nearest.
-- column: best_match_usd    DOUBLE     Its value.
-- column: best_match_ratio  DOUBLE     Over reported_usd.
-- column: lowest_usd        DOUBLE     Smallest value of all windows within match_hours; an empty one counts 0.
-- column: highest_usd       DOUBLE     Largest of them.
-- column: verdict           VARCHAR    inside, above_ours, below_floor or not_comparable.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE event = coalesce(getvariable('event')::VARCHAR, '');  -- one named event of reported_totals
SET VARIABLE match_hours = coalesce(getvariable('match_hours')::BIGINT, 12);  -- how far around a reported time the best match is sought

-- Candidates end k minutes from reported_at. A row enters with the first candidate that holds it: half 2k, or 2k + 1 if
-- it lies in the last part of that minute which a window of broken minutes still holds when it leaves.
WITH figures AS MATERIALIZED (
  SELECT row_number() OVER (ORDER BY reported_at, source, metric, venue, asset, value, event, window_hours, note, url)
      AS figure, reported_at, event, source, metric, venue, asset, window_hours, value,
    floor(round(window_hours * 60, 6))::BIGINT AS whole, round(window_hours * 60, 6) - whole AS broken,
    60 * CASE WHEN note LIKE '%day only%' THEN 24 ELSE getvariable('match_hours') END AS reach
  FROM reported_totals
  WHERE metric IN ('total', 'longs', 'shorts') AND unit = 'usd' AND value IS NOT NULL AND window_hours IS NOT NULL
    AND reported_at >= getvariable('since') AND reported_at < getvariable('until')
    AND (getvariable('event') = '' OR event = getvariable('event'))
), days AS (
  SELECT figure, unnest(generate_series(date_trunc('day', reported_at - to_minutes(reach + whole + 1)),
    reported_at + to_minutes(reach), INTERVAL 1 DAY)) AS day_at
  FROM figures WHERE venue IS NOT NULL AND asset IS NOT NULL
), matched AS (
  SELECT figures.figure AS figure, (epoch_us(liquidated_at) - epoch_us(reported_at)) / 60e6 AS at_minute, broken,
    forced_usd
  FROM days JOIN figures ON figures.figure = days.figure
  JOIN liquidations AS l ON date_trunc('day', liquidated_at) = days.day_at
  WHERE liquidated_at >= (SELECT min(day_at) FROM days)
    AND liquidated_at < (SELECT max(day_at) FROM days) + INTERVAL 1 DAY
    AND is_headline AND forced_usd IS NOT NULL AND (figures.venue = 'all' OR figures.venue = l.venue)
    AND (figures.asset = 'all' OR figures.asset = l.asset) AND (metric = 'total' OR metric = side || 's')
    AND NOT EXISTS (SELECT name FROM facts
      WHERE name IN ('simulated:' || l.chain, 'simulated:' || l.source) AND value = 'true')
), halves AS (
  SELECT figure, 2 * ceil(at_minute)::BIGINT + (ceil(at_minute) - at_minute < broken)::BIGINT AS half,
    false AS is_candidate, sum(forced_usd) AS usd
  FROM matched GROUP BY ALL
  UNION ALL
  SELECT figure, 2 * unnest(range(-reach, reach + 1)) + 1, true, NULL FROM figures
), windows AS (
  SELECT halves.figure AS figure, half, is_candidate, value,
    sum(usd) OVER (PARTITION BY halves.figure ORDER BY half RANGE BETWEEN 2 * whole PRECEDING AND CURRENT ROW) AS held_usd
  FROM halves JOIN figures ON figures.figure = halves.figure
), answers AS (
  SELECT figure, any_value(held_usd) FILTER (WHERE half = 1) AS ours_usd, count(held_usd) AS n_known,
    arg_min((half, held_usd), (round(abs(held_usd - value), 4), abs(half - 1), half)) FILTER (WHERE held_usd IS NOT NULL)
      AS best,
    CASE WHEN n_known > 0 THEN min(coalesce(held_usd, 0)) END AS lowest_usd,
    CASE WHEN n_known > 0 THEN max(coalesce(held_usd, 0)) END AS highest_usd
  FROM windows WHERE is_candidate GROUP BY figure
)
SELECT reported_at, event, source, metric, venue, asset, window_hours, value AS reported_usd, ours_usd,
  ours_usd / nullif(value, 0) AS ratio, reported_at + to_minutes((best[1] - 1) // 2) AS best_match_at,
  best[2] AS best_match_usd, best[2] / nullif(value, 0) AS best_match_ratio, lowest_usd, highest_usd,
  CASE WHEN n_known = 0 THEN 'not_comparable' WHEN round(value, 4) > round(highest_usd, 4) THEN 'above_ours'
    WHEN round(value, 4) < round(lowest_usd, 4) THEN 'below_floor' ELSE 'inside' END AS verdict
FROM figures JOIN answers ON answers.figure = figures.figure
ORDER BY reported_at, source, metric, venue, asset, value, figures.figure;
