"""Simulation agrees with the SQL it finishes, and finds nothing where nothing is."""

import itertools
import math
import random

import numpy as np
import pytest
from fixture_store import ask, empty_store, example_store, insert

from indexer import finish, query


def steps(store, name, sql, **values):
    "The columns of a shared step of question `name`, as the report reads them: same variables, same cursor."
    declared = query.named(name)
    cursor = store.cursor()
    for key, value in values.items():
        cursor.execute(f"SET VARIABLE {key} = '{value}'")
    for line in declared.sql.splitlines():
        if line.startswith("SET VARIABLE"):
            cursor.execute(line)
    return [np.array(column, dtype=float) for column in zip(*cursor.execute(sql).fetchall(), strict=True)]


def uniform_events(n, hours, seed):
    "A store with that many accounts liquidated at random."
    rng = random.Random(seed)
    store = empty_store()
    store.execute(
        """INSERT INTO liquidations (event_id, venue, venue_kind, sector, kind, is_headline, liquidated_at, account, asset)
        SELECT 'e' || i, 'hyperliquid', 'defi', 'perp', 'market', true,
          TIMESTAMP '2026-03-14' + to_microseconds(us), '0x' || i, 'ETH'
        FROM (SELECT unnest(range(len(?::BIGINT[]))) AS i, unnest(?::BIGINT[]) AS us)""",
        [[rng.randrange(int(hours * 3600e6)) for _ in range(n)]] * 2,
    )
    return store


def test_pairs_against_their_null():
    "The same pairs as SQL; the surrogates' mean is expected_pairs within its error; no z where nothing feeds back."
    store = uniform_events(2000, 100, seed=2)
    (row,) = ask(store, "self_excitation", tau_seconds=30)
    us, _ = steps(store, "self_excitation", "SELECT us, long_us FROM feedback_events()", tau_seconds=30)
    found = finish.pair_z(us / 1e6, 30, 600)

    assert found.n_pairs == row["n_pairs"]
    assert found.mean == pytest.approx(row["expected_pairs"], abs=4 * found.sd / math.sqrt(finish.N_SURROGATES))
    assert abs(found.z) < 3
    assert finish.pair_z(us / 1e6, 30, 600) == found


def test_pairs_of_the_example_night():
    "Two pairs; ties count once, the edge is in."
    us, long_us = steps(example_store(), "self_excitation", "SELECT us, long_us FROM feedback_events() ORDER BY us")

    assert (us / 1e6).tolist() == [0, 45, 65, 95, 130, 165, 1795, 3895]
    assert set(long_us / 1e6) == {3895}
    assert finish.count_pairs(us / 1e6, 30) == 2
    assert finish.count_pairs(np.array([0.0, 0.0, 10.0]), 10) == 3
    assert math.isnan(finish.pair_z(np.array([5.0]), 10, 600).z)


def test_likelihood_by_hand():
    "Events at 0 and 1.5 s: ln(0.4) + ln(0.4 + 0.48 exp(-1.2)) - 1.2 - 0.6 (2 - exp(-2.4) - exp(-1.2))."
    by_hand = math.log(0.4) + math.log(0.4 + 0.48 * math.exp(-1.2)) - 1.2 - 0.6 * (2 - math.exp(-2.4) - math.exp(-1.2))

    assert finish.log_likelihood(np.array([0, 1.5]), 3, 0.4, 0.6, 0.8) == pytest.approx(by_hand, rel=1e-12)
    assert by_hand == pytest.approx(-3.688896, abs=1e-6)


def test_likelihood_of_a_cell():
    "At the best cell of the grid it is what SQL says, and the finer grid is at least as likely."
    store = uniform_events(60, 2, seed=3)
    (row,) = ask(store, "self_excitation")
    us, long_us = steps(store, "self_excitation", "SELECT us, long_us FROM feedback_events()")
    times, length = us / 1e6, long_us[0] / 1e6
    delay = row["mean_delay_seconds"] or 60.0
    score = finish.log_likelihood(times, length, row["background_per_hour"] / 3600, row["branching"], 1 / delay)

    assert score == pytest.approx(row["log_likelihood"], rel=1e-9)
    assert (
        finish.refined_likelihood(times, length, row["branching"], delay).log_likelihood >= row["log_likelihood"] - 1e-9
    )


def test_refined_cell_of_the_example_night():
    "Around (0.65, 60 s): more likely, near by, its likelihood reproducible."
    times = np.array([0.0, 45, 65, 95, 130, 165, 1795, 3895])
    best = finish.refined_likelihood(times, 3895, 0.65, 60)
    again = finish.log_likelihood(times, 3895, best.background_per_hour / 3600, best.branching, 1 / best.delay_seconds)

    assert best.log_likelihood > -51.309867
    assert 0.6 <= best.branching <= 0.7
    assert 30 <= best.delay_seconds <= 120
    assert again == pytest.approx(best.log_likelihood, rel=1e-9)


