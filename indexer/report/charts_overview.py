"""Drawings of the overview: scoreboard, hours, DeFi beside exchanges, venues."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from indexer.report import words
from indexer.report.canvas import (
    Sheet,
    clipped,
    inner,
    magnitudes,
    money_axis,
    named_y,
    note,
    price_line,
    rows,
    stacked,
    time_x,
)
from indexer.report.palette import LIGHT

if TYPE_CHECKING:
    from indexer.report.picture import Picture

MOST_VENUES = 14
SECTORS = (
    ("defi_perp_usd", "perp", "perps"),
    ("defi_lending_usd", "lending", "lending"),
    ("defi_cdp_usd", "cdp", "CDPs"),
)


def edges(picture: Picture) -> tuple[dt.datetime, dt.datetime]:
    "The window that the picture's rows were asked for."
    return dt.datetime.fromisoformat(picture.params["since"]), dt.datetime.fromisoformat(picture.params["until"])


def scoreboard(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401 - any of altair's chart classes
    "Longs and shorts of both kinds of venue as bars, the reported range as a line over the same axis."
    facts = picture.facts
    parts: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    order = []
    for kind, name in (("defi", "On chain"), ("cefi", "Exchanges")):
        total = facts[f"{kind}_usd"]
        order.append(name)
        ends.append(
            {"row": name, "at": total or 0, "text": words.money(total) if total is not None else "not observed"}
        )
        at = 0.0
        for side in ("long", "short", "unsided"):
            known = (facts[f"{kind}_long_usd"] or 0, facts[f"{kind}_short_usd"] or 0)
            usd = {"long": known[0], "short": known[1], "unsided": max((total or 0) - sum(known), 0)}[side]
            parts.append({"row": name, "from": at, "to": at + usd, "colour": LIGHT[side]})
            at += usd
    y = named_y("row", [*order, "Reported"], 80)
    top = max([*(end["at"] for end in ends), facts["reported_high_usd"] or 0]) or 1
    domain = [0, top * (1.22 if sheet.is_wide else 1.7)]
    x_axis = alt.X(
        "from:Q", axis=money_axis(ticks=4 if sheet.is_wide else 3), scale=alt.Scale(domain=domain), title=None
    )
    bars = (
        alt.Chart(rows(parts))
        .mark_bar(height=18)
        .encode(x=x_axis, x2="to:Q", y=y, color=alt.Color("colour:N", scale=None))
    )
    labels = alt.Chart(rows(ends)).mark_text(align="left", dx=6, fontWeight="bold").encode(x="at:Q", y=y, text="text:N")
    at, legend = 0, []
    for side, name in (("long", "longs"), ("short", "shorts"), ("unsided", "side unknown")):
        if any(part["colour"] == LIGHT[side] and part["to"] > part["from"] for part in parts):
            legend.append(note(f"■ {name}", side if side != "unsided" else "muted", at, -18))
            at += 24 + 7 * len(name)
    layers = [bars, labels, *legend]
    if facts["n_reported"]:
        low, high = facts["reported_low_usd"], facts["reported_high_usd"]
        text = words.spread(low, high)
        span = rows([{"row": "Reported", "from": low, "to": high, "text": text}])
        line = alt.Chart(span).mark_rule(strokeWidth=3, color=LIGHT["ink"]).encode(x="from:Q", x2="to:Q", y=y)
        ticks = alt.Chart(span).transform_fold(["from", "to"], as_=["edge", "at"]).mark_tick(
            thickness=2, height=16, color=LIGHT["ink"]
        ).encode(x="at:Q", y=y)  # fmt: skip
        told = alt.Chart(span).mark_text(align="left", dx=8).encode(x="to:Q", y=y, text="text:N")
        layers += [line, ticks, told]
    return alt.layer(*layers).properties(width=sheet.width - 200, height=34 * (2 + bool(facts["n_reported"])))


def gaps(table: pl.DataFrame, seconds: float, column: str, until: dt.datetime) -> list[dict[str, Any]]:
    "Steps that a side does not cover: from and to."
    missing = table.filter(pl.col(column) < 1 - 1e-9).with_columns(
        bucket_end=pl.col("bucket_at") + pl.duration(seconds=int(seconds))
    )
    return [
        {"bucket_at": row["bucket_at"], "bucket_end": min(row["bucket_end"], until)}
        for row in missing.select("bucket_at", "bucket_end").to_dicts()
        if row["bucket_at"] < until
    ]


def inside(table: pl.DataFrame, window: tuple[dt.datetime, dt.datetime], seconds: float) -> pl.DataFrame:
    "Steps of a series whose edges the window cuts are whole inside it: the cut part is not asked for, so not missing."
    since, until = window
    length = dt.timedelta(seconds=seconds)
    is_cut = (pl.col("bucket_at") < since) | (pl.col("bucket_at") + length > until)
    return table.filter(~is_cut)


def hours(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Shorts up, longs down, the price above."
    window, seconds = edges(picture), picture.facts["step_seconds"]
    beside = picture.other("cefi/side_by_side")
    width, height = inner(sheet), 230 if sheet.is_wide else 190
    priced = picture.table.filter(pl.col("long_usd").is_not_null())
    bars = clipped(priced, window, seconds).with_columns(down=-pl.col("long_usd"), zero=pl.lit(0.0))
    x = time_x("bucket_at", *window, wide=sheet.is_wide)
    y_axis = money_axis(ticks=6)
    layers: list[alt.Chart | alt.LayerChart] = []
    if uncovered := gaps(inside(beside, window, seconds), seconds, "defi_covered_share", window[1]):
        layers.append(alt.Chart(rows(uncovered)).mark_rect(color=LIGHT["hatch_gap"]).encode(x=x, x2="bucket_end:T"))
        layers.append(note("hatched: not covered", "muted", 6, height / 2 - 16))
    data = rows(bars.select("bucket_at", "bucket_end", "short_usd", "down", "zero"))
    for column, side in (("short_usd", "short"), ("down", "long")):
        y = alt.Y(f"{column}:Q", axis=y_axis, title=None)
        layers.append(alt.Chart(data).mark_rect(color=LIGHT[side]).encode(x=x, x2="bucket_end:T", y=y, y2="zero:Q"))
    peak = bars.sort(pl.max_horizontal("long_usd", "short_usd")).tail(1).to_dicts()[0]
    is_long = peak["long_usd"] >= peak["short_usd"]
    middle = peak["bucket_at"] + (peak["bucket_end"] - peak["bucket_at"]) / 2
    is_late = middle - window[0] > (window[1] - window[0]) * 0.75
    told = {
        "at": middle,
        "usd": peak["down"] if is_long else peak["short_usd"],
        "text": words.money(max(peak["long_usd"], peak["short_usd"])),
    }
    layers.append(
        alt.Chart(rows([told]))
        .mark_text(
            align="right" if is_late else "left", dx=-8 if is_late else 8, dy=-6 if is_long else 6, fontWeight="bold"
        )
        .encode(x="at:T", y="usd:Q", text="text:N")
    )
    layers += [
        note("shorts closed ↑", "short", 0, -17, fontWeight="bold"),
        note("longs closed ↓", "long", 110, -17, fontWeight="bold"),
    ]
    return stacked(
        [
            price_line(beside, sheet, window, picture.facts["asset"]),
            alt.layer(*layers).properties(width=width, height=height),
        ]
    )


def side_by_side(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "A bar a side with the estimate hatched, above both sides step by step."
    return stacked([both_totals(picture, sheet), both_series(picture, sheet)])


def both_totals(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "DeFi by sector, exchanges as floor and hatched estimate, each with its completeness."
    facts = picture.facts
    parts, order, at = [], ["DeFi", "Exchanges"], 0.0
    for column, colour, name in SECTORS:
        usd = facts[column] or 0
        parts.append({"row": "DeFi", "from": at, "to": at + usd, "colour": LIGHT[colour], "name": name})
        at += usd
    floor, low, high = facts["cefi_floor_usd"], facts["estimate_low_usd"], facts["estimate_high_usd"]
    if floor is not None:
        parts.append({"row": "Exchanges", "from": 0, "to": floor, "colour": LIGHT["cefi"], "name": "floor"})
        if high is not None and high > floor:
            parts.append(
                {"row": "Exchanges", "from": floor, "to": high, "colour": LIGHT["hatch_cefi"], "name": "estimate"}
            )
    observed = "not observed" if floor is None else f"{words.money(floor)} floor"
    guess = f", estimate {words.spread(low, high)}" if low is not None and sheet.is_wide else ""
    badge = completeness(facts["cefi_completeness"]) if sheet.is_wide else ""
    defi = words.money(facts["defi_usd"]) if facts["defi_usd"] is not None else "nothing priced"
    defi_badge = completeness(facts["defi_completeness"])
    ends: list[dict[str, Any]] = [
        {"row": "DeFi", "at": facts["defi_usd"] or 0, "text": defi + defi_badge},
        {"row": "Exchanges", "at": max(floor or 0, high or 0), "text": observed + guess + badge},
    ]
    top = max(end["at"] for end in ends) or 1
    y = named_y("row", order, 80)
    room = 0.55 if sheet.is_wide else 0.5  # of the width, kept for the words behind the bars
    x = alt.X("from:Q", axis=None, scale=alt.Scale(domain=[0, top / room]))
    bars = (
        alt.Chart(rows(parts)).mark_bar(height=16).encode(x=x, x2="to:Q", y=y, color=alt.Color("colour:N", scale=None))
    )
    labels = alt.Chart(rows(ends)).mark_text(align="left", dx=6, limit=320).encode(x="at:Q", y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=sheet.width - 100, height=56)


def completeness(classes: str) -> str:
    "The completeness of a side as a badge."
    if not classes:
        return ""
    return f" · {'feeds of mixed completeness' if ',' in classes else classes}"


def both_series(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "DeFi up by sector, exchanges down, gaps hatched."
    window, seconds = edges(picture), picture.facts["step_seconds"]
    width, height = inner(sheet), 230
    table = clipped(picture.table, window, seconds)
    x = time_x("bucket_at", *window, wide=sheet.is_wide)
    layers: list[alt.Chart] = []
    stack, under = [], pl.lit(0.0)
    for column, colour, _ in SECTORS:
        over = under + pl.col(column).fill_null(0)
        stack.append(
            table.select("bucket_at", "bucket_end", low=under, high=over).with_columns(colour=pl.lit(LIGHT[colour]))
        )
        under = over
    down = table.filter(pl.col("cefi_floor_usd").is_not_null())
    stack.append(
        down.select("bucket_at", "bucket_end", low=-pl.col("cefi_floor_usd"), high=pl.lit(0.0)).with_columns(
            colour=pl.lit(LIGHT["cefi"])
        )
    )
    bars = pl.concat(stack).filter(pl.col("high") > pl.col("low"))
    y = alt.Y("low:Q", axis=money_axis(ticks=6), title=None)
    whole = inside(table, window, seconds)
    has_cefi = bool(down.height)
    if uncovered := gaps(whole, seconds, "defi_covered_share", window[1]):
        layers.append(alt.Chart(rows(uncovered)).mark_rect(color=LIGHT["hatch_gap"]).encode(x=x, x2="bucket_end:T"))
    layers.append(
        alt.Chart(rows(bars))
        .mark_rect()
        .encode(x=x, x2="bucket_end:T", y=y, y2="high:Q", color=alt.Color("colour:N", scale=None))
    )
    at = 0
    for column, colour, name in SECTORS:
        if picture.facts[column]:
            layers.append(note(f"■ {name}", colour, at, -17))
            at += 18 + 7 * len(name)
    if has_cefi:
        layers.append(note("■ exchanges ↓", "cefi", at, -17))
    if uncovered:
        layers.append(note("hatched: on-chain side not covered", "muted", 6, 2))
    return alt.layer(*layers).properties(width=width, height=height)


def venues(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "A dot for what was observed, a line up to what the feed allows."
    table = picture.table.filter(pl.col("floor_rank").is_not_null() & (pl.col("low_usd") > 0)).head(MOST_VENUES)
    listed = [
        {
            "row": words.venue(row["venue"]), "low": row["low_usd"], "high": row["high_usd"],
            "colour": LIGHT["cefi" if row["venue_kind"] == "cefi" else "lending"],
            "text": words.money(row["low_usd"])
            + (f" · {row['completeness'] or 'unknown'}" if sheet.is_wide else "")
            + (f" · place {row['best_rank']} to {row['worst_rank']}" if row["best_rank"] != row["worst_rank"] and sheet.is_wide else ""),
        }
        for row in table.to_dicts()
    ]  # fmt: skip
    order = [row["row"] for row in listed]
    y = named_y("row", order, 120)
    top = max(row["high"] for row in listed)
    bottom = min(row["low"] for row in listed)
    room = 0.8 if sheet.is_wide else 0.45  # of the axis, added for the words behind the dots
    x = alt.X(
        "low:Q", axis=money_axis(values=magnitudes(bottom * 0.7, top), grid=True, gridColor=LIGHT["grid"]),
        title=None,
        scale=alt.Scale(type="log", domain=[bottom * 0.7, top * (1.4 * top / bottom) ** room], nice=False),
    )  # fmt: skip
    data = rows(listed)
    colour = alt.Color("colour:N", scale=None)
    whisker = alt.Chart(data).mark_rule(strokeWidth=3, opacity=0.45).encode(x=x, x2="high:Q", y=y, color=colour)
    dots = alt.Chart(data).mark_circle(size=70, opacity=1).encode(x=x, y=y, color=colour)
    labels = alt.Chart(data).mark_text(align="left", dx=9).encode(x="high:Q", y=y, text="text:N")
    return alt.layer(whisker, dots, labels).properties(width=sheet.width - 150, height=26 * len(listed))
