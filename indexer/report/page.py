"""The report as one HTML file that needs nothing else: no script, no font, no request."""

from __future__ import annotations

import datetime as dt
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer import __version__, query_format
from indexer.report import palette, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from indexer.report.picture import Picture

STYLE = Path(__file__).with_name("style.css")
MOST_ROWS = 60  # of a table on the page; the command beside it gives all
WIDE_TEXT = 40  # characters: a longer cell may break its line
NOT_KNOWN = "\u2013"


class About(NamedTuple):
    "What the page says of itself: its window, and what of it is simulated."

    since: dt.datetime
    until: dt.datetime
    simulated: str


def html(pictures: Sequence[Picture], sections: Sequence[str], about: About) -> str:
    "The page of `pictures`, each with its section of HTML."
    title = headline(about)
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {palette.css(1)} }} }}"
    style = f":root {{ {palette.css(0)} }}\n{dark}\n{STYLE.read_text(encoding='utf-8')}"
    contents = "".join(f'<li><a href="#{one.name}">{escape(one.title)}</a></li>' for one in pictures)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            '<a class="skip" href="#content">Skip to the pictures</a>',
            f'<svg class="pattern" aria-hidden="true" width="0" height="0"><defs>{palette.patterns()}</defs></svg>',
            '<div class="column">',
            opening(pictures, about, title),
            f'<nav aria-label="Pictures"><ol>{contents}</ol></nav>',
            f'<main id="content">{"".join(sections)}</main>',
            closing(about),
            "</div>\n</body>\n</html>\n",
        ]
    )


def headline(about: About) -> str:
    "The title of the page."
    first, last = about.since, about.until - dt.timedelta(microseconds=1)
    if first.date() == last.date():
        days = day(first)
    elif (first.year, first.month) == (last.year, last.month):
        days = f"{first.day} to {day(last)}"
    else:
        days = f"{day(first)} to {day(last)}"
    return f"Liquidations, {days}"


def day(instant: dt.datetime) -> str:
    "9 October 2025."
    return f"{instant.day} {instant:%B %Y}"


def opening(pictures: Sequence[Picture], about: About, title: str) -> str:
    "Title, window, the finding, and the numbers."
    first = next(one for one in pictures if one.name == "scoreboard")
    cascade = [one.facts["lead"] for one in pictures if one.name == "cascade" and not one.missing]
    lead = words.sentences(first.facts.get("lead") or first.missing, *cascade)
    notice = ""
    if about.simulated:
        notice = (
            f'<p class="notice" role="note"><strong>A simulated night.</strong> Made up: {escape(about.simulated)}. Protocol contracts'
            " and the form of records are real; users, sizes and prices are not. Nothing here happened in a market, and none of it"
            " is compared with what was reported of real nights.</p>"
        )
    return (
        f'<header><p class="kicker">Liquidation report</p><h1>{escape(title)}</h1>'
        f'<p class="window">{escape(words.window(about.since, about.until))}</p>{notice}'
        f'<p class="standfirst">{escape(lead)}</p>{tiles(first.facts, is_simulated=bool(about.simulated))}</header>'
    )


def tiles(facts: Mapping[str, Any], *, is_simulated: bool) -> str:
    "The numbers of the scoreboard; what is not known says so."
    unpriced = int(facts.get("n_unpriced") or 0)
    reported = ""
    if facts.get("n_reported"):
        reported = words.spread(facts["reported_low_usd"], facts["reported_high_usd"])
    each = [
        (
            "Liquidated",
            words.money(facts.get("total_usd")),
            f"{words.count(unpriced)} more without a price" if unpriced else "",
        ),
        ("Longs", words.share(facts.get("long_share")), "of the value with a side"),
        ("Accounts", words.count(facts.get("n_accounts")), orders(facts)),
        ("Largest record", words.money(facts.get("largest_usd")), ""),
        ("Largest account", words.money(facts.get("largest_account_usd")), words.account(facts.get("largest_account"))),
        (
            "Reported",
            reported or ("not compared" if is_simulated else "nothing stored"),
            f"{words.count(facts.get('n_reported'))} figures" if reported else "",
        ),
    ]
    return (
        '<dl class="tiles">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
            for name, value, more in each
        )
        + "</dl>"
    )


def orders(facts: Mapping[str, Any]) -> str:
    "Orders of exchanges, which name no account."
    n_orders = facts.get("n_orders")
    return f"and {words.several(n_orders, 'order')} without account" if n_orders else ""


