"""US dollar values: the last answer before the log, within its age; par, rates and unknown stated, never guessed."""

from datetime import datetime, timedelta

import pytest

from indexer import pricing, store

START = datetime(2025, 10, 10, 12)
WETH, USDC, WSTETH, JUNK, EURS = (f"0x{digit * 40}" for digit in "abcdf")
FEED, USD_FEED, RATIO, STETH_FEED = (f"0x{digit * 40}" for digit in "1234")


@pytest.fixture
def connection():
    "A chain `c` with five tokens, three dollar feeds and a ratio, and one liquidation of 2 WETH for 1,000 USDC at block 100."
    opened = store.connect(":memory:")
    for address, symbol, decimals, asset, kind, source in (
        (WETH, "WETH", 18, "ETH", "volatile", "file"), (USDC, "USDC", 6, "USDC", "stable", "file"),
        (WSTETH, "wstETH", 18, "ETH", "staked", "file"), (JUNK, "ETH", 18, "ETH", None, "rpc"),
        (EURS, "EURS", 2, "EUR", "volatile", "file"),
    ):  # fmt: skip
        opened.execute(
            "INSERT INTO tokens VALUES ('c', ?, ?, ?, ?, ?, ?)", [address, symbol, decimals, asset, kind, source]
        )
    feeds = ((FEED, "ETH", 3600), (USD_FEED, "USDC", 86400), (RATIO, "WSTETH/STETH", None), (STETH_FEED, "STETH", None))
    for address, asset, heartbeat in feeds:
        opened.execute("INSERT INTO feeds VALUES ('c', ?, ?, 8, NULL, NULL, ?, 'file')", [address, asset, heartbeat])
    return opened


def answer(connection, asset, price, block, log_index=0, feed=FEED, at=None):
    "One oracle answer."
    connection.execute(
        "INSERT INTO prices VALUES (?, ?, ?, 'oracle', ?, 'c', ?, ?)",
        [asset, at or START + timedelta(seconds=12 * (block - 100)), price, f"chainlink:{feed}", block, log_index],
    )


def value(connection, collateral=WETH, debt=USDC, amount=2 * 10**18, owed=1000 * 10**6, log_index=5, kind="call"):
    "The priced row of one liquidation at block 100."
    connection.execute(
        "INSERT INTO liquidations (event_id, venue, venue_kind, sector, protocol, chain, market, kind, is_headline, liquidated_at,"
        " block_number, log_index, account, collateral_token, collateral_raw, debt_token, debt_raw, source)"
        " VALUES ('c:100:5', 'v', 'defi', 'lending', 'aave_v3', 'c', 'm', ?, true, ?, 100, ?, 'a', ?, ?, ?, ?, 'rpc')",
        [kind, START, log_index, collateral, amount, debt, owed],
    )
    pricing.price(connection, "c")
    return connection.sql("SELECT * FROM liquidations").pl().to_dicts()[0]


def test_last_answer_before_the_log(connection):
    "Not the newest in time: the last by block and log index before the log, here one index earlier in the same block."
    answer(connection, "ETH", 4000, 99)
    answer(connection, "ETH", 3900, 100, log_index=4)
    answer(connection, "ETH", 3000, 100, log_index=6)
    row = value(connection)

    assert (row["forced_usd"], row["seized_usd"], row["price_source"]) == (7800, 7800, f"chainlink:{FEED}")
    assert (row["side"], row["asset"], row["collateral_amount"]) == ("long", "ETH", 2)


def test_stablecoin_with_an_answer(connection):
    "A feed answer beats par: USDC stood at 0.88 in March 2023."
    answer(connection, "ETH", 4000, 99)
    answer(connection, "USDC", 0.88, 99, feed=USD_FEED)
    row = value(connection)

    assert row["repaid_usd"] == pytest.approx(880)
    assert row["bonus_usd"] == pytest.approx(8000 - 880)


def test_stablecoin_without_an_answer(connection):
    "Without an answer in time a stablecoin counts one dollar, and says so."
    answer(connection, "ETH", 4000, 99)
    row = value(connection, collateral=USDC, debt=WETH, amount=1500 * 10**6, owed=10**17)

    assert (row["forced_usd"], row["price_source"], row["price_at"]) == (1500, "par", None)
    assert (row["side"], row["asset"]) == ("short", "ETH")


@pytest.mark.parametrize(("age", "expected"), [(7199, 8000), (7201, None)])
def test_age_limit(connection, age, expected):
    "An answer older than twice the feed's heartbeat is no price: NULL, never 0."
    answer(connection, "ETH", 4000, 99, at=START - timedelta(seconds=age))
    row = value(connection)

    assert (row["forced_usd"], row["seized_usd"]) == (expected, expected)
    assert (row["price_source"] is None) == (expected is None)


def test_age_limit_without_heartbeat(connection):
    "Where no heartbeat is declared an answer serves 25 hours."
    answer(connection, "STETH", 4000, 1, feed=STETH_FEED, at=START - timedelta(hours=24))
    connection.execute("UPDATE tokens SET symbol = 'stETH', kind = 'volatile' WHERE address = ?", [WETH])

    assert value(connection)["forced_usd"] == 8000


def test_staked_token_needs_its_rate(connection):
    "Never the plain asset's price: without a rate the value is unknown and the reason is stated."
    answer(connection, "ETH", 4000, 99)
    row = value(connection, collateral=WSTETH)

    assert (row["forced_usd"], row["price_source"], row["side"]) == (None, "no_rate", "long")


def test_staked_token_with_its_rate(connection):
    "A chain of two: the ratio times the price of its quote; the age is the older of the two."
    answer(connection, "STETH", 4000, 99, feed=STETH_FEED)
    connection.execute(
        "INSERT INTO rates VALUES ('c', 'WSTETH', 'STETH', 1.2, ?, 90, 0, 'exchange_rate', ?)",
        [START - timedelta(seconds=120), f"chainlink:{RATIO}"],
    )
    row = value(connection, collateral=WSTETH)

    assert row["forced_usd"] == pytest.approx(2 * 1.2 * 4000)
    assert row["price_source"] == f"chainlink:{RATIO}*chainlink:{STETH_FEED}"
    assert row["price_at"] == START - timedelta(seconds=120)


def test_a_symbol_is_not_an_asset(connection):
    "A token that no list names is not valued by its symbol: anyone can call a token ETH."
    answer(connection, "ETH", 4000, 99)

    assert value(connection, collateral=JUNK)["forced_usd"] is None


def test_both_volatile_has_no_side(connection):
    "Two volatile tokens: the value is known, the side is not."
    answer(connection, "ETH", 4000, 99)
    row = value(connection, debt=EURS, owed=100)

    assert (row["forced_usd"], row["side"], row["repaid_usd"], row["bonus_usd"]) == (8000, None, None, None)


def test_resale_has_neither_side_nor_value(connection):
    "What a protocol sells on is no liquidation."
    answer(connection, "ETH", 4000, 99)
    row = value(connection, kind="resale")

    assert (row["side"], row["forced_usd"], row["seized_usd"], row["repaid_usd"]) == (None, None, None, None)


def test_a_second_look_changes_nothing(connection):
    "Pricing again is a no-op; a new earlier answer values the row then."
    row = value(connection)
    answer(connection, "ETH", 4000, 99)
    pricing.price(connection, "c")
    pricing.price(connection, "c")
    again = connection.sql("SELECT * FROM liquidations").pl().to_dicts()[0]

    assert row["forced_usd"] is None
    assert again["forced_usd"] == 8000
