"""Accounts, divisions of the total, liquidators, bonus, bad debt and the audit, by hand on the example night."""

import pytest
from fixture_store import address, ask, at, empty_store, example_store, insert, unlike

from indexer.errors import UserError


@pytest.fixture(scope="module")
def example():
    "The example night, shared: queries only read it."
    return example_store()


def by(rows, column):
    "The rows by the value of one column."
    return {row[column]: row for row in rows}


def test_largest_liquidated(example):
    "a1 lost on two venues and is one row; a2 keeps its unpriced row; the account of the ADL row is absent."
    rows = ask(example, "largest_liquidated")

    assert [row["account"] for row in rows] == [address(one) for one in ("a3", "a1", "a5", "a2", "a4", "a7")]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["forced_usd"] for row in rows] == [6000, 4320, 4000, 2200, 1080, 500]
    a1 = {
        "n_events": 3,
        "n_episodes": 2,
        "n_unpriced": 0,
        "venues": "aave_v3,hyperliquid",
        "assets": "ETH",
        "margin_lost_usd": None,
        "largest_usd": 2000.0,
        "first_at": at("09:00:05"),
        "last_at": at("09:02:50"),
        "total_share": 4320 / 18100,
        "entity": None,
    }
    assert unlike(rows[1], a1) == {}
    assert unlike(rows[3], {"n_events": 2, "n_unpriced": 1, "assets": "ETH,LINK", "forced_usd": 2200.0}) == {}


def test_largest_liquidated_leaves_out_protocols():
    "A clipper is no account; a labelled vault stays; an account with unpriced rows only stands last, without value."
    connection = empty_store()
    shared = {"liquidated_at": at("09:00:00"), "asset": "ETH"}
    insert(
        connection,
        "liquidations",
        [
            {"event_id": "1", "account": "0x1", "account_kind": "protocol", "forced_usd": 60.0} | shared,
            {"event_id": "2", "account": "0x2", "account_kind": "vault", "forced_usd": 30.0, "margin_lost_usd": 3.0}
            | shared,
            {"event_id": "3", "account": "0x2", "forced_usd": 10.0} | shared,
            {"event_id": "4", "account": "0x3"} | shared,
        ],
    )
    insert(connection, "labels", [{"address": "0x2", "entity": name} for name in ("zebra", "antelope")])
    first, last = ask(connection, "largest_liquidated")

    wanted = {"account": "0x2", "forced_usd": 40.0, "total_share": 0.4, "entity": "antelope", "margin_lost_usd": 3.0}
    assert unlike(first, wanted) == {}
    assert unlike(last, {"account": "0x3", "forced_usd": None, "total_share": None, "n_unpriced": 1, "rank": 2}) == {}


def test_market_split(example):
    "By venue and by side; unpriced rows count as events and stay out of sums and quantiles."
    rows = ask(example, "market_split")
    sides = by(ask(example, "market_split", split="side"), "key")

    assert [row["key"] for row in rows] == ["hyperliquid", "aave_v3", "spark", "gmx_v2"]
    aave = {"forced_usd": 3020.0, "total_share": 3020 / 18100, "n_events": 3, "n_unpriced": 1, "median_usd": 1510.0}
    assert unlike(rows[0], {"forced_usd": 13500.0, "total_share": 13500 / 18100}) == {}
    assert unlike(rows[1], aave) == {}
    assert unlike(sides["long"], {"forced_usd": 17600.0, "total_share": 17600 / 18100, "long_share": 1.0}) == {}
    assert unlike(sides["short"], {"forced_usd": 500.0, "short_share": 1.0, "long_share": 0.0}) == {}


@pytest.mark.parametrize("split", ["side", "asset", "venue", "kind", "chain", "protocol", "sector", "hour", "day"])
def test_market_split_conserves(example, split):
    "The parts of every division add up to the total."
    rows = ask(example, "market_split", split=split)

    assert sum(row["forced_usd"] or 0 for row in rows) == 18100
    assert sum(row["n_events"] for row in rows) == 9


def test_market_split_keys(example):
    "Missing chains are none; hours and days are in time order and written as ISO."
    assert [row["key"] for row in ask(example, "market_split", split="chain")] == ["none"]
    assert [row["key"] for row in ask(example, "market_split", split="hour")] == [
        "2026-03-14T09:00",
        "2026-03-14T10:00",
    ]
    assert [row["key"] for row in ask(example, "market_split", split="day")] == ["2026-03-14"]


def test_market_split_refuses(example):
    "Another division is refused by the parameter's name, also where nothing is stored."
    with pytest.raises(UserError, match="split"):
        ask(example, "market_split", split="colour")
    with pytest.raises(UserError, match="split"):
        ask(empty_store(), "market_split", split="colour")


