"""Exchange rates from the tokens' own events: the rows their logs state, and what they are worth to a price."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from test_protocols import log_frame, route_frame

from indexer import pricing, store
from indexer.deployments import catalogue
from indexer.derive import derive
from indexer.protocols import all_protocols

VECTOR = json.loads((Path(__file__).parent / "protocols" / "rates.json").read_text())


def routes():
    "The built-in contracts with their pairs."
    pairs = {one.address.lower(): one.market for one in all_protocols()["rates"].deployments}
    found = route_frame("rates", "ethereum", VECTOR["logs"], [])
    assert set(pairs.values()) == set(found["market"])
    return found


def test_rates_of_logs():
    "Each event gives the rate that its amounts state, under upper-case symbols; tiny and empty amounts give none."
    tables = derive("ethereum", log_frame(VECTOR["logs"]), routes())
    logs = VECTOR["logs"]
    expected = {(logs[row["log"]]["block_number"], row["base"], row["quote"]): row["rate"] for row in VECTOR["rows"]}
    expected |= {(block, base, "ETH"): rate for (block, base, quote), rate in expected.items() if quote == "EETH"}
    rows = tables["rates"].to_dicts()

    assert "liquidations" not in tables
    assert {(row["block_number"], row["base"], row["quote"]) for row in rows} == set(expected)
    for row in rows:
        assert row["rate"] == pytest.approx(expected[row["block_number"], row["base"], row["quote"]], rel=1e-12)
        assert row["kind"] == "exchange_rate"
        assert row["source"].startswith("event:0x")
    assert tables["rejected"]["block_number"].to_list() == [logs[VECTOR["none"][-1]["log"]]["block_number"]]


def test_rates_go_with_every_protocol():
    "A run of one protocol asks for rates too, for they value its collateral; where nothing else is known, for nothing."
    assert "rates" in catalogue("ethereum", ["aave_v3"]).emitters["protocol"].to_list()
    assert catalogue("ethereum", ["silo_v2"]).emitters.is_empty()


def test_a_staked_token_is_worth_its_rate():
    "WstETH counts its rate times the price of stETH, and its age is the older of the two."
    connection = store.connect(":memory:")
    at = datetime(2025, 10, 10, 21)
    event = {"block_number": 100, "log_index": 5, "chain": "ethereum"}
    known = catalogue("ethereum", ["aave_v3"])
    store.upsert(connection, "tokens", known.tokens)
    feed = "0x" + "fe" * 20
    store.insert(connection, "feeds", {"chain": "ethereum", "address": feed, "asset": "STETH", "decimals": 8,
                                       "heartbeat_seconds": 3600, "source": "file"})  # fmt: skip
    store.insert(connection, "prices", {"asset": "STETH", "priced_at": at, "price_usd": 4000.0, "kind": "oracle", "chain": "ethereum",
                                        "source": f"chainlink:{feed}", "block_number": 90, "log_index": 1})  # fmt: skip
    store.insert(connection, "rates", {"chain": "ethereum", "base": "WSTETH", "quote": "STETH", "rate": 1.2, "rated_at": at,
                                       "block_number": 80, "log_index": 1, "kind": "exchange_rate", "source": "event:0x1"})  # fmt: skip
    store.insert(connection, "liquidations", event | {
        "event_id": "ethereum:100:5", "venue": "aave_v3", "venue_kind": "defi", "sector": "lending", "protocol": "aave_v3",
        "kind": "call", "is_headline": True, "liquidated_at": at, "source": "rpc", "completeness": "full",
        "collateral_token": "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0", "collateral_raw": 2 * 10**18,
    })  # fmt: skip
    pricing.price(connection, "ethereum")
    value, source = connection.execute("SELECT forced_usd, price_source FROM liquidations").fetchall()[0]
    connection.close()

    assert value == pytest.approx(2 * 1.2 * 4000.0, rel=1e-12)
    assert source == f"event:0x1*chainlink:{feed}"
