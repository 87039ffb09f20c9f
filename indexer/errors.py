"""What can go wrong, by what the caller must do about it.

IndexerError
  Retryable             the same call later or elsewhere
    RateLimited           wait; `wait_seconds` may say how long
    HeadLag               the node has not got the block yet
  RangeTooWide          the same endpoint, fewer blocks; `suggested` may say which
  EndpointUnusable      another endpoint: pruned, wrong chain, out of quota, contradicts itself
  NoEndpoint            none left (exit code 3)
  UserError             fix the input (exit code 2)
    UnknownParameter      a query has no such parameter
    BadRecord             a record of a file is not what its source documents (file, row, reason)
  StoreError            the database cannot be opened or written (exit code 1)
  UnknownAbiType        a declaration no column can hold: our bug
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class IndexerError(Exception):
    "The root: everything this project raises on purpose; the message is one line that ends in the remedy."


class Retryable(IndexerError):
    "The same call may succeed later or elsewhere."


class RateLimited(Retryable):
    "Too fast: wait `wait_seconds` (None: back off) and repeat the same call."

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class HeadLag(Retryable):
    "The node does not know the block yet, so its answer proves nothing."


class RangeTooWide(IndexerError):
    "Fewer blocks on the same endpoint; `suggested` is a (first, last) the node named, `cap` a structural limit in blocks."

    def __init__(
        self,
        message: str,
        *,
        suggested: tuple[int, int] | None = None,
        cap: int | None = None,
        is_structural: bool = False,
    ) -> None:
        super().__init__(message)
        self.suggested = suggested
        self.cap = cap
        self.is_structural = is_structural


class EndpointUnusable(IndexerError):
    "Ask another endpoint: pruned, wrong chain, plan exhausted, or it contradicts itself."


class NoEndpoint(IndexerError):
    "No endpoint is left that can answer."


class UserError(IndexerError):
    "The input must be fixed by the user."


class UnknownParameter(UserError):
    "A query was given parameters that it does not declare."

    def __init__(self, query: str, names: Sequence[str], known: Sequence[str] = ()) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"{query} has no parameter {', '.join(names)}; it has: {listed}")


class BadRecord(UserError):
    "A record of an input file that cannot be what its source documents."

    def __init__(self, file: str, row: int | None, reason: str) -> None:
        where = file if row is None else f"{file}, row {row}"
        super().__init__(f"{where}: {reason}")


class StoreError(IndexerError):
    "The database file cannot be opened or written as asked."


class UnknownAbiType(IndexerError):
    "An ABI type that no column can hold."


def closest(name: str, known: Iterable[str]) -> str:
    "A hint at the nearest known name, or nothing."
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""