def test_excitation_is_the_recursion():
    "A running log-sum gives the sequential recursion, over millions of seconds and with ties."
    rng = random.Random(1)
    times = sorted([rng.uniform(0, 5e6) for _ in range(300)] + [1000.0, 1000.0])
    carried, wanted = 0.0, [0.0]
    for before, now in itertools.pairwise(times):
        carried = (carried + 1) * math.exp(-(now - before) / 600)
        wanted.append(carried)

    assert finish.excitation(np.array(times), 1 / 600) == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def series(seed, lead):
    "A store with 400 minutes in which the CeFi side is `lead` minutes early."
    rng = random.Random(seed)
    store = empty_store()
    rows = []
    for i in range(60):
        when, usd = rng.randrange(10, 400), rng.uniform(1, 1e6)
        start = np.datetime64("2026-03-14T00:00:10")
        late, early = (start + np.timedelta64(m, "m") for m in (when, when - lead))
        rows += [
            {"event_id": f"d{i}", "liquidated_at": late.item(), "forced_usd": usd},
            {
                "event_id": f"c{i}",
                "liquidated_at": early.item(),
                "forced_usd": usd,
                "venue": "binance",
                "venue_kind": "cefi",
            },
        ]
    insert(store, "liquidations", rows)
    return store


def test_correlogram_and_band():
    "The same r as SQL at every lag; a planted lead stands above the band, a shuffled side below it."
    store = series(5, lead=3)
    rows = ask(store, "lead_lag", max_lag=8)
    x, y = steps(store, "lead_lag", "SELECT x, y FROM side_series() ORDER BY i")
    band = finish.lead_lag_band(x, y, 8)
    shuffled = np.random.default_rng(4).permutation(y)

    assert finish.correlogram(x, y, 8) == pytest.approx([row["r"] for row in rows], rel=1e-9, abs=1e-12)
    assert max(row["r"] for row in rows) > band > 0
    assert finish.correlogram(x, shuffled, 8).max() < finish.lead_lag_band(x, shuffled, 8) * 1.5
    assert finish.lead_lag_band(x, y, 8) == band


def test_correlogram_of_a_constant():
    "No number where a side does not move, or too little is left; no band for a series too short to shift."
    x = np.array([0.0, 1.0, 0.0, 2.0])

    assert np.isnan(finish.correlogram(x, np.full(4, 0.1), 2)).all()
    assert np.isnan(finish.correlogram(x, x[::-1], 4)[[0, 1, 7, 8]]).all()
    assert math.isnan(finish.lead_lag_band(x, x, 2))


def test_round_numbers():
    "Prices at round levels beat shifted grids, but for the few that nearly coincide; prices anywhere do not."
    rng = np.random.default_rng(6)
    usd = rng.lognormal(8, 1, 4000)
    anywhere = np.exp(rng.uniform(7, 8, 4000))
    step = 10 ** (np.floor(np.log10(anywhere)) - 1)
    rounded = np.where(rng.random(4000) < 0.3, np.rint(anywhere / step) * step, anywhere)
    special, band = finish.round_number_p(rounded, usd)
    plain, _ = finish.round_number_p(anywhere, usd)

    assert special < 0.1
    assert band.value > 2 * band.low
    assert plain > 0.1
    assert finish.near_round_share(np.array([2000.0, 2005.0, 2005.1]), np.array([1.0, 1.0, 2.0])) == 0.5


def test_catalysts_at_random_starts():
    "On shuffled flows the percentile is uniform; too short a record gives none."
    rng = np.random.default_rng(9)
    found = finish.catalyst_percentiles(rng.uniform(0, 60 * 86400, 20000), rng.lognormal(10, 2, 20000), 1800, 100)
    ordered = np.sort(found)
    steps_up = np.arange(1, len(ordered) + 1) / len(ordered)

    assert len(found) == finish.N_SURROGATES
    assert np.max(np.abs(ordered - steps_up)) < 1.36 / math.sqrt(finish.N_SURROGATES)
    assert len(finish.catalyst_percentiles(np.array([0.0, 10.0]), np.ones(2), 1800, 10)) == 0


def test_bands_of_shares():
    "The value is the one seen; a band holds it and shrinks with the number of episodes; one group has no doubt."
    rng = np.random.default_rng(3)
    groups, usd = np.array(["a", "b", "b"]).repeat(40), rng.lognormal(0, 0.5, 120)
    shares, hhi = finish.bootstrap_bands(groups, usd)
    many, _ = finish.bootstrap_bands(np.tile(groups, 20), np.tile(usd, 20))
    seen = usd[:40].sum() / usd.sum()

    assert shares["a"].value == pytest.approx(seen)
    assert hhi.value == pytest.approx(10000 * (seen**2 + (1 - seen) ** 2))
    assert shares["a"].low < seen < shares["a"].high
    assert many["a"].high - many["a"].low < (shares["a"].high - shares["a"].low) / 3
    assert finish.bootstrap_bands(groups[:40], usd[:40])[1] == pytest.approx((10000, 10000, 10000))
