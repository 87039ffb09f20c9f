"""What a backfill of hour files has to read: a window of time or of blocks becomes hours, and hours become files."""

from __future__ import annotations

import bisect
import functools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.errors import UserError
from indexer.hyperliquid import blocks, scan
from indexer.hyperliquid.archive import HOUR_MS, Folder, Layout
from indexer.hyperliquid.lines import Lines
from indexer.hyperliquid.s3 import Bucket
from indexer.ranges import Range

if TYPE_CHECKING:
    from indexer.hyperliquid.archive import Object, Store

ARCHIVE_URL = "s3://hl-mainnet-node-data"
FIRST_FILLS = "2025-05-25"  # node_fills begin; before that no public file tells of liquidations
NO_LINES = 2**62  # a file without lines begins after every block
EGRESS_USD_PER_GB = 0.09  # AWS list price, ap-northeast-1 to the internet


@dataclass(frozen=True, kw_only=True)
class Options:
    "What the command was asked for; times are UTC, blocks inclusive."

    since: datetime | None = None
    until: datetime | None = None
    from_block: int | None = None
    to_block: int | None = None
    archive: str | None = None
    accounts: Path | None = None
    base_url: str | None = None
    cache: Path | None = None
    dry_run: bool = False
    workers: int | None = None


class Selection(NamedTuple):
    "What is wanted: times in milliseconds, half-open; in block mode these only bound the hours that may hold `blocks`."

    since: int
    until: int
    blocks: Range | None = None


class Unit(NamedTuple):
    "One hour of events: the part of it that is wanted, its own files, and those of the next hour with late arrivals."

    hour: int
    since: int
    until: int
    fills: tuple[Object, ...]
    fills_tail: tuple[Object, ...]
    misc: tuple[Object, ...]
    misc_tail: tuple[Object, ...]

    @property
    def files(self) -> tuple[Object, ...]:
        "Everything to read."
        return (*self.fills, *self.fills_tail, *self.misc, *self.misc_tail)

    @property
    def needs_tail(self) -> bool:
        "True if the end of the hour is wanted: its last events arrive in the next hour."
        return self.until > self.hour + HOUR_MS - scan.ARRIVAL_MS

    def is_closed(self, now_ms: int | None = None) -> bool:
        "True if nothing more is written to the hour's files: compressed, followed by the next, or past."
        now_ms = int(time.time() * 1000) if now_ms is None else now_ms
        is_compressed = all(item.key.endswith(".lz4") for item in self.fills)
        return is_compressed or bool(self.fills_tail) or now_ms > self.hour + HOUR_MS + scan.ARRIVAL_MS

    def is_followed_up(self, now_ms: int | None = None) -> bool:
        "True if nothing more is written to the next hour's files: compressed, or that hour is past."
        now_ms = int(time.time() * 1000) if now_ms is None else now_ms
        is_compressed = all(item.key.endswith(".lz4") for item in (*self.fills_tail, *self.misc_tail))
        return is_compressed or now_ms > self.hour + 2 * HOUR_MS + scan.ARRIVAL_MS


class Plan(NamedTuple):
    "Units in order, wanted hours without a file, wanted blocks that no file reaches, and files of contexts by day."

    units: list[Unit]
    missing: list[int]
    missing_misc: list[int]
    missing_blocks: Range | None
    contexts: dict[int, Object]


def select(options: Options) -> Selection:
    "The window of `options`; raises UserError unless it is one window, of time or of blocks, the right way round."
    by_time = options.since is not None or options.until is not None
    by_block = options.from_block is not None or options.to_block is not None
    if by_time == by_block:
        raise UserError("give --since and --until, or --from-block and --to-block")
    if options.since is not None and options.until is not None:
        since, until = milliseconds(options.since), milliseconds(options.until)
        if since >= until:
            raise UserError(f"--until {options.until} is not after --since {options.since}; windows are [since, until)")
        return Selection(since, until)
    if options.from_block is not None and options.to_block is not None:
        if not 0 <= options.from_block <= options.to_block:
            raise UserError(f"--to-block {options.to_block} is before --from-block {options.from_block}")
        first, last = blocks.times(options.from_block)[0], blocks.times(options.to_block)[1]
        return Selection(first, last + 1, Range(options.from_block, options.to_block))
    raise UserError("a window needs both ends: --since and --until, or --from-block and --to-block")


def milliseconds(at: datetime) -> int:
    "Milliseconds since 1970 of a time; one without zone is UTC."
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def moment(time_ms: int) -> datetime:
    "The naive UTC time that tables hold."
    return datetime.fromtimestamp(time_ms / 1000, UTC).replace(tzinfo=None)


def open_store(options: Options) -> Store:
    "The folder or bucket that `options` names; the public archive by default."
    place = options.archive or ARCHIVE_URL
    if place.startswith("s3://"):
        return Bucket(place, options.cache)
    return Folder(Path(place))


