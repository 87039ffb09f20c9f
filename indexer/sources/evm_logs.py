"""Logs of block ranges from a pool of endpoints: split where refused, several in flight, in block order."""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from indexer import chains
from indexer.endpoints import LOGS, Endpoint
from indexer.errors import IndexerError
from indexer.ranges import Range, merge, split
from indexer.sources.log_branch import branch
from indexer.sources.log_checks import LogFilter, Question
from indexer.sources.log_columns import LOG_SCHEMA
from indexer.sources.log_proof import Sample, prove
from indexer.sources.log_requests import SIZE, Proven

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import polars as pl

    from indexer.rpc import Header, Pool
    from indexer.rpc_errors import Verdict

__all__ = ["LOG_SCHEMA", "Fetched", "Gap", "LogFilter", "fetch", "plan"]

WIDTH = 10_000
TARGET_LOGS = 5000  # an answer of this many logs is a few megabytes: larger ones cost memory, smaller ones requests
MOST_SPLITS = 64
TRUSTED_SUGGESTIONS = 8
# Tries of one range on one endpoint before it is left for this range; a kind that is not named gets one.
TRIES = {"transient": 8, "head_lag": 4, "fault": 6, "branch": 6, "spurious": 4, "params": 12, "rate": 2}
TRIES_TO_HALVE = 2
FAULTS_TO_LEAVE = 12
FAULTS_TO_END = 60  # for the last endpoint: after it there is none
UNKNOWN_TO_LEAVE = 24
READ_AHEAD = 3
MOST_ISOLATED = 32
TRIES_TO_DOUBT = 4  # contradictions of the known branch before it is asked for again
MOST_BRANCHES = 8
LINK_TRIES = 6
NUMBER = re.compile(r"\d[\d,]*")


class Fetched(NamedTuple):
    """One range that is complete, by `proof`.

    `logs` are in LOG_SCHEMA, sorted by block and log index, each once. `first` and `head` are the headers of the first
    and last block, `first_at` and `last_at` their times (naive UTC); `endpoint` is the host that answered.
    """

    block_range: Range
    logs: pl.DataFrame
    head: Header
    first: Header
    first_at: datetime
    last_at: datetime
    proof: str
    endpoint: str


class Gap(NamedTuple):
    "One range that no endpoint could prove, and why."

    block_range: Range
    reason: str


class Piece:
    "One range on its way: waiting, in flight, or done."

    def __init__(self, block_range: Range, n_splits: int = 0) -> None:
        self.block_range = block_range
        self.n_splits = n_splits
        self.avoided: set[Endpoint] = set()  # for good
        self.passed: set[Endpoint] = set()  # until the others had their turn
        self.tries: Counter[tuple[str, str]] = Counter()
        self.ready_at = 0.0
        self.endpoint: Endpoint | None = None
        self.future: Future[Proven | Verdict] | None = None
        self.outcome: Fetched | Gap | None = None
        self.reasons: dict[str, str] = {}
        self.is_lagging = False
        self.is_faulty = False
        self.patience = MOST_SPLITS  # tries of one kind on one endpoint


def fetch(
    pool: Pool,
    wanted: Sequence[Range],
    filters: Sequence[LogFilter],
    *,
    width: int = WIDTH,
    workers: int = 4,
    verify_sample: float = 0.01,
) -> Generator[Fetched | Gap, None, None]:
    """The logs of `filters` in `wanted`, as ranges that add up to it, in block order; what cannot be proven is a Gap.

    At most `workers` requests are in flight and a few answers wait, so memory does not grow with the range. Raises
    NoEndpoint when no endpoint is left; what was yielded stands. Where `first.parent_hash` is not the hash of the range
    yielded before, the chain was reorganised meanwhile.
    """
    engine = Engine(pool, [lowered(one) for one in filters], width=width, workers=workers, share=verify_sample)
    try:
        yield from engine.run(merge(wanted))
    finally:
        engine.executor.shutdown(wait=False, cancel_futures=True)


