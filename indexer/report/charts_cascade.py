"""Drawings of the cascade: waves, time and price, order of assets, feedback."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from indexer.report import words
from indexer.report.canvas import Sheet, clipped, inner, money_axis, named_y, note, price_line, rows, stacked, time_x
from indexer.report.charts_overview import edges
from indexer.report.palette import LIGHT

if TYPE_CHECKING:
    from indexer.report.picture import Picture

MOST_ASSETS = 14


def waterfall(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401 - any of altair's chart classes
    "The cascade's bars on its waves, the price above."
    facts = picture.facts
    asked = next(answer for answer in picture.more if answer.query == "report/sides")
    window = (dt.datetime.fromisoformat(asked.params["since"]), dt.datetime.fromisoformat(asked.params["until"]))
    seconds, height = facts["step_seconds"], 220
    waves = picture.other("cascades/waves").sort("wave")
    x = time_x("bucket_at", *window, wide=sheet.is_wide)
    bars = clipped(asked.table.filter(pl.col("long_usd").is_not_null()), window, seconds).with_columns(
        zero=pl.lit(0.0), both=pl.col("long_usd") + pl.col("short_usd")
    )
    bars = bars.with_columns(top=pl.col("both") + pl.col("unsided_usd"))
    data = rows(bars.select("bucket_at", "bucket_end", "zero", "long_usd", "both", "top"))
    y_axis = money_axis(ticks=5)
    peak = max([*bars["top"].to_list(), 1])
    layers: list[alt.Chart] = []
    shaded = waves.filter(pl.col("wave") % 2 == 1).select(bucket_at="wave_start_at", bucket_end="wave_end_at")
    if shaded.height:
        layers.append(alt.Chart(rows(shaded)).mark_rect(color=LIGHT["wave"]).encode(x=x, x2="bucket_end:T"))
    for low, high, colour in (("zero", "long_usd", "long"), ("long_usd", "both", "short"), ("both", "top", "unsided")):
        y = alt.Y(f"{high}:Q", axis=y_axis, title=None, scale=alt.Scale(domain=[0, peak * 1.28], nice=False))
        layers.append(alt.Chart(data).mark_rect(color=LIGHT[colour]).encode(x=x, x2="bucket_end:T", y=y, y2=f"{low}:Q"))
    span = (window[1] - window[0]).total_seconds()
    least = 0.07 if sheet.is_wide else 0.16  # of the width: narrower waves carry their number only in the table
    told = [
        {
            "at": row["wave_start_at"] + (row["wave_end_at"] - row["wave_start_at"]) / 2,
            "text": f"wave {row['wave']}",
            "usd": words.money(row["forced_usd"]),
        }
        for row in waves.to_dicts()
        if (row["wave_end_at"] - row["wave_start_at"]).total_seconds() >= span * least
    ]
    styles: tuple[tuple[str, int, dict[str, Any]], ...] = (("text", 2, {}), ("usd", 16, {"fontWeight": "bold"}))
    for name, dy, style in styles:
        if told:
            layers.append(
                alt.Chart(rows(told))
                .mark_text(baseline="top", color=LIGHT["ink"], **style)
                .encode(x="at:T", y=alt.value(dy), text=f"{name}:N")
            )
    half = facts["start_at"] + dt.timedelta(seconds=facts["half_seconds"] or 0)
    rule = rows([{"at": half}])
    layers += [
        alt.Chart(rule).mark_rule(color=LIGHT["ink"], strokeDash=[3, 3]).encode(x="at:T"),
        alt.Chart(rule).mark_text(align="left", dx=5, baseline="bottom", color=LIGHT["ink"]).encode(
            x="at:T", y=alt.value(height * 0.45), text=alt.value("half reached")
        ),
    ]  # fmt: skip
    prices = picture.other("cefi/side_by_side")
    asset = str(facts["largest_asset"] or "BTC")
    return stacked(
        [price_line(prices, sheet, window, asset), alt.layer(*layers).properties(width=inner(sheet), height=height)]
    )


def price_map(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Cells of time and price, the darker the more was liquidated; the price as a line; sums by price beside."
    window, seconds = edges(picture), picture.facts["step_seconds"]
    height, aside = 300, 130 if sheet.is_wide else 0
    width = inner(sheet, 66) - aside
    table = clipped(picture.table, window, seconds)
    low, high = min(table["price_low"].to_list()), max(table["price_high"].to_list())
    domain = [low - (high - low) * 0.03, high + (high - low) * 0.03]
    scale = alt.Scale(zero=False, nice=False, domain=domain)
    axis = alt.Axis(title=None, labelExpr="'$' + format(datum.value, ',~r')", tickCount=6)
    x = time_x("bucket_at", *window, wide=sheet.is_wide)
    top = max(table["forced_usd"].to_list())
    shade = alt.Opacity("forced_usd:Q", scale=alt.Scale(type="sqrt", domain=[0, top], range=[0.12, 1]))
    data = rows(table.select("bucket_at", "bucket_end", "price_low", "price_high", "forced_usd"))
    cells = alt.Chart(data).mark_rect(color=LIGHT["long"]).encode(
        x=x, x2="bucket_end:T", y=alt.Y("price_low:Q", axis=axis, scale=scale), y2="price_high:Q", opacity=shade
    )  # fmt: skip
    layers = [cells]
    prices = picture.other("cefi/side_by_side").filter(pl.col("reference_price").is_not_null())
    if prices.height:
        layers.append(
            alt.Chart(rows(prices.select("bucket_at", "reference_price")))
            .mark_line(color=LIGHT["ink"], strokeWidth=1.2, interpolate="step-after", clip=True)
            .encode(x=x, y=alt.Y("reference_price:Q", scale=scale))
        )
    layers.append(note("darkest cell " + words.money(top), "long", 6, height - 16))
    grid = alt.layer(*layers).properties(width=width, height=height)
    if not aside:
        return grid
    by_price = (
        table.group_by("price_low", "price_high")
        .agg(pl.col("forced_usd").sum())
        .sort("price_low")
        .with_columns(zero=pl.lit(0.0))
    )
    most = by_price.sort("forced_usd").tail(1).select("price_low", "price_high", "forced_usd").to_dicts()[0]
    label = {
        "at": (most["price_low"] + most["price_high"]) / 2,
        "usd": most["forced_usd"],
        "text": words.money(most["forced_usd"]),
    }
    sums = alt.Chart(rows(by_price)).mark_rect(color=LIGHT["long"]).encode(
        x=alt.X("zero:Q", axis=None, scale=alt.Scale(domain=[0, most["forced_usd"] * 1.6])), x2="forced_usd:Q",
        y=alt.Y("price_low:Q", axis=None, scale=scale), y2="price_high:Q",
    )  # fmt: skip
    told = (
        alt.Chart(rows([label]))
        .mark_text(align="left", dx=4)
        .encode(x="usd:Q", y=alt.Y("at:Q", scale=scale), text="text:N")
    )
    return alt.hconcat(grid, alt.layer(sums, told).properties(width=aside - 14, height=height), spacing=6)


def assets(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "A bar an asset, the earliest half on top, with its lag."
    table = picture.table.filter((pl.col("dimension") == "asset") & pl.col("forced_usd").is_not_null())
    table = table.sort("forced_usd", descending=True).head(MOST_ASSETS).sort("t50_at", "key", nulls_last=True)
    reference = picture.facts["reference"]
    listed = [
        {
            "row": row["key"], "usd": row["forced_usd"], "zero": 0,
            "text": f"{words.money(row['forced_usd'])} · {lag(row, reference)}",
            "colour": LIGHT["ink" if row["key"] == reference else "unsided"],
        }
        for row in table.to_dicts()
    ]  # fmt: skip
    top = max(row["usd"] for row in listed)
    y = named_y("row", [row["row"] for row in listed], 90)
    room = 0.62 if sheet.is_wide else 0.42
    x = alt.X("usd:Q", axis=None, scale=alt.Scale(domain=[0, top / room]))
    data = rows(listed)
    bars = alt.Chart(data).mark_bar(height=16).encode(x=x, y=y, color=alt.Color("colour:N", scale=None))
    labels = alt.Chart(data).mark_text(align="left", dx=6).encode(x=x, y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=sheet.width - 90, height=25 * len(listed))


def lag(row: dict[str, Any], reference: str) -> str:
    "When half of an asset had fallen, as words."
    if row["lag_seconds"] is None:
        return "lag unknown"
    if row["key"] == reference:
        return f"half at {words.clock(row['t50_at'])}"
    early = row["lag_seconds"] < 0
    return f"{words.lasting(abs(row['lag_seconds']))} {'before' if early else 'after'} {reference}"


def feedback(picture: Picture, sheet: Sheet) -> Any:  # noqa: ANN401
    "Pairs over what surrogates give, by distance, on the band of the surrogates."
    table = picture.other("finish.pair_z").filter(pl.col("pair_excess").is_not_null())
    height = 220
    values = table["tau_seconds"].to_list()
    axis = alt.Axis(title="seconds between two liquidations", values=values, format="~g", labelOverlap="greedy")
    x = alt.X("tau_seconds:Q", axis=axis, scale=alt.Scale(type="log", domain=[min(values) * 0.9, max(values) * 1.1]))
    y_axis = alt.Axis(title=None, labelExpr="format(datum.value, '~g') + ' times'", tickCount=5)
    y = alt.Y("pair_excess:Q", axis=y_axis, scale=alt.Scale(zero=False, nice=True))
    data = rows(table)
    band = (
        alt.Chart(data).mark_area(color=LIGHT["band"]).encode(x=x, y=alt.Y("null_low:Q", axis=y_axis), y2="null_high:Q")
    )
    one = alt.Chart(rows([{"one": 1}])).mark_rule(color=LIGHT["muted"], strokeDash=[3, 3]).encode(y="one:Q")
    line = (
        alt.Chart(data)
        .mark_line(color=LIGHT["long"], strokeWidth=2, point=alt.OverlayMarkDef(color=LIGHT["long"], size=45))
        .encode(x=x, y=y)
    )
    edge = inner(sheet) + 6
    words_inside = [
        note("observed pairs over expected", "long", edge, 2, align="right"),
        note("grey: what chance stays within (95%)", "muted", edge, 18, align="right"),
    ]
    return alt.layer(band, one, line, *words_inside).properties(width=inner(sheet), height=height)
