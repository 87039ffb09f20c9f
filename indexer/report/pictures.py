"""The pictures of a window, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.report import actors, ask, cascade, context, overview
from indexer.report.picture import Picture

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    import duckdb

__all__ = ["Picture", "made", "pictures"]

PICTURES: tuple[Callable[[ask.Desk], Picture], ...] = (
    overview.scoreboard,
    overview.hours,
    overview.side_by_side,
    cascade.waterfall,
    cascade.price_map,
    overview.venues,
    cascade.assets,
    actors.whales,
    actors.flows,
    actors.liquidators,
    cascade.feedback,
    context.leverage,
    context.past_events,
    context.coverage,
)


def pictures(
    connection: duckdb.DuckDBPyConnection,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    params: Mapping[str, str] | None = None,
) -> list[Picture]:
    """Every picture of the half-open window, in the order of the page.

    Their names: scoreboard, hours, side_by_side, cascade, price_map, venues, assets, whales, flows, liquidators, feedback,
    leverage, past_events, coverage. An edge that is None is where records or coverage begin or end. `params` hold for
    every question that declares them. A picture without rows is there too, with `missing` set. Raises UserError.
    """
    return made(ask.desk(connection, since, until, params or {}))


def made(desk: ask.Desk) -> list[Picture]:
    "Every picture of a desk's window."
    return [make(desk) for make in PICTURES]
