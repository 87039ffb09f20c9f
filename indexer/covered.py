"""Merged coverage: what is covered, as the fewest disjoint ranges of blocks and of time."""

from __future__ import annotations

# One row a maximal range of one (source, chain, dataset): first and past (excluded), in blocks where the ranges have
# blocks, else in microseconds since 1970. from_at and to_at are the times of its ends where they are known.
ISLANDS = """
  SELECT source, chain, dataset, unit, min(first) AS first, max(past) AS past, min(from_at) AS from_at,
         max(to_at) AS to_at, sum(n_rows)::BIGINT AS n_rows, sum(n_rejected)::BIGINT AS n_rejected,
         count(*) AS n_ranges, count(*) FILTER (WHERE finality = 'pending') AS n_pending,
         string_agg(DISTINCT proof, ', ' ORDER BY proof) AS proofs,
         string_agg(DISTINCT endpoint, ', ' ORDER BY endpoint) AS endpoints
  FROM (
    SELECT *, sum(CASE WHEN first <= reached THEN 0 ELSE 1 END) OVER (
        PARTITION BY source, chain, dataset, unit ORDER BY first, past ROWS UNBOUNDED PRECEDING
      ) AS island
    FROM (
      SELECT *, max(past) OVER (
          PARTITION BY source, chain, dataset, unit ORDER BY first, past
          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
      FROM (
        SELECT *, CASE WHEN from_block IS NULL THEN 'microseconds' ELSE 'blocks' END AS unit,
               coalesce(from_block, epoch_us(from_at)) AS first,
               CASE WHEN from_block IS NULL THEN epoch_us(to_at) ELSE to_block + 1 END AS past
        FROM coverage
      )
    )
  )
  GROUP BY source, chain, dataset, unit, island
"""

# One row a hole between two covered ranges of one (source, chain, dataset), in the same unit.
GAPS = f"""
  SELECT source, chain, dataset, unit, past AS first, following AS past, to_at AS from_at, following_at AS to_at
  FROM (
    SELECT *, lead(first) OVER ranges AS following, lead(from_at) OVER ranges AS following_at
    FROM ({ISLANDS})
    WINDOW ranges AS (PARTITION BY source, chain, dataset, unit ORDER BY first)
  )
  WHERE following IS NOT NULL
"""
