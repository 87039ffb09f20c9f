"""The logs of one block range from one endpoint, proven by the headers in the same batch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import polars as pl

from indexer.endpoints import LOGS
from indexer.errors import EndpointUnusable, IndexerError
from indexer.rpc import Header, block_call, header
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_columns import ANSWERS, EMPTY, Block, Log, Malformed, columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.endpoints import Endpoint
    from indexer.ranges import Range
    from indexer.rpc import Pool
    from indexer.wire import Call, Reply

SIZE = frozenset({"range", "results", "response_size"})
UNBOUNDED_BATCH = 100
POSITION = ["block_number", "log_index"]
RECEIPTS = "eth_getBlockReceipts"


class LogFilter(NamedTuple):
    "What is asked for, as eth_getLogs has it: no addresses means any; a position of `topics` that is None is any."

    addresses: tuple[str, ...] = ()
    topics: tuple[tuple[str, ...] | None, ...] = ()


class Proven(NamedTuple):
    "The logs of a range (LOG_SCHEMA, in order) with the headers of its first and last block."

    logs: pl.DataFrame
    first: Header
    head: Header
    proof: str
    endpoint: Endpoint


class Receipt(msgspec.Struct, gc=False):
    "The part of a receipt that is used."

    logs: list[Log]


class ReceiptAnswer(msgspec.Struct, gc=False):
    "One answer to eth_getBlockReceipts."

    id: Any = None
    result: list[Receipt] | msgspec.UnsetType | None = msgspec.UNSET
    error: Any = None


RECEIPT_ANSWERS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[ReceiptAnswer] | ReceiptAnswer)


def query(one: LogFilter, block_range: Range) -> Call:
    "The eth_getLogs request for one filter."
    asked: dict[str, Any] = {"fromBlock": hex(block_range.first), "toBlock": hex(block_range.last)}
    if one.addresses:
        asked["address"] = list(one.addresses)
    if any(one.topics):
        asked["topics"] = [None if not position else list(position) for position in one.topics]
    return LOGS, [asked]


def ask_range(
    pool: Pool, endpoint: Endpoint, block_range: Range, filters: Sequence[LogFilter], known: Mapping[int, str]
) -> Proven | Verdict:
    """The logs of `filters` in `block_range`, or why this endpoint cannot prove them.

    `known` are hashes of blocks that are certain; an answer that contradicts one is a fault.
    """
    try:
        answered = collect(pool, endpoint, block_range, filters)
        if isinstance(answered, Verdict):
            return answered
        per_filter, first, head, proof = answered
        logs = assemble(per_filter, filters, block_range, (first, head), known)
        logs = timed(pool, endpoint, logs, (first, head))
    except Refused as refused:
        return refused.verdict
    except Malformed as error:
        return Verdict("fault", str(error))
    except EndpointUnusable as error:
        return Verdict("fault", str(error))
    endpoint.n_faults = 0
    return Proven(logs, first, head, proof, endpoint)


# ---- asking ----------------------------------------------------------------------------------------------------


def collect(
    pool: Pool, endpoint: Endpoint, block_range: Range, filters: Sequence[LogFilter]
) -> tuple[list[list[Log]], Header, Header, str] | Verdict:
    "The logs as sent, by filter, with the headers of the first and last block and the proof; or what was refused."
    found: list[list[Log]] = [[] for _ in filters]
    waiting = [(index, part) for index, one in enumerate(filters) for part in fitted(one, endpoint.max_addresses)]
    headers: dict[int, Header] = {}
    proof = "header_in_batch"
    while waiting or not headers:
        size = endpoint.max_batch or UNBOUNDED_BATCH
        blocks = sorted({block_range.first, block_range.last}, reverse=True)
        room = size - len(blocks) if len(waiting) + len(blocks) <= size or size > len(blocks) else size - 1
        if size == 1:
            proof = "unverified"
        sent, waiting = waiting[: max(room, 1)], waiting[max(room, 1) :]
        calls = [query(part, block_range) for _, part in sent] + [block_call(block) for block in blocks]
        try:
            replies = exchange(pool, endpoint, calls, size)
        except Refused as refused:
            if refused.verdict.kind == "unknown" and size > 1:
                replies = exchange(pool, endpoint, calls, 1)
                endpoint.learn_batch(1)
                proof = "unverified"
            elif adapt(endpoint, refused.verdict, len(calls), max((len(one.addresses) for _, one in sent), default=0)):
                waiting = [
                    (index, piece) for index, part in sent + waiting for piece in fitted(part, endpoint.max_addresses)
                ]
                continue
            else:
                return refused.verdict
        for block, reply in zip(blocks, replies[len(sent) :], strict=True):
            if (verdict := placed(headers, block, reply)) is not None:
                return verdict
        for (index, part), reply in zip(sent, replies[: len(sent)], strict=True):
            if reply.error is None and isinstance(reply.result, list):
                found[index] += reply.result
                continue
            error = reply.error or Verdict("fault", f"{LOGS} answered without a list")
            if error.kind == "params" and adapt(endpoint, error, 1, len(part.addresses)):
                waiting += [(index, piece) for piece in fitted(part, endpoint.max_addresses)]
            elif error.kind in SIZE | {"params"} and block_range.n_blocks == 1:
                if narrower := parts(part):
                    waiting += [(index, piece) for piece in narrower]
                else:
                    found[index] += receipts(pool, endpoint, headers[block_range.last], part)
            else:
                return error
    return found, headers[block_range.first], headers[block_range.last], proof


def exchange(pool: Pool, endpoint: Endpoint, calls: list[Call], size: int) -> list[Reply]:
    "The replies to `calls`: one batch, or one after the other where the endpoint takes no batches."
    if len(calls) <= size:
        return pool.wire.exchange(endpoint, calls, ANSWERS)
    groups = [calls[start : start + size] for start in range(0, len(calls), size)]
    return [reply for group in groups for reply in pool.wire.exchange(endpoint, group, ANSWERS)]


def placed(headers: dict[int, Header], block: int, reply: Reply) -> Verdict | None:
    "Put the header of `block` into `headers`; what is wrong with it, if anything."
    if reply.error is not None:
        return reply.error
    if reply.result is None:
        return Verdict("head_lag", f"the node has not got block {block}")
    if not isinstance(reply.result, Block):
        return Verdict("fault", f"the header of block {block} is none")
    sent = reply.result
    found = header(
        {
            "number": sent.number,
            "hash": sent.hash,
            "parentHash": sent.parent_hash,
            "timestamp": sent.timestamp,
            "logsBloom": sent.logs_bloom,
        }
    )
    if found.number != block:
        return Verdict("fault", f"asked for block {block}, the answer is block {found.number}")
    if headers.setdefault(block, found).hash != found.hash:
        return Verdict("fault", f"two answers have different blocks {block}")
    return None


def adapt(endpoint: Endpoint, verdict: Verdict, n_calls: int, n_addresses: int) -> bool:
    "Learn a smaller batch or address list from a refusal; whether anything is left to make smaller."
    if verdict.kind != "params" or not verdict.is_structural:
        return False
    is_batch = "batch" in verdict.message.lower()
    if not is_batch and n_addresses > 1 and (n_addresses > n_calls or n_calls == 1 or "address" in verdict.message):
        cap = verdict.max_items if verdict.max_items and verdict.max_items < n_addresses else n_addresses // 2
        endpoint.learn_addresses(cap)
        return True
    if n_calls > 1 and (endpoint.max_batch is None or endpoint.max_batch > 1):
        endpoint.learn_batch(n_calls // 2)
        return True
    return False


def fitted(one: LogFilter, cap: int | None) -> list[LogFilter]:
    "The filter as filters of at most `cap` addresses each."
    if cap is None or len(one.addresses) <= cap:
        return [one]
    return [one._replace(addresses=one.addresses[at : at + cap]) for at in range(0, len(one.addresses), cap)]


def parts(one: LogFilter) -> list[LogFilter]:
    "The filter in two: by address, then by first topic; empty where nothing is left to divide."
    if len(one.addresses) > 1:
        middle = len(one.addresses) // 2
        return [one._replace(addresses=half) for half in (one.addresses[:middle], one.addresses[middle:])]
    if one.topics and one.topics[0] and len(one.topics[0]) > 1:
        middle = len(one.topics[0]) // 2
        halves = (one.topics[0][:middle], one.topics[0][middle:])
        return [one._replace(topics=(half, *one.topics[1:])) for half in halves]
    return []


def receipts(pool: Pool, endpoint: Endpoint, of: Header, one: LogFilter) -> list[Log]:
    "The logs of one block that match, read from its receipts; raises Refused where the endpoint does not serve them."
    reply = pool.wire.exchange(endpoint, [(RECEIPTS, [hex(of.number)])], RECEIPT_ANSWERS)[0]
    if reply.error is not None:
        raise Refused(endpoint.host, reply.error._replace(kind="results", message=f"{RECEIPTS}: {reply.error.message}"))
    if reply.result is None:
        raise Refused(endpoint.host, Verdict("head_lag", f"no receipts of block {of.number}"))
    logs = [log for receipt in reply.result for log in receipt.logs]
    if any(log.block_hash.lower() != of.hash for log in logs):
        raise Refused(endpoint.host, Verdict("fault", f"the receipts of block {of.number} are of another block"))
    if not logs:
        return []
    chosen = matches(columns(logs), one)
    return [logs[row] for row in chosen.arg_true().to_list()]


# ---- judging ---------------------------------------------------------------------------------------------------


def assemble(
    per_filter: list[list[Log]],
    filters: Sequence[LogFilter],
    block_range: Range,
    headers: tuple[Header, Header],
    known: Mapping[int, str],
) -> pl.DataFrame:
    "The logs of all filters as one frame, in order, each once; raises Malformed where the answer contradicts itself."
    everything = [log for logs in per_filter for log in logs]
    if not everything:
        return EMPTY
    if any(log.removed for log in everything):
        raise Malformed("a log is marked as removed")
    frame = columns(everything)
    start = 0
    for one, logs in zip(filters, per_filter, strict=True):
        part = frame.slice(start, len(logs))
        if logs and not matches(part, one).all():
            raise Malformed("a log does not match the filter")
        if len(logs) > 1 and part.select(POSITION).is_duplicated().any():
            raise Malformed("a log came twice")
        start += len(logs)
    if sum(1 for logs in per_filter if logs) > 1:
        frame = frame.unique(maintain_order=True)
    frame = frame.sort(POSITION)
    numbers = frame["block_number"]
    if numbers[0] < block_range.first or numbers[-1] > block_range.last:
        raise Malformed(f"a log lies outside the blocks {block_range}")
    is_same_block = numbers == numbers.shift()
    if (is_same_block & (frame["block_hash"] != frame["block_hash"].shift())).any():
        raise Malformed("logs of one block have different block hashes")
    if (is_same_block & (frame["log_index"] == frame["log_index"].shift())).any():
        raise Malformed("two logs have one place")
    certain = {one.number: one.hash for one in headers}
    certain.update((number, block_hash) for number, block_hash in known.items() if number not in certain)
    for one in headers:
        if known.get(one.number, one.hash) != one.hash:
            raise Malformed(f"block {one.number} is of another branch")
    hashes = pl.DataFrame(
        {"block_number": list(certain), "certain": [bytes.fromhex(text[2:]) for text in certain.values()]},
        schema={"block_number": pl.Int64, "certain": pl.Binary},
    )
    checked = frame.select("block_number", "block_hash").join(hashes, on="block_number", how="inner")
    if (checked["block_hash"] != checked["certain"]).any():
        raise Malformed("a log is of another block than the header with its number")
    return frame


def matches(frame: pl.DataFrame, one: LogFilter) -> pl.Series:
    "For each log whether the filter asks for it."
    chosen = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003 - the value repeated
    if one.addresses:
        chosen &= frame["address"].is_in(byte_values(one.addresses))
    for position, allowed in enumerate(one.topics):
        if allowed:
            chosen &= frame[f"topic{position}"].is_in(byte_values(allowed)).fill_null(value=False)
    return chosen


@functools.lru_cache(maxsize=256)
def byte_values(texts: tuple[str, ...]) -> pl.Series:
    "Hex texts as bytes."
    return pl.Series([bytes.fromhex(text[2:]) for text in texts], dtype=pl.Binary)


# ---- block times -----------------------------------------------------------------------------------------------


def timed(pool: Pool, endpoint: Endpoint, frame: pl.DataFrame, headers: tuple[Header, Header]) -> pl.DataFrame:
    "The logs with their block times: as sent where they can be true, else from the header of each block with logs."
    if frame.is_empty():
        return frame
    at = frame["logged_at"]
    if is_sane(frame, headers):
        endpoint.has_timestamp = True
        return frame
    if at.null_count():
        endpoint.has_timestamp = False
    blocks = frame.group_by("block_number", maintain_order=True).agg(pl.col("block_hash").first())
    have = {one.number: one for one in headers}
    absent = [number for number in blocks["block_number"].to_list() if number not in have]
    try:
        have |= pool.headers(absent)
    except IndexerError as error:
        raise Refused(endpoint.host, Verdict("transient", f"block times: {error}")) from error
    found = [have[number] for number in blocks["block_number"].to_list()]
    times = blocks.with_columns(
        pl.Series("certain", [bytes.fromhex(one.hash[2:]) for one in found], dtype=pl.Binary),
        (pl.Series("at", [one.timestamp for one in found], dtype=pl.Int64) * 1_000_000).cast(pl.Datetime("us")),
    )
    if (times["block_hash"] != times["certain"]).any():
        raise Malformed("a log is of another block than the header with its number")
    return (
        frame.join(times.select("block_number", "at"), on="block_number", how="left", maintain_order="left")
        .with_columns(logged_at=pl.col("at"))
        .drop("at")
    )


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
