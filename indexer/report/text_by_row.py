"""Pictures of one line a row as text: totals, venues, assets, accounts, past nights, the story."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.cells import set_cell_size

from indexer.report import words
from indexer.report.verdicts import CONFIRMED, CONTRADICTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from indexer.report.ink import Ink
    from indexer.report.picture import Picture

SIDES = ("long", "short", "faint")  # how longs, shorts and the rest are tinted
MOST_LINES = 12
PHASES = {
    "before_24h": "day before", "before_1h": "hour before", "during": "during", "after_1h": "hour after", "after_24h": "day after",
}  # fmt: skip


def scoreboard(picture: Picture, ink: Ink) -> list[str]:
    "Longs, shorts and what has no side, of all, on chain and on exchanges; the reported range below."
    facts = picture.facts
    most = facts["total_usd"] or 0.0
    rows = []
    for name, label in (("total", "all"), ("defi", "on chain"), ("cefi", "exchanges")):
        usd = facts[f"{name}_usd"]
        longs, shorts = facts[f"{name}_long_usd"] or 0.0, facts[f"{name}_short_usd"] or 0.0
        shares = [part / most for part in (longs, shorts, max((usd or 0.0) - longs - shorts, 0.0))] if most else []
        rows.append((label, sided(ink, shares), words.money(usd)))
    return [*ink.rows(rows), *legend(ink), *people(facts, ink), *reported(facts, ink)]


def legend(ink: Ink) -> list[str]:
    "Which sign stands for longs, shorts and what has no side."
    signs = ink.parts([1 / 3] * 3, 3)
    names = ("longs", "shorts", "side unknown")
    line = "  ".join(f"{sign} {name}" for sign, name in zip(signs, names, strict=True))
    if len(line) > ink.width:
        return ink.wrapped(line)
    return ["  ".join(f"{ink.tint(sign, tint)} {name}" for sign, tint, name in zip(signs, SIDES, names, strict=True))]


def sided(ink: Ink, shares: Sequence[float]) -> Callable[[int], str]:
    "How longs, shorts and the rest are drawn one after the other."

    def draw(cells: int) -> str:
        parts = ink.parts(shares, cells)
        rest = " " * (cells - sum(map(len, parts)))
        return "".join(ink.tint(part, tint) for part, tint in zip(parts, SIDES, strict=False)) + rest

    return draw


def people(facts: dict[str, Any], ink: Ink) -> list[str]:
    "Accounts and orders, and the largest loser."
    counted = (
        f"{words.several(facts['n_accounts'], 'account')}, {words.several(facts['n_orders'], 'order')} of exchanges"
    )
    who = f"; largest {words.account(facts['largest_account'])}, {words.money(facts['largest_account_usd'])}"
    return ink.wrapped(counted + (who if facts["largest_account"] else ""))


def reported(facts: dict[str, Any], ink: Ink) -> list[str]:
    "The range that third parties reported, with our total as the point."
    low, high, ours = facts["reported_low_usd"], facts["reported_high_usd"], facts["total_usd"]
    if low is None or high is None:
        return []
    most = max(high, ours or 0.0) * 1.05
    point = None if ours is None else ours / most
    told = words.money(low) if low == high else f"{words.money(low)} to {words.money(high)}"
    rows = [("reported", partial(ink.span, low / most, high / most, None), told)]
    if point is not None:
        rows.append(("stored", partial(ink.span, point, point, None), words.money(ours)))
    return ink.rows(rows)


def venues(picture: Picture, ink: Ink) -> list[str]:
    "From what a venue showed to what its feed may hide, on a scale of powers of ten; its place and completeness."
    rows = picture.table.filter(pl.col("floor_rank").is_not_null() & (pl.col("low_usd") > 0)).to_dicts()
    place = log_scale([row["low_usd"] for row in rows] + [row["high_usd"] for row in rows])
    return ink.rows(
        [
            (
                f"{words.venue(row['venue'])}",
                partial(ink.span, place(row["low_usd"]), place(row["high_usd"]), place(row["low_usd"])),
                f"{words.money(row['low_usd'])} {ordinal(row)} {row['completeness'] or words.UNKNOWN}",
            )
            for row in rows[:MOST_LINES]
        ]
    ) + more(rows, "venue")  # fmt: skip


def ordinal(row: dict[str, Any]) -> str:
    "`#1`, or `#1-3` where what feeds hide could change it."
    return (
        f"#{row['best_rank']}" if row["best_rank"] == row["worst_rank"] else f"#{row['best_rank']}-{row['worst_rank']}"
    )


def log_scale(values: Sequence[float]) -> Callable[[float], float]:
    "Positive values as places from 0 to 1 by their logarithm."
    known = [math.log10(value) for value in values if value > 0]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    reach = (high - low) or 1.0
    return lambda value: (math.log10(value) - low) / reach if value > 0 else 0.0


def assets(picture: Picture, ink: Ink) -> list[str]:
    "Assets in the order in which half of their value had fallen, with the lag."
    rows = picture.table.filter((pl.col("dimension") == "asset") & pl.col("forced_usd").is_not_null()).to_dicts()
    most = max((row["forced_usd"] for row in rows), default=0.0) or 1.0
    reference = picture.facts.get("reference")
    return ink.rows(
        [
            (
                row["key"],
                partial(ink.bar, row["forced_usd"] / most),
                f"{words.money(row['forced_usd'])} {lag(row, reference)}",
            )
            for row in rows[:MOST_LINES]
        ]
    ) + more(rows, "asset")  # fmt: skip


def lag(row: dict[str, Any], reference: str | None) -> str:
    "How long after the reference asset, or before it."
    seconds = row["lag_seconds"]
    if seconds is None or row["key"] == reference:
        return "reference" if row["key"] == reference else words.clock(row["t50_at"])
    return (
        f"{words.lasting(abs(seconds))} {'after' if seconds > 0 else 'before' if seconds < 0 else 'with'} {reference}"
    )


def whales(picture: Picture, ink: Ink) -> list[str]:
    "Accounts by what they lost, the way of their money below each."
    rows = picture.table.filter(pl.col("forced_usd").is_not_null()).to_dicts()
    most = max((row["forced_usd"] for row in rows), default=0.0) or 1.0
    shown = rows[:MOST_LINES]
    bars = ink.rows(
        [
            (
                words.account(row["account"]) + (f" ({row['entity']})" if row["entity"] else ""),
                partial(ink.bar, row["forced_usd"] / most),
                f"{words.money(row['forced_usd'])} {words.share(row['total_share'])} {row['venues']}",
            )
            for row in shown
        ]
    )  # fmt: skip
    ways = picture.other("whales/path").to_dicts()
    lines = []
    for row, line in zip(shown, bars, strict=True):
        mine = [way for way in ways if way["account"] == row["account"]]
        lines.append(line)
        for index, way in enumerate(mine):
            branch = ink.glyphs.last if index == len(mine) - 1 else ink.glyphs.branch
            hops = words.several(way["n_hops"], "transfer")
            text = (
                f"{words.money(way['path_usd'])} to {way['end_label'] or words.account(way['end_address'])} in {hops}"
            )
            lines.append(set_cell_size(f"  {branch}{ink.text(text)}", ink.width).rstrip())
    return lines + more(rows, "account")


def flows(picture: Picture, ink: Ink) -> list[str]:
    "Value sent to exchanges an hour in each phase, the usual level as a tick."
    rows = [row for row in picture.table.to_dicts() if row["to_exchange_usd_per_hour"] is not None]
    levels = [row[name] or 0.0 for row in rows for name in ("to_exchange_usd_per_hour", "baseline_usd_per_hour")]
    most = max(levels, default=0.0) or 1.0
    return ink.rows(
        [
            (
                PHASES.get(row["phase"], row["phase"]),
                partial(ticked, ink, row["to_exchange_usd_per_hour"] / most, row["baseline_usd_per_hour"], most),
                "not covered" if row["phase"] in picture.facts.get("unseen", ())
                else f"{words.money(row['to_exchange_usd_per_hour'])}/h or more: not all is covered"
                if row["phase"] in picture.facts.get("partly", ())
                else f"{words.money(row['to_exchange_usd_per_hour'])}/h" + (
                    f" usual {words.money(row['baseline_usd_per_hour'])}/h" if row["baseline_usd_per_hour"] is not None else ""
                ),
            )
            for row in rows
        ]
    )  # fmt: skip


def ticked(ink: Ink, share: float, usual: float | None, most: float, cells: int) -> str:
    "A bar with a tick where the usual level stands."
    line = list(ink.bar(share, cells).ljust(cells))
    if usual is not None:
        line[min(round(usual / most * (cells - 1)), cells - 1)] = ink.glyphs.tick
    return "".join(line)


def liquidators(picture: Picture, ink: Ink) -> list[str]:
    "By month and venue: what the largest liquidator took of all."
    rows = picture.table.to_dicts()
    return ink.rows(
        [
            (
                f"{row['month_at']:%Y-%m} {row['venue'] if row['venue'] == 'all' else words.venue(row['venue'])}",
                partial(ink.bar, row["top1_share"] or 0.0),
                f"largest {words.share(row['top1_share'])} of {words.money(row['seized_usd'])}",
            )
            for row in rows[:MOST_LINES]
        ]
    ) + more(rows, "line")  # fmt: skip


def feedback(picture: Picture, ink: Ink) -> list[str]:
    "Pairs over what chance gives by distance, with the band of chance."
    rows = [row for row in picture.other("finish.pair_z").to_dicts() if row["pair_excess"] is not None]
    most = max((max(row["pair_excess"], row["null_high"]) for row in rows), default=1.0) * 1.05
    return ink.rows(
        [
            (
                f"{row['tau_seconds']:g} s",
                partial(banded, ink, row, most),
                f"{row['pair_excess']:.2f} (chance {row['null_low']:.2f} to {row['null_high']:.2f})",
            )
            for row in rows
        ]
    )  # fmt: skip


def banded(ink: Ink, row: dict[str, Any], most: float, cells: int) -> str:
    "The band of chance with the value as a point, on the band or beside it."
    line = list(ink.span(row["null_low"] / most, row["null_high"] / most, None, cells))
    line = [ink.glyphs.line if sign == ink.glyphs.point else sign for sign in line]
    line[min(round(row["pair_excess"] / most * (cells - 1)), cells - 1)] = ink.glyphs.point
    return "".join(line)


def leverage(picture: Picture, ink: Ink) -> list[str]:
    "Days as points: open interest to the right, price up; signal days by name."
    known = picture.table.filter(pl.col("oi_change").is_not_null() & pl.col("price_change").is_not_null()).to_dicts()
    if not known:
        return []
    reach_x = max(abs(row["oi_change"]) for row in known) or 1.0
    reach_y = max(abs(row["price_change"]) for row in known) or 1.0
    cells, n_rows = min(ink.width, 61), 9
    grid = [[" "] * cells for _ in range(n_rows)]
    for column in range(cells):
        grid[n_rows // 2][column] = ink.glyphs.line
    for line in grid:
        line[cells // 2] = ink.glyphs.tick
    for row in known:
        across = round((row["oi_change"] / reach_x + 1) / 2 * (cells - 1))
        down = round((1 - row["price_change"] / reach_y) / 2 * (n_rows - 1))
        grid[down][across] = "*" if row["is_signal"] else ink.glyphs.point
    edges = f"open interest -{words.share(reach_x)} to +{words.share(reach_x)} across, price the same {words.share(reach_y)} up; *: signal"
    return [*("".join(line).rstrip() for line in grid), *ink.wrapped(edges)]


def past_events(picture: Picture, ink: Ink) -> list[str]:
    "Nights by reported total, on a scale of powers of ten."
    rows = picture.table.to_dicts()
    place = log_scale([row[name] for row in rows for name in ("reported_low_usd", "reported_high_usd")])
    mine = picture.facts.get("this_event")
    return ink.rows(
        [
            (
                f"{'> ' if row['event'] == mine else ''}{row['day']} {row['event']}",
                partial(
                    ink.span, place(row["reported_low_usd"]), place(row["reported_high_usd"]), place(row["reported_median_usd"])
                ),
                words.money(row["reported_median_usd"]),
            )
            for row in rows[:MOST_LINES]
        ]
    ) + more(rows, "night")  # fmt: skip


def headline(picture: Picture, ink: Ink) -> list[str]:
    "A line a stated figure: a mark, the claim, our value; the reason below it."
    lines = []
    for row in picture.table.to_dicts():
        kind, tint = {CONFIRMED: ("yes", "good"), CONTRADICTED: ("no", "bad")}.get(row["verdict"], ("open", "faint"))
        head, *rest = ink.wrapped(f"{ink.glyphs.marks[kind]} {row['claim']}: {row['verdict']}{ours(row)}")
        asked = f" [{row['query']}]" if row["query"] else ""
        lines += [ink.tint(head, tint), *rest, *ink.wrapped(f"{row['reason']}{asked}", "    ")]
    return lines


def ours(row: dict[str, Any]) -> str:
    "Our value in the unit of the figure, where it is one of the kind."
    forms = {"usd": words.money, "share": words.share, "count": words.count}
    if row["ours"] is None or row["unit"] not in forms:
        return ""
    return f", ours {forms[row['unit']](row['ours'])}"


def more(rows: Sequence[object], noun: str) -> list[str]:
    "How many lines are left out."
    left = len(rows) - MOST_LINES
    return [f"and {words.several(left, f'more {noun}')}"] if left > 0 else []
