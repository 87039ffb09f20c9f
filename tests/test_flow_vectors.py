"""The shape of tests/vectors/flows.json: logs and the flow that each must give.

`rows`: `log` is the place in `logs`; kind, account (the owner of the position, not who paid), token, amount_raw (null
from 10^38 on) and, of transfers, both addresses; `lookup` needs `markets`; `direction` where the log is a leg of
another act. `none`: logs that move nothing. `bridge_out` leaves the chain of the row, `bridge_in` arrives there.
"""

import json
from pathlib import Path

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
