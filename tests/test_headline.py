"""A news story against the records: every verdict, and why a figure cannot be tested."""

import datetime as dt

import polars as pl
import pytest
from fixture_store import address, empty_store, example_store, insert

from indexer import demo, store
from indexer.report import ask, headline, verdicts

AT = dt.datetime(2026, 3, 14, 10, 5)
DAY = dt.datetime(2026, 3, 14)
CASCADE = {"floor_usd": "1000"}


def covered(connection, *datasets, since=DAY, until=DAY + dt.timedelta(days=1)):
    "Prove the data sets whole for the window; the venues of the example night where none is named."
    names = datasets or [f"liquidations:{name}" for name in ("aave_v3", "spark", "gmx_v2", "hyperliquid", "binance")]
    piece = {"source": "rpc", "chain": None, "from_at": since, "to_at": until}
    insert(connection, "coverage", [piece | {"dataset": name} for name in names])


def figure(metric, value, venue="all", asset="all", **other):
    "A stated figure of the two hours of the example night."
    return {
        "reported_at": AT, "event": "story", "source": "desk", "metric": metric, "venue": venue, "asset": asset,
        "window_hours": 2.0, "value": value, "unit": "usd", "note": None, "url": None,
    } | other  # fmt: skip


def told(connection, *figures, **params):
    "(verdict, ours, reason) of the only figure."
    connection.execute("DELETE FROM reported_totals")
    insert(connection, "reported_totals", figures)
    row = headline.headline(connection, "story", params=params).to_dicts()[0]
    return row["verdict"], row["ours"], row["reason"]


@pytest.fixture
def night():
    "The example night, covered."
    connection = example_store()
    covered(connection)
    return connection


@pytest.fixture
def complete(night):
    "The example night without its throttled order and without its row that has no price."
    night.execute("DELETE FROM liquidations WHERE venue = 'binance' OR forced_usd IS NULL")
    return night


