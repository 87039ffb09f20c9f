"""The pack against slow, literal readings of its definitions on random records."""

import datetime as dt
import itertools
import math
import random
import statistics

import pytest
from fixture_store import ask, empty_store, insert

EPOCH = dt.datetime(1970, 1, 1)
# Midnight of 2026-01-01: no multiple of 7,000 s, so that buckets of that length straddle the days.
MIDNIGHT = 20454 * 86400


def seconds(instant):
    "Seconds since 1970."
    return (instant - EPOCH).total_seconds()


def after(n_seconds):
    "The time `n_seconds` after 1970."
    return EPOCH + dt.timedelta(seconds=n_seconds)


def random_liquidations(dice, n_rows, n_days):
    "Rows in bursts and between them, some unpriced, of few accounts, assets and venues."
    bursts = [dice.uniform(0, n_days * 86400) for _ in range(6)]
    rows = []
    for number in range(n_rows):
        is_burst = dice.random() < 0.5
        when = dice.choice(bursts) + dice.expovariate(1 / 900) if is_burst else dice.uniform(0, n_days * 86400)
        rows.append(
            {
                "event_id": f"r{number:04}",
                "liquidated_at": after(MIDNIGHT + round(when, 3)),
                "account": f"0x{dice.randrange(12):x}",
                "venue": dice.choice(["hyperliquid", "gmx_v2", "dydx"]),
                "asset": dice.choice(["ETH", "BTC", None]),
                "side": dice.choice(["long", "long", "short", None]),
                "forced_usd": None if dice.random() < 0.05 else round(dice.expovariate(1 / 500), 2),
            }
        )
    return rows


def quantile(values, share):
    "Linear interpolation between the two nearest ranks."
    ordered = sorted(values)
    rank = (len(ordered) - 1) * share
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    return low + (high - low) * (rank - math.floor(rank))


def key_of(row, scope):
    "What a cascade of this row is found within."
    return {"all": "all", "asset": row["asset"] or "unknown", "venue": row["venue"]}[scope]


def literal_hot(rows, since, bucket, share, lookback, floor):
    "Numbers of the hot buckets, each day's threshold over all buckets of the days before, zeros included."
    first_day = min(seconds(row["liquidated_at"]) for row in rows) // 86400
    sums = {}
    for row in rows:
        number = seconds(row["liquidated_at"]) // bucket
        sums[number] = sums.get(number, 0) + (row["forced_usd"] or 0)
    hot = []
    for number in sorted(sums):
        day = number * bucket // 86400
        edges = (int(max(day - lookback, first_day) * 86400), int(day * 86400))
        past = range(*(math.ceil(edge / bucket) for edge in edges))
        threshold = quantile([sums.get(one, 0) for one in past], share) if past else 0
        if (number + 1) * bucket > since and sums[number] > 0 and sums[number] >= max(threshold, floor):
            hot.append(number)
    return hot


def literal_islands(hot, bucket, gap):
    "Start and end in seconds of runs of hot buckets at most `gap` seconds apart."
    islands = []
    for number in hot:
        if islands and (number - islands[-1][-1]) * bucket <= gap:
            islands[-1].append(number)
        else:
            islands.append([number])
    return [(island[0] * bucket, (island[-1] + 1) * bucket) for island in islands]


def literal_cascades(rows, scope, gap, accounts, bucket, since, **threshold):
    "Cascades as the definition reads."
    found = []
    for key in sorted({key_of(row, scope) for row in rows}):
        mine = [row for row in rows if key_of(row, scope) == key]
        for first, last in literal_islands(literal_hot(mine, since, bucket, **threshold), bucket, gap):
            members = [row for row in mine if max(first, since) <= seconds(row["liquidated_at"]) < last]
            if len({row["account"] for row in members}) < accounts:
                continue
            members.sort(key=lambda one: (one["liquidated_at"], one["event_id"]))
            sums = list(itertools.accumulate(row["forced_usd"] or 0 for row in members))
            half = next(row for row, so_far in zip(members, sums, strict=True) if so_far >= sums[-1] / 2)
            n_seconds = int((half["liquidated_at"] - members[0]["liquidated_at"]).total_seconds())
            found.append((after(first), key, after(last), sums[-1], len(members), n_seconds))
    return sorted(found)


