"""A news story against the records: each stated figure confirmed, contradicted, or why it cannot be tested."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer.report import ask, claims, past, verdicts, words
from indexer.report.claims import Figure, Finding
from indexer.report.verdicts import AT_LEAST, AT_MOST, IS, untested

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from indexer.report.picture import Picture

EXAMPLE = "example:"  # how the source of a made-up figure begins: only such figures meet a simulated chain
# Metric of reported_totals: how the claim reads ({} is the value), and what tests it.
METRICS: dict[str, tuple[str, Callable[[ask.Desk, Figure], Finding]]] = {
    "total": ("{} liquidated", claims.points()),
    "longs": ("{} of longs liquidated", claims.points("long")),
    "shorts": ("{} of shorts liquidated", claims.points("short")),
    "total_mean_approx": ("about {} liquidated", claims.sums(IS)),
    "total_self_reported": ("{} liquidated, by the venue itself", claims.sums(IS)),
    "total_low": ("at least {} liquidated", claims.sums(AT_LEAST)),
    "total_lower_bound": ("at least {} liquidated", claims.sums(AT_LEAST)),
    "total_estimate_low": ("an estimated {} liquidated at least", claims.sums(AT_LEAST)),
    "total_high": ("at most {} liquidated", claims.sums(AT_MOST)),
    "total_estimate_high": ("an estimated {} liquidated at most", claims.sums(AT_MOST)),
    "traders_liquidated": ("{} traders liquidated", claims.traders(IS)),
    "accounts": ("{} accounts liquidated", claims.traders(IS)),
    "traders_low": ("at least {} traders liquidated", claims.traders(AT_LEAST)),
    "traders_high": ("at most {} traders liquidated", claims.traders(AT_MOST)),
    "largest": ("the largest liquidation was {}", claims.largest_row),
    "largest_single_order": ("the largest order was {}", claims.largest_row),
    "long_share": ("{} of it longs", claims.long_share),
    "venue_share": ("{venue} had {} of it", claims.venue_share(IS)),
    "venue_share_lower_bound": ("{venue} had at least {} of it", claims.venue_share(AT_LEAST)),
    "venue_share_upper_bound": ("{venue} had at most {} of it", claims.venue_share(AT_MOST)),
    "largest_venue": ("{venue} was largest", claims.largest_venue),
    "asset_rank": ("{asset} was number {} by value", claims.asset_rank),
    "asset_order": ("{asset} was number {} to fall", claims.asset_order),
    "whale_catalyst": ("a whale's move came before it", claims.whale_catalyst),
    "feedback": ("liquidations set off liquidations", claims.feedback),
    "event_rank": ("among the {} largest nights", past.event_rank),
    "comparable_event": ("as large as {note}", past.comparable_event),
    "fear_greed": ("fear and greed at {}", past.fear_greed),
}
FLAGS = frozenset({"largest_venue", "whale_catalyst", "feedback"})
TEXT, NUMBER = pl.String(), pl.Float64()
SCHEMA: dict[str, pl.DataType] = {
    "event": TEXT, "claim": TEXT, "reported": NUMBER, "unit": TEXT, "verdict": TEXT, "ours": NUMBER,
    "ours_low": NUMBER, "ours_high": NUMBER, "reason": TEXT, "query": TEXT, "params": TEXT, "source": TEXT,
    "reported_at": pl.Datetime("us"), "metric": TEXT, "venue": TEXT, "asset": TEXT, "window_hours": NUMBER,
    "is_example": pl.Boolean(), "url": TEXT,
}  # fmt: skip
FIGURES = """
SELECT reported_at, event, source, metric, venue, asset, window_hours, value, unit, note, url,
  coalesce(starts_with(source, $example), false) AS is_example
