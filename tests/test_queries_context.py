"""What stood around an event, by hand: leverage before it, and how rare it was."""

import datetime as dt

import pytest
from fixture_store import ask, empty_store, insert, unlike

FIRST = dt.datetime(2026, 3, 1)


def day(n, hours=20):
    "An hour of the n-th day."
    return FIRST + dt.timedelta(days=n, hours=hours)


def interest(n, units, asset="ETH", hours=20, **columns):
    "One row of open interest in coins."
    base = {"venue": "binance", "market": asset, "asset": asset, "sides": 1}
    return base | {"observed_at": day(n, hours), "units": float(units)} | columns


def price(n, usd, asset="ETH", hours=12, **columns):
    "One price."
    return {"asset": asset, "priced_at": day(n, hours), "price_usd": float(usd), "kind": "kline"} | columns


def stated(when, value, event, **columns):
    "One published 24-hour total."
    base = {"metric": "total", "venue": "all", "asset": "all", "window_hours": 24.0, "unit": "usd", "source": "desk"}
    return base | {"reported_at": when, "value": float(value), "event": event} | columns


# releveraging


def test_signal_of_the_example():
    "Open interest up 15 % while the price rose 0.5 %: a signal; while it rose 3 %: none."
    store = empty_store()
    insert(store, "open_interest", [interest(n, u, asset) for asset in ("ETH", "SOL") for n, u in ((0, 400), (7, 460))])
    insert(store, "prices", [price(0, 2000), price(7, 2010), price(14, 1860)])
    insert(store, "prices", [price(0, 2000, "SOL"), price(7, 2060, "SOL")])
    rows = {(row["asset"], row["day"].day): row for row in ask(store, "releveraging")}
    ether, solana = rows["ETH", 8], rows["SOL", 8]

    assert list(rows) == [("ETH", 1), ("SOL", 1), ("ETH", 8), ("SOL", 8)]
    assert unlike(ether, {"oi_units": 460, "is_signal": True, "oi_rank_share": 1, "base_hit_share": 0}) == {}
    assert (ether["oi_change"], ether["price_change"]) == pytest.approx((0.15, 0.005))
    assert ether["forward_drawdown"] == pytest.approx(-0.074627, abs=1e-6)
    assert (solana["is_signal"], solana["price_change"]) == (False, pytest.approx(0.03))
    assert (solana["forward_drawdown"], solana["signal_hit_share"]) == (None, None)
    assert unlike(rows["ETH", 1], {"oi_change": None, "is_signal": None, "oi_rank_share": None}) == {}


def test_thresholds_are_included():
    "Exactly oi_up and exactly price_up are a signal; a fall of exactly drawdown is a hit."
    store = empty_store()
    insert(store, "open_interest", [interest(0, 1000), interest(7, 1100)])
    insert(store, "prices", [price(0, 2000), price(7, 2040), price(14, 1836)])
    row = ask(store, "releveraging")[-1]

    assert unlike(row, {"is_signal": True, "signal_hit_share": 1, "base_hit_share": 0.5}) == {}


def test_last_row_of_a_day_by_market():
    "Sides are halved where both are counted, markets add up, an earlier row of the day and one without units count not."
    store = empty_store()
    insert(
        store,
        "open_interest",
        [
            interest(0, 100, hours=10),
            interest(0, 80, hours=20),
            {**interest(0, 0, hours=22), "units": None},
            interest(0, 60, market="ETHUSD", sides=2),
            interest(0, 10, venue="bybit"),
        ],
    )
    (row,) = ask(store, "releveraging")
    (only,) = ask(store, "releveraging", venues="binance")

    assert (row["oi_units"], only["oi_units"]) == (120, 110)


def test_change_of_venues_present_on_both_days():
    "A venue that appears between the days changes nothing."
    store = empty_store()
    insert(store, "open_interest", [interest(0, 100), interest(7, 120), interest(7, 1000, venue="bybit")])
    row = ask(store, "releveraging")[-1]

    assert (row["oi_units"], row["oi_change"]) == (1120, pytest.approx(0.2))


def test_rank_among_the_days_before():
    "Share of the stored days of the last 365 with less; older days are forgotten, days before the window are not."
    store = empty_store()
    insert(store, "open_interest", [interest(n, u) for n, u in ((-366, 1), (-365, 1), (-2, 50), (-1, 200), (0, 100))])
    (row,) = ask(store, "releveraging", since="2026-03-01", until="2026-03-02")

    assert row["oi_rank_share"] == pytest.approx(2 / 3)


def test_funding_is_a_mean():
    "Yearly share of each row, averaged over the rows of the day, never added."
    store = empty_store()
    insert(store, "open_interest", [interest(0, 100)])
    base = {"venue": "binance", "asset": "ETH", "observed_at": day(0, 8)}
    insert(
        store,
        "funding",
        [
            base | {"market": "a", "rate": 0.0001, "interval_seconds": 28800},
            base | {"market": "b", "rate": 0.0001, "interval_seconds": 3600},
            base | {"market": "c", "rate": None, "interval_seconds": 3600},
            base | {"market": "d", "rate": 9.0, "interval_seconds": 3600, "observed_at": day(1, 0)},
        ],
    )
    (row,) = ask(store, "releveraging")

    assert row["funding_annual"] == pytest.approx((0.0001 * 3 * 365 + 0.0001 * 24 * 365) / 2)