def test_traders(example):
    "Six accounts, eight episodes, nine rows; a1 and a2 repeat, a1 on two venues."
    rows = by(ask(example, "traders"), "scope")
    everyone = {
        "n_accounts": 6,
        "n_episodes": 8,
        "n_events": 9,
        "n_orders": 0,
        "n_first_time_accounts": 6,
        "repeat_share": 1 / 3,
        "n_multi_venue_accounts": 1,
    }

    assert list(rows) == ["all", "lending", "perp", "aave_v3", "gmx_v2", "hyperliquid", "spark"]
    assert unlike(rows["all"], everyone) == {}
    assert unlike(rows["perp"], {"n_accounts": 4, "n_episodes": 4, "n_events": 5}) == {}
    assert unlike(rows["lending"], {"n_accounts": 3, "n_episodes": 4, "n_events": 4}) == {}


def test_traders_orders_and_earlier_rows(example):
    "A row without account is an order; an account with a headline row before the window is not new, an ADL is no row."
    (everyone, *_), later = (
        ask(example, "traders", venue_kind="all"),
        ask(example, "traders", since="2026-03-14T09:02:30"),
    )

    assert unlike(everyone, {"n_accounts": 6, "n_events": 10, "n_orders": 1}) == {}
    assert unlike(later[0], {"n_accounts": 3, "n_first_time_accounts": 1}) == {}


def test_liquidator_concentration(example):
    "b1 seized 3,020 and b2 1,080."
    rows = by(ask(example, "liquidator_concentration"), "venue")
    share = 3020 / 4100
    everyone = {
        "month_at": at("2026-03-01T00:00:00"),
        "n_liquidators": 2,
        "seized_usd": 4100.0,
        "hhi": 1e4 * (share**2 + (1 - share) ** 2),
        "effective_n": 1 / (share**2 + (1 - share) ** 2),
        "top1_share": share,
        "top5_share": 1.0,
        "gini": 2 * ((1 - share) + 2 * share) / 2 - 1.5,
    }

    assert list(rows) == ["all", "aave_v3", "spark"]
    assert unlike(rows["all"], everyone) == {}
    assert everyone["hhi"] == pytest.approx(6119.452707, rel=1e-9)
    assert rows["all"]["gini"] == pytest.approx(0.236585, abs=5e-7)
    assert rows["aave_v3"]["hhi"] == 10000


def test_gini():
    "1, 1, 8: 2 x (0.1 + 2 x 0.1 + 3 x 0.8) / 3 - 4 / 3; two addresses of one entity are one liquidator."
    connection = empty_store()
    shared = {"sector": "lending", "kind": "call", "venue": "aave_v3", "liquidated_at": at("09:00:00")}
    seized = {"0xa": 1.0, "0xb": 1.0, "0xc": 5.0, "0xd": 3.0}
    rows = [
        {"event_id": who, "liquidator": who, "seized_usd": usd, "forced_usd": usd} | shared
        for who, usd in seized.items()
    ]
    insert(connection, "liquidations", rows)
    insert(connection, "labels", [{"address": who, "entity": "one bot"} for who in ("0xc", "0xd")])
    rows = ask(connection, "liquidator_concentration")

    assert rows[0]["gini"] == pytest.approx(7 / 15, rel=1e-9)
    assert rows[0]["n_liquidators"] == 3


def test_bonus_paid(example):
    "220 on 2,800 repaid; the unpriced row is counted and has no sums."
    rows = ask(example, "bonus_paid")

    assert [(row["venue"], row["asset"]) for row in rows] == [("aave_v3", "ETH"), ("spark", "ETH"), ("aave_v3", "LINK")]
    assert (
        unlike(rows[0], {"bonus_usd": 220.0, "repaid_usd": 2800.0, "bonus_bps": 220 / 2800 * 1e4, "n_negative": 0})
        == {}
    )
    assert unlike(rows[1], {"bonus_bps": 800.0, "seized_usd": 1080.0}) == {}
    empty = {"n_events": 1, "repaid_usd": None, "seized_usd": None, "bonus_usd": None, "bonus_bps": None}
    assert unlike(rows[2], empty | {"n_bonus_known": 0, "protocol_fee_usd": None}) == {}


def test_bad_debt(example):
    "One row left 50 behind; a later bad_debt row adds to its venue and is never a headline row."
    connection = example_store()
    later = {
        "event_id": "x",
        "venue": "aave_v3",
        "sector": "lending",
        "kind": "bad_debt",
        "liquidated_at": at("09:05:00"),
    }
    insert(connection, "liquidations", [later | {"bad_debt_usd": 7.0}])

    assert (
        unlike(ask(example, "bad_debt")[0], {"event_id": "p08", "bad_debt_usd": 50.0, "venue_cumulative_usd": 50.0})
        == {}
    )
    assert [row["venue_cumulative_usd"] for row in ask(connection, "bad_debt")] == [50.0, 57.0]
    assert [row["event_id"] for row in ask(connection, "bad_debt", min_usd=10)] == ["p08"]


