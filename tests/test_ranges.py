"""Arithmetic on inclusive block ranges."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from indexer.ranges import Range, cut, merge, missing, overlap, split

RANGES = st.builds(lambda first, n: Range(first, first + n), st.integers(0, 300), st.integers(0, 60))


def blocks(ranges):
    "Every block of `ranges`, as a list: a block that stands twice is seen twice."
    return [block for one in ranges for block in range(one.first, one.last + 1)]


@given(RANGES, st.lists(RANGES, max_size=8))
def test_missing_is_the_difference(wanted, done):
    "What is missing is what is wanted without what is done, each block once, in order."
    gaps = missing(wanted, done)

    assert blocks(gaps) == sorted(set(blocks([wanted])) - set(blocks(done)))


@given(st.lists(RANGES, max_size=10))
def test_merge_keeps_blocks(ranges):
    "Merging keeps the set of blocks, is idempotent, and leaves no two ranges that touch."
    merged = merge(ranges)

    assert blocks(merged) == sorted(set(blocks(ranges)))
    assert merge(merged) == merged
    assert all(later.first > earlier.last + 1 for earlier, later in itertools.pairwise(merged))


@given(RANGES.filter(lambda one: one.n_blocks > 1), st.data())
def test_split_loses_no_block(block_range, data):
    "Two halves add up to the whole, wherever the cut."
    last = data.draw(st.none() | st.integers(block_range.first, block_range.last - 1))
    left, right = split(block_range, last)

    assert blocks([left, right]) == blocks([block_range])


@given(RANGES, st.integers(1, 70))
def test_cut_loses_no_block(block_range, n_blocks):
    "Pieces of a fixed width add up to the whole and none is wider."
    pieces = list(cut(block_range, n_blocks))

    assert blocks(pieces) == blocks([block_range])
    assert max(piece.n_blocks for piece in pieces) <= n_blocks


@given(st.lists(RANGES, max_size=8), RANGES)
def test_overlap_is_the_intersection(ranges, window):
    "The overlap with a window is the intersection of the blocks."
    assert blocks(overlap(ranges, window)) == sorted(set(blocks(ranges)) & set(blocks([window])))
