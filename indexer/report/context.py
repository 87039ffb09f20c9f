"""What surrounds the night: leverage before it, the nights before it, and what of it is covered."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer.report import words
from indexer.report.ask import nothing, picture, simulated

if TYPE_CHECKING:
    from indexer.report.ask import Desk
    from indexer.report.picture import Picture

QUADRANT_DAYS = 30
CELLS = 48


def leverage(desk: Desk) -> Picture:
    "Change of open interest against change of price, day by day before the night."
    main = desk.ask("context/releveraging", since=(desk.since - dt.timedelta(days=QUADRANT_DAYS)).isoformat())
    known = main.table.filter(pl.col("oi_change").is_not_null() & pl.col("price_change").is_not_null())
    signals = known.filter(pl.col("is_signal"))
    said = ""
    if known.height:
        said = f"On {words.several(signals.height, 'day')} of {known.height} open interest had grown while the price had not."
        for row in signals.tail(1).to_dicts():
            said += f" The last: {row['asset']} on {words.at(row['day'])}." + hit(row)
    missing = ""
    if not known.height:
        why = "no open interest is stored for this window and the days before (backfill context open_interest)"
        missing = nothing(why if not main.table.height else "no day has both a change of open interest and of price")
    return picture(
        main, "leverage", "Leverage up, price not",
        caption=said,
        alt=f"Days as points: change of open interest to the right, change of price up; the quadrant of rising open interest"
        f" and falling price is marked. {said}",
        missing=missing,
        notes=(f"The {QUADRANT_DAYS} days before the window are read too. Open interest counts coins, not US dollars.",),
    )  # fmt: skip


def hit(row: dict[str, Any]) -> str:
    "How often such days were followed by a fall, against all days."
    if row["signal_hit_share"] is None or row["base_hit_share"] is None:
        return ""
    signal, base = words.share(row["signal_hit_share"]), words.share(row["base_hit_share"])
    return f" Of such days {signal} were followed by a fall, of all days {base}."


def past_events(desk: Desk) -> Picture:
    "The nights that third parties put numbers on, by reported size."
    main = desk.ask("context/event_rank", top="25")
    chains = simulated(desk.connection)
    ours = words.tally(desk.ask("structure/market_split", split="side", venue_kind="all").table, "forced_usd")
    rows = main.table.to_dicts()
    inside = [row for row in rows if desk.since.date() <= row["day"] <= desk.until.date()] if not chains else []
    said = ""
    if inside:
        row = inside[0]
        said = (
            f"This night is known as {row['event']}: rank {row['rank']} of {row['n_ranked']} by reported size"
            f" ({words.money(row['reported_low_usd'])} to {words.money(row['reported_high_usd'])})."
        )
    elif chains:
        said = (
            "This night is simulated, so it has no place among these; the events below are real and"
            " stand here for scale only."
        )
    elif rows:
        said = "No reported event falls into this window."
    if rows:
        said += (
            f" The largest on record: {rows[0]['event']}, {words.money(rows[0]['reported_median_usd'])} in 24 hours."
        )
    return picture(
        main, "past_events", "This night among past ones",
        caption=said,
        alt=f"Past liquidation nights, largest first: a line from the lowest to the highest total that sources reported. {said}",
        missing="" if rows else nothing("no third party's totals are stored (backfill cefi loads them)"),
        facts={"this_event": inside[0]["event"] if inside else None, "ours_usd": None if chains else ours},
        notes=("Totals as reported. Sets of venues grow, so later nights look larger.",),
    )  # fmt: skip


def coverage(desk: Desk) -> Picture:
    "Which source is proven complete in which part of the window."
    step = str(desk.step_of(desk.since, desk.until, CELLS))
    main = desk.ask("report/coverage", step_seconds=step)
    by_source = main.table.group_by("source", "chain", maintain_order=True).agg(pl.col("covered_share").mean())
    whole = by_source.filter(pl.col("covered_share") >= 1 - 1e-9)
    partly = by_source.filter((pl.col("covered_share") > 0) & (pl.col("covered_share") < 1 - 1e-9))
    none = by_source.filter(pl.col("covered_share") == 0)
    said = (
        [f"{words.several(whole.height, 'source')} of {by_source.height} covered without a gap."]
        if by_source.height
        else []
    )
    if partly.height:
        said.append(f"With gaps: {words.listed(map(words.venue, partly['source'].to_list()))}.")
    if none.height:
        said.append(f"Rows but no proof: {words.listed(map(words.venue, none['source'].to_list()))}.")
    return picture(
        main, "coverage", "What this page rests on",
        caption=" ".join(said),
        alt=f"A calendar with one line a source: full cells are covered, empty ones are not. {' '.join(said)}",
        missing="" if main.table.height else nothing("no source is stored"),
        facts={"step_seconds": int(step)},
        notes=("Covered means: a proof says that every record of the step is stored.",),
    )  # fmt: skip
