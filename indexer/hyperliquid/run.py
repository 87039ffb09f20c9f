"""The backfill loop of HyperCore: hour files to rows, one transaction an hour of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer import store
from indexer.hyperliquid import classify, plan, reading, scan, write
from indexer.hyperliquid.archive import DAY_MS, HOUR_MS, Layout
from indexer.hyperliquid.commit import commit, commit_contexts
from indexer.hyperliquid.plan import Options, endpoint, moment
from indexer.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from indexer.hyperliquid.archive import Store
    from indexer.hyperliquid.plan import Plan, Selection, Unit

__all__ = ["Options", "backfill"]
SOURCE = classify.ARCHIVE
MISSING = "no hour file; add it to the archive folder, or point --archive at a place that has it"


def backfill(db_path: str | Path, options: Options, narrate: Callable[[str], None]) -> int:
    """Index what `options` ask for into the database at `db_path`; 0, or 1 if a wanted part could not be completed.

    `narrate` gets one line an hour. Raises UserError for a window or archive that makes no sense. What is committed
    stays whatever happens; running again does only what is not there or has changed.
    """
    selection = plan.select(options)
    if options.accounts is not None:
        from indexer.hyperliquid import accounts  # noqa: PLC0415 - httpx comes with it, which files do not need

        return accounts.backfill(db_path, options, selection, narrate)
    source = plan.open_store(options)
    work = plan.plan(Layout(source), selection)
    if options.dry_run:
        for line in plan.listing(work):
            narrate(line)
        return 0
    connection = store.connect(db_path)
    # A busy hour is larger than this: it goes straight into the file instead of into the log first and the file later.
    connection.execute("SET checkpoint_threshold = '1MB'")
    connection.execute("SET threads = 1")  # the other cores read files; an hour's rows are too few to share out
    try:
        with store.transaction(connection):
            write.seed_vaults(connection)
        is_whole = mark_missing(connection, work, selection, narrate)
        is_whole &= index(connection, source, work, selection, options.workers, narrate)
    finally:
        connection.close()
    return 0 if is_whole else 1


def index(
    connection: duckdb.DuckDBPyConnection,
    source: Store,
    work: Plan,
    selection: Selection,
    n_workers: int | None,
    narrate: Callable[[str], None],
) -> bool:
    "Read and store the hours and days of `work` that are not done; False if a wanted part could not be completed."
    vaults = write.vaults(connection)
    todo = [unit for unit in work.units if not is_done(connection, unit, selection)]
    if len(todo) < len(work.units):
        narrate(f"{len(work.units) - len(todo)} hours are covered by the same files already")
    reached, is_whole = -1, True
    for unit, hour in reading.hours(source, todo, n_workers):
        outcome = commit(connection, unit, hour, vaults, selection)
        reached = max(reached, *(plan.block_of(part.facts.last) or -1 for part in hour.fills), -1)
        is_whole &= outcome.is_whole
        counted = f"{outcome.n_rows} rows, {outcome.n_rejected} rejected"
        narrate("; ".join([f"{moment(unit.hour):%Y-%m-%dT%H} {counted}", *outcome.notes]))
    for day, item in sorted(work.contexts.items()):
        if is_known(connection, item.dataset, str(item), max(day, selection.since), min(day + DAY_MS, selection.until)):
            continue
        outcome = commit_contexts(connection, source, item, day, selection)
        is_whole &= outcome.is_whole
        narrate("; ".join([f"{item.key} {outcome.n_rows} rows, {outcome.n_rejected} rejected", *outcome.notes]))
    if selection.blocks is not None and todo:
        is_whole &= mark_unreached(connection, selection.blocks, reached, work, narrate)
    return is_whole


def mark_missing(
    connection: duckdb.DuckDBPyConnection, work: Plan, selection: Selection, narrate: Callable[[str], None]
) -> bool:
    "Write down the hours that have no file; True if there are none."
    with store.transaction(connection):
        for dataset, hours in (("fills", work.missing), ("misc_events", work.missing_misc)):
            for first, last in ((run[0], run[-1] + HOUR_MS) for run in runs(hours)):
                since, until = first, last
                if selection.blocks is None:
                    since, until = max(first, selection.since), min(last, selection.until)
                gap = {"dataset": dataset, "from_at": moment(since), "to_at": moment(until), "reason": MISSING}
                write.clear_gaps(connection, SOURCE, dataset, moment(since), moment(until))
                write.mark_gap(connection, gap)
                narrate(f"gap {dataset} {moment(since):%Y-%m-%dT%H:%M} to {moment(until):%Y-%m-%dT%H:%M}: {MISSING}")
        if work.missing_blocks is not None:
            mark_blocks(connection, work.missing_blocks, "no hour file begins before them", narrate)
    return not work.missing and not work.missing_misc and work.missing_blocks is None


def mark_blocks(
    connection: duckdb.DuckDBPyConnection, left: Range, reason: str, narrate: Callable[[str], None]
) -> None:
    "Write down wanted blocks that no file has."
    write.mark_gap(connection, {"dataset": "fills", "from_block": left.first, "to_block": left.last, "reason": reason})
    narrate(f"gap fills {left}: {reason}")


def runs(hours: list[int]) -> Iterator[list[int]]:
    "Consecutive hours of `hours`, together."
    current: list[int] = []
    for hour in hours:
        if current and hour != current[-1] + HOUR_MS:
            yield current
            current = []
        current.append(hour)
    if current:
        yield current


def mark_unreached(
    connection: duckdb.DuckDBPyConnection,
    wanted: Range,
    reached: int,
    work: Plan,
    narrate: Callable[[str], None],
) -> bool:
    "Write down the wanted blocks after `reached`, the last one there is, unless a later file follows; True if none."
    if work.units[-1].fills_tail or reached >= wanted.last:
        return True
    left = Range(max(reached + 1, wanted.first), wanted.last)
    with store.transaction(connection):
        mark_blocks(connection, left, "no hour file goes that far", narrate)
    return False


def is_done(connection: duckdb.DuckDBPyConnection, unit: Unit, selection: Selection) -> bool:
    "True if the same versions of the same files have given every wanted moment of `unit` already."
    if not unit.fills or not unit.is_closed():
        return False
    since, until = (unit.hour, unit.hour + HOUR_MS) if selection.blocks is not None else (unit.since, unit.until)
    end = until if unit.fills_tail or not unit.needs_tail else unit.hour + HOUR_MS - scan.ARRIVAL_MS
    if not is_known(connection, "fills", endpoint(unit.fills, unit.fills_tail), since, end):
        return False
    end = until if unit.misc_tail or not unit.needs_tail else unit.hour + HOUR_MS - scan.ARRIVAL_MS
    return not unit.misc or is_known(connection, "misc_events", endpoint(unit.misc, unit.misc_tail), since, end)


def is_known(connection: duckdb.DuckDBPyConnection, dataset: str, files: str, since: int, until: int) -> bool:
    "True if coverage says that `files` gave [since, until) of `dataset`."
    found = connection.execute(
        """
        SELECT count(*) FROM coverage
        WHERE source = ? AND chain = ? AND dataset = ? AND endpoint = ? AND from_at <= ? AND to_at >= ?
        """,
        [SOURCE, write.CHAIN, dataset, files, moment(since), moment(until)],
    ).fetchall()
    return bool(found[0][0])