NIGHT = [
    (figure("total", 27_000.0), "confirmed", 27_100.0, "within 5% of it"),
        (figure("total_low", 20_000.0), "confirmed", 27_100.0, "what is stored reaches it"),
        (figure("total_lower_bound", 50_000.0), "cannot be tested", 27_100.0, "less is stored, but 1 row of it has no price"),
        (figure("total_high", 20_000.0), "contradicted", 27_100.0, "more than that is stored"),
        (figure("total_high", 50_000.0), "cannot be tested", 27_100.0, "less is stored, but 1 row of it has no price"),
        (figure("total", 13_000.0, "hyperliquid"), "confirmed", 13_500.0, "within 5% of it"),
        (figure("total", 20_000.0, "hyperliquid"), "contradicted", 13_500.0, "all is stored, and it is another value"),
        (figure("total_low", 20_000.0, "hyperliquid"), "contradicted", 13_500.0, "all is stored, and it is less"),
        (figure("total_high", 20_000.0, "hyperliquid"), "confirmed", 13_500.0, "all is stored, and it is not more"),
        (figure("total_mean_approx", 9_900.0, asset="BTC", venue="hyperliquid"), "confirmed", 10_000.0, "within 5% of it"),
        (figure("longs", 20_000.0, "binance"), "cannot be tested", 9_000.0,
         "less is stored, but the feed of Binance shows only a part (throttled_largest_1s)"),
        (figure("shorts", 500.0, "gmx_v2"), "confirmed", 500.0, "within 5% of it"),
        (figure("total", 500.0, "okx"), "cannot be tested", None, "no row of its scope is stored in its window"),
        (figure("total", 500.0, "aave_v3", "LINK"), "cannot be tested", None, "its rows are stored without a price"),
        (figure("total_self_reported", 5_000.0, "aave_v3"), "cannot be tested", 3_020.0,
         "less is stored, but 1 row of it has no price"),
        (figure("largest_single_order", 9_000.0), "confirmed", 9_000.0, "within 5% of it"),
        (figure("largest", 5_000.0), "contradicted", 9_000.0, "more than that is stored"),
        (figure("traders_low", 6.0), "confirmed", 6.0, "what is stored reaches it"),
        (figure("traders_high", 5.0), "contradicted", 6.0, "more than that is stored"),
        (figure("traders_liquidated", 3.0, "hyperliquid"), "confirmed", 3.0, "within 5% of it"),
        (figure("accounts", 4.0, "hyperliquid"), "contradicted", 3.0, "all is stored, and it is another value"),
        (figure("traders_liquidated", 1.0, "binance"), "cannot be tested", None,
         "exchanges publish orders, which are not traders"),
        (figure("long_share", 0.95), "confirmed", 26_600 / 27_100, "within 5 points of it"),
        (figure("long_share", 0.7), "contradicted", 26_600 / 27_100, "ours is another share"),
        (figure("largest_venue", 1.0, "hyperliquid"), "cannot be tested", 1.0,
         "its place is 1 to 2: feeds hide too much to say"),
        (figure("largest_venue", 1.0, "spark"), "contradicted", 4.0, "Hyperliquid was larger"),
        (figure("largest_venue", 1.0, "okx"), "cannot be tested", None, "no priced row of OKX is stored in its window"),
        (figure("asset_rank", 1.0, asset="BTC"), "confirmed", 1.0, "place 1"),
        (figure("asset_rank", 1.0, asset="ETH"), "cannot be tested", 2.0,
         "ours is place 2, but 1 row without a price could change it"),
        (figure("feedback", 1.0), "cannot be tested", None,
         "8 events with a known account: too few to tell feedback from chance."),
        (figure("btc_market_cap_change_1m", -6e10), "cannot be tested", None,
         "no question of the pack answers btc_market_cap_change_1m"),
        (figure("total", 1.0, reported_at=None), "cannot be tested", None, "its day is not established"),
        (figure("total", None), "cannot be tested", None, "no value is stated"),
        (figure("total", 1.0, window_hours=None), "cannot be tested", None, "the length of its window is not stated"),
        (figure("total", 1.0, asset=None), "cannot be tested", None, "its venue or asset is not stated"),
    ]  # fmt: skip
COMPLETE = [
        (figure("largest_venue", 1.0, "hyperliquid"), "confirmed", 1.0, "first of 4 venues stored"),
        (figure("largest_venue", 0.0, "hyperliquid"), "contradicted", 1.0, "first of 4 venues stored"),
        (figure("venue_share", 0.75, "hyperliquid"), "confirmed", 13_500 / 18_100, "within 5 points of it"),
        (figure("venue_share_lower_bound", 0.8, "hyperliquid"), "contradicted", 13_500 / 18_100, "ours lies on the other side"),
        (figure("venue_share_upper_bound", 0.8, "hyperliquid"), "confirmed", 13_500 / 18_100, "ours lies on that side"),
        (figure("asset_rank", 1.0, asset="ETH"), "contradicted", 2.0, "place 2, not 1"),
        (figure("total_high", 50_000.0), "cannot be tested", 18_100.0,
         "less is stored, but no database holds every venue, so ours is a floor"),
        (figure("asset_order", 1.0, asset="ETH"), "confirmed", 1.0, "place 1"),
        (figure("asset_order", 1.0, asset="BTC"), "contradicted", 2.0, "place 2, not 1"),
        (figure("asset_order", 1.0, asset="SOL"), "cannot be tested", None, "SOL is not among the cascade's priced assets"),
    ]  # fmt: skip


def all_told(connection, cases, **params):
    "(verdict, ours, reason) of each case's figure, told as one story."
    connection.execute("DELETE FROM reported_totals")
    insert(connection, "reported_totals", [one | {"source": f"desk {index}"} for index, (one, *_) in enumerate(cases)])
    rows = headline.headline(connection, "story", params=params)
    return {row["source"]: (row["verdict"], row["ours"], row["reason"]) for row in rows.to_dicts()}


