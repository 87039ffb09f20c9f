"""Real logs and the flow that each must give: tests/vectors/flows.json.

`rows`: `log` is the place in `logs`; kind, account (the owner of the position, not who paid), token, amount_raw (null
from 10^38 on) and, of transfers, both addresses; `lookup` needs `markets`; `direction` where the log is a leg of
another act. `none`: logs that move nothing. `bridge_out` leaves the chain of the row, `bridge_in` arrives there.
"""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from indexer import flow_values, store
from indexer.decode import LOG_SCHEMA
from indexer.derive import ROUTE_SCHEMA, derive
from indexer.protocols import all_protocols

BRIDGE = all_protocols()["hyperliquid_bridge2"]
VECTOR = json.loads((Path(__file__).parent / "vectors" / "flows.json").read_text())
KINDS = {"transfer", "supply", "withdraw", "borrow", "repay", "bridge_in", "bridge_out"}


def test_each_log_is_decided():
    "Each log has one expected flow or one reason why it has none."
    places = [row["log"] for row in VECTOR["rows"]] + [entry["log"] for entry in VECTOR["none"]]

    assert sorted(places) == list(range(len(VECTOR["logs"])))
    assert {row["kind"] for row in VECTOR["rows"]} == KINDS
    assert all(row["account"] for row in VECTOR["rows"] if row["kind"] != "transfer")


def test_amounts_stand_in_the_data():
    "An expected amount is a word of the log's data, and a missing one belongs to a log with a word of 10^38 or more."
    for row in VECTOR["rows"]:
        data = VECTOR["logs"][row["log"]]["data"].removeprefix("0x")
        words = [int(data[place : place + 64], 16) for place in range(0, len(data), 64)]
        amount = row["amount_raw"]

        assert max(words) >= 10**38 if amount is None else int(amount) in words


def test_account_stands_in_the_log():
    "The expected account is an address of the log itself."
    for row in VECTOR["rows"]:
        log = VECTOR["logs"][row["log"]]
        words = "".join(log["topics"]) + log["data"]

        assert row.get("account", row.get("from_address")).removeprefix("0x") in words


def blob(text):
    "Bytes of 0x and digits, or None."
    return None if text is None else bytes.fromhex(text.removeprefix("0x"))


def derived(logs, chain):
    "Tables of the vector's logs of one chain; every emitter is read by the protocol that the vector names."
    rows = [
        (log["block_number"], b"\1" * 32, datetime(2024, 1, 1), blob(log["tx_hash"]), log["log_index"], blob(log["address"]),
         *(blob(topic) for topic in (log["topics"] + [None] * 4)[:4]), blob(log["data"]))
        for log in logs if log["chain"] == chain
    ]  # fmt: skip
    routed = {(blob(log["address"]), log["protocol"]) for log in logs if log["chain"] == chain}
    routed |= {(blob(one.address), "hyperliquid_bridge2") for one in BRIDGE.deployments if one.chain == chain}
    routes = [(address, protocol, protocol, None, None, None) for address, protocol in sorted(routed)]
    frame = pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row").sort("block_number", "log_index")
    return derive(chain, frame, pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row"))


def test_flows_of_the_vectors():
    "Each log gives its flow, with the owner of the position and the exact amount, or none; nothing is rejected."
    connection = store.connect(":memory:")
    for chain in sorted({log["chain"] for log in VECTOR["logs"]}):
        tables = derived(VECTOR["logs"], chain)
        store.write(connection, {"flows": tables["flows"]})
        flow_values.insert(connection, chain, ())
        flow_values.mark_legs(connection, chain)
        assert tables["rejected"].is_empty()
    found = {row["flow_id"]: row for row in connection.sql("FROM flow_rows").pl().to_dicts()}
    directions = dict(connection.execute("SELECT flow_id, direction FROM flows").fetchall())
    expected = {}
    for row in VECTOR["rows"]:
        log = VECTOR["logs"][row["log"]]
        expected[f"{log['chain']}:{log['block_number']}:{log['log_index']}"] = row

    assert sorted(found) == sorted(expected)
    for key, row in expected.items():
        got = found[key] | {"amount_raw": None if found[key]["amount_raw"] is None else str(found[key]["amount_raw"])}
        named = [
            name for name in ("kind", "account", "token", "amount_raw", "from_address", "to_address") if name in row
        ]
        assert {name: got[name] for name in named} == {name: row[name] for name in named}
        if row["amount_raw"] is None:
            assert got["amount_float"] >= 1e38
        if "lookup" in row:
            assert got["market"]
            assert got["token_of"]
        if row["kind"] == "transfer" and "direction" in row:
            assert directions[key] == row["direction"]
    connection.close()


def test_directions_without_labels():
    "A loan goes to or comes from lending, a bridge's flow to or from the bridge, a plain transfer nowhere known."
    connection = store.connect(":memory:")
    for chain in sorted({log["chain"] for log in VECTOR["logs"]}):
        store.write(connection, {"flows": derived(VECTOR["logs"], chain)["flows"]})
        flow_values.insert(connection, chain, ())
    pairs = set(
        connection.execute(
            "SELECT DISTINCT kind, direction FROM flows WHERE chain <> 'arbitrum' OR kind <> 'transfer'"
        ).fetchall()
    )
    connection.close()

    assert pairs == {
        ("supply", "to_lending"), ("repay", "to_lending"), ("withdraw", "from_lending"), ("borrow", "from_lending"),
        ("bridge_out", "to_bridge"), ("bridge_in", "from_bridge"), ("transfer", "other"),
    }  # fmt: skip