def section(picture: Picture, drawings: Mapping[str, str], content: str = "") -> str:
    "One picture (or other `content`) with its finding, its coverage, its rows and its SQL."
    figure = "".join(
        f'<div class="{sheet}" role="img" aria-label="{escape(picture.alt)}">{sized(svg)}</div>'
        for sheet, svg in drawings.items()
    )
    shown = (
        f'<p class="missing"><strong>Nothing to draw.</strong> {escape(picture.missing)}</p>'
        if picture.missing
        else content or f"<figure>{figure}<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in picture.notes if not picture.missing)
    covered = (
        f'<li class="coverage"><span class="key">Coverage:</span> {escape(picture.coverage)}</li>'
        if picture.coverage
        else ""
    )
    main = (picture.query, picture.title, picture.sql, picture.params, picture.table)
    answers = [main, *((one.query, one.title, one.sql, one.params, one.table) for one in picture.more)]
    return (
        f'<section id="{picture.name}" aria-labelledby="{picture.name}-title"><h2 id="{picture.name}-title">{escape(picture.title)}</h2>'
        f'<p class="question">{escape(picture.question)}</p>{shown}<ul class="facts">{covered}{notes}</ul>'
        f"<details><summary>Data: {escape(picture.title)}</summary>{''.join(table(*each[:2], *each[3:]) for each in answers)}</details>"
        f"<details><summary>SQL and parameters: {escape(picture.title)}</summary>{sources(answers)}</details></section>"
    )


def sized(svg: str) -> str:
    "A drawing that shrinks with the page and is never blown up; what it shows stands in the label around it."
    width = svg.split('width="', 1)[1].split('"', 1)[0]
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "").replace(
        "<svg ", f'<svg aria-hidden="true" focusable="false" style="max-width:{width}px" ', 1
    )


def table(query: str, title: str, params: Mapping[str, str], rows: pl.DataFrame) -> str:
    "The rows of an answer as a table for readers."
    told = ", ".join(f"{name} {value}" for name, value in params.items() if name not in {"since", "until"} and value)
    caption = f"{title} · {query}{f' ({told})' if told else ''}"
    if not rows.height:
        return f"<p>{escape(caption)}: no rows.</p>"
    numeric = [dtype.is_numeric() for dtype in rows.dtypes]
    form = [query_format.readable(name) for name in rows.columns]
    head = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{escape(name)}</th>'
        for name, right in zip(rows.columns, numeric, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(cell(value, shown, right=right) for value, shown, right in zip(row, form, numeric, strict=True))
        + "</tr>"
        for row in rows.head(MOST_ROWS).iter_rows()
    )
    left = rows.height - MOST_ROWS
    more = f"<p>{words.several(left, 'more row')}: the command below gives all of them.</p>" if left > 0 else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def cell(value: Any, shown: Any, *, right: bool) -> str:  # noqa: ANN401 - whatever a column holds
    "One value of a table; NULL is a dash, never 0."
    text = NOT_KNOWN if value is None else shown(value)
    kind = " class=number" if right else " class=wide" if len(text) > WIDE_TEXT else ""
    return f"<td{kind}>{escape(text)}</td>"


def sources(answers: Sequence[tuple[str, str, str, dict[str, str], pl.DataFrame]]) -> str:
    "How each answer was asked, then each file's SQL once."
    asked = [
        f'<pre class="command" tabindex="0" aria-label="Parameters of {escape(query)}">{escape(command(query, params))}</pre>'
        for query, _, _, params, _ in answers
    ]
    texts = {query: sql for query, _, sql, _, _ in answers}
    written = [
        f'<pre tabindex="0" aria-label="SQL of {escape(query)}">{escape(f"-- {query}{chr(10)}{sql.rstrip()}")}</pre>'
        for query, sql in texts.items()
    ]
    return "".join([*asked, *written])


def command(query: str, params: Mapping[str, str]) -> str:
    "The line that asks again; the page's own questions run in a shell with these variables set."
    if query.startswith(("report/", "finish.")):
        return "\n".join([f"-- {query}", *(f"SET VARIABLE {name} = '{value}';" for name, value in params.items())])
    return " ".join([f"indexer query {query}", *(f"-p {name}={quoted(value)}" for name, value in params.items())])


def quoted(value: str) -> str:
    "A value as a shell takes it."
    return (
        value
        if value and all(letter.isalnum() or letter in "_.:,+-@/" for letter in value)
        else "'" + value.replace("'", "'\\''") + "'"
    )


def closing(about: About) -> str:
    "What was used, and how to read it."
    made = f"Made by indexer {__version__} for {words.window(about.since, about.until)}."
    return (
        f"<footer><p>{escape(made)} Times are UTC; windows include their start and exclude their end. A dash is a value that"
        " nobody knows, never 0. The value of a liquidation is the position closed, not the money lost. Every number above can be"
        " asked again with the command under its picture.</p></footer>"
    )
