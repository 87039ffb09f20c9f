"""How a cascade ran, by hand: waves, feedback, price, levels, order."""

import datetime as dt
import itertools
import math
import random
import statistics

import numpy as np
import pytest
from fixture_store import ask, at, empty_store, example_store, insert, unlike

NIGHT = dt.datetime(2026, 3, 14)
DAY = 86400.0


def minutes(*usd, asset="ETH", account="0xa1"):
    "One liquidation in each minute of the night, in its tenth second; 0 leaves the minute empty."
    return [
        {
            "event_id": f"m{i:03}",
            "liquidated_at": NIGHT + dt.timedelta(minutes=i, seconds=10),
            "account": account,
            "side": "long",
            "asset": asset,
            "forced_usd": value,
        }
        for i, value in enumerate(usd)
        if value
    ]


def waves(*usd, **values):
    "Start minute, end minute and value of every wave of a cascade with those sums, unsmoothed unless asked."
    store = empty_store()
    insert(store, "liquidations", minutes(*usd))
    rows = ask(store, "waves", **({"smooth_buckets": 1, "floor_usd": 1, "min_accounts": 1} | values))
    first = [int((row["wave_start_at"] - NIGHT).total_seconds()) // 60 for row in rows]
    last = [int((row["wave_end_at"] - NIGHT).total_seconds()) // 60 for row in rows]
    return list(zip(first, last, [row["forced_usd"] for row in rows], strict=True))


def events(*seconds, chain=None):
    "One liquidation of an account of its own at each second after the night's start."
    return [
        {
            "event_id": f"e{i:05}",
            "liquidated_at": NIGHT + dt.timedelta(seconds=float(second)),
            "account": f"0x{i:040x}",
            "asset": "ETH",
            "forced_usd": 100.0,
            "chain": chain,
        }
        for i, second in enumerate(seconds)
    ]


def excitation(seconds, **values):
    "The row of self_excitation for events at those seconds, loaded in one statement."
    store = empty_store()
    store.execute(
        """INSERT INTO liquidations (event_id, venue, venue_kind, sector, kind, is_headline, liquidated_at, account, asset)
        SELECT 'e' || i, 'hyperliquid', 'defi', 'perp', 'market', true,
          TIMESTAMP '2026-03-14' + to_microseconds(us), '0x' || i, 'ETH'
        FROM (SELECT unnest(range(len(?::BIGINT[]))) AS i, unnest(?::BIGINT[]) AS us)""",
        [[int(s * 1e6) for s in seconds]] * 2,
    )
    (row,) = ask(store, "self_excitation", **values)
    return row


def self_exciting(background_per_hour, branching, delay, hours, seed):
    "Times of a self-exciting process: every event has a Poisson number of children, each after an exponential delay."
    rng = np.random.default_rng(seed)
    born = rng.random(rng.poisson(background_per_hour * hours)) * hours * 3600
    times = [born]
    while len(born):
        born = np.repeat(born, rng.poisson(branching, len(born)))
        born = born + rng.exponential(delay, len(born))
        times.append(born)
    every = np.concatenate(times)
    return np.sort(every[every < hours * 3600])


# waves


def test_waves_of_the_example():
    "A trough of 1 below half of 6 begins a second wave, and belongs to it."
    store = empty_store()
    insert(store, "liquidations", minutes(2000, 9000, 4000, 1000, 6000, 5000))
    first, second = ask(store, "waves", smooth_buckets=1, floor_usd=1, min_accounts=1)

    assert (first["wave"], first["forced_usd"], first["peak_usd"], first["gap_seconds"]) == (1, 15000, 9000, None)
    assert (second["wave"], second["forced_usd"], second["peak_usd"], second["gap_seconds"]) == (2, 12000, 6000, 180)
    assert (first["wave_end_at"], second["peak_at"]) == (second["wave_start_at"], NIGHT + dt.timedelta(minutes=4))
    assert (first["n_events"], second["n_events"]) == (3, 3)


def test_one_wave_of_the_example_night():
    "Three hot minutes are one wave; its low is the lowest price of BTC, the largest asset."
    (row,) = ask(example_store(), "waves", floor_usd=1000)

    wanted = {
        "cascade_id": "all@20260314T090000",
        "wave": 1,
        "wave_start_at": at("09:00:00"),
        "peak_at": at("09:01:00"),
        "wave_end_at": at("09:03:00"),
        "forced_usd": 17600,
        "peak_usd": 7080,
        "n_events": 7,
        "gap_seconds": None,
        "price_low": 58000,
        "is_lower_low": None,
    }
    assert unlike(row, wanted) == {}


@pytest.mark.parametrize(
    ("usd", "cut"),
    [
        ((2, 9, 4, 1, 6, 5), [(0, 3), (3, 6)]),
        ((9, 1, 1, 9), [(0, 2), (2, 4)]),  # of equal lows the later
        ((9, 3, 6), [(0, 3)]),  # 3 is not below half of 6
        ((9, 2.9, 6), [(0, 1), (1, 3)]),
        ((9, 0, 0, 0, 9), [(0, 3), (3, 5)]),  # empty minutes count as zero
        ((1, 9, 2, 8, 2, 7), [(0, 2), (2, 4), (4, 6)]),
        ((9, 4, 10, 4, 9), [(0, 1), (1, 3), (3, 5)]),
        ((9, 5, 10, 4, 9), [(0, 3), (3, 5)]),  # a higher peak moves the wave's peak, the low starts again
        ((5, 5, 5), [(0, 3)]),
        ((7,), [(0, 1)]),
    ],
)
def test_where_waves_are_cut(usd, cut):
    "The walk of peak and low, step by step; the trough belongs to the wave that follows."
    assert [wave[:2] for wave in waves(*usd)] == cut


def test_smoothing_is_cut_at_the_edges():
    "The mean of what exists: 9, 1, 9 becomes 5, 6.33, 5, so one wave; unsmoothed it is two."
    assert len(waves(9, 1, 9, smooth_buckets=3)) == 1
    assert len(waves(9, 1, 9, smooth_buckets=1)) == 2


def test_depth_is_a_parameter():
    "With a trough of 0.9 a shallow dip separates waves, with 0.1 a deep one does not."
    assert len(waves(9, 5, 9, trough=0.9)) == 2
    assert len(waves(9, 1, 9, trough=0.1)) == 1


def test_lower_lows():
    "Each wave's low of the largest asset against the wave before."
    store = empty_store()
    insert(store, "liquidations", minutes(9, 1, 9, 1, 9))
    insert(
        store,
        "prices",
        [
            {"asset": "ETH", "priced_at": NIGHT + dt.timedelta(minutes=m, seconds=5), "price_usd": p, "kind": "mark"}
            for m, p in ((0, 100), (1, 90), (2, 95), (3, 91), (4, 99))
        ]
        + [{"asset": "BTC", "priced_at": NIGHT, "price_usd": 1, "kind": "mark"}],
    )
    rows = ask(store, "waves", smooth_buckets=1, floor_usd=1, min_accounts=1)

    assert [row["price_low"] for row in rows] == [100, 90, 91]
    assert [row["is_lower_low"] for row in rows] == [None, True, False]


def test_waves_of_two_cascades_stay_apart():
    "Waves are numbered within their cascade; one can be asked for by its id."
    store = empty_store()
    insert(store, "liquidations", minutes(9, 1, 9, *[0] * 30, 5))
    rows = ask(store, "waves", smooth_buckets=1, floor_usd=1, min_accounts=1)
    late = ask(store, "waves", smooth_buckets=1, floor_usd=1, min_accounts=1, cascade_id="all@20260314T003300")

    assert [(row["cascade_id"], row["wave"]) for row in rows] == [
        ("all@20260314T000000", 1),
        ("all@20260314T000000", 2),
        ("all@20260314T003300", 1),
    ]
    assert late == rows[2:]


# self_excitation


def test_feedback_of_the_example_night():
    "Eight first rows at 0, 45, 65, 95, 130, 165, 1795, 3895 s."
    (row,) = ask(example_store(), "self_excitation", tau_seconds=30)

    wanted = {"n_events": 8, "n_pairs": 2, "expected_pairs": 15 * 0.0975, "branching": 0.65, "mean_delay_seconds": 60}
    assert unlike(row, wanted | {"count_n_3600": None, "is_grid_edge": False}) == {}
    assert row["pair_excess"] == pytest.approx(1.367521, abs=1e-6)
    assert row["count_n_600"] == pytest.approx(0.550209, abs=1e-6)
    assert row["log_likelihood"] == pytest.approx(-51.309867, abs=1e-6)
    assert row["poisson_log_likelihood"] == pytest.approx(-57.504059, abs=1e-6)
    assert row["background_per_hour"] == pytest.approx(3.188703, abs=1e-6)


def reference(times, length, tau, width):
    "The same figures by sequential recursion and by trying all pairs."
    n = len(times)
    pairs = sum(times[j] - times[i] <= tau for i in range(n) for j in range(i + 1, n))
    bins: dict[int, int] = {}
    for t in times:
        bins[int(t // width)] = bins.get(int(t // width), 0) + 1
    q = tau / width
    expected = sum(k * (k - 1) / 2 * (1 - (1 - q) ** 2) + k * bins.get(b + 1, 0) * q * q / 2 for b, k in bins.items())
    best = None
    for delay in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600):
        rates, carried, last = [], 0.0, None
        for t in times:
            carried = 0.0 if last is None else (carried + 1) * math.exp(-(t - last) / delay)
            rates.append(carried)
            last = t
        spent = sum(1 - math.exp(-(length - t) / delay) for t in times)
        for step in range(20):
            branching = step / 20
            background = (n - branching * spent) / length
            if background > 0:
                score = sum(math.log(background + branching / delay * r) for r in rates) - n
                key = (-round(score, 9), branching, delay)
                best = min(best or (key, 0, 0), (key, score, background))
    return pairs, expected, best


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_feedback_against_the_sequential_recursion(seed):
    "Prefix sums over blocks give what the recursion over events gives."
    times = sorted(random.Random(seed).sample(range(7000), 60))
    row = excitation(times, since="2026-03-14", until="2026-03-14 02:00:00", tau_seconds=25, jitter_seconds=300)
    pairs, expected, (key, score, background) = reference(times, 7200, 25, 300)

    wanted = {
        "n_pairs": pairs,
        "expected_pairs": expected,
        "pair_excess": pairs / expected,
        "branching": key[1],
        "mean_delay_seconds": float(key[2]) if key[1] else None,
        "log_likelihood": score,
        "background_per_hour": background * 3600,
        "poisson_log_likelihood": 60 * math.log(60 / 7200) - 60,
    }
    assert unlike(row, wanted) == {}
    counts = [sum(600 * w <= t < 600 * w + 600 for t in times) for w in range(12)]
    assert row["count_n_600"] == pytest.approx(1 - math.sqrt(5 / statistics.variance(counts)), rel=1e-9)


def test_first_rows_of_episodes_only():
    "Fills of one position within a minute are one event; an unpriced row is an event; a CeFi order is none."
    store = empty_store()
    rows = events(0, 30, 90, 200)
    for row in rows[:3]:
        row["account"] = "0xa1"
    rows[3]["forced_usd"] = None
    insert(store, "liquidations", rows)
    insert(
        store,
        "liquidations",
        [{"event_id": "c", "venue": "binance", "venue_kind": "cefi", "liquidated_at": NIGHT, "forced_usd": 1.0}],
    )
    (row,) = ask(store, "self_excitation", venue_kind="all")
    (wide,) = ask(store, "self_excitation", venue_kind="all", episode_seconds=20)
    (priced,) = ask(store, "self_excitation", venue_kind="all", min_usd=1)

    assert (row["n_events"], wide["n_events"], priced["n_events"]) == (2, 4, 1)


def test_pairs_count_ties_once_and_the_edge_in():
    "Distances equal to tau are pairs; of two events at one instant there is one pair."
    assert excitation([0, 0, 10], tau_seconds=10)["n_pairs"] == 3
    assert excitation([0, 10.000001], tau_seconds=10)["n_pairs"] == 0
    assert excitation([0.1, 0.3], tau_seconds=0.2)["n_pairs"] == 1


def test_feedback_of_few_events():
    "One event has no rate, no pairs and no excess; explicit edges give it a rate."
    row = excitation([5])
    timed = excitation([5], since="2026-03-14", until="2026-03-14 01:00:00")
    silent = excitation([], since="2026-03-14", until="2026-03-14 01:00:00")

    assert (row["n_events"], row["n_pairs"], row["pair_excess"], row["branching"]) == (1, 0, None, None)
    assert (timed["branching"], timed["mean_delay_seconds"], timed["background_per_hour"]) == (0, None, 1)
    assert timed["log_likelihood"] == pytest.approx(math.log(1 / 3600) - 1)
    assert (silent["n_events"], silent["n_pairs"], silent["branching"], silent["is_grid_edge"]) == (0, None, None, None)


def test_block_stamps_are_spread():
    "Events of one Ethereum block are moved inside its 12 s, each by its own id and always equally."
    store = empty_store()
    insert(store, "liquidations", events(*[0] * 50, chain="ethereum"))
    (row,) = ask(store, "self_excitation", tau_seconds=1, jitter_seconds=12)

    assert 50 < row["n_pairs"] < 50 * 49 / 2
    assert unlike(row, ask(store, "self_excitation", tau_seconds=1, jitter_seconds=12)[0]) == {}


@pytest.mark.parametrize(("branching", "tau"), [(0.5, 30), (0.8, 10)])
def test_planted_feedback(branching, tau):
    """A planted branching ratio with a mean delay of 20 s is found, by likelihood, delay and pairs.

    Of rate l, an event has l tau later ones within tau by chance and n (2 - n) / (2 (1 - n)^2) (1 - exp(-(1 - n) tau / 20))
    by descent; the null, which keeps the counts of its bins, keeps a part of these.
    """
    times = self_exciting(75 * (1 - branching), branching, 20, 80, seed=7)
    row = excitation(times, tau_seconds=tau)
    chance = len(times) / (80 * 3600) * tau
    descent = branching * (2 - branching) / 2 / (1 - branching) ** 2 * (1 - math.exp(-(1 - branching) * tau / 20))

    assert row["branching"] == pytest.approx(branching, abs=0.051)
    assert row["mean_delay_seconds"] == 20
    assert row["n_pairs"] == pytest.approx(len(times) * (chance + descent), rel=0.15)
    assert 1.25 < row["pair_excess"] < 1 + descent / chance


def swing(rng, n):
    "Times of a Poisson process whose rate swings by the day."
    drawn = rng.random(4 * n) * 20 * DAY
    return drawn[rng.random(4 * n) < (1 + np.sin(2 * np.pi * drawn / DAY)) / 2][:n]


def burst(rng, n):
    "A Poisson process with one burst of 30 minutes from outside."
    return np.concatenate((rng.random(n) * 20 * DAY, 5 * DAY + rng.random(n // 30) * 1800))


@pytest.mark.parametrize("process", [lambda rng, n: rng.random(n) * 5 * DAY, swing, burst])
def test_no_feedback(process):
    "Without feedback pairs are no more than expected, whatever the rate does."
    row = excitation(np.sort(process(np.random.default_rng(11), 6000)), tau_seconds=30)

    assert row["pair_excess"] == pytest.approx(1, abs=0.07)


# price_impact


def test_price_impact_of_the_example_night():
    "ETH fell by 6 % and made 45 of 120 good after an hour; of BTC there is no fresh price after the end."
    bitcoin, ether = ask(example_store(), "price_impact", floor_usd=1000)

    assert (
        unlike(
            ether,
            {
                "cascade_id": "all@20260314T090000",
                "asset": "ETH",
                "price_before": 2000,
                "price_low": 1880,
                "price_end": 1880,
                "price_after_5m": None,
                "price_after_60m": 1925,
                "price_after_24h": None,
                "drop_bps": -600,
                "recovery_60m_share": 0.375,
                "placebo_drop_p50_bps": None,
                "placebo_drop_p95_bps": None,
                "n_placebo": 0,
            },
        )
        == {}
    )
    assert ether["rebound_60m_bps"] == pytest.approx(239.361702, abs=1e-6)
    assert bitcoin["drop_bps"] == pytest.approx(-333.333333, abs=1e-6)
    assert (bitcoin["price_after_60m"], bitcoin["rebound_60m_bps"], bitcoin["recovery_60m_share"]) == (None, None, None)


def test_price_age_and_offset():
    "An older price than allowed is NULL; before = low gives no recovery."
    aged = ask(example_store(), "price_impact", floor_usd=1000, max_price_age_seconds=59)
    patient = ask(example_store(), "price_impact", floor_usd=1000, max_price_age_seconds=3600)
    late = ask(example_store(), "price_impact", floor_usd=1000, pre_seconds=0)

    assert [row["price_before"] for row in aged] == [60000, None]
    assert [row["price_after_5m"] for row in patient] == [58000, 1880]
    assert [row["price_before"] for row in late] == [None, None]


def walk(n, seed):
    "Minute prices of a random walk."
    rng = random.Random(seed)
    price, path = 1000.0, []
    for _ in range(n):
        price *= math.exp(rng.uniform(-1, 1) / 1000)
        path.append(price)
    return path


def test_placebo_against_a_walk_through_every_hour():
    "Windows of the lookback, as long, as volatile, clear of cascades and with every price they need."
    store = empty_store()
    start = 4 * 1440 + 600
    path = walk(6 * 1440, 5)
    missing = {start - 30 * 60 - 5, start - 31 * 60}  # one window has no price before, three no volatility
    store.execute(
        """INSERT INTO prices (asset, priced_at, price_usd, kind)
        SELECT 'ETH', TIMESTAMP '2026-03-14' + to_minutes(m), p, 'kline'
        FROM (SELECT unnest(?::BIGINT[]) AS m, unnest(?::DOUBLE[]) AS p)""",
        [[m for m in range(len(path)) if m not in missing], [p for m, p in enumerate(path) if m not in missing]],
    )
    when = [start, start + 1, start + 2, start - 50 * 60 - 20]
    insert(
        store,
        "liquidations",
        [
            {
                "event_id": f"e{m}",
                "liquidated_at": NIGHT + dt.timedelta(minutes=m, seconds=30),
                "asset": "ETH",
                "forced_usd": 5.0,
                "account": "0xa1",
            }
            for m in when
        ],
    )
    rows = ask(store, "price_impact", floor_usd=1, min_accounts=1, lookback_days=3, max_price_age_seconds=30)
    row = rows[-1]

    def known(m):
        return None if m in missing or not 0 <= m < len(path) else path[m]

    def volatility(m):
        hours = [known(m - 60 * h) for h in range(25)]
        if None in hours:
            return None
        return math.sqrt(sum(math.log(a / b) ** 2 for a, b in itertools.pairwise(hours)))

    def drop(m):
        low = [known(i) for i in range(m, m + 3) if known(i) is not None]
        return None if known(m - 5) is None or not low else (min(low) / known(m - 5) - 1) * 10000

    other = start - 50 * 60 - 20
    chosen = []
    for k in range(1, 73):
        m = start - 60 * k
        clear = (m + 3 + 60 <= other or m >= other + 1 + 60) and m + 3 + 60 <= start
        alike = volatility(m) is not None and volatility(start) / 2 <= volatility(m) <= volatility(start) * 2
        if clear and alike and drop(m) is not None:
            chosen.append(drop(m))
    size = sorted(-d for d in chosen)
    rank = (len(size) - 1) * 0.95
    high = size[int(rank)] + (size[math.ceil(rank)] - size[int(rank)]) * (rank - int(rank))

    assert len(rows) == 2
    assert len(chosen) >= 20
    wanted = {
        "n_placebo": len(chosen),
        "placebo_drop_p50_bps": statistics.median(chosen),
        "placebo_drop_p95_bps": -high,
        "drop_bps": drop(start),
        "price_before": path[start - 5],
        "price_end": path[start + 3],
        "price_after_60m": path[start + 63],
        "price_after_24h": None if start + 1443 >= len(path) else path[start + 1443],
    }
    assert unlike(row, wanted) == {}


# price_clusters


def test_levels_of_the_example_night():
    "Bins of 10 bps: 5,700 USD just below 2,000, with seven times the mean of the asset's 52 bins."
    rows = {(row["asset"], row["bin"]): row for row in ask(example_store(), "price_clusters")}
    top = rows["ETH", 7604]

    assert sorted(rows) == [("BTC", 10973), ("BTC", 11007), ("ETH", 7553), ("ETH", 7563), ("ETH", 7579), ("ETH", 7604)]
    assert [rows["ETH", key]["forced_usd"] for key in (7553, 7563, 7579)] == [820, 1080, 500]
    assert (rows["ETH", 7579]["short_usd"], rows["ETH", 7579]["long_usd"]) == (500, 0)
    assert (top["forced_usd"], top["n_events"], top["is_peak"], top["nearest_round"]) == (5700, 3, True, 2000)
    assert (top["bin_low"], top["bin_high"]) == pytest.approx((1998.5966, 2000.5952), abs=1e-4)
    assert (top["asset_share"], top["lift"]) == pytest.approx((0.703704, 7.318519), abs=1e-6)
    assert top["smoothed_usd"] == 1140
    assert top["distance_bps"] == pytest.approx((math.sqrt(top["bin_low"] * top["bin_high"]) / 2000 - 1) * 10000)


def test_peaks_and_windows():
    "Smoothing takes empty bins as zero and ends at the range; of equal bins in one window only the lowest is a peak."
    store = empty_store()
    insert(
        store,
        "liquidations",
        [
            {
                "event_id": f"e{i}",
                "liquidated_at": NIGHT,
                "asset": "ETH",
                "forced_usd": usd,
                "mark_price": 1.001 ** (number + 0.5),
                "price": 5.0,
            }
            for i, (number, usd) in enumerate([(100, 10.0), (102, 10.0), (103, 1.0), (140, 3.0), (140, None)])
        ],
    )
    rows = {row["bin"]: row for row in ask(store, "price_clusters")}

    assert [rows[key]["is_peak"] for key in (100, 102, 103, 140)] == [True, False, False, False]
    assert [rows[key]["smoothed_usd"] for key in (100, 102, 103, 140)] == pytest.approx([4, 4.2, 2.2, 0.6])
    assert rows[140]["lift"] == pytest.approx(0.6 / (24 / 41))
    assert rows[140]["n_events"] == 2


def test_price_of_a_level():
    "The mark comes first, then the execution price, then seized over collateral; without one a row has no level."
    store = empty_store()
    insert(
        store,
        "liquidations",
        [
            {
                "event_id": "m",
                "liquidated_at": NIGHT,
                "asset": "A",
                "forced_usd": 1.0,
                "mark_price": 100.5,
                "price": 7.0,
            },
            {"event_id": "p", "liquidated_at": NIGHT, "asset": "B", "forced_usd": 1.0, "price": 100.5},
            {
                "event_id": "s",
                "liquidated_at": NIGHT,
                "asset": "C",
                "forced_usd": 1.0,
                "seized_usd": 201.0,
                "collateral_amount": 2.0,
            },
            {"event_id": "n", "liquidated_at": NIGHT, "asset": "D", "forced_usd": 1.0},
            {"event_id": "u", "liquidated_at": NIGHT, "asset": "E", "forced_usd": None, "price": 100.5},
        ],
    )
    rows = ask(store, "price_clusters")

    assert [(row["asset"], row["bin"]) for row in rows] == [(asset, 4612) for asset in "ABC"]
    assert math.floor(math.log(100.5) / math.log(1.001)) == 4612


# contagion_order


def test_order_of_the_example_night():
    "ETH reached half of its value 20 s before BTC; aave_v3 before hyperliquid before spark."
    rows = ask(example_store(), "contagion_order", floor_usd=1000)
    brief = [(row["dimension"], row["key"], row["forced_usd"], row["t50_at"], row["lag_seconds"]) for row in rows]

    assert brief == [
        ("asset", "ETH", 7600, at("09:00:50"), -20),
        ("asset", "BTC", 10000, at("09:01:10"), 0),
        ("venue", "aave_v3", 3020, at("09:00:50"), 0),
        ("venue", "hyperliquid", 13500, at("09:01:10"), 20),
        ("venue", "spark", 1080, at("09:01:40"), 50),
    ]
    assert [row["first_at"] for row in rows][:2] == [at("09:00:05"), at("09:01:10")]
    assert [row["t10_at"] for row in rows][:2] == [at("09:00:05"), at("09:01:10")]
    assert rows[0]["total_share"] == pytest.approx(7600 / 17600)


def test_order_without_the_reference():
    "No lag where the reference is absent; the lag of venues stays."
    rows = ask(example_store(), "contagion_order", floor_usd=1000, reference_asset="DOGE")

    assert {row["lag_seconds"] for row in rows if row["dimension"] == "asset"} == {None}
    assert [row["lag_seconds"] for row in rows if row["dimension"] == "venue"] == [0, 20, 50]


def test_order_of_unpriced_rows():
    "A key of unpriced rows has a first row and no halves; a row without asset is unknown."
    store = empty_store()
    rows = minutes(1000, 1000, 1000)
    rows[0] |= {"asset": None}
    rows[1] |= {"asset": "SOL", "forced_usd": None}
    insert(store, "liquidations", rows)
    found = ask(store, "contagion_order", floor_usd=1000, min_accounts=1, gap_seconds=600)
    assets = {row["key"]: row for row in found if row["dimension"] == "asset"}

    assert list(assets) == ["unknown", "ETH", "SOL"]
    assert (assets["SOL"]["forced_usd"], assets["SOL"]["t50_at"], assets["SOL"]["first_at"]) == (
        None,
        None,
        NIGHT + dt.timedelta(minutes=1, seconds=10),
    )


# metamorphic


ASKED = {
    "waves": {"floor_usd": 1000},
    "contagion_order": {"floor_usd": 1000},
    "self_excitation": {"tau_seconds": 30},
    "price_impact": {"floor_usd": 1000},
    "price_clusters": {},
}


def answers(store, scale=1):
    "Every answer about the store; the floor follows the scale."
    return {
        name: ask(store, name, **{key: scale * value if key == "floor_usd" else value for key, value in values.items()})
        for name, values in ASKED.items()
    }


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
    week = dt.timedelta(days=7)
    later = {
        name: [{key: v + week if isinstance(v, dt.datetime) else v for key, v in row.items()} for row in rows]
        for name, rows in before.items()
    }

    assert changed(answers(store), later, skip={"cascade_id"}) == []


def test_seven_times_the_size(before):
    "USD columns scale, everything else stays."
    store = example_store()
    store.execute(
        """UPDATE liquidations SET forced_usd = 7 * forced_usd, seized_usd = 7 * seized_usd,
        collateral_amount = 7 * collateral_amount, size = 7 * size"""
    )
    larger = {
        name: [{key: 7 * v if key.endswith("_usd") and v is not None else v for key, v in row.items()} for row in rows]
        for name, rows in before.items()
    }

    assert changed(answers(store, scale=7), larger) == []


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
    stray = {"account": "0xff", "side": "long", "asset": "ETH", "forced_usd": 9999.0, "price": 1234.0}
    kinds = ("adl", "relay", "resale", "auction_start", "soft", "bad_debt")
    rows = [{"event_id": kind, "kind": kind, "liquidated_at": at("09:01:20")} | stray for kind in kinds]
    insert(store, "liquidations", rows)

    assert changed(answers(store), before) == []


def test_a_fill_split_in_two(before):
    "Two halves of one fill are one fill, but for the count of rows; to feedback they are one event."
    store = example_store()
    store.execute("UPDATE liquidations SET forced_usd = forced_usd / 2, size = size / 2 WHERE event_id = 'p04'")
    store.execute(
        "INSERT INTO liquidations SELECT * REPLACE ('p04b' AS event_id) FROM liquidations WHERE event_id = 'p04'"
    )
    found = answers(store)

    assert changed(found, before, skip={"n_events"}) == []
    assert found["self_excitation"][0]["n_events"] == before["self_excitation"][0]["n_events"]


def test_nothing_after_the_end_matters():
    "Removing all rows after a cascade and its gap leaves its waves and order unchanged."
    store = example_store()
    early = example_store()
    early.execute("DELETE FROM liquidations WHERE liquidated_at > '2026-03-14 09:20:00'")

    for name in ("waves", "contagion_order"):
        assert ask(early, name, floor_usd=1000) == ask(store, name, floor_usd=1000)
