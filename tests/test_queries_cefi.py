"""DeFi beside CeFi, by hand: floors, ranks with their uncertainty, lags, throttles, stated totals."""

import datetime as dt
import math
import random

import pytest
from fixture_store import ask, at, empty_store, example_store, insert, unlike

from indexer import query, query_coverage

NIGHT = dt.datetime(2026, 3, 14)
CEFI = {"venue": "binance", "venue_kind": "cefi"}


def minute(n, second=10):
    "So many minutes and seconds into the night."
    return NIGHT + dt.timedelta(minutes=n, seconds=second)


def order(event_id, when, usd, **columns):
    "One perp liquidation."
    return {"event_id": event_id, "liquidated_at": when, "forced_usd": usd, "market": "BTC"} | columns


def covered(dataset, first, last, chain=None):
    "One row of coverage."
    return {"source": "x", "chain": chain, "dataset": dataset, "from_at": at(first), "to_at": at(last)}


# side_by_side


def test_hours_of_the_example_night():
    "At 10 only an unpriced row: lending unknown, perps and CDPs nothing, CeFi not observed."
    nine, ten = ask(example_store(), "side_by_side")

    assert (
        unlike(
            nine,
            {
                "bucket_at": at("09:00:00"),
                "defi_perp_usd": 14000,
                "defi_lending_usd": 4100,
                "defi_cdp_usd": 0,
                "cefi_floor_usd": 9000,
                "cefi_provider_usd": None,
                "defi_floor_share": 18100 / 27100,
                "n_unpriced": 0,
                "cefi_completeness": "throttled_largest_1s",
                "reference_price": 58000,
            },
        )
        == {}
    )
    assert (
        unlike(
            ten,
            {
                "bucket_at": at("10:00:00"),
                "defi_perp_usd": 0,
                "defi_lending_usd": None,
                "defi_cdp_usd": 0,
                "cefi_floor_usd": None,
                "defi_floor_share": None,
                "n_unpriced": 1,
                "cefi_completeness": None,
                "reference_price": None,
            },
        )
        == {}
    )


def test_observed_and_empty_is_zero():
    "A side covered for the whole step that shows no row is 0; covered in part, or by other data, it is unknown."
    store = empty_store()
    insert(store, "liquidations", [order("e", at("09:10:00"), 10.0)])
    insert(
        store,
        "coverage",
        [
            covered("liquidations:aave_v3", "08:00:00", "08:40:00", "ethereum"),
            covered("liquidations:spark", "08:30:00", "09:15:00", "ethereum"),
            covered("prices:chainlink", "09:00:00", "12:00:00", "ethereum"),
            covered("flows:usdc", "09:00:00", "12:00:00", "ethereum"),
            covered("fills", "11:00:00", "11:30:00", "hyperliquid"),
            covered("hlp_watch", "10:00:00", "12:00:00", "hyperliquid"),
            covered("binance:forceOrder", "09:00:00", "11:00:00"),
            covered("binance:open_interest", "08:00:00", "12:00:00"),
        ],
    )
    rows = ask(store, "side_by_side", since="2026-03-14 08:00:00", until="2026-03-14 12:00:00")

    assert [row["defi_covered_share"] for row in rows] == [1, 0.25, 0, 0.5]
    assert [row["cefi_covered_share"] for row in rows] == [0, 1, 1, 0]
    assert [row["defi_perp_usd"] for row in rows] == [0, 10, None, None]
    assert [row["defi_lending_usd"] for row in rows] == [0, 0, None, None]
    assert [row["cefi_floor_usd"] for row in rows] == [None, 0, 0, None]
    assert [row["defi_floor_share"] for row in rows] == [None, 1, None, None]


def test_side_of_coverage_follows_the_venue():
    "A perp DEX without chain is DeFi once its rows say so."
    store = empty_store()
    insert(store, "liquidations", [order("e", at("09:10:00"), 10.0, venue="dydx")])
    insert(store, "coverage", [covered("dydx:v4_trades", "09:00:00", "10:00:00")])
    (row,) = ask(store, "side_by_side")

    assert (row["defi_covered_share"], row["cefi_covered_share"]) == (1, 0)


