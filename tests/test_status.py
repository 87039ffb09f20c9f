"""`indexer status`: what is covered, what is open, how complete, how far behind."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from command_line import indexer
from exotic import fill
from fixture_store import empty_store, insert

from indexer import status, store

NOW = dt.datetime(2026, 1, 3)
DAY = dt.datetime(2026, 1, 1)


@pytest.fixture
def connection():
    "A store with three ranges and a hole, a CeFi feed, rejects and a learned limit."
    connection = empty_store()
    insert(
        connection,
        "coverage",
        [
            {"source": "rpc", "chain": "ethereum", "dataset": "liquidations:aave_v3", "from_block": first, "to_block": last,
             "from_at": DAY + dt.timedelta(minutes=first), "to_at": DAY + dt.timedelta(minutes=last + 1), "n_rows": 3,
             "n_rejected": 1, "proof": "header_in_batch", "finality": finality}
            for first, last, finality in ((1, 10, "final"), (11, 20, "final"), (31, 40, "pending"))
        ]
        + [{"source": "binance_ws", "dataset": "binance:forceOrder", "from_at": DAY, "to_at": DAY + dt.timedelta(hours=36)}],
    )  # fmt: skip
    return connection


def sections(text):
    "The lines of each section by its heading."
    found = {}
    for block in text.split("\n\n"):
        heading, *lines = block.splitlines()
        found[heading.split(":")[0]] = [line.split() for line in lines] or heading
    return found


def test_coverage_is_merged_and_its_holes_are_counted(connection):
    "Adjacent ranges are one; the share between first and last, pending ranges, rows and lag are stated."
    covered = sections(status.text(connection, "x.duckdb", NOW))["Covered"]

    assert covered[1:] == [
        ["binance_ws", "-", "binance:forceOrder", "2026-01-01", "00:00:00", "2026-01-02", "12:00:00", "100.00%", "0", "0",
         "-", "-", "12.0", "h", "-"],
        ["rpc", "ethereum", "liquidations:aave_v3", "1", "40", "75.00%", "1", "1", "9", "3", "2.0", "d", "header_in_batch"],
    ]  # fmt: skip


def test_holes_and_failed_ranges_are_open(connection):
    "A hole between ranges is listed; so is a range that could not be completed, with its reason."
    hole = ["rpc", "ethereum", "liquidations:aave_v3", "21", "30", "between", "covered", "ranges,", "never", "asked"]
    before = sections(status.text(connection, "x.duckdb", NOW))["Open"]
    gap = {"source": "rpc", "chain": "ethereum", "dataset": "liquidations:aave_v3", "reason": "too many results"}
    insert(connection, "gaps", [gap | {"from_block": 24, "to_block": 25}])
    partly = sections(status.text(connection, "x.duckdb", NOW))["Open"]
    insert(connection, "gaps", [gap | {"from_block": 21, "to_block": 30}])
    wholly = sections(status.text(connection, "x.duckdb", NOW))["Open"]

    assert before[1:] == [hole]
    assert hole in partly[1:]
    assert hole not in wholly[1:]
    assert len(partly) == len(wholly) == 3


def test_completeness_and_unpriced_rows(connection):
    "Rows by venue and completeness class, and what has no price and why."
    insert(
        connection,
        "liquidations",
        [
            {"event_id": "a", "venue": "aave_v3", "sector": "lending", "kind": "call", "chain": "ethereum", "liquidated_at": DAY,
             "collateral_symbol": "XYZ", "completeness": "full"},
            {"event_id": "b", "venue": "binance", "venue_kind": "cefi", "liquidated_at": DAY, "forced_usd": 1.0,
             "completeness": "throttled_largest_1s"},
        ],
    )  # fmt: skip
    found = sections(status.text(connection, "x.duckdb", NOW))
    day = ["2026-01-01", "00:00:00"]

    assert found["Completeness"][1:] == [
        ["aave_v3", "full", *day, *day, "1", "1", "1"],
        ["binance", "throttled_largest_1s", *day, *day, "1", "1", "0"],
    ]
    assert found["Unpriced"][1:] == [["ethereum", "aave_v3", "XYZ", "no", "price", "1"]]


def test_rejects_and_learned_limits(connection):
    "Rejected records by reason; what was learned about an endpoint."
    insert(
        connection,
        "rejected",
        [
            {"source": "rpc", "chain": "ethereum", "block_number": n, "reason": "short data", "raw": "{}"}
            for n in (7, 9)
        ],
    )
    insert(
        connection,
        "endpoints",
        [{"host": "node.example", "chain": "ethereum", "method": "eth_getLogs", "max_blocks": 2000}],
    )
    found = sections(status.text(connection, "x.duckdb", NOW))

    assert found["Rejected"][1:] == [["rpc", "ethereum", "short", "data", "2", "7", "9"]]
    assert found["Endpoints"][1][:4] == ["node.example", "ethereum", "eth_getLogs", "2,000"]


def test_long_sections_are_cut_and_counted(connection):
    "At most twenty lines a section; the rest is counted."
    insert(connection, "rejected", [{"source": "rpc", "reason": f"reason {n}"} for n in range(24)])
    insert(connection, "rejected", [{"source": "rpc", "reason": f"not a time: {n}"} for n in range(30)])
    rejected = sections(status.text(connection, "x.duckdb", NOW))["Rejected"]

    assert rejected[1][:-2] == ["rpc", "-", "not", "a", "time", "(several)", "30"]
    assert len(rejected) == 22
    assert rejected[-1] == ["and", "5", "more"]


def test_exchanges(tmp_path):
    "How late records came, which symbols no rule names, and why a stretch of time between two recordings is open."

    def frame(second, symbol, late):
        order = {"s": symbol, "S": "SELL", "z": "2", "ap": "10", "T": (1791565600 + second) * 1000}
        frame = {"e": "forceOrder", "E": 1, "o": order}
        return json.dumps({"received_at": 1791565600 + second + late, "frame": frame})

    lines = [frame(0, "ETHUSDT", 1), frame(2, "?!", 2), frame(4, "ETHUSDT", 480), frame(481, "ETHUSDT", 1.5)]
    capture = tmp_path / "a.jsonl"
    capture.write_text("\n".join(lines))
    path = tmp_path / "new.duckdb"
    indexer("--db", path, "backfill", "cefi", "--venue", "binance", capture)
    with store.connect(path) as connection:
        insert(
            connection,
            "gaps",
            [
                {
                    "source": "binance_ws",
                    "dataset": "binance:forceOrder",
                    "from_at": dt.datetime(2026, 10, 9, 17, 6, 44),
                    "to_at": dt.datetime(2026, 10, 9, 17, 7),
                    "reason": "connection lost",
                }
            ],
        )
    found = sections(indexer("--db", path, "status").out)

    late = found["Lateness of exchange records, in seconds"]
    assert late[1][:5] == ["binance_ws", "4", "1.750", "465.660", "480.000"]
    assert found["Unknown symbols"][1] == ["binance", "?!", "1", "-"]
    assert [line[-2:] for line in found["Open"][1:]] == [["connection", "lost"]]


def test_simulated_chains_are_named():
    "A simulated chain is said to be one."
    text = status.text(fill(empty_store()), "x.duckdb", NOW)

    assert "devnet is a simulated chain" in text


def test_an_empty_database(tmp_path):
    "Nothing stored but the built-in labels is a state too: exit code 0."
    path = tmp_path / "new.duckdb"
    store.connect(path).close()
    answer = indexer("--db", path, "status")

    assert (answer.code, answer.err) == (0, "")
    found = {heading: lines for heading, lines in sections(answer.out).items() if heading != str(path)}
    assert [line[0] for line in found.pop("Stored")] == ["table", "labels"]
    assert found == {
        name: f"{name}: nothing"
        for name in (
            "Covered",
            "Open",
            "Completeness",
            "Unpriced",
            "Rejected",
            "Lateness of exchange records, in seconds",
            "Unknown symbols",
            "Label conflicts",
            "Endpoints",
        )
    }
