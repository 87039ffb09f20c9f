-- Where a liquidated account's money went
--
-- Through which addresses did value reach an exchange, bridge or other labelled place?
--
-- column: account      VARCHAR    Where the path starts.
-- column: n_hops       BIGINT     Transfers; a bridge crossed is none.
-- column: path         VARCHAR    Addresses in order; address@chain where a bridge was crossed.
-- column: started_at   TIMESTAMP  First hop.
-- column: ended_at     TIMESTAMP  Last hop.
-- column: first_usd    DOUBLE     Value of the first hop.
-- column: path_usd     DOUBLE     Smallest value along the path.
-- column: kept_share   DOUBLE     The one over the other.
-- column: end_address  VARCHAR    Labelled end.
-- column: end_label    VARCHAR    Its label.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE account = coalesce(getvariable('account')::VARCHAR, '');  -- one account
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept after ranking
SET VARIABLE horizon_hours = coalesce(getvariable('horizon_hours')::BIGINT, 24);  -- how far around an event a walk or re-entry is searched
SET VARIABLE max_hops = coalesce(getvariable('max_hops')::BIGINT, 3);  -- longest path
SET VARIABLE min_transfer_usd = coalesce(getvariable('min_transfer_usd')::DOUBLE, 10000);  -- smallest flow considered
SET VARIABLE min_kept_share = coalesce(getvariable('min_kept_share')::DOUBLE, 0.5);  -- a hop moves at least this share of the value carried so far

WITH RECURSIVE largest AS (
  SELECT account, sum(forced_usd) AS usd, min(liquidated_at) AS first_at, max(liquidated_at) AS last_at
  FROM selected()
  WHERE trim(getvariable('account')) = '' AND account IS NOT NULL AND account_kind IS DISTINCT FROM 'protocol'
  GROUP BY account ORDER BY usd DESC, account LIMIT getvariable('top')
), starts AS MATERIALIZED (
  SELECT account, first_at - to_hours(getvariable('horizon_hours')) AS from_at,
    last_at + to_hours(getvariable('horizon_hours')) + INTERVAL 1 MICROSECOND AS to_at
  FROM largest
  UNION ALL
  SELECT lower(trim(getvariable('account'))), getvariable('since'), getvariable('until')
  WHERE trim(getvariable('account')) <> ''
), crossings AS MATERIALIZED (
  SELECT address, chain, left_at, arrived_at, to_chain, usd FROM bridge_crossings()
), reachable AS MATERIALIZED (
  SELECT address_hash FROM addresses_in_reach('starts')
), moves AS (
  FROM walk_transfers() WHERE hash(from_address) IN (SELECT address_hash FROM reachable)
), edges AS MATERIALIZED (
  SELECT from_address, to_address, chain, flowed_at, usd, coalesce(entity, to_label) AS label
  FROM labelled_flows('moves') LEFT JOIN entities ON entities.address = to_address
), hubs AS MATERIALIZED (
  SELECT address_hash FROM hub_addresses('reachable')
), walk AS (
  SELECT starts.account AS account, 1 AS n_hops, [starts.account, to_address] AS visited, to_address AS address, chain,
    flowed_at AS started_at, flowed_at AS reached_at, usd AS first_usd, usd AS path_usd, label
  FROM starts JOIN edges ON edges.from_address = starts.account
  WHERE flowed_at >= from_at AND flowed_at < to_at AND to_address <> starts.account
  UNION ALL
  (SELECT alive.account, n_hops + 1, list_append(visited, to_address), to_address, alive.chain, started_at, flowed_at,
    first_usd, least(path_usd, usd), edges.label
  FROM walk AS alive JOIN edges ON edges.from_address = alive.address
  WHERE alive.label IS NULL AND n_hops < getvariable('max_hops')
    AND hash(alive.address) NOT IN (SELECT address_hash FROM hubs) AND edges.chain IS NOT DISTINCT FROM alive.chain
    AND flowed_at > reached_at AND flowed_at <= started_at + horizon_long()
    AND usd >= getvariable('min_kept_share') * path_usd AND NOT list_contains(visited, to_address)
  UNION ALL
  SELECT account, n_hops, list_append(visited, walk.address || '@' || to_chain), walk.address, to_chain, started_at,
    arrived_at, first_usd, least(path_usd, usd), NULL
  FROM walk JOIN crossings ON crossings.address = walk.address AND crossings.chain = walk.chain
  WHERE label IS NULL AND n_hops < getvariable('max_hops') AND left_at >= reached_at
    AND arrived_at <= started_at + horizon_long() AND usd >= getvariable('min_kept_share') * path_usd
    AND NOT list_contains(visited, walk.address || '@' || to_chain))
)
SELECT account, n_hops::BIGINT AS n_hops, array_to_string(visited, ' > ') AS path, started_at, reached_at AS ended_at,
  first_usd, path_usd, path_usd / nullif(first_usd, 0) AS kept_share, address AS end_address, label AS end_label
FROM walk
WHERE label IS NOT NULL
ORDER BY account, path_usd DESC, ended_at, path, started_at, first_usd;
