"""Hour files read ahead of the writer: each once, one process a file where that pays."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.hyperliquid import fills, misc, scan
from indexer.hyperliquid.archive import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from indexer.hyperliquid.archive import Object, Store
    from indexer.hyperliquid.plan import Unit

# A worker costs about a second of imports: worth it where the files beside the largest are a few busy hours.
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


class Task(NamedTuple):
    "Read `item`: opening block at or after `since`, nothing later than `until` (None: all of it)."

    source: Store
    item: Object
    since: int
    until: int | None

    def run(self) -> Part:
        "The file's part."
        path = self.source.fetch(self.item)
        if self.item.dataset == "fills":
            frame, facts = fills.read_hour(path, self.since, self.until)
            return Part(frame, None, facts)
        events, facts = misc.read_hour(path, self.since, self.until)
        return Part(None, events, facts)


def tasks(source: Store, units: list[Unit]) -> dict[Object, Task]:
    "What to read, in the order of need; a file that is only a tail is read no further than late arrivals reach."
    own = {
        item: Task(source, item, unit.since, None if unit.until == unit.hour + HOUR_MS else unit.until)
        for unit in units
        for item in (*unit.fills, *unit.misc)
    }
    ordered: dict[Object, Task] = {}
    for unit in units:
        for item in unit.files:
            end = unit.hour + HOUR_MS
            ordered.setdefault(item, own.get(item) or Task(source, item, end, end))
    return ordered


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
        yield from ((task.item, task.run()) for task in wanted)
        return
    flying: collections.deque[tuple[Task, Future[Part]]] = collections.deque()
    for task in wanted:
        flying.append((task, submit(executor, task)))
        if len(flying) > n_ahead:
            yield landed(*flying.popleft())
    while flying:
        yield landed(*flying.popleft())


def submit(executor: Executor, task: Task) -> Future[Part]:
    "The future of a task; a broken pool's says so."
    try:
        return executor.submit(task.run)
    except BrokenProcessPool as error:
        failed: Future[Part] = Future()
        failed.set_exception(error)
        return failed


def landed(task: Task, future: Future[Part]) -> tuple[Object, Part]:
    "What a task gave; done here where its worker died, for lack of memory or because the program cannot be re-imported."
    try:
        return task.item, future.result()
    except BrokenProcessPool:
        return task.item, task.run()


@contextlib.contextmanager
def pool(n_workers: int) -> Iterator[Executor]:
    "Worker processes that end with this one, however it ends."
    context = multiprocessing.get_context("spawn")  # forking a process with DuckDB's or polars' threads may hang
    executor = ProcessPoolExecutor(n_workers, mp_context=context, initializer=leave_with_parent)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def leave_with_parent() -> None:
    "End this worker when its parent is gone: a killed parent closes no queue."
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
