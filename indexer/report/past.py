"""What past nights say of one figure of a news story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.report import verdicts, words
from indexer.report.claims import Figure, Finding
from indexer.report.verdicts import CONFIRMED, CONTRADICTED, Verdict, untested

if TYPE_CHECKING:
    from indexer.report.ask import Desk
    from indexer.report.picture import Answer

WITHOUT_WINDOW = frozenset({"fear_greed", "event_rank", "comparable_event"})
ALIKE = 2.0  # nights whose reported totals differ by no more than this factor are of one size
ALL_EVENTS = "10000"


def ranked(desk: Desk, event: str | None) -> tuple[Answer, dict[str, Any] | None]:
    "All past nights by reported size, and the row of one of them."
    answer = desk.ask("context/event_rank", top=ALL_EVENTS)
    return answer, next((row for row in answer.table.to_dicts() if row["event"] == event), None)


def event_rank(desk: Desk, figure: Figure) -> Finding:
    "Whether the night is among the so many largest by reported totals."
    answer, mine = ranked(desk, figure.event)
    if figure.is_example or mine is None:
        return Finding(untested(placeless(figure)), answer)
    ours = float(mine["rank"])
    verdict = CONFIRMED if ours <= (figure.value or 0) else CONTRADICTED
    return Finding(Verdict(verdict, f"place {ours:g} of {mine['n_ranked']} by reported totals", ours), answer)


def comparable_event(desk: Desk, figure: Figure) -> Finding:
    "Whether the night's reported total is of the size of the one that the note names."
    answer, mine = ranked(desk, figure.event)
    other = ranked(desk, named(figure))[1]
    if figure.is_example or mine is None:
        return Finding(untested(placeless(figure)), answer)
    if other is None:
        return Finding(untested(f"no total of {named(figure) or 'the other night'} is stored"), answer)
    ratio = mine["reported_median_usd"] / other["reported_median_usd"]
    text = f"its reported median is {words.three(ratio)} times that of {other['event']}"
    is_alike = 1 / ALIKE <= ratio <= ALIKE
    return Finding(verdicts.flag(figure.value or 0, found=is_alike, reason=text, ours=ratio), answer)


def fear_greed(desk: Desk, figure: Figure) -> Finding:
    "The index of the day, which was set at its start."
    answer, mine = ranked(desk, figure.event)
    if figure.is_example or mine is None or mine["fear_greed"] is None:
        why = placeless(figure) if mine is None else "no fear and greed index of the day is stored"
        return Finding(untested(why), answer)
    ours = float(mine["fear_greed"])
    if abs(ours - (figure.value or 0)) <= 1:
        return Finding(Verdict(CONFIRMED, f"{ours:g} at the start of the day", ours), answer)
    if mine["day"] != (figure.reported_at.date() if figure.reported_at else None) or "day only" in (figure.note or ""):
        return Finding(untested(f"{ours:g} on {mine['day']}, which need not be the day that was meant", ours), answer)
    return Finding(Verdict(CONTRADICTED, f"{ours:g} at the start of the day", ours), answer)


def placeless(figure: Figure) -> str:
    "Why a night has no place among past ones."
    if figure.is_example:
        return "a simulated night has no place among real ones"
    return "no dated total of this night for all venues in 24 hours is stored"


def named(figure: Figure) -> str:
    "The other night: the note up to its first semicolon."
    return (figure.note or "").split(";")[0].strip()
