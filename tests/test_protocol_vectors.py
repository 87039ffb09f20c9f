"""The shape of tests/protocols/*.json: logs, the rows they must give, and the logs that must give none.

`logs`: chain, address, topics, data, block_number, log_index, tx_hash, block_timestamp, origin; `emitter_of` is the
venue of an emitter that no deployment lists; `stands_in` names the positions that the source does not state.
`rows`: `log` is the place in `logs`, the other keys are columns of `liquidations` that follow from the logs;
`bad_debt_raw` is in raw units of the debt token; `lookup` needs `markets`; `priced` needs a price or the event's own.
`none`: `log`, `reason`, and `rejected` where the log is malformed and must be kept as a reject.
`calls`: tx_hash, address (the emitter it was for) and call: what a transaction called, where no log says it.
"""

import json
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "protocols").glob("*.json"))
LOG_KEYS = {
    "chain",
    "address",
    "topics",
    "data",
    "block_number",
    "log_index",
    "tx_hash",
    "block_timestamp",
    "origin",
}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def vector(request):
    "One parsed vector file."
    return json.loads(request.param.read_text())


def test_each_log_is_decided(vector):
    "Each log has one expected row or one reason why it has none; both kinds occur."
    places = [row["log"] for row in vector["rows"]] + [entry["log"] for entry in vector["none"]]

    assert sorted(places) == list(range(len(vector["logs"])))
    assert vector["rows"]
    assert all(entry["reason"] for entry in vector["none"])


def test_logs_are_whole(vector):
    "Topics are 32 bytes, data is whole words, and no two logs share a position in a chain."
    logs = vector["logs"]

    assert all(set(log) >= LOG_KEYS for log in logs)
    assert all(len(topic) == 66 for log in logs for topic in log["topics"])
    assert all(len(log["data"]) % 64 == 2 for log in logs)
    assert len({(log["chain"], log["block_number"], log["log_index"]) for log in logs}) == len(logs)


def test_amounts_fit(vector):
    "An expected raw amount is a decimal string below 10^38 or null."
    amounts = [
        row[column]
        for row in vector["rows"]
        for column in ("collateral_raw", "debt_raw", "bad_debt_raw")
        if row.get(column) is not None
    ]

    assert all(isinstance(amount, str) and 0 <= int(amount) < 10**38 for amount in amounts)