@pytest.fixture(scope="module")
def verdicts_of_the_night():
    "The cases of NIGHT, told on the example night."
    connection = example_store()
    covered(connection)
    return all_told(connection, NIGHT)


@pytest.fixture(scope="module")
def verdicts_of_complete():
    "The cases of COMPLETE, told where every feed is whole."
    connection = example_store()
    covered(connection)
    connection.execute("DELETE FROM liquidations WHERE venue = 'binance' OR forced_usd IS NULL")
    return all_told(connection, COMPLETE, **CASCADE)


@pytest.mark.parametrize("index", range(len(NIGHT)))
def test_verdicts(verdicts_of_the_night, index):
    "A floor confirms what it reaches and contradicts what it passes; the rest needs a whole, covered, priced scope."
    _, verdict, ours, reason = NIGHT[index]

    assert verdicts_of_the_night[f"desk {index}"] == (verdict, ours if ours is None else pytest.approx(ours), reason)


@pytest.mark.parametrize("index", range(len(COMPLETE)))
def test_complete(verdicts_of_complete, index):
    "Where every feed is whole, places and shares are settled."
    _, verdict, ours, reason = COMPLETE[index]

    assert verdicts_of_complete[f"desk {index}"] == (verdict, ours if ours is None else pytest.approx(ours), reason)


def test_no_cascade(complete):
    "Without a cascade there is no order of assets and no catalyst."
    for metric in ("asset_order", "whale_catalyst"):
        assert told(complete, figure(metric, 1.0, asset="ETH")) == (
            "cannot be tested", None, "no cascade was found in its window",
        )  # fmt: skip


def test_clocks(complete):
    "Assets that fell within the coarsest clock have no order."
    complete.execute("UPDATE liquidations SET liquidated_at = '2026-03-14 09:00:55' WHERE event_id IN ('p04')")

    verdict, _, reason = told(complete, figure("asset_order", 1.0, asset="ETH"), **CASCADE)
    assert (verdict, reason) == (
        "cannot be tested", "ours is place 1, but BTC fell within 12 s of it, closer than clocks agree",
    )  # fmt: skip


def test_uncovered():
    "Without coverage a floor still speaks; a share, a place and an upper bound do not."
    connection = example_store()

    assert told(connection, figure("total_low", 20_000.0))[0] == "confirmed"
    assert told(connection, figure("total_high", 20_000.0))[0] == "contradicted"
    assert told(connection, figure("total", 13_500.0, "hyperliquid")) == (
        "cannot be tested", 13_500.0,
        "what is stored agrees, but Hyperliquid is not covered (0.0 % of the window is)",
    )  # fmt: skip
    for stated in (
        figure("long_share", 0.95),
        figure("largest_venue", 1.0, "spark"),
        figure("asset_rank", 1.0, asset="BTC"),
    ):
        verdict, _, reason = told(connection, stated)
        assert (verdict, "is not covered" in reason) == ("cannot be tested", True)


def test_empty():
    "An empty database tests nothing, and a story without figures has no rows."
    connection = empty_store()

    assert told(connection, figure("long_share", 0.9)) == (
        "cannot be tested", None, "no row of its scope is stored in its window",
    )  # fmt: skip
    assert headline.headline(connection, "another").schema == pl.Schema(headline.SCHEMA)


def test_unknown_sides(complete):
    "What has no side could be either: a share between both is not settled."
    complete.execute("UPDATE liquidations SET side = NULL WHERE event_id = 'p04'")

    assert told(complete, figure("long_share", 0.8)) == ("cannot be tested", 0.8, "ours lies from 64% to 97%")
    assert told(complete, figure("long_share", 0.3))[0] == "contradicted"


def flows(connection, *at, usd=50_000.0):
    "Deposits of one account to the exchange at these times."
    kraken = connection.execute("SELECT address FROM labels WHERE entity = 'kraken' LIMIT 1").fetchone()[0]
    insert(
        connection, "flows",
        [
            {"flow_id": f"x{index}", "flowed_at": instant, "chain": "ethereum", "kind": "transfer", "account": address("ee"),
             "from_address": address("ee"), "to_address": kraken, "asset": "ETH", "usd": usd, "direction": "to_exchange"}
            for index, instant in enumerate(at)
        ],
    )  # fmt: skip


