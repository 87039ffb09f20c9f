"""What every drawing shares: axes, labels, times, and how a drawing becomes SVG."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import altair as alt
import polars as pl
import vl_convert

from indexer.report.palette import LIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
MONEY = "(datum.value < 0 ? '-' : '') + (datum.value == 0 ? '0' : '$' + replace(format(abs(datum.value), '.3~s'), 'G', 'B'))"
UNSIGNED = "datum.value == 0 ? '0' : '$' + replace(format(abs(datum.value), '.3~s'), 'G', 'B')"
PERCENT = "format(datum.value, '.0%')"
FEW_MAGNITUDES = 3
HOUR_SPAN, DAY_SPAN = 40 * 3600, 300 * 86400
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": LIGHT["muted"], "titleColor": LIGHT["muted"], "labelFontSize": 11.5, "titleFontSize": 11.5,
        "titleFontWeight": "normal", "grid": True, "gridColor": LIGHT["grid"], "domain": False, "ticks": False, "labelPadding": 6,
    },
    "axisX": {"grid": False, "domain": True, "domainColor": LIGHT["rule"], "ticks": True, "tickColor": LIGHT["rule"], "tickSize": 4},
    "text": {"fontSize": 11.5, "color": LIGHT["ink"], "font": FONT},
    "concat": {"spacing": 8},
    "legend": {"disable": True},
}  # fmt: skip
SPOKEN = re.compile(r' (?:role|aria-roledescription|aria-label|aria-hidden|pointer-events|xmlns:xlink)="[^"]*"')
EMPTY_PATH = re.compile(r'<path class="(?:background|foreground)"[^>]*?(?:/>|></path>)')


class Sheet(NamedTuple):
    "How wide a drawing may be: a page, or a phone."

    name: str
    width: int

    @property
    def is_wide(self) -> bool:
        "Whether there is room beside the drawing."
        return self.width > 500  # noqa: PLR2004


SHEETS = (Sheet("wide", 760), Sheet("narrow", 344))


def svg(chart: Any, sheet: Sheet) -> str:  # noqa: ANN401 - any of altair's chart classes
    "The drawing as SVG in the light colours; it says nothing aloud, that is its figure's part."
    spec = chart.to_dict(validate=False)
    spec["config"] = CONFIG
    if not spec.keys() & {"vconcat", "hconcat"}:
        spec |= {"width": sheet.width, "autosize": {"type": "fit-x", "contains": "padding"}}
    drawn = vl_convert.vegalite_to_svg(spec)
    return EMPTY_PATH.sub("", SPOKEN.sub("", drawn))


def rows(table: pl.DataFrame | Sequence[dict[str, Any]]) -> Any:  # noqa: ANN401 - altair's data has no types
    "Rows as a drawing's own data; instants as UTC."
    listed = table.to_dicts() if isinstance(table, pl.DataFrame) else table
    values = [{name: plain(value) for name, value in row.items()} for row in listed]
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    "A value as JSON has it."
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else value


def time_x(name: str, since: dt.datetime, until: dt.datetime, *, labels: bool = True, wide: bool = True) -> alt.X:
    "A time axis from `since` to `until`."
    span = (until - since).total_seconds()
    form = "%H:%M" if span <= HOUR_SPAN else "%d %b" if span <= DAY_SPAN else "%b %Y"
    axis = alt.Axis(
        title=None, format=form, labels=labels, ticks=labels, tickCount=8 if wide else 4, labelOverlap="greedy"
    )
    domain = [plain(since), plain(until)]
    return alt.X(f"{name}:T", axis=axis, scale=alt.Scale(type="utc", domain=domain))


def money_axis(title: str | None = None, *, signed: bool = False, ticks: int = 5, **more: Any) -> alt.Axis:  # noqa: ANN401
    "An axis in dollars."
    return alt.Axis(title=title, labelExpr=MONEY if signed else UNSIGNED, tickCount=ticks, titleAlign="left", **more)


def magnitudes(low: float, high: float) -> list[float]:
    "Powers of ten from `low` to `high`, with their threefold where they are few."
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > FEW_MAGNITUDES else (1, 3)
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return [value for value in every if low <= value <= high]


def clipped(table: pl.DataFrame, window: tuple[dt.datetime, dt.datetime], seconds: float) -> pl.DataFrame:
    "Rows with the end of their step, both edges cut at the window."
    end = pl.col("bucket_at") + pl.duration(seconds=int(seconds))
    return table.with_columns(
        bucket_at=pl.max_horizontal(pl.col("bucket_at"), pl.lit(window[0])),
        bucket_end=pl.min_horizontal(end, pl.lit(window[1])),
    )


def named_y(name: str, order: list[str], limit: int = 150, **more: Any) -> alt.Y:  # noqa: ANN401
    "One line a name, in the given order."
    axis = alt.Axis(title=None, grid=False, labelLimit=limit, labelColor=LIGHT["ink"], labelPadding=8)
    return alt.Y(f"{name}:N", sort=order, axis=axis, **more)


def note(text: str, colour: str, x: float, y: float, **mark: Any) -> Any:  # noqa: ANN401
    "A word inside the drawing, at pixels."
    style: dict[str, Any] = {"align": "left", "baseline": "top", "color": LIGHT[colour], "fontSize": 11.5} | mark
    chart = alt.Chart(rows([{"text": text}]))
    return chart.mark_text(**style).encode(x=alt.value(x), y=alt.value(y), text="text:N")


def price_line(
    table: pl.DataFrame, sheet: Sheet, edges: tuple[dt.datetime, dt.datetime], asset: str, height: int = 90
) -> Any:  # noqa: ANN401
    "The price of the asset over the steps, or None where none is stored; `table` has bucket_at and reference_price."
    known = table.filter(table["reference_price"].is_not_null()) if table.height else table
    if not known.height:
        return None
    axis = alt.Axis(title=None, labelExpr="'$' + format(datum.value, ',~r')", tickCount=3)
    line = (
        alt.Chart(rows(known.select("bucket_at", "reference_price")))
        .mark_line(color=LIGHT["ink"], strokeWidth=1.6, interpolate="step-after")
        .encode(
            x=time_x("bucket_at", *edges, labels=False, wide=sheet.is_wide),
            y=alt.Y("reference_price:Q", axis=axis, scale=alt.Scale(zero=False, nice=True)),
        )
    )
    return alt.layer(line, note(f"{asset} price", "ink", 0, -17)).properties(width=inner(sheet), height=height)


def inner(sheet: Sheet, left: int = 56) -> int:
    "Width of the plot beside an axis of numbers."
    return sheet.width - left - 12


def stacked(charts: list[Any]) -> Any:  # noqa: ANN401 - any of altair's chart classes
    "Panels one below the other, those that are there."
    there = [chart for chart in charts if chart is not None]
    return there[0] if len(there) == 1 else alt.vconcat(*there, spacing=10)
