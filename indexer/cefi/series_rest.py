"""Context series over HTTP: the fear and greed index, and the daily and monthly files of Binance's archive."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import venues
from indexer.cefi import rest, series
from indexer.errors import Retryable, UserError
from indexer.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from indexer.sources.rest import Client

INDEX_URL = "https://api.alternative.me/fng/"
ARCHIVE_URL = "https://data.binance.vision/data/futures/{product}"


@dataclass(frozen=True)
class Published:
    "Files of a kind: the path below the archive's root, and whether one holds a day or a month."

    path: str
    period: str
    table: str


PUBLISHED = {
    "open_interest": Published("daily/metrics/{market}/{market}-metrics-{day}.zip", "day", "open_interest"),
    "funding": Published("monthly/fundingRate/{market}/{market}-fundingRate-{day}.zip", "month", "funding"),
    "klines": Published("daily/klines/{market}/1h/{market}-1h-{day}.zip", "day", "prices"),
}
MARKETS = ("BTCUSDT", "ETHUSDT")
COIN_M = re.compile(r"USD_(PERP|\d{6})$")


def load(connection: duckdb.DuckDBPyConnection, kind: str, venue: str, window: rest.Window) -> int:
    "Store one kind of context of the window; 0, or 1 if parts could not be had. Raises UserError for a kind without a source."
    if kind == "fear_greed":
        return fetch_index(connection, window)
    if kind not in PUBLISHED or venue != "binance":
        raise UserError(f"{kind} of {venue} has no free source here; give files to import")
    venues.get(venue)
    client = window.client("data.binance.vision", requests_per_minute=600.0, base_url=window.base_url)
    try:
        return int(
            sum(
                fetch_files(connection, kind, venue, market, window=window, client=client)
                for market in window.markets or MARKETS
            )
            > 0
        )
    finally:
        client.close()


def fetch_index(connection: duckdb.DuckDBPyConnection, window: rest.Window) -> int:
    "The index has one answer for everything: as many days back as the window reaches."
    client = window.client("alternative.me", requests_per_minute=60.0, base_url=window.base_url)
    n_days = max(1, (window.now - window.since).days + 2)
    try:
        body = client.get(INDEX_URL, {"limit": str(n_days), "format": "json"})
    except Retryable as error:
        window.narrate(f"series:fear_greed {window.since} to {window.until} is left: {error}")
        return 1
    finally:
        client.close()
    rest.put_frame(connection, body or b"", None)
    series.store_fear_greed(connection, "fear_greed", window.narrate)
    return 0


def fetch_files(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    venue: str,
    market: str,
    *,
    window: rest.Window,
    client: Client,
) -> int:
    "Fetch and import the files of the window that are not covered; how many periods there was no file of."
    published = PUBLISHED[kind]
    source = f"{venue}_archive:{market}" if published.table == "prices" else f"{venue}_archive"
    dataset = f"{published.table}:{venue}:{market}"
    root = ARCHIVE_URL.format(product="cm" if COIN_M.search(market) else "um")
    n_left = 0
    for first, last in periods(rest.uncovered(connection, source, dataset, window), published.period):
        stated = f"{first:%Y-%m-%d}" if published.period == "day" else f"{first:%Y-%m}"
        url = f"{root}/{published.path.format(market=market, day=stated)}"
        try:
            body = client.get(url)
            reason = None if body is not None else f"the archive has no file of {stated}"
        except Retryable as error:
            body, reason = None, str(error)
        whole = Range(rest.milliseconds(first), rest.milliseconds(last) - 1)
        rest.note_gap(connection, source, dataset, whole, left=whole if reason else None, reason=reason)
        if body is None:
            n_left += 1
            window.narrate(f"{dataset} {stated} is left: {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / url.rpartition("/")[2]
            path.write_bytes(body)
            series.load(connection, kind, venue, [path], window.narrate)
    return n_left


def periods(parts: list[Range], period: str) -> Iterator[tuple[datetime, datetime]]:
    "The days or months (UTC) that the parts touch, each once, as half-open windows."
    seen: datetime | None = None
    for day in rest.days_of(parts):
        first = day if period == "day" else day.replace(day=1)
        if first != seen:
            yield first, first + timedelta(days=1) if period == "day" else (first + timedelta(days=31)).replace(day=1)
        seen = first
