"""The fills of an hour file that can tell of a forced trade, cut out of its bytes without parsing the rest.

Only the words `liquidation`, `Liquidated ...` and `Auto-Deleveraging` make a fill worth reading. The byte `q` stands in
the first two and `v` in the third, and both are rare elsewhere, so two memory scans find every candidate; the event
around it is cut out. Whatever the cut cannot prove (an unusual layout, a broken line) sends the file to `slow`, which
parses every line and puts aside the lines that are not what a node writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from indexer.hyperliquid.blocks import milliseconds
from indexer.hyperliquid.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from indexer.hyperliquid.lines import Stretch

BATCH_EVENTS = 50_000
ADDRESS_DIGITS = 42
SPACE, BRACE = b" {"
LINE_STARTS, LINE_ENDS = b"{[", b"}]\r"
ENVELOPE_KEY = b'"events"'
# What follows the word liquidation in a node's own layout.
COMPACT_OBJECT, COMPACT_USER, MARKET = b'":{', b'":{"liquidatedUser":"', b'"market"'
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


class Span(NamedTuple):
    "A line's bounds in its buffer, and the block of its envelope."

    start: int
    end: int
    block: int | None


class Doubt(Exception):
    "The bytes are not laid out as the cut expects: the file must be parsed line by line."


class Facts:
    "What a scan learned beside the events: first block of the hour, last block, broken lines, why the file ends early."

    def __init__(self) -> None:
        self.opening: Mark | None = None
        self.last: Mark | None = None
        self.n_lines = 0
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


def batches(
    path: Path,
    hour_ms: int,
    until_ms: int | None,
    facts: Facts,
    take: Callable[[Stretch, list[Event], Facts], None],
) -> Iterator[list[Event]]:
    """Every event of `path` that names a liquidation or a deleveraging, as `take` (`cut` or `slow`) finds them.

    `facts` is filled on the way: the first block at or after `hour_ms`, the last block, broken lines. With `until_ms`
    reading ends once blocks are later than that by more than arrival can be late. `cut` may raise Doubt at any batch:
    then nothing it gave counts and `slow` must read the file.
    """
    lines = Lines(path)
    events: list[Event] = []
    final: Stretch | None = None
    for stretch in lines:
        if facts.opening is None or until_ms is not None:
            at = opening(stretch, hour_ms, facts)
            if until_ms is not None and at is not None and at > until_ms + ARRIVAL_MS:
                break
        take(stretch, events, facts)
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


def cut(stretch: Stretch, events: list[Event], facts: Facts) -> None:
    "Append the candidate events of `stretch`; Doubt where their bounds are not certain."
    buffer, start, stop = stretch
    find = buffer.find
    deleveraged: set[int] = set()
    line = Span(0, 0, None)
    n_envelopes, line_start = 0, -1
    position = find(b"v", start, stop)
    while position >= 0:
        if buffer[position - 2 : position + 6] == ENVELOPE_KEY:
            line_start = check_envelope(stretch, position, line_start)
            n_envelopes += 1
        elif buffer[position - 4 : position + 8] == b"Deleveraging":
            line = line if position < line.end else span(stretch, position)
            begin, position = bounds_of(buffer, position, line)
            deleveraged.add(begin)
            append(buffer, begin, position, line.block, events)
        position = find(b"v", position + 1, stop)
    facts.n_lines += n_envelopes or check_lines(stretch)
    line = Span(0, 0, None)
    position = find(b"q", start, stop)
    while position >= 0:
        if buffer[position - 1 : position + 6] == b"iquidat" and not is_null(buffer, position):
            if position >= line.end:
                line = span(stretch, position)
                if n_envelopes and line.block is None:
                    raise Doubt
            begin, end = bounds_of(buffer, position, line)
            if not is_other_side(buffer, begin, position, end) and begin not in deleveraged:
                append(buffer, begin, end, line.block, events)
            position = end
        position = find(b"q", position + 1, stop)


def check_envelope(stretch: Stretch, position: int, previous: int) -> int:
    """Where the line begins whose `"events"` key is at `position`.

    Doubt unless it is a line of its own after `previous`, and what came before it ended as JSON does.
    """
    buffer, first, stop = stretch
    start = buffer.rfind(b"\n", first, position) + 1
    if start <= first:
        start = first
        before = buffer[stop - 2]
    else:
        before = buffer[start - 2]
    if start <= previous or (previous < 0 and start != first) or buffer[start] != BRACE or before not in LINE_ENDS:
        raise Doubt
    return start


def check_lines(stretch: Stretch) -> int:
    "The number of lines of `stretch`; Doubt if one does not begin and end as a JSON object or array."
    buffer, start, stop = stretch
    n_lines, find = 0, buffer.find
    while start < stop:
        end = find(b"\n", start)
        if buffer[start] not in LINE_STARTS or buffer[end - 1] not in LINE_ENDS:
            raise Doubt
        n_lines += 1
        start = end + 1
    return n_lines


def is_null(buffer: bytes, position: int) -> bool:
    "True if the `liquidation` around `position` is a key without an object."
    if buffer[position + 9 : position + 12] == COMPACT_OBJECT:
        return False
    if buffer[position - 3 : position + 9] != b'"liquidation':
        return False
    return buffer[position + 9 : position + 20].lstrip(b'" :').startswith(b"null")


def span(stretch: Stretch, position: int) -> Span:
    "The line around `position` and the block number of its envelope; None for a line without one."
    buffer, first, _ = stretch
    start = max(buffer.rfind(b"\n", first, position) + 1, first)
    end = buffer.find(b"\n", position)
    key = buffer.find(b'"block_number"', start, end)
    if key < 0:
        return Span(start, end, None)
    digits = buffer[key + 14 : key + 40].lstrip(b": ").split(b",")[0].rstrip(b"}\r ")
    if not digits.isdigit():
        raise Doubt
    return Span(start, end, int(digits))


def bounds_of(buffer: bytes, position: int, line: Span) -> tuple[int, int]:
    "Where the [address, fill] pair around `position` begins, and the last brace of its fill."
    begin = buffer.rfind(b'["0x', line.start, position)
    end = buffer.find(b"}]", position, line.end)
    if begin < 0 or end < 0:
        raise Doubt
    return begin, end


def is_other_side(buffer: bytes, begin: int, position: int, end: int) -> bool:
    """True for the other side of a market liquidation: about half of what is found, and it gives nothing.

    False where the layout does not tell at a glance; `position` is in the word liquidation.
    """
    user = position + 9 + len(COMPACT_USER)
    if buffer[position + 9 : user] != COMPACT_USER:
        return False
    account, named = buffer[begin + 2 : begin + 2 + ADDRESS_DIGITS], buffer[user : user + ADDRESS_DIGITS]
    return account != named and account.lower() != named.lower() and buffer.find(MARKET, user, end) >= 0


def append(buffer: bytes, begin: int, end: int, block: int | None, events: list[Event]) -> None:
    "Append the event that begins and ends there; Doubt if it is not a pair of an address and an object."
    brace = begin + ADDRESS_DIGITS + 4  # ["0x...",{
    if buffer[brace - 2 : brace] != b'",':
        raise Doubt
    if buffer[brace] == SPACE:
        brace += 1
    if buffer[brace] != BRACE:
        raise Doubt
    events.append((buffer[begin + 2 : begin + 2 + ADDRESS_DIGITS], buffer[brace : end + 1], block))


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
