"""The state of a store as text: what is covered, what is not, how complete it is, how far behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import simulated, store
from indexer.cefi import health
from indexer.covered import GAPS, ISLANDS
from indexer.datasets import DATASETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    import duckdb

MOST_LINES = 20  # of one section; what is left out is counted

COVERAGE = f"""
  SELECT source, coalesce(chain, '-'), dataset,
         CASE unit WHEN 'blocks' THEN min(first)::VARCHAR ELSE min(from_at)::VARCHAR END,
         CASE unit WHEN 'blocks' THEN (max(past) - 1)::VARCHAR ELSE max(to_at)::VARCHAR END,
         coalesce(sum(past - first)::DOUBLE / nullif(max(past) - min(first), 0), 1), count(*) - 1, sum(n_pending)::BIGINT,
         sum(n_rows)::BIGINT, sum(n_rejected)::BIGINT, $now::TIMESTAMP - max(to_at),
         string_agg(DISTINCT proofs, ', ' ORDER BY proofs)
  FROM ({ISLANDS}) GROUP BY source, chain, dataset, unit ORDER BY ALL
"""
# A hole in time begins where the last frame was and ends with the next coverage; the gap that names its reason lies in it.
SAME_TIME = (
    "gaps.source = hole.source AND gaps.dataset = hole.dataset AND gaps.chain IS NOT DISTINCT FROM hole.chain"
    " AND hole.unit <> 'blocks' AND gaps.from_at <= hole.to_at AND gaps.to_at >= hole.from_at"
)
OPEN = f"""
  SELECT source, coalesce(chain, '-'), dataset, coalesce(from_block::VARCHAR, from_at::VARCHAR),
         coalesce(to_block::VARCHAR, to_at::VARCHAR), reason
  FROM (
    SELECT source, chain, dataset, from_block, to_block, from_at, to_at, reason FROM gaps
    WHERE from_block IS NOT NULL OR NOT EXISTS (FROM ({GAPS}) AS hole WHERE {SAME_TIME})
    UNION ALL
    SELECT source, chain, dataset, CASE unit WHEN 'blocks' THEN first END, CASE unit WHEN 'blocks' THEN past - 1 END,
           from_at, to_at, coalesce((SELECT string_agg(DISTINCT reason, '; ' ORDER BY reason) FROM gaps WHERE {SAME_TIME}),
             'between covered ranges, never asked')
    FROM ({GAPS}) AS hole
    WHERE NOT EXISTS (FROM gaps WHERE gaps.source = hole.source AND gaps.dataset = hole.dataset
                      AND gaps.chain IS NOT DISTINCT FROM hole.chain AND hole.unit = 'blocks'
                      AND gaps.from_block <= hole.first AND gaps.to_block >= hole.past - 1)
  ) ORDER BY source, chain, dataset, from_block, from_at
"""
COMPLETENESS = """
  SELECT venue, coalesce(completeness, 'not stated'), min(liquidated_at), max(liquidated_at), count(*),
         count(*) FILTER (WHERE is_headline), count(*) FILTER (WHERE is_headline AND forced_usd IS NULL)
  FROM liquidations GROUP BY ALL ORDER BY 1, 3, 2
"""
UNPRICED = """
  SELECT coalesce(chain, '-'), venue, coalesce(collateral_symbol, collateral_token, asset, market, 'unknown'),
         coalesce(price_source, 'no price'), count(*)
  FROM liquidations WHERE is_headline AND forced_usd IS NULL GROUP BY ALL ORDER BY 5 DESC, 1, 2, 3, 4
"""
REJECTED = """
  SELECT source, coalesce(chain, '-'), if(count(DISTINCT reason) = 1, any_value(reason), any_value(kind) || ' (several)'),
         count(*), min(block_number), max(block_number)
  FROM (SELECT *, split_part(reason, ': ', 1) AS kind FROM rejected)
  GROUP BY source, chain, kind ORDER BY 4 DESC, 1, 2, 3
"""
CONFLICTS = """
  SELECT address, coalesce(chain, 'every chain'), ruling_entity || ' (' || ruling_kind || ')', ruling_source,
         entity || ' (' || kind || ')', source
  FROM label_conflicts ORDER BY ALL
