"""The logs of one protocol as typed columns, of those fields only that its declaration names."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import polars as pl

from indexer.decode import decode, hexadecimal
from indexer.protocols import all_protocols

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.abi import Event
    from indexer.declare import Mapping

Typed = tuple[pl.DataFrame, list[pl.DataFrame]]


def decoded(name: str, logs: pl.DataFrame) -> tuple[dict[Event, pl.DataFrame], list[pl.DataFrame]]:
    """Typed columns by event of the protocol `name`, and the logs that fit none of the events that share their topic0.

    Every event has its frame, empty or not.
    """
    frames: dict[Event, pl.DataFrame] = {}
    misfits: list[pl.DataFrame] = []
    by_topic: dict[bytes, list[Event]] = {}
    for event in all_protocols()[name].events:
        by_topic.setdefault(event.topic0, []).append(event)
    present = set(logs["topic0"].unique())
    for topic0, events in by_topic.items():
        candidates = logs.filter(pl.col("topic0") == topic0) if topic0 in present else logs.clear()
        known = [event.n_topics for event in events]
        for position, event in enumerate(events):
            is_own = pl.col("n_topics") == event.n_topics
            if position == 0:
                is_own = is_own | ~pl.col("n_topics").is_in(known)
            own = candidates.filter(is_own) if topic0 in present else candidates
            frames[event], rest = (
                typed(name, event, own) if own.height else nothing(name, event, tuple(own.schema.items()))
            )
            misfits += rest
    return frames, misfits


@functools.cache
def nothing(name: str, event: Event, columns: tuple[tuple[str, pl.DataType], ...]) -> Typed:
    "What no log of `event` becomes: kept, for most stretches of blocks hold none of most events."
    return typed(name, event, pl.DataFrame(schema=dict(columns)))


def typed(name: str, event: Event, logs: pl.DataFrame) -> Typed:
    "Logs of one event as typed columns, and those that do not fit."
    protocol = all_protocols()[name]
    frame, misfit = decode(event, logs, used(name) if event.is_static else None)
    misfits = [misfit]
    if protocol.decode is not None and not event.is_static:
        frame = protocol.decode(frame)
        if "reason" in frame.columns:
            misfits.append(frame.filter(pl.col("reason").is_not_null()).select(misfit.columns))
            frame = frame.filter(pl.col("reason").is_null()).drop("reason")
    return frame.with_columns(emitter=hexadecimal(pl.col("address"))), misfits


@functools.cache
def used(name: str) -> frozenset[str]:
    "Every field that the mappings of a protocol name; one of a joined log is named behind its event."
    found = {column for mapping in all_protocols()[name].mappings for column in columns(mapping)}
    return frozenset(column.split(".", place)[-1] for column in found for place in range(column.count(".") + 1))


def columns(mapping: Mapping) -> Iterator[str]:
    "The columns that a mapping names in its expressions and keys."
    tables = (
        mapping.liquidation, mapping.values, mapping.markets, mapping.rates, mapping.prices, mapping.flow, mapping.owners,
        mapping.emitters,
    )  # fmt: skip
    sums = [total for group in mapping.groups for total in group.sums]
    stated = [expression for table in tables if table for expression in table.values()]
    stated += [one for one in (mapping.kind, mapping.where) if isinstance(one, pl.Expr)]
    stated += [join.where for join in mapping.joins if join.where is not None]
    stated += [total.where for total in sums if total.where is not None]
    for expression in stated:
        yield from expression.meta.root_names()
    keys = [join.on for join in mapping.joins] + [group.on for group in mapping.groups]
    yield from (column for on in keys for pair in on for column in pair)
    yield from (total.column for total in sums)
