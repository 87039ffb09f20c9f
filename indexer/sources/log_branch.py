"""Which branch of the chain its newest blocks are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.endpoints import BATCH_START
from indexer.errors import IndexerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.ranges import Range
    from indexer.rpc import Header, Pool

MOST_BLOCKS = 128
MOST_TRIES = 8


def branch(pool: Pool, wanted: Sequence[Range]) -> dict[int, str]:
    """Hashes of the last blocks of `wanted` that are not final yet, linked by parent hash to one tip.

    Backends behind one address may follow different branches, and each answer would prove itself; the tip is the one
    shown twice in a row. Empty where everything is final, or where the newest block is not there yet.
    """
    if not wanted:
        return {}
    last = wanted[-1].last
    try:
        final = pool.final_block if pool.final_block >= last else pool.head("finalized").number
        first = max(final + 1, last - MOST_BLOCKS + 1, wanted[0].first)
        tip = tip_of(pool, last) if first <= last else None
        return {} if tip is None else {number: one.hash for number, one in linked(pool, tip, first).items()}
    except IndexerError:
        return {}  # each range asks for its blocks again, and says what is missing


def tip_of(pool: Pool, last: int) -> Header | None:
    "The header of block `last` that was shown twice in a row; None where no two answers in a row agree."
    shown = None
    for _ in range(MOST_TRIES):
        before, shown = shown, pool.headers([last])[last]
        if before is not None and before.hash == shown.hash:
            return shown
    return None


def linked(pool: Pool, tip: Header, first: int) -> dict[int, Header]:
    "The headers from `first`, or from as far down as answers link to it, up to `tip`."
    found = {tip.number: tip}
    lowest, n_fruitless = tip, 0
    while lowest.number > first and n_fruitless < MOST_TRIES:
        numbers = range(max(first, lowest.number - BATCH_START), lowest.number)
        headers = pool.headers(numbers)
        n_before = len(found)
        for number in reversed(numbers):
            if headers[number].hash != lowest.parent_hash:
                break
            found[number] = lowest = headers[number]
        n_fruitless = 0 if len(found) > n_before else n_fruitless + 1
    return found
