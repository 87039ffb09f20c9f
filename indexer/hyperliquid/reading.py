"""Hour files read ahead of the writer: each once, one process a file where that pays."""

from __future__ import annotations

import collections
import contextlib
import os
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, NamedTuple

from indexer.hyperliquid import fills
from indexer.hyperliquid.cutting import Doubt
from indexer.hyperliquid.tasks import leave_with_parent, tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from indexer.hyperliquid import misc, scan
    from indexer.hyperliquid.archive import Object, Store
    from indexer.hyperliquid.plan import Unit
    from indexer.hyperliquid.tasks import Found, Task

# A worker costs a tenth of a second of imports: worth it where the files beside the largest take longer than that.
POOL_BYTES = 100_000_000


class Part(NamedTuple):
    "What one file says: candidate fills, or misc events, and what was learned on the way."

    fills: pl.DataFrame | None
    misc: misc.Misc | None
    facts: scan.Facts


class Hour(NamedTuple):
    "The parts of one hour of events: of its own files, and of the next hour's for what arrived late."

    fills: list[Part]
    fills_tail: list[Part]
    misc: list[Part]
    misc_tail: list[Part]


def hours(source: Store, units: list[Unit], n_workers: int | None) -> Iterator[tuple[Unit, Hour]]:
    "Each unit with what its files say, in order; a part is kept until the last unit that needs it."
    wanted = tasks(source, units)
    n_workers = n_workers or os.cpu_count() or 1
    sizes = sorted(item.n_bytes for item in wanted)
    is_pooled = n_workers > 1 and sum(sizes[:-1]) > POOL_BYTES
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(pool(min(n_workers, len(wanted)))) if is_pooled else None
        arriving = ahead(executor, list(wanted.values()), n_workers)
        parts: dict[Object, Part] = {}
        for index, unit in enumerate(units):
            while any(item not in parts for item in unit.files):
                item, part = next(arriving)
                parts[item] = part
            yield (
                unit,
                Hour(
                    [parts[item] for item in unit.fills],
                    [parts[item] for item in unit.fills_tail],
                    [parts[item] for item in unit.misc],
                    [parts[item] for item in unit.misc_tail],
                ),
            )
            needed = {item for following in units[index + 1 : index + 2] for item in following.files}
            parts = {item: part for item, part in parts.items() if item in needed}


def ahead(executor: Executor | None, wanted: list[Task], n_ahead: int) -> Iterator[tuple[Object, Part]]:
    "The parts in order, at most `n_ahead` more than asked for under way; without executor one after the other."
    if executor is None:
        yield from ((task.item, here(task)) for task in wanted)
        return
    flying: collections.deque[tuple[Task, Future[Found]]] = collections.deque()
    for task in wanted:
        flying.append((task, submit(executor, task)))
        if len(flying) > n_ahead:
            yield landed(*flying.popleft())
    while flying:
        yield landed(*flying.popleft())


def here(task: Task) -> Part:
    "What a task gives, in this process and never holding more than a batch of undecoded fills."
    if task.item.dataset != "fills":
        found = task.run()
        return Part(None, found.misc, found.facts)
    frame, facts = fills.read_hour(task.source.fetch(task.item), task.since, task.until)
    return Part(frame, None, facts)


def submit(executor: Executor, task: Task) -> Future[Found]:
    "The future of a task; a broken pool's says so."
    try:
        return executor.submit(task.run)
    except BrokenExecutor as error:
        failed: Future[Found] = Future()
        failed.set_exception(error)
        return failed


def landed(task: Task, future: Future[Found]) -> tuple[Object, Part]:
    "What a task gave; done here where its worker died, for lack of memory or because the program cannot be re-imported."
    try:
        found = future.result()
    except BrokenExecutor:
        return task.item, here(task)
    return task.item, handed_over(task, found)


def handed_over(task: Task, found: Found) -> Part:
    "The part that a worker `found`; read again, line by line, where its fills are not what it says it met."
    if task.item.dataset != "fills":
        return Part(None, found.misc, found.facts)
    try:
        return Part(fills.checked(found.batches, found.facts), None, found.facts)
    except (Doubt, fills.NotJson):
        frame, facts = fills.read_slowly(task.source.fetch(task.item), task.since, task.until)
        return Part(frame, None, facts)


@contextlib.contextmanager
def pool(n_workers: int) -> Iterator[Executor]:
    "Worker processes that end with this one, however it ends."
    import multiprocessing  # noqa: PLC0415 - one file needs no pool
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - the same

    context = multiprocessing.get_context("spawn")  # forking a process with DuckDB's or polars' threads may hang
    executor = ProcessPoolExecutor(n_workers, mp_context=context, initializer=leave_with_parent)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
