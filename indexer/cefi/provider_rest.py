"""Buckets of data providers over REST: Coinalyze, CoinGlass."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from indexer.cefi import orders, providers, rest
from indexer.errors import Retryable, UserError
from indexer.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from indexer.sources.rest import Client


@dataclass(frozen=True)
class Endpoint:
    """How a provider is asked: `params` are templates over symbol, exchange, interval, since and until (in `unit_ms`).

    `bars` is how many one answer holds at most. `refusal` is SQL over `page` (JSON) for an error with status 200.
    """

    url: str
    params: Mapping[str, str]
    key_header: str
    key_variable: str
    key_page: str
    requests_per_minute: float
    bars: int
    intervals: Mapping[str, int]
    interval: str
    unit_ms: int
    markets: tuple[str, ...]
    refusal: str
    sum_url: str | None = None
    orders_url: str | None = None


ENDPOINTS = {
    "coinalyze": Endpoint(
        url="https://api.coinalyze.net/v1/liquidation-history",
        params={
            "symbols": "{symbol}",
            "interval": "{interval}",
            "from": "{since}",
            "to": "{until}",
            "convert_to_usd": "true",
        },
        key_header="api_key",
        key_variable="COINALYZE_API_KEY",
        key_page="coinalyze.net/account/api-key",
        requests_per_minute=40.0,
        bars=1500,
        intervals={"1min": 60, "5min": 300, "15min": 900, "1hour": 3600, "4hour": 14400, "daily": 86400},
        interval="1hour",
        unit_ms=1000,
        markets=(
            "BTCUSDT_PERP.A",
            "ETHUSDT_PERP.A",
            "BTCUSDT_PERP.6",
            "ETHUSDT_PERP.6",
            "BTCUSDT_PERP.3",
            "ETHUSDT_PERP.3",
        ),
        refusal="if(json_type(page) = 'OBJECT', coalesce(page ->> '$.message', page ->> '$.error', page::VARCHAR), NULL)",
    ),
    "coinglass": Endpoint(
        url="https://open-api-v4.coinglass.com/api/futures/liquidation/history",
        orders_url="https://open-api-v4.coinglass.com/api/futures/liquidation/order",
        sum_url="https://open-api-v4.coinglass.com/api/futures/liquidation/aggregated-history",
        params={
            "exchange": "{exchange}",
            "symbol": "{symbol}",
            "interval": "{interval}",
            "start_time": "{since}",
            "end_time": "{until}",
            "limit": "1000",
        },
        key_header="CG-API-KEY",
        key_variable="COINGLASS_API_KEY",
        key_page="coinglass.com/pricing",
        requests_per_minute=30.0,
        bars=1000,
        intervals={"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400},
        interval="4h",  # what the lowest plan allows
        unit_ms=1,
        markets=("Binance:BTCUSDT", "Binance:ETHUSDT", "Bybit:BTCUSDT", "Bybit:ETHUSDT", "OKX:BTC-USDT-SWAP"),
        refusal="if((page ->> '$.code') NOT IN ('0', '200'), coalesce(page ->> '$.msg', page ->> '$.code'), NULL)",
    ),
}
ORDERS = "orders:"  # begins a market that asks for single orders: orders:Binance:BTC
SUM_EXCHANGES = "Binance,OKX,Bybit,Bitget,Gate,HTX,Bitfinex,Bitmex,Hyperliquid"


def load(
    connection: duckdb.DuckDBPyConnection,
    provider: providers.Provider,
    window: rest.Window,
    api_key: str | None = None,
    interval: str | None = None,
) -> int:
    "Store the provider's buckets of the window; 0, or 1 if a market could not be had. Raises UserError without a key."
    endpoint = ENDPOINTS[provider.name]
    key = api_key or os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise UserError(
            f"{provider.name} needs a key: set {endpoint.key_variable} (get one at {endpoint.key_page}), or import files"
        )
    width = interval or endpoint.interval
    if width not in endpoint.intervals:
        raise UserError(f"{provider.name} has no interval {width!r}; known: {', '.join(endpoint.intervals)}")
    client = window.client(
        provider.name,
        requests_per_minute=endpoint.requests_per_minute,
        base_url=window.base_url,
        headers={endpoint.key_header: key},
        key_hint=f"; check {endpoint.key_variable}",
    )
    try:
        n_left = 0
        for market in window.markets or endpoint.markets:
            if endpoint.orders_url and market.startswith(ORDERS):
                n_left += fill_orders(connection, provider, endpoint, market, window=window, client=client)
            else:
                n_left += fill(connection, provider, endpoint, market, width=width, window=window, client=client)
        return int(n_left > 0)
    except rest.Hopeless as error:
        window.narrate(f"{provider.name}: nothing more is asked for now: {error}")
        return 1
    finally:
        client.close()


def fill(
    connection: duckdb.DuckDBPyConnection,
    provider: providers.Provider,
    endpoint: Endpoint,
    market: str,
    *,
    width: str,
    window: rest.Window,
    client: Client,
) -> int:
    "Ask for one market, as many bars at a time as an answer holds; 1 if a part could not be had."
    seconds = endpoint.intervals[width]
    dataset = f"context:cefi_totals:{provider.name}:{market}"
    since, until = window.since, min(window.until, window.now)
    while since < until:
        last = min(until, since + timedelta(seconds=seconds * endpoint.bars))
        asked = Range(rest.milliseconds(since), rest.milliseconds(last) - 1)
        exchange, _, symbol = market.rpartition(":") if endpoint.sum_url else ("", "", market)
        stated = {
            "exchange": exchange,
            "symbol": symbol,
            "interval": width,
            "since": str(asked.first // endpoint.unit_ms),
            "until": str(asked.last // endpoint.unit_ms),
        }
        params = {name: template.format(**stated) for name, template in endpoint.params.items()}
        url = endpoint.url
        if endpoint.sum_url and not exchange:
            url = endpoint.sum_url
            params = {name: value for name, value in params.items() if name != "exchange"} | {
                "exchange_list": SUM_EXCHANGES
            }
        try:
            body = client.get(url, params)
        except Retryable as error:
            rest.note_gap(connection, provider.name, dataset, asked, left=asked, reason=str(error))
            window.narrate(f"{dataset} {since} to {last} is left: {error}")
            raise rest.Hopeless(str(error)) from error
        put_answer(connection, provider, body, market)
        check_refusal(connection, provider, endpoint)
        written = providers.store_frames(connection, provider, provider.name, (), seconds)
        rest.note_gap(connection, provider.name, dataset, asked, left=None, reason=None)
        window.narrate(f"{dataset} {since} to {last}: {written}")
        since = last
    return 0


def fill_orders(
    connection: duckdb.DuckDBPyConnection,
    provider: providers.Provider,
    endpoint: Endpoint,
    market: str,
    *,
    window: rest.Window,
    client: Client,
) -> int:
    "Ask for the single orders of one exchange and coin, a full answer again in halves; 1 if a part could not be had."
    _, exchange, coin = market.split(":") if market.count(":") == 2 else ("", "", "")  # noqa: PLR2004 - three parts
    if not (exchange and coin):
        raise UserError(f"{market!r} names no orders; pass --market {ORDERS}Binance:BTC")
    dataset = f"context:{provider.name}:{market}"
    since, until = rest.milliseconds(window.since), rest.milliseconds(min(window.until, window.now))
    kept = max(since, rest.milliseconds(window.now) - orders.KEPT_SECONDS * 1000)
    n_left = 0
    if since < kept:
        asked = Range(since, min(kept, until) - 1)
        reason = f"{provider.name} keeps seven days of orders"
        rest.note_gap(connection, provider.name, dataset, asked, left=asked, reason=reason)
        window.narrate(f"{dataset} {rest.moment(asked.first)} to {rest.moment(asked.last + 1)} is left: {reason}")
        n_left = 1
    todo = [Range(kept, until - 1)] if kept < until else []
    while todo:
        one = todo.pop()
        bounds = {"start_time": str(one.first), "end_time": str(one.last)}
        try:
            body = client.get(
                str(endpoint.orders_url),
                {"exchange": exchange, "symbol": coin, "min_liquidation_amount": "0"} | bounds,
            )
        except Retryable as error:
            rest.note_gap(connection, provider.name, dataset, one, left=one, reason=str(error))
            window.narrate(f"{dataset} {rest.moment(one.first)} to {rest.moment(one.last + 1)} is left: {error}")
            raise rest.Hopeless(str(error)) from error
        put_answer(connection, provider, body, market)
        check_refusal(connection, provider, endpoint)
        ((n_orders,),) = connection.sql("SELECT json_array_length(frame, '$.data') FROM frames").fetchall()
        middle = (one.first + one.last) // 2
        if n_orders >= orders.MOST_ORDERS and one.first < one.last:
            todo += [Range(middle + 1, one.last), Range(one.first, middle)]
            continue
        stored = orders.store_frames(connection, market)
        rest.note_gap(connection, provider.name, dataset, one, left=None, reason=None)
        window.narrate(f"{dataset} {rest.moment(one.first)} to {rest.moment(one.last + 1)}: {stored}")
    return n_left


def put_answer(
    connection: duckdb.DuckDBPyConnection, provider: providers.Provider, body: bytes | None, market: str
) -> None:
    "The temp table `frames` with one answer; raises UserError where the provider knows no such market."
    if body is None:
        raise UserError(f"{provider.name} has no {market} (404); pass a --market as it writes it")
    rest.put_frame(connection, body, market)


def check_refusal(connection: duckdb.DuckDBPyConnection, provider: providers.Provider, endpoint: Endpoint) -> None:
    "Raises UserError in the provider's own words where its answer is an error with status 200."
    found = connection.sql(
        f"SELECT {endpoint.refusal} FROM (SELECT frame::JSON AS page FROM frames WHERE json_valid(frame))"
    ).fetchall()
    if not found:
        raise Retryable(f"{provider.name} answers with something that is not JSON; run again later")
    if found[0][0]:
        raise UserError(
            f"{provider.name} refuses the request: {rest.one_line(found[0][0])}; check {endpoint.key_variable} and the plan"
        )