def test_providers_stay_apart():
    "A provider's buckets count where they begin, and never in the floor."
    store = example_store()
    base = {"venue": "binance", "asset": "BTC", "interval_seconds": 1800, "source": "desk"}
    insert(
        store,
        "cefi_totals",
        [
            base | {"bucket_at": at("09:00:00"), "long_usd": 5.0, "short_usd": 2.0},
            base | {"bucket_at": at("09:30:00"), "long_usd": None, "short_usd": 1.0},
            base | {"bucket_at": at("10:00:00")},
            base | {"bucket_at": at("09:15:00"), "venue": "bybit", "short_usd": 100.0},
        ],
    )

    assert [row["cefi_provider_usd"] for row in ask(store, "side_by_side")] == [108, None]
    assert [row["cefi_provider_usd"] for row in ask(store, "side_by_side", venues="aave_v3, binance")] == [8, None]


def test_reference_price():
    "The last price of a step: of two at one instant the mark; the return is against the step before."
    store = empty_store()
    insert(store, "liquidations", [order("a", at("09:10:00"), 1.0), order("b", at("10:10:00"), 1.0)])
    when = {"asset": "BTC", "priced_at": at("10:30:00")}
    insert(
        store,
        "prices",
        [
            {"asset": "BTC", "priced_at": at("09:30:00"), "price_usd": 100, "kind": "kline"},
            when | {"price_usd": 99, "kind": "trade", "source": "a"},
            when | {"price_usd": 110, "kind": "mark", "source": "z"},
            when | {"price_usd": 98, "kind": "mark", "source": "zz"},
            {"asset": "ETH", "priced_at": at("10:40:00"), "price_usd": 5, "kind": "mark"},
        ],
    )
    rows = ask(store, "side_by_side")

    assert [row["reference_price"] for row in rows] == [100, 110]
    assert [row["reference_return_bps"] for row in rows] == [None, pytest.approx(1000)]


# venue_ranking


def test_ranks_of_the_example_night():
    "An incomplete feed may be twice as large: first and second place are open, the others certain."
    rows = ask(example_store(), "venue_ranking", throttled_factor=2)
    brief = [(row["venue"], row["floor_rank"], row["best_rank"], row["worst_rank"], row["low_usd"]) for row in rows]

    assert brief == [
        ("hyperliquid", 1, 1, 2, 13500),
        ("binance", 2, 1, 2, 9000),
        ("aave_v3", 3, 3, 3, 3020),
        ("spark", 4, 4, 4, 1080),
        ("gmx_v2", 5, 5, 5, 500),
    ]
    assert [row["high_usd"] for row in rows] == [13500, 18000, 3020, 1080, 500]
    assert [row["exposure_usd"] for row in rows] == [3000000, 12000000, 604000, None, None]
    assert [row["exposure_rate"] for row in rows] == [0.0045, 0.00075, 0.005, None, None]
    assert [row["exposure_kind"] for row in rows][:4] == ["open_interest", "open_interest", "borrowed", None]
    assert [row["long_share"] for row in rows] == [1, 1, 1, 1, 0]
    assert [(row["n_events"], row["n_accounts"], row["n_unpriced"]) for row in rows][:3] == [
        (4, 3, 0),
        (1, 0, 0),
        (3, 2, 1),
    ]
    assert rows[0]["floor_share"] == pytest.approx(13500 / 27100)


def test_ranks_of_equals_and_of_nothing():
    "Of equal venues the earlier name comes first; a venue of unpriced rows has no rank."
    store = empty_store()
    whole = {"completeness": "full"}
    insert(
        store,
        "liquidations",
        [
            order("a", NIGHT, 5.0, venue="beta", **whole),
            order("b", NIGHT, 5.0, venue="alpha", **whole),
            order("c", NIGHT, None, venue="aa", **whole),
            order("d", NIGHT, 1.0, venue="gamma", completeness="trade_flag"),
            order("e", NIGHT, 1.0, venue="gamma", completeness="unknown"),
        ],
    )
    rows = ask(store, "venue_ranking", throttled_factor=3)
    brief = [(row["venue"], row["floor_rank"], row["best_rank"], row["worst_rank"], row["high_usd"]) for row in rows]

    assert brief == [
        ("alpha", 1, 1, 2, 5),
        ("beta", 2, 1, 3, 5),
        ("gamma", 3, 1, 3, 6),
        ("aa", None, None, None, None),
    ]
    assert rows[2]["completeness"] == "trade_flag,unknown"


