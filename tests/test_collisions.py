"""Families that share a topic0: each log goes to its own family or to none, with both deployed on one chain."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import polars as pl
import pytest
from test_protocols import blob, call_frame, log_frame

from indexer import abi, audit, store
from indexer.derive import ROUTE_SCHEMA, derive
from indexer.protocols import all_protocols
from indexer.valuing import Valuer

FOLDER = Path(__file__).parent / "protocols"
VECTORS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
CHAIN = "ethereum"


def shared_topics():
    "Pairs of protocols that use one topic0 with whatever layout, from the declarations themselves."
    users = {}
    for name, protocol in all_protocols().items():
        for event in protocol.events:
            users.setdefault(event.topic0, set()).add(name)
    pairs = {pair for names in users.values() for pair in itertools.combinations(sorted(names), 2)}
    return sorted(pair for pair in pairs if set(pair) <= set(VECTORS))


def on_one_chain(name, offset, taken=frozenset()):
    """The logs of a protocol's vector moved to one chain and apart from others, and the routes of their emitters.

    Vectors are of many chains, so two families may have a contract at one address: those `taken` are left out.
    """
    vector = VECTORS[name]
    known = {(one.chain, one.address.lower()): (one.venue, one.market) for one in all_protocols()[name].deployments}
    markets = {market.get("clip"): market["market"] for market in vector.get("markets", [])}
    logs, routes = [], {}
    for log in vector["logs"]:
        if blob(log["address"]) in taken:
            continue
        logs.append(log | {"chain": CHAIN, "block_number": log["block_number"] + offset})
        listed = known.get((log["chain"], log["address"]))
        if log.get("emitter_of") or listed:
            venue, market = (log["emitter_of"], markets.get(log["address"])) if log.get("emitter_of") else listed
            routes[log["address"]] = (blob(log["address"]), name, venue, market, None, None)
    return logs, list(routes.values())


CALLS = call_frame([call for vector in VECTORS.values() for call in vector.get("calls", [])])


def rows_of(logs, routes):
    "The rows of logs by protocol, each as its position and what was decoded."
    tables = derive(CHAIN, log_frame(logs), pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row"), calls=CALLS)
    rows = tables.get("liquidations", pl.DataFrame()).to_dicts()
    kept = ("account", "kind", "collateral_raw", "debt_raw", "liquidator")
    return sorted(
        (row["protocol"], row["block_number"], row["log_index"], *(str(row.get(name)) for name in kept)) for row in rows
    )


@pytest.mark.parametrize(("one", "other"), shared_topics(), ids=lambda name: name)
def test_each_log_goes_to_its_own_family(one, other):
    "Both families on one chain give what each gives alone; a log under a foreign emitter gives nothing."
    first, first_routes = on_one_chain(one, 0)
    addresses = frozenset(blob(log["address"]) for log in first)
    second, second_routes = on_one_chain(other, 1_000_000_000, addresses)
    alone = rows_of(first, first_routes) + rows_of(second, second_routes)

    assert rows_of(first + second, first_routes + second_routes) == sorted(alone)
    assert {row[0] for row in alone} <= {one, other}
    assert rows_of(second, first_routes) == []


# The table of topics that several declarations share: signatures, and how the layouts can be told apart by topics.
TABLE = (
    ("aave_v2", "LiquidationCall", "aave_v3", "LiquidationCall", True),
    ("compound_v2", "LiquidateBorrow", "venus_isolated", "LiquidateBorrow", False),
    ("compound_v2", "MarketListed", "compound_v2", "MarketListedIndexed", False),
    ("morpho_optimizer", "Liquidated", "morpho_aave_v3", "Liquidated", True),
    ("gearbox_v2", "LiquidateCreditAccount", "gearbox_v3", "LiquidateCreditAccount", False),
    ("silo_v1", "Liquidate", "inverse_firm", "Liquidate", True),
)


@pytest.mark.parametrize(("one", "event", "other", "namesake", "same_count"), TABLE)
def test_shared_topics_are_declared(one, event, other, namesake, same_count):
    "The two declarations have one topic0; where the number of topics is equal too, only the emitter decides."
    first, second = abi.event(one, event), abi.event(other, namesake)

    assert first.topic0 == second.topic0
    assert (first.n_topics == second.n_topics) is same_count


def swapped(name, log):
    "A protocol's log under an emitter of another one: the routes of one emitter."
    return [(blob(log["address"]), name, name, None, None, None)]


@pytest.mark.parametrize(
    ("owner", "stranger"),
    [("venus_isolated", "compound_v2"), ("compound_v2", "venus_isolated"), ("gearbox_v2", "gearbox_v3"), ("gearbox_v3", "gearbox_v2")],
)  # fmt: skip
def test_another_number_of_topics_is_rejected(owner, stranger):
    "A log under an emitter that is declared as the other family is a reject with its reason, never a row."
    topics = {event.topic0: event.n_topics for event in all_protocols()[stranger].events}
    places = {row["log"] for row in VECTORS[owner]["rows"]}
    logs = [log for place, log in enumerate(VECTORS[owner]["logs"])
            if place in places and topics.get(blob(log["topics"][0]), len(log["topics"])) != len(log["topics"])]  # fmt: skip
    log = logs[0] | {"chain": CHAIN}
    tables = derive(CHAIN, log_frame([log]), pl.DataFrame(swapped(stranger, log), schema=ROUTE_SCHEMA, orient="row"))

    assert "liquidations" not in tables or tables["liquidations"].is_empty()
    assert tables["rejected"].height == 1


# Names under which protocols declare different events.
NAMESAKES = {
    "Liquidate",
    "Liquidation",
    "Liquidated",
    "LiquidationCall",
    "LiquidatePosition",
    "PositionLiquidated",
    "LimitExecuted",
}


def namesakes():
    "Ordered pairs of protocols, a perp among them, whose events of one name have no topic0 in common."
    named = {}
    for name in VECTORS:
        for event in all_protocols()[name].events:
            if event.name in NAMESAKES:
                named.setdefault(event.name, {})[name] = event.topic0
    pairs = {
        pair
        for users in named.values()
        for pair in itertools.permutations(users, 2)
        if users[pair[0]] != users[pair[1]]
    }
    return sorted(pair for pair in pairs if "perp" in {all_protocols()[name].sector for name in pair})


@pytest.mark.parametrize(("owner", "stranger"), namesakes(), ids=lambda name: name)
def test_a_shared_name_is_no_shared_event(owner, stranger):
    "A log under an emitter that is declared as a protocol with an event of that name gives neither a row nor a reject."
    places = {row["log"] for row in VECTORS[owner]["rows"]}
    logs = [log | {"chain": CHAIN} for place, log in enumerate(VECTORS[owner]["logs"]) if place in places]
    routes = [route for log in logs for route in swapped(stranger, log)]
    frame = pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row").unique("address")
    tables = derive(CHAIN, log_frame(logs), frame, calls=CALLS)

    assert tables.get("liquidations", pl.DataFrame()).is_empty()
    assert tables.get("rejected", pl.DataFrame()).is_empty()


def test_forks_are_told_apart_by_their_emitter():
    "The Vaults of GMX v1 and its forks emit one event: each row has the venue of its Vault, another Vault gives none."
    vector = VECTORS["gmx_v1"]
    log = vector["logs"][vector["rows"][0]["log"]]
    vaults = {one.address.lower(): one.venue for one in all_protocols()["gmx_v1"].deployments
              if one.chain == "arbitrum" and one.market is None}  # fmt: skip
    logs = [
        log | {"address": address, "log_index": place, "chain": CHAIN}
        for place, address in enumerate([*vaults, "0x" + "77" * 20])
    ]
    routes = [(blob(address), "gmx_v1", venue, None, None, None) for address, venue in vaults.items()]
    found = derive(CHAIN, log_frame(logs), pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row"))["liquidations"]

    assert sorted(found["venue"]) == sorted(vaults.values()) == ["gmx_v1", "ktx", "mummy"]


@pytest.fixture(scope="module")
def everything():
    "A store that holds all vectors of all protocols on one chain."
    connection = store.connect(":memory:")
    logs, routes, calls = [], [], []
    for place, name in enumerate(
        name for name in VECTORS if all_protocols()[name].sector in {"lending", "cdp", "perp"}
    ):
        own, ways = on_one_chain(name, place * 1_000_000_000, frozenset(route[0] for route in routes))
        hashes = {log["tx_hash"]: f"0x{place:04x}" + log["tx_hash"][6:] for log in own}
        logs += [log | {"tx_hash": hashes[log["tx_hash"]]} for log in own]
        calls += [call | {"tx_hash": hashes[call["tx_hash"]]} for call in VECTORS[name].get("calls", [])]
        routes += ways
    routes = pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row").unique(
        ["address", "protocol"], maintain_order=True
    )
    tables = derive(CHAIN, log_frame(logs), routes, calls=call_frame(calls))
    with store.transaction(connection):
        store.write(connection, tables)
        valuer = Valuer(connection, CHAIN)
        valuer.insert(is_new=valuer.stage(tables))
    yield connection
    connection.close()


def test_nothing_is_counted_twice(everything):
    "All protocols in one store: aggregates and parts, kicks and takes, absorbs and resales pass every audit."
    failed = [str(check) for check in audit.run(everything) if check.is_failed]

    assert failed == []


def test_every_family_is_in_the_store(everything):
    "The store that is audited has rows of every protocol that has a vector with rows."
    stored = {name for (name,) in everything.execute("SELECT DISTINCT protocol FROM liquidations").fetchall()}

    assert stored == {name for name in VECTORS if all_protocols()[name].sector in {"lending", "cdp", "perp"}}


def test_kinds_outside_totals(everything):
    "Auction starts, resales, soft conversions and bad debt of any protocol add nothing to the headline."
    rows = everything.execute("SELECT DISTINCT kind FROM liquidations WHERE is_headline ORDER BY 1").fetchall()

    assert {kind for (kind,) in rows} <= {
        "absorb",
        "auction_take",
        "call",
        "market",
        "redistribution",
        "stability_pool",
    }
