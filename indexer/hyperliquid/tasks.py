"""What a worker process does: one hour file read, with no more imports than its kind of file needs."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.hyperliquid import scan
from indexer.hyperliquid.archive import HOUR_MS
from indexer.hyperliquid.cutting import Doubt

if TYPE_CHECKING:
    from indexer.hyperliquid import misc
    from indexer.hyperliquid.archive import Object, Store
    from indexer.hyperliquid.plan import Unit


class Found(NamedTuple):
    "What one file says: candidate events of fills in batches, or misc events, and what was learned on the way."

    batches: list[list[scan.Event]]
    misc: misc.Misc | None
    facts: scan.Facts


class Task(NamedTuple):
    "Read `item`: opening block at or after `since`, nothing later than `until` (None: all of it)."

    source: Store
    item: Object
    since: int
    until: int | None

    def run(self) -> Found:
        "What the file says. Its fills are left as bytes: a worker that decodes them has to load what the writer has."
        path = self.source.fetch(self.item)
        if self.item.dataset == "fills":
            try:
                return Found(*scan.read(path, self.since, self.until, scan.quick))
            except Doubt:
                return Found(*scan.read(path, self.since, self.until, scan.slow))
        from indexer.hyperliquid import misc  # noqa: PLC0415 - DuckDB and polars come with it

        events, facts = misc.read_hour(path, self.since, self.until)
        return Found([], events, facts)


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


def leave_with_parent() -> None:
    "End this worker when its parent is gone: a killed parent closes no queue. An interrupt is the parent's to heed."
    import multiprocessing.connection  # noqa: PLC0415 - only a worker has a parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