def test_exposure_is_the_newest_of_each_market():
    "At most a day old at the start of the window, one side, added up over markets; an asset filter holds for it too."
    store = empty_store()
    insert(store, "liquidations", [order("e", at("2026-03-14 12:00:00"), 10.0, asset="BTC")])
    base = {"venue": "hyperliquid", "asset": "BTC", "sides": 2}
    insert(
        store,
        "open_interest",
        [
            base | {"market": "BTC", "observed_at": at("2026-03-13 11:59:59"), "usd": 900.0},
            base | {"market": "BTC", "observed_at": at("2026-03-13 12:00:00"), "usd": 100.0},
            base | {"market": "BTC", "observed_at": at("2026-03-14 12:00:00"), "usd": 200.0},
            base | {"market": "BTC", "observed_at": at("2026-03-14 12:00:01"), "usd": 800.0},
            base | {"market": "ETH", "observed_at": at("2026-03-14 11:00:00"), "usd": 60.0, "asset": "ETH", "sides": 1},
        ],
    )

    assert ask(store, "venue_ranking")[0]["exposure_usd"] == 160
    assert ask(store, "venue_ranking", assets="BTC")[0]["exposure_usd"] == 100
    assert ask(store, "venue_ranking", since="2026-03-15")[:1] == []


# lead_lag


def test_lags_of_the_example():
    "DeFi in minute 2, CeFi in minute 0: two buckets earlier they agree."
    store = empty_store()
    insert(store, "liquidations", [order("d", minute(2), 3.0), order("c", minute(0), 5.0, **CEFI)])
    window = {"since": "2026-03-14", "until": "2026-03-14 00:05:00", "max_lag": 2}
    rows = ask(store, "lead_lag", detrend_seconds=0, **window)

    assert [row["lag_seconds"] for row in rows] == [-120, -60, 0, 60, 120]
    assert [row["n_pairs"] for row in rows] == [3, 4, 5, 4, 3]
    assert [row["r"] for row in rows] == [pytest.approx(1), pytest.approx(-1 / 3), pytest.approx(-0.25), None, None]
    assert [row["is_max"] for row in rows] == [True, False, False, False, False]


def test_cefi_three_minutes_early():
    "A planted lead is found, with and without the mean of the day removed."
    rng = random.Random(3)
    store = empty_store()
    rows = []
    for i in range(200):
        when, usd = rng.randrange(3, 2000), rng.uniform(1, 1e6)
        rows += [order(f"d{i}", minute(when), usd), order(f"c{i}", minute(when - 3), usd, **CEFI)]
    insert(store, "liquidations", rows)

    for detrend in (0, 86400):
        found = ask(store, "lead_lag", max_lag=10, detrend_seconds=detrend)
        assert [row["lag_buckets"] for row in found if row["is_max"]] == [-3]


def test_lags_against_the_definition():
    "Each side less its centred mean, cut at the edges; correlation over the pairs that overlap."
    rng = random.Random(8)
    store = empty_store()
    x = [rng.choice([0, 0, 10.0, 1000.0]) for _ in range(50)]
    y = [rng.choice([0, 0, 7.0, 500.0]) for _ in range(50)]
    x[0] = y[49] = 5.0
    rows = [order(f"d{i}", minute(i), v) for i, v in enumerate(x) if v]
    insert(store, "liquidations", rows + [order(f"c{i}", minute(i), v, **CEFI) for i, v in enumerate(y) if v])
    found = ask(store, "lead_lag", max_lag=5, detrend_seconds=600)

    def flat(values):
        logs = [math.log(1 + v) for v in values]
        near = [logs[max(i - 5, 0) : i + 6] for i in range(50)]
        return [v - sum(part) / len(part) for v, part in zip(logs, near, strict=True)]

    def correlation(pairs):
        mean_a, mean_b = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
        cross = sum((a - mean_a) * (b - mean_b) for a, b in pairs)
        squares = [
            sum((v - m) ** 2 for v in side) for side, m in zip(zip(*pairs, strict=True), (mean_a, mean_b), strict=True)
        ]
        return cross / math.sqrt(squares[0] * squares[1])

    a, b = flat(x), flat(y)
    wanted = [correlation([(a[i], b[i + g]) for i in range(50) if 0 <= i + g < 50]) for g in range(-5, 6)]
    assert [row["r"] for row in found] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_a_constant_side_has_no_correlation():
    "One equal value in every bucket, detrended or not: NULL, not a number made of rounding."
    store = empty_store()
    insert(store, "liquidations", [order(f"d{i}", minute(i), 0.1) for i in range(30)])
    insert(store, "liquidations", [order(f"c{i}", minute(i * 7 % 30), 3.0 + i, **CEFI) for i in range(30)])

    for detrend in (0, 600):
        rows = ask(store, "lead_lag", max_lag=3, detrend_seconds=detrend)
        assert [(row["r"], row["is_max"]) for row in rows] == [(None, False)] * 7