FROM reported_totals
WHERE metric IS NOT NULL AND CASE WHEN $event = '' THEN reported_at > $since AND reported_at <= $until ELSE event = $event END
ORDER BY reported_at, event, metric, venue, asset, window_hours, value, source, unit, note, url
"""


def headline(
    connection: duckdb.DuckDBPyConnection,
    event: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    params: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """One row a figure of `reported_totals` that tells of one event, or of the window up to a day after its end.

    Columns as SCHEMA: the claim in words, `reported` in `unit`, the `verdict` (confirmed, contradicted, cannot be
    tested), our value `ours` (between `ours_low` and `ours_high` where it is not one number; a p-value for whales, the
    deviations above chance for feedback), the `reason`, and the question and parameters that gave it. Figures of real
    nights are never compared with a simulated chain; made-up ones (source `example: ...`) only with it. Raises UserError.
    """
    return table(ask.desk(connection, since, until, params or {}), event)


def table(desk: ask.Desk, event: str = "") -> pl.DataFrame:
    "The rows of `headline` from a desk's window, or of one event."
    edges = {"since": desk.since, "until": desk.until + dt.timedelta(days=1)}
    found = desk.connection.execute(FIGURES, edges | {"event": event, "example": EXAMPLE}).fetchall()
    figures = [Figure(*values) for values in found]
    chains = ask.simulated(desk.connection)
    if not event and (not chains or any(one.is_example for one in figures)):
        figures = [one for one in figures if one.is_example == bool(chains)]
    neutral = desk._replace(params={name: value for name, value in desk.params.items() if name not in claims.SCOPED})
    return pl.DataFrame([row(neutral, one, chains) for one in figures], SCHEMA)


def row(desk: ask.Desk, figure: Figure, chains: list[str]) -> dict[str, Any]:
    "One figure with its verdict."
    finding = tested(desk, figure, chains)
    verdict, answer = finding
    asked = {} if answer is None else answer.params
    return {
        "event": figure.event, "claim": said(figure), "reported": figure.value, "unit": figure.unit,
        "verdict": verdict.verdict, "ours": verdict.ours, "ours_low": verdict.low, "ours_high": verdict.high,
        "reason": verdict.reason, "query": None if answer is None else answer.query,
        "params": " ".join(f"-p {name}={value}" for name, value in asked.items() if value), "source": figure.source,
        "reported_at": figure.reported_at, "metric": figure.metric, "venue": figure.venue, "asset": figure.asset,
        "window_hours": figure.window_hours, "is_example": figure.is_example, "url": figure.url,
    }  # fmt: skip


def tested(desk: ask.Desk, figure: Figure, chains: list[str]) -> Finding:
    "What becomes of one figure."
    if chains and not figure.is_example:
        return Finding(untested(f"{words.listed(chains)} is a simulated chain: never compared with a real night"), None)
    if figure.is_example and not chains:
        return Finding(untested("a made-up example of a simulated chain, which this database does not hold"), None)
    if figure.metric not in METRICS:
        return Finding(untested(f"no question of the pack answers {figure.metric}"), None)
    if why := claims.unusable(figure, is_moment=figure.metric in past.WITHOUT_WINDOW):
        return Finding(untested(why), None)
    return METRICS[figure.metric][1](desk, figure)


def said(figure: Figure) -> str:
    "The claim in words, with its window and scope."
    form = METRICS.get(figure.metric, (f"{figure.metric} {{}}", None))[0]
    names = {"venue": words.venue(figure.venue), "asset": figure.asset, "note": past.named(figure)}
    text = form.format(amount(figure), **names)
    if figure.metric in FLAGS and figure.value == 0:
        text = f"not so: {text}"
    places = [words.venue(figure.venue)] if figure.venue not in {None, "all"} and "{venue}" not in form else []
    places += [str(figure.asset)] if figure.asset not in {None, "all"} and "{asset}" not in form else []
    hours = f" in {figure.window_hours:g} h" if figure.window_hours and figure.metric not in past.WITHOUT_WINDOW else ""
    where = f" ({', '.join(places)})" if places else ""
    return f"{text}{hours}{where}"


def amount(figure: Figure) -> str:
    "The stated value in its unit."
    if figure.value is None:
        return words.UNKNOWN
    if figure.unit == "usd":
        return words.money(figure.value)
    if figure.unit == "share":
        return words.share(figure.value)
    return f"{figure.value:,.0f}" if figure.value.is_integer() else f"{figure.value:,g}"


def story(desk: ask.Desk, event: str = "") -> Picture:
    "The figures of the night's story with their verdicts, beside the real table of past events."
    figures = table(desk, event)
    past_nights = desk.ask("context/event_rank", top="25")
    agreement = desk.ask("cefi/reported_agreement", event=event)
    counts = {verdict: figures.filter(pl.col("verdict") == verdict).height for verdict in verdicts.ALL}
    example = "Example: these figures are made up for a simulated chain; no one reported them."
    told = [f"{n} {verdict}" for verdict, n in counts.items()]
    caption = f"Of {words.several(figures.height, 'stated figure')}: {words.listed(told)}."
    is_example = bool(figures["is_example"].any())
    return ask.picture(
        agreement._replace(table=figures), "headline", "The story, figure by figure",
        question="Which figures of the news does the data confirm, which does it contradict, which can it not test?",
        caption=words.sentences(example if is_example else "", caption),
        alt=f"A table of stated figures with a verdict each. {caption}",
        missing="" if figures.height else ask.nothing("no third party's figure of this window is stored"),
        more=(past_nights,), facts={**counts, "is_example": is_example},
        notes=("Ours is a floor: it can confirm at least, and contradict at most. What preceded did not therefore cause.",),
    )  # fmt: skip
