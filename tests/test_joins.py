"""Rules that span logs: a join across transactions, filters of a join, tokens that a market names."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from test_protocols import blob, log_frame, route_frame

from indexer import discovery, pricing, redecode, scope, store
from indexer.abi import event, noted, selector
from indexer.declare import Read
from indexer.deployments import catalogue
from indexer.derive import derive, looked_back
from indexer.plan import filters, members, registries, topic
from indexer.protocols import all_protocols

FOLDER = Path(__file__).parent / "protocols"
VECTOR = json.loads((FOLDER / "maker_v1.json").read_text())
LOGS = log_frame(VECTOR["logs"])
ROUTES = route_frame("maker_v1", "ethereum", VECTOR["logs"], VECTOR["markets"])


def takes(tables):
    "Lot and bid of each auction that was dealt."
    rows = tables["liquidations"].filter(kind="auction_take").sort("block_number")
    if rows.is_empty():
        return []
    return rows.select("account", "collateral_raw", "debt_raw").rows()


def test_noted_calls_have_their_selector_as_topic():
    "The selectors of tend, dent and deal as dss has them, padded on the right."
    topics = [noted("maker_v1", one).topic0.hex() for one in
              ("tend(uint256,uint256,uint256)", "dent(uint256,uint256,uint256)", "deal(uint256)")]  # fmt: skip

    assert [topic[:8] for topic in topics] == ["4b43ed12", "5ff3a382", "c959c42b"]
    assert {topic[8:] for topic in topics} == {"0" * 56}


@pytest.mark.parametrize("cut", sorted(set(LOGS["block_number"]))[1:])
def test_a_deal_looks_back_over_any_cut(cut):
    "Cut anywhere, the second part with what was stored before gives the rows of the whole."
    whole = takes(derive("ethereum", LOGS, ROUTES))
    first, second = LOGS.filter(pl.col("block_number") < cut), LOGS.filter(pl.col("block_number") >= cut)
    parts = [derive("ethereum", first, ROUTES), derive("ethereum", second, ROUTES, first)]
    rows = [row for part in parts if "liquidations" in part for row in takes(part)]

    assert rows == whole
    assert len(whole) == 3


def test_only_a_deal_looks_back():
    "A stretch without a deal reads nothing of what is stored."
    deals = LOGS.filter(pl.col("topic0") == noted("maker_v1", "deal(uint256)").topic0)

    assert looked_back(LOGS.filter(~pl.col("topic0").is_in(deals["topic0"].unique().implode()))) == []
    assert len(looked_back(deals)) == 3


class Node:
    "Answers of contracts by (address, call data)."

    def __init__(self, answers):
        self.answers = answers

    def eth_calls(self, calls):
        "One answer a call, None where the contract has no such function."
        return [self.answers.get((address, data)) for address, data, _ in calls]


@pytest.mark.parametrize(("n_words", "expected"), [(13, "0x" + "05" * 20), (18, None)])
def test_an_answer_of_another_length_is_another_contract(n_words, expected):
    "A Fluid vault of type 1 answers 13 words with its tokens; 18 words are another type, whose words mean otherwise."
    words = b"".join(bytes(12) + bytes([place]) * 20 for place in range(1, n_words + 1))
    vault = "0x" + "aa" * 20
    node = Node({(vault, selector("constantsView()")): words})
    found = discovery.read_emitters(node, all_protocols()["fluid"], [{"venue": "fluid", "address": vault}])

    assert found[0].values.get("collateral_token") == expected


def test_a_controller_or_its_amm_names_the_coins():
    "The coins come from the AMM, asked at the controller's AMM or at the AMM itself; a failing read keeps what was read."
    controller, amm = "0x" + "c0" * 20, "0x" + "a0" * 20
    coins = {place: bytes(12) + bytes([place + 1]) * 20 for place in (0, 1)}
    answers = {(amm, selector("coins(uint256)") + f"{place:064x}"): coin for place, coin in coins.items()}
    node = Node(answers | {(controller, selector("amm()")): bytes(12) + bytes.fromhex(amm[2:])})
    rows = [{"venue": "llamalend", "address": one} for one in (controller, amm)]
    found = discovery.read_emitters(node, all_protocols()["llamalend"], rows)

    assert [one.values["debt_token"] for one in found] == ["0x" + "01" * 20] * 2
    assert [one.values["collateral_token"] for one in found] == ["0x" + "02" * 20] * 2
    assert Read("x()", into="x").argument is None


def stored(name, chain="ethereum"):
    "A store with the vector of a protocol, decoded from its raw logs."
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    logs = [log for log in vector["logs"] if log["chain"] == chain]
    connection = store.connect(":memory:")
    store.append(connection, "raw_logs", log_frame(logs).with_columns(chain=pl.lit(chain)))
    routes = route_frame(name, chain, logs, vector.get("markets", []))
    store.append(
        connection,
        "emitters",
        routes.select(
            "protocol", "venue", "market", chain=pl.lit(chain), source=pl.lit("file"),
            address=pl.lit("0x") + pl.col("address").bin.encode("hex"),
        ),
    )  # fmt: skip
    return connection


def test_reserve_ids_become_tokens():
    "A spoke's reserve is its hub's asset: debt and deficit of Aave v4 get the token that AddReserve and AddAsset name."
    connection = stored("aave_v4")
    redecode.redecode(connection, lambda _: None)
    pricing.price(connection, "ethereum")
    found = dict(connection.execute("SELECT kind, any_value(debt_token) FROM liquidations GROUP BY kind").fetchall())
    connection.close()

    assert found == dict.fromkeys(("call", "bad_debt"), "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")


def test_stablecoin_seized_counts():
    "What a LlamaLend liquidator gets is collateral and stablecoin: both are forced_usd."
    connection = stored("llamalend")
    stable, coin, feed = "0x" + "51" * 20, "0x" + "c0" * 20, "0x" + "fe" * 20
    at = datetime(2024, 1, 1)
    for address, symbol, decimals, kind in ((stable, "crvUSD", 18, "stable"), (coin, "WBTC", 8, "volatile")):
        store.insert(connection, "tokens", {"chain": "ethereum", "address": address, "symbol": symbol, "decimals": decimals,
                                            "asset": symbol.upper(), "kind": kind, "source": "file"})  # fmt: skip
    store.insert(connection, "feeds", {"chain": "ethereum", "address": feed, "asset": "WBTC", "decimals": 8, "source": "file"})  # fmt: skip
    market = "0x4e59541306910ad6dc1dac0ac9dfb29bd9f15c67"
    store.insert(connection, "markets", {"chain": "ethereum", "venue": "crvusd", "market": market, "collateral_token": coin,
                                         "debt_token": stable, "source": "file"})  # fmt: skip
    redecode.redecode(connection, lambda _: None)
    liquidated_at, block = connection.execute(
        "SELECT liquidated_at, block_number FROM liquidations WHERE kind = 'call'"
    ).fetchall()[0]
    price = {
        "asset": "WBTC", "priced_at": liquidated_at, "price_usd": 60000.0, "kind": "oracle", "chain": "ethereum",
        "source": f"chainlink:{feed}", "block_number": block - 1, "log_index": 1,
    }  # fmt: skip
    store.insert(connection, "prices", price)
    pricing.price(connection, "ethereum")
    forced, repaid = connection.execute(
        "SELECT forced_usd, repaid_usd FROM liquidations WHERE kind = 'call'"
    ).fetchone()
    soft = connection.execute(
        "SELECT collateral_token FROM liquidations WHERE kind = 'soft' ORDER BY log_index"
    ).fetchall()
    connection.close()

    assert forced == pytest.approx(0.5 * 60000 + 12000)
    assert repaid == pytest.approx(38000)
    assert soft == [(coin,), (stable,)]
    assert liquidated_at > at


def test_optimizers_are_no_users_of_their_pools():
    "A liquidation of a Morpho optimizer in the Aave pool below has the account kind of a protocol."
    vector = json.loads((FOLDER / "aave_v2.json").read_text())
    log = next(
        vector["logs"][row["log"]] for row in vector["rows"] if vector["logs"][row["log"]]["chain"] == "ethereum"
    )
    optimizer = "0x777777c9898d384f785ee44acfe945efdff5f3e0"
    topics = [*log["topics"][:3], "0x" + "0" * 24 + optimizer[2:]]
    routes = route_frame("aave_v2", "ethereum", [log], [])
    kinds = [
        derive("ethereum", log_frame([one]), routes)["liquidations"]["account_kind"].to_list()
        for one in (log, log | {"topics": topics})
    ]

    assert kinds == [["user"], ["protocol"]]


def test_registries_of_ids_are_asked_from_their_first_block():
    "Hubs, dYdX solo and factories are asked for what they announced before the range; a market is not."
    rows = [{"address": "0x" + f"{place:040x}", "protocol": name, "venue": name, "market": None, "first_block": place, "parent": None}
            for place, name in enumerate(("aave_v4", "dydx_solo", "euler_v2", "euler_v1", "morpho_blue"))]  # fmt: skip
    found = {
        member.protocol: first
        for member, first in registries(pl.DataFrame(rows, schema_overrides={"market": pl.String, "parent": pl.String}))
    }

    assert found == {"aave_v4": 0, "dydx_solo": 1, "euler_v2": 2}
    assert blob(None) is None


def test_a_pool_token_becomes_what_it_stands_for():
    "An optimizer's event names pool tokens and counts in tokens: the row gets the tokens, read from either kind of pool."
    connection = stored("morpho_optimizer")
    redecode.redecode(connection, lambda _: None)
    collateral, debt = connection.execute("SELECT collateral_token, debt_token FROM liquidations").fetchall()[0]
    weth, usdc = "0x" + "e7" * 20, "0x" + "5d" * 20
    node = Node(
        {
            (collateral, selector("UNDERLYING_ASSET_ADDRESS()")): bytes(12) + bytes.fromhex(weth[2:]),
            (debt, selector("underlying()")): bytes(12) + bytes.fromhex(usdc[2:]),
        }
    )
    discovery.enrich(connection, node, "ethereum")
    pricing.price(connection, "ethereum")
    rows = connection.execute("SELECT collateral_token, debt_token FROM liquidations").fetchall()
    connection.close()

    assert rows == [(weth, usdc)]


def test_one_filter_asks_for_many_protocols():
    "Deposits of vaults ride in the merged filter; transfers of Venus markets, emitted all day, are in no filter."
    rows = [{"address": "0x" + f"{place:040x}", "protocol": name, "venue": name} for place, name in
            enumerate(("aave_v3", "venus_isolated", "rates"))]  # fmt: skip
    asked = filters(members(pl.DataFrame(rows), pl.DataFrame({"address": []}), ()))
    names = {topic(event("rates", "Deposit")), topic(event("venus_isolated", "HealBorrow"))}

    assert [one.addresses for one in asked] == [tuple(row["address"] for row in rows)]
    assert names < set(asked[0].topics[0])
    assert topic(event("erc20", "Transfer")) not in asked[0].topics[0]


def test_ids_are_read_where_no_log_announced_them():
    "A node that answers for an id settles a registry: no log before the range is asked, and the tokens come by call."
    connection = stored("dydx_solo")
    redecode.redecode(connection, lambda _: None)
    connection.execute("DELETE FROM markets")
    solo, dai, weth = "0x1e0447b19bb6ecfdae1e4ae1694b0c3659614e4e", "0x" + "da" * 20, "0x" + "e7" * 20
    asking = selector("getMarketTokenAddress(uint256)")
    answers = {0: weth, 3: dai}
    node = Node(
        {(solo, asking + f"{one:064x}"): bytes(12) + bytes.fromhex(token[2:]) for one, token in answers.items()}
    )
    emitters = pl.DataFrame(
        {
            "address": [solo],
            "protocol": ["dydx_solo"],
            "venue": ["dydx_solo"],
            "market": [None],
            "parent": [None],
            "first_block": [1],
        }
    )
    discovery.enrich(connection, node, "ethereum")
    pricing.price(connection, "ethereum")
    rows = connection.execute(
        "SELECT kind, collateral_token, debt_token FROM liquidations ORDER BY block_number"
    ).fetchall()
    connection.close()

    assert rows == [("call", weth, dai), ("bad_debt", None, dai)]
    assert discovery.registries(node, "ethereum", emitters)[1] == {solo}
    assert discovery.registries(Node({}), "ethereum", emitters)[1] == set()


def test_a_list_may_count_from_one():
    "A factory's items are asked from 0, or from 1 where the declaration says so."
    factory, first = "0x" + "fa" * 20, "0x" + "01" * 20
    answers = {(factory, selector("n()")): (1).to_bytes(32)}
    answers |= {(factory, selector("at(uint256)") + f"{1:064x}"): bytes(12) + bytes.fromhex(first[2:])}

    assert discovery.listed(Node(answers), factory, "n()->at(uint256)+1") == [first]
    assert discovery.listed(Node(answers), factory, "n()->at(uint256)") == []


def test_a_hub_of_a_file_is_read_with_its_spokes(tmp_path):
    "A deployments file may name a hub by its own decoder, as the catalogue does; it is read like the built-in hubs."
    rows = [
        {"venue": "aave_v4", "protocol": name, "chain": "own", "chain_id": 77, "address": "0x" + digit * 40}
        for name, digit in (("aave_v4", "a"), ("aave_v4_hub", "b"))
    ]
    path = tmp_path / "deployments.json"
    path.write_text(json.dumps({"deployments": rows}))
    known = catalogue("own", ["aave_v4_hub"], path)

    assert known.notes == ()
    assert known.emitters.select("protocol", "address").rows() == [("aave_v4", row["address"]) for row in rows]


def test_a_fork_names_its_stablecoin_and_pool():
    "Of a Liquity fork the pool or the trove manager names the stablecoin, whose burns from the pool are asked for."
    manager, pool, coin, collateral = ("0x" + digit * 40 for digit in "1234")

    def word(address):
        return bytes(12) + bytes.fromhex(address[2:])

    answers = {
        (manager, selector("stabilityPool()")): word(pool), (pool, selector("debtToken()")): word(coin),
        (manager, selector("collateralToken()")): word(collateral),
    }  # fmt: skip
    emitters = pl.DataFrame({"address": [manager], "protocol": ["liquity_v1"], "venue": ["prisma"]})
    connection = store.connect(":memory:")
    companions, parents = scope.eager_reads(connection, Node(answers), "ethereum", emitters)
    tokens = connection.execute("SELECT market, collateral_token, debt_token FROM markets").fetchall()
    connection.close()
    asked = filters(companions)

    assert parents == {coin: manager}
    assert [one.addresses for one in asked] == [(coin,)]
    assert asked[0].topics[1:] == (("0x" + pool[2:].rjust(64, "0"),), ("0x" + "0" * 64,))
    assert tokens == [(manager, collateral, coin)]
