"""A folder that is followed: closed hours are read as a backfill reads them, the last one as it is written."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from indexer import store
from indexer.errors import UserError
from indexer.hyperliquid import commit, plan, reading, run, scan, silence, strays, tail, write
from indexer.hyperliquid.archive import HOUR_MS, Layout, hour_files, hour_of
from indexer.hyperliquid.lines import Lines
from indexer.hyperliquid.plan import Plan, Selection, Unit, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

    from indexer.hyperliquid.archive import Object, Store
    from indexer.hyperliquid.door import Door

SOURCE = run.SOURCE
TELL_SECONDS = 30.0
FOREVER_MS = 2**52


@dataclass(frozen=True, kw_only=True)
class FollowOptions:
    "What `indexer follow hyperliquid` was asked: a folder that grows, accounts, or both, and when to stop by itself."

    archive: str | None = None
    accounts: Path | None = None
    hlp: bool = False
    base_url: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    until_block: int | None = None
    poll_seconds: float = 2.0
    silence_seconds: float | None = None
    cache: Path | None = None


class Followed:
    "The state of one folder: what is settled, the hour that is being written, how far it goes."

    def __init__(
        self,
        door: Door,
        source: Store,
        options: FollowOptions,
        narrate: Callable[[str], None],
    ) -> None:
        self.door, self.source, self.options, self.narrate = door, source, options, narrate
        since = 0 if options.since is None else plan.milliseconds(options.since)
        until = FOREVER_MS if options.until is None else plan.milliseconds(options.until)
        if since >= until:
            raise UserError(f"--until {options.until} is not after --since {options.since}; windows are [since, until)")
        self.selection = Selection(since, until)
        self.vaults = write.vaults(door.connection)
        self.settled: dict[int, str] = {}  # hour: its own files, when all of it was stored
        self.seen: dict[int, str] = {}  # hour: the files it was last read from
        self.missing: list[int] = []
        self.hour: int | None = None  # the one that is being written
        self.growing: dict[str, tail.Growing] = {}  # its files by dataset
        self.n_strays = 0
        self.unsaved: list[int] = []  # times of what was read and is not committed
        self.is_unsaved = False
        self.reached: int | None = None
        self.block = -1
        self.is_idle = False
        self.told_at = 0.0
        self.silence = silence.Silence(door, options.silence_seconds, until, narrate)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        "The database."
        return self.door.connection

    def step(self) -> bool:
        "Read what is new: a piece of the last hour, and one earlier hour; True if more is there to be read at once."
        self.source.refresh()
        layout = Layout(self.source)
        fills, events = self.files(layout, "fills"), self.files(layout, "misc_events")
        if not fills and not events:
            self.is_idle = True
            self.silence.watch(self.reached, None, is_growing=True)
            return False
        newest = max(fills or events)
        first = max(min(fills or events), self.selection.since) // HOUR_MS * HOUR_MS
        if self.options.since is not None:
            first = min(first, self.selection.since // HOUR_MS * HOUR_MS)
        last = min(newest, self.selection.until - 1)
        units = [unit_of(hour, fills, events, self.selection) for hour in range(first, last + 1, HOUR_MS)]
        opened_at = self.read_last(unit_of(newest, fills, events, self.selection))
        due = [unit for unit in units if (unit.fills or unit.misc) and self.is_due(unit, newest)]
        self.mark_missing([unit.hour for unit in units if not unit.fills] if fills else [])
        for unit in due[-1:]:
            self.settle(unit)
        is_behind = any(file.offset < file.item.n_bytes - tail.CHUNK_BYTES // 2 for file in self.growing.values())
        self.is_idle = not is_behind and len(due) <= 1
        came_at = newest if opened_at is None and due else opened_at
        self.silence.watch(self.reached, came_at, is_growing=self.hour is not None)
        return not self.is_idle

    def files(self, layout: Layout, dataset: str) -> dict[int, list[Object]]:
        "The hour files of a dataset, as they are now, from the window's first hour to the one after its last."
        first = self.selection.since // HOUR_MS * HOUR_MS
        found: dict[int, list[Object]] = {}
        for (kept, family), folder in layout.families.items():
            for day in self.source.folders(folder) if kept == dataset else ():
                if not re.fullmatch(r"\d{8}", day) or hour_of(day, 24) <= first:
                    continue
                for hour, item in hour_files(dataset, family, f"{folder}{day}/", day, self.source):
                    if first <= hour < self.selection.until + HOUR_MS:
                        found.setdefault(hour, []).append(item)
        return found

    def is_due(self, unit: Unit, newest: int) -> bool:
        "True if the hour is not being written and has something that was not read yet."
        own = plan.endpoint(unit.fills, unit.misc)
        if self.settled.get(unit.hour) == own or unit.hour == self.hour:
            return False
        if self.seen.get(unit.hour) == plan.endpoint(unit.files, ()):
            return False
        if unit.fills_tail and run.is_done(self.connection, unit, self.selection):
            self.settled[unit.hour] = own
            return False
        # While the next hour's file has nothing of its own hour, the last blocks of this one may be on their way.
        return unit.hour != newest - HOUR_MS or not unit.fills_tail or self.is_begun(unit.fills_tail, newest)

    def is_begun(self, items: tuple[Object, ...], hour: int) -> bool:
        "True if a file of the hour is closed, or has a line of the hour itself."
        if any(item.key.endswith(".lz4") for item in items):
            return True
        facts = scan.Facts()
        for item in items:
            for stretch in Lines(self.source.fetch(item)):
                scan.opening(stretch, hour, facts)
                if facts.opening is not None:
                    return True
        return False

    def settle(self, unit: Unit) -> None:
        "Read a closed hour as a backfill does: from its files and the head of the next."
        for _, hour in reading.hours(self.source, [unit], 1):
            outcome = commit.commit(self.connection, unit, hour, self.vaults, self.selection)
            self.silence.keep_holes()
            counted = f"{outcome.n_rows} rows, {outcome.n_rejected} rejected"
            self.narrate("; ".join([f"{moment(unit.hour):%Y-%m-%dT%H} {counted}", *outcome.notes]))
            is_followed = bool(unit.fills_tail) and bool(unit.misc_tail or not unit.misc)
            if outcome.is_whole and (is_followed or not unit.needs_tail):
                self.settled[unit.hour] = plan.endpoint(unit.fills, unit.misc)
            self.seen[unit.hour] = plan.endpoint(unit.files, ())
            self.block = max(self.block, *(plan.block_of(part.facts.last) or -1 for part in hour.fills), -1)
            ends = [part.facts.last.time for part in hour.fills if part.facts.last is not None]
            end = unit.until if outcome.is_whole else min(max(ends, default=unit.since), unit.until)
            self.reached = max(self.reached or 0, end)

    def mark_missing(self, missing: list[int]) -> None:
        "List the hours that have no file; one whose file comes late is read then."
        if missing == self.missing:
            return
        with store.transaction(self.connection):
            self.connection.execute(
                "DELETE FROM gaps WHERE source = ? AND chain = ? AND dataset = 'fills' AND reason = ? AND from_at >= ?",
                [SOURCE, write.CHAIN, run.MISSING, moment(min(missing + self.missing))],
            )
        run.mark_missing(self.connection, Plan([], missing, [], None, {}), self.selection, self.narrate)
        self.missing = missing

    def read_last(self, unit: Unit) -> int | None:
        "Read on in the files of the hour that is being written; the time of the first line that was new."
        items = [item for item in (*unit.fills[:1], *unit.misc) if not item.key.endswith(".lz4")]
        if not items or unit.since >= unit.until or self.settled.get(unit.hour) == plan.endpoint(unit.fills, unit.misc):
            self.growing, self.hour = {}, None
            return None
        if self.hour != unit.hour:
            self.growing, self.hour, self.n_strays, self.unsaved = {}, unit.hour, 0, []
        news = []
        for item in items:
            known = self.growing.get(item.dataset)
            if known is None or known.item.key != item.key or item.n_bytes < known.offset:
                self.uncover(unit, item.dataset)
                known = self.growing[item.dataset] = tail.Growing(item)
            known.item = item
            news.append(tail.read_on(self.source, known, unit.hour))
            self.unsaved += news[-1].times
            self.is_unsaved |= bool(news[-1].n_bytes)
        if self.is_unsaved:
            self.store_last(unit, self.unsaved)
            self.unsaved, self.is_unsaved = [], False
        return min((one.opened_at for one in news if one.opened_at is not None), default=None)

    def uncover(self, unit: Unit, dataset: str) -> None:
        "Forget that the hour is covered: its file is read from the beginning."
        self.connection.execute(
            "DELETE FROM coverage WHERE source = ? AND chain = ? AND dataset = ? AND from_at >= ? AND from_at < ?",
            [SOURCE, write.CHAIN, dataset, moment(unit.hour), moment(unit.hour + HOUR_MS)],
        )

    def store_last(self, unit: Unit, times: list[int]) -> None:
        "Store what was added to the hour that is being written, in one transaction."
        # Rows of one moment belong together, so everything from the first new record on is judged again.
        first = max(min(times, default=unit.until), unit.since)
        late = unit._replace(since=min(first, unit.until))
        files = {dataset: [file.part] for dataset, file in self.growing.items()}
        hour = reading.Hour(files.get("fills", []), [], files.get("misc_events", []), [])
        derived = commit.derive(self.connection, late, hour, self.vaults, self.selection)
        with store.transaction(self.connection):
            n_rows, n_rejected = commit.save(self.connection, late, derived, self.selection)
            if derived.strays.height > self.n_strays:
                strays.save(self.connection, unit, derived.strays, self.vaults, self.selection)
                self.n_strays = derived.strays.height
            for dataset, file in self.growing.items():
                self.cover(unit, file, n_rejected[dataset])
            self.silence.keep_holes()
        for file in self.growing.values():
            file.forget_funding()
        self.tell(sum(n_rows.values()), sum(n_rejected.values()))

    def cover(self, unit: Unit, file: tail.Growing, n_rejected: int) -> None:
        "Mark what the growing file proves so far: everything before its last line."
        if file.reached is None:
            return
        until = min(max(file.reached, unit.since), unit.until)
        facts = file.facts
        opening, last = plan.block_of(facts.opening), file.last_block
        is_whole = unit.since == unit.hour and until < unit.until and opening is not None and last is not None
        n_rows = None
        if file.item.dataset == "fills":
            self.reached, self.block = max(self.reached or 0, until), max(self.block, last or -1)
            n_rows = self.connection.execute(
                "SELECT count(*) FROM liquidations WHERE source = ? AND liquidated_at >= ? AND liquidated_at < ?",
                [SOURCE, moment(unit.since), moment(until)],
            ).fetchall()[0][0]
        is_numbered = facts.last is not None and facts.last.block is not None
        coverage: dict[str, object] = {
            "source": SOURCE,
            "dataset": file.item.dataset,
            "from_at": moment(unit.since),
            "to_at": moment(until),
            "from_block": opening if is_whole else None,
            "to_block": max(last, opening) if is_whole and last is not None and opening is not None else None,
            "n_rows": n_rows,
            "n_rejected": n_rejected,
            "proof": "archive_file" if is_numbered else "archive_file, blocks from hashes",
            "endpoint": str(file.item),
        }
        write.cover(self.connection, coverage)
        write.clear_gaps(self.connection, SOURCE, file.item.dataset, moment(unit.since), moment(until))

    def tell(self, n_rows: int, n_rejected: int) -> None:
        "One line where something was stored, and now and then: how far it goes, and how far that is behind the present."
        if self.reached is None or (not n_rows and not n_rejected and time.monotonic() - self.told_at < TELL_SECONDS):
            return
        self.told_at = time.monotonic()
        behind = datetime.now(UTC).replace(tzinfo=None) - moment(self.reached)
        self.narrate(
            f"{moment(self.reached):%Y-%m-%dT%H:%M:%S} {n_rows} rows, {n_rejected} rejected;"
            f" {max(behind.total_seconds(), 0):.1f} s behind"
        )

    def is_done(self) -> bool:
        "True if what was asked for is stored, or can no longer come."
        if self.options.until_block is not None and self.block >= self.options.until_block and self.is_idle:
            return True
        if self.options.until is None or not self.is_idle:
            return False
        return (self.reached or 0) >= self.selection.until or (
            self.silence.is_long and time.time() * 1000 >= self.selection.until
        )

    def verdict(self) -> int:
        "0, or 1 if a part of what was asked for is open."
        if self.silence.is_long or self.missing:
            return 1
        return int(self.options.until is not None and (self.reached or 0) < self.selection.until)

    def close(self) -> None:
        "List a silence that lasts."
        self.silence.close(self.reached)


def unit_of(hour: int, fills: dict[int, list[Object]], events: dict[int, list[Object]], selection: Selection) -> Unit:
    "The hour with its files and those of the next where its end is wanted."
    unit = Unit(
        hour,
        max(hour, selection.since),
        min(hour + HOUR_MS, selection.until),
        tuple(fills.get(hour, ())),
        tuple(fills.get(hour + HOUR_MS, ())),
        tuple(events.get(hour, ())[:1]),
        tuple(events.get(hour + HOUR_MS, ())[:1]),
    )
    return unit if unit.needs_tail else unit._replace(fills_tail=(), misc_tail=())
