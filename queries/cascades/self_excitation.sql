-- Do liquidations trigger liquidations?
--
-- How much more often do events follow each other closely than at their own slowly changing rate?
--
-- column: n_events                BIGINT   First rows of episodes whose account is known.
-- column: n_pairs                 BIGINT   Pairs of events at most tau_seconds apart.
-- column: expected_pairs          DOUBLE   The same if every event moved freely inside its bin of jitter_seconds.
-- column: pair_excess             DOUBLE   n_pairs over expected_pairs; 1: no feedback.
-- column: count_n_600             DOUBLE   Branching ratio by the variance of counts in 600 s.
-- column: count_n_3600            DOUBLE   The same in 3600 s.
-- column: branching               DOUBLE   Most likely branching ratio of the grid.
-- column: mean_delay_seconds      DOUBLE   Mean delay of that estimate.
-- column: background_per_hour     DOUBLE   Its events an hour that no earlier one explains.
-- column: log_likelihood          DOUBLE   Its log-likelihood.
-- column: poisson_log_likelihood  DOUBLE   The same for a constant rate.
-- column: is_grid_edge            BOOLEAN  The estimate lies on the edge of the grid: do not trust it.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE episode_seconds = coalesce(getvariable('episode_seconds')::BIGINT, 60);  -- rows of one position at most this far apart are one episode
SET VARIABLE tau_seconds = coalesce(getvariable('tau_seconds')::DOUBLE, 10);  -- two events at most this far apart are a pair
SET VARIABLE jitter_seconds = coalesce(getvariable('jitter_seconds')::DOUBLE, 600);  -- bin inside which the null model moves events

-- Three witnesses, because a branching ratio alone is spurious: a slow swing of the rate looks like feedback.
WITH events AS MATERIALIZED (
  SELECT us, long_us, (us - min(us) OVER ()) / 1e6 AS t, row_number() OVER (ORDER BY us) AS i FROM feedback_events()
), span AS (
  SELECT count(*) AS n_events, any_value(long_us) / 1e6 AS seconds FROM events
), pairs AS (
  SELECT sum(i - first_i)::BIGINT AS n_pairs FROM (SELECT i, min(i) OVER (
    ORDER BY us RANGE BETWEEN round(getvariable('tau_seconds') * 1e6) PRECEDING AND CURRENT ROW) AS first_i FROM events)
), bins AS (
  SELECT floor(us / (getvariable('jitter_seconds') * 1e6)) AS bin, count(*) AS k FROM events GROUP BY bin
), null_model AS (
  SELECT sum(a.k * (a.k - 1) / 2 * (1 - pow(1 - q, 2)) + coalesce(a.k * b.k, 0) * pow(q, 2) / 2) AS expected_pairs
  FROM (SELECT getvariable('tau_seconds') / getvariable('jitter_seconds') AS q), bins AS a
  LEFT JOIN bins AS b ON b.bin = a.bin + 1 WHERE q <= 1
), counts AS (
  SELECT width, 1 - sqrt(sum(k) * (any_value(w) - 1) / nullif(any_value(w) * sum(k * k) - pow(sum(k), 2), 0)) AS n
  FROM (SELECT width, floor(long_us / 1e6 / width) AS w, floor(us / 1e6 / width) AS bin, count(*) AS k
    FROM events, (VALUES (600), (3600)) AS v (width) WHERE bin < w AND w >= 2 GROUP BY ALL)
  GROUP BY width
), placed AS (  -- blocks of 30 mean delays: what lies more than two back weighs e^-60 at most
  SELECT delay, i, us, long_us, floor(t / delay / 30) AS block, t / delay - 30 * block AS x
  FROM events, (VALUES (1), (2), (5), (10), (20), (30), (60), (120), (300), (600), (1200), (3600)) AS v (delay)
), blocks AS (
  SELECT delay, block, sum(exp(x)) AS weight FROM placed GROUP BY ALL
), excited AS MATERIALIZED (
  SELECT p.delay AS delay, 1 - exp(-greatest(long_us - us, 0) / 1e6 / p.delay) AS spent, exp(-x) / p.delay
    * (exp(-30) * coalesce(b.weight, 0) + exp(-60) * coalesce(c.weight, 0) + coalesce(sum(exp(x)) OVER (
      PARTITION BY p.delay, p.block ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS rate
  FROM placed AS p LEFT JOIN blocks AS b ON b.delay = p.delay AND b.block = p.block - 1
  LEFT JOIN blocks AS c ON c.delay = p.delay AND c.block = p.block - 2
), cells AS (
  SELECT delay, g / 20 AS n, (n_events - n * spent) / nullif(seconds, 0) AS mu
  FROM (SELECT delay, sum(spent) AS spent FROM excited GROUP BY delay), span, range(20) AS v (g)
), best AS (
  SELECT e.delay AS delay, n, mu, sum(ln(mu + n * rate)) - count(*) AS ll
  FROM excited AS e JOIN cells ON cells.delay = e.delay WHERE mu > 0
  GROUP BY ALL ORDER BY round(ll, 9) DESC, n, e.delay LIMIT 1
)
SELECT n_events, n_pairs, expected_pairs, n_pairs / nullif(expected_pairs, 0) AS pair_excess,
  (SELECT n FROM counts WHERE width = 600) AS count_n_600, (SELECT n FROM counts WHERE width = 3600) AS count_n_3600,
  n AS branching, CASE WHEN n > 0 THEN delay END::DOUBLE AS mean_delay_seconds, mu * 3600 AS background_per_hour,
  ll AS log_likelihood, n_events * ln(nullif(n_events, 0) / nullif(seconds, 0)) - n_events AS poisson_log_likelihood,
  n = 0.95 OR n > 0 AND delay IN (1, 3600) AS is_grid_edge
FROM span, pairs, null_model LEFT JOIN best ON true
ORDER BY n_events;
