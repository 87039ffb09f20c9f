"""Pictures over time as text: hours, both sides of the market, cascade, prices, coverage."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import polars as pl
from rich.cells import set_cell_size

from indexer.report import words
from indexer.report.grid import Grid, axis, spanned
from indexer.report.ink import Ink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.report.picture import Picture

LEVELS = 10
TALL = 6  # rows of the higher side of mirrored bars


def hours(picture: Picture, ink: Ink) -> list[str]:
    "Shorts above the axis, longs below it, the price of the hardest-hit asset on top."
    step, table = picture.facts["step_seconds"], picture.table
    first, last = table["bucket_at"][0], table["bucket_at"][-1]
    grid = Grid(first, last, step, ink.width)
    ups, downs = grid.sums(table, "short_usd"), grid.sums(table, "long_usd")
    lines = []
    prices = grid.lasts(picture.other("cefi/side_by_side"), "reference_price")
    known = [price for price in prices if price is not None]
    if known:
        low, high = words.price(min(known)), words.price(max(known))
        lines += [*ink.wrapped(f"{picture.facts['asset']} {low} to {high}"), grid.wide(ink.curve(prices)).rstrip()]
    lines += mirrored(ups, downs, grid, ink)
    lines.append(axis(grid, ink))
    scale = words.money(max(*ups, *downs))
    return [*lines, *ink.wrapped(f"shorts up, longs down; tallest {scale} in {words.lasting(grid.step)}")]


def mirrored(ups: Sequence[float], downs: Sequence[float], grid: Grid, ink: Ink) -> list[str]:
    "Columns above and below an axis on one scale."
    most = max(*ups, *downs)
    n_up, n_down = (max(int(max(side) > 0), math.ceil(max(side) / most * TALL)) if most else 0 for side in (ups, downs))
    above = ink.columns(ups, most * n_up / TALL, n_up, is_down=False) if n_up else []
    below = ink.columns(downs, most * n_down / TALL, n_down, is_down=True) if n_down else []
    shorts = [ink.tint(grid.wide(row).rstrip(), "short") for row in above]
    longs = [ink.tint(grid.wide(row).rstrip(), "long") for row in below]
    return [*shorts, grid.wide(ink.glyphs.line * grid.n), *longs]


def side_by_side(picture: Picture, ink: Ink) -> list[str]:
    "One line a part of the market; a question mark where it was not observed."
    table, step = picture.table, picture.facts["step_seconds"]
    names = {
        "defi_perp": "perps",
        "defi_lending": "lending",
        "defi_cdp": "CDPs",
        "cefi_floor": "exchanges (floor)",
        "cefi_provider": "providers",
    }
    names = {name: label for name, label in names.items() if table[f"{name}_usd"].null_count() < table.height}
    if not names:
        return []
    label_cells = max(map(len, names.values()))
    grid = spanned(table, step, max(ink.width - label_cells - 10, 1))
    lines = []
    for name, label in names.items():
        values = grid.known_sums(table, f"{name}_usd")
        signs = ("?" if value is None else sign for value, sign in zip(values, ink.spark(values), strict=True))
        drawn_cells = grid.wide("".join(signs))
        total = words.money(words.tally(table, f"{name}_usd"))
        lines.append(f"{label:<{label_cells}} {drawn_cells} {total}"[: ink.width].rstrip())
    return [*lines, *ink.wrapped("each line has its own scale; ?: not observed")]


def cascade(picture: Picture, ink: Ink) -> list[str]:
    "The cascade over time and a line a wave below it, its peak marked."
    facts, waves = picture.facts, picture.other("cascades/waves").to_dicts()
    labels = [f"{row['wave']}" for row in waves]
    ends = [f"{words.clock(row['peak_at'])} {words.money(row['forced_usd'])}" for row in waves]
    left, right = max(map(len, ["usd", *labels])), max(map(len, ["", *ends]))
    cells = max(ink.width - left - right - 2, 8)
    start, end = facts["start_at"], facts["end_at"]
    grid = Grid(start, end - dt.timedelta(microseconds=1), facts["step_seconds"], cells)
    table = picture.other("report/sides").with_columns(usd=pl.sum_horizontal("long_usd", "short_usd", "unsided_usd"))
    lines = [f"{'usd':<{left}} {grid.wide(ink.spark(grid.sums(table, 'usd')))}".rstrip()]
    for row, label, told in zip(waves, labels, ends, strict=True):
        edges = [
            int((row[name] - start).total_seconds() // grid.step)
            for name in ("wave_start_at", "peak_at", "wave_end_at")
        ]
        line = [" "] * grid.n
        for cell in range(max(edges[0], 0), min(max(edges[2], edges[0] + 1), grid.n)):
            line[cell] = ink.glyphs.line
        line[min(max(edges[1], 0), grid.n - 1)] = ink.glyphs.point
        lines.append(f"{label:<{left}} {grid.wide(''.join(line)):<{cells}} {told}"[: ink.width].rstrip())
    return [
        *lines,
        *ink.wrapped(f"from {words.at(start)} to {words.at(end)}; a wave from trough to trough, its peak marked"),
    ]


def price_map(picture: Picture, ink: Ink) -> list[str]:
    "Price levels as lines, time to the right; the darker a cell, the more was closed there."
    table = picture.table
    levels = table.select(pl.col("price_low").min().alias("low"), pl.col("price_high").max().alias("high")).row(0)
    label_cells = max(len(words.price(level)) for level in levels)
    grid = spanned(table, picture.facts["step_seconds"], ink.width - label_cells - 1)
    height = (levels[1] - levels[0]) / LEVELS
    middle = (pl.col("price_low") + pl.col("price_high")) / 2
    found = (
        grid.cells(table)
        .with_columns(level=((middle - levels[0]) / height).floor().clip(0, LEVELS - 1).cast(pl.Int64))
        .group_by("level", "cell")
        .agg(pl.col("forced_usd").sum())
    )
    most = max(found["forced_usd"].to_list(), default=0.0) or 1.0
    usd = {(level, cell): value for level, cell, value in found.select("level", "cell", "forced_usd").iter_rows()}
    lines = []
    for level in reversed(range(LEVELS)):
        row = "".join(ink.shade(usd.get((level, cell), 0.0) / most) for cell in range(grid.n))
        lines.append(f"{words.price(levels[0] + level * height):>{label_cells}} {grid.wide(row)}".rstrip())
    return [*lines, " " * (label_cells + 1) + axis(grid, Ink(ink.width - label_cells - 1, ink.is_plain))]


def coverage(picture: Picture, ink: Ink) -> list[str]:
    "A line a source: full cells are covered, half ones partly, empty ones not."
    table = picture.table
    sources = table.select("source", "chain").unique(maintain_order=True).rows()
    names = {one: words.venue(one[0]) + (f" ({one[1]})" if one[1] else "") for one in sources}
    left = min(max(map(len, names.values())), ink.width // 3)
    grid = spanned(table, picture.facts["step_seconds"], ink.width - left - 6)
    lines = []
    for source, chain in sources:
        mine = table.filter((pl.col("source") == source) & pl.col("chain").eq_missing(pl.lit(chain)))
        found = grid.cells(mine).group_by("cell").agg(pl.col("covered_share").mean())
        shares = [share or 0.0 for share in grid.spread(found, "covered_share")]
        cells = "".join(ink.shade(1.0 if share > 1 - 1e-9 else min(share, 0.5)) if share else "." for share in shares)
        every: list[float] = mine["covered_share"].to_list()
        whole = sum(every) / len(every)
        lines.append(f"{set_cell_size(ink.text(names[source, chain]), left)} {grid.wide(cells)} {words.share(whole)}")
    return [*lines, " " * (left + 1) + axis(grid, Ink(ink.width - left - 1, ink.is_plain))]
