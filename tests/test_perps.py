"""Perps of a market id: the asset that the market was created with, and the price of an event that states none."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from test_protocols import log_frame, route_frame

from indexer import abi, audit, pricing, store
from indexer.derive import derive
from indexer.plan import registries
from indexer.protocols import all_protocols
from indexer.valuing import Valuer

FOLDER = Path(__file__).parent / "protocols"
AT = datetime(2026, 1, 1)
SYNTHETIX = ("synthetix_bfp", "synthetix_futures_v1", "synthetix_perps_v2", "synthetix_perps_v3")


def indexed(name, chain, markets=()):
    "A store with the rows of a protocol's vector, markets of a file before them."
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    logs = [log for log in vector["logs"] if log["chain"] == chain]
    connection = store.connect(":memory:")
    schema = ["chain", "venue", "market", "params", "source"]
    store.upsert(connection, "markets", pl.DataFrame(list(markets), schema=schema, orient="row"))
    tables = derive(chain, log_frame(logs), route_frame(name, chain, logs, []))
    with store.transaction(connection):
        valuer = Valuer(connection, chain)
        store.write(connection, tables)
        valuer.insert(is_new=valuer.stage(tables))
    pricing.price(connection, chain)
    return connection


def unpriced(connection):
    "The row whose event states no price: size, asset, value and where it is from."
    (found,) = connection.execute(
        "SELECT size, asset, price, forced_usd, price_source, price_at, liquidated_at FROM liquidations"
        " WHERE price_source IS DISTINCT FROM 'event'"
    ).fetchall()
    return found


def test_a_created_market_names_the_asset():
    "Market 100 was created as ETH, so its rows are of ETH; the price is that of the event; market 200 is not named."
    connection = indexed("synthetix_perps_v3", "base")
    rows = connection.execute(
        "SELECT market, asset, count(*), any_value(price_source) FROM liquidations GROUP BY ALL ORDER BY market"
    ).fetchall()

    assert rows == [("100", "ETH", 4, "event"), ("200", None, 2, "event")]


def test_a_bfp_market_is_named_without_its_suffix():
    "ETHPERP is a market of ETH."
    connection = indexed("synthetix_bfp", "ethereum")

    assert connection.execute("SELECT DISTINCT market, asset FROM liquidations").fetchall() == [("3", "ETH")]


def test_a_file_names_the_asset():
    "What a deployments file says of a market is known before any log."
    market = ("base", "synthetix_v3", "200", json.dumps({"asset": "btc"}), "file")
    connection = indexed("synthetix_perps_v3", "base", [market])

    assert ("200", "BTC") in connection.execute("SELECT DISTINCT market, asset FROM liquidations").fetchall()


def test_no_price_is_null():
    "A close beside no update of its market has its size, and neither price nor value."
    size, asset, price, usd, source, *_ = unpriced(indexed("synthetix_perps_v3", "base"))

    assert (size, asset, price, usd, source) == (1.0, "ETH", None, None, None)


@pytest.mark.parametrize(("age_seconds", "expected"), [(60, 2750.0), (3600, None)])
def test_a_price_of_the_asset_values_it(age_seconds, expected):
    "A price stored later values the row if it stood shortly before it; the event's own prices stay as they are."
    connection = indexed("synthetix_perps_v3", "base")
    own = connection.execute("SELECT event_id, forced_usd FROM liquidations WHERE price_source = 'event' ORDER BY ALL")
    before = own.fetchall()
    at = unpriced(connection)[-1] - timedelta(seconds=age_seconds)
    connection.execute(
        "INSERT INTO prices (asset, priced_at, price_usd, kind, source) VALUES ('ETH', ?, 2750.0, 'mark', 'x')", [at]
    )
    pricing.price(connection, "base")
    size, _, price, usd, source, price_at, _ = unpriced(connection)

    assert (price, usd) == (expected, expected)
    assert (size, source, price_at) == (1.0, expected and "mark:x", expected and at)
    own = connection.execute("SELECT event_id, forced_usd FROM liquidations WHERE price_source = 'event' ORDER BY ALL")
    assert own.fetchall() == before


def test_pricing_twice_is_pricing_once():
    "Nothing changes when nothing new is known."
    connection = indexed("synthetix_perps_v3", "base")
    first = connection.execute("FROM liquidations ORDER BY event_id").fetchall()
    pricing.price(connection, "base")

    assert connection.execute("FROM liquidations ORDER BY event_id").fetchall() == first
    assert [str(check) for check in audit.run(connection) if check.is_failed] == []


def test_an_announced_market_is_read_under_its_name():
    "A manager's MarketAdded names a contract and, without the s of its synth, its market."
    vector = json.loads((FOLDER / "synthetix_futures_v1.json").read_text())
    routes = route_frame("synthetix_futures_v1", "optimism", vector["logs"], [])
    emitters = derive("optimism", log_frame(vector["logs"]), routes)["emitters"]
    place = next(
        place
        for place, entry in enumerate(vector["logs"])
        if len(entry["topics"]) == 3 and not entry.get("emitter_of") and len(entry["data"]) == 66
    )

    assert emitters.select("address", "market", "venue").rows() == [
        ("0x" + vector["logs"][place]["data"][-40:], "NEAR", "synthetix_futures")
    ]


def test_one_name_is_five_events():
    "Five protocols emit a PositionLiquidated, each its own event."
    protocols = (*SYNTHETIX, "perp_v2")
    topics = {abi.event(name, "PositionLiquidated").topic0 for name in protocols}

    assert len(topics) == len(protocols)


def test_markets_by_number_are_asked_from_the_start():
    "A proxy of numbered markets is asked for their creation from its first block; a market that stands alone is not."
    schema = {
        "address": pl.String,
        "protocol": pl.String,
        "venue": pl.String,
        "market": pl.String,
        "first_block": pl.Int64,
        "parent": pl.String,
    }
    rows = [(f"0x{place:040x}", name, name, None, 5, None) for place, name in enumerate(SYNTHETIX)]
    asked = {
        member.protocol: member.topic0s for member, _ in registries(pl.DataFrame(rows, schema=schema, orient="row"))
    }

    assert {name: len(topics) for name, topics in asked.items()} == dict.fromkeys(SYNTHETIX, 1)
    assert all(all_protocols()[name].sector == "perp" for name in asked)
