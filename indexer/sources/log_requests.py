"""The logs of one block range from one endpoint, proven by the headers in the same batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from indexer.endpoints import LOGS, RECEIPTS
from indexer.errors import EndpointUnusable
from indexer.headers import Header, block_call, header
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_checks import LogFilter, Question, assemble, block_times, matching, query
from indexer.sources.log_columns import ANSWERS, EMPTY, Block, Log, Malformed, OtherBranch, frame_of
from indexer.wire import PARSING, Reply

if TYPE_CHECKING:
    import polars as pl

    from indexer.endpoints import Endpoint
    from indexer.rpc import Pool
    from indexer.wire import Call

SIZE = frozenset({"range", "results", "response_size"})
LASTING = frozenset({"quota", "spurious", "params", "unknown"})  # an optional method answered so is not served
UNBOUNDED_BATCH = 100


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


def ask_range(pool: Pool, endpoint: Endpoint, question: Question) -> Proven | Verdict:
    "The logs of a range, or why this endpoint cannot prove them."
    try:
        asking = Asking(pool, endpoint, question)
        while asking.is_open():
            asking.send()
        ends = asking.headers[question.block_range.first], asking.headers[question.block_range.last]
        with PARSING:
            found = assemble(asking.found, question, ends)
        if found is None:
            logs = EMPTY
        else:
            times = block_times(pool, endpoint, found, ends)
            with PARSING:
                logs = frame_of(*found, times)
    except Refused as refused:
        return refused.verdict
    except OtherBranch as error:
        return Verdict("branch", str(error))
    except (Malformed, EndpointUnusable) as error:
        return Verdict("fault", str(error))
    endpoint.n_faults = endpoint.n_unknown = 0
    return Proven(logs, *ends, asking.proof, endpoint)


class Asking:
    "One range being asked: filters still to send, and what came."

    def __init__(self, pool: Pool, endpoint: Endpoint, question: Question) -> None:
        self.pool = pool
        self.endpoint = endpoint
        self.block_range = question.block_range
        # The last block first: a batch that holds only one header holds that one.
        self.blocks = sorted({self.block_range.first, self.block_range.last}, reverse=True)
        self.found: list[list[Log]] = [[] for _ in question.filters]
        self.waiting = self.fitted(list(enumerate(question.filters)))
        self.headers: dict[int, Header] = {}
        self.most_filters = UNBOUNDED_BATCH
        self.proof = "header_in_batch"

    def is_open(self) -> bool:
        "Whether something is left to ask."
        return bool(self.waiting) or len(self.headers) < len(self.blocks)

    def send(self) -> None:
        "Ask for as many filters as one batch holds; raises Refused with what the endpoint said."
        size = self.endpoint.max_batch or UNBOUNDED_BATCH
        room = max(1, min(self.most_filters, size - len(self.blocks) if size > len(self.blocks) else size - 1))
        sent, self.waiting = self.waiting[:room], self.waiting[room:]
        calls = [query(part, self.block_range) for _, part in sent] + [block_call(block) for block in self.blocks]
        try:
            replies = self.exchange(calls, size)
        except Refused as refused:
            if refused.verdict.kind == "unknown" and size > 1:
                replies = self.exchange(calls, 1)
                self.endpoint.learn_batch(1)
            elif self.is_smaller_now(refused.verdict, sent):
                return
            else:
                raise
        for block, reply in zip(self.blocks, replies[len(sent) :], strict=True):
            self.place(block, reply)
        for (index, part), reply in zip(sent, replies[: len(sent)], strict=True):
            self.take(index, part, reply)

    def exchange(self, calls: list[Call], size: int) -> list[Reply]:
        "The replies to `calls`: one batch, or several where the endpoint takes no larger ones."
        if size == 1:
            self.proof = "unverified"
        groups = [calls[start : start + size] for start in range(0, len(calls), size)]
        return [reply for group in groups for reply in self.pool.exchange(self.endpoint, group, ANSWERS)]

    def place(self, block: int, reply: Reply) -> None:
        "Keep the header of `block`; raises Refused where it is absent or contradicts an earlier one."
        if reply.error is not None:
            raise Refused(self.endpoint.host, reply.error)
        if reply.result is None:
            raise Refused(self.endpoint.host, Verdict("head_lag", f"the node has not got block {block}"))
        if not isinstance(reply.result, Block):
            raise Malformed(f"the header of block {block} is none")
        found = header(reply.result)
        if found.number != block:
            raise Malformed(f"asked for block {block}, the answer is block {found.number}")
        if self.headers.setdefault(block, found).hash != found.hash:
            raise Malformed(f"two answers have different blocks {block}")

    def take(self, index: int, part: LogFilter, reply: Reply) -> None:
        "Keep the logs of a filter, or put narrower filters in its place; raises Refused where there are none."
        if reply.error is None:
            if not isinstance(reply.result, list):
                raise Malformed(f"{LOGS} answered without a list")
            self.found[index] += reply.result
        elif reply.error.kind == "params" and self.learn_addresses(reply.error, part):
            self.waiting += self.fitted([(index, part)])
        elif reply.error.kind in SIZE | {"params"} and self.block_range.n_blocks == 1:
            self.found[index] += self.divide(index, part)
        else:
            raise Refused(self.endpoint.host, reply.error)

    def divide(self, index: int, part: LogFilter) -> list[Log]:
        "One block is too much for one filter: ask for parts of it, or read the receipts once it has no parts."
        if narrower := parts(part):
            self.waiting += [(index, one) for one in narrower]
            return []
        return receipts(self.pool, self.endpoint, self.block_range.last, part, self.headers[self.block_range.last].hash)

    def is_smaller_now(self, verdict: Verdict, sent: list[tuple[int, LogFilter]]) -> bool:
        "A whole batch was refused: whether smaller ones wait in its place now."
        n_addresses = max((len(part.addresses) for _, part in sent), default=0)
        n_calls = len(sent) + len(self.blocks)
        size = self.endpoint.max_batch or UNBOUNDED_BATCH
        if verdict.kind in SIZE and self.block_range.n_blocks == 1 and sent and (len(sent) > 1 or parts(sent[0][1])):
            self.most_filters = max(1, len(sent) // 2)
            halves = [(index, one) for index, part in sent for one in (parts(part) or [part])]
            self.waiting = (sent if len(sent) > 1 else halves) + self.waiting
            return True
        if verdict.kind != "params" or not verdict.is_structural:
            return False
        said = verdict.message.lower()
        is_filter = "address" in said or "filter" in said or ("batch" not in said and n_addresses > n_calls)
        if is_filter and sent and self.learn_addresses(verdict, max((part for _, part in sent), key=width)):
            self.waiting = self.fitted(sent + self.waiting)
            return True
        if size > 1:
            self.endpoint.learn_batch(n_calls // 2)
            self.waiting = sent + self.waiting
            return True
        return False

    def learn_addresses(self, verdict: Verdict, part: LogFilter) -> bool:
        "Learn a shorter address list from a refusal; whether there is one."
        n_addresses = len(part.addresses)
        if n_addresses < 2 or not verdict.is_structural:  # noqa: PLR2004 - one address cannot be divided
            return False
        stated = verdict.max_items
        self.endpoint.learn_addresses(stated if stated and stated < n_addresses else n_addresses // 2)
        return True

    def fitted(self, waiting: list[tuple[int, LogFilter]]) -> list[tuple[int, LogFilter]]:
        "The filters with no more addresses than the endpoint takes."
        cap = self.endpoint.max_addresses
        return [(index, one) for index, part in waiting for one in sized(part, cap)]


def width(part: LogFilter) -> int:
    "How many addresses a filter names."
    return len(part.addresses)


def sized(part: LogFilter, cap: int | None) -> list[LogFilter]:
    "The filter as filters of at most `cap` addresses each."
    if cap is None or len(part.addresses) <= cap:
        return [part]
    return [part._replace(addresses=part.addresses[at : at + cap]) for at in range(0, len(part.addresses), cap)]


def parts(part: LogFilter) -> list[LogFilter]:
    "The filter in two: by address, then by first topic; empty where nothing is left to divide."
    if len(part.addresses) > 1:
        middle = len(part.addresses) // 2
        return [part._replace(addresses=half) for half in (part.addresses[:middle], part.addresses[middle:])]
    if part.topics and part.topics[0] and len(part.topics[0]) > 1:
        middle = len(part.topics[0]) // 2
        halves = (part.topics[0][:middle], part.topics[0][middle:])
        return [part._replace(topics=(half, *part.topics[1:])) for half in halves]
    return []


def receipts(pool: Pool, endpoint: Endpoint, number: int, one: LogFilter, block_hash: str | None = None) -> list[Log]:
    """The logs of one block that match, read from its receipts.

    Raises Refused where the endpoint does not serve them, Malformed where they are of another block than `block_hash`.
    """
    if not endpoint.is_usable(RECEIPTS):
        raise Refused(endpoint.host, Verdict("results", f"one block is too large, and {RECEIPTS} is not served"))
    try:
        reply = pool.exchange(endpoint, [(RECEIPTS, [hex(number)])], RECEIPT_ANSWERS)[0]
    except Refused as refused:
        reply = Reply(None, refused.verdict)
    if (verdict := reply.error) is not None:
        if verdict.kind in LASTING:
            endpoint.retire(f"{RECEIPTS}: {verdict.message}", RECEIPTS)
        if verdict.kind in LASTING | SIZE:
            verdict = Verdict("results", f"one block is too large; {RECEIPTS}: {verdict.message}")
        raise Refused(endpoint.host, verdict)
    if reply.result is None:
        raise Refused(endpoint.host, Verdict("head_lag", f"no receipts of block {number}"))
    logs = matching([log for receipt in reply.result for log in receipt.logs], one)
    if block_hash is not None and any(log.block_hash.lower() != block_hash for log in logs):
        raise Malformed(f"the receipts of block {number} are of another block")
    return logs
