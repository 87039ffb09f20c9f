"""Context of HyperCore over the info API: markets as they are now, funding, candles, and the children of vaults."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import polars as pl

from indexer import store
from indexer.errors import UserError
from indexer.hyperliquid import contexts, snapshots, write
from indexer.hyperliquid.info import CANDLES, Info
from indexer.hyperliquid.plan import milliseconds, moment
from indexer.hyperliquid.watch import PARENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb

SOURCE = snapshots.SOURCE
MARKETS = ("BTC", "ETH")
INTERVAL, INTERVAL_MS = "1h", 3_600_000
NOW_ONLY = "the API knows only the present; take history from asset_ctxs files: `indexer backfill hyperliquid`"
OLDER = f"the API gives the latest {CANDLES:,} candles only; take older prices from asset_ctxs files"


def context(
    db_path: str | Path,
    kind: str,
    narrate: Callable[[str], None],
    *,
    window: tuple[datetime | None, datetime | None] = (None, None),
    markets: Sequence[str] = (),
    base_url: str | None = None,
) -> int:
    """Store one kind of context; 0, or 1 if a part of the window could not be had.

    `open_interest` is what every market is now, its marks and its funding rate with it; `funding` and `klines` (hourly)
    are of a window and of `markets`; `vaults` are the children of vaults (`markets` are their addresses, HLP by
    default), as labels. Raises UserError for a kind the API does not have, or a window that makes no sense.
    """
    since, until = (None if at is None else milliseconds(at) for at in window)
    if since is not None and until is not None and since >= until:
        raise UserError(f"--until {window[1]} is not after --since {window[0]}; windows are [since, until)")
    if kind in {"funding", "klines"} and (since is None or until is None):
        raise UserError(f"{kind} of hyperliquid need a window: give --since and --until")
    if kind not in {"open_interest", "funding", "klines", "vaults"}:
        raise UserError(f"{kind} of hyperliquid is not there; it has open_interest, funding, klines and vaults")
    now = int(time.time() * 1000)
    if kind == "open_interest" and not (since or 0) <= now < (until or now + 1):
        narrate(f"open_interest hyperliquid: {NOW_ONLY}")
        return 1
    with contextlib.closing(store.connect(db_path)) as connection, contextlib.closing(Info(base_url)) as info:
        if kind == "open_interest":
            return present(connection, info, now, markets, narrate)
        if kind == "vaults":
            return vaults(connection, info, markets or (PARENT,), narrate)
        fetch = funding if kind == "funding" else candles
        return max(
            fetch(connection, info, market, (since or 0, min(until or now, now)), narrate)
            for market in markets or MARKETS
        )


def present(
    connection: duckdb.DuckDBPyConnection, info: Info, now: int, markets: Sequence[str], narrate: Callable[[str], None]
) -> int:
    "Open interest, marks, oracle prices and funding rates of this moment, of `markets` or of every market of known dexes."
    asked = {market.partition(":")[0] if ":" in market else "" for market in markets}
    names = sorted(asked) or ["", *known_dexes(connection)]
    frames = [snapshots.contexts(*info.contexts(dex), now, dex) for dex in names]
    rows = pl.concat(frames)
    if markets:
        rows = rows.filter(pl.col("coin").is_in(list(markets)))
    if unknown := sorted(set(markets) - set(rows["coin"])):
        raise UserError(f"hyperliquid has no market {', '.join(unknown)}; write it as the venue does: BTC, xyz:TSLA")
    with store.transaction(connection):
        n_markets = write.replace(connection, write.OPEN_INTEREST, contexts.open_interest(rows, SOURCE))
        n_prices = write.replace(connection, write.PRICES, contexts.prices(rows))
        write.replace(connection, write.FUNDING, contexts.funding(rows, SOURCE))
    narrate(f"open_interest hyperliquid {moment(now):%Y-%m-%dT%H:%M:%S} {n_markets} markets, {n_prices} prices")
    return 0


def known_dexes(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "The builder dexes that `markets` names."
    found = connection.execute(
        "SELECT DISTINCT params ->> '$.dex' AS dex FROM markets WHERE chain = ? AND venue = 'hyperliquid'"
        " AND dex <> '' ORDER BY dex",
        [write.CHAIN],
    ).fetchall()
    return [dex for (dex,) in found]


def funding(
    connection: duckdb.DuckDBPyConnection,
    info: Info,
    market: str,
    window: tuple[int, int],
    narrate: Callable[[str], None],
) -> int:
    "The hourly funding rates of one market in a window."
    rates = snapshots.funding(info.funding(market, *window))
    with store.transaction(connection):
        n_rows = write.replace(connection, write.FUNDING, rates)
        cover(connection, info, f"funding:hyperliquid:{market}", window, n_rows)
    narrate(f"funding hyperliquid {market} {n_rows} rows")
    return 0


def candles(
    connection: duckdb.DuckDBPyConnection,
    info: Info,
    market: str,
    window: tuple[int, int],
    narrate: Callable[[str], None],
) -> int:
    "The closed hourly candles of one market in a window, as far back as the API reaches."
    since, until = window
    found = info.candles(market, INTERVAL, since, until)
    rows = snapshots.candle_prices([candle for candle in found if candle["T"] < until])
    reached = since
    is_cut = len(found) >= CANDLES or since < until - CANDLES * INTERVAL_MS
    if is_cut:
        reached = max(since, min((candle["t"] for candle in found), default=until))
    dataset = f"prices:hyperliquid:{market}"
    with store.transaction(connection):
        n_rows = write.replace(connection, write.PRICES, rows)
        if reached < until:
            cover(connection, info, dataset, (reached, until), n_rows)
        write.clear_gaps(connection, SOURCE, dataset, moment(since), moment(until))
        if reached > since:
            gap = {"from_at": moment(since), "to_at": moment(reached), "reason": OLDER}
            write.mark_gap(connection, {"source": SOURCE, "dataset": dataset} | gap)
    narrate(f"klines hyperliquid {market} {n_rows} rows" + (f"; before {moment(reached)}: {OLDER}" if is_cut else ""))
    return int(reached > since)


def cover(
    connection: duckdb.DuckDBPyConnection, info: Info, dataset: str, window: tuple[int, int], n_rows: int
) -> None:
    "Mark a window as answered."
    bounds = {"from_at": moment(window[0]), "to_at": moment(window[1])}
    counted = {"n_rows": n_rows, "n_rejected": 0, "proof": "paged", "endpoint": info.host}
    write.cover(connection, {"source": SOURCE, "dataset": dataset} | bounds | counted)


def vaults(
    connection: duckdb.DuckDBPyConnection, info: Info, parents: Sequence[str], narrate: Callable[[str], None]
) -> int:
    "The addresses of each vault into `labels`: those of HLP as `hlp`, those of another under its name."
    for parent in parents:
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", parent):
            raise UserError(f"{parent!r} is no address of a vault; write 0x and 40 hexadecimal digits")
    with store.transaction(connection):
        write.seed_vaults(connection)
    for parent in parents:
        details = info.vault(parent)
        entity = "hlp" if parent.lower() == PARENT else slug(str(details.get("name") or parent.lower()))
        addresses = snapshots.children(parent, details)
        with store.transaction(connection):
            n_new = write.label_vaults(connection, entity, addresses, f"{SOURCE}: vaultDetails of {parent.lower()}")
        remedy = "; run `indexer redecode` to judge what is stored by them" if n_new else ""
        narrate(f"vaults {entity}: {len(addresses)} addresses, {n_new} new{remedy}")
    return 0


def slug(name: str) -> str:
    "A name as labels write it."
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "vault"
