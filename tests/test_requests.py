"""How often a node is asked: all protocols of a chain by the requests of one, and rare joins in their own blocks only."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pytest

from indexer import store
from indexer.abi import event
from indexer.backfill import EvmOptions, evm
from indexer.deployments import EMITTERS, catalogue
from indexer.plan import alive, filters, members, segments, topic
from indexer.protocols import all_protocols
from indexer.ranges import Range
from tests.node import rpc_node

RECORDING = Path(__file__).parent / "devnet_recording"
VECTORS = Path(__file__).parent / "protocols"
TRANSFER = topic(event("erc20", "Transfer"))
BLOCKS = (60, 61, 62, 63, 64, 65, 66, 67, 68, 69)


@pytest.fixture(scope="module")
def venus():
    "The synthetic logs of a Venus pool, each vector block as a block of the recorded chain."
    logs = json.loads((VECTORS / "venus_isolated.json").read_text())["logs"]
    places = dict(zip(sorted({log["block_number"] for log in logs}), BLOCKS, strict=False))
    return [log | {"block_number": places[log["block_number"]]} for log in logs]


@pytest.fixture(scope="module")
def chain(venus, tmp_path_factory):
    "The recorded chain with those logs in it, under the recorded headers."
    with gzip.open(RECORDING / "chain.json.gz", "rb") as file:
        recorded = json.load(file)
    headers = {int(block["number"], 16): block for block in recorded["blocks"]}
    recorded["logs"] += [
        {
            **{name: log[name] for name in ("address", "topics", "data")},
            "blockNumber": hex(log["block_number"]), "blockHash": headers[log["block_number"]]["hash"],
            "blockTimestamp": headers[log["block_number"]]["timestamp"], "transactionHash": log["tx_hash"],
            "transactionIndex": "0x9", "logIndex": hex(1000 + log["log_index"]), "removed": False,
        }
        for log in venus
    ]  # fmt: skip
    recorded["logs"].sort(key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))
    path = tmp_path_factory.mktemp("chain") / "chain.json.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        json.dump(recorded, file)
    return rpc_node.Chain(path)


class Spy(rpc_node.Node):
    "A node that keeps what logs it was asked for, and may refuse a topic."

    asked: list[dict[str, object]]
    refused: str | None = None

    def eth_getLogs(self, p, known):  # noqa: N802 - the node's methods are named as the calls
        "The logs, once the question is noted; whether old logs are kept at all is asked without topics."
        names = p[0].get("topics", [[]])[0]
        if names:
            self.asked.append(p[0])
        if self.refused in names:
            raise rpc_node.RpcError("missing trie node")
        return super().eth_getLogs(p, known)


@pytest.fixture
def node(chain):
    "A spying node with its URL."
    options = rpc_node.parser().parse_args([str(RECORDING / "chain.json.gz"), "--port", "0"])
    spy = Spy(chain, options)
    spy.asked = []
    server = rpc_node.ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (rpc_node.Handler,), {"node": spy}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    spy.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield spy
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def deployments(venus, tmp_path):
    "The recorded deployments, with the pool's markets, a vault whose deposits are rates, and protocols that emit nothing."
    document = json.loads((RECORDING / "deployments.json").read_text())
    chain_id = document["deployments"][0]["chain_id"]
    others = [("venus", "venus_isolated", log["address"]) for log in venus if log.get("emitter_of")]
    others += [(name, name, f"0x{place:040x}") for place, name in enumerate(sorted(all_protocols()), 0xABC000)
               if all_protocols()[name].sector in {"perp", "lending", "cdp"}]  # fmt: skip
    others.append(("vault", "rates", "0x" + "44" * 20))
    document["deployments"] += [
        {"venue": venue, "protocol": protocol, "chain": "devnet", "chain_id": chain_id, "address": address}
        for venue, protocol, address in dict.fromkeys(others)
    ]
    path = tmp_path / "deployments.json"
    path.write_text(json.dumps(document))
    return path


def index(node, deployments, db, protocols=(), **settings):
    "The exit code of one backfill of all final blocks, and what logs it asked for."
    node.asked = []
    options = EvmOptions(
        chain="devnet", deployments=deployments, from_block=0, to_block="finalized", rpc=(node.url,), protocols=protocols,
        verify_sample=0.0, **settings,
    )  # fmt: skip
    return evm(db, options, lambda *_, **__: None), node.asked


def spans(asked):
    "How often each range was asked, but for the blocks that only a join needs."
    own = [one for one in asked if one["topics"] != [[TRANSFER]]]
    return Counter((int(one["fromBlock"], 16), int(one["toBlock"], 16)) for one in own)


@pytest.mark.parametrize("width", [None, 100])
def test_all_protocols_ask_as_often_as_one(node, deployments, tmp_path, width):
    "The same ranges, one merged filter each; GMX's and Liquity's filters on indexed arguments are the only others."
    settings = {"width": width} if width else {}
    _, one = index(node, deployments, tmp_path / "one.duckdb", ("aave_v3",), **settings)
    code, everything = index(node, deployments, tmp_path / "all.duckdb", **settings)
    merged = [asked for asked in everything if len(asked["topics"]) == 1 and asked["topics"] != [[TRANSFER]]]
    indexed = {json.dumps(asked["topics"]) for asked in everything if len(asked["topics"]) > 1}

    assert code == 0
    assert len(merged) <= len(one)
    assert set(spans(merged).values()) == {1}
    assert max(spans(everything).values()) == 1 + len(indexed)
    assert len(indexed) == 2
    assert all(any(names for names in json.loads(topics)[1:]) for topics in indexed)


@pytest.mark.parametrize("name", ["arbitrum", "base", "bnb", "ethereum", "optimism", "polygon"])
def test_one_merged_filter_on_every_chain(name):
    "What is built in of a chain needs one filter by contracts and events; any other names indexed arguments."
    known = catalogue(name)
    asked = filters(members(known.emitters, known.feeds, ()))

    assert sum(len(one.topics) == 1 for one in asked) == 1
    assert all(any(names for names in one.topics[1:]) for one in asked if len(one.topics) > 1)


def test_a_join_is_asked_in_its_own_blocks(node, deployments, venus, tmp_path):
    "Transfers of the pool's markets are asked for in the block of the healing only, and its rows have the seized shares."
    db = tmp_path / "db.duckdb"
    code, asked = index(node, deployments, db, ("venus_isolated",))
    healed = [log["block_number"] for log in venus if log["topics"][0] == topic(event("venus_isolated", "HealBorrow"))]
    transfers = [one for one in asked if TRANSFER in one["topics"][0]]
    with duckdb.connect(str(db), read_only=True) as connection:
        rows = connection.execute(
            "SELECT kind, collateral_raw::VARCHAR, debt_raw::VARCHAR FROM liquidations"
            " WHERE venue = 'venus' AND block_number = ? ORDER BY log_index",
            [healed[0]],
        ).fetchall()

    assert code == 0
    assert {(int(one["fromBlock"], 16), int(one["toBlock"], 16)) for one in transfers} == {(healed[0], healed[0])}
    assert rows == [
        ("call", "111", None), ("call", "222", "40000000000000000000"), ("bad_debt", None, "7000000000000000000"),
        ("call", None, "30000000000000000000"),
    ]  # fmt: skip


def test_a_join_that_cannot_be_had_is_a_gap(node, deployments, venus, tmp_path):
    "A range whose healing has no transfers yet is left open with its reason, and whole after the next run."
    db = tmp_path / "db.duckdb"
    node.refused = TRANSFER
    code, _ = index(node, deployments, db, ("venus_isolated",))
    with duckdb.connect(str(db), read_only=True) as connection:
        gaps = connection.execute(
            "SELECT from_block, to_block, reason FROM gaps WHERE dataset = 'liquidations:venus'"
        ).fetchall()
        none = connection.execute("SELECT count(*) FROM liquidations WHERE venue = 'venus'").fetchall()
    node.refused = None
    again, _ = index(node, deployments, db, ("venus_isolated",))
    with duckdb.connect(str(db), read_only=True) as connection:
        rows = connection.execute("SELECT count(*) FROM liquidations WHERE venue = 'venus'").fetchall()
        left = connection.execute("SELECT count(*) FROM gaps").fetchall()

    assert (code, again) == (1, 0)
    assert any(first <= venus[1]["block_number"] <= last for first, last, _ in gaps)
    assert (none, left) == ([(0,)], [(0,)])
    assert rows[0][0] > 4


def emitter(address, first_block, source="event"):
    "A row of `emitters`."
    return {"chain": "ethereum", "address": address, "protocol": "silo_v1", "venue": "silo_v1", "market": None,
            "first_block": first_block, "parent": "0x" + "ff" * 20, "source": source}  # fmt: skip


def test_an_announced_contract_is_not_asked_for_before_it_was():
    "A silo of block 2,345,678 is asked for from there on, two of one stretch from one block on; one by a call from the start."
    rows = [
        emitter("0x" + "01" * 20, 2_345_678), emitter("0x" + "02" * 20, 2_341_000), emitter("0x" + "03" * 20, 7_000_000),
        emitter("0x" + "04" * 20, 2_345_678, "call"),
    ]  # fmt: skip
    emitters = pl.DataFrame(rows, schema=EMITTERS)
    wanted = [(member, Range(1_000_000, 5_000_000)) for member in members(emitters, pl.DataFrame({"address": []}), ())]

    assert [(member.address[-2:], span.first, span.last) for member, span in alive(wanted, emitters)] == [
        ("01", 2_340_000, 5_000_000), ("02", 2_340_000, 5_000_000), ("04", 1_000_000, 5_000_000),
    ]  # fmt: skip
    assert [one.block_range.first for one in segments(alive(wanted, emitters), {})] == [1_000_000, 2_340_000]


def test_the_earlier_announcement_stands():
    "A contract that two runs found has the earlier block, whatever came first; what a file says stands before both."
    connection = store.connect(":memory:")
    for rows in ([emitter("0x" + "01" * 20, 500)], [emitter("0x" + "01" * 20, 200)], [emitter("0x" + "01" * 20, 300)]):
        store.upsert(connection, "emitters", pl.DataFrame(rows, schema=EMITTERS))
    blocks = connection.execute("SELECT first_block FROM emitters").fetchall()
    store.upsert(connection, "emitters", pl.DataFrame([emitter("0x" + "01" * 20, 900, "file")], schema=EMITTERS))
    named = connection.execute("SELECT first_block, source FROM emitters").fetchall()
    connection.close()

    assert (blocks, named) == ([(200,)], [(900, "file")])
