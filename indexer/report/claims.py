"""What the pack answers to one figure of a news story, by its metric."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from indexer import query_coverage
from indexer.report import cascade, verdicts, words
from indexer.report.verdicts import IS, Verdict, untested

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.report.ask import Desk
    from indexer.report.picture import Answer

MOMENT = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)
SURE_Z, CHANCE_Z = 3.0, 1.96
UNUSUAL_P = 0.05
FEWEST_PLACEBOS = round(1 / UNUSUAL_P) - 1  # with fewer no move can be that rare
CLOCK_SECONDS = 12  # order across chains is not known below the coarsest clock
# What a figure states itself: a value for the whole report must not change it.
SCOPED = frozenset(
    {"since", "until", "venues", "assets", "venue_kind", "min_usd", "split", "event", "top", "cascade_id", "scope"}
)
WHOLE = frozenset({"full", "trade_flag"})


class Figure(NamedTuple):
    "A row of reported_totals, and whether it is a made-up example; the window ends at `reported_at`."

    reported_at: dt.datetime | None
    event: str | None
    source: str | None
    metric: str
    venue: str | None
    asset: str | None
    window_hours: float | None
    value: float | None
    unit: str | None
    note: str | None
    url: str | None
    is_example: bool

    @property
    def windows(self) -> list[tuple[dt.datetime, dt.datetime]]:
        "The half-open windows that may be meant: of a figure that names only its day, also a day later and earlier."
        if self.reported_at is None or self.window_hours is None:
            return []
        ends = [self.reported_at + MOMENT]
        if "day only" in (self.note or ""):
            ends += [ends[0] + DAY, ends[0] - DAY]
        return [(end - dt.timedelta(hours=self.window_hours), end) for end in ends]


class Finding(NamedTuple):
    "A verdict and the question that gave it."

    verdict: Verdict
    answer: Answer | None


def scope(figure: Figure) -> dict[str, str]:
    "Venues and assets of the figure as parameters; all venues of both kinds."
    return {
        "venue_kind": "all",
        "venues": "" if figure.venue == "all" else figure.venue or "",
        "assets": "" if figure.asset == "all" else figure.asset or "",
    }


def edges(window: tuple[dt.datetime, dt.datetime]) -> dict[str, str]:
    "A window as parameters."
    return {"since": window[0].isoformat(), "until": window[1].isoformat()}


def gap(desk: Desk, figure: Figure, question: str, window: tuple[dt.datetime, dt.datetime], kind: str = "all") -> str:
    "What of a window no proof covers, of the sources that the question reads; empty: nothing."
    asked = desk.pack[question]
    span = query_coverage.Window(window[0], window[1] - MOMENT)
    found = query_coverage.covered(desk.connection.cursor(), asked, scope(figure) | {"venue_kind": kind}, span)
    if not found:
        return "nothing of the window is covered"
    missing = {name: seconds for (name, _), (seconds, _) in found.items() if seconds > 0}
    if not missing:
        return ""
    name, seconds = max(missing.items(), key=lambda one: one[1])
    more = f", nor are {len(missing) - 1} more sources" if len(missing) > 1 else ""
    return f"{words.venue(name)} is not covered ({query_coverage.share(span, seconds)} of the window is){more}"


def doubt(desk: Desk, figure: Figure, window: tuple[dt.datetime, dt.datetime]) -> str:
    "Why more may have happened than is stored of a covered window; empty: all is stored."
    ranking = desk.ask("cefi/venue_ranking", **scope(figure), **edges(window)).table
    unpriced = int(words.tally(ranking, "n_unpriced") or 0)
    if unpriced:
        return f"{words.several(unpriced, 'row')} of it {'has' if unpriced == 1 else 'have'} no price"
    for row in ranking.to_dicts():
        classes = set(str(row["completeness"] or "unknown").split(","))
        if classes - WHOLE:
            return f"the feed of {words.venue(row['venue'])} shows only a part ({', '.join(sorted(classes))})"
    if figure.venue == "all" and not figure.is_example:
        return "no database holds every venue, so ours is a floor"
    return ""


def rows_of(desk: Desk, figure: Figure, split: str) -> list[Answer]:
    "The total of each window that may be meant, divided."
    return [
        desk.ask("structure/market_split", split=split, **scope(figure), **edges(window)) for window in figure.windows
    ]


def unusable(figure: Figure, *, is_moment: bool) -> str:
    "Why a figure cannot be compared with anything; empty: it can. A reading at one moment needs no window."
    if figure.value is None:
        return "no value is stated"
    if figure.reported_at is None:
        return "its day is not established"
    if is_moment:
        return ""
    if figure.window_hours is None:
        return "the length of its window is not stated"
    if figure.venue is None or figure.asset is None:
        return "its venue or asset is not stated"
    return ""


def sums(relation: str, side: str | None = None) -> Callable[[Desk, Figure], Finding]:
    "Value liquidated in the figure's window and scope, of one side or of all."

    def test(desk: Desk, figure: Figure) -> Finding:
        answers = rows_of(desk, figure, "side")
        tables = [one.table if side is None else one.table.filter(pl.col("key") == side) for one in answers]
        known = [usd for table in tables if (usd := words.tally(table, "forced_usd")) is not None]
        if not known:
            return Finding(untested(empty(answers)), answers[0])
        values = [words.tally(table, "forced_usd") or 0.0 for table in tables]
        return judged(desk, figure, relation, values, answers)

    return test


def empty(answers: list[Answer]) -> str:
    "Why there is no value in any of the answers."
    has_rows = any(answer.table.height for answer in answers)
    return "its rows are stored without a price" if has_rows else "no row of its scope is stored in its window"


def judged(desk: Desk, figure: Figure, relation: str, values: list[float], answers: list[Answer]) -> Finding:
    "The verdict on a sum or count, of the windows that may be meant, with what is known of the nearest one."
    at = min(range(len(values)), key=lambda index: abs(values[index] - (figure.value or 0)))
    window = figure.windows[at]
    verdict = verdicts.floor(
        relation, figure.value or 0, values, gap(desk, figure, answers[at].query, window), doubt(desk, figure, window)
    )
    return Finding(verdict, answers[at])


def agreement(desk: Desk, figure: Figure) -> Finding:
    "A total, longs or shorts: our sums in every window within match_hours of the stated one."
    at = figure.reported_at or desk.since
    asked = desk.ask(
        "cefi/reported_agreement", since=at.isoformat(), until=(at + MOMENT).isoformat(), event=figure.event or ""
    )
    same = asked.table.filter(
        (pl.col("source") == figure.source) & (pl.col("metric") == figure.metric) & (pl.col("venue") == figure.venue)
        & (pl.col("asset") == figure.asset) & (pl.col("reported_usd") == figure.value)
        & (pl.col("window_hours") == figure.window_hours)
    ).to_dicts()  # fmt: skip
    if not same or same[0]["verdict"] == "not_comparable":
        return Finding(untested(empty(rows_of(desk, figure, "side"))), asked)
    row, length = same[0], dt.timedelta(hours=figure.window_hours or 0)
    window = (row["best_match_at"] - length, row["best_match_at"] + MOMENT)
    values = [row["best_match_usd"], row["lowest_usd"], row["highest_usd"]]
    open_ends = gap(desk, figure, "structure/market_split", window), doubt(desk, figure, window)
    return Finding(verdicts.floor(IS, figure.value or 0, values, *open_ends), asked)


def points(side: str | None = None) -> Callable[[Desk, Figure], Finding]:
    "A stated sum: by cefi/reported_agreement, which never reads a simulated chain; an example by the plain total."
    plain = sums(IS, side)
    return lambda desk, figure: plain(desk, figure) if figure.is_example else agreement(desk, figure)


def traders(relation: str) -> Callable[[Desk, Figure], Finding]:
    "Accounts liquidated; the orders of exchanges are not accounts and are never added."

    def test(desk: Desk, figure: Figure) -> Finding:
        answers = [desk.ask("structure/traders", **scope(figure), **edges(window)) for window in figure.windows]
        counted = [one.table.filter(pl.col("scope") == "all")["n_accounts"].sum() for one in answers]
        if not any(counted):
            has_orders = any(answer.table.height for answer in rows_of(desk, figure, "side"))
            why = (
                "exchanges publish orders, which are not traders" if has_orders else "no account of its scope is stored"
            )
            return Finding(untested(why), answers[0])
        return judged(desk, figure, relation, [float(n) for n in counted], answers)

    return test


def largest_row(desk: Desk, figure: Figure) -> Finding:
    "The largest single liquidation."
    answers = rows_of(desk, figure, "side")
    values = [max(answer.table["largest_usd"].drop_nulls().to_list(), default=0.0) for answer in answers]
    if not any(values):
        return Finding(untested(empty(answers)), answers[0])
    return judged(desk, figure, IS, values, answers)


def long_share(desk: Desk, figure: Figure) -> Finding:
    "Longs in the value liquidated; what has no side could be either."
    answer = rows_of(desk, figure, "side")[0]
    usd = dict(answer.table.select("key", "forced_usd").iter_rows())
    total = sum(value for value in usd.values() if value is not None)
    if not total:
        return Finding(untested(empty([answer])), answer)
    low = (usd.get("long") or 0) / total
    high = low + (usd.get("unknown") or 0) / total
    missing = gap(desk, figure, answer.query, figure.windows[0])
    return Finding(verdicts.share(IS, figure.value or 0, low, high, missing), answer)


def ranking(desk: Desk, figure: Figure) -> tuple[Answer, list[dict[str, Any]], str]:
    "All venues of the figure's window and asset by value, those without value left out, and what is not covered."
    every = figure._replace(venue="all")
    answer = desk.ask("cefi/venue_ranking", **scope(every), **edges(figure.windows[0]))
    rows = answer.table.filter(pl.col("floor_rank").is_not_null()).to_dicts()
    return answer, rows, gap(desk, every, answer.query, figure.windows[0])


def venue_share(relation: str) -> Callable[[Desk, Figure], Finding]:
    "A venue's part of the value, between what feeds show and what they may hide."

    def test(desk: Desk, figure: Figure) -> Finding:
        answer, rows, missing = ranking(desk, figure)
        mine = [row for row in rows if row["venue"] == figure.venue]
        if not mine:
            return Finding(untested(f"no priced row of {words.venue(figure.venue)} is stored in its window"), answer)
        others = [row for row in rows if row["venue"] != figure.venue]
        low = mine[0]["low_usd"] / (mine[0]["low_usd"] + sum(row["high_usd"] for row in others))
        high = mine[0]["high_usd"] / (mine[0]["high_usd"] + sum(row["low_usd"] for row in others))
        return Finding(verdicts.share(relation, figure.value or 0, low, high, missing), answer)

    return test


def largest_venue(desk: Desk, figure: Figure) -> Finding:
    "Whether the venue was first, for certain, among those stored."
    answer, rows, missing = ranking(desk, figure)
    mine = [row for row in rows if row["venue"] == figure.venue]
    if not mine:
        return Finding(untested(f"no priced row of {words.venue(figure.venue)} is stored in its window"), answer)
    best, worst = mine[0]["best_rank"], mine[0]["worst_rank"]
    if missing:
        return Finding(untested(f"of what is stored it is place {mine[0]['floor_rank']}, but {missing}"), answer)
    if best != worst and best == 1:
        why = f"its place is 1 to {worst}: feeds hide too much to say"
        return Finding(untested(why, float(mine[0]["floor_rank"])), answer)
    first = words.venue(rows[0]["venue"])
    told = f"first of {words.several(len(rows), 'venue')} stored" if best == 1 else f"{first} was larger"
    return Finding(
        verdicts.flag(figure.value or 0, found=best == 1, reason=told, ours=float(mine[0]["floor_rank"])), answer
    )


def asset_rank(desk: Desk, figure: Figure) -> Finding:
    "The asset's place by value."
    every = figure._replace(asset="all")
    answer = rows_of(desk, every, "asset")[0]
    named = answer.table.filter(~pl.col("key").is_in(["unknown", "none"]) & pl.col("forced_usd").is_not_null())
    keys = named["key"].to_list()
    if figure.asset not in keys:
        return Finding(untested(f"no priced row of {figure.asset} is stored in its window"), answer)
    ours, unpriced = keys.index(figure.asset) + 1, int(words.tally(answer.table, "n_unpriced") or 0)
    why = (
        f"{words.several(unpriced, 'row')} without a price could change it" if unpriced and ours != figure.value else ""
    )
    missing = gap(desk, every, answer.query, figure.windows[0])
    return Finding(verdicts.place(figure.value or 0, ours, missing, why), answer)


def asset_order(desk: Desk, figure: Figure) -> Finding:
    "The asset's place by the time at which half of its value in the largest cascade had fallen."
    night = desk._replace(since=figure.windows[0][0], until=figure.windows[0][1])
    found = cascade.largest(night)
    if found is None:
        return Finding(untested("no cascade was found in its window"), night.ask("cascades/cascades"))
    answer = night.ask("cascades/contagion_order", cascade_id=found["cascade_id"])
    rows = answer.table.filter((pl.col("dimension") == "asset") & pl.col("t50_at").is_not_null()).to_dicts()
    at = next((index for index, row in enumerate(rows) if row["key"] == figure.asset), None)
    if at is None:
        return Finding(untested(f"{figure.asset} is not among the cascade's priced assets"), answer)
    beside = [rows[index] for index in (at - 1, at + 1) if 0 <= index < len(rows)]
    near = [row["key"] for row in beside if abs((row["t50_at"] - rows[at]["t50_at"]).total_seconds()) < CLOCK_SECONDS]
    why = f"{words.listed(near)} fell within {CLOCK_SECONDS} s of it, closer than clocks agree" if near else ""
    missing = gap(desk, figure, answer.query, figure.windows[0], "defi")
    return Finding(verdicts.place(figure.value or 0, at + 1, missing, why), answer)


def whale_catalyst(desk: Desk, figure: Figure) -> Finding:
    "Whether an unusual move to an exchange, or loan, preceded the largest cascade; to precede is not to cause."
    night = desk._replace(since=figure.windows[0][0], until=figure.windows[0][1])
    found = cascade.largest(night)
    if found is None:
        return Finding(untested("no cascade was found in its window"), night.ask("cascades/cascades"))
    answer = night.ask("whales/catalysts", cascade_id=found["cascade_id"])
    moves = answer.table if figure.asset in {None, "all"} else answer.table.filter(pl.col("asset") == figure.asset)
    rarest = moves.sort("placebo_p", "rank", nulls_last=True).head(1).to_dicts()
    if rarest and rarest[0]["placebo_p"] is not None:
        row = rarest[0]
        text = f"{words.account(row['account'])} moved {words.money(row['usd'])} of {row['asset']} before it"
        if row["placebo_p"] <= UNUSUAL_P:
            reason = f"{text}, p = {row['placebo_p']:.2g}: it preceded, which is not to cause"
            return Finding(verdicts.flag(figure.value or 0, found=True, reason=reason, ours=row["placebo_p"]), answer)
        if row["n_placebo"] < FEWEST_PLACEBOS:
            why = f"{text}, but only {row['n_placebo']} earlier windows are stored to say whether that is unusual"
            return Finding(untested(why, row["placebo_p"]), answer)
    elif rarest:
        return Finding(untested("no earlier window of flows is stored to say what is usual"), answer)
    lead = float(answer.params.get("lead_seconds") or night.pack[answer.query].parameters["lead_seconds"].default)
    before = (found["start_at"] - dt.timedelta(seconds=lead), found["start_at"] + MOMENT)
    if missing := flows_missing(desk, before):
        return Finding(untested(missing), answer)
    reason = "no unusual move to an exchange or loan stands before it"
    p = rarest[0]["placebo_p"] if rarest else None
    return Finding(verdicts.flag(figure.value or 0, found=False, reason=reason, ours=p), answer)


def flows_missing(desk: Desk, window: tuple[dt.datetime, dt.datetime]) -> str:
    "What of the flows in a window no proof covers; empty: nothing."
    span = query_coverage.Window(window[0], window[1] - MOMENT)
    values = {"venue_kind": "all"}
    found = query_coverage.covered(desk.connection.cursor(), desk.pack["whales/catalysts"], values, span)
    seconds = [missing for (name, _), (missing, _) in found.items() if name.startswith("flows")]
    if not seconds:
        return "no flows are stored (index them with --dataset flows)"
    return "flows before the cascade are not covered" if max(seconds) > 0 else ""


def feedback(desk: Desk, figure: Figure) -> Finding:
    "Whether more events follow each other closely than chance explains."
    night = desk._replace(since=figure.windows[0][0], until=figure.windows[0][1])
    seen = cascade.feedback(night)
    answer = night.ask("cascades/self_excitation")
    z = seen.facts.get("z")
    if seen.missing or z is None or not math.isfinite(z):
        return Finding(untested(seen.missing or "chance gives as many pairs in every surrogate"), answer)
    if missing := gap(desk, figure, answer.query, figure.windows[0], "defi"):
        return Finding(untested(missing, z), answer)
    if CHANCE_Z < z < SURE_Z:
        return Finding(untested(f"pairs stand {z:.1f} deviations above chance: neither chance nor certain", z), answer)
    reason = f"close pairs stand {z:.1f} deviations {'above' if z > 0 else 'below'} what chance gives"
    return Finding(verdicts.flag(figure.value or 0, found=z >= SURE_Z, reason=reason, ours=z), answer)
