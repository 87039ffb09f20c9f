"""Buckets of time as the cells of a line."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import polars as pl

from indexer.report import words

if TYPE_CHECKING:
    from indexer.report.ink import Ink

WIDEST = 4  # signs a step: beyond, columns look like blocks


class Grid:
    "Steps from the first to the last bucket, so many taken together that they fit into the cells."

    def __init__(self, first: dt.datetime, last: dt.datetime, step_seconds: float, cells: int) -> None:
        n_steps = int((last - first).total_seconds() // step_seconds) + 1
        self.step = step_seconds * math.ceil(n_steps / max(cells, 1))
        self.first = first
        self.n = math.ceil(n_steps * step_seconds / self.step)
        self.repeat = max(1, min(cells // max(self.n, 1), WIDEST))

    def wide(self, signs: str) -> str:
        "One sign a cell as a line of the page: where there is room a cell is several signs wide."
        return "".join(sign * self.repeat for sign in signs)

    def cells(self, table: pl.DataFrame, at: str = "bucket_at") -> pl.DataFrame:
        "Rows with their cell, those outside left out."
        seconds = (pl.col(at) - self.first).dt.total_microseconds() / 1e6
        return table.with_columns(cell=(seconds / self.step).floor().cast(pl.Int64)).filter(
            pl.col("cell").is_between(0, self.n - 1)
        )

    def spread(self, found: pl.DataFrame, column: str) -> list[float | None]:
        "One value a cell; None where there is none."
        known = dict(found.select("cell", column).iter_rows())
        return [known.get(cell) for cell in range(self.n)]

    def sums(self, table: pl.DataFrame, column: str) -> list[float]:
        "What a column adds up to in each cell."
        found = self.cells(table).group_by("cell").agg(pl.col(column).sum())
        return [value or 0.0 for value in self.spread(found, column)]

    def known_sums(self, table: pl.DataFrame, column: str) -> list[float | None]:
        "The same, None where nothing in the cell is known."
        found = self.cells(table).filter(pl.col(column).is_not_null()).group_by("cell").agg(pl.col(column).sum())
        return self.spread(found, column)

    def lasts(self, table: pl.DataFrame, column: str) -> list[float | None]:
        "The last known value in each cell."
        found = self.cells(table).filter(pl.col(column).is_not_null()).sort("bucket_at")
        return self.spread(found.group_by("cell", maintain_order=True).agg(pl.col(column).last()), column)


def spanned(table: pl.DataFrame, step_seconds: float, cells: int) -> Grid:
    "The grid from the first to the last `bucket_at` of a table."
    buckets: list[dt.datetime] = table["bucket_at"].sort().to_list()
    return Grid(buckets[0], buckets[-1], step_seconds, cells)


def axis(grid: Grid, ink: Ink) -> str:
    "First and last time under the cells."
    last = grid.first + dt.timedelta(seconds=grid.step * grid.n)
    left, right = words.at(grid.first), words.at(last)
    blank = min(max(grid.n * grid.repeat, len(left) + len(right) + 1), ink.width) - len(left) - len(right)
    return f"{left}{' ' * blank}{right}" if blank > 0 else left[: ink.width]
