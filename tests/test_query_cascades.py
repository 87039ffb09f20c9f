"""Cascades, by hand: hot buckets over a trailing threshold, joined over short gaps."""

import datetime as dt

import pytest
from fixture_store import ask, at, empty_store, example_store, insert, unlike


def test_example_night():
    "Three hot minutes are one cascade; half of 17,600 is passed at p04, 65 s after p01."
    (row,) = ask(example_store(), "cascades", floor_usd=1000)

    wanted = {
        "cascade_id": "all@20260314T090000",
        "key": "all",
        "start_at": at("09:00:00"),
        "end_at": at("09:03:00"),
        "duration_seconds": 180,
        "forced_usd": 17600,
        "n_events": 7,
        "n_accounts": 5,
        "n_venues": 3,
        "n_unpriced": 0,
        "long_share": 1,
        "peak_at": at("09:01:00"),
        "peak_usd": 7080,
        "half_seconds": 65,
        "hot_share": 1,
        "largest_asset": "BTC",
    }

    assert unlike(row, wanted) == {}
    assert row.keys() == wanted.keys()


@pytest.mark.parametrize(
    "values", [{}, {"floor_usd": 1000, "min_accounts": 6}, {"floor_usd": 1000, "cascade_id": "no"}]
)
def test_none(values):
    "Below the floor, with too few accounts, or under another name there is no cascade."
    assert ask(example_store(), "cascades", **values) == []


def test_scope():
    "Within one asset the keys are assets, and each row belongs to its own."
    rows = ask(example_store(), "cascades", floor_usd=1000, scope="asset", min_accounts=1)

    assert [(row["cascade_id"], row["forced_usd"]) for row in rows] == [
        ("ETH@20260314T090000", 6780.0),
        ("BTC@20260314T090100", 10000.0),
    ]


def hours(connection, usd_of_hour):
    "One row in each given hour after 2026-01-01, each of an account of its own."
    start = dt.datetime(2026, 1, 1)
    insert(
        connection,
        "liquidations",
        [
            {
                "event_id": f"h{hour}",
                "liquidated_at": start + dt.timedelta(hours=hour),
                "account": f"0x{hour:040x}",
                "asset": "ETH",
                "side": "long",
                "forced_usd": usd,
            }
            for hour, usd in usd_of_hour.items()
        ],
    )
    return connection


def test_threshold():
    """Hour buckets, two days before the third: 48 buckets, 4 of them 10, 20, 30, 40 and the rest 0.

    The 0.95 quantile stands at rank 47 x 0.95 = 44.65, between 10 (rank 44) and 20 (rank 45): 16.5.
    """
    connection = hours(empty_store(), {0: 10, 7: 20, 30: 30, 41: 40, 48: 16.4, 60: 16.5, 70: 17})
    settings = {"bucket_seconds": 3600, "threshold_quantile": 0.95, "min_accounts": 1, "gap_seconds": 0}
    since = {"since": "2026-01-03"}
    rows = ask(connection, "cascades", **settings, **since, floor_usd=1)
    floored = ask(connection, "cascades", **settings, **since, floor_usd=16.8)
    looking_back_a_day = ask(connection, "cascades", **settings, **since, floor_usd=1, lookback_days=1)

    assert [row["forced_usd"] for row in rows] == [16.5, 17.0]
    assert [row["forced_usd"] for row in floored] == [17.0]
    # One day back: 24 buckets, rank 21.85 of 22 zeros, 30, 40: 0.85 x 30 = 25.5.
    assert looking_back_a_day == []


def test_threshold_interpolates_below_the_floor():
    "The value below the floor takes part: between 10 and 40, at rank 46.06 of 48, stands 11.8; the floor is 11."
    connection = hours(empty_store(), {0: 10, 41: 40, 48: 11.7, 60: 11.9})
    rows = ask(
        connection,
        "cascades",
        since="2026-01-03",
        bucket_seconds=3600,
        threshold_quantile=0.98,
        floor_usd=11,
        min_accounts=1,
        gap_seconds=0,
    )

    assert [row["forced_usd"] for row in rows] == [11.9]


def test_gap_and_members():
    "Left edges at most gap_seconds apart join; a row between two hot buckets and an unpriced one are members."
    connection = hours(empty_store(), {0: 100, 1: 5, 2: 100, 5: 100})
    insert(
        connection, "liquidations", [{"event_id": "u", "liquidated_at": dt.datetime(2026, 1, 1, 1), "account": "0x1"}]
    )
    settings = {"bucket_seconds": 3600, "floor_usd": 50, "min_accounts": 1}
    rows = ask(connection, "cascades", **settings, gap_seconds=7200)
    apart = ask(connection, "cascades", **settings, gap_seconds=7199)

    assert [(row["n_events"], row["n_unpriced"], row["forced_usd"], row["hot_share"]) for row in rows] == [
        (4, 1, 205.0, 200 / 205),
        (1, 0, 100.0, 1.0),
    ]
    assert [row["n_events"] for row in apart] == [1, 1, 1]
