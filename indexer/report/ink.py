"""What a terminal draws with: bars, sparklines, shades, marks; in Unicode with colours, or in ASCII without."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
FULL = 8
HALF_ROWS = (0.25, 0.75)  # a row of a column is empty below the first, half below the second
TINTS = {"long": "31", "short": "32", "good": "32", "bad": "31", "head": "1", "faint": "2"}
# ASCII for the signs that words and answers are written with; any other is a question mark.
SPELLED = str.maketrans(
    {
        "\u2026": "...",  # ellipsis
        "\u2013": "-",  # dashes and minus
        "\u2014": "-",
        "\u2212": "-",
        "\u00d7": "x",  # times
        "\u2192": "->",  # arrow
        "\u00b5": "u",  # micro
        "\u2019": "'",  # apostrophe
        "\u00b7": ".",  # middle dot
    }
)


class Glyphs(NamedTuple):
    "The signs of one alphabet, from empty to full where there are several."

    spark: str
    shades: str
    second: str
    third: str
    up: str
    down: str
    line: str
    point: str
    low: str
    high: str
    branch: str
    last: str
    tick: str
    marks: dict[str, str]


UNICODE = Glyphs(
    " ▁▂▃▄▅▆▇█", " ░▒▓█", "▓", "░", "▄", "▀", "─", "●", "├", "┤", "├ ", "└ ", "┊", {"yes": "✓", "no": "✗", "open": "?"}
)
ASCII = Glyphs(
    " .:-=+*%#",
    " .:*#",
    "=",
    ".",
    ".",
    "'",
    "-",
    "o",
    "[",
    "]",
    "|- ",
    "`- ",
    "|",
    {"yes": "+", "no": "x", "open": "?"},
)


class Ink(NamedTuple):
    "How wide a page is and whether it is plain: ASCII without colours."

    width: int
    is_plain: bool

    @property
    def glyphs(self) -> Glyphs:
        "The signs in use."
        return ASCII if self.is_plain else UNICODE

    def text(self, words: str) -> str:
        "Words on one line, in ASCII where the page is plain."
        flat = " ".join(words.split("\n"))
        return flat.translate(SPELLED).encode("ascii", "replace").decode() if self.is_plain else flat

    def wrapped(self, words: str, indent: str = "") -> list[str]:
        "Words as lines of the page."
        return textwrap.wrap(
            self.text(words), max(self.width, 1), initial_indent=indent, subsequent_indent=indent, break_long_words=True
        )

    def tint(self, words: str, kind: str) -> str:
        "Words in the colour of a kind; as they are on a plain page."
        return words if self.is_plain or not words.strip() else f"\x1b[{TINTS[kind]}m{words}\x1b[0m"

    def bar(self, share: float, cells: int) -> str:
        "A bar that fills `share` of so many cells; what is above 0 shows."
        part = min(max(share, 0.0), 1.0) * cells
        if self.is_plain:
            return "#" * min(max(round(part), int(part > 0)), cells)
        eighths = min(max(round(part * FULL), int(part > 0)), cells * FULL)
        return "█" * (eighths // FULL) + EIGHTHS[eighths % FULL]

    def parts(self, shares: Sequence[float], cells: int) -> list[str]:
        "Bars that follow each other, of different signs: first, second, third."
        signs = ("#" if self.is_plain else "█", self.glyphs.second, self.glyphs.third)
        edges = [0]
        for share in shares:
            grown = edges[-1] + max(round(share * cells), int(share > 0))
            edges.append(min(grown, cells))
        return [sign * (right - left) for sign, left, right in zip(signs, edges, edges[1:], strict=False)]

    def spark(self, values: Sequence[float | None]) -> str:
        "One sign a value, as high as it is between 0 and the largest; unknown is blank, what is above 0 shows."
        most = max((value for value in values if value is not None), default=0.0)
        signs = self.glyphs.spark
        top = len(signs) - 1
        return "".join(
            signs[0] if not value or most <= 0 else signs[max(1, round(value / most * top))] for value in values
        )

    def curve(self, values: Sequence[float | None]) -> str:
        "One sign a value, as high as it is between the lowest and the highest; unknown is blank."
        known = [value for value in values if value is not None]
        if not known:
            return " " * len(values)
        low, high = min(known), max(known)
        signs = self.glyphs.spark[1:]
        reach = (high - low) or 1.0
        return "".join(
            " " if value is None else signs[round((value - low) / reach * (len(signs) - 1))] for value in values
        )

    def shade(self, share: float) -> str:
        "One cell, the darker the more; what is above 0 shows."
        signs = self.glyphs.shades
        return signs[0] if share <= 0 else signs[min(max(1, math.ceil(share * (len(signs) - 1))), len(signs) - 1)]

    def columns(self, values: Sequence[float], most: float, n_rows: int, *, is_down: bool) -> list[str]:
        "Columns of so many rows, from the axis up or down, `most` being as high as all rows; the top row first."
        half = self.glyphs.down if is_down else self.glyphs.up
        full = "#" if self.is_plain else "█"
        rows = []
        for level in range(n_rows):
            filled = [value / most * n_rows - level if most > 0 else 0.0 for value in values]
            rows.append(
                "".join(
                    full if part >= HALF_ROWS[1] else half if part >= HALF_ROWS[0] or (level == 0 and part > 0) else " "
                    for part in filled
                )
            )
        return rows if is_down else rows[::-1]

    def span(self, low: float, high: float, point: float | None, cells: int) -> str:
        "A whisker from `low` to `high`, both 0 to 1, with a point on it or, where both are one, the point alone."
        signs = self.glyphs
        at = [min(max(round(value * (cells - 1)), 0), cells - 1) for value in (low, high)]
        line = [" "] * cells
        for cell in range(at[0], at[1] + 1):
            line[cell] = signs.line
        line[at[0]], line[at[1]] = signs.low, signs.high
        if point is not None or at[0] == at[1]:
            line[min(max(round((low if point is None else point) * (cells - 1)), 0), cells - 1)] = signs.point
        return "".join(line)

    def rows(self, rows: Sequence[tuple[str, Callable[[int], str], str]], tint: str = "") -> list[str]:
        "Lines of a label, a drawing in the cells that are left, and words at the right edge."
        if not rows:
            return []
        labels, ends = [self.text(row[0]) for row in rows], [self.text(row[2]) for row in rows]
        left = min(max(map(cell_len, labels)), max(self.width // 3, 4))
        right = min(max(map(cell_len, ends)), max(self.width // 2, 4))
        cells = max(self.width - left - right - 2, 1)
        return [
            fitted(
                f"{set_cell_size(label, left)} {self.tint(padded(draw(cells), cells), tint) if tint else padded(draw(cells), cells)}"
                f" {set_cell_size(end, right)}"
            ).rstrip()
            for label, (_, draw, _), end in zip(labels, rows, ends, strict=True)
        ]


def padded(words: str, cells: int) -> str:
    "Words of exactly so many cells; coloured ones are left as they are."
    return words if "\x1b" in words else set_cell_size(words, cells)


def fitted(line: str) -> str:
    "A line as it is printed."
    return line.replace("\t", " ")
