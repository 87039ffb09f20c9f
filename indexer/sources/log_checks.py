"""Whether an answer is what was asked for: filter, range, hashes, block times."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from indexer.endpoints import LOGS
from indexer.errors import IndexerError
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_columns import EMPTY, Log, Malformed, OtherBranch, columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.endpoints import Endpoint
    from indexer.ranges import Range
    from indexer.rpc import Header, Pool
    from indexer.wire import Call

POSITION = ["block_number", "log_index"]


class LogFilter(NamedTuple):
    "What is asked for, as eth_getLogs has it: no addresses means any; a position of `topics` that is None is any."

    addresses: tuple[str, ...] = ()
    topics: tuple[tuple[str, ...] | None, ...] = ()


class Question(NamedTuple):
    "What a range is asked for; `known` are hashes of blocks that are certain."

    block_range: Range
    filters: Sequence[LogFilter]
    known: Mapping[int, str]


def query(one: LogFilter, block_range: Range) -> Call:
    "The eth_getLogs request for one filter."
    asked: dict[str, Any] = {"fromBlock": hex(block_range.first), "toBlock": hex(block_range.last)}
    if one.addresses:
        asked["address"] = list(one.addresses)
    if any(one.topics):
        asked["topics"] = [None if not position else list(position) for position in one.topics]
    return LOGS, [asked]


def matches(frame: pl.DataFrame, one: LogFilter) -> pl.Series:
    "For each log whether the filter asks for it."
    chosen = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003 - the value repeated
    if one.addresses:
        chosen &= frame["address"].is_in(byte_values(one.addresses).implode())
    for position, allowed in enumerate(one.topics):
        if allowed:
            chosen &= frame[f"topic{position}"].is_in(byte_values(allowed).implode()).fill_null(value=False)
    return chosen


@functools.lru_cache(maxsize=256)
def byte_values(texts: tuple[str, ...]) -> pl.Series:
    "Hex texts as bytes."
    return pl.Series([bytes.fromhex(text[2:]) for text in texts], dtype=pl.Binary)


def assemble(per_filter: list[list[Log]], question: Question, headers: tuple[Header, Header]) -> pl.DataFrame:
    "The logs of all filters as one frame, in order, each once; raises Malformed where the answer contradicts itself."
    for end in headers:
        if question.known.get(end.number, end.hash) != end.hash:
            raise OtherBranch(f"block {end.number} is of another branch")
    everything = [log for logs in per_filter for log in logs]
    if not everything:
        return EMPTY
    if any(log.removed for log in everything):
        raise Malformed("a log is marked as removed")
    frame = columns(everything)
    start = 0
    for one, logs in zip(question.filters, per_filter, strict=True):
        check_filter(frame.slice(start, len(logs)), one)
        start += len(logs)
    if sum(1 for logs in per_filter if logs) > 1:
        frame = frame.unique(maintain_order=True)
    frame = frame.sort(POSITION)
    check_order(frame, question.block_range)
    check_hashes(frame, {**question.known, **{end.number: end.hash for end in headers}})
    return frame


def check_filter(frame: pl.DataFrame, one: LogFilter) -> None:
    "Raise Malformed where a log is not what one filter asks for, or came twice in its answer."
    if frame.is_empty():
        return
    if not matches(frame, one).all():
        raise Malformed("a log does not match the filter")
    if frame.height > 1 and frame.select(POSITION).is_duplicated().any():
        raise Malformed("a log came twice")


def check_order(frame: pl.DataFrame, block_range: Range) -> None:
    "Raise Malformed where sorted logs lie outside the range, or two claim one place or one block."
    numbers = frame["block_number"]
    if numbers[0] < block_range.first or numbers[-1] > block_range.last:
        raise Malformed(f"a log lies outside the blocks {block_range}")
    is_same_block = numbers == numbers.shift()
    if (is_same_block & (frame["block_hash"] != frame["block_hash"].shift())).any():
        raise Malformed("logs of one block have different block hashes")
    if (is_same_block & (frame["log_index"] == frame["log_index"].shift())).any():
        raise Malformed("two logs have one place")


def check_hashes(frame: pl.DataFrame, certain: Mapping[int, str]) -> None:
    "Raise Malformed where a log's block hash is not that of the header with its number."
    hashes = pl.DataFrame(
        {"block_number": list(certain), "certain": [bytes.fromhex(text[2:]) for text in certain.values()]},
        schema={"block_number": pl.Int64, "certain": pl.Binary},
    )
    checked = frame.select("block_number", "block_hash").join(hashes, on="block_number", how="inner")
    if (checked["block_hash"] != checked["certain"]).any():
        raise Malformed("a log is of another block than the header with its number")


def timed(pool: Pool, endpoint: Endpoint, frame: pl.DataFrame, headers: tuple[Header, Header]) -> pl.DataFrame:
    """The logs with their block times: as sent where they can be true, else from the header of each block with logs.

    Raises Refused where a header cannot be had, Malformed where it is of another block than its logs.
    """
    if frame.is_empty():
        return frame
    if is_sane(frame, headers):
        endpoint.has_timestamp = True
        return frame
    endpoint.has_timestamp = False
    blocks = frame["block_number"].unique(maintain_order=True).to_list()
    have = {one.number: one for one in headers}
    try:
        have |= pool.headers([number for number in blocks if number not in have])
    except IndexerError as error:
        raise Refused(endpoint.host, Verdict("transient", f"block times: {error}")) from error
    check_hashes(frame, {number: have[number].hash for number in blocks})
    times = pl.DataFrame({"block_number": blocks, "seconds": [have[number].timestamp for number in blocks]})
    at = frame.select("block_number").join(times, on="block_number", how="left", maintain_order="left")["seconds"]
    return frame.with_columns((at * 1_000_000).cast(pl.Datetime("us")).alias("logged_at"))


def is_sane(frame: pl.DataFrame, headers: tuple[Header, Header]) -> bool:
    "Whether every log has a block time, in order, one for each block, and as the headers of the range say."
    at = frame["logged_at"]
    if at.null_count():
        return False
    numbers, first, last = frame["block_number"], *headers
    if (at < at.shift()).any() or ((numbers == numbers.shift()) & (at != at.shift())).any():
        return False
    seconds = at.dt.epoch("s")
    if seconds[0] < first.timestamp or seconds[-1] > last.timestamp:
        return False
    return all(
        number != one.number or second == one.timestamp
        for number, second in ((numbers[0], seconds[0]), (numbers[-1], seconds[-1]))
        for one in headers
    )
