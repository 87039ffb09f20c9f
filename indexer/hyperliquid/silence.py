"""How long a folder that is followed has said nothing, and what that leaves open."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from indexer.hyperliquid import classify, write
from indexer.hyperliquid.plan import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.hyperliquid.door import Door

# A node writes about 12 blocks a second; a mirror gets a compressed file an hour, some minutes late.
NODE_SECONDS, MIRROR_SECONDS = 60.0, 7200.0
NOTHING = "nothing was written for more than {:g} s: is the node, or the mirror, running?"
SKIPPED = "nothing was written for a while, and what came after begins later: index again if another source has it"


class Silence:
    "The watch over one folder; it lists a gap while nothing comes, and keeps the one that a node never fills."

    def __init__(
        self,
        door: Door,
        seconds: float | None,
        until_ms: int,
        narrate: Callable[[str], None],
    ) -> None:
        self.door, self.seconds, self.until_ms, self.narrate = door, seconds, until_ms, narrate
        self.bound = seconds or NODE_SECONDS
        self.heard_at = time.monotonic()
        self.started_ms = time.time() * 1000
        self.since: int | None = None
        self.is_long = False
        self.holes: list[tuple[int, int]] = []

    def watch(self, reached: int | None, opened_at: int | None, *, is_growing: bool) -> None:
        "Take note that something came (a first line of `opened_at`), or that nothing did (None)."
        self.bound = self.seconds or (NODE_SECONDS if is_growing else MIRROR_SECONDS)
        if opened_at is None:
            if not self.is_long and time.monotonic() - self.heard_at > self.bound:
                self.mark(reached)
                self.is_long, self.since = True, reached
                self.narrate(f"silent since {self.place(reached)}: {NOTHING.format(self.bound)}")
            return
        self.heard_at = time.monotonic()
        if self.is_long:
            self.door.connection.execute(
                "DELETE FROM gaps WHERE source = ? AND chain = ? AND reason = ?",
                [classify.ARCHIVE, write.CHAIN, NOTHING.format(self.bound)],
            )
            self.is_long = False
            self.narrate(f"written again from {moment(opened_at):%Y-%m-%dT%H:%M:%S}")
            if self.since is not None and opened_at - self.since > self.bound * 1000:
                self.holes.append((self.since, opened_at))
                self.keep_holes()

    def place(self, reached: int | None) -> str:
        "Since when, in words."
        return "the start" if reached is None else f"{moment(reached):%Y-%m-%dT%H:%M:%S}"

    def mark(self, reached: int | None) -> None:
        "List the silence as a gap, from where the records end to now."
        end = min(time.time() * 1000, self.until_ms)
        first = self.started_ms if reached is None else reached
        if first < end:
            gap = {"dataset": "fills", "from_at": moment(int(first)), "to_at": moment(int(end))}
            write.mark_gap(self.door.connection, gap | {"reason": NOTHING.format(self.bound)})

    def keep_holes(self) -> None:
        "Have what a node skipped as gaps, and out of coverage, whatever an hour's files seem to prove."
        for first, past in self.holes:
            write.uncover(self.door.connection, "fills", moment(first), moment(past))
            gap = {"dataset": "fills", "from_at": moment(first), "to_at": moment(past), "reason": SKIPPED}
            write.mark_gap(self.door.connection, gap)

    def close(self, reached: int | None) -> None:
        "List a silence that lasts to its end."
        if self.is_long:
            self.mark(reached)
