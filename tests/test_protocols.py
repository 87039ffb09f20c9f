"""Every protocol on real logs: recorded bytes in, the rows that sources other than our decoder state, out."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from indexer import store
from indexer.abi import keccak256
from indexer.decode import LOG_SCHEMA
from indexer.derive import CALL_SCHEMA, ROUTE_SCHEMA, derive
from indexer.protocols import all_protocols

FOLDER = Path(__file__).parent / "protocols"
# Prices and rates are no liquidations: their vectors are in test_pricing.py.
NAMES = sorted(name for name, protocol in all_protocols().items() if protocol.sector in {"perp", "lending", "cdp"})
NOT_COLUMNS = {"log", "lookup", "priced", "bad_debt_raw", "price"}


def blob(text):
    "Bytes of 0x and digits, or None."
    return None if text is None else bytes.fromhex(text[2:])


def log_frame(logs):
    "Logs of a vector file as the columns the engine works on."
    rows = [
        (
            log["block_number"],
            b"\1" * 32,
            datetime(2024, 1, 1) if log["block_timestamp"] is None else datetime.fromtimestamp(log["block_timestamp"]),
            blob(log["tx_hash"]),
            log["log_index"],
            blob(log["address"]),
            *(blob(topic) for topic in (log["topics"] + [None] * 4)[:4]),
            blob(log["data"]),
        )
        for log in logs
    ]
    return pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row").sort("block_number", "log_index")


def route_frame(name, chain, logs, markets):
    "Deployments of the protocol on a chain, and the emitters that a registry would have named (`emitter_of`)."
    ilk_of = {market.get("clip"): market["market"] for market in markets}
    rows = [
        (blob(one.address), name, one.venue, one.market, None, None)
        for one in all_protocols()[name].deployments
        if one.chain == chain
    ]
    rows += [
        (blob(log["address"]), name, log["emitter_of"], ilk_of.get(log["address"]), None, None)
        for log in logs
        if log.get("emitter_of") and log["chain"] == chain
    ]
    return pl.DataFrame(rows, schema=ROUTE_SCHEMA, orient="row").unique(["address"], keep="last")


def call_frame(calls):
    "What the transactions of a vector file called, as the loop has asked it."
    rows = [(blob(call["tx_hash"]), blob(call["address"]), blob(call["call"])) for call in calls]
    return pl.DataFrame(rows, schema=CALL_SCHEMA, orient="row")


@pytest.mark.parametrize("name", NAMES)
def test_vectors(name):
    "Each recorded log gives the row that its source states, or none; a malformed one is kept as a reject."
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    found, rejected = {}, set()
    for chain in {log["chain"] for log in vector["logs"]}:
        logs = [log for log in vector["logs"] if log["chain"] == chain]
        tables = derive(chain, log_frame(logs), route_frame(name, chain, logs, vector.get("markets", [])),
                        calls=call_frame(vector.get("calls", [])))  # fmt: skip
        inputs = {row["event_id"]: row for row in tables.get("valuation_inputs", pl.DataFrame()).to_dicts()}
        for row in tables.get("liquidations", pl.DataFrame()).to_dicts():
            found[chain, row["block_number"], row["log_index"]] = row | {"inputs": inputs.get(row["event_id"], {})}
        rejects = tables.get("rejected", pl.DataFrame()).to_dicts()
        rejected |= {(chain, row["block_number"], json.loads(row["raw"])["logIndex"]) for row in rejects}
    place = [(log["chain"], log["block_number"], log["log_index"]) for log in vector["logs"]]
    expected = {place[row["log"]]: row for row in vector["rows"]}

    assert sorted(found) == sorted(expected)
    for key, row in expected.items():
        values = {
            column: pytest.approx(row[column], rel=1e-9) if isinstance(row[column], float) else row[column]
            for column in row
            if column not in NOT_COLUMNS and column in found[key]
        }
        got = {
            column: str(found[key][column]) if isinstance(found[key][column], Decimal) else found[key][column]
            for column in values
        }
        assert got == values
        if "bad_debt_raw" in row and "bad_debt_raw" in found[key]["inputs"]:
            assert str(found[key]["inputs"]["bad_debt_raw"]) == str(row["bad_debt_raw"])
    assert rejected == {place[entry["log"]] for entry in vector["none"] if entry.get("rejected")}


@pytest.mark.parametrize("name", sorted(all_protocols()))
def test_declaration(name):
    "Declared columns belong to the schema, kinds to the rule table, addresses are EIP-55, no contract stands twice."
    protocol = all_protocols()[name]
    connection = store.connect(":memory:")
    kinds = {kind for (kind,) in connection.execute("SELECT kind FROM kinds").fetchall()}
    tables = {
        table: set(store.columns(connection, table))
        for table in ("liquidations", "valuation_inputs", "markets", "rates", "prices", "owners", "emitters")
    }
    connection.close()

    assert protocol.name == name
    assert protocol.methodology.endswith(".")
    for mapping in protocol.mappings:
        assert set(mapping.liquidation or {}) <= tables["liquidations"]
        assert set(mapping.values) <= tables["valuation_inputs"]
        for table in ("markets", "rates", "prices", "owners", "emitters"):
            assert set(getattr(mapping, table) or {}) <= tables[table]
        if isinstance(mapping.kind, str):
            assert mapping.kind in kinds
    places = [(one.chain, one.address.lower()) for one in protocol.deployments]
    assert len(set(places)) == len(places)
    assert [one.address for one in protocol.deployments if checksummed(one.address) != one.address] == []


def checksummed(address):
    "The EIP-55 form of an address."
    digits = address[2:].lower()
    hashed = keccak256(digits).hex()
    return "0x" + "".join(
        letter.upper() if int(nibble, 16) > 7 else letter for letter, nibble in zip(digits, hashed, strict=False)
    )
