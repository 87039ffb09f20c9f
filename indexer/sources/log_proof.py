"""Doubt about an answer: kept history, blooms, and a second endpoint."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from Crypto.Hash import keccak

from indexer.endpoints import LOGS
from indexer.errors import IndexerError
from indexer.ranges import Range
from indexer.rpc import Header, block_call, header
from indexer.rpc_errors import Refused, Verdict
from indexer.sources.log_columns import ANSWERS, Malformed, columns
from indexer.sources.log_requests import (
    POSITION,
    RECEIPT_ANSWERS,
    RECEIPTS,
    LogFilter,
    Proven,
    ask_range,
    query,
    receipts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.endpoints import Endpoint
    from indexer.rpc import Pool

NEIGHBOURS = 16
MOST_DISPUTED_BLOCKS = 4
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


def prove(  # noqa: PLR0913 - what one question needs
    pool: Pool,
    endpoint: Endpoint,
    block_range: Range,
    filters: Sequence[LogFilter],
    known: Mapping[int, str],
    sample: Sample,
) -> Proven | Verdict:
    "The logs of a range with every proof that is due: history once an endpoint, blooms near the head, a second endpoint for a sample."
    found = ask_range(pool, endpoint, block_range, filters, known)
    if isinstance(found, Verdict):
        if found.kind == "pruned":
            find_earliest(pool, endpoint, block_range.first, found)
        return found
    try:
        if needs_history(endpoint, block_range.first) and keeps_history(pool, endpoint, found.first) is False:
            verdict = Verdict("pruned", f"logs of block {block_range.first} are gone though its bloom names some")
            find_earliest(pool, endpoint, block_range.first, verdict)
            return verdict
        is_sampled = sample.takes(is_empty=found.logs.is_empty())
        if is_sampled and (other := second(pool, endpoint, block_range.first)):
            return confirm(pool, found, other, block_range, filters, known)
        if is_sampled or (found.logs.is_empty() and block_range.last > pool.final_block):
            return doubt(pool, found, filters)
    except Refused as refused:
        return refused.verdict
    return found


# ---- history ---------------------------------------------------------------------------------------------------


def needs_history(endpoint: Endpoint, block: int) -> bool:
    "Whether it is not known yet that the endpoint keeps logs as old as `block`."
    with LOCK:
        if endpoint.proven_from is not None and endpoint.proven_from <= block:
            return False
        endpoint.proven_from = block
        return True


def keeps_history(pool: Pool, endpoint: Endpoint, of: Header) -> bool | None:
    "Whether the logs of a block, or of one soon after it, are there; None where nothing can be told."
    named = of if has_bits(of.logs_bloom) else neighbour(pool, endpoint, of.number)
    if named is None:
        return None
    replies = pool.wire.exchange(
        endpoint, [query(LogFilter(), Range(named.number, named.number)), block_call(named.number)], ANSWERS
    )
    if replies[0].error is not None:
        return False if replies[0].error.kind == "pruned" else None
    if replies[0].result:
        return True
    try:
        reply = pool.wire.exchange(endpoint, [(RECEIPTS, [hex(named.number)])], RECEIPT_ANSWERS)[0]
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
        for reply in pool.wire.exchange(endpoint, calls[start : start + size]):
            if reply.error is None and reply.result and has_bits(reply.result.get("logsBloom")):
                return header(reply.result)
    return None


def find_earliest(pool: Pool, endpoint: Endpoint, gone: int, why: Verdict) -> None:
    "Learn the first block whose logs the endpoint keeps, by halving between a block that is gone and the head."
    with LOCK:
        if endpoint.earliest_block is not None and endpoint.earliest_block > gone:
            return
    try:
        newest = header(pool.wire.exchange(endpoint, [block_call("latest")])[0].result).number
        kept = newest + 1
        while gone + 1 < kept:
            middle = (gone + kept) // 2
            of = header(pool.wire.exchange(endpoint, [block_call(middle)])[0].result)
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


def doubt(pool: Pool, found: Proven, filters: Sequence[LogFilter]) -> Proven | Verdict:
    "The answer with `+bloom` where the blooms of its first and last block agree; the receipts decide a suspicion."
    for of in {found.first, found.head}:
        seen = found.logs.filter(found.logs["block_number"] == of.number)
        for one in filters:
            if not seen.is_empty() or not is_named(of.logs_bloom, one):
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


def confirm(  # noqa: PLR0913 - what one question needs
    pool: Pool,
    found: Proven,
    other: Endpoint,
    block_range: Range,
    filters: Sequence[LogFilter],
    known: Mapping[int, str],
) -> Proven | Verdict:
    "The answer with `+second_endpoint` where another endpoint says the same; receipts decide between two that differ."
    again = other_answer(pool, other, block_range, filters, known)
    if again is None:
        return found
    if again.head.hash == found.head.hash and same(found, again):
        return found._replace(proof=f"{found.proof}+second_endpoint")
    liar = contradicted(pool, found, again, filters)
    hosts = f"{found.endpoint.host} and {other.host}"
    if liar is None:
        return Verdict("fault", f"{hosts} disagree about the blocks {block_range}")
    pool.leave(liar, f"its logs of {block_range} contradict the receipts")
    return found if liar is other else Verdict("fault", f"its logs of {block_range} contradict the receipts")


def other_answer(
    pool: Pool, other: Endpoint, block_range: Range, filters: Sequence[LogFilter], known: Mapping[int, str]
) -> Proven | None:
    "What another endpoint says, asked in as many pieces as it needs; None where it cannot say."
    waiting, answers = [block_range], []
    for _ in range(64):
        if not waiting:
            break
        part = waiting.pop(0)
        cap = other.max_blocks
        if cap is not None and part.n_blocks > cap:
            waiting.insert(0, Range(part.first + cap, part.last))
            part = Range(part.first, part.first + cap - 1)
        answer = ask_range(pool, other, part, filters, known)
        if isinstance(answer, Proven):
            answers.append(answer)
            continue
        if answer.kind not in {"range", "results", "response_size", "transient", "params"}:
            return None
        if answer.kind == "range":
            other.learn_blocks(min(answer.max_blocks or part.n_blocks, max(1, part.n_blocks - 1)))
        middle = (part.first + part.last) // 2
        waiting[:0] = [part] if part.n_blocks == 1 else [Range(part.first, middle), Range(middle + 1, part.last)]
    if waiting:
        return None
    logs = answers[0].logs.vstack(answers[-1].logs) if len(answers) == 2 else answers[0].logs  # noqa: PLR2004
    if len(answers) > 2:  # noqa: PLR2004 - two halves are stacked above
        logs = answers[0].logs
        for answer in answers[1:]:
            logs = logs.vstack(answer.logs)
    return answers[0]._replace(logs=logs, head=answers[-1].head)


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