def audit(connection):
    "Check name to (n_bad, bad_usd, example)."
    rows = ask(connection, "double_count_audit")
    return {row["check"]: (row["n_bad"], row["bad_usd"], row["example_event_id"]) for row in rows}


def test_audit_of_the_example(example):
    "All is well but for the ADL row without its relay."
    rows = ask(example, "double_count_audit")

    assert [row["severity"] for row in rows] == ["fail"] * 6 + ["warn"] * 2
    assert audit(example) == {
        "headline_rule": (0, 0.0, None),
        "same_log_twice": (0, 0.0, None),
        "same_act_two_emitters": (0, 0.0, None),
        "both_fill_sides": (0, 0.0, None),
        "two_block_hashes": (0, 0.0, None),
        "vault_in_headline": (0, 0.0, None),
        "relay_equals_adl": (1, 4000.0, "p07"),
        "even_seconds": (0, 0.0, None),
    }


CHAIN = {
    "chain": "ethereum",
    "block_number": 1,
    "tx_hash": "0xa",
    "block_hash": "0x1",
    "account": "0x2",
    "forced_usd": 5.0,
}
CALL = CHAIN | {"venue": "aave_v3", "sector": "lending", "kind": "call", "collateral_token": "0xc", "collateral_raw": 9}
FILL = CHAIN | {"market": "ETH", "size": 2.0, "price": 2.5}
FOUND = {
    "headline_rule": [{"kind": "adl", "is_headline": True}, {"kind": "market", "is_headline": True}],
    "same_log_twice": [CALL | {"log_index": 3, "debt_raw": 1}, CALL | {"log_index": 3, "debt_raw": 2}],
    "same_act_two_emitters": [CALL | {"log_index": 3}, CALL | {"log_index": 4, "venue": "fork"}],
    "both_fill_sides": [FILL | {"side": "long"}, FILL | {"side": "short", "account": "0x3"}],
    "two_block_hashes": [CHAIN | {"log_index": 1}, CHAIN | {"log_index": 2, "block_hash": "0x9", "kind": "soft"}],
}


@pytest.mark.parametrize("check", FOUND)
def test_audit_finds(check):
    "Each check finds what was planted for it, and nothing else fails."
    connection = empty_store()
    rows = [{"event_id": f"e{n}", "liquidated_at": at("09:00:00")} | row for n, row in enumerate(FOUND[check])]
    insert(connection, "liquidations", rows)
    failing = {name: found[0] for name, found in audit(connection).items() if found[0] and name != "relay_equals_adl"}

    assert failing == {check: 1 if check == "headline_rule" else 2}


def test_audit_finds_vaults_and_parity():
    "A row of a vault in its labelled time; a venue whose 30 seconds all have two rows, but not one with an odd second."
    connection = empty_store()
    seconds = [(second, copy) for second in range(30) for copy in range(2)]
    rows = [
        {
            "event_id": f"{venue}{second}-{copy}",
            "venue": venue,
            "liquidated_at": at(f"09:00:{second:02}"),
            "account": "0xf",
        }
        for venue in ("even", "odd")
        for second, copy in seconds
    ]
    insert(connection, "liquidations", [*rows, {"event_id": "z", "venue": "odd", "liquidated_at": at("09:00:00")}])
    insert(connection, "labels", [{"address": "0xf", "entity": "hlp", "to_at": at("09:00:01")}])
    found = audit(connection)

    assert found["even_seconds"][0] == 1
    assert found["even_seconds"][2] == "even0-0"
    assert found["vault_in_headline"][0] == 4


def test_relay_equals_adl():
    "Relay and ADL of one market and instant cancel; 1e-6 relative is allowed."
    connection = empty_store()
    shared = {"liquidated_at": at("09:00:00"), "market": "ETH"}
    usd = [("relay", 1e6), ("adl", 4e5), ("adl", 6e5 + 0.5)]
    rows = [{"event_id": f"{n}", "kind": kind, "forced_usd": value} | shared for n, (kind, value) in enumerate(usd)]
    insert(connection, "liquidations", rows)
    quiet = audit(connection)["relay_equals_adl"]
    insert(connection, "liquidations", [{"event_id": "9", "kind": "adl", "forced_usd": 1.0} | shared])

    assert quiet == (0, 0.0, None)
    assert audit(connection)["relay_equals_adl"] == (1, 1.5, "0")


def test_adl_of_a_venue_without_relays():
    "A venue that closes winners without a vault in between has ADL rows alone, and no warning."
    connection = empty_store()
    row = {"event_id": "a", "kind": "adl", "forced_usd": 5.0, "liquidated_at": at("09:00:00"), "market": "0xab"}
    insert(connection, "liquidations", [row | {"venue": "gmx_v2", "protocol": "gmx_v2", "chain": "arbitrum"}])

    assert audit(connection)["relay_equals_adl"] == (0, 0.0, None)