HALF_HOURS = [dt.datetime(2026, 3, 13) + dt.timedelta(minutes=30 * k + 5) for k in range(66)]


def test_whales(complete):
    "An unusual move before the cascade confirms that one preceded; with too little history nothing is usual."
    stated = figure("whale_catalyst", 1.0)
    assert told(complete, stated, **CASCADE) == (
        "cannot be tested", None, "no earlier window of flows is stored to say what is usual",
    )  # fmt: skip

    flows(complete, dt.datetime(2026, 3, 14, 0, 5), usd=20_000.0)
    verdict, p, reason = told(complete, stated, **CASCADE)
    assert (verdict, p) == ("cannot be tested", pytest.approx(2 / 17))
    assert reason.endswith("but only 16 earlier windows are stored to say whether that is unusual")

    flows(complete, dt.datetime(2026, 3, 13, 0, 5), usd=20_000.0)
    verdict, p, reason = told(complete, stated, **CASCADE)
    assert (verdict, p) == ("confirmed", pytest.approx(2 / 65))
    assert reason == "0x0000…00d1 moved $70k of ETH before it, p = 0.031: it preceded, which is not to cause"
    assert told(complete, stated | {"value": 0.0}, **CASCADE)[0] == "contradicted"


def test_no_whale(complete):
    "Usual moves, or none, contradict it where flows are covered."
    stated = figure("whale_catalyst", 1.0)
    complete.execute("DELETE FROM flow_rows")
    assert told(complete, stated, **CASCADE) == (
        "cannot be tested", None, "no flows are stored (index them with --dataset flows)",
    )  # fmt: skip

    covered(complete, "flows:tokens", until=dt.datetime(2026, 3, 14, 8, 40))
    assert told(complete, stated, **CASCADE)[2] == "flows before the cascade are not covered"

    complete.execute("UPDATE coverage SET to_at = '2026-03-15' WHERE dataset = 'flows:tokens'")
    assert told(complete, stated, **CASCADE) == (
        "contradicted", None, "no unusual move to an exchange or loan stands before it",
    )  # fmt: skip

    flows(complete, *HALF_HOURS)
    verdict, p, _ = told(complete, stated, **CASCADE)
    assert (verdict, p) == ("contradicted", 1.0)


@pytest.mark.parametrize(("spacing", "verdict"), [((1,) * 9 + (591,), "confirmed"), ((60,), "contradicted")])
def test_feedback(spacing, verdict):
    "Bursts of ten within ten seconds are feedback, one a minute is not."
    connection = empty_store()
    covered(connection, "liquidations:hyperliquid")
    steps = [spacing[index % len(spacing)] for index in range(60)]
    seconds = [sum(steps[:index]) for index in range(60)]
    insert(
        connection, "liquidations",
        [{"event_id": f"e{index}", "liquidated_at": AT - dt.timedelta(seconds=7000 - second), "account": address(f"{index + 1:x}"),
          "asset": "ETH", "forced_usd": 100.0} for index, second in enumerate(seconds)],
    )  # fmt: skip

    assert told(connection, figure("feedback", 1.0))[0] == verdict


