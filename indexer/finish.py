"""What SQL prepares and simulation finishes: surrogates, shifts, resamples, a finer grid. Every draw is seeded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SEED = 20251010
N_SURROGATES = 200
N_GRIDS = 100


class PairExcess(NamedTuple):
    "Pairs of close events against `N_SURROGATES` surrogates; z is NaN where every surrogate has as many."

    n_pairs: int
    mean: float
    sd: float
    z: float


class Band(NamedTuple):
    "A value with the quantiles of its resamples or surrogates."

    value: float
    low: float
    high: float


class Excitation(NamedTuple):
    "A self-exciting process: each event brings `branching` more, after `delay_seconds` on average."

    branching: float
    delay_seconds: float
    background_per_hour: float
    log_likelihood: float


def count_pairs(seconds: Floats, tau_seconds: float) -> int:
    "Pairs of events at most `tau_seconds` apart, ties once. Distances count in whole microseconds, as in SQL."
    ordered = np.sort(np.rint(np.asarray(seconds) * 1e6))
    first = np.searchsorted(ordered, ordered - np.rint(tau_seconds * 1e6), side="left")
    return int(np.sum(np.arange(len(ordered)) - first))


def pair_z(seconds: Floats, tau_seconds: float, jitter_seconds: float, seed: int = SEED) -> PairExcess:
    """The pairs of cascades/self_excitation against its null: every event moves uniformly inside its jitter bin.

    `seconds` from the query's origin (feedback_events().us / 1e6). The mean agrees with expected_pairs.
    """
    rng = np.random.default_rng(seed)
    left = np.floor(np.asarray(seconds) / jitter_seconds) * jitter_seconds
    n_pairs = count_pairs(seconds, tau_seconds)
    draws = (left + rng.random(len(left)) * jitter_seconds for _ in range(N_SURROGATES))
    surrogates = np.array([count_pairs(draw, tau_seconds) for draw in draws], dtype=np.float64)
    mean, sd = float(surrogates.mean()), float(surrogates.std(ddof=1))
    return PairExcess(n_pairs, mean, sd, (n_pairs - mean) / sd if sd > 0 else float("nan"))


def correlogram(x: Floats, y: Floats, max_lag: int) -> Floats:
    """Correlation of x(i) with y(i + g) for g = -max_lag .. max_lag: positive, y is later. As cefi/lead_lag.

    NaN where a side is constant or fewer than two buckets overlap.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    x, y = x - x.mean(), y - y.mean()
    lags = np.arange(-max_lag, max_lag + 1)
    n = np.maximum(len(x) - np.abs(lags), 0)

    def moments(series: Floats, skipped: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        "Sum and sum of squares of the `n` values after the skipped ones, for every lag."
        first = np.minimum(np.maximum(skipped, 0), len(series))
        running = np.concatenate(([0.0], np.cumsum(series)))
        squares = np.concatenate(([0.0], np.cumsum(series**2)))
        return running[first + n] - running[first], squares[first + n] - squares[first]

    sum_x, squares_x = moments(x, -lags)
    sum_y, squares_y = moments(y, lags)
    products = np.lib.stride_tricks.sliding_window_view(np.pad(y, max_lag), len(x)) @ x
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_x = squares_x - sum_x**2 / n
        spread_y = squares_y - sum_y**2 / n
        r = (products - sum_x * sum_y / n) / np.sqrt(spread_x * spread_y)
    # A difference of sums of squares is noise below the last digits of the larger sum.
    constant = (spread_x <= 1e-12 * np.sum(x**2)) | (spread_y <= 1e-12 * np.sum(y**2)) | (n <= 1)
    return np.where(constant, np.nan, r)


def lead_lag_band(x: Floats, y: Floats, max_lag: int, seed: int = SEED) -> float:
    """The correlation that chance stays below at all lags together: 95 % of the largest r over `N_SURROGATES` circular shifts.

    `x`, `y`: side_series() in order. A shift is at least max_lag + 1 buckets. NaN where the series is too short to shift.
    """
    if len(x) < 2 * (max_lag + 1):
        return float("nan")
    rng = np.random.default_rng(seed)
    shifts = rng.integers(max_lag + 1, len(x) - max_lag, size=N_SURROGATES)
    curves = np.array([correlogram(x, np.roll(y, shift), max_lag) for shift in shifts])
    known = curves[~np.isnan(curves).all(axis=1)]
    return float(np.quantile(np.nanmax(known, axis=1), 0.95)) if len(known) else float("nan")


def near_round_share(prices: Floats, usd: Floats, shift: float = 0.0, within_bps: float = 25.0) -> float:
    "Share of USD within `within_bps` of a two-digit round price; `shift` moves the levels by a part of their distance."
    prices = np.asarray(prices, dtype=np.float64)
    step = 10.0 ** (np.floor(np.log10(prices)) - 1)
    levels = (np.rint(prices / step - shift) + shift) * step
    return float(np.sum(usd, where=np.abs(prices / levels - 1) * 10000 <= within_bps) / np.sum(usd))


def round_number_p(prices: Floats, usd: Floats, seed: int = SEED) -> tuple[float, Band]:
    """How special round prices are: (p, share near them with the 2.5 and 97.5 % quantiles of the null).

    The null is `N_GRIDS` grids of the same distance, shifted at random. `prices` as cascades/price_clusters reads them, of
    priced rows only. p = (1 + grids with at least the share) / (1 + grids).
    """
    rng = np.random.default_rng(seed)
    share = near_round_share(prices, usd)
    null = np.array([near_round_share(prices, usd, shift) for shift in rng.random(N_GRIDS)])
    low, high = np.quantile(null, [0.025, 0.975])
    return float((1 + np.sum(null >= share)) / (1 + N_GRIDS)), Band(share, float(low), float(high))


def catalyst_percentiles(seconds: Floats, usd: Floats, lead_seconds: float, n_windows: int, seed: int = SEED) -> Floats:
    """The percentile of whales/catalysts at `N_SURROGATES` random starts: uniform where flows follow no cascade.

    `seconds`, `usd`: flows of one kind. At a start s the window is [s - lead, s); its placebos are the `n_windows` before
    it. Equal totals count half, so that empty windows do not pile up at 0. Empty where the flows are too short for one.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(seconds, kind="stable")
    times = np.asarray(seconds, dtype=np.float64)[order]
    running = np.concatenate(([0.0], np.cumsum(np.asarray(usd, dtype=np.float64)[order])))
    length = (n_windows + 1) * lead_seconds
    if not len(times) or times[-1] - times[0] < length:
        return np.empty(0)
    starts = times[0] + length + rng.random(N_SURROGATES) * (times[-1] - times[0] - length)
    edges = starts[:, None] - lead_seconds * np.arange(n_windows + 2)
    totals = -np.diff(running[np.searchsorted(times, edges, side="left")], axis=1)
    mine, others = totals[:, :1], totals[:, 1:]
    same = np.isclose(others, mine, rtol=1e-9, atol=1e-9)
    smaller = (others < mine) & ~same
    result: Floats = smaller.mean(axis=1) + same.mean(axis=1) / 2
    return result


def bootstrap_bands(
    groups: npt.NDArray[np.str_], usd: Floats, n_draws: int = N_SURROGATES, seed: int = SEED
) -> tuple[dict[str, Band], Band]:
    """95 % bands of each group's share of USD and of the HHI (10,000 = one group), by resampling.

    One element an *episode*, not a row: the fills of one position are not independent.
    """
    rng = np.random.default_rng(seed)
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    value = np.asarray(usd, dtype=np.float64)

    def shares(chosen: npt.NDArray[np.int64] | slice) -> Floats:
        "Share of every group among the chosen episodes."
        sums = np.bincount(codes[chosen], weights=value[chosen], minlength=len(names))
        share: Floats = sums / sums.sum()
        return share

    def hhi(of_shares: Floats) -> Floats:
        "Sum of squared percent shares."
        total: Floats = np.sum((100 * of_shares) ** 2, axis=-1)
        return total

    seen = shares(slice(None))
    drawn = np.array([shares(rng.integers(0, len(value), len(value))) for _ in range(n_draws)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    hhi_low, hhi_high = np.quantile(hhi(drawn), [0.025, 0.975])
    bands = {str(name): Band(*map(float, each)) for name, *each in zip(names, seen, low, high, strict=True)}
    return bands, Band(float(hhi(seen)), float(hhi_low), float(hhi_high))


def excitation(seconds: Floats, decay: float) -> Floats:
    "Sum of exp(-decay x age) over the events before each event, in time order; ties count once."
    exponent = decay * (np.sort(seconds) - np.min(seconds))
    before = np.logaddexp.accumulate(exponent)
    return np.concatenate(([0.0], np.exp(before[:-1] - exponent[1:])))


def log_likelihood(seconds: Floats, length: float, background: float, branching: float, decay: float) -> float:
    "Of events in [0, length] under rate background + branching x decay x sum of exp(-decay x age), in seconds."
    rate = background + branching * decay * excitation(seconds, decay)
    spent = np.sum(1 - np.exp(-decay * (length - np.asarray(seconds))))
    return float(np.sum(np.log(rate)) - background * length - branching * spent)


def refined_likelihood(seconds: Floats, length: float, branching: float, delay_seconds: float) -> Excitation:
    """The most likely process on a finer grid around a cell of cascades/self_excitation.

    Branching in steps of 0.005 within 0.05 of the cell, 25 delays from half to twice the cell's; the background follows
    from the compensator, as in SQL. `seconds` from the origin, `length` to the end of the window.
    """
    times = np.asarray(seconds, dtype=np.float64)
    best = Excitation(
        0.0, float("nan"), 3600 * len(times) / length, len(times) * np.log(len(times) / length) - len(times)
    )
    for delay in delay_seconds * 2.0 ** np.linspace(-1, 1, 25):
        rate = excitation(times, 1 / delay) / delay
        spent = np.sum(1 - np.exp(-np.maximum(length - times, 0) / delay))
        for n in np.round(branching + np.arange(-10, 11) * 0.005, 3):
            background = (len(times) - n * spent) / length
            if not 0 <= n < 1 or background <= 0:
                continue
            score = float(np.sum(np.log(background + n * rate)) - len(times))
            if score > best.log_likelihood + 1e-9:
                best = Excitation(float(n), float(delay), float(background * 3600), score)
    return best