def test_what_followed():
    "Lowest price of the next days, never above 0, NULL until they are stored; hits among signal days and among all."
    store = empty_store()
    insert(store, "open_interest", [interest(n, u) for n, u in ((0, 100), (1, 100), (2, 120), (3, 100), (4, 100))])
    insert(store, "prices", [price(n, usd) for n, usd in enumerate((100, 90, 90, 95, 80))] + [price(3, 70, hours=3)])
    rows = ask(store, "releveraging", oi_days=1, forward_days=1, drawdown=0.1)

    assert [row["forward_drawdown"] for row in rows] == pytest.approx([-0.1, 0, 70 / 90 - 1, 80 / 95 - 1, None])
    assert [row["is_signal"] for row in rows] == [None, False, True, False, False]
    assert {(row["signal_hit_share"], row["base_hit_share"]) for row in rows} == {(1, 0.75)}


# event_rank


def test_rank_of_the_example():
    "Medians 120, 450, 90 stand at 0.5, 1 and 0."
    store = empty_store()
    insert(store, "reported_totals", [stated(day(i), v, f"e{v}") for i, v in enumerate((120, 450, 90))])
    rows = ask(store, "event_rank")

    assert [(row["rank"], row["event"], row["percentile"]) for row in rows] == [
        (1, "e450", 1),
        (2, "e120", 0.5),
        (3, "e90", 0),
    ]
    assert {row["n_ranked"] for row in rows} == {3}
    assert [row["rank"] for row in ask(store, "event_rank", event="e90", top=1)] == [3]
    assert [row["rank"] for row in ask(store, "event_rank", top=2)] == [1, 2]


def test_figures_of_an_event():
    "All 24-hour totals of everything; other metrics, scopes, windows and undated figures do not count."
    store = empty_store()
    insert(
        store,
        "reported_totals",
        [
            stated(day(0, 0), 100, "e"),
            stated(day(-1, 6), 400, "e"),
            stated(day(0, 9), 300, "e", source="two"),
            stated(day(0, 9), 900, "e", venue="binance"),
            stated(day(0, 9), 900, "e", asset="BTC"),
            stated(day(0, 9), 900, "e", window_hours=12.0),
            stated(day(0, 9), 900, "e", metric="longs"),
            stated(day(0, 9), 900, "e", venue=None),
            stated(None, 900, "e"),
            stated(None, 900, "undated"),
            stated(day(0), 900, None),
        ],
    )
    (row,) = ask(store, "event_rank")

    wanted = {
        "event": "e",
        "day": dt.date(2026, 2, 28),
        "n_sources": 2,
        "n_figures": 3,
        "reported_low_usd": 100,
        "reported_median_usd": 300,
        "reported_high_usd": 400,
        "percentile": 0,
        "oi_percentile": None,
        "n_ranked": 1,
        "defi_usd": None,
        "fear_greed": None,
    }
    assert unlike(row, wanted) == {}


def test_around_an_event():
    "DeFi of the UTC day and its largest hour, open interest of the day before, the index set before the crash."
    store = empty_store()
    insert(store, "reported_totals", [stated(day(0, 6), 100, "small"), stated(day(10, 6), 1000, "large")])
    insert(
        store,
        "liquidations",
        [
            {"event_id": f"e{i}", "liquidated_at": when, "forced_usd": usd} | columns
            for i, (when, usd, columns) in enumerate(
                [
                    (day(0, 0), 5.0, {}),
                    (day(0, 21), 20.0, {}),
                    (day(0, 21.5), 10.0, {"venue": "aave_v3"}),
                    (day(0, 22), None, {}),
                    (day(0, 22), 99.0, {"kind": "adl"}),
                    (day(0, 22), 99.0, {"venue": "binance", "venue_kind": "cefi"}),
                    (day(0, 22), 99.0, {"chain": "devnet"}),
                    (day(1, 0), 99.0, {}),
                ]
            )
        ],
    )
    insert(store, "facts", [{"name": "simulated:devnet", "value": "true"}])
    insert(
        store,
        "open_interest",
        [
            interest(-1, 1, usd=400.0, hours=3),
            interest(-1, 1, usd=100.0, sides=2),
            interest(-1, 1, "BTC", usd=50.0),
            interest(0, 1, usd=9999.0, hours=1),
            interest(9, 1, usd=100000.0),
        ],
    )
    mood = {"name": "fear_greed", "source": "alternative.me"}
    insert(
        store,
        "series",
        [
            mood | {"observed_at": day(0, 0), "value": 24.0, "label": "Extreme Fear"},
            mood | {"observed_at": day(1, 0), "value": 10.0, "label": "Extreme Fear"},
            mood | {"observed_at": day(-7, 0), "value": 60.0, "label": "Greed"},
        ],
    )
    large, small = ask(store, "event_rank")

    wanted = {
        "defi_usd": 35,
        "defi_peak_hour_usd": 30,
        "percentile": 0,
        "oi_percentile": 1,
        "fear_greed": 24,
        "fear_greed_label": "Extreme Fear",
        "fear_greed_week_before": 60,
    }
    assert unlike(small, wanted) == {}
    assert (large["percentile"], large["oi_percentile"], large["defi_usd"]) == (1, 0, None)
