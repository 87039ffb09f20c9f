"""Arithmetic of a verdict: a stated figure against what is stored, which may be a floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from indexer.report import words

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIRMED = "confirmed"
CONTRADICTED = "contradicted"
UNTESTED = "cannot be tested"
ALL = (CONFIRMED, CONTRADICTED, UNTESTED)
IS, AT_LEAST, AT_MOST = "is", "at least", "at most"
NEAR = 0.05  # relative for sums and counts, absolute for shares: sources read one rolling window at different minutes


class Verdict(NamedTuple):
    "What became of a figure and why; `ours` is our value, `low` and `high` what it lies between where it is not one number."

    verdict: str
    reason: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None


def untested(reason: str, ours: float | None = None) -> Verdict:
    "No verdict, with the reason."
    return Verdict(UNTESTED, reason, ours)


def floor(relation: str, stated: float, values: Sequence[float], gap: str, doubt: str) -> Verdict:
    """A stated sum or count against `values`, ours for each window that may be meant: each is at least so much.

    `gap` says what of the window is not covered, `doubt` why else there may be more than is stored; both empty: it is
    whole. A floor can confirm "at least" and contradict "at most", or a figure below it; it never denies that more happened.
    """
    ours, low, high = min(values, key=lambda value: abs(value - stated)), min(values), max(values)
    why = gap or doubt

    def told(verdict: str, reason: str) -> Verdict:
        return Verdict(verdict, reason, ours, low, high)

    if relation == AT_LEAST:
        if high >= stated * (1 - 1e-9):
            return told(CONFIRMED, "what is stored reaches it")
        return (
            told(UNTESTED, f"less is stored, but {why}") if why else told(CONTRADICTED, "all is stored, and it is less")
        )
    if relation == AT_MOST:
        if low > stated * (1 + 1e-9):
            return told(CONTRADICTED, "more than that is stored")
        return (
            told(UNTESTED, f"less is stored, but {why}")
            if why
            else told(CONFIRMED, "all is stored, and it is not more")
        )
    if abs(ours - stated) <= NEAR * abs(stated):
        return (
            told(UNTESTED, f"what is stored agrees, but {gap}")
            if gap
            else told(CONFIRMED, f"within {words.share(NEAR)} of it")
        )
    if low > stated:
        return told(CONTRADICTED, "more than that is stored")
    return (
        told(UNTESTED, f"less is stored, but {why}")
        if why
        else told(CONTRADICTED, "all is stored, and it is another value")
    )


def share(relation: str, stated: float, low: float, high: float, gap: str) -> Verdict:
    """A stated share against ours, which lies from `low` to `high`; `gap` says what of the window is not covered.

    A share of a part says nothing of the share of all: with a gap there is no verdict.
    """
    ours = low if low == high else min(max(stated, low), high)

    def told(verdict: str, reason: str) -> Verdict:
        return Verdict(verdict, reason, ours, low, high)

    if gap:
        return told(UNTESTED, gap)
    slack = NEAR if relation == IS else 0.0
    can_be = (relation == AT_MOST or high + slack >= stated) and (relation == AT_LEAST or low - slack <= stated)
    must_be = (relation == AT_MOST or low + slack >= stated) and (relation == AT_LEAST or high - slack <= stated)
    if must_be:
        return told(CONFIRMED, "within 5 points of it" if relation == IS else "ours lies on that side")
    if can_be:
        return told(UNTESTED, f"ours lies from {words.share(low)} to {words.share(high)}")
    return told(CONTRADICTED, "ours is another share" if relation == IS else "ours lies on the other side")


def place(stated: float, ours: int, gap: str, doubt: str) -> Verdict:
    "A stated place in an order against ours; `doubt` says what could still change the order."
    if why := gap or doubt:
        return untested(f"ours is place {ours}, but {why}", float(ours))
    if ours == stated:
        return Verdict(CONFIRMED, f"place {ours}", float(ours))
    return Verdict(CONTRADICTED, f"place {ours}, not {stated:g}", float(ours))


def flag(stated: float, *, found: bool, reason: str, ours: float | None) -> Verdict:
    "A statement that holds (1) or does not (0) against what was found."
    return Verdict(CONFIRMED if bool(stated) == found else CONTRADICTED, reason, ours)
