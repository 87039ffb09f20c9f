"""What is known of one JSON-RPC endpoint: its limits, its rate, its health."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from indexer.errors import UserError
from indexer.rpc_errors import Verdict, one_line

LOGS = "eth_getLogs"
RECEIPTS = "eth_getBlockReceipts"
# Methods every node has: an answer that one "does not exist" comes from a bad backend, not from the endpoint.
MANDATORY = frozenset({"eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_getLogs", "eth_call"})
BATCH_START, BATCH_MOST = 20, 100
FAILURES_TO_OPEN = 5
FAILURES_TO_OPEN_UNSEEN = 3  # an endpoint that never answered: a dead port or a wrong name
COOL_DOWN_SECONDS = 1.0  # doubles with each probe that fails
MOST_PROBES = 3
SLOWEST_RATE = 0.2
SUCCESSES_TO_SPEED_UP = 20


class Endpoint:
    "One URL with what was learned about it; shared by threads."

    def __init__(self, url: str, chain: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UserError(f"{one_line(url)!r} is not an http or https URL; pass one with --rpc")
        self.url = url
        self.host = parts.netloc.rpartition("@")[2]
        self.chain = chain
        self.max_blocks: int | None = None
        self.max_addresses: int | None = None
        self.max_batch: int | None = None
        self.earliest_block: int | None = None
        self.has_timestamp: bool | None = None
        self.rate: float | None = None
        self.batch = BATCH_START
        self.is_checked = False
        self.check_lock = threading.Lock()
        self.history_lock = threading.Lock()
        self.proven_from: int | None = None  # the oldest block whose logs are known to be there
        self.retired: str | None = None
        self.refused_methods: dict[str, str] = {}
        self.last_error: str | None = None
        self.n_failures = 0
        self.n_faults = 0  # answers in a row that contradict themselves
        self.n_unknown = 0  # errors in a row that no rule knows
        self.n_answers = 0
        self.n_opened = 0
        self.open_until = 0.0
        self.is_probing = False
        self.blocked_until = 0.0
        self.next_slot = 0.0
        self.n_throttled = 0
        self.n_smooth = 0
        self.sent: deque[float] = deque(maxlen=64)
        self.lock = threading.Lock()

    # ---- learned limits ----------------------------------------------------------------------------------------

    def restore(self, row: dict[str, Any]) -> None:
        "Take over what an earlier run learned (a row of table `endpoints`)."
        self.max_blocks = least(self.max_blocks, row.get("max_blocks"))
        self.max_addresses = least(self.max_addresses, row.get("max_addresses"))
        self.learn_batch(row.get("max_batch"))
        self.earliest_block = row.get("earliest_block") or self.earliest_block
        self.rate = row.get("requests_per_second") or self.rate
        if row.get("has_timestamp") is not None:
            self.has_timestamp = row["has_timestamp"]

    def row(self) -> dict[str, Any] | None:
        "What was learned, as a row of table `endpoints`; None if nothing was."
        learned = {
            "max_blocks": self.max_blocks,
            "max_addresses": self.max_addresses,
            "max_batch": self.max_batch,
            "earliest_block": self.earliest_block,
            "requests_per_second": None if self.rate is None else round(self.rate, 3),
            "has_timestamp": self.has_timestamp,
        }
        if all(value is None for value in learned.values()):
            return None
        return {"host": self.host, "chain": self.chain, "method": LOGS, **learned}

    def learn_blocks(self, cap: int) -> None:
        "At most `cap` blocks in one eth_getLogs, whatever they hold."
        with self.lock:
            self.max_blocks = least(self.max_blocks, max(1, cap))

    def learn_addresses(self, cap: int) -> None:
        "At most `cap` addresses in one filter."
        with self.lock:
            self.max_addresses = least(self.max_addresses, max(1, cap))

    def learn_batch(self, cap: int | None) -> None:
        "At most `cap` requests in one batch; 1 means no batches."
        if cap is not None:
            with self.lock:
                self.max_batch = least(self.max_batch, max(1, cap))
                self.batch = min(self.batch, self.max_batch or self.batch)

    def grow_batch(self, n_sent: int) -> None:
        "A full batch went well: a larger one may."
        with self.lock:
            if n_sent >= self.batch:
                self.batch = min(self.batch * 2, self.max_batch or BATCH_MOST, BATCH_MOST)

    # ---- health ------------------------------------------------------------------------------------------------

    def is_usable(self, method: str) -> bool:
        "Whether `method` may be asked at all in this run, open breaker or not."
        return self.retired is None and method not in self.refused_methods

    def keeps(self, block: int | None) -> bool:
        "Whether the history of `block` may be there."
        return block is None or self.earliest_block is None or self.earliest_block <= block

    def retire(self, reason: str, method: str | None = None) -> None:
        "Leave the endpoint, or one method of it, for the rest of the run."
        with self.lock:
            if method is None:
                self.retired = self.retired or reason
            else:
                self.refused_methods.setdefault(method, reason)
            self.last_error = reason

    def succeeded(self) -> None:
        "An answer came: the breaker closes, the rate grows a little."
        with self.lock:
            self.n_answers += 1
            self.n_failures = self.n_opened = self.n_throttled = 0
            self.open_until = 0.0
            self.is_probing = False
            if self.rate is not None:
                self.n_smooth += 1
                if self.n_smooth >= SUCCESSES_TO_SPEED_UP:
                    self.rate += max(0.5, self.rate * 0.05)
                    self.n_smooth = 0

    def failed(self, reason: str) -> bool:
        "No answer came; True when this opens the breaker."
        with self.lock:
            self.last_error = reason
            self.n_failures += 1
            limit = FAILURES_TO_OPEN if self.n_answers else FAILURES_TO_OPEN_UNSEEN
            if self.n_failures < limit:
                return False
            now = time.monotonic()
            if now < self.open_until and not self.is_probing:
                return False
            self.is_probing = False
            self.open_until = now + COOL_DOWN_SECONDS * 2**self.n_opened
            self.n_opened += 1
            return True

    def is_well(self) -> bool:
        "Whether other requests are answered, so that a failure is about the request."
        return self.n_failures < FAILURES_TO_OPEN // 2 + 1

    def is_open(self) -> bool:
        "Whether the breaker is open, so that asking is pointless now."
        return time.monotonic() < self.open_until

    def is_dead(self) -> bool:
        "Whether the breaker opened and no probe came through; an endpoint that never answered gets no probe."
        return self.n_opened > (MOST_PROBES if self.n_answers else 0)

    def may_probe(self) -> bool:
        "Whether this caller may ask: an open breaker lets one probe through per cool-down."
        with self.lock:
            now = time.monotonic()
            if now < self.open_until:
                return False
            if self.n_opened:
                self.is_probing = True
                self.open_until = now + COOL_DOWN_SECONDS * 2**self.n_opened
            return True

    # ---- rate --------------------------------------------------------------------------------------------------

    def throttled(self, verdict: Verdict) -> float:
        "Too fast: the seconds until the next request, as told, else by halving the rate and waiting with jitter."
        with self.lock:
            self.last_error = verdict.message
            self.n_throttled += 1
            self.n_smooth = 0
            now = time.monotonic()
            wait = verdict.wait_seconds
            if wait is None:
                observed = sum(1 for sent in self.sent if sent > now - 1.0)
                self.rate = max(SLOWEST_RATE, min(self.rate or observed, max(observed, 1)) / 2)
                wait = min(30.0, 0.25 * 2 ** min(self.n_throttled, 7)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            elif self.n_throttled > 1:
                wait = max(wait, min(5.0, 0.05 * 2 ** min(self.n_throttled, 7)))
            self.blocked_until = max(self.blocked_until, now + wait)
            return wait

    def wait_seconds(self) -> float:
        "How long until a request may be sent."
        return max(0.0, self.blocked_until - time.monotonic())

    def take_turn(self) -> None:
        "Wait until a request may be sent."
        while True:
            with self.lock:
                now = time.monotonic()
                until = max(self.blocked_until, self.next_slot if self.rate is not None else 0.0)
                if until <= now:
                    if self.rate is not None:
                        self.next_slot = now + 1 / self.rate
                    self.sent.append(now)
                    return
            time.sleep(min(until - now, 0.5))


def least(one: int | None, other: int | None) -> int | None:
    "The smaller of two limits; None is no limit."
    return other if one is None else one if other is None else min(one, other)
