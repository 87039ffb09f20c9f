-- Is anything counted twice?
--
-- Does any stored row count one economic act twice?
-- Eight checks over the whole database; a check with severity fail must find nothing.
--
-- column: check             VARCHAR  Name of the check.
-- column: severity          VARCHAR  fail or warn.
-- column: n_bad             BIGINT   Rows (groups or venues for the two warnings) that break it.
-- column: bad_usd           DOUBLE   Their value.
-- column: example_event_id  VARCHAR  Smallest event_id among them.

-- Few rows can be bad: those of the checks 2 to 5 share the hash of a key with another row, and groups over hashes of
-- millions of rows are quick. What is said of them is decided by the keys themselves.
WITH shared AS MATERIALIZED (
  SELECT 2 AS place, hash(chain, block_number, log_index) AS key_hash FROM liquidations
  WHERE is_headline AND log_index IS NOT NULL GROUP BY ALL HAVING count(*) > 1
  UNION ALL SELECT 3, hash(tx_hash) FROM liquidations
  WHERE is_headline AND sector = 'lending' AND tx_hash IS NOT NULL GROUP BY ALL HAVING min(log_index) <> max(log_index)
  UNION ALL SELECT 4, hash(venue, tx_hash, liquidated_at) FROM liquidations
  WHERE is_headline AND venue_kind = 'defi' AND sector = 'perp' AND size IS NOT NULL GROUP BY ALL HAVING min(side) <> max(side)
  UNION ALL SELECT 5, hash(chain, block_number) FROM liquidations
  WHERE chain IS NOT NULL AND block_number IS NOT NULL GROUP BY ALL HAVING min(hash(block_hash)) <> max(hash(block_hash))
), of_vault AS MATERIALIZED (
  SELECT event_id, account, liquidated_at, forced_usd FROM liquidations
  WHERE is_headline AND account IN (SELECT address FROM labels WHERE entity = 'hlp')
), bad AS (
  SELECT 1 AS place, count(*) AS n_bad, sum(forced_usd) AS usd, min(event_id) AS event_id
  FROM liquidations LEFT JOIN kinds ON kinds.kind = liquidations.kind
  WHERE liquidations.is_headline IS DISTINCT FROM kinds.is_headline
  UNION ALL
  SELECT 2, count(*), sum(forced_usd), min(event_id) FROM liquidations
  WHERE is_headline AND log_index IS NOT NULL
    AND hash(chain, block_number, log_index) IN (SELECT key_hash FROM shared WHERE place = 2)
  GROUP BY chain, block_number, log_index HAVING count(*) > 1
  UNION ALL
  SELECT 3, count(*), sum(forced_usd), min(event_id) FROM liquidations
  WHERE is_headline AND sector = 'lending' AND tx_hash IS NOT NULL AND coalesce(collateral_raw, debt_raw) IS NOT NULL
    AND hash(tx_hash) IN (SELECT key_hash FROM shared WHERE place = 3)
  GROUP BY chain, tx_hash, account, collateral_token, debt_token, collateral_raw, debt_raw HAVING min(log_index) <> max(log_index)
  UNION ALL
  SELECT 4, count(*), sum(forced_usd), min(event_id) FROM liquidations
  WHERE is_headline AND venue_kind = 'defi' AND sector = 'perp' AND size IS NOT NULL
    AND hash(venue, tx_hash, liquidated_at) IN (SELECT key_hash FROM shared WHERE place = 4)
  GROUP BY venue, tx_hash, market, liquidated_at, size, price HAVING min(side) <> max(side)
  UNION ALL
  SELECT 5, count(*), sum(forced_usd), min(event_id) FROM liquidations
  WHERE chain IS NOT NULL AND block_number IS NOT NULL
    AND hash(chain, block_number) IN (SELECT key_hash FROM shared WHERE place = 5)
  GROUP BY chain, block_number HAVING min(block_hash) <> max(block_hash)
  UNION ALL
  SELECT 6, count(*), sum(forced_usd), min(event_id) FROM of_vault
  WHERE EXISTS (SELECT 1 FROM labels WHERE labels.address = account AND entity = 'hlp'
    AND coalesce(from_at <= liquidated_at, true) AND coalesce(liquidated_at < to_at, true))
  UNION ALL
  SELECT 7, 1, abs(relay_usd - adl_usd), event_id
  FROM (
    SELECT min(event_id) AS event_id, coalesce(sum(forced_usd) FILTER (WHERE kind = 'relay'), 0) AS relay_usd,
      coalesce(sum(forced_usd) FILTER (WHERE kind = 'adl'), 0) AS adl_usd
    FROM liquidations
    -- Only a venue whose vault passes positions on has relays: GMX closes winners without one.
    WHERE kind IN ('relay', 'adl') AND (venue = 'hyperliquid' OR venue IN (SELECT venue FROM liquidations WHERE kind = 'relay'))
    GROUP BY venue, market, liquidated_at)
  WHERE abs(relay_usd - adl_usd) > 1e-6 * greatest(relay_usd, adl_usd)
  UNION ALL
  SELECT 8, 1, sum(usd), min(event_id)
  FROM (
    SELECT venue, min(event_id) AS event_id, sum(forced_usd) AS usd, count(*) AS n_rows
    FROM liquidations WHERE is_headline AND venue_kind = 'defi' AND sector = 'perp'
    GROUP BY venue, date_trunc('second', liquidated_at))
  GROUP BY venue HAVING count(*) >= 30 AND bool_and(n_rows % 2 = 0)
), found AS (
  SELECT place, sum(n_bad)::BIGINT AS n_bad, sum(usd) AS bad_usd, min(event_id) AS event_id FROM bad GROUP BY place
)
SELECT check_name AS "check", severity, coalesce(n_bad, 0) AS n_bad,
  CASE WHEN coalesce(n_bad, 0) = 0 THEN 0 ELSE bad_usd END AS bad_usd, event_id AS example_event_id
FROM (VALUES (1, 'headline_rule', 'fail'), (2, 'same_log_twice', 'fail'), (3, 'same_act_two_emitters', 'fail'),
  (4, 'both_fill_sides', 'fail'), (5, 'two_block_hashes', 'fail'), (6, 'vault_in_headline', 'fail'),
  (7, 'relay_equals_adl', 'warn'), (8, 'even_seconds', 'warn')) AS checks(place, check_name, severity)
LEFT JOIN found ON found.place = checks.place
ORDER BY checks.place;
