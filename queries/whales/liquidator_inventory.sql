-- What liquidators did with the collateral
--
-- Was seized collateral sold at once, held, or moved?
-- A transfer out is a disposal; that it was a sale is known only where the receiver is labelled.
--
-- column: liquidator        VARCHAR  Who seized.
-- column: asset             VARCHAR  What.
-- column: n_seizures        BIGINT   Seizures.
-- column: seized_amount     DOUBLE   Tokens seized.
-- column: disposed_amount   DOUBLE   Tokens of them moved out, first in first out.
-- column: open_amount       DOUBLE   Tokens of them not seen to leave.
-- column: hold_seconds      DOUBLE   Mean time from seizure to disposal, weighted by tokens.
-- column: realised_pnl_usd  DOUBLE   Disposals at their price less the same tokens at the price of their seizure.
-- column: same_tx_share     DOUBLE   Share of the disposals in the transaction of the seizure.

SET VARIABLE since = coalesce(getvariable('since')::TIMESTAMP, '1970-01-01');  -- start of the window (UTC, inclusive)
SET VARIABLE until = coalesce(getvariable('until')::TIMESTAMP, '2200-01-01');  -- end of the window (UTC, exclusive)
SET VARIABLE venues = coalesce(getvariable('venues')::VARCHAR, '');  -- only these venues, comma-separated
SET VARIABLE assets = coalesce(getvariable('assets')::VARCHAR, '');  -- only these assets, comma-separated
SET VARIABLE venue_kind = coalesce(getvariable('venue_kind')::VARCHAR, 'defi');  -- defi, cefi or all
SET VARIABLE min_usd = coalesce(getvariable('min_usd')::DOUBLE, 0);  -- ignore rows below this value
SET VARIABLE top = coalesce(getvariable('top')::BIGINT, 20);  -- rows kept after ranking
SET VARIABLE hold_days = coalesce(getvariable('hold_days')::BIGINT, 7);  -- how long after the last seizure disposals are read

WITH seizures AS MATERIALIZED (
  SELECT liquidator, asset, price, liquidated_at AS seized_at, tx_hash,
    sum(amount) OVER (PARTITION BY liquidator, asset
      ORDER BY liquidated_at, chain, block_number, log_index, event_id ROWS UNBOUNDED PRECEDING) AS seized_until
  FROM seizures_in_play()
), inventories AS MATERIALIZED (
  SELECT liquidator, asset, count(*) AS n_seizures, max(seized_until) AS seized_amount, min(seized_at) AS first_at,
    max(seized_at) + to_days(getvariable('hold_days')::INTEGER) AS last_at
  FROM seizures GROUP BY liquidator, asset
), moves AS (
  SELECT liquidator, asset, price, flowed_at, tx_hash, sum(amount) OVER in_order AS moved_until,
    row_number() OVER in_order AS place
  FROM transfers_of_liquidators('inventories')
  WINDOW in_order AS (PARTITION BY liquidator, asset
    ORDER BY flowed_at, chain, block_number, log_index, flow_id ROWS UNBOUNDED PRECEDING)
), stocks AS (
  SELECT liquidator, asset, seized_at, max(seized_until) AS stock FROM seizures GROUP BY liquidator, asset, seized_at
), cut AS ( -- tokens moved beyond the stock of that moment were the liquidator's own
  SELECT moves.liquidator AS liquidator, moves.asset AS asset, price, flowed_at, tx_hash, place,
    moved_until - greatest(0, max(moved_until - stock) OVER (
      PARTITION BY moves.liquidator, moves.asset ORDER BY place)) AS disposed_until
  FROM moves ASOF JOIN stocks ON stocks.liquidator = moves.liquidator AND stocks.asset = moves.asset
    AND stocks.seized_at <= moves.flowed_at
), disposals AS MATERIALIZED (
  SELECT liquidator, asset, price, flowed_at, tx_hash, disposed_until FROM cut
  QUALIFY disposed_until > coalesce(lag(disposed_until) OVER (PARTITION BY liquidator, asset ORDER BY place), 0)
), points AS (
  SELECT liquidator, asset, seized_until AS point FROM seizures
  UNION
  SELECT liquidator, asset, disposed_until FROM disposals
), segments AS ( -- between two points all tokens come from one seizure and go in one disposal
  SELECT liquidator, asset, point,
    point - coalesce(lag(point) OVER (PARTITION BY liquidator, asset ORDER BY point), 0) AS amount
  FROM points
), matched AS (
  SELECT segments.liquidator AS liquidator, segments.asset AS asset, segments.amount AS amount,
    segments.amount * epoch(flowed_at - seized_at) AS held, segments.amount * (disposals.price - seizures.price) AS pnl,
    coalesce(disposals.tx_hash = seizures.tx_hash, false) AS is_same_tx
  FROM segments
  ASOF JOIN seizures ON seizures.liquidator = segments.liquidator AND seizures.asset = segments.asset
    AND seizures.seized_until >= segments.point
  ASOF JOIN disposals ON disposals.liquidator = segments.liquidator AND disposals.asset = segments.asset
    AND disposals.disposed_until >= segments.point
), totals AS (
  SELECT liquidator, asset, sum(amount) AS disposed, sum(held) / sum(amount) AS hold_seconds, sum(pnl) AS pnl,
    coalesce(sum(amount) FILTER (WHERE is_same_tx), 0) / sum(amount) AS same_tx_share
  FROM matched GROUP BY liquidator, asset
)
SELECT inventories.liquidator, inventories.asset, n_seizures, seized_amount, coalesce(disposed, 0) AS disposed_amount,
  seized_amount - coalesce(disposed, 0) AS open_amount, hold_seconds, pnl AS realised_pnl_usd, same_tx_share
FROM inventories
LEFT JOIN totals ON totals.liquidator = inventories.liquidator AND totals.asset = inventories.asset
ORDER BY abs(pnl) DESC, inventories.liquidator, inventories.asset
LIMIT getvariable('top');
