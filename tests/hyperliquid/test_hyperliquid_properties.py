"""What holds for every block of fills: totals do not depend on how the records arrive."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
from forced import HLP, HOUR, address, adl_pair, backstop_pair, fill, judge, market_pair
from hypothesis import given, settings
from hypothesis import strategies as st

SIDES = st.sampled_from("AB")
SIZES = st.decimals("0.0001", "5000", places=4)
COINS = st.sampled_from(["BTC", "ETH", "kPEPE", "xyz:TSLA"])


@st.composite
def crash(draw):
    "The trades of one block: ordinary ones, liquidations of every kind, each tid once."
    trades = []
    for tid in range(draw(st.integers(1, 14))):
        user, other = address(draw(st.integers(1, 6))), address(draw(st.integers(20, 26)))
        changes = {
            "tid": tid,
            "side": draw(SIDES),
            "sz": str(draw(SIZES)),
            "px": str(draw(st.integers(1, 99_999))),
            "coin": draw(COINS),
            "time": HOUR + draw(st.integers(0, 7_200_000)),
        }
        shape = draw(st.sampled_from(["ordinary", "market", "backstop", "adl"]))
        if shape == "ordinary":
            trades.append([[user, fill(**changes)], [other, fill(**changes | {"side": "B"})]])
        elif shape == "adl":
            trades.append(adl_pair(user, HLP, **changes))
        else:
            trades.append((market_pair if shape == "market" else backstop_pair)(user, other, **changes))
    return trades


def totals(*verdicts):
    "Rows and dollars by kind, coin and side, exact; each event id once over all verdicts."
    rows = pl.concat(verdict.rows for verdict in verdicts).unique("event_id")
    return {
        key: (group.height, sum(Decimal(repr(value)) for value in group["forced_usd"]))
        for key, group in rows.group_by("kind", "market", "side")
    }


def by_hand(trades):
    "Dollars of the headline kinds, straight from the records: the liquidated user's row, px times sz."
    dollars = Decimal(0)
    for trade in trades:
        for account, record in trade:
            if record.get("liquidation", {}).get("liquidatedUser") == account != HLP:
                dollars += Decimal(record["px"]) * Decimal(record["sz"])
    return dollars


@settings(max_examples=15, deadline=None)
@given(crash(), st.randoms(use_true_random=False))
def test_totals_do_not_depend_on_arrival(trades, random):
    "Permutation, a file read twice, a cut by hour and missing other sides leave every total as it is."
    events = [event for trade in trades for event in trade]
    whole = judge(events)
    shuffled = random.sample(events, len(events))
    first_hour = [event for event in events if event[1]["time"] < HOUR + 3_600_000]
    second_hour = [event for event in events if event[1]["time"] >= HOUR + 3_600_000]
    own_rows = [
        [account, record]
        for account, record in events
        if record.get("liquidation", {}).get("liquidatedUser") == account or record["dir"] == "Auto-Deleveraging"
    ]

    assert totals(judge(shuffled)) == totals(whole)
    assert totals(judge(events * 2)) == totals(whole)
    assert totals(judge(first_hour), judge(second_hour)) == totals(whole)
    assert totals(judge(own_rows)) == totals(whole)
    assert whole.rejected.is_empty()


@settings(max_examples=40, deadline=None)
@given(crash())
def test_headline_is_the_liquidated_side(trades):
    "The headline sum is the notional of the liquidated users' own rows, and HLP's are not among them."
    rows = judge([event for trade in trades for event in trade]).rows.filter("is_headline")

    assert sum((Decimal(repr(value)) for value in rows["forced_usd"]), Decimal(0)) == by_hand(trades)


@settings(max_examples=40, deadline=None)
@given(crash())
def test_relay_equals_adl(trades):
    "Where the vault is the deleveraged side, relays and deleveragings are the same sizes per moment and coin."
    rows = judge([event for trade in trades for event in trade]).rows
    sums = {
        kind: {
            key: sorted(group["forced_usd"])
            for key, group in rows.filter(pl.col("kind") == kind).group_by("liquidated_at", "market")
        }
        for kind in ("relay", "adl")
    }

    assert sums["relay"] == sums["adl"]
    assert rows.filter(pl.col("kind").is_in(["adl", "relay"]) & pl.col("is_headline")).is_empty()


@settings(max_examples=40, deadline=None)
@given(crash())
def test_one_headline_row_a_trade(trades):
    "No trade has two headline rows."
    rows = judge([event for trade in trades for event in trade]).rows.filter("is_headline")

    trade_of = pl.col("event_id").str.extract("^(.*):0x")
    assert rows.group_by(trade_of).len().filter(pl.col("len") > 1).is_empty()