def test_lags_beyond_the_series():
    "A lag without overlap keeps its row."
    store = empty_store()
    insert(store, "liquidations", [order("d", minute(0), 3.0), order("c", minute(1), 5.0, **CEFI)])
    rows = ask(store, "lead_lag", max_lag=3)

    assert [row["n_pairs"] for row in rows] == [0, 0, 1, 2, 1, 0, 0]


def test_coverage_is_told_for_both_sides():
    "Questions that read a shared step name their sources too."
    store = example_store()
    insert(store, "coverage", [covered("binance:forceOrder", "09:00:00", "11:00:00")])
    lines = {
        name: "\n".join(query_coverage.narrate(store, query.named(name), {}))
        for name in ("lead_lag", "self_excitation")
    }

    assert "binance" in lines["lead_lag"]
    assert "hyperliquid" in lines["lead_lag"]
    assert "hyperliquid" in lines["self_excitation"]
    assert "binance" not in lines["self_excitation"]


# underreporting


def test_throttle_of_the_example():
    "Of 12, 8 and 40 the largest rule keeps 52 of 60, the latest 48; Binance's 26 become 30."
    store = empty_store()
    full = {"completeness": "full"}
    insert(
        store,
        "liquidations",
        [
            order("a", minute(0, 10.1), 12.0, account="0xa1", **full),
            order("b", minute(0, 10.2), 8.0, account="0xa2", **full),
            order("c", minute(0, 20), 40.0, account="0xa3", **full),
            order("d", minute(0, 30), 26.0, completeness="throttled_largest_1s", **CEFI),
            order("e", minute(0, 30), 24.0, completeness="throttled_latest_1s", venue="okx", venue_kind="cefi"),
            order("f", minute(0, 30), 12.0, completeness="unknown", venue="gate", venue_kind="cefi"),
            order("g", minute(0, 30), 12.0, completeness="trade_flag", venue="deribit", venue_kind="cefi"),
        ],
    )
    rows = {row["venue"]: row for row in ask(store, "underreporting")}
    estimates = {venue: (row["estimate_low_usd"], row["estimate_high_usd"]) for venue, row in rows.items()}

    wanted = {
        "completeness": "full",
        "saturation_band": 1,
        "n_minutes": 1,
        "n_events": 3,
        "n_occupied_slots": 2,
        "observed_usd": 60,
        "kept_largest_share": 52 / 60,
        "kept_latest_share": 0.8,
        "estimate_low_usd": None,
    }
    assert list(rows) == ["binance", "deribit", "gate", "hyperliquid", "okx"]
    assert unlike(rows["hyperliquid"], wanted) == {}
    assert rows["hyperliquid"]["occupancy_events"] == pytest.approx(2.034093, abs=1e-6)
    assert estimates["binance"] == pytest.approx((30, 30))
    assert estimates["okx"] == pytest.approx((30, 30))
    assert estimates["gate"] == pytest.approx((12 * 60 / 52, 15))
    assert estimates["deribit"] == (None, None)
    assert rows["binance"]["kept_largest_share"] is None


