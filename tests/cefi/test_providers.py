"""Buckets of data providers."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from indexer import cefi, venues
from indexer.cefi import decode, providers, write
from indexer.errors import BadRecord, UserError

DATA = Path(__file__).parent / "data"
LATEST = "throttled_latest_1s"
FRAMES = {"row": pl.Int64, "received_at": pl.Datetime, "market": pl.String, "connection": pl.String, "frame": pl.String}
COLUMNS = "venue, market, asset, bucket_at, interval_seconds, long_usd, short_usd, completeness"


@pytest.fixture
def load(tmp_path, connection):
    "Imports a provider's response; gives the database."

    def load(provider, response, markets=()):
        path = tmp_path / "response.json"
        path.write_text(response if isinstance(response, str) else json.dumps(response))
        providers.load(connection, providers.PROVIDERS[provider], [path], lambda _: None, markets)
        return connection

    return load


def test_coinalyze(load):
    "Seconds and dollars; the class is that of the venue's own feed at the date; nothing goes to liquidations."
    connection = load("coinalyze", (DATA / "coinalyze.json").read_text())

    assert connection.sql(f"SELECT {COLUMNS} FROM cefi_totals").fetchall() == [
        (
            "binance",
            "BTCUSDT_PERP.A",
            "BTC",
            datetime(2026, 7, 24, 4),
            None,
            281390.06,
            1587451.09,
            "throttled_largest_1s",
        )
    ]
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(0,)]


def test_coinalyze_interval(load):
    "The width of a bucket is the distance of the nearest two; an exchange without a slug keeps the provider's code."
    history = [{"t": 1784865600 + 3600 * hour, "l": hour, "s": 0} for hour in range(3)]

    connection = load("coinalyze", [{"symbol": "ETHUSD_PERP.Z", "history": [*history, {"t": 5, "l": 1, "s": 1}]}])

    assert connection.sql(
        "SELECT DISTINCT venue, asset, interval_seconds, completeness FROM cefi_totals"
    ).fetchall() == [("coinalyze_z", "ETH", 3600, "unknown")]
    assert connection.sql("SELECT reason FROM rejected").fetchall() == [("not a time: 5",)]


def test_coinglass_pair(load):
    "Strings and milliseconds; the response does not say its market, so the caller does."
    bars = [
        {"time": 1658880000000, "long_liquidation_usd": "2369935.19", "short_liquidation_usd": "5947459.43"},
        {"time": 1658966400000, "long_liquidation_usd": "5118407.85", "short_liquidation_usd": "8517330.44"},
    ]

    connection = load("coinglass", {"code": "0", "msg": "success", "data": bars}, ("Binance:BTCUSDT",))

    assert connection.sql(f"SELECT {COLUMNS} FROM cefi_totals ORDER BY bucket_at LIMIT 1").fetchall() == [
        (
            "binance",
            "Binance:BTCUSDT",
            "BTC",
            datetime(2022, 7, 27),
            86400,
            2369935.19,
            5947459.43,
            "throttled_latest_1s",
        )
    ]


def test_sum_is_not_kept_beside_its_parts(load):
    "A provider's sum over venues gives way to the parts, in whatever order they come."
    bar = {"time": 1658880000000, "long_liquidation_usd": 1, "short_liquidation_usd": 2}
    total = {"time": 1658880000000, "aggregated_long_liquidation_usd": 9, "aggregated_short_liquidation_usd": 9}
    alone = load("coinglass", {"code": "0", "data": [total]}, ("BTC",))
    venues_alone = alone.sql("SELECT venue, asset, long_usd FROM cefi_totals").fetchall()
    load("coinglass", {"code": "0", "data": [bar]}, ("OKX:BTC-USDT-SWAP",))

    connection = load("coinglass", {"code": "0", "data": [total]}, ("BTC",))

    assert venues_alone == [("all", "BTC", 9.0)]
    assert connection.sql("SELECT venue FROM cefi_totals").fetchall() == [("okx",)]


ORDERS = [  # the first two are the docs' own example
    {"exchange_name": "BINANCE", "symbol": "BTCUSDT", "base_asset": "BTC", "price": 87535.9, "usd_value": 205534.2932,
     "side": 2, "time": 1745216319263},
    {"exchange_name": "BINANCE", "symbol": "BTCUSDT", "base_asset": "BTC", "price": 87465.2, "usd_value": 15918.6664,
     "side": 1, "time": 1745215647165},
    {"exchange_name": "Gate.io", "symbol": "1000PEPE_USDT", "price": "0.01", "usd_value": "50", "side": 2,
     "time": 1745215647165},
    {"exchange_name": "Hyperliquid", "symbol": "BTC", "price": 1, "usd_value": 5, "side": 2, "time": 1745215647165},
    {"exchange_name": "CoinEx", "symbol": "BTCUSDT", "price": 80000, "usd_value": 8, "side": 3, "time": 1745215647165},
]  # fmt: skip


def test_coinglass_orders(load):
    "Single orders become rows of the venue they name: 2 sells, so a long was closed; the class is that of its feed."
    connection = load("coinglass", {"code": "0", "msg": "success", "data": ORDERS})
    columns = "venue, market, asset, side, size, price, forced_usd, liquidated_at, completeness, source"
    found = connection.sql(f"SELECT {columns} FROM liquidations ORDER BY ALL").fetchall()
    refused = connection.sql("SELECT source, reason FROM rejected ORDER BY ALL").fetchall()
    cefi.redecode(connection, lambda _: None)

    first, second = datetime(2025, 4, 21, 6, 18, 39, 263000), datetime(2025, 4, 21, 6, 7, 27, 165000)
    assert found == [
        ("binance", "BTCUSDT", "BTC", "long", pytest.approx(2.348), 87535.9, 205534.2932, first, LATEST, "binance_coinglass"),
        ("binance", "BTCUSDT", "BTC", "short", pytest.approx(0.182), 87465.2, 15918.6664, second, LATEST,
         "binance_coinglass"),
        ("gate", "1000PEPE_USDT", "PEPE", "long", pytest.approx(5e6), 1e-5, 50.0, second, "unknown", "gate_coinglass"),
    ]  # fmt: skip
    assert refused == [
        ("coinex_coinglass", "not a side the venue documents: 3"),
        ("hyperliquid_coinglass", "indexed from its own ledger"),
    ]
    assert connection.sql(f"SELECT {columns} FROM liquidations ORDER BY ALL").fetchall() == found
    assert connection.sql("SELECT count(*) FROM liquidation_coverage").fetchall() == [(0,)]


def test_an_order_known_from_the_venue(load):
    "What the venue itself reported is not counted again from a provider's list."
    order = {"s": "BTCUSDT", "S": "SELL", "z": "2.348", "ap": "87500", "T": 1745216319263}
    frame = pl.DataFrame(
        [(1, None, None, None, json.dumps({"e": "forceOrder", "o": order}))], schema=FRAMES, orient="row"
    )
    connection = load("coinglass", {"code": "0", "data": ORDERS[:2]})
    connection.register("incoming", frame.to_arrow())
    connection.execute("CREATE OR REPLACE TEMP TABLE frames AS FROM incoming")
    decode.from_frames(connection, venues.get("binance"), "frames")
    decode.price(connection, venues.get("binance"), {})
    write.write(connection, venues.get("binance"), [], write.RAW_FRAMES)

    load("coinglass", {"code": "0", "data": ORDERS[:1]})

    assert connection.sql("SELECT source, side FROM liquidations ORDER BY ALL").fetchall() == [
        ("binance_coinglass", "short"),
        ("binance_ws", "long"),
    ]


def test_unnamed_market(load):
    "A CoinGlass response without a stated market is refused with the remedy."
    bar = {"time": 1658880000000, "long_liquidation_usd": 1, "short_liquidation_usd": 2}

    with pytest.raises(UserError, match="pass --market Binance:BTCUSDT, or BTC for a sum"):
        load("coinglass", {"code": "0", "data": [bar]})


def test_another_response(load):
    "A response that is no liquidation history is refused."
    with pytest.raises(BadRecord, match="no liquidation history of coinalyze"):
        load("coinalyze", {"message": "Invalid API key"})


def test_reported_totals(connection):
    "The packaged table of what third parties stated is loaded once, whole, days not established included."
    first, again = cefi.reported_totals(connection), cefi.reported_totals(connection)

    counted = "SELECT count(*), count(*) FILTER (reported_at IS NULL), count(DISTINCT url) > 50 FROM reported_totals"
    own = "SELECT max(value) FROM reported_totals WHERE venue = 'bybit' AND metric = 'total_self_reported'"
    assert (first, again) == (346, 0)
    assert connection.sql(counted).fetchall() == [(346, 7, True)]
    assert connection.sql(own).fetchall() == [(2_100_000_000.0,)]
