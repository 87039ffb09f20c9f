"""Fills that can tell of a forced trade, cut out of lines by the places of rare bytes.

Only the words `liquidation`, `Liquidated ...` and `Auto-Deleveraging` make a fill worth reading. The byte `q` stands in
the first two and `v` in the third, and both are rare elsewhere, so two memory scans find every candidate; the event
around it is cut out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from indexer.hyperliquid.lines import Stretch
    from indexer.hyperliquid.scan import Event, Facts

ADDRESS_DIGITS = 42
SPACE, BRACE = b" {"
LINE_STARTS, LINE_ENDS = b"{[", b"}]\r"
ENVELOPE_KEY = b'"events"'
# How an event begins, and the object as a node writes it: from its start to the first `q`, from there to the address of
# the liquidated user, and how it ends on both rows of a market liquidation.
PAIR = b'["0x'
TAG_KEY, TAG, MARKET = b'"liquidation"', b'"liquidation":{"liquidatedUser":"', b'"method":"market"'
TO_Q, TO_USER = 3, 30


class Span(NamedTuple):
    "A line's bounds in its buffer, and the block of its envelope."

    start: int
    end: int
    block: int | None


class Doubt(Exception):
    "The bytes are not laid out as the cut expects: the file must be parsed line by line."


def cut(stretch: Stretch, events: list[Event], facts: Facts) -> None:
    "Append the candidate events of `stretch`; Doubt where their bounds are not certain."
    buffer, start, stop = stretch
    find, rfind = buffer.find, buffer.rfind
    winners, has_envelopes = cut_winners(stretch, events, facts)
    line, last = Span(0, 0, None), 0
    position = find(b"q", start, stop)
    while position >= 0:
        user = position + TO_USER
        is_compact = buffer[position - TO_Q : user] == TAG
        if is_compact or is_word(buffer, position):
            if position >= line.end:
                line = span(stretch, position)
                if has_envelopes and line.block is None:
                    raise Doubt
            facts.n_tags += is_compact or is_tag(buffer, position)
            if position >= last:
                begin = rfind(PAIR, line.start, position)
                if is_compact and is_maker(buffer, begin, user) and begin not in winners:
                    facts.n_others += 1
                else:
                    last = end_of(buffer, position, line)
                    if begin not in winners:
                        append(buffer, begin, last, line.block, events)
        position = find(b"q", user if is_compact else position + 1, stop)


def cut_winners(stretch: Stretch, events: list[Event], facts: Facts) -> tuple[set[int], bool]:
    """Append the auto-deleveragings of `stretch` and count its lines, each of which must be one.

    Returns where the appended events begin, and whether the lines are blocks.
    """
    buffer, start, stop = stretch
    find, rfind = buffer.find, buffer.rfind
    winners: set[int] = set()
    line = Span(0, 0, None)
    n_envelopes, previous = 0, start
    position = find(b"v", start, stop)
    while position >= 0:
        if buffer[position - 2 : position + 6] == ENVELOPE_KEY:
            newline = rfind(b"\n", previous, position)
            is_first = n_envelopes == 0 and newline < 0 and is_whole(stretch)
            if not is_first and not (newline > 0 and buffer[newline + 1] == BRACE and buffer[newline - 1] in LINE_ENDS):
                raise Doubt
            n_envelopes, previous = n_envelopes + 1, position
        elif buffer[position - 4 : position + 8] == b"Deleveraging":
            line = line if position < line.end else span(stretch, position)
            begin = rfind(PAIR, line.start, position)
            position = end_of(buffer, position, line)
            winners.add(begin)
            append(buffer, begin, position, line.block, events)
        position = find(b"v", position + 1, stop)
    facts.n_lines += n_envelopes or check_lines(stretch)
    return winners, n_envelopes > 0


def is_whole(stretch: Stretch) -> bool:
    "True if the first line of `stretch` begins as a JSON object and the last one ends as JSON does."
    return stretch.buffer[stretch.start] == BRACE and stretch.buffer[stretch.end - 2] in LINE_ENDS


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


def is_word(buffer: bytes, position: int) -> bool:
    "True if the `q` at `position` is of a liquidation, and not of a key without an object."
    if buffer[position - 1 : position + 6] != b"iquidat":
        return False
    return not (
        buffer[position - TO_Q : position + 10] == TAG_KEY and value_after(buffer, position).startswith(b"null")
    )


def is_tag(buffer: bytes, position: int) -> bool:
    "True if the liquidation at `position` is the key of an object."
    return buffer[position - TO_Q : position + 10] == TAG_KEY and value_after(buffer, position)[:1] != b""


def value_after(buffer: bytes, position: int) -> bytes:
    "The first bytes of the value of the `liquidation` key whose `q` is at `position`; empty where it is no key."
    value = buffer[position + 10 : position + 30].lstrip()
    return value[1:].lstrip() if value.startswith(b":") else b""


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


def end_of(buffer: bytes, position: int, line: Span) -> int:
    "The last brace of the fill around `position`, where its [address, fill] pair ends."
    end = buffer.find(b"}]", position, line.end)
    if end < 0:
        raise Doubt
    return end


def is_maker(buffer: bytes, begin: int, user: int) -> bool:
    """True for the other side of a market liquidation: about half of what is found, and it gives nothing.

    The event begins at `begin`, the address of the liquidated user at `user`. False where the layout does not tell at a
    glance.
    """
    after = user + ADDRESS_DIGITS
    account, named = buffer[begin + 2 : begin + 44], buffer[user:after]
    if begin < 0 or account == named:
        return False
    close = buffer.find(b"}", after)
    if buffer[close - len(MARKET) : close] != MARKET or buffer[begin + 44 : begin + 47] != b'",{':
        return False
    return account.lower() != named.lower()


def append(buffer: bytes, begin: int, end: int, block: int | None, events: list[Event]) -> None:
    "Append the event that begins and ends there; Doubt if it is not a pair of an address and an object."
    brace = begin + ADDRESS_DIGITS + 4  # ["0x...",{
    if begin < 0 or buffer[brace - 2 : brace] != b'",':
        raise Doubt
    if buffer[brace] == SPACE:
        brace += 1
    if buffer[brace] != BRACE:
        raise Doubt
    events.append((buffer[begin + 2 : begin + 2 + ADDRESS_DIGITS], buffer[brace : end + 1], block))
