"""Typed columns of a protocol's logs: only what its declaration names, which is all that its rows need."""

import json
from pathlib import Path

import pytest
from test_protocols import log_frame, route_frame

from indexer import typed
from indexer.derive import derive
from indexer.protocols import all_protocols

FOLDER = Path(__file__).parent / "protocols"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "chainlink")


def rows(name):
    "Every table of a protocol's vector, chain by chain."
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    found = {}
    for chain in sorted({log["chain"] for log in vector["logs"]}):
        logs = [log for log in vector["logs"] if log["chain"] == chain]
        routes = route_frame(name, chain, logs, vector.get("markets", []))
        tables = derive(chain, log_frame(logs), routes)
        found[chain] = {table: frame.rows(named=True) for table, frame in tables.items()}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_unnamed_fields_are_not_missed(name, monkeypatch):
    "Rows are the same when every field is decoded, so none that a declaration needs was left out."
    some = rows(name)
    fields = {field.name for event in all_protocols()[name].events for field in event.fields}
    monkeypatch.setattr(typed, "used", lambda _: fields)
    typed.nothing.cache_clear()
    everything = rows(name)
    typed.nothing.cache_clear()

    assert everything == some


def test_fields_that_nothing_names_are_left():
    "Of Aave's LiquidationCall the flag receiveAToken is in no row; fields of joined logs and keys of joins are named."
    assert "receiveAToken" not in typed.used("aave_v3")
    assert {"user", "debtToCover", "liquidatedCollateralAmount"} <= typed.used("aave_v3")
    assert {"clip", "id", "kpr", "price"} <= typed.used("maker")
    assert "liquidOwedUpdate.deltaWei.value" in typed.used("dydx_solo")
