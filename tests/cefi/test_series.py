"""Context series from files."""

import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from indexer.cefi import series
from indexer.errors import BadRecord, UserError

DATA = Path(__file__).parent / "data"
KLINE = "{open},60000,60010,59990,60005.5,10,{close},600000,42,5,300000,0\n"
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore\n"
)


@pytest.fixture
def load(connection):
    "Imports files of one kind of context; gives the database."

    def load(kind, *paths, venue="binance", **options):
        series.load(connection, kind, venue, paths, lambda _: None, **options)
        return connection

    return load


def write(folder, name, text):
    "A file of this name and text."
    path = folder / name
    path.write_text(text)
    return path


def test_open_interest(load):
    "USD-M counts base units and dollars; COIN-M contracts and base coin, so dollars are contracts times their value."
    connection = load(
        "open_interest", DATA / "metrics_BTCUSDT_2026-07-15.csv", DATA / "metrics_BTCUSD_PERP_2023-06-25.csv"
    )

    assert connection.sql(
        "SELECT venue, market, asset, observed_at, units, usd, sides FROM open_interest ORDER BY observed_at"
    ).fetchall() == [
        ("binance", "BTCUSD_PERP", "BTC", datetime(2023, 6, 25), 18265.00911826, 557870000.0, 1),
        ("binance", "BTCUSD_PERP", "BTC", datetime(2023, 6, 25, 0, 5), 18261.90678854, 557820900.0, 1),
        ("binance", "BTCUSDT", "BTC", datetime(2026, 7, 15), 105550.985, pytest.approx(6858675634.706254), 1),
    ]


def test_funding(load):
    "A rate per interval at the instant it was computed, a few milliseconds after the hour."
    connection = load("funding", DATA / "fundingRate_BTCUSD_PERP_2023-06.csv")

    assert connection.sql("SELECT asset, observed_at, rate, interval_seconds FROM funding ORDER BY ALL").fetchall() == [
        ("BTC", datetime(2023, 6, 1, 0, 0, 0, 11000), 0.0001, 28800),
        ("BTC", datetime(2023, 6, 1, 8), 0.0001, 28800),
    ]
    assert connection.sql("SELECT from_at, to_at FROM coverage").fetchall() == [
        (datetime(2023, 6, 1), datetime(2023, 7, 1))
    ]


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("scale", [1, 1000])
def test_klines(load, tmp_path, header, scale):
    "The close at the end of the bar, with or without a header, in milli- or microseconds, plain or zipped."
    text = header + KLINE.format(open=1735689600000 * scale, close=1735689660000 * scale - 1)
    plain = write(tmp_path, "BTCUSDT-1m-2025-01-01.csv", text)
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m-2025-01-01.zip", "w") as archive:
        archive.write(plain, plain.name)

    connection = load("klines", tmp_path / "BTCUSDT-1m-2025-01-01.zip")

    second = datetime(2025, 1, 1, 0, 0, 59, 999000 if scale == 1 else 999999)
    assert connection.sql("SELECT asset, priced_at, price_usd, kind, source FROM prices").fetchall() == [
        ("BTC", second, 60005.5, "kline", "binance_archive:BTCUSDT")
    ]


def test_klines_of_a_thousand(load, tmp_path):
    "A contract of a thousand units is priced for one unit."
    text = KLINE.format(open=1735689600000, close=1735689659999).replace("60005.5", "0.02")

    connection = load("klines", write(tmp_path, "1000PEPEUSDT-1m-2025-01-01.csv", text))

    assert connection.sql("SELECT asset, price_usd FROM prices").fetchall() == [("PEPE", pytest.approx(0.00002))]


def test_fear_and_greed(load):
    "Every leaf is a string, days are seconds at midnight, the label is the classification."
    connection = load("fear_greed", DATA / "feargreed.json")

    assert connection.sql("SELECT name, observed_at, value, label FROM series ORDER BY ALL").fetchall() == [
        ("fear_greed", datetime(2022, 9, 11), 26.0, "Fear"),
        ("fear_greed", datetime(2022, 9, 12), 25.0, "Extreme Fear"),
    ]


def test_fear_and_greed_error(load, tmp_path):
    "An answer that is an error is refused with the server's words."
    path = write(tmp_path, "a.json", '{"name":"x","data":[],"metadata":{"error":"limit is wrong"}}')

    with pytest.raises(UserError, match="limit is wrong"):
        load("fear_greed", path)


def test_rates(load, tmp_path):
    "Any CSV of a date and a value; a dot is a missing value, not zero."
    path = write(tmp_path, "DGS10.csv", "observation_date,DGS10\n2025-01-01,.\n2025-01-02,4.57\nsoon,1\n")

    connection = load("rates", path)

    assert connection.sql("SELECT name, observed_at, value FROM series ORDER BY ALL").fetchall() == [
        ("dgs10", datetime(2025, 1, 1), None),
        ("dgs10", datetime(2025, 1, 2), 4.57),
    ]
    assert connection.sql("SELECT reason, raw FROM rejected").fetchall() == [("not a date: soon", "soon,1")]


def test_twice_is_once(load):
    "The same file again changes nothing."
    path = DATA / "metrics_BTCUSD_PERP_2023-06-25.csv"
    load("open_interest", path)

    connection = load("open_interest", path)

    assert connection.sql("SELECT count(*) FROM open_interest").fetchall() == [(2,)]
    assert connection.sql("SELECT count(*) FROM coverage").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("kind", "file", "reason"),
    [
        ("open_interest", ("a.csv", "a,b\n1,2\n"), "row 1: the columns are a,b; expected create_time,symbol"),
        (
            "funding",
            ("a.csv", "calc_time,funding_interval_hours,last_funding_rate\n1,8,0\n"),
            "does not say the market",
        ),
        ("klines", ("BTCUSDT-1m-2025-01-01.csv", KLINE.format(open=1, close=2)), "no usable line: 1 not a time"),
        (
            "klines",
            ("ETHBTC-1m-2025-01-01.csv", KLINE.format(open=1735689600000, close=1735689659999)),
            "not quoted in",
        ),
        ("rates", ("a.csv", "date,open,close\n2025-01-01,1,2\n"), "expected a date and a value"),
        ("fear_greed", ("a.json", '{"hello":1}'), "no answer of alternative.me"),
    ],
)
def test_refused_file(load, tmp_path, kind, file, reason):
    "A file that is none of its kind is refused in one line."
    with pytest.raises(BadRecord, match=reason):
        load(kind, write(tmp_path, *file))


def test_unknown_kind(load):
    "An unknown kind is refused with the list of known ones."
    with pytest.raises(UserError, match="no context 'moods'; known: fear_greed, open_interest, funding, klines, rates"):
        load("moods", DATA / "feargreed.json")
