"""Every picture as a drawing: SVG for the page, PNG for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.report import palette

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.report.canvas import Sheet
    from indexer.report.picture import Picture


def drawings() -> dict[str, Callable[[Picture, Sheet], Any]]:
    "How each picture is drawn, by its name."
    from indexer.report import charts_cascade, charts_context, charts_overview  # noqa: PLC0415 - altair loads when drawing

    return {
        "scoreboard": charts_overview.scoreboard,
        "hours": charts_overview.hours,
        "side_by_side": charts_overview.side_by_side,
        "cascade": charts_cascade.waterfall,
        "price_map": charts_cascade.price_map,
        "venues": charts_overview.venues,
        "assets": charts_cascade.assets,
        "whales": charts_context.whales,
        "flows": charts_context.flows,
        "liquidators": charts_context.liquidators,
        "feedback": charts_cascade.feedback,
        "leverage": charts_context.leverage,
        "past_events": charts_context.past_events,
        "coverage": charts_context.coverage,
    }


def svgs(picture: Picture) -> dict[str, str]:
    "The picture as SVG that follows the page's theme, by the name of its sheet; empty where there is nothing to draw."
    from indexer.report import canvas  # noqa: PLC0415

    if picture.missing:
        return {}
    return {sheet.name: own_names(palette.themed(drawn(picture, sheet)), picture, sheet) for sheet in canvas.SHEETS}


def own_names(svg: str, picture: Picture, sheet: Sheet) -> str:
    "An SVG whose clip paths do not share a name with those of another drawing on the page."
    name = f"{picture.name}-{sheet.name}-clip"
    return svg.replace('id="clip', f'id="{name}').replace("url(#clip", f"url(#{name}")


def drawn(picture: Picture, sheet: Sheet) -> str:
    "The picture as SVG in light colours."
    from altair.utils.schemapi import debug_mode  # noqa: PLC0415

    from indexer.report import canvas  # noqa: PLC0415

    with debug_mode(False):  # noqa: FBT003 - checking every part against the schema costs more than drawing
        return canvas.svg(drawings()[picture.name](picture, sheet), sheet)


def png(picture: Picture) -> bytes:
    "The picture as a PNG on light paper, at twice its size."
    import vl_convert  # noqa: PLC0415

    from indexer.report import canvas  # noqa: PLC0415

    return vl_convert.svg_to_png(palette.hatched(drawn(picture, canvas.SHEETS[0])), scale=2)