"""
ENDPOINTS = """
  SELECT host, chain, method, max_blocks, max_addresses, max_batch, earliest_block, requests_per_second, has_timestamp
  FROM endpoints ORDER BY ALL
"""


def text(connection: duckdb.DuckDBPyConnection, path: str, now: datetime) -> str:
    "What `indexer status` prints: one section a subject, `now` (UTC) is what lag is measured against."
    sections = [
        ("Stored", ("table", "rows"), [(name, n_rows) for name, n_rows in _row_counts(connection) if n_rows]),
        (
            "Covered",
            (
                "source",
                "chain",
                "dataset",
                "from",
                "to",
                "share",
                "holes",
                "pending",
                "rows",
                "rejected",
                "behind",
                "proof",
            ),
            connection.execute(COVERAGE, {"now": now}).fetchall(),
        ),
        ("Open", ("source", "chain", "dataset", "from", "to", "reason"), connection.execute(OPEN).fetchall()),
        (
            "Completeness",
            ("venue", "completeness", "from", "to", "rows", "in totals", "unpriced"),
            connection.execute(COMPLETENESS).fetchall(),
        ),
        ("Unpriced", ("chain", "venue", "of", "why", "rows"), connection.execute(UNPRICED).fetchall()),
        (
            "Rejected",
            ("source", "chain", "reason", "records", "first block", "last block"),
            connection.execute(REJECTED).fetchall(),
        ),
        (
            "Lateness of exchange records, in seconds",
            ("source", "records", "median", "p99", "longest", "last received"),
            list(health.lateness(connection)),
        ),
        (
            "Unknown symbols",
            ("venue", "symbol", "rows", "forced_usd"),
            health.unknown_symbols(connection),
        ),
        (
            "Label conflicts",
            ("address", "chain", "rules", "from", "loses", "from"),
            connection.execute(CONFLICTS).fetchall(),
        ),
        (
            "Endpoints",
            ("host", "chain", "method", "blocks", "addresses", "batch", "earliest", "per second", "timestamps"),
            connection.execute(ENDPOINTS).fetchall(),
        ),
    ]
    lines = [f"{path}: {_size(path)}", *_simulated(connection)]
    for title, names, rows in sections:
        lines += ["", *_section(title, names, rows)]
    return "\n".join(lines)


def _size(path: str) -> str:
    file = Path(path)
    n_bytes = sum(one.stat().st_size for one in (file, file.with_name(file.name + ".wal")) if one.exists())
    return f"{n_bytes / 1e6:,.1f} MB, {shutil.disk_usage(file.resolve().parent).free / 1e9:,.1f} GB free"


def _simulated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [f"{said}: its rows are no market's" for said in simulated.sentences(connection)]


def _row_counts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {store.stored_in(name)}" for name in DATASETS)
    return connection.execute(counts).fetchall()


def _section(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    "A heading and aligned lines; numbers to the right."
    if not rows:
        yield f"{title}: nothing"
        return
    yield f"{title}:"
    cells = [
        names,
        *([_cell(name, value) for name, value in zip(names, row, strict=True)] for row in rows[:MOST_LINES]),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = [isinstance(value, int | float) or value is None for value in rows[0]]
    for line in cells:
        padded = (
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(line, widths, is_number, strict=True)
        )
        yield ("  " + "  ".join(padded)).rstrip()
    if len(rows) > MOST_LINES:
        yield f"  and {len(rows) - MOST_LINES} more"


def _cell(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    if value is None:
        return "-"
    if name == "share":
        return f"{value:.2%}" if value in (0, 1) else f"{min(value, 0.9999):.2%}"
    if name == "behind":
        return _span(value)
    if name == "forced_usd":
        return f"{value:,.2f}"
    if name in {"median", "p99", "longest"}:
        return f"{value:,.3f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name not in {"earliest", "first block", "last block"}:
        return f"{value:,}"
    return " ".join(str(value).split())[:100]


def _span(length: timedelta) -> str:
    "A length of time in its largest unit."
    seconds = max(length.total_seconds(), 0)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
