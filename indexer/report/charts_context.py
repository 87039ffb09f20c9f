"""Drawings of who and of what surrounds: accounts, flows, liquidators, leverage, past events, coverage."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from indexer.report import words
from indexer.report.actors import PHASES
from indexer.report.canvas import PERCENT, Sheet, inner, magnitudes, money_axis, named_y, note, rows, stacked, time_x
from indexer.report.charts_overview import edges
from indexer.report.palette import LIGHT

if TYPE_CHECKING:
    from indexer.report.picture import Picture

MOST_SOURCES = 24
FEW = 2
HATCHED_BELOW = 1e-9


def whales(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401 - any of altair's chart classes
    "A bar an account, with the end of its path."
    ends: dict[str, str] = {}
    for path in picture.other("whales/path").sort("path_usd", descending=True).to_dicts():
        ends.setdefault(path["account"], f" → {path['end_label']} ({words.several(path['n_hops'], 'hop')})")
    listed = [
        {
            "row": row["entity"] or words.account(row["account"]), "usd": row["forced_usd"],
            "text": words.money(row["forced_usd"]) + (held(row) if sheet.is_wide else "")
            + ends.get(row["account"], ""),
        }
        for row in picture.table.filter(pl.col("forced_usd").is_not_null()).to_dicts()
    ]  # fmt: skip
    top = max(row["usd"] for row in listed)
    y = named_y("row", [row["row"] for row in listed], 110)
    x = alt.X("usd:Q", axis=None, scale=alt.Scale(domain=[0, top / (0.5 if sheet.is_wide else 0.42)]))
    data = rows(listed)
    bars = alt.Chart(data).mark_bar(height=16, color=LIGHT["long"]).encode(x=x, y=y)
    labels = alt.Chart(data).mark_text(align="left", dx=6).encode(x=x, y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=sheet.width - 118, height=25 * len(listed))


def held(row: dict[str, Any]) -> str:
    "What an account held, and where."
    assets, venues = row["assets"].split(","), row["venues"].split(",")
    of_what = words.listed(assets) if len(assets) <= FEW else words.several(len(assets), "asset")
    where = words.listed(map(words.venue, venues)) if len(venues) <= FEW else words.several(len(venues), "venue")
    return f" · {of_what} on {where}"


def flows(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Sent to exchanges an hour by phase, the usual level as a tick."
    listed = []
    for row in picture.table.to_dicts():
        ratio = row["baseline_ratio"]
        is_unseen = row["phase"] in picture.facts.get("unseen", ())
        rate = None if is_unseen else row["to_exchange_usd_per_hour"]
        usual = f" · {ratio:.1f} times the usual" if ratio is not None else " · usual level unknown"
        if row["phase"] in picture.facts.get("partly", ()):
            usual = " or more: not all is covered"
        listed.append(
            {
                "row": PHASES.get(row["phase"], row["phase"]), "usd": rate, "usual": row["baseline_usd_per_hour"],
                "text": "not covered" if is_unseen else words.money(rate) + usual,
                "at": max(rate or 0, row["baseline_usd_per_hour"] or 0),
            }
        )  # fmt: skip
    top = max(row["at"] for row in listed) or 1
    y = named_y("row", [row["row"] for row in listed], 90)
    x = alt.X("usd:Q", axis=None, scale=alt.Scale(domain=[0, top / (0.68 if sheet.is_wide else 0.45)]))
    data = rows(listed)
    bars = alt.Chart(data).mark_bar(height=16, color=LIGHT["short"]).encode(x=x, y=y)
    usual = alt.Chart(rows([row for row in listed if row["usual"] is not None])).mark_tick(
        thickness=3, height=22, color=LIGHT["ink"]
    ).encode(x="usual:Q", y=y)  # fmt: skip
    labels = alt.Chart(data).mark_text(align="left", dx=8).encode(x="at:Q", y=y, text="text:N")
    panel = alt.layer(bars, usual, labels).properties(width=sheet.width - 96, height=30 * len(listed))
    return panel.properties(title=alt.Title("to exchanges, US dollars an hour; tick: usual level", **SMALL))


SMALL: dict[str, Any] = {
    "fontSize": 11.5, "fontWeight": "normal", "color": LIGHT["muted"], "anchor": "start", "frame": "group", "offset": 8,
}  # fmt: skip


def liquidators(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Shares of the largest and of the five largest, for all and each venue of the last month; the HHI by month above."
    months = picture.table.filter(pl.col("venue") == "all").sort("month_at")
    last = picture.table.filter(pl.col("month_at") == picture.table["month_at"].max())
    order = last.sort("seized_usd", descending=True).head(12).to_dicts()
    listed = [
        {
            "row": "all venues" if row["venue"] == "all" else words.venue(row["venue"]),
            "one": row["top1_share"], "five": row["top5_share"],
            "text": f"{words.share(row['top1_share'])} the largest of {row['n_liquidators']}",
        }
        for row in order
    ]  # fmt: skip
    y = named_y("row", [row["row"] for row in listed], 100)
    domain = alt.Scale(domain=[0, 1.45 if sheet.is_wide else 1.9])
    x = alt.X("five:Q", axis=alt.Axis(title=None, values=[0, 0.5, 1], labelExpr=PERCENT), scale=domain)
    data = rows(listed)
    five = alt.Chart(data).mark_bar(height=16, color=LIGHT["band"]).encode(x=x, y=y)
    one = alt.Chart(data).mark_bar(height=16, color=LIGHT["lending"]).encode(x=alt.X("one:Q", scale=domain), y=y)
    labels = alt.Chart(data).mark_text(align="left", dx=6).encode(x="five:Q", y=y, text="text:N")
    title = (
        f"share of seized collateral, {words.at(order[0]['month_at'])[:7]}: the largest (dark), the five largest (pale)"
    )
    bars = alt.layer(five, one, labels).properties(
        width=sheet.width - 112,
        height=26 * len(listed),
        title=alt.Title(title if sheet.is_wide else title.split(":", maxsplit=1)[0], **SMALL),
    )
    if months.height == 1:
        return bars
    window = (months["month_at"][0], months["month_at"][-1])
    line = (
        alt.Chart(rows(months))
        .mark_line(color=LIGHT["lending"], point=alt.OverlayMarkDef(color=LIGHT["lending"]))
        .encode(
            x=time_x("month_at", *window, wide=sheet.is_wide),
            y=alt.Y("hhi:Q", axis=alt.Axis(title=None, tickCount=4, format=",~r")),
        )
        .properties(width=sheet.width - 112, height=110, title=alt.Title("concentration (HHI) by month", **SMALL))
    )
    return stacked([line, bars])


def leverage(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Days by change of open interest and of price; signal days marked."
    table = picture.table.filter(pl.col("oi_change").is_not_null() & pl.col("price_change").is_not_null())
    up, flat = float(picture.params.get("oi_up", "0.10")), float(picture.params.get("price_up", "0.02"))
    reach = {name: max(abs(v) for v in table[name].to_list()) * 1.15 or 0.1 for name in ("oi_change", "price_change")}
    wide, tall = max(reach["oi_change"], up * 1.5), max(reach["price_change"], flat * 2)
    x = alt.X(
        "oi_change:Q",
        axis=alt.Axis(title="change of open interest", labelExpr=PERCENT, tickCount=6),
        scale=alt.Scale(domain=[-wide, wide]),
    )
    y = alt.Y(
        "price_change:Q",
        axis=alt.Axis(title="change of price", labelExpr=PERCENT, tickCount=6),
        scale=alt.Scale(domain=[-tall, tall]),
    )
    corner = alt.Chart(rows([{"oi_change": up, "to": wide, "price_change": -tall, "top": flat}])).mark_rect(color=LIGHT["wave"]).encode(
        x=x, x2="to:Q", y=y, y2="top:Q"
    )  # fmt: skip
    listed = [
        {
            **row,
            "colour": LIGHT["long" if row["is_signal"] else "unsided"],
            "text": f"{row['asset']} {row['day']:%d %b}",
        }
        for row in table.select("oi_change", "price_change", "is_signal", "asset", "day").to_dicts()
    ]
    axes = [
        alt.Chart(rows([{"zero": 0}])).mark_rule(color=LIGHT["rule"]).encode(x="zero:Q"),
        alt.Chart(rows([{"zero": 0}])).mark_rule(color=LIGHT["rule"]).encode(y="zero:Q"),
    ]
    dots = (
        alt.Chart(rows(listed))
        .mark_circle(size=48, opacity=0.85)
        .encode(x=x, y=y, color=alt.Color("colour:N", scale=None))
    )
    told = note("leverage up, price not", "muted", inner(sheet) - 4, 284, align="right", baseline="bottom")
    return alt.layer(corner, *axes, dots, told).properties(width=inner(sheet, 66), height=290)


def past_events(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "A line from the lowest to the highest reported total of each night, this one marked."
    this = picture.facts["this_event"]
    most = 25 if sheet.is_wide else 16
    table = (
        picture.table.head(most)
        if this is None
        else picture.table.filter((pl.col("rank") <= most) | (pl.col("event") == this))
    )
    listed = [
        {
            "row": f"{row['event']} · {row['day']:%b %Y}" if sheet.is_wide else str(row["event"]), "low": row["reported_low_usd"],
            "high": row["reported_high_usd"], "middle": row["reported_median_usd"],
            "text": words.money(row["reported_median_usd"]) + ("  ← this night" if row["event"] == this else ""),
            "colour": LIGHT["long" if row["event"] == this else "muted"],
        }
        for row in table.to_dicts()
    ]  # fmt: skip
    y = named_y("row", [row["row"] for row in listed], 230 if sheet.is_wide else 140)
    top, bottom = max(row["high"] for row in listed), min(row["low"] for row in listed)
    scale = alt.Scale(type="log", domain=[bottom * 0.8, top * (2.4 if sheet.is_wide else 6)], nice=False)
    x = alt.X(
        "low:Q",
        axis=money_axis(values=magnitudes(bottom * 0.8, top), grid=True, gridColor=LIGHT["grid"]),
        title=None,
        scale=scale,
    )
    data, colour = rows(listed), alt.Color("colour:N", scale=None)
    spans = alt.Chart(data).mark_rule(strokeWidth=3, opacity=0.5).encode(x=x, x2="high:Q", y=y, color=colour)
    dots = alt.Chart(data).mark_circle(size=46, opacity=1).encode(x=alt.X("middle:Q", scale=scale), y=y, color=colour)
    labels = alt.Chart(data).mark_text(align="left", dx=8, color=LIGHT["ink"]).encode(x="high:Q", y=y, text="text:N")
    return alt.layer(spans, dots, labels).properties(
        width=sheet.width - (246 if sheet.is_wide else 156), height=20 * len(listed)
    )


def coverage(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "One line a source: filled where covered, hatched where not."
    window = edges(picture)
    length = dt.timedelta(seconds=picture.facts["step_seconds"])
    table = picture.table.with_columns(
        row=pl.col("source").map_elements(words.venue, return_dtype=pl.String)
        + pl.when(pl.col("chain").is_null() | ~pl.lit(sheet.is_wide))
        .then(pl.lit(""))
        .otherwise(" · " + pl.col("chain").fill_null("")),
        bucket_end=pl.min_horizontal(pl.col("bucket_at").dt.truncate("1m") + length, pl.lit(window[1])),
    )
    order = table["row"].unique(maintain_order=True).to_list()[:MOST_SOURCES]
    shown = table.filter(pl.col("row").is_in(order))
    y = named_y("row", order, 170 if sheet.is_wide else 110)
    x = time_x("bucket_at", *window, wide=sheet.is_wide)
    ends = {"x": x, "x2": "bucket_end:T", "y": y}
    bars: dict[str, Any] = {"height": 15, "stroke": LIGHT["paper"], "strokeWidth": 1}
    gaps = shown.filter(pl.col("covered_share") < 1 - HATCHED_BELOW)
    known = shown.filter(pl.col("covered_share") > HATCHED_BELOW)
    layers = []
    if gaps.height:
        layers.append(
            alt.Chart(rows(gaps.select("row", "bucket_at", "bucket_end")))
            .mark_bar(color=LIGHT["hatch_gap"], **bars)
            .encode(**ends)
        )
    if known.height:
        shade = alt.Opacity("covered_share:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 1]))
        data = rows(known.select("row", "bucket_at", "bucket_end", "covered_share"))
        layers.append(alt.Chart(data).mark_bar(color=LIGHT["lending"], **bars).encode(**ends, opacity=shade))
    return alt.layer(*layers).properties(width=sheet.width - (190 if sheet.is_wide else 130), height=21 * len(order))
