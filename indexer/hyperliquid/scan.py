"""The fills of an hour file that can tell of a forced trade, cut out of its bytes without parsing the rest.

A stretch of lines where the cut proves less than it needs (an unusual layout, a broken line) goes to `slow`, which
parses every line and puts aside the lines that are not what a node writes. So does the whole file if the two disagree
over a sample of its lines, or if the liquidation objects met are not as many as the fills that carry one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from indexer.hyperliquid.clock import milliseconds
from indexer.hyperliquid.cutting import Doubt, cut
from indexer.hyperliquid.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from indexer.hyperliquid.lines import Stretch

BATCH_EVENTS = 50_000
SAMPLE_EVERY_BYTES = 64 << 20  # of what is cut so much is between two lines that are parsed as well
BROKEN = (msgspec.MsgspecError, UnicodeDecodeError)  # what msgspec raises of bytes that are not the JSON asked for
# Blocks reach a node's disk about a quarter of a second after their time; a minute is far beyond that.
ARRIVAL_MS = 60_000


# One fill as written: who, the fill's JSON, and the block of its envelope (None where the format has none).
Event = tuple[bytes, bytes, int | None]


class Mark(NamedTuple):
    "A point in the stream of blocks: its time, and the block by envelope, or the hash that may tell it."

    time: int
    block: int | None
    hash: str | None


class Facts:
    """What a scan learned beside the events: first block of the hour, last block, broken lines, why the file ends early.

    `n_tags` liquidation objects were met by `cut`; of them `n_others` are of market makers, whose fills give nothing
    and are left where they are.
    """

    def __init__(self) -> None:
        self.opening: Mark | None = None
        self.last: Mark | None = None
        self.n_lines = self.n_tags = self.n_others = 0
        self.rejected: list[tuple[str, bytes]] = []
        self.broken: str | None = None


class Line(msgspec.Struct):
    "A by-block or streaming line."

    events: list[msgspec.Raw]
    block_number: int | None = None
    block_time: str | None = None


class Head(msgspec.Struct):
    "What places a by-block line in time."

    block_number: int | None = None
    block_time: str | None = None


class Told(msgspec.Struct):
    "What makes a fill a candidate."

    dir: object = None
    liquidation: object = None


class FillHead(msgspec.Struct):
    "What places a fill in time."

    time: int
    hash: str | None = None


def mark(line: bytes) -> Mark | None:
    "Where `line` stands in the stream, or None if it does not say."
    try:
        if line.lstrip().startswith(b"["):
            _, fill = msgspec.json.decode(line, type=tuple[str, FillHead])
            return Mark(fill.time, None, fill.hash)
        head = msgspec.json.decode(line, type=Head)
        if head.block_time is None:
            fill = msgspec.json.decode(line, type=FillHead)
            return Mark(fill.time, None, fill.hash)
        return Mark(milliseconds(head.block_time), head.block_number, None)
    except (*BROKEN, ValueError):
        return None


def read(
    path: Path, hour_ms: int, until_ms: int | None, take: Callable[[Stretch, list[Event], Facts], None]
) -> tuple[list[list[Event]], None, Facts]:
    "All that `batches` gives, no misc events, and the facts: what an hour file of fills says."
    facts = Facts()
    return list(batches(path, hour_ms, until_ms, facts, take)), None, facts


def batches(
    path: Path,
    hour_ms: int,
    until_ms: int | None,
    facts: Facts,
    take: Callable[[Stretch, list[Event], Facts], None],
) -> Iterator[list[Event]]:
    """Every event of `path` that names a liquidation or a deleveraging, as `take` (`quick`, `cut` or `slow`) finds them.

    `facts` is filled on the way: the first block at or after `hour_ms`, the last block, broken lines. With `until_ms`
    reading ends once blocks are later than that by more than arrival can be late. All but `slow` may raise Doubt at any
    batch: then nothing they gave counts and `slow` must read the file.
    """
    lines = Lines(path)
    events: list[Event] = []
    final: Stretch | None = None
    until_sample = 0
    for stretch in lines:
        if facts.opening is None or until_ms is not None:
            at = opening(stretch, hour_ms, facts)
            if until_ms is not None and at is not None and at > until_ms + ARRIVAL_MS:
                break
        take(stretch, events, facts)
        until_sample -= stretch.end - stretch.start
        if take is not slow and until_sample < 0:
            prove(sample(stretch))
            until_sample = SAMPLE_EVERY_BYTES
        final = stretch
        if len(events) >= BATCH_EVENTS:
            yield events
            events = []
    facts.broken = lines.broken
    facts.last = (closing(final) if final else None) or facts.opening
    yield events


def opening(stretch: Stretch, hour_ms: int, facts: Facts) -> int | None:
    "The time of the first line of `stretch`; sets the hour's first block when a line at or after `hour_ms` is met."
    buffer, start, stop = stretch
    first = None
    while start < stop:
        end = buffer.find(b"\n", start) + 1
        found = mark(buffer[start:end])
        start = end
        if found is None:
            continue
        first = found.time if first is None else first
        if facts.opening is not None:
            break
        if found.time >= hour_ms:
            facts.opening = found
            break
    return first


def closing(stretch: Stretch) -> Mark | None:
    "The last line of `stretch` that says where it stands."
    buffer, first, end = stretch
    while end > first:
        start = max(buffer.rfind(b"\n", first, end - 1) + 1, first)
        if found := mark(buffer[start:end]):
            return found
        end = start
    return None


def quick(stretch: Stretch, events: list[Event], facts: Facts) -> None:
    "Append the candidate events of `stretch`: cut out, or parsed where the cut is not certain."
    n_events, counted = len(events), (facts.n_lines, facts.n_tags, facts.n_others)
    try:
        cut(stretch, events, facts)
    except Doubt:
        del events[n_events:]
        facts.n_lines, facts.n_tags, facts.n_others = counted
        slow(stretch, events, facts)


def sample(stretch: Stretch) -> Stretch:
    "A line of `stretch`: the first that speaks of a liquidation, else the first."
    buffer, first, stop = stretch
    position = max(buffer.find(b"iquidat", first, stop), first)
    start = max(buffer.rfind(b"\n", first, position) + 1, first)
    return stretch._replace(start=start, end=buffer.find(b"\n", position) + 1)


def prove(line: Stretch) -> None:
    "Doubt unless `quick` finds in `line` what parsing all of it finds."
    found: list[Event] = []
    parsed: list[Event] = []
    facts = Facts()
    quick(line, found, facts)
    slow(line, parsed, Facts())
    forced = [event for event in parsed if is_forced(event)]
    if len(found) + facts.n_others != len(forced) or not set(found) <= set(forced):
        raise Doubt


def is_forced(event: Event) -> bool:
    "True unless the words that made the event a candidate stand elsewhere than `cut` looks for them."
    said = told(event[1])
    words = said.dir if isinstance(said.dir, str) else ""
    return said.liquidation is not None or "iquidat" in words or "Deleverag" in words


def told(fill: bytes) -> Told:
    "What makes `fill` a candidate; nothing where it is no object."
    try:
        return msgspec.json.decode(fill, type=Told)
    except BROKEN:
        return Told()


def slow(stretch: Stretch, events: list[Event], facts: Facts) -> None:
    "Append the candidate events of `stretch`, every line parsed; what no node writes goes to `facts.rejected`."
    for line in stretch.buffer[stretch.start : stretch.end].split(b"\n"):
        if not line.strip():
            continue
        facts.n_lines += 1
        try:
            raws, block = parse(line)
        except BROKEN as error:
            facts.rejected.append((f"not a line of fills: {error}", line))
            continue
        for raw in raws:
            text = bytes(raw)
            if b"iquidat" in text or b"Deleverag" in text:
                try:
                    events.append(pair(text, block))
                    facts.n_tags += told(events[-1][1]).liquidation is not None
                except BROKEN as error:
                    facts.rejected.append((f"not an [address, fill] pair: {error}", text))


def parse(line: bytes) -> tuple[list[msgspec.Raw], int | None]:
    "The events of one line of any fill format, and the block of its envelope."
    if line.lstrip().startswith(b"["):
        return [msgspec.Raw(line)] if msgspec.json.decode(line, type=list[msgspec.Raw]) else [], None
    if b'"events"' in line:
        envelope_line = msgspec.json.decode(line, type=Line)
        return envelope_line.events, envelope_line.block_number
    msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return [msgspec.Raw(line)], None


def pair(text: bytes, block: int | None) -> Event:
    "The event of an [address, fill] pair, or of a bare fill that names its user; raises what BROKEN lists."
    text.decode()
    if text.lstrip().startswith(b"["):
        account, fill = msgspec.json.decode(text, type=tuple[str, msgspec.Raw])
        return account.encode(), bytes(fill), block
    return b"", text, block