@pytest.mark.parametrize("seed", range(6))
def test_cascades(seed):
    "Equal to the literal definition for every scope."
    dice = random.Random(seed)
    rows = random_liquidations(dice, 400, 6)
    connection = empty_store()
    insert(connection, "liquidations", rows)
    scope = ["all", "asset", "venue"][seed % 3]
    share = dice.choice([0.5, 0.9, 0.99])
    floor = dice.choice([1, 300, 1500])
    values = {
        "bucket_seconds": dice.choice([60, 300, 7000]),
        "threshold_quantile": share,
        "lookback_days": dice.choice([1, 2, 30]),
        "floor_usd": floor,
        "gap_seconds": dice.choice([0, 300, 1800]),
        "min_accounts": dice.choice([1, 3]),
    }
    since = MIDNIGHT + dice.choice([0, 2 * 86400])
    found = ask(connection, "cascades", **values, scope=scope, since=after(since))
    columns = ("start_at", "key", "end_at", "forced_usd", "n_events", "half_seconds")
    literal = literal_cascades(
        rows,
        scope,
        values["gap_seconds"],
        values["min_accounts"],
        bucket=values["bucket_seconds"],
        since=since,
        share=share,
        lookback=values["lookback_days"],
        floor=floor,
    )

    assert len(literal) > 0
    assert [tuple(row[column] for column in columns) for row in found] == [
        (*row[:3], pytest.approx(row[3], rel=1e-9), *row[4:]) for row in literal
    ]


def random_flows(dice, n_rows, n_days):
    "Flows of few accounts to and from exchanges and elsewhere, some unpriced."
    directions = ["to_exchange", "to_exchange", "from_exchange", "to_bridge", "from_lending", "internal", "other"]
    return [
        {
            "flow_id": f"f{number:04}",
            "flowed_at": after(MIDNIGHT + round(dice.uniform(0, n_days * 86400), dice.choice([0, 3]))),
            "kind": dice.choice(["transfer", "transfer", "borrow"]),
            "account": f"0x{dice.randrange(4):x}",
            "asset": dice.choice(["ETH", "BTC"]),
            "direction": dice.choice(directions),
            "usd": None if dice.random() < 0.05 else round(dice.expovariate(1 / 20000), 2),
        }
        for number in range(n_rows)
    ]


@pytest.fixture(scope="module", params=range(3))
def night(request):
    "A store with random liquidations and flows, its flows, and its cascades."
    dice = random.Random(100 + request.param)
    connection = empty_store()
    flows = random_flows(dice, 1500, 12)
    insert(connection, "liquidations", random_liquidations(dice, 300, 12))
    insert(connection, "flows", flows)
    settings = {
        "floor_usd": 1500,
        "threshold_quantile": 0.9,
        "bucket_seconds": [60, 420, 7][request.param],
        "min_accounts": 1,
    }
    return connection, flows, settings, ask(connection, "cascades", **settings)


def moved(flows, first, last, direction=None):
    "USD moved in [first, last) in a direction, of flows that count."
    return sum(
        row["usd"]
        for row in flows
        if (row["usd"] or 0) >= 10000 and first <= row["flowed_at"] < last and direction in {None, row["direction"]}
    )