def test_fills_of_one_order_are_one_report():
    "Fills of one account, market, side and instant are one order; the latest of equal instants has the last id."
    store = empty_store()
    full = {"completeness": "full"}
    insert(
        store,
        "liquidations",
        [
            order("a", minute(0), 5.0, account="0xa1", side="long", **full),
            order("d", minute(0), 6.0, account="0xa1", side="long", **full),
            order("b", minute(0), 7.0, account="0xa2", side="long", **full),
            order("c", minute(0), 2.0, account="0xa1", side="short", **full),
            order("z", minute(0), None, account="0xa3", side="short", **full),
            order("y", minute(0), 1000.0, account="0xa3", side="short", market=None, **full),
            order("x", minute(0), 1000.0, account="0xa3", side="short", sector="lending", kind="call", **full),
        ],
    )
    (row,) = ask(store, "underreporting")

    wanted = {"n_events": 4, "observed_usd": 20, "kept_largest_share": 11 / 20, "kept_latest_share": 11 / 20}
    assert unlike(row, wanted) == {}


@pytest.mark.parametrize(("occupied", "band"), [(5, 1), (6, 2), (29, 2), (30, 3), (53, 3), (54, 4), (60, 4)])
def test_bands_of_saturation(occupied, band):
    "Below 0.1, 0.5, 0.9 of a minute's seconds, and the rest; a full minute counts as all but half a slot."
    store = empty_store()
    insert(store, "liquidations", [order(f"e{i}", minute(0, i), 1.0, completeness="full") for i in range(occupied)])
    (row,) = ask(store, "underreporting")

    assert row["saturation_band"] == band
    assert row["occupancy_events"] == pytest.approx(-60 * math.log(1 - min(occupied / 60, 1 - 1 / 120)))


@pytest.mark.parametrize("rule", ["largest", "latest"])
def test_a_throttle_applied_to_a_full_feed(rule):
    "The estimate of a feed that shows one order a second is the truth of the feed that shows all."
    rng = random.Random(1)
    store = empty_store()
    slots: dict[int, list] = {}
    rows = []
    for i in range(400):
        when = rng.uniform(0, 600)
        usd = math.exp(rng.gauss(8, 2))
        rows.append(order(f"e{i:03}", NIGHT + dt.timedelta(seconds=when), usd, account=f"0x{i}", completeness="full"))
        slots.setdefault(int(when), []).append((when, usd))
    insert(store, "liquidations", rows)
    seen = [max(slot, key=lambda one: one[1]) if rule == "largest" else max(slot) for slot in slots.values()]
    feed = CEFI | {"completeness": f"throttled_{rule}_1s"}
    shown = [order(f"b{i:03}", NIGHT + dt.timedelta(seconds=t), usd, **feed) for i, (t, usd) in enumerate(seen)]
    insert(store, "liquidations", shown)
    found = ask(store, "underreporting")

    truth = sum(row["observed_usd"] for row in found if row["venue"] == "hyperliquid")
    estimate = sum(row["estimate_low_usd"] for row in found if row["venue"] == "binance")
    assert estimate == pytest.approx(truth)


# reported_agreement


def stated(when, value, **columns):
    "One published figure."
    base = {"metric": "total", "venue": "all", "asset": "all", "window_hours": 1.0, "unit": "usd", "source": "desk"}
    return base | {"reported_at": when, "value": value} | columns


def test_figures_of_the_example_night():
    "Desk A states more than is ever held, desk B what is held at its minute."
    desk_a, desk_b = ask(example_store(), "reported_agreement")

    wanted = {
        "source": "desk A",
        "ours_usd": 26600,
        "ratio": 0.95,
        "best_match_at": at("09:30:00"),
        "best_match_usd": 27100,
        "best_match_ratio": 27100 / 28000,
        "lowest_usd": 0,
        "highest_usd": 27100,
        "verdict": "above_ours",
    }
    assert unlike(desk_a, wanted) == {}
    assert (desk_b["ours_usd"], desk_b["ratio"], desk_b["verdict"]) == (27100, 1, "inside")
    assert desk_b["best_match_at"] == at("09:45:00")


