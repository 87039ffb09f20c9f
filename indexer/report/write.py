"""Writes the report: one HTML file, and PNG files where they are wanted."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from indexer.errors import UserError
from indexer.report import ask, draw, headline, page, story
from indexer.report.pictures import made

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from indexer.narration import Narrate
    from indexer.report.picture import Picture

NEEDED = ("altair", "vl_convert")
STORY = "headline"
EXTRA = 'the pictures need the extra `report`; install it: pip install "liquidation-indexer[report]"'


def is_possible() -> bool:
    "Whether what draws the pictures is installed."
    return all(importlib.util.find_spec(name) is not None for name in NEEDED)


def report(
    connection: duckdb.DuckDBPyConnection,
    out: Path | None,
    narrate: Narrate,
    window: tuple[dt.datetime | None, dt.datetime | None] = (None, None),
    params: Mapping[str, str] | None = None,
    png: Path | None = None,
) -> None:
    """Write the page of a window to `out` and each picture to `png`/NAME.png.

    Either may be None. `params` hold for every question that declares them. Raises UserError: the extra is not installed, a
    place that cannot be written, a parameter that no question has, an empty window.
    """
    if not is_possible():
        raise UserError(EXTRA)
    desk = ask.desk(connection, *window, params or {})
    scoreboard, *others = made(desk)
    pictures = [scoreboard, headline.story(desk), *others]
    for picture in pictures:
        if picture.missing:
            narrate(f"{picture.name}: {picture.missing}")
    if out is not None:
        about = page.About(desk.since, desk.until, tuple(ask.simulated(connection)))
        stored(out, page.html(pictures, [section(picture) for picture in pictures], about).encode())
        n_drawn = sum(not picture.missing for picture in pictures)
        narrate(f"{out}: {n_drawn} pictures of {desk.since} .. {desk.until}")
    if png is not None:
        drawn = [picture for picture in pictures if picture.name in draw.drawings() and not picture.missing]
        for picture in drawn:
            stored(png / f"{picture.name}.png", draw.png(picture))
        narrate(f"{png}: {len(drawn)} PNG files")


def section(picture: Picture) -> str:
    "The section of the page for a picture."
    return story.section(picture) if picture.name == STORY else page.section(picture, draw.svgs(picture))


def stored(path: Path, content: bytes) -> None:
    "Write a file, its folder too; raises UserError."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; choose another place") from error
