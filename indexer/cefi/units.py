"""The unit, contract value, asset and completeness of each market of a venue, by time."""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import polars as pl

from indexer import assets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from indexer.feed import Disclosure, Rule, Venue

VALUED = ("contracts", "usd_contracts", "unknown")
SCHEMA: dict[str, pl.DataType] = {
    "feed": pl.String(),
    "market": pl.String(),
    "from_at": pl.Datetime("us"),
    "to_at": pl.Datetime("us"),
    "unit": pl.String(),
    "contract_value": pl.Float64(),
    "asset": pl.String(),
    "is_par": pl.Boolean(),
    "multiplier": pl.Float64(),
    "completeness": pl.String(),
}
BEGIN, END = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - instants are naive UTC
Entry = TypeVar("Entry")


class Instrument(NamedTuple):
    "What the venue's list of contracts says of one market between two instants; None is open."

    unit: str | None
    value: float | None
    base: str | None
    from_at: datetime | None
    to_at: datetime | None


def segments(
    venue: Venue, keys: Iterable[tuple[str, str | None]], instruments: dict[str, list[Instrument]]
) -> pl.DataFrame:
    """How the markets of `keys` (feed, market) are read: one row per feed, market and stretch of time.

    Columns as in SCHEMA. The stretches of one feed and market are disjoint and leave no instant out.
    """
    rows: list[tuple[object, ...]] = []
    for feed, market in keys:
        listed = instruments.get(market or "", [])
        symbol = assets.parse(market, venue.name) if market else None
        rules = [(rule.from_at, rule.to_at, rule) for rule in venue.rules if applies(rule, feed, market or "")]
        disclosures = [(one.from_at, one.to_at, one) for one in venue.disclosures if discloses(one, feed, market or "")]
        edges = sorted({BEGIN, END} | set(edges_of(rules)) | set(edges_of(disclosures)) | set(edges_of_listed(listed)))
        for first, last in itertools.pairwise(edges):
            rule = at(rules, first)
            instrument = at([(one.from_at, one.to_at, one) for one in listed], first)
            disclosure = at(disclosures, first)
            unit, value = unit_of(rule, instrument)
            name, multiplier, quote = named(venue, symbol, instrument)
            completeness = disclosure.completeness if disclosure else "unknown"
            rows.append((feed, market, first, last, unit, value, name, quote in assets.PAR, multiplier, completeness))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def applies(rule: Rule, feed: str, market: str) -> bool:
    "Does the rule speak of this market in this feed."
    return (not rule.feeds or feed in rule.feeds) and re.search(rule.market, market) is not None


def discloses(disclosure: Disclosure, feed: str, market: str) -> bool:
    "Does the disclosure speak of this market in this feed."
    return disclosure.feed in (None, feed) and re.search(disclosure.market, market) is not None


def at(
    entries: Sequence[tuple[str | datetime | None, str | datetime | None, Entry]], instant: datetime
) -> Entry | None:
    "The first entry whose half-open validity holds `instant`."
    return next(
        (entry for first, last, entry in entries if moment(first, BEGIN) <= instant < moment(last, END)),
        None,
    )


def unit_of(rule: Rule | None, instrument: Instrument | None) -> tuple[str, float | None]:
    "The unit of sizes and the value of one; the venue's own list goes before the built-in value."
    if rule is None:
        return "unknown", None
    if rule.unit not in VALUED:
        return rule.unit, None
    if instrument and instrument.unit and (rule.unit in (instrument.unit, "unknown")):
        return instrument.unit, instrument.value
    return rule.unit, rule.value


def named(
    venue: Venue, symbol: assets.Symbol | None, instrument: Instrument | None
) -> tuple[str | None, float, str | None]:
    "Canonical asset, units of it in one base unit, and quote of a market; a number is no name."
    if symbol and symbol.is_known:
        return symbol.asset, symbol.multiplier, symbol.quote
    if instrument and instrument.base:
        name, multiplier = assets.asset(instrument.base, venue.name)
        return name, multiplier, venue.quote
    if symbol is None or symbol.base.isdigit():
        return None, 1.0, venue.quote
    return symbol.asset, symbol.multiplier, venue.quote


def edges_of(entries: Sequence[tuple[str | datetime | None, str | datetime | None, object]]) -> list[datetime]:
    "The instants at which an entry begins or ends."
    return [moment(edge, BEGIN) for first, last, _ in entries for edge in (first, last) if edge is not None]


def edges_of_listed(listed: Sequence[Instrument]) -> list[datetime]:
    "The instants at which a listing begins or ends."
    return [edge for one in listed for edge in (one.from_at, one.to_at) if edge is not None]


def moment(value: str | datetime | None, otherwise: datetime) -> datetime:
    "An instant written as ISO 8601, or `otherwise` where the bound is open."
    if value is None:
        return otherwise
    return datetime.fromisoformat(value) if isinstance(value, str) else value
