"""Every venue against its vectors: real records, and flips of them marked as synthetic."""

import functools
import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from indexer import venues
from indexer.cefi import decode
from indexer.errors import UserError

VECTORS = Path(__file__).parent
FRAMES = {"row": pl.Int64, "received_at": pl.Datetime("us"), "market": pl.String, "frame": pl.String}
CLASSES = {"full", "throttled_latest_1s", "throttled_largest_1s", "trade_flag", "unknown"}


def vectors(name):
    "The vectors of a venue, in order."
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]


def decoded(name, raw, received_at=None):
    "What one payload says."
    received = datetime.fromisoformat(received_at) if received_at else None
    frames = pl.DataFrame([(1, received, None, raw)], schema=FRAMES, orient="row")
    return decode.frames(venues.get(name), frames)


@functools.cache
def decoded_vectors(name):
    "What all payloads of a venue say in one call: the result, and its rows by number of the payload."
    received = [
        (number, datetime.fromisoformat(vector["received_at"]) if vector["received_at"] else None, None, vector["raw"])
        for number, vector in enumerate(vectors(name))
    ]
    result = decode.frames(venues.get(name), pl.DataFrame(received, schema=FRAMES, orient="row"))
    by_number = {}
    for row in result.rows.to_dicts():
        by_number.setdefault(row["row"], []).append(row)
    return result, by_number


ALL = [(name, number) for name in venues.names() for number in range(len(vectors(name)))]


@pytest.mark.parametrize(("name", "number"), ALL, ids=[f"{name}-{number + 1}" for name, number in ALL])
def test_vector(name, number):
    "A payload gives exactly the expected rows, and nothing of it is put aside."
    expected_rows = vectors(name)[number]["rows"]

    result, by_number = decoded_vectors(name)

    assert result.rejected.is_empty()
    assert len(by_number.get(number, [])) == len(expected_rows)
    for row, expected in zip(by_number.get(number, []), expected_rows, strict=True):
        row["liquidated_at"] = row["liquidated_at"].isoformat(timespec="milliseconds")
        for column, value in ({"kind": "market"} | expected).items():
            assert row[column] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), column
        assert row["is_headline"] == (row["kind"] == "market")
        assert row["completeness"] in CLASSES
        assert row["event_id"].startswith(f"{name}:")


@pytest.mark.parametrize("name", venues.names())
def test_both_sides(name):
    "Each venue has a record of a long and one of a short; where only one side was at hand, a flip marked synthetic."
    rows = [(row["side"], vector["is_synthetic"]) for vector in vectors(name) for row in vector["rows"]]

    assert {side for side, _ in rows} == {"long", "short"}
    assert any(not is_synthetic for _, is_synthetic in rows)


@pytest.mark.parametrize("name", venues.names())
def test_declaration(name):
    "The module, its name and its disclosures agree: one known class at a time, each with its evidence."
    venue = venues.get(name)

    assert venue.name == name
    assert venue.venue_kind == ("defi" if name in {"dydx", "lighter", "aster"} else "cefi")
    assert all(one.completeness in CLASSES and one.evidence for one in venue.disclosures)
    assert venue.rules[-1].market == ""
    assert all(rule.origin for rule in venue.rules)
    assert venue.hides.endswith(".")


@pytest.mark.parametrize(
    ("name", "raw", "event_id"),
    [
        ("bybit", 4, "bybit:STRKUSDT:1791091285156:Buy:2084.9:0.05165"),
        ("binance", 2, "binance:BTCUSDT:1791565602120:SELL:0.190:82651.90"),
        ("deribit", 0, "deribit:66460463"),
        ("kraken_futures", 0, "kraken_futures:3ee209b8-bc9f-4ed5-965b-8c6208b26411"),
        ("dydx", 0, "dydx:014f495a0000000200000005"),
        ("lighter", 0, "lighter:18237797923"),
        ("bitmex", 0, "bitmex:dd9cea25-207c-0dab-15b5-b88da776f500"),
        ("bitfinex", 1, "bitfinex:143679087:1594036710534"),
        ("gate", 0, "gate:BTC_USDT:1696736132000::-165:28070"),
    ],
)
def test_event_id(name, raw, event_id):
    "The venue's own id where it has one, else the strings as received."
    _, by_number = decoded_vectors(name)

    assert [row["event_id"] for row in by_number[raw]] == [event_id]


