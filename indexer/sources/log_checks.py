"""Whether an answer is what was asked for: filter, range, hashes, block times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexer.endpoints import LOGS
from indexer.errors import IndexerError
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_columns import Integers, Log, Malformed, OtherBranch, Places, places, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.endpoints import Endpoint
    from indexer.ranges import Range
    from indexer.rpc import Header, Pool
    from indexer.wire import Call


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


def matching(logs: list[Log], one: LogFilter) -> list[Log]:
    "Those of `logs` that the filter asks for."
    found = logs
    if one.addresses:
        allowed = frozenset(one.addresses)
        found = [log for log in found if log.address.lower() in allowed]
    for position, texts in enumerate(one.topics):
        if texts:
            allowed = frozenset(texts)
            found = [log for log in found if len(log.topics) > position and log.topics[position].lower() in allowed]
    return found


def all_match(logs: list[Log], one: LogFilter) -> bool:
    "Whether each log is one that the filter asks for; distinct values are compared, so that it costs little."
    if one.addresses and not {log.address for log in logs} <= set(one.addresses):
        return len(matching(logs, one)) == len(logs)
    for position, texts in enumerate(one.topics):
        if texts and not {log.topics[position] if len(log.topics) > position else "" for log in logs} <= set(texts):
            return len(matching(logs, one)) == len(logs)
    return True


class Assembled(NamedTuple):
    "The logs of all filters in block order, each once, with their places."

    logs: list[Log]
    at: Places


def assemble(per_filter: list[list[Log]], question: Question, ends: tuple[Header, Header]) -> Assembled | None:
    "The logs of all filters, in order, each once; None for none. Raises Malformed where the answer contradicts itself."
    for end in ends:
        if question.known.get(end.number, end.hash) != end.hash:
            raise OtherBranch(f"block {end.number} is of another branch")
    for one, logs in zip(question.filters, per_filter, strict=True):
        if not all_match(logs, one):
            raise Malformed("a log does not match the filter")
    everything = [log for logs in per_filter for log in logs]
    if not everything:
        return None
    if any([log.removed for log in everything]):  # noqa: C419 - a list is three times as fast here
        raise Malformed("a log is marked as removed")
    found = ordered(everything, places(everything), [len(logs) for logs in per_filter])
    check_places(found.at, question.block_range)
    check_hashes(found.at, {**question.known, **{end.number: end.hash for end in ends}})
    return found


def ordered(logs: list[Log], at: Places, sizes: list[int]) -> Assembled:
    """The logs by block and index, each once.

    Raises Malformed where a log came twice in the answer to one filter, or two logs claim one place.
    """
    is_later = (np.diff(at.numbers) > 0) | ((np.diff(at.numbers) == 0) & (np.diff(at.indexes) > 0))
    if is_later.all():
        return Assembled(logs, at)
    of_filter = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((of_filter, at.indexes, at.numbers))
    numbers, indexes, of_filter = at.numbers[order], at.indexes[order], of_filter[order]
    is_again = np.zeros(len(logs), bool)
    is_again[1:] = (np.diff(numbers) == 0) & (np.diff(indexes) == 0)
    if (is_again[1:] & (np.diff(of_filter) == 0)).any():
        raise Malformed("a log came twice")
    again = np.flatnonzero(is_again)
    if any(logs[order[row]] != logs[order[row - 1]] for row in again):
        raise Malformed("two logs have one place")
    kept = order[~is_again]
    return Assembled([logs[row] for row in kept], Places(at.numbers[kept], at.indexes[kept], at.hashes[kept]))


def check_places(at: Places, block_range: Range) -> None:
    "Raise Malformed where ordered logs lie outside the range, or one block has two hashes."
    if at.numbers[0] < block_range.first or at.numbers[-1] > block_range.last:
        raise Malformed(f"a log lies outside the blocks {block_range}")
    differs = (at.hashes[1:] != at.hashes[:-1]).any(axis=1)
    if (differs & (np.diff(at.numbers) == 0)).any():
        raise Malformed("logs of one block have different block hashes")


def check_hashes(at: Places, certain: Mapping[int, str]) -> None:
    "Raise Malformed where a log's block hash is not that of the header with its number."
    rows = np.searchsorted(at.numbers, list(certain))
    for row, (number, known) in zip(rows.tolist(), certain.items(), strict=True):
        is_there = row < len(at.numbers) and at.numbers[row] == number
        if is_there and at.hashes[row].tobytes() != bytes.fromhex(known[2:]):
            raise Malformed(f"a log is of another block than the header of block {number}")


def block_times(pool: Pool, endpoint: Endpoint, found: Assembled, ends: tuple[Header, Header]) -> Integers:
    """The time of each log's block: as sent where that can be true, else from the header of each block with logs.

    Raises Refused where a header cannot be had, Malformed where it is of another block than its logs.
    """
    times = seconds(found.logs)
    if times is not None and is_sane(found.at.numbers, times, ends):
        endpoint.has_timestamp = True
        return times
    endpoint.has_timestamp = False
    numbers, rows = np.unique(found.at.numbers, return_inverse=True)
    have = {end.number: end for end in ends}
    try:
        have |= pool.headers([number for number in numbers.tolist() if number not in have])
    except IndexerError as error:
        raise Refused(endpoint.host, Verdict("transient", f"block times: {error}")) from error
    check_hashes(found.at, {number: have[number].hash for number in numbers.tolist()})
    return np.array([have[number].timestamp for number in numbers.tolist()], np.int64)[rows]


def is_sane(numbers: Integers, times: Integers, ends: tuple[Header, Header]) -> bool:
    "Whether block times are in order, one for each block, and as the headers of the range's ends say."
    steps, same_block = np.diff(times), np.diff(numbers) == 0
    if (steps < 0).any() or (same_block & (steps != 0)).any():
        return False
    first, last = ends
    if times[0] < first.timestamp or times[-1] > last.timestamp:
        return False
    return all((times[numbers == end.number] == end.timestamp).all() for end in ends)
