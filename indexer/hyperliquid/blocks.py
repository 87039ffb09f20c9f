"""Block numbers of HyperCore: read from a fill's hash, and placed in time between known blocks.

The layout of the hash is undocumented; it agrees with every public record whose block is known. 32 bytes: ten of
digest, one that says how many bytes the block number has, the block number (big-endian), then an action index and a
sub index, each with its length byte, and digest again. TWAP slices and funding carry an all-zero hash, and deposits do
not follow the layout, so a number is taken only where it is plausible for its time.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import NamedTuple

import polars as pl

from indexer.hyperliquid.clock import milliseconds

ANCHORS = Path(__file__).parent.parent / "data" / "hyperliquid_anchors.json"
DIGEST_DIGITS = 20  # "0x" comes before them
MAX_BLOCK_BYTES = 5
# Between neighbouring anchors linear interpolation errs by at most 2.1 % of the gap since June 2025.
TOLERANCE = 0.05
# Blocks per second after the last anchor: 11.9 to 14.5 were seen since June 2025; wider, as the rate may move.
SLOWEST, FASTEST = 5, 30
SLACK_BLOCKS = 1000


class Anchors(NamedTuple):
    "Known blocks in order: numbers, times in milliseconds, and the index from which interpolation holds."

    blocks: tuple[int, ...]
    times: tuple[int, ...]
    steady: int


@functools.cache
def anchors() -> Anchors:
    "The anchors of the data file."
    stored = json.loads(ANCHORS.read_text())
    numbers = tuple(block for block, _ in stored["anchors"])
    times = tuple(milliseconds(at) for _, at in stored["anchors"])
    return Anchors(numbers, times, numbers.index(stored["interpolate_from"]))


def bounds(time_ms: int) -> tuple[int, int]:
    "The lowest and highest block number that is plausible at `time_ms`."
    known = anchors()
    after = sum(at <= time_ms for at in known.times)
    if after == 0:
        return 0, known.blocks[0]
    block, at = known.blocks[after - 1], known.times[after - 1]
    if after == len(known.times):
        seconds = (time_ms - at) / 1000
        return int(block + SLOWEST * seconds) - SLACK_BLOCKS, int(block + FASTEST * seconds) + SLACK_BLOCKS
    next_block, next_at = known.blocks[after], known.times[after]
    if after - 1 < known.steady:
        return block, next_block
    gap = next_block - block
    estimate = block + gap * (time_ms - at) / (next_at - at)
    return int(estimate - TOLERANCE * gap) - 1, int(estimate + TOLERANCE * gap) + 1


def times(block: int) -> tuple[int, int]:
    "The earliest and latest time, in milliseconds, at which `block` is plausible."
    known = anchors()
    after = sum(number <= block for number in known.blocks)
    if after == 0:
        return 0, known.times[0]
    number, at = known.blocks[after - 1], known.times[after - 1]
    if after == len(known.blocks):
        more = block - number
        return at + (more - SLACK_BLOCKS) * 1000 // FASTEST, at + (more + SLACK_BLOCKS) * 1000 // SLOWEST
    next_number, next_at = known.blocks[after], known.times[after]
    if after - 1 < known.steady:
        return at, next_at
    gap = next_at - at
    estimate = at + gap * (block - number) / (next_number - number)
    return int(estimate - TOLERANCE * gap), int(estimate + TOLERANCE * gap)


def from_hash(records: pl.DataFrame) -> pl.Series:
    """The block number of each row of `records` (`hash`, `time` in milliseconds), NULL where the hash does not tell.

    Taken only if the hash is not all zero, its length byte is 1 to 5, and the number is plausible for the time.
    """
    digits = pl.col("hash").str.strip_prefix("0x")
    n_bytes = digits.str.slice(DIGEST_DIGITS, 2).str.to_integer(base=16, strict=False)
    is_hash = digits.str.contains(r"^[0-9a-fA-F]{64}$") & n_bytes.is_between(1, MAX_BLOCK_BYTES)
    number = (
        pl.when(is_hash)
        .then(digits.str.slice(DIGEST_DIGITS + 2, 2 * n_bytes))
        .str.to_integer(base=16, strict=False, dtype=pl.Int64)
    )
    seconds = records.select((pl.col("time") // 1000).unique().alias("second")).drop_nulls()["second"]
    plausible = pl.DataFrame(
        [(second, *bounds(second * 1000)) for second in seconds],
        schema={"second": pl.Int64, "lowest": pl.Int64, "highest": pl.Int64},
        orient="row",
    )
    return (
        records.select("time", "hash", second=pl.col("time") // 1000)
        .with_columns(number=number)
        .join(plausible, on="second", how="left", maintain_order="left")
        .select(pl.when(pl.col("number").is_between(pl.col("lowest"), pl.col("highest"))).then(pl.col("number")))
        .to_series()
        .rename("block_number")
    )