def plan(wanted: Sequence[Range], pool: Pool, width: int = WIDTH) -> int:
    "The number of batches that `fetch` expects to send; narrower ones where the first endpoint is known to cap them."
    size = min(width, cap_of(pool, pool.endpoints[0]) or width) if pool.endpoints else width
    return sum(-(-one.n_blocks // size) for one in merge(wanted))


def cap_of(pool: Pool, endpoint: Endpoint) -> int | None:
    "The most blocks to ask an endpoint for: what it said, else what its host publishes."
    return endpoint.max_blocks or chains.log_range(pool.chain, endpoint.host)


def lowered(one: LogFilter) -> LogFilter:
    "The filter in lower-case hex, each value once."
    return LogFilter(
        tuple(dict.fromkeys(address.lower() for address in one.addresses)),
        tuple(None if not texts else tuple(dict.fromkeys(text.lower() for text in texts)) for texts in one.topics),
    )


class Engine:
    "The state of one fetch: pieces in block order and the current width."

    def __init__(self, pool: Pool, filters: Sequence[LogFilter], *, width: int, workers: int, share: float) -> None:
        self.pool = pool
        self.filters = filters
        self.most_width = self.width = max(1, width)
        self.slow_above: float = float("inf")  # past this width growth is slow: a wider range was refused
        self.target = TARGET_LOGS
        self.workers = max(1, min(workers, pool.max_in_flight))
        self.sample = Sample(share)
        self.known: dict[int, str] = {}
        self.n_branches = 0  # times that the chain was reorganised meanwhile
        self.n_isolated = 0  # cuts made only to keep a gap small
        self.line: list[Piece] = []
        self.executor = ThreadPoolExecutor(self.workers, thread_name_prefix="logs")

    def run(self, wanted: Sequence[Range]) -> Generator[Fetched | Gap, None, None]:
        "Ranges in block order."
        self.line = [Piece(one) for one in wanted]
        self.known = branch(self.pool, wanted)
        previous: Fetched | None = None
        while self.line:
            self.fill()
            piece = self.line[0]
            if piece.outcome is not None:
                if isinstance(piece.outcome, Fetched):
                    if not self.follows(previous, piece):
                        continue
                    previous = piece.outcome
                self.line.pop(0)
                yield piece.outcome
                continue
            self.settle()

    # ---- sending -----------------------------------------------------------------------------------------------

    def fill(self) -> None:
        "Send waiting pieces, first ones first, each cut to the current width."
        n_busy = sum(piece.future is not None for piece in self.line)
        n_live = n_busy + sum(piece.outcome is not None for piece in self.line)
        at, now = 0, time.monotonic()
        # The first piece always goes out: everything behind it waits for it.
        while at < len(self.line) and n_busy < self.workers and (at == 0 or n_live < self.workers * READ_AHEAD):
            piece = self.line[at]
            if piece.future is not None or piece.outcome is not None or piece.ready_at > now:
                at += 1
                continue
            endpoint = self.pick(piece)
            if endpoint is None:
                self.give_up(at)
                continue
            size = min(self.width, cap_of(self.pool, endpoint) or self.width)
            if piece.block_range.n_blocks > size:
                self.cut(at, piece.block_range.first + size - 1)
                piece = self.line[at]
            piece.endpoint = endpoint
            piece.future = self.executor.submit(
                prove, self.pool, endpoint, Question(piece.block_range, self.filters, self.known), self.sample
            )
            n_busy, n_live, at = n_busy + 1, n_live + 1, at + 1

    def pick(self, piece: Piece) -> Endpoint | None:
        "The endpoint to ask for a piece; None when each has failed it for good."
        first = piece.block_range.first
        endpoint = self.pool.pick(LOGS, piece.avoided | piece.passed, first)
        if endpoint is None and piece.passed:
            piece.passed.clear()
            endpoint = self.pool.pick(LOGS, piece.avoided, first)
        return endpoint

    def cut(self, at: int, last_of_left: int | None = None, n_splits: int = 0) -> None:
        "Replace the piece at `at` by two that add up to it; both inherit what was tried."
        whole = self.line[at]
        halves = [Piece(part, n_splits or whole.n_splits) for part in split(whole.block_range, last_of_left)]
        for half in halves:
            half.avoided = set(whole.avoided)
        self.line[at : at + 1] = halves

    def give_up(self, at: int) -> None:
        "Every endpoint is avoided or keeps too little: what some could still answer is cut off, the rest is a gap."
        piece = self.line[at]
        first, last = piece.block_range
        starts = [
            one.earliest_block
            for one in self.pool.endpoints
            if one.is_usable(LOGS) and not one.is_dead() and one not in piece.avoided and one.earliest_block is not None
        ]
        if starts and first < min(starts) <= last:
            self.cut(at, min(starts) - 1)
            piece = self.line[at]
        elif piece.is_faulty and first < last and self.n_isolated < MOST_ISOLATED:
            self.n_isolated += 1
            self.cut(at)  # only the part that cannot be had is to be a gap
            for half in self.line[at : at + 2]:
                half.avoided.clear()
                half.patience = 2
            return
        elif piece.is_lagging and first < last:
            reached = self.reached()
            if reached is not None and first <= reached < last:
                self.cut(at, reached)
                self.line[at].avoided.clear()
                piece = self.line[at + 1]
                piece.is_lagging = False
                piece.reasons = {"": f"no endpoint has got the blocks after {reached} yet"}
        for one in self.pool.endpoints:
            if one.earliest_block is not None and one.earliest_block > piece.block_range.first:
                piece.reasons.setdefault(one.host, f"logs before block {one.earliest_block} are pruned")
            elif reason := one.retired or one.refused_methods.get(LOGS):
                piece.reasons.setdefault(one.host, reason)
        said = "; ".join(f"{host}: {reason}" if host else reason for host, reason in piece.reasons.items())
        piece.outcome = Gap(piece.block_range, said or "no endpoint could answer")

    def reached(self) -> int | None:
        "The newest block that an endpoint has."
        try:
            return self.pool.head().number
        except IndexerError:
            return None

    # ---- receiving ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        "Wait for an answer, or until a piece may be sent again, and act on what came."
        futures = [piece.future for piece in self.line if piece.future is not None]
        if not futures:
            due = min((piece.ready_at for piece in self.line if piece.outcome is None), default=0.0)
            time.sleep(max(0.0, due - time.monotonic()))
            return
        due = min((piece.ready_at for piece in self.line if piece.future is None and piece.ready_at), default=0.0)
        timeout = max(0.01, due - time.monotonic()) if due and len(futures) < self.workers else None
        done = wait(futures, timeout, FIRST_COMPLETED).done
        for piece in [piece for piece in self.line if piece.future in done]:
            future, piece.future = piece.future, None
            if future is None or piece.endpoint is None:
                continue
            answer = future.result()
            if isinstance(answer, Proven):
                self.accept(piece, answer)
            else:
                self.refuse(piece, piece.endpoint, answer)

    def accept(self, piece: Piece, answer: Proven) -> None:
        "A piece is complete: the width follows what it held."
        piece.outcome = Fetched(
            block_range=piece.block_range,
            logs=answer.logs,
            head=answer.head,
            first=answer.first,
            first_at=instant(answer.first.timestamp),
            last_at=instant(answer.head.timestamp),
            proof=answer.proof,
            endpoint=answer.endpoint.host,
        )
        n_blocks, n_logs = piece.block_range.n_blocks, answer.logs.height
        if 2 * n_blocks < self.width:
            return
        room = self.target / max(n_logs, 1)
        fastest = 1.1 if self.width >= self.slow_above else 2.0 if room > 8 else 1.25  # noqa: PLR2004 - far from full
        if room < 1:
            self.width = max(1, min(self.width, int(n_blocks * max(room, 0.5))))
        elif room > fastest:
            self.width = min(self.most_width, max(self.width + 1, int(self.width * fastest)))
            self.slow_above = self.slow_above * 1.05

    def refuse(self, piece: Piece, endpoint: Endpoint, verdict: Verdict) -> None:
        "A piece came to nothing: narrower, later, elsewhere, or a gap."
        kind = verdict.kind
        piece.reasons[endpoint.host] = verdict.message
        piece.is_lagging = kind == "head_lag"
        if kind == "quota":
            self.pool.learn(endpoint, verdict, LOGS)
        elif kind == "pruned":
            if endpoint.keeps(piece.block_range.first):
                piece.avoided.add(endpoint)
        elif kind in SIZE:
            self.narrow(piece, endpoint, verdict)
        elif kind == "unknown":
            self.pool.say(f"unknown error of {endpoint.host}, please report: {verdict.message}")
            endpoint.n_unknown += 1
            if endpoint.n_unknown >= UNKNOWN_TO_LEAVE:
                self.pool.leave(endpoint, verdict.message)
            else:
                self.narrow(piece, endpoint, verdict)
        else:
            self.repeat(piece, endpoint, verdict)

    def repeat(self, piece: Piece, endpoint: Endpoint, verdict: Verdict) -> None:
        "The same range again: elsewhere if there is an elsewhere, else later; halved once it failed twice."
        kind = verdict.kind
        piece.tries[endpoint.url, kind] += 1
        tries = piece.tries[endpoint.url, kind]
        if kind == "fault":
            self.pool.say(f"{endpoint.host}: {verdict.message}; asked again")
            endpoint.n_faults += 1
            if endpoint.n_faults >= (FAULTS_TO_LEAVE if self.pool.has_other(endpoint, LOGS) else FAULTS_TO_END):
                self.pool.leave(endpoint, verdict.message)
        if kind == "branch" and tries >= TRIES_TO_DOUBT and self.n_branches < MOST_BRANCHES:
            self.n_branches += 1
            self.known = branch(self.pool, [one.block_range for one in self.line])
            piece.tries.clear()
        elif tries >= min(TRIES.get(kind, 1), piece.patience):
            piece.avoided.add(endpoint)
            piece.is_faulty = kind == "fault"
        elif kind == "transient" and tries == TRIES_TO_HALVE and piece.block_range.n_blocks > 1 and endpoint.is_well():
            self.cut(self.line.index(piece))  # too heavy, perhaps
        else:
            if kind != "transient" or tries >= TRIES_TO_HALVE:
                piece.passed.add(endpoint)
            piece.ready_at = time.monotonic() + min(2.0, 0.02 * 2**tries)

    def narrow(self, piece: Piece, endpoint: Endpoint, verdict: Verdict) -> None:
        "Fewer blocks: at a sound suggestion, at the cap, or half; a cap is remembered, density is not."
        first, last = piece.block_range
        n_blocks, n_splits = piece.block_range.n_blocks, piece.n_splits + 1
        if n_blocks == 1 or n_splits > MOST_SPLITS:
            piece.avoided.add(endpoint)
            return
        if verdict.kind == "range" and verdict.is_structural:
            cap = verdict.max_blocks
            endpoint.learn_blocks(cap if cap is not None and 0 < cap < n_blocks else n_blocks // 2)
            piece.n_splits = n_splits
            return  # it is cut to the cap when it is sent again
        cut_at = (first + last) // 2
        if verdict.suggested is not None and piece.n_splits < TRUSTED_SUGGESTIONS:
            start, end = verdict.suggested
            if start == first and first <= end < last:
                cut_at = end
        if verdict.kind in {"results", "response_size"}:
            self.width = max(1, min(self.width, cut_at - first + 1))
            self.slow_above = self.width
            numbers = [int(text.replace(",", "")) for text in NUMBER.findall(verdict.message)]
            if verdict.kind == "results" and numbers and numbers[0] > 1:
                self.target = max(1, min(self.target, int(numbers[0] * 0.7)))
        self.cut(self.line.index(piece), cut_at, n_splits)

    def follows(self, previous: Fetched | None, piece: Piece) -> bool:
        "Whether a piece is linked to the one before it; asks again a few times, for backends on different branches."
        found = piece.outcome
        if not isinstance(found, Fetched):
            return True
        is_linked = (
            previous is None
            or previous.head.number + 1 != found.first.number
            or previous.head.hash == found.first.parent_hash
        )
        if is_linked or piece.tries["", "link"] >= LINK_TRIES:
            return True
        piece.tries["", "link"] += 1
        piece.outcome = None
        self.pool.say(f"{found.endpoint}: block {found.first.number} does not follow block {found.first.number - 1}")
        return False


def instant(timestamp: int) -> datetime:
    "Seconds since 1970 as naive UTC."
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
