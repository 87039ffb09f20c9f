"""The section of the page that holds a news story against the records."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from indexer.report import page, verdicts, words

if TYPE_CHECKING:
    from indexer.report.picture import Picture

CLASSES = {verdicts.CONFIRMED: "confirmed", verdicts.CONTRADICTED: "contradicted"}
MARKS = {verdicts.CONFIRMED: "\u2713", verdicts.CONTRADICTED: "\u2717"}
N_PAST = 8


def section(picture: Picture) -> str:
    "The story's figures with a verdict each, and real past nights beside a made-up one."
    if picture.missing:
        return page.section(picture, {})
    rows = "".join(map(row, picture.table.to_dicts()))
    is_example = bool(picture.facts["is_example"])
    mark = '<span class="badge">example, made up</span>' if is_example else ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Claim", "Verdict", "Ours", "Why", "Question"))
    table = (
        f'<div class="scroll whole" role="region" tabindex="0" aria-label="{escape(picture.title)}"><table class="story">'
        f"<caption>{escape(picture.title)} {mark}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    beside = past(picture) if is_example else ""
    return page.section(picture, {}, f"<p>{escape(picture.caption)}</p>{table}{beside}")


def row(figure: dict[str, Any]) -> str:
    "One figure."
    verdict = figure["verdict"]
    kind = CLASSES.get(verdict, "untested")
    source = escape(str(figure["source"] or "source not named"))
    return (
        f'<tr><th scope="row">{escape(str(figure["claim"]))}<small>{source}</small></th>'
        f'<td><span class="verdict {kind}">{MARKS.get(verdict, "?")} {escape(verdict)}</span></td>'
        f"<td>{escape(ours(figure))}</td><td>{escape(str(figure['reason'] or ''))}</td>"
        f"<td>{escape(str(figure['query'] or 'none'))}</td></tr>"
    )


def ours(figure: dict[str, Any]) -> str:
    "Our value in the figure's unit; a range where it is not one number."
    form = {"usd": words.money, "share": words.share}.get(figure["unit"], words.figure)
    low, high = figure["ours_low"], figure["ours_high"]
    if figure["ours"] is not None:
        return form(figure["ours"])
    if low is None and high is None:
        return page.NOT_KNOWN
    return (
        f"{form(low)} to {form(high)}" if low is not None and high is not None else form(low if high is None else high)
    )


def past(picture: Picture) -> str:
    "Real nights beside a made-up one, for scale."
    rows = "".join(
        f'<tr><th scope="row">{escape(str(night["event"]))}</th><td>{escape(words.at(night["day"]))}</td>'
        f"<td class=number>{escape(words.spread(night['reported_low_usd'], night['reported_high_usd']))}</td></tr>"
        for night in picture.other("context/event_rank").head(N_PAST).to_dicts()
    )
    head = '<th scope="col">Night</th><th scope="col">Day</th><th scope="col" class=number>Reported in 24 hours</th>'
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Real past nights"><table><caption>Real past nights, as'
        f" third parties reported them: for scale, not for comparison</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
