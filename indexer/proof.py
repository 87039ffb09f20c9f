"""What a run proves of block ranges: coverage of stretches, what was asked in them, and gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from indexer import flow_plan, store
from indexer.plan import PRICES
from indexer.ranges import Range

if TYPE_CHECKING:
    import duckdb

    from indexer.plan import Segment
    from indexer.scope import Scope
    from indexer.sources.evm_logs import Fetched, Gap


def stretches(done: list[Fetched]) -> list[list[Fetched]]:
    "Pieces that follow each other and share proof, endpoint, in order."
    result: list[list[Fetched]] = []
    for piece in done:
        last = result[-1][-1] if result else None
        if (
            last
            and last.block_range.last == piece.block_range.first - 1
            and (last.proof, last.endpoint) == (piece.proof, piece.endpoint)
        ):
            result[-1].append(piece)
        else:
            result.append([piece])
    return result


def mark(
    connection: duckdb.DuckDBPyConnection,
    scope: Scope,
    segment: Segment,
    stretch: list[Fetched],
    tables: dict[str, pl.DataFrame],
) -> None:
    "Coverage of one stretch: one row a dataset, and the members asked."
    chain, first, last = scope.known.chain, stretch[0], stretch[-1]
    span = Range(first.block_range.first, last.block_range.last)
    finality = "final" if span.last <= scope.final_block else "pending"
    inside = pl.col("block_number").is_between(span.first, span.last)
    n_rows = {}
    if "liquidations" in tables:
        counts = tables["liquidations"].filter(inside).group_by("venue").len()
        n_rows = {f"liquidations:{venue}": n for venue, n in counts.iter_rows()}
    if "prices" in tables:
        n_rows[PRICES] = tables["prices"].filter(inside).height
    if "flows" in tables:
        n_rows |= flow_plan.counts(tables["flows"].filter(inside), segment)
    n_rejected = tables["rejected"].filter(inside).height if "rejected" in tables else 0
    stretch_row = {
        "source": "rpc",
        "chain": chain,
        "from_block": span.first,
        "to_block": span.last,
        "from_at": first.first_at,
        "to_at": last.last_at + timedelta(seconds=1),
        "n_rejected": n_rejected,
        "head_hash": last.head.hash,
        "proof": last.proof,
        "endpoint": last.endpoint,
        "finality": finality,
        "indexed_at": datetime.now(UTC).replace(tzinfo=None),
    }
    datasets = sorted({member.dataset for member in segment.members})
    store.cover_all(connection, [{**stretch_row, "dataset": name, "n_rows": n_rows.get(name, 0)} for name in datasets])
    store.mark_asked(connection, chain, [member.key for member in segment.members], span, finality)


def note_gap(connection: duckdb.DuckDBPyConnection, chain: str, segment: Segment, gap: Gap) -> None:
    "A row of `gaps` for each dataset that a failed range leaves open."
    with store.transaction(connection):
        for dataset in sorted({member.dataset for member in segment.members}):
            span = [chain, dataset, gap.block_range.first, gap.block_range.last]
            connection.execute(
                "DELETE FROM gaps WHERE source = 'rpc' AND chain = ? AND dataset = ? AND from_block = ? AND to_block = ?",
                span,
            )
            connection.execute(
                "INSERT INTO gaps (source, chain, dataset, from_block, to_block, reason) VALUES ('rpc', ?, ?, ?, ?, ?)",
                [*span, gap.reason],
            )