BINANCE = (
    '{"e":"forceOrder","E":0,"o":{"s":"%s","S":"SELL","q":"1","p":"10","ap":"10","X":"FILLED","l":"1","z":"1","T":%d}}'
)
BYBIT = '{"topic":"liquidation.BTCUSDT","data":{"symbol":"BTCUSDT","side":"Sell","price":"10","qty":"1","time":%d}}'
OKX = (
    '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkPx":"10","posSide":"long",'
    '"side":"sell","sz":"1","ts":"%d"}],"instId":"BTC-USDT-SWAP","instType":"SWAP"}]}'
)


@pytest.mark.parametrize(
    ("name", "raw", "classes"),
    [
        (
            "binance",
            BINANCE.replace("%s", "BTCUSDT"),
            {
                1619481599999: "full",
                1619481600000: "throttled_latest_1s",
                1779926399999: "throttled_latest_1s",
                1779926400000: "throttled_largest_1s",
            },
        ),
        ("binance", BINANCE.replace("%s", "BTCUSD_PERP"), {1779926400000: "throttled_latest_1s"}),
        ("bybit", BYBIT, {1630454399999: "full", 1630454400000: "throttled_latest_1s"}),
        ("okx", OKX, {1640217599999: "unknown", 1640217600000: "throttled_latest_1s"}),
    ],
)
def test_disclosure_dates(name, raw, classes):
    "A row takes the class that its feed had at its own time: both sides of each change."
    received = [(millisecond, None, None, raw % millisecond) for millisecond in classes]

    found = decode.frames(venues.get(name), pl.DataFrame(received, schema=FRAMES, orient="row")).rows

    assert dict(zip(found["row"], found["completeness"], strict=True)) == classes


BROKEN = {
    "not a side the venue documents: HOLD": {'"S":"SELL"': '"S":"HOLD"'},
    "not a size: 0": {'"z":"1"': '"z":"0"'},
    "not a size: -1": {'"z":"1"': '"z":"-1"'},
    "not a size: nan": {'"z":"1"': '"z":"nan"'},
    "not a size: none": {'"z":"1",': ""},
    "not a price: x": {'"ap":"10"': '"ap":"x"'},
    "not a time in the unit of the feed: 1700000000": {'"T":1700000000000': '"T":1700000000'},
    "clock in the future: 2125-04-10 23:06:40": {'"T":1700000000000': '"T":4900000000000'},
    "not JSON": {"{": "", "}": ""},
}


def test_broken_records():
    "A record that cannot be what the venue documents is put aside with its reason, never stored and never lost."
    received = []
    for number, changes in enumerate(BROKEN.values()):
        raw = BINANCE.replace("%s", "BTCUSDT") % 1700000000000
        for old, new in changes.items():
            raw = raw.replace(old, new)
        received.append((number, None, None, raw))

    result = decode.frames(venues.get("binance"), pl.DataFrame(received, schema=FRAMES, orient="row"))

    assert result.rows.is_empty()
    assert result.rejected["reason"].to_list() == list(BROKEN)


def test_clock_ahead_of_receiver():
    "An event more than a minute after it was received comes from a wrong clock."
    raw = BINANCE.replace("%s", "BTCUSDT") % 1700000000000

    result = decoded("binance", raw, "2023-11-14T22:10:00")

    assert result.rejected["reason"].to_list() == ["clock in the future: 2023-11-14 22:13:20"]


def test_no_receive_time():
    "A BitMEX record carries no time: without a receive time it cannot be placed and is put aside."
    result = decoded("bitmex", vectors("bitmex")[0]["raw"])

    assert result.rows.is_empty()
    assert result.rejected["reason"].to_list() == ["neither a time nor a receive time"]


def test_repeated_record():
    "Of two equal records in one file one counts, the other is put aside as a duplicate."
    raw = vectors("bybit")[4]["raw"]
    frames = pl.DataFrame([(1, None, None, raw), (2, None, None, raw)], schema=FRAMES, orient="row")

    result = decode.frames(venues.get("bybit"), frames)

    assert result.rows.height == 1
    assert result.rejected["reason"].to_list() == ["duplicate"]


def test_unknown_venue():
    "An unknown venue is refused in one line that lists the known ones."
    with pytest.raises(UserError, match=r"no venue 'binnance'; known: aster, binance, bitfinex"):
        venues.get("binnance")
