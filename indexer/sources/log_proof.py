"""Doubt about an answer: kept history, blooms, and a second endpoint."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl
from Crypto.Hash import keccak

from indexer.endpoints import LOGS, RECEIPTS
from indexer.errors import EndpointUnusable, IndexerError
from indexer.ranges import Range, split
from indexer.rpc import Header, block_call, header
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_checks import POSITION, LogFilter, Question, query
from indexer.sources.log_columns import ANSWERS, Malformed, columns
from indexer.sources.log_requests import RECEIPT_ANSWERS, SIZE, Proven, ask_range, receipts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.endpoints import Endpoint
    from indexer.rpc import Pool

NEIGHBOURS = 16
MOST_DISPUTED_BLOCKS = 4
MOST_PIECES = 64
MOST_BLOOM_QUESTIONS = 8  # more (address, topic0) pairs than this hit a mainnet bloom by chance too often
LOCK = threading.Lock()


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
        if isinstance(found, Proven):
            found = history(pool, found, question.block_range.first)
        if isinstance(found, Verdict):
            if found.kind == "pruned":
                find_earliest(pool, endpoint, question.block_range.first, found)
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


def needs_history(endpoint: Endpoint, block: int) -> bool:
    "Whether it is not known yet that the endpoint keeps logs as old as `block`."
    with LOCK:
        if endpoint.proven_from is not None and endpoint.proven_from <= block:
            return False
        endpoint.proven_from = block
        return True


def history(pool: Pool, found: Proven, first: int) -> Proven | Verdict:
    "The answer, or `pruned` where the endpoint has lost the logs of its first block; asked once for the oldest range."
    if needs_history(found.endpoint, first) and keeps_history(pool, found.endpoint, found.first) is False:
        return Verdict("pruned", f"logs of block {first} are gone though its bloom names some")
    return found


def keeps_history(pool: Pool, endpoint: Endpoint, of: Header) -> bool | None:
    "Whether the logs of a block, or of one soon after it, are there; None where nothing can be told."
    named = of if has_bits(of.logs_bloom) else neighbour(pool, endpoint, of.number)
    if named is None:
        return None
    replies = pool.exchange(
        endpoint, [query(LogFilter(), Range(named.number, named.number)), block_call(named.number)], ANSWERS
    )
    if replies[0].error is not None:
        return False if replies[0].error.kind == "pruned" else None
    if replies[0].result:
        return True
    try:
        reply = pool.exchange(endpoint, [(RECEIPTS, [hex(named.number)])], RECEIPT_ANSWERS)[0]
    except Refused:
        return None
    if reply.error is not None:
        return False if reply.error.kind == "pruned" else None
    # A bloom that names logs beside receipts that hold none leaked (Cronos before 0.7.0); no receipts at all are gone.
    return bool(reply.result)


def neighbour(pool: Pool, endpoint: Endpoint, block: int) -> Header | None:
    "The first of the blocks after `block` whose bloom names a log."
    calls = [block_call(number) for number in range(block + 1, block + 1 + NEIGHBOURS)]
    size = endpoint.max_batch or NEIGHBOURS
    for start in range(0, len(calls), size):
        for reply in pool.exchange(endpoint, calls[start : start + size]):
            if reply.error is None and reply.result and has_bits(reply.result.get("logsBloom")):
                return header(reply.result)
    return None


def find_earliest(pool: Pool, endpoint: Endpoint, gone: int, why: Verdict) -> None:
    "Learn the first block whose logs the endpoint keeps, by halving between a block that is gone and the head."
    with LOCK:
        if endpoint.earliest_block is not None and endpoint.earliest_block > gone:
            return
    try:
        newest = header(pool.exchange(endpoint, [block_call("latest")])[0].result).number
        kept = newest + 1
        while gone + 1 < kept:
            middle = (gone + kept) // 2
            of = header(pool.exchange(endpoint, [block_call(middle)])[0].result)
            if keeps_history(pool, endpoint, of) is False:
                gone = middle
            else:
                kept = middle
    except IndexerError:
        kept = gone + 1
    endpoint.earliest_block = kept
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
                hidden = receipts(pool, found.endpoint, of, one)
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
        return pool.pick(LOGS, {first}, block) if len(pool.endpoints) > 1 else None
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
    keys = ["block_hash", *POSITION]
    disputed = (
        one.logs.join(other.logs, on=keys, how="anti")
        .vstack(other.logs.join(one.logs, on=keys, how="anti"))
        .select("block_number", "block_hash")
        .unique(maintain_order=True)
        .head(MOST_DISPUTED_BLOCKS)
    )
    wrong: set[str] = set()
    for number, block_hash in disputed.iter_rows():
        of = one.head._replace(number=number, hash=f"0x{block_hash.hex()}")
        try:
            told = [places(pool, side.endpoint, of, filters) for side in (one, other)]
        except (Refused, Malformed):
            return None
        if told[0] != told[1]:
            return None
        for side in (one, other):
            rows = side.logs.filter(side.logs["block_number"] == number)
            if set(rows["log_index"].to_list()) != told[0]:
                wrong.add(side.endpoint.url)
    liars = [side.endpoint for side in (one, other) if side.endpoint.url in wrong]
    return liars[0] if len(liars) == 1 else None


def places(pool: Pool, endpoint: Endpoint, of: Header, filters: Sequence[LogFilter]) -> set[int]:
    "The positions of the logs of a block that its receipts say match."
    logs = [log for one in filters for log in receipts(pool, endpoint, of, one)]
    return set(columns(logs)["log_index"].to_list()) if logs else set()
