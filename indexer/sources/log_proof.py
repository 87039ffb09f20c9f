"""Doubt about an answer: kept history, blooms, and a second endpoint."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl
from Crypto.Hash import keccak

from indexer.endpoints import LOGS, RECEIPTS
from indexer.errors import EndpointUnusable, IndexerError
from indexer.headers import Header, block_call, header
from indexer.ranges import Range, split
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_checks import LogFilter, Question, ordered, query
from indexer.sources.log_columns import ANSWERS, EMPTY, Malformed, frame_of, places
from indexer.sources.log_requests import RECEIPT_ANSWERS, SIZE, Proven, ask_range, receipts
from indexer.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.endpoints import Endpoint
    from indexer.rpc import Pool
    from indexer.wire import Call

NEIGHBOURS = 16
MOST_DISPUTED_BLOCKS = 4
MOST_PIECES = 64
LOST = "the bloom of a block names a log, but there are none at block"
MOST_BLOOM_QUESTIONS = 8  # more (address, topic0) pairs than this hit a mainnet bloom by chance too often


class Sample:
    "Which ranges are asked twice: a fixed share of all, empty ones first."

    def __init__(self, share: float) -> None:
        self.share = share
        self.n_seen = 0
        self.n_taken = 0
        self.lock = threading.Lock()

    def takes(self, *, is_empty: bool) -> bool:
        "Whether this range is one of the sample."
        with self.lock:
            self.n_seen += 1
            due = self.share * self.n_seen - self.n_taken
            if due >= 1 or (due > 0 and is_empty):
                self.n_taken += 1
                return True
            return False


def prove(pool: Pool, endpoint: Endpoint, question: Question, sample: Sample) -> Proven | Verdict:
    "The logs of a range, after every doubt that is due: kept history, blooms near the head, a second endpoint."
    found = ask_range(pool, endpoint, question)
    try:
        found = history(pool, endpoint, question, found)
        if isinstance(found, Verdict):
            return found
        is_sampled = sample.takes(is_empty=found.logs.is_empty())
        other = second(pool, endpoint, question.block_range.first) if is_sampled else None
        if other is not None:
            found = confirm(pool, found, other, question)
        elif is_sampled or (found.logs.is_empty() and question.block_range.last > pool.final_block):
            found = doubt(pool, found, question)
    except Refused as refused:
        return refused.verdict
    except (EndpointUnusable, Malformed) as error:
        return Verdict("fault", str(error))
    return found


# ---- history ---------------------------------------------------------------------------------------------------


def history(pool: Pool, endpoint: Endpoint, question: Question, found: Proven | Verdict) -> Proven | Verdict:
    "The answer, or `pruned` where the endpoint has lost the first block's logs; the oldest block decides for later ones."
    first = question.block_range.first
    if isinstance(found, Verdict) and found.kind != "pruned":
        return found
    with endpoint.history_lock:
        if not endpoint.keeps(first):
            return Verdict("pruned", f"logs before block {endpoint.earliest_block} are gone")
        if isinstance(found, Verdict):
            find_earliest(pool, endpoint, question, found)
        elif endpoint.proven_from is None or first < endpoint.proven_from:
            is_there = not found.logs.is_empty() and found.logs["block_number"][0] == first
            if not is_there and keeps_history(pool, endpoint, found.first) is False:
                found = Verdict("pruned", f"{LOST} {first}")
                find_earliest(pool, endpoint, question, found)
            else:
                endpoint.proven_from = first
    return found


def keeps_history(pool: Pool, endpoint: Endpoint, of: Header) -> bool | None:
    """Whether logs from block `of` on are there; None where nothing can be told.

    The range asked for ends at the first block whose bloom names a log, so that it cannot be empty in truth. A bloom
    beside receipts that hold no log leaked (Cronos before 0.7.0) and tells nothing; no receipts at all are gone.
    """
    named = of if has_bits(of.logs_bloom) else neighbour(pool, endpoint, of.number)
    if named is None:
        return None
    reply = answer(pool, endpoint, query(LogFilter(), Range(of.number, named.number)))
    if reply.error is not None:  # too many logs are logs
        return {"pruned": False, "results": True, "response_size": True}.get(reply.error.kind)
    if reply.result:
        return True
    try:
        told = pool.exchange(endpoint, [(RECEIPTS, [hex(named.number)])], RECEIPT_ANSWERS)[0]
    except Refused:
        return None
    if told.error is not None:
        return False if told.error.kind == "pruned" else None
    return None if told.result and not any(receipt.logs for receipt in told.result) else False


def answer(pool: Pool, endpoint: Endpoint, asked: Call) -> Reply:
    "The reply to one question, a refusal of the whole request included; raises Refused for what may pass."
    try:
        return pool.exchange(endpoint, [asked], ANSWERS)[0]
    except Refused as refused:
        if refused.verdict.kind in {"transient", "rate", "head_lag"}:
            raise
        return Reply(None, refused.verdict)


def says_pruned(pool: Pool, endpoint: Endpoint, question: Question, block: int) -> bool:
    "Whether the endpoint refuses one block as pruned."
    reply = answer(pool, endpoint, query(question.filters[0], Range(block, block)))
    return reply.error is not None and reply.error.kind == "pruned"


def neighbour(pool: Pool, endpoint: Endpoint, block: int) -> Header | None:
    "The first of the blocks after `block` whose bloom names a log."
    reach = min(NEIGHBOURS, (endpoint.max_blocks or NEIGHBOURS + 1) - 1)
    calls = [block_call(number) for number in range(block + 1, block + 1 + reach)]
    size = endpoint.max_batch or NEIGHBOURS
    for start in range(0, len(calls), size):
        for reply in pool.exchange(endpoint, calls[start : start + size]):
            if reply.error is None and reply.result and has_bits(reply.result.get("logsBloom")):
                return header(reply.result)
    return None


def find_earliest(pool: Pool, endpoint: Endpoint, question: Question, why: Verdict) -> None:
    "Learn the first block whose logs the endpoint keeps, by halving between a block that is gone and the head."
    gone = question.block_range.first
    try:
        kept = header(pool.exchange(endpoint, [block_call("latest")])[0].result).number + 1
        while gone + 1 < kept:
            middle = (gone + kept) // 2
            if why.message.startswith(LOST):  # it answers with an empty list: only what is proven to be there is kept
                of = header(pool.exchange(endpoint, [block_call(middle)])[0].result)
                is_gone = keeps_history(pool, endpoint, of) is not True
            else:
                is_gone = says_pruned(pool, endpoint, question, middle)
            gone, kept = (middle, kept) if is_gone else (gone, middle)
    except (Refused, IndexerError):
        kept = gone + 1
    endpoint.earliest_block = max(kept, endpoint.earliest_block or 0)
    pool.say(f"{endpoint.host} keeps logs from block {kept} on: {why.message}")


def has_bits(bloom: str | None) -> bool:
    "Whether a bloom names anything."
    return bool(bloom) and any(digit not in "0x" for digit in bloom or "")


# ---- blooms ----------------------------------------------------------------------------------------------------


def doubt(pool: Pool, found: Proven, question: Question) -> Proven | Verdict:
    "The answer with `+bloom` where the blooms of its first and last block agree; the receipts decide a suspicion."
    for of in {found.first, found.head}:
        if not found.logs.filter(found.logs["block_number"] == of.number).is_empty():
            continue
        for one in question.filters:
            if not is_named(of.logs_bloom, one):
                continue
            try:
                hidden = receipts(pool, found.endpoint, of.number, one, of.hash)
            except (Refused, Malformed):
                return found
            if hidden:
                return Verdict("fault", f"the receipts of block {of.number} hold a log that the answer lacks")
    return found._replace(proof=f"{found.proof}+bloom")


def is_named(bloom: str | None, one: LogFilter) -> bool:
    "Whether a bloom names an address and a first topic of the filter; False for filters too wide to tell."
    topics = one.topics[0] if one.topics else None
    if not has_bits(bloom) or not (one.addresses or topics):
        return False
    if max(1, len(one.addresses)) * max(1, len(topics or ())) > MOST_BLOOM_QUESTIONS:
        return False
    bits = int(bloom or "0", 16)
    return all(
        not texts or any(has_item(bits, bytes.fromhex(text[2:])) for text in texts) for texts in (one.addresses, topics)
    )


def has_item(bits: int, item: bytes) -> bool:
    "Whether the three bits of `item` are set: the low 11 bits of the first three pairs of bytes of its hash."
    digest = keccak.new(digest_bits=256, data=item).digest()
    return all(bits >> (int.from_bytes(digest[at : at + 2], "big") & 2047) & 1 for at in (0, 2, 4))


# ---- a second endpoint -----------------------------------------------------------------------------------------


def second(pool: Pool, first: Endpoint, block: int) -> Endpoint | None:
    "Another endpoint that may be asked about `block`."
    try:
        return pool.pick(LOGS, {first}, block) if pool.has_other(first, LOGS) else None
    except IndexerError:
        return None


def confirm(pool: Pool, found: Proven, other: Endpoint, question: Question) -> Proven | Verdict:
    "The answer with `+second_endpoint` where another endpoint says the same; receipts decide between two that differ."
    again = other_answer(pool, other, question)
    if again is None:
        return found
    if again.head.hash == found.head.hash and same(found, again):
        return found._replace(proof=f"{found.proof}+second_endpoint")
    liar = contradicted(pool, found, again, question.filters)
    if liar is None:
        return Verdict("fault", f"{found.endpoint.host} and {other.host} disagree about blocks {question.block_range}")
    reason = f"its logs of blocks {question.block_range} contradict the receipts"
    pool.leave(liar, reason)
    return found if liar is other else Verdict("fault", reason)


def other_answer(pool: Pool, other: Endpoint, question: Question) -> Proven | None:
    "What another endpoint says, asked in as many pieces as it needs; None where it cannot say."
    waiting, answers = [question.block_range], list[Proven]()
    for _ in range(MOST_PIECES):
        if not waiting:
            break
        part = waiting.pop(0)
        size = min(part.n_blocks, other.max_blocks or part.n_blocks)
        if size < part.n_blocks:
            waiting[:0] = split(part, part.first + size - 1)
            continue
        answer = ask_range(pool, other, question._replace(block_range=part))
        if isinstance(answer, Proven):
            answers.append(answer)
        elif answer.kind in SIZE and part.n_blocks > 1:
            if answer.kind == "range":
                cap = answer.max_blocks or part.n_blocks
                other.learn_blocks(cap if cap < part.n_blocks else part.n_blocks // 2)
            waiting[:0] = split(part)
        elif answer.kind in {"transient", "head_lag"}:
            waiting[:0] = [part]
        else:
            return None
    if waiting:
        return None
    return answers[0]._replace(logs=pl.concat([answer.logs for answer in answers]), head=answers[-1].head)


def same(one: Proven, other: Proven) -> bool:
    "Whether two answers hold the same logs."
    return one.logs.drop("logged_at").equals(other.logs.drop("logged_at"))


def contradicted(pool: Pool, one: Proven, other: Proven, filters: Sequence[LogFilter]) -> Endpoint | None:
    "The endpoint whose logs are not what both endpoints' receipts say; None where the receipts cannot tell."
    if one.head.hash != other.head.hash:
        return None
    content = [name for name in one.logs.columns if name != "logged_at"]
    disputed = pl.concat(
        [
            one.logs.join(other.logs, on=content, how="anti", nulls_equal=True),
            other.logs.join(one.logs, on=content, how="anti", nulls_equal=True),
        ]
    )
    wrong: set[Endpoint] = set()
    for number in disputed["block_number"].unique().sort().head(MOST_DISPUTED_BLOCKS).to_list():
        try:
            told = [in_receipts(pool, side.endpoint, number, filters).select(content) for side in (one, other)]
        except (Refused, Malformed):
            return None
        if not told[0].equals(told[1]):
            return None
        for side in (one, other):
            if not side.logs.filter(side.logs["block_number"] == number).select(content).equals(told[0]):
                wrong.add(side.endpoint)
    return wrong.pop() if len(wrong) == 1 else None


def in_receipts(pool: Pool, endpoint: Endpoint, number: int, filters: Sequence[LogFilter]) -> pl.DataFrame:
    "The logs of a block that its receipts say match, in LOG_SCHEMA without true times."
    per_filter = [receipts(pool, endpoint, number, one) for one in filters]
    logs = [log for part in per_filter for log in part]
    if not logs:
        return EMPTY
    found = ordered(logs, places(logs), [len(part) for part in per_filter])
    return frame_of(*found, found.at.numbers)