def test_scope_and_side_of_a_figure():
    "A venue, an asset, a side; what is not stated or not stored is not comparable."
    store = example_store()
    store.execute("DELETE FROM reported_totals")
    when = at("09:45:00")
    insert(
        store,
        "reported_totals",
        [
            stated(when, 1.0, source="1", venue="hyperliquid"),
            stated(when, 1.0, source="2", asset="ETH"),
            stated(when, 1.0, source="3", metric="shorts"),
            stated(when, 1.0, source="4", metric="longs", venue="aave_v3", asset="ETH"),
            stated(when, 1.0, source="5", venue=None),
            stated(when, 1.0, source="6", asset=None),
            stated(when, 1.0, source="7", venue="bybit"),
            stated(at("2026-01-01 00:00:00"), 1.0, source="8"),
            stated(when, 1.0, source="9", unit="count"),
            stated(when, 1.0, source="9", metric="open_interest"),
            stated(when, 1.0, source="9", window_hours=None),
            stated(None, 1.0, source="9"),
        ],
    )
    rows = {row["source"]: row for row in ask(store, "reported_agreement")}

    assert [rows[key]["ours_usd"] for key in "1234"] == [13500, 8100, 500, 3020]
    assert [rows[key]["verdict"] for key in "5678"] == ["not_comparable"] * 4
    assert [rows[key]["ours_usd"] for key in "5678"] == [None] * 4
    assert "9" not in rows


def test_verdict_below():
    "Stated is less than what is held at every minute around."
    store = empty_store()
    insert(store, "liquidations", [order(f"e{i}", minute(i * 10), 10.0) for i in range(-12, 20)])
    insert(store, "reported_totals", [stated(minute(0), 50.0), stated(minute(0), 60.0, source="two")])
    below, inside = ask(store, "reported_agreement", match_hours=1)

    assert (below["verdict"], below["lowest_usd"], below["highest_usd"]) == ("below_floor", 60, 60)
    assert inside["verdict"] == "inside"


def test_only_a_day_is_known():
    "A figure dated by its day is matched a day around, whatever match_hours says."
    store = empty_store()
    insert(store, "liquidations", [order("e", NIGHT + dt.timedelta(hours=23), 10.0)])
    insert(
        store,
        "reported_totals",
        [stated(NIGHT, 10.0, note="day only; UTC", source="a"), stated(NIGHT, 10.0, source="b")],
    )
    day, hour = ask(store, "reported_agreement", match_hours=1)

    assert (day["ours_usd"], day["best_match_at"]) == (None, NIGHT + dt.timedelta(hours=23))
    assert (day["verdict"], hour["verdict"]) == ("inside", "not_comparable")


@pytest.mark.parametrize("hours", [1.0, 0.5, 0.7, 1 / 3])
def test_windows_against_the_definition(hours):
    "Every minute around, left edge out, right edge in, for windows of whole and of broken minutes."
    rng = random.Random(4)
    store = empty_store()
    when = NIGHT + dt.timedelta(hours=5, seconds=17)
    moments = [rng.randrange(0, 36000) for _ in range(60)] + [18017, 18017 - round(hours * 3600), 18017 - 60]
    insert(
        store,
        "liquidations",
        [order(f"e{i}", NIGHT + dt.timedelta(seconds=s), 100.0 + i) for i, s in enumerate(moments)],
    )
    insert(store, "reported_totals", [stated(when, 700.0, window_hours=hours)])
    (row,) = ask(store, "reported_agreement", match_hours=2)

    def held(k):
        end = 18017 + 60 * k
        inside = [100.0 + i for i, s in enumerate(moments) if end - round(hours * 60, 6) * 60 < s <= end]
        return sum(inside) if inside else None

    sums = {k: held(k) for k in range(-120, 121)}
    best = min((abs(v - 700), abs(k), k) for k, v in sums.items() if v is not None)
    wanted = {
        "ours_usd": sums[0],
        "best_match_at": when + dt.timedelta(minutes=best[2]),
        "best_match_usd": sums[best[2]],
        "lowest_usd": min(v or 0 for v in sums.values()),
        "highest_usd": max(v or 0 for v in sums.values()),
    }
    assert unlike(row, wanted) == {}