def test_past_nights(night):
    "A night has its place among others by reported totals, and a mood."
    nights = [
        figure("total", value, window_hours=24.0, event=event, reported_at=day)
        for event, value, day in (
            ("story", 900.0, DAY), ("Luna", 1000.0, DAY - dt.timedelta(days=400)), ("312", 9000.0, DAY - dt.timedelta(days=900)),
        )
    ]  # fmt: skip
    insert(night, "series", [{"name": "fear_greed", "observed_at": DAY, "value": 14.0, "label": "x", "source": "y"}])

    def ask_of(metric, value, note=None):
        verdict, ours, reason = told(
            night, figure(metric, value, note=note, reported_at=DAY, window_hours=None), *nights
        )
        return verdict, ours if ours is None else round(ours, 6), reason

    assert ask_of("event_rank", 3.0) == ("confirmed", 3.0, "place 3 of 3 by reported totals")
    assert ask_of("event_rank", 1.0)[0] == "contradicted"
    assert ask_of("comparable_event", 1.0, "Luna; as printed") == (
        "confirmed", 0.9, "its reported median is 0.9 times that of Luna",
    )  # fmt: skip
    assert ask_of("comparable_event", 1.0, "312")[0] == "contradicted"
    assert ask_of("comparable_event", 1.0, "519")[2] == "no total of 519 is stored"
    assert ask_of("fear_greed", 14.0) == ("confirmed", 14.0, "14 at the start of the day")
    assert ask_of("fear_greed", 40.0)[0] == "contradicted"
    assert ask_of("fear_greed", 40.0, "day only")[0] == "cannot be tested"
    assert (
        told(night, figure("event_rank", 1.0))[2] == "no dated total of this night for all venues in 24 hours is stored"
    )


def test_a_day_without_a_time(complete):
    "A figure that names only its day may mean a window that ends a day later."
    stated = figure("total_low", 18_000.0, reported_at=DAY, window_hours=24.0)

    assert told(complete, stated)[0] == "cannot be tested"
    assert told(complete, stated | {"note": "day only"}) == ("confirmed", 18_100.0, "what is stored reaches it")


def test_simulated(complete):
    "Real figures never meet a simulated chain; made-up ones meet nothing else, and know all of it."
    insert(complete, "facts", [{"name": "simulated:devnet", "value": "true"}])
    made_up = figure("total_high", 50_000.0, source="example: desk")

    assert told(complete, figure("total_high", 50_000.0)) == (
        "cannot be tested", None, "devnet is a simulated chain: never compared with a real night",
    )  # fmt: skip
    assert told(complete, made_up) == ("confirmed", 18_100.0, "all is stored, and it is not more")
    complete.execute("DELETE FROM facts WHERE name = 'simulated:devnet'")
    assert told(complete, made_up)[0] == "cannot be tested"


def test_claims_and_their_questions(complete):
    "A row says the claim, the question and parameters that gave the verdict, and where the figure stands."
    insert(complete, "reported_totals", [figure("long_share", 0.95, unit="share", url="https://example.org/story")])
    row = headline.headline(complete, "story").to_dicts()[0]

    assert row["claim"] == "95% of it longs in 2 h"
    assert (row["query"], row["is_example"], row["url"]) == (
        "structure/market_split", False, "https://example.org/story",
    )  # fmt: skip
    assert "-p split=side" in row["params"]


def test_every_metric_is_said():
    "The claim of each metric reads as words, in its unit and scope."
    kinds = [
        headline.Figure(AT, "story", "desk", name, "gmx_v2", "ETH", 2.0, 3.0, "rank", "Luna", None, is_example=False)
        for name in headline.METRICS
    ]
    lines = [headline.said(one) for one in kinds]

    assert len(set(lines)) >= len(lines) - 2
    assert not [line for line in lines if "{" in line]
    assert "GMX v2 had 3 of it in 2 h (ETH)" in lines


def test_demo(tmp_path):
    "The demo's made-up story reaches every verdict, is marked as an example, and stands beside real past nights."
    demo.fill(tmp_path / "demo", lambda *_, **__: None)
    with store.connect(tmp_path / "demo" / "demo.duckdb", read_only=True) as connection:
        rows = headline.headline(connection)
        picture = headline.story(ask.desk(connection, None, None, {}))

    assert set(rows["verdict"]) == set(verdicts.ALL)
    assert rows["is_example"].all()
    assert rows["source"].str.starts_with("example: ").all()
    assert picture.caption.startswith("Example: these figures are made up for a simulated chain")
    assert picture.other("context/event_rank").height == 25
    assert not picture.other("context/event_rank")["event"].str.contains("demo").any()