def test_flows(night):
    "Every phase and baseline equal to sums over its window."
    connection, flows, settings, cascades = night
    found = ask(connection, "flows", **settings)
    first_flow = min(row["flowed_at"] for row in flows)
    hour, day = dt.timedelta(hours=1), dt.timedelta(days=1)
    literal = []
    for cascade in cascades:
        start, end = cascade["start_at"], cascade["end_at"]
        edges = [start - 24 * hour, start - hour, start, end, end + hour, end + 24 * hour]
        for first, last in itertools.pairwise(edges):
            shifts = [n * day for n in range(1, 15) if first - n * day >= first_flow]
            usual = [moved(flows, first - shift, last - shift, "to_exchange") for shift in shifts]
            median = statistics.median(usual) if len(usual) >= 7 else None
            inflow = moved(flows, first, last, "to_exchange")
            literal.append((cascade["cascade_id"], first, inflow, moved(flows, first, last, "to_bridge"), median))
    hours = [(row["phase_end_at"] - row["phase_start_at"]) / hour for row in found]

    assert len(cascades) > 1
    for row, n_hours, wanted in zip(found, hours, literal, strict=True):
        cascade_id, first, inflow, bridged, median = wanted
        assert (row["cascade_id"], row["phase_start_at"]) == (cascade_id, first)
        assert row["to_exchange_usd"] == pytest.approx(inflow, rel=1e-9, abs=1e-6)
        assert row["to_bridge_usd"] == pytest.approx(bridged, rel=1e-9, abs=1e-6)
        assert row["to_exchange_usd_per_hour"] == pytest.approx(inflow / n_hours, rel=1e-9, abs=1e-6)
        if median is None:
            assert row["baseline_usd_per_hour"] is None
        else:
            assert row["baseline_usd_per_hour"] == pytest.approx(median / n_hours, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("lead", [1800, 5000])
def test_catalysts(night, lead):
    "Every rank, window and placebo equal to sums over windows laid back to back."
    connection, flows, settings, cascades = night
    found = ask(connection, "catalysts", **settings, lead_seconds=lead, lookback_days=5, top=2)
    first_flow = min(row["flowed_at"] for row in flows)
    step = dt.timedelta(seconds=lead)
    kinds = {
        "exchange_inflow": [row for row in flows if row["direction"] == "to_exchange"],
        "borrow": [row for row in flows if row["kind"] == "borrow" and row["direction"] != "to_exchange"],
    }
    literal = []
    for cascade in cascades:
        start = cascade["start_at"]
        n_placebo = max(min(5 * 86400 // lead, (start - first_flow) // step - 1), 0)
        sums = {}
        for kind, rows in kinds.items():
            for row in rows:
                if (row["usd"] or 0) >= 10000 and start - step <= row["flowed_at"] < start:
                    group = (row["account"], row["asset"], kind)
                    sums[group] = sums.get(group, 0) + row["usd"]
        ranked = sorted((-usd, *group) for group, usd in sums.items())[:2]
        for rank, (usd, account, _, kind) in enumerate(ranked, 1):
            window = moved(kinds[kind], start - step, start)
            others = [moved(kinds[kind], start - (k + 1) * step, start - k * step) for k in range(1, n_placebo + 1)]
            n_at_least = sum(other >= window * (1 - 1e-12) for other in others)
            chance = (1 + n_at_least) / (1 + n_placebo) if n_placebo else None
            literal.append((cascade["cascade_id"], rank, kind, account, -usd, window, n_placebo, chance))
    names = ("cascade_id", "rank", "kind", "account", "usd", "window_usd", "n_placebo", "placebo_p")

    assert len(found) > 0
    for row, wanted in zip(found, literal, strict=True):
        assert [row[name] for name in names] == [
            pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in wanted
        ]


def literal_inventory(seizures, disposals):
    "First in first out, token by token: matched amount, profit, weighted time; what is beyond the stock is the mover's own."
    events = sorted([(when, 0, amount, price) for when, amount, price in seizures])
    events = sorted(
        events + [(when, 1, amount, price) for when, amount, price in disposals], key=lambda event: event[:2]
    )
    stock, matched, profit, held = [], 0.0, 0.0, 0.0
    for when, is_disposal, amount, price in events:
        if not is_disposal:
            stock.append([when, amount, price])
            continue
        left = amount
        while stock and left > 1e-12:
            lot = stock[0]
            taken = min(left, lot[1])
            matched += taken
            profit += taken * (price - lot[2])
            held += taken * (when - lot[0])
            left -= taken
            lot[1] -= taken
            if lot[1] <= 1e-12:
                stock.pop(0)
    return matched, profit, held


@pytest.mark.parametrize("seed", range(8))
def test_liquidator_inventory(seed):
    "Equal to a queue walked token by token, with more moved than was seized at times."
    dice = random.Random(seed)
    seizures = [
        (dice.randrange(0, 4000), round(dice.uniform(0.1, 5), 2), float(dice.randrange(100, 200))) for _ in range(40)
    ]
    disposals = [
        (dice.randrange(0, 5000), round(dice.uniform(0.1, 6), 2), float(dice.randrange(100, 200))) for _ in range(40)
    ]
    disposals = [one for one in disposals if one[0] >= min(when for when, _, _ in seizures)]
    connection = empty_store()
    shared = {
        "venue": "aave_v3",
        "sector": "lending",
        "kind": "call",
        "liquidator": "0xb",
        "asset": "ETH",
        "side": "long",
    }
    insert(
        connection,
        "liquidations",
        [
            shared
            | {
                "event_id": f"{n:03}",
                "liquidated_at": after(when),
                "collateral_amount": amount,
                "seized_usd": amount * price,
            }
            for n, (when, amount, price) in enumerate(sorted(seizures))
        ],
    )
    move = {"kind": "transfer", "account": "0xb", "from_address": "0xb", "to_address": "0xe", "asset": "ETH"}
    insert(
        connection,
        "flows",
        [
            move | {"flow_id": f"{n:03}", "flowed_at": after(when), "amount": amount, "usd": amount * price}
            for n, (when, amount, price) in enumerate(sorted(disposals))
        ],
    )
    (row,) = ask(connection, "liquidator_inventory")
    matched, profit, held = literal_inventory(sorted(seizures), sorted(disposals))

    assert row["disposed_amount"] == pytest.approx(matched, rel=1e-9)
    assert row["disposed_amount"] + row["open_amount"] == pytest.approx(
        sum(amount for _, amount, _ in seizures), rel=1e-9
    )
    assert row["realised_pnl_usd"] == pytest.approx(profit, rel=1e-9, abs=1e-6)
    assert row["hold_seconds"] == pytest.approx(held / matched, rel=1e-9)
