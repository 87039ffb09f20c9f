"""Which records lie in wanted blocks: by their number, else by the numbers of those before and after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from indexer.ranges import Range

BEYOND = 2**62
UNPLACED = "records without a block number may be in the range; index this time by --since and --until"


class Placed(NamedTuple):
    "The records inside, and the times (in `time`) of those that may be inside or not."

    inside: pl.DataFrame
    undecided: pl.Series


def placed(records: pl.DataFrame, wanted: Range | None, number: str = "block_number", at: str = "time") -> Placed:
    """The `records` in the blocks `wanted` (None: all of them).

    Blocks follow each other in time and no two share a millisecond, so that a record without a number has the one of
    its millisecond, or lies between its neighbours'. A record without a time stays: it will be rejected with its reason.
    """
    if wanted is None:
        return Placed(records, records[at].head(0))
    block, time = pl.col(number), pl.col(at)
    ordered = records.with_row_index("place").sort(at, number, nulls_last=True)
    ordered = ordered.with_columns(
        before=block.forward_fill(),
        since=pl.when(block.is_not_null()).then(time).forward_fill(),
        after=block.backward_fill().fill_null(BEYOND),
    ).with_columns(
        low=pl.col("before").fill_null(-1), high=pl.when(time == pl.col("since")).then("before").otherwise("after")
    )
    is_inside = (pl.col("low") >= wanted.first) & (pl.col("high") <= wanted.last)
    is_outside = (pl.col("high") < wanted.first) | (pl.col("low") > wanted.last)
    judged = ordered.with_columns(
        is_inside=time.is_null() | pl.when(block.is_null()).then(is_inside).otherwise(block.is_between(*wanted)),
        is_undecided=block.is_null() & time.is_not_null() & ~is_inside & ~is_outside,
    )
    inside = judged.filter("is_inside").sort("place").select(records.columns)
    return Placed(inside, judged.filter("is_undecided")[at])


def readable(rejected: pl.DataFrame, wanted: Range | None) -> pl.DataFrame:
    "The rows of `rejected` in the blocks `wanted`, and those whose block nobody knows."
    if wanted is None:
        return rejected
    return rejected.filter(pl.col("block_number").is_null() | pl.col("block_number").is_between(*wanted))
