"""Exchange records: from files, REST and websockets into the store, with coverage and everything put aside."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    import duckdb


@dataclass(frozen=True)
class BackfillOptions:
    "What `indexer backfill cefi` was asked: files, or a window of a venue's or provider's history."

    venue: str
    files: tuple[Path, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    markets: tuple[str, ...] = ()
    base_url: str | None = None
    api_key: str | None = None
    interval: str | None = None


@dataclass(frozen=True)
class ContextOptions:
    "What `indexer backfill context` was asked: a kind of series, from files or a window."

    kind: str
    files: tuple[Path, ...] = ()
    venue: str = "binance"
    since: datetime | None = None
    until: datetime | None = None
    markets: tuple[str, ...] = ()
    name: str | None = None
    base_url: str | None = None


@dataclass(frozen=True)
class FollowOptions:
    "What `indexer follow cefi` was asked: venues, their markets where a stream wants them, and when to stop by itself."

    venues: tuple[str, ...]
    markets: tuple[str, ...] = ()
    until: datetime | None = None
    base_url: str | None = None
    commit_seconds: float = 2.0


def backfill(db_path: str | Path, options: BackfillOptions, narrate: Callable[[str], None]) -> int:
    """Store the liquidations of one exchange; the exit code: 0 done, 1 parts of the window could not be had.

    Raises BadRecord for a file that is not what it is given as, UserError for wrong options, StoreError for the
    database.
    """
    from indexer import store, venues  # noqa: PLC0415 - nothing heavy before the options are known
    from indexer.cefi import files, provider_rest, providers, rest  # noqa: PLC0415

    if not options.files and not (options.since and options.until):
        raise UserError("give files to import, or --since and --until for a venue with free history")
    provider = providers.PROVIDERS.get(options.venue)
    venue = None if provider else venues.get(options.venue)
    with contextlib.closing(store.connect(db_path)) as connection:
        if options.files and provider:
            providers.load(connection, provider, options.files, narrate, options.markets)
        elif options.files and venue:
            files.load(connection, venue, options.files, narrate, options.markets)
        elif options.since and options.until:
            window = rest.Window(options.since, options.until, options.markets, narrate, base_url=options.base_url)
            if provider:
                return provider_rest.load(connection, provider, window, options.api_key, options.interval)
            if venue:
                return rest.load(connection, venue, window)
    return 0


def context(db_path: str | Path, options: ContextOptions, narrate: Callable[[str], None]) -> int:
    """Store context series; the exit code: 0 done, 1 parts of the window could not be had.

    Raises as `backfill`.
    """
    from indexer import store  # noqa: PLC0415 - nothing heavy before the options are known
    from indexer.cefi import rest, series, series_rest  # noqa: PLC0415

    if not options.files and not (options.since and options.until):
        raise UserError("give files to import, or --since and --until for a source with free history")
    with contextlib.closing(store.connect(db_path)) as connection:
        if options.since and options.until and not options.files:
            window = rest.Window(options.since, options.until, options.markets, narrate, base_url=options.base_url)
            return series_rest.load(connection, options.kind, options.venue, window)
        series.load(
            connection,
            options.kind,
            options.venue,
            options.files,
            narrate,
            markets=options.markets,
            name=options.name,
        )
    return 0


def follow(db_path: str | Path, options: FollowOptions, narrate: Callable[[str], None]) -> int:
    """Record exchanges live until `options.until` or an interrupt; 0, or 1 if a feed never stood or ended silent.

    Raises UserError for a venue without a stream or without the extra `live`, StoreError for the database.
    """
    from indexer import store  # noqa: PLC0415 - nothing heavy before the options are known
    from indexer.cefi import live  # noqa: PLC0415

    with contextlib.closing(store.connect(db_path)) as connection:
        return live.follow(
            connection,
            options.venues,
            narrate,
            markets=options.markets,
            base_url=options.base_url,
            until=options.until,
            commit_seconds=options.commit_seconds,
            learns_contracts=options.base_url is None,
        )


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> int:
    "Decode the stored exchange records of an open database again; how many rows they give."
    from indexer.cefi import again  # noqa: PLC0415 - nothing heavy before it is asked for

    return again.run(connection, narrate)


def reported_totals(connection: duckdb.DuckDBPyConnection) -> int:
    "Add the packaged table of reported totals to an open database; how many rows are new."
    from indexer.cefi import reported  # noqa: PLC0415 - nothing heavy before it is asked for

    return reported.load(connection)
