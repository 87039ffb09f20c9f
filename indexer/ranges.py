"""Arithmetic on inclusive block ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Range(NamedTuple):
    "The blocks from `first` to `last`, both included."

    first: int
    last: int

    @property
    def n_blocks(self) -> int:
        "How many blocks the range holds."
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


def merge(ranges: Iterable[Range]) -> list[Range]:
    "The same blocks as `ranges`, as the fewest disjoint ranges in order; adjacent ranges become one."
    merged: list[Range] = []
    for current in sorted(ranges):
        if merged and current.first <= merged[-1].last + 1:
            merged[-1] = Range(merged[-1].first, max(merged[-1].last, current.last))
        else:
            merged.append(current)
    return merged


def missing(wanted: Range, done: Iterable[Range]) -> list[Range]:
    "The parts of `wanted` that no range in `done` covers, in order."
    gaps = []
    position = wanted.first
    for covered in merge(done):
        if covered.last < position:
            continue
        if covered.first > wanted.last:
            break
        if covered.first > position:
            gaps.append(Range(position, covered.first - 1))
        position = covered.last + 1
    if position <= wanted.last:
        gaps.append(Range(position, wanted.last))
    return gaps


def overlap(ranges: Iterable[Range], window: Range) -> list[Range]:
    "The parts of `ranges` inside `window`, merged."
    return merge(
        Range(max(one.first, window.first), min(one.last, window.last))
        for one in ranges
        if one.first <= window.last and one.last >= window.first
    )


def split(block_range: Range, last_of_left: int | None = None) -> tuple[Range, Range]:
    "Two ranges that add up to `block_range`; the cut is after `last_of_left`, or in the middle."
    if block_range.n_blocks < 2:  # noqa: PLR2004 - one block has no two halves
        raise ValueError(f"{block_range} is a single block")
    cut = (block_range.first + block_range.last) // 2 if last_of_left is None else last_of_left
    if not block_range.first <= cut < block_range.last:
        raise ValueError(f"{cut} does not divide {block_range}")
    return Range(block_range.first, cut), Range(cut + 1, block_range.last)


def cut(block_range: Range, n_blocks: int) -> Iterator[Range]:
    "`block_range` as consecutive ranges of at most `n_blocks` blocks."
    for first in range(block_range.first, block_range.last + 1, n_blocks):
        yield Range(first, min(first + n_blocks - 1, block_range.last))
