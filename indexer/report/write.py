"""Writes the report: one HTML file, and PNG files where they are wanted."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, TextIO

from indexer.errors import UserError
from indexer.report import ask, draw, headline, page, story, terminal, words
from indexer.report.pictures import made

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
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
    stream: TextIO | None = None,
) -> None:
    """Write the page of a window to `out`, each picture to `png`/NAME.png, and the terminal's form to `stream`.

    Each may be None; the terminal's form needs no extra. `params` hold for every question that declares them. Raises
    UserError: the extra is not installed, a place that cannot be written, a parameter that no question has, an empty window.
    """
    if (out or png) and not is_possible():
        raise UserError(EXTRA)
    desk = ask.desk(connection, *window, params or {})
    pictures = shown(desk)
    for picture in pictures:
        if picture.missing:
            narrate(f"{picture.name}: {picture.missing}")
    drawable = [picture for picture in pictures if picture.name != STORY and not picture.missing]
    if stream is not None:
        stream.write(terminal.render(pictures, shutil.get_terminal_size().columns))
    if out is not None:
        stored(out, html(desk, pictures).encode())
        narrate(f"{out}: {len(drawable)} pictures of {words.window(desk.since, desk.until)}")
    if png is not None:
        for picture in drawable:
            stored(png / f"{picture.name}.png", draw.png(picture))
        narrate(f"{png}: {len(drawable)} PNG files")


def shown(desk: ask.Desk) -> list[Picture]:
    "The pictures of a desk's window as the page has them: the story behind the scoreboard."
    scoreboard, *others = made(desk)
    return [scoreboard, headline.story(desk), *others]


def html(desk: ask.Desk, pictures: Sequence[Picture]) -> str:
    "The page of pictures."
    about = page.About(desk.since, desk.until, ask.simulated_parts(desk.connection))
    return page.html(pictures, [section(picture) for picture in pictures], about)


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