def test_a_simulated_chain_is_never_compared():
    "Rows of a chain that the database calls simulated stay out."
    store = empty_store()
    insert(store, "liquidations", [order("e", minute(-5), 10.0, chain="devnet"), order("f", minute(-5), 3.0)])
    insert(store, "reported_totals", [stated(minute(0), 10.0)])
    before = ask(store, "reported_agreement")[0]["ours_usd"]
    insert(store, "facts", [{"name": "simulated:devnet", "value": "true"}])

    assert (before, ask(store, "reported_agreement")[0]["ours_usd"]) == (13, 3)


# metamorphic


ASKED = ("side_by_side", "venue_ranking", "lead_lag", "underreporting", "reported_agreement")


def answers(store):
    "Every answer about the store."
    return {name: ask(store, name) for name in ASKED}


@pytest.fixture(scope="module")
def before():
    "Every answer about the example night."
    return answers(example_store())


def changed(found, expected, skip=()):
    "Questions whose answer differs from the expected one, floats by more than 1e-9; without the columns to skip."
    return [
        name
        for name, rows in expected.items()
        if len(found[name]) != len(rows)
        or any(
            unlike(row, {key: value for key, value in wanted.items() if key not in skip})
            for row, wanted in zip(found[name], rows, strict=True)
        )
    ]


def test_a_week_later(before):
    "Times shift, nothing else changes."
    store = example_store()
    store.execute("UPDATE liquidations SET liquidated_at = liquidated_at + INTERVAL 7 DAY")
    store.execute("UPDATE prices SET priced_at = priced_at + INTERVAL 7 DAY")
    store.execute("UPDATE open_interest SET observed_at = observed_at + INTERVAL 7 DAY")
    store.execute("UPDATE lending_totals SET observed_at = observed_at + INTERVAL 7 DAY")
    store.execute("UPDATE reported_totals SET reported_at = reported_at + INTERVAL 7 DAY")
    week = dt.timedelta(days=7)
    later = {
        name: [{key: v + week if isinstance(v, dt.datetime) else v for key, v in row.items()} for row in rows]
        for name, rows in before.items()
    }

    assert changed(answers(store), later) == []


def test_seven_times_the_size(before):
    "USD columns scale, ranks, shares and verdicts stay (correlations rest on logarithms and change)."
    store = example_store()
    store.execute("UPDATE liquidations SET forced_usd = 7 * forced_usd, size = 7 * size")
    store.execute("UPDATE open_interest SET usd = 7 * usd")
    store.execute("UPDATE lending_totals SET borrowed_usd = 7 * borrowed_usd")
    store.execute("UPDATE reported_totals SET value = 7 * value")
    larger = {
        name: [{key: 7 * v if key.endswith("_usd") and v is not None else v for key, v in row.items()} for row in rows]
        for name, rows in before.items()
        if name != "lead_lag"
    }

    assert changed(answers(store), larger) == []


def test_rows_in_another_order(before):
    "The order of storage decides nothing."
    store = example_store()
    store.execute("CREATE TABLE turned AS SELECT * FROM liquidations ORDER BY md5(event_id)")
    store.execute("DELETE FROM liquidations")
    store.execute("INSERT INTO liquidations SELECT * FROM turned")

    assert changed(answers(store), before) == []


def test_rows_outside_the_headline(before):
    "Kinds that never count change nothing."
    store = example_store()
    stray = {"account": "0xff", "side": "long", "asset": "BTC", "forced_usd": 9999.0, "market": "BTC"}
    kinds = ("adl", "relay", "resale", "auction_start", "soft", "bad_debt")
    rows = [{"event_id": kind, "kind": kind, "liquidated_at": at("09:01:20")} | stray for kind in kinds]
    insert(store, "liquidations", rows)

    assert changed(answers(store), before) == []


def test_a_fill_split_in_two(before):
    "Two halves of one fill are one fill, but for the count of rows."
    store = example_store()
    store.execute("UPDATE liquidations SET forced_usd = forced_usd / 2, size = size / 2 WHERE event_id = 'p04'")
    store.execute(
        "INSERT INTO liquidations SELECT * REPLACE ('p04b' AS event_id) FROM liquidations WHERE event_id = 'p04'"
    )

    assert changed(answers(store), before, skip={"n_events"}) == []
