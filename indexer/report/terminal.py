"""The pictures of a night as text of a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.cells import set_cell_size

from indexer.report import text_by_row, text_over_time
from indexer.report.ink import Ink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from indexer.report.picture import Picture

NARROWEST = 24
DRAWINGS: dict[str, Callable[[Picture, Ink], list[str]]] = {
    "scoreboard": text_by_row.scoreboard,
    "hours": text_over_time.hours,
    "side_by_side": text_over_time.side_by_side,
    "cascade": text_over_time.cascade,
    "price_map": text_over_time.price_map,
    "venues": text_by_row.venues,
    "assets": text_by_row.assets,
    "whales": text_by_row.whales,
    "flows": text_by_row.flows,
    "liquidators": text_by_row.liquidators,
    "feedback": text_by_row.feedback,
    "leverage": text_by_row.leverage,
    "past_events": text_by_row.past_events,
    "coverage": text_over_time.coverage,
    "headline": text_by_row.headline,
}


def render(pictures: Iterable[Picture], width: int, *, is_plain: bool | None = None) -> str:
    """The pictures one after the other, no line wider than `width` (at least 24).

    Plain is ASCII without colours; None decides: plain unless standard output is a terminal and NO_COLOR is not set.
    """
    if is_plain is None:
        is_plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    ink = Ink(max(width, NARROWEST), is_plain)
    blocks, covered = [], ""
    for picture in pictures:
        blocks.append("\n".join(drawn(picture, ink, covered)))
        covered = picture.coverage if not picture.missing else covered
    return "\n\n".join(blocks) + "\n"


def drawn(picture: Picture, ink: Ink, covered: str = "") -> list[str]:
    """Title, finding, drawing and coverage of one picture; or why there is nothing to draw.

    Coverage that the picture above has just told (`covered`) is not told again.
    """
    title = set_cell_size(ink.text(picture.title), min(len(picture.title), ink.width))
    rule = ink.glyphs.line * max(ink.width - len(title) - 1, 0)
    lines = [f"{ink.tint(title, 'head')} {ink.tint(rule, 'faint')}".rstrip()]
    if picture.missing:
        return [*lines, *ink.wrapped(picture.missing)]
    lines += ink.wrapped(picture.caption)
    draw = DRAWINGS.get(picture.name)
    lines += draw(picture, ink) if draw else []
    told = [] if picture.coverage == covered else ink.wrapped(picture.coverage)
    return [*lines, *(ink.tint(line, "faint") for line in told)]