def plan(layout: Layout, selection: Selection) -> Plan:
    "The hours of `selection` with their files; an hour's misc events are wanted where the archive has any at all."
    first = selection.since // HOUR_MS * HOUR_MS
    fills_by_hour = layout.objects("fills", first, selection.until + HOUR_MS)
    hours = list(range(first, selection.until, HOUR_MS))
    before = None
    if selection.blocks is not None:
        hours, before = hours_of_blocks(layout.store, fills_by_hour, selection.blocks)
    misc_by_hour = layout.objects("misc_events", first, selection.until + HOUR_MS)
    units = []
    for hour in hours:
        if hour not in fills_by_hour and hour not in misc_by_hour:
            continue
        since, until = max(selection.since, hour), min(selection.until, hour + HOUR_MS)
        if selection.blocks is not None:
            since, until = hour, hour + HOUR_MS
        unit = Unit(
            hour,
            since,
            until,
            tuple(fills_by_hour.get(hour, ())),
            tuple(fills_by_hour.get(hour + HOUR_MS, ())),
            tuple(misc_by_hour.get(hour, ())[:1]),
            tuple(misc_by_hour.get(hour + HOUR_MS, ())[:1]),
        )
        units.append(unit if unit.needs_tail else unit._replace(fills_tail=(), misc_tail=()))
    has_fills = any(dataset == "fills" for dataset, _ in layout.families)
    missing_misc = [hour for hour in hours if hour not in misc_by_hour] if any(unit.misc for unit in units) else []
    window = (hours[0], hours[-1] + HOUR_MS) if hours else (selection.since, selection.since)
    contexts = layout.contexts(*(window if selection.blocks else selection[:2]))
    # A mirror of the asset contexts alone is asked for nothing else.
    missing = [hour for hour in hours if hour not in fills_by_hour] if has_fills or units or not contexts else []
    return Plan(units, missing, missing_misc, before, contexts)


def hours_of_blocks(store: Store, by_hour: dict[int, list[Object]], wanted: Range) -> tuple[list[int], Range | None]:
    """The hours that hold the blocks `wanted`, by the first block of each file, and the blocks before the first file.

    First to last hour, those without a file between them too.
    """
    hours = sorted(by_hour)

    @functools.cache
    def opening_of(hour: int) -> int | None:
        known = [opening_block(store.head(item), hour) for item in by_hour[hour]]
        return min((number for number in known if number is not None), default=None)

    def first_block(hour: int, step: int) -> int:
        # A file that does not say begins no earlier than the one before it, and no later than the one after it.
        index = hours.index(hour)
        if opening_of(hour) == NO_LINES:
            step = 1
        while 0 <= index < len(hours):
            number = opening_of(hours[index])
            if number is not None and number != NO_LINES:
                return number
            index += step
        return NO_LINES if opening_of(hour) == NO_LINES else blocks.bounds(hour)[step > 0]

    stop = bisect.bisect_right(hours, wanted.last, key=lambda hour: first_block(hour, -1))
    if stop == 0:
        return [], wanted
    start = max(bisect.bisect_right(hours, wanted.first, key=lambda hour: first_block(hour, 1), hi=stop) - 1, 0)
    opening = first_block(hours[start], -1)
    before = Range(wanted.first, opening - 1) if opening > wanted.first else None
    return list(range(hours[start], hours[stop - 1] + HOUR_MS, HOUR_MS)), before


def opening_block(head: Path, hour: int) -> int | None:
    "The block of the first line in `head`, a file or its beginning; from the hash where the line has none."
    lines, is_empty = Lines(head), True
    for stretch in lines:
        is_empty = False
        facts = scan.Facts()
        scan.opening(stretch, hour - HOUR_MS, facts)
        if facts.opening is not None and (number := block_of(facts.opening)) is not None:
            return number
    return NO_LINES if is_empty and lines.broken is None else None


def block_of(mark: scan.Mark | None) -> int | None:
    "The block number of a mark: its envelope's, else its hash's, else None."
    if mark is None or mark.block is not None:
        return mark.block if mark else None
    record = pl.DataFrame({"hash": [mark.hash], "time": [mark.time]}, schema={"hash": pl.String, "time": pl.Int64})
    number: int | None = blocks.from_hash(record).item()
    return number


def listing(work: Plan) -> list[str]:
    "One line a file, and what all of them cost to pull: what a dry run says."
    seen = {item.key: item for unit in work.units for item in unit.files}
    seen |= {item.key: item for item in work.contexts.values()}
    total = sum(item.n_bytes for item in seen.values())
    lines = [f"{item.key} {item.n_bytes:,} bytes" for item in sorted(seen.values(), key=lambda item: item.key)]
    cost = total / 1e9 * EGRESS_USD_PER_GB
    lines.append(f"{len(seen)} objects, {total:,} bytes, about {cost:.2f} USD of transfer if pulled from AWS")
    return lines


def endpoint(files: tuple[Object, ...], tail: tuple[Object, ...]) -> str:
    "The versions of the files that an hour is read from: what its coverage remembers."
    return " ".join(str(item) for item in (*files, *tail))
