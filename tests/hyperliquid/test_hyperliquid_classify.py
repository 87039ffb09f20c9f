"""The truth table, on real records and on the pairs that the rules describe."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl
import pytest
from forced import (
    HLP,
    HOUR,
    address,
    adl_pair,
    backstop_pair,
    fill,
    judge,
    kinds,
    market_pair,
    tag,
    vaults,
    vector,
)

from indexer.hyperliquid import classify, fills, scan

USER, MAKER, WINNER = address(1), address(2), address(3)
EXPECTED = [json.loads(line) for line in vector("expected.jsonl")]


def candidates(line, owner):
    "The events of a vector line, whatever its format."
    record = json.loads(line)
    if owner:
        return [(owner.encode(), line.encode(), None)]
    raws, number = scan.parse(line.encode())
    return [scan.pair(bytes(raw), number) for raw in raws] if "events" in record else [(b"", line.encode(), None)]


@pytest.mark.parametrize(
    "expected",
    [one for one in EXPECTED if one["table"] == "liquidations"],
    ids=lambda one: f"{one['file']}:{one['line']}",
)
def test_public_records(expected):
    "Every public record gives exactly the rows that its origin supports."
    line = vector(expected["file"])[expected["line"] - 1]
    owner = expected.get("owner")
    if owner and not owner.startswith("0x"):
        owner = address(9)

    verdict = classify.classify(fills.decode(candidates(line, owner)), vaults())

    assert verdict.rejected.is_empty()
    assert verdict.rows.height == len(expected["rows"])
    for row, wanted in zip(verdict.rows.to_dicts(), expected["rows"], strict=True):
        wanted["liquidated_at"] = datetime.fromisoformat(wanted["liquidated_at"])
        assert {name: row[name] for name in wanted} == wanted


def test_abridged_backstop_side():
    "The vault's row of a backstop gives nothing, though it crosses and its dir says Liquidated."
    line = vector("abridged_by_publisher.jsonl")[0]

    verdict = classify.classify(fills.decode([(HLP.encode(), line.encode(), None)]), vaults())

    assert (verdict.rows.height, verdict.rejected.height) == (0, 0)


def test_market():
    "A market liquidation is the taker's row; the maker's row of it gives nothing and names nobody."
    verdict = judge(market_pair(USER, MAKER, side="B"))

    row = verdict.rows.to_dicts()[0]
    assert verdict.rows.height == 1
    assert (row["account"], row["kind"], row["side"], row["is_headline"]) == (USER, "market", "short", True)
    assert (row["forced_usd"], row["protocol_fee_usd"], row["closed_pnl_usd"]) == (5001.0, 1.3, -10.5)
    assert (row["liquidator"], row["tx_hash"], row["block_number"], row["margin_lost_usd"]) == (None, None, None, None)
    assert row["event_id"] == f"hyperliquid:{HOUR + 1000}:ETH:77:{USER}"


def test_market_making_child_is_no_backstop():
    "A child of HLP that merely makes the market does not turn a market liquidation into a backstop."
    verdict = judge(market_pair(USER, HLP))

    assert kinds(verdict) == [(USER, "market")]


def test_backstop():
    "A backstop has its full notional, and the vault of the other row as its liquidator."
    verdict = judge(backstop_pair(USER, HLP, px="67.5499", sz="28.33"))

    row = verdict.rows.to_dicts()[0]
    assert (row["account"], row["kind"], row["liquidator"], row["side"]) == (USER, "backstop", HLP, "long")
    assert (row["forced_usd"], row["protocol_fee_usd"], row["is_headline"]) == (1913.688667, 0.0, True)
    assert verdict.rows.height == 1


def test_backstop_without_other_row():
    "A tid with one row only is still a liquidation: its liquidator is unknown."
    verdict = judge(backstop_pair(USER, HLP)[:1])

    assert verdict.rows.select("account", "kind", "liquidator").rows() == [(USER, "backstop", None)]


def test_deleveraging():
    "A winner's row is adl with the vault as liquidator, the vault's is relay: neither is counted."
    verdict = judge(adl_pair(WINNER, HLP))

    rows = {row["kind"]: row for row in verdict.rows.to_dicts()}
    assert kinds(verdict) == [(WINNER, "adl"), (HLP, "relay")]
    assert not verdict.rows["is_headline"].any()
    assert (rows["adl"]["liquidator"], rows["relay"]["liquidator"]) == (HLP, None)
    assert (rows["adl"]["side"], rows["relay"]["side"]) == ("short", "long")
    assert (rows["adl"]["account_kind"], rows["relay"]["account_kind"]) == ("user", "vault")


def test_deleveraging_without_object():
    "An Auto-Deleveraging row counts as adl even where the liquidation object is not there."
    verdict = judge([[WINNER, fill(dir="Auto-Deleveraging", side="B", startPosition="-2.0")]])

    assert verdict.rows.select("account", "kind", "liquidator").rows() == [(WINNER, "adl", None)]


def test_deleveraged_user():
    "Where a plain user is deleveraged his own row is an ordinary backstop, and counts."
    verdict = judge(adl_pair(WINNER, USER))

    assert kinds(verdict) == [(USER, "backstop"), (WINNER, "adl")]
    assert verdict.rows.filter("is_headline")["account"].to_list() == [USER]


def test_vault_has_dates():
    "An address is HLP only within its dates: before and after, its liquidations are its own and count."
    at = datetime(2025, 11, 22, 4, 0, 1)
    pair = adl_pair(WINNER, HLP)

    during = judge(pair, vaults((HLP, "hlp", at, None)))
    before = judge(pair, vaults((HLP, "hlp", datetime(2025, 12, 1), None)))
    after = judge(pair, vaults((HLP, "hlp", None, at)))

    assert [kinds(one)[1] for one in (during, before, after)] == [(HLP, "relay"), (HLP, "backstop"), (HLP, "backstop")]


def test_user_vault_is_headline():
    "A vault that users run is liquidated like anybody: only HLP makes a relay."
    verdict = judge(market_pair(USER, MAKER), vaults((HLP, "hlp", None, None), (USER, "somebody", None, None)))

    assert verdict.rows.select("kind", "account_kind", "is_headline").rows() == [("market", "vault", True)]


def test_address_case():
    "Addresses are compared and stored in lower case."
    upper = "0x" + "AB" * 20
    verdict = judge([[upper, fill(liquidation=tag(upper.lower()))], [USER, fill(liquidation=tag(upper), side="B")]])

    assert kinds(verdict) == [(upper.lower(), "market")]


def test_self_match():
    "A user who trades with himself has two rows of one id: the row that takes is the liquidation."
    rows = [
        [USER, fill(side="B", dir="Open Long", crossed=False, liquidation=tag(USER))],
        [USER, fill(side="A", dir="Close Long", crossed=True, liquidation=tag(USER))],
    ]

    for order in (rows, rows[::-1]):
        assert judge(order).rows.select("side", "kind").rows() == [("long", "market")]


@pytest.mark.parametrize(
    ("coin", "asset", "size", "price", "mark"),
    [
        ("BTC", "BTC", 2.0, 2500.5, 2501.0),
        ("kPEPE", "PEPE", 2000.0, 2.5005, 2.501),
        ("xyz:TSLA", "TSLA", 2.0, 2500.5, 2501.0),
        ("hyna:kBONK", "BONK", 2000.0, 2.5005, 2.501),
    ],
)
def test_coins(coin, asset, size, price, mark):
    "The market is the coin as written; size and prices are per unit of the asset, the notional is the same."
    row = judge(market_pair(USER, MAKER, coin=coin)).rows.to_dicts()[0]

    assert (row["market"], row["asset"], row["forced_usd"]) == (coin, asset, 5001.0)
    assert (row["size"], row["price"], row["mark_price"]) == (size, price, mark)


@pytest.mark.parametrize(
    ("changes", "forced", "fee", "price_source"),
    [
        ({"coin": "xyz:TSLA", "feeToken": "USDH"}, 5001.0, 1.3, "fill"),
        ({"coin": "xyz:TSLA", "feeToken": "HYPE"}, None, None, None),
        ({"coin": "ETH", "feeToken": "HYPE"}, 5001.0, None, "fill"),
    ],
)
def test_quotes(changes, forced, fee, price_source):
    "Dollar tokens count at par; any other quote needs a price, so that the row stays unpriced."
    row = judge(market_pair(USER, MAKER, **changes)).rows.to_dicts()[0]

    assert (row["forced_usd"], row["protocol_fee_usd"], row["price_source"]) == (forced, fee, price_source)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (fill(dir="Liquidated Cross Long"), "object is missing"),
        (fill(dir="Backstop Borrow Liquidation", coin="UBTC"), "object is missing"),
        (fill(dir="Partial Borrow Liquidation"), "object is missing"),
        (fill(liquidation=tag(USER, "partial")), "unknown liquidation method"),
        (fill(liquidation={"liquidatedUser": USER, "markPx": "1"}), "unknown liquidation method"),
        (fill(liquidation=tag(USER), coin="@107"), "not a perp"),
        (fill(liquidation=tag(USER), coin="#12"), "not a perp"),
        (fill(liquidation=tag(USER), coin="PURR/USDC"), "not a perp"),
        (fill(liquidation=tag(USER), side="X"), "side"),
        (fill(liquidation=tag(USER), px="abc"), "px or sz"),
        (fill(liquidation=tag(USER), sz="0.0"), "px or sz"),
        (fill(liquidation=tag(USER), px="1e999"), "px or sz"),
        (fill(liquidation=tag(USER), tid=...), "missing"),
        (fill(liquidation=tag(USER), time="later"), "missing"),
        (fill(liquidation={"markPx": "1", "method": "market"}), "nothing else says"),
        (fill(liquidation=True), "nothing else says"),
    ],
)
def test_rejected(record, reason):
    "What speaks of a liquidation and cannot become one is put aside with its reason and its raw record."
    verdict = judge([[USER, record]])

    assert verdict.rows.is_empty()
    (stored,) = verdict.rejected.to_dicts()
    assert reason in stored["reason"]
    assert json.loads(stored["raw"]) == [USER, record]


@pytest.mark.parametrize(
    "record",
    [
        fill(),
        fill(dir="Settlement"),
        fill(dir="Net Child Vaults"),
        fill(dir="Something New"),
        fill(liquidation=None),
        fill(liquidation=tag(MAKER), px="abc"),
        fill(liquidation=tag(MAKER), coin="@107"),
    ],
)
def test_nothing(record):
    "Ordinary fills, and the other side of a liquidation whatever it holds, give neither row nor reject."
    verdict = judge([[USER, record]])

    assert (verdict.rows.height, verdict.rejected.height) == (0, 0)


def test_unknown_dir_and_fields():
    "A dir or field that nobody has seen changes nothing: the object decides."
    verdict = judge([[USER, fill(liquidation=tag(USER) | {"lid": 5}, dir="Close Sideways", novelty={"a": [1]})]])

    assert kinds(verdict) == [(USER, "market")]


def test_missing_mark():
    "A row without a mark price stands, with NULL in its column."
    verdict = judge([[USER, fill(liquidation={"liquidatedUser": USER, "method": "market"})]])

    assert verdict.rows.select("mark_price", "forced_usd").rows() == [(None, 5001.0)]


def test_numbers_instead_of_text():
    "Decimals given as JSON numbers are the same decimals."
    verdict = judge([[USER, fill(liquidation=tag(USER, mark=2501.0), px=2500.5, sz=2, fee=1.3)]])

    assert verdict.rows.select("forced_usd", "mark_price", "protocol_fee_usd").rows() == [(5001.0, 2501.0, 1.3)]


def test_odd_rows_are_counted():
    "A start position against the side, or a flip, is reported and stays counted."
    verdict = judge(
        [
            [USER, fill(liquidation=tag(USER), startPosition="-4.0")],
            [WINNER, fill(liquidation=tag(WINNER), dir="Long > Short", tid=78)],
            [MAKER, fill(liquidation=tag(MAKER), tid=79)],
        ]
    )

    assert (verdict.rows.height, verdict.n_odd) == (3, 2)


def test_old_backstop_without_user():
    "Before liquidatedUser existed a backstop's liquidated side is the one that does not cross."
    old = {"markPx": "1.0", "method": "backstop"}
    verdict = judge(backstop_pair(USER, HLP, liquidation=old))

    assert verdict.rows.select("account", "kind", "liquidator").rows() == [(USER, "backstop", HLP)]
    assert verdict.rejected.is_empty()
    assert judge(backstop_pair(USER, HLP, liquidation=old)[1:]).rejected.is_empty()


def test_old_market_without_user():
    "Before liquidatedUser existed a market row is decided by the ledger event, else put aside."
    old = {"markPx": "1.0", "method": "market"}
    event = pl.DataFrame([(USER, HOUR + 1000, "ETH", None, 10.0, 100.0)], schema=classify.LEDGER_SCHEMA, orient="row")

    decided = judge(market_pair(USER, MAKER, liquidation=old), ledger=event)
    undecided = judge(market_pair(USER, MAKER, liquidation=old))

    assert (kinds(decided), decided.rejected.height) == ([(USER, "market")], 0)
    assert (kinds(undecided), undecided.rejected.height) == ([], 2)


def test_margin_lost():
    "A backstop's account value is shared over its fills by notional at the mark, and sums to the event's value."
    first = backstop_pair(USER, HLP, sz="2.0")
    second = backstop_pair(USER, HLP, sz="6.0", tid=78)
    other_coin = backstop_pair(USER, HLP, sz="4.0", coin="BTC", tid=79)
    total = 2501.0 * 12
    event = pl.DataFrame(
        [(USER, HOUR + 1000, coin, None, 1200.0, total) for coin in ("ETH", "BTC")],
        schema=classify.LEDGER_SCHEMA,
        orient="row",
    )

    rows = judge([*first, *second, *other_coin, *market_pair(USER, MAKER, tid=80)], ledger=event).rows

    lost = dict(rows.select("size", "margin_lost_usd").filter(pl.col("margin_lost_usd").is_not_null()).rows())
    assert lost == {2.0: 200.0, 6.0: 600.0, 4.0: 400.0}
    assert rows.filter(pl.col("kind") == "market")["margin_lost_usd"].to_list() == [None]


def test_margin_of_another_action():
    "A ledger event of the same millisecond with another hash is another act."
    mine, other = "0x" + "1" * 64, "0x" + "2" * 64
    event = pl.DataFrame(
        [(USER, HOUR + 1000, "ETH", hash_, 1200.0, 5002.0) for hash_ in (other, mine)],
        schema=classify.LEDGER_SCHEMA,
        orient="row",
    )

    rows = [judge(backstop_pair(USER, HLP, hash=hash_), ledger=event[:1]).rows for hash_ in (other, mine)]

    assert [one["margin_lost_usd"].to_list() for one in rows] == [[1200.0], [None]]


def test_margin_of_a_fill_without_hash():
    "A zero hash names no action: the ledger event of the same account, coin and millisecond is the one."
    event = pl.DataFrame(
        [(USER, HOUR + 1000, "ETH", "0x" + "A1" * 32, 1200.0, 5002.0)], schema=classify.LEDGER_SCHEMA, orient="row"
    )

    assert judge(backstop_pair(USER, HLP), ledger=event).rows["margin_lost_usd"].to_list() == [1200.0]
    own = judge(backstop_pair(USER, HLP, hash="0x" + "a1" * 32), ledger=event).rows
    assert own["margin_lost_usd"].to_list() == [1200.0]


def test_watched_counterparty():
    "A watched maker's row alone gives the liquidated user's row under the same id, side turned, without profit."
    own, other = market_pair(USER, MAKER)

    (row,) = judge([other], source="hyperliquid_watch", watched=True).rows.to_dicts()
    (archived,) = judge([own, other]).rows.to_dicts()

    assert row["event_id"] == archived["event_id"]
    assert (row["side"], row["kind"], row["forced_usd"]) == ("long", "market", 5001.0)
    assert (row["closed_pnl_usd"], row["protocol_fee_usd"], row["completeness"]) == (None, None, "unknown")
    assert judge([own, other], watched=True).rows.drop("row", strict=False).to_dicts()[0]["closed_pnl_usd"] == -10.5


def test_watched_backstop():
    "A watched vault's row of a backstop names the liquidated user and itself as liquidator; its relay stays a relay."
    backstop = backstop_pair(USER, HLP)[1]
    relay = adl_pair(WINNER, HLP, tid=80)[1]

    rows = judge([backstop, relay], source="hyperliquid_watch", watched=True).rows

    assert sorted(rows.select("kind", "account", "liquidator", "side").rows()) == [
        ("backstop", USER, HLP, "long"),
        ("relay", HLP, None, "long"),
    ]
