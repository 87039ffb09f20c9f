"""The audits: a clean store passes them all, and each kind of damage fails the one that looks for it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import eth_abi
import pytest
from command_line import FIXTURES, indexer
from fixture_store import empty_store, insert

from indexer import audit, store
from indexer.datasets import DATASETS

MAKER = json.loads((Path(__file__).parent / "protocols" / "maker.json").read_text())
AT = dt.datetime(2025, 10, 10, 21)
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
EVENT_DATA = "(" + ",".join(
    f"((string,{kind})[],(string,{kind}[])[])" for kind in ("address", "uint256", "int256", "bool", "bytes32", "bytes", "string")
) + ")"  # fmt: skip


def order_log(key):
    "Data of an EventLog1 of GMX v2 whose only item is the order's key."
    parts = [([], []) for _ in range(7)]
    parts[4] = ([("orderKey", key), ("positionKey", b"\x07" * 32)], [])
    return eth_abi.encode(["address", "string", EVENT_DATA], ["0x" + "11" * 20, "PositionDecrease", tuple(parts)])


def raw_log(block_number, log_index, **columns):
    "A stored log at a position of `ethereum`."
    return {
        "chain": "ethereum", "block_number": block_number, "log_index": log_index, "logged_at": AT,
        "block_hash": block_number.to_bytes(32, "big"), "address": b"\xaa" * 20, "data": b"", **columns,
    }  # fmt: skip


def row(at_block, at_index, /, **columns):
    "A priced liquidation decoded from the log at that position."
    return {
        "event_id": f"ethereum:{at_block}:{at_index}", "venue": "aave_v3", "venue_kind": "defi", "sector": "lending",
        "protocol": "aave_v3", "chain": "ethereum", "kind": "call", "liquidated_at": AT, "block_number": at_block,
        "block_hash": f"0x{at_block:064x}", "tx_hash": f"0x{at_block:064x}", "log_index": at_index,
        "account": "0xa1", "market": "0xpool", "collateral_token": WETH, "collateral_raw": Decimal(2 * 10**18),
        "collateral_amount": 2.0, "debt_token": "0xdebt", "debt_raw": Decimal(5_000_000_000), "debt_amount": 5000.0,
        "forced_usd": 6000.0, "seized_usd": 6000.0, "repaid_usd": 5000.0, "price_source": "chainlink:0x1",
        "price_at": AT - dt.timedelta(seconds=60), "completeness": "full", "source": "rpc",
    } | columns  # fmt: skip


PERP = {
    "sector": "perp", "kind": "market", "collateral_token": None, "collateral_raw": None, "collateral_amount": None,
    "debt_token": None, "debt_raw": None, "debt_amount": None, "seized_usd": None, "repaid_usd": None, "size": 2.0,
    "price": 3000.0, "price_source": "fill", "price_at": AT,
}  # fmt: skip


OFF_CHAIN = {"block_number": None, "block_hash": None, "tx_hash": None, "log_index": None}


def fill(connection):
    "Rows that break no rule: Aave, a recorded Maker auction, GMX, Hyperliquid, Comet."
    maker = [(log, MAKER["logs"][log["log"]]) for log in MAKER["rows"] if log["log"] < 8]
    insert(
        connection,
        "raw_logs",
        [
            raw_log(10, 1),
            raw_log(11, 1),
            raw_log(20, 1, data=order_log(b"\x01" * 32)),
            raw_log(21, 1, data=order_log(b"\x02" * 32)),
            raw_log(30, 1),
            raw_log(31, 1),
            *(
                {
                    "chain": log["chain"],
                    "block_number": log["block_number"],
                    "log_index": log["log_index"],
                    "logged_at": AT,
                    "address": bytes.fromhex(log["address"][2:]),
                    "data": bytes.fromhex(log["data"][2:]),
                    **{f"topic{place}": bytes.fromhex(topic[2:]) for place, topic in enumerate(log["topics"])},
                }
                for log in MAKER["logs"][:8]
            ),
        ],
    )
    unvalued = {
        "collateral_token": None,
        "collateral_amount": None,
        "debt_token": None,
        "debt_amount": None,
        "repaid_usd": None,
    }
    insert(
        connection,
        "liquidations",
        [
            row(10, 1),
            row(11, 1, kind="bad_debt", tx_hash=f"0x{10:064x}", collateral_raw=None, collateral_amount=None, forced_usd=None,
                seized_usd=None, repaid_usd=None, price_source=None, price_at=None),
            row(20, 1, venue="gmx_v2", protocol="gmx_v2", **PERP | {"price_source": "event"}),
            row(21, 1, venue="gmx_v2", protocol="gmx_v2", **PERP | {"price_source": "event"}),
            row(30, 1, venue="compound_v3", protocol="compound_v3", kind="absorb", market="0xcomet"),
            row(31, 1, venue="compound_v3", protocol="compound_v3", kind="resale", market="0xcomet", forced_usd=None,
                seized_usd=None, repaid_usd=None, price_source=None, price_at=None),
            row(0, 0, event_id="hyperliquid:1760130000000:ETH:7:0xa1", chain="hyperliquid", venue="hyperliquid",
                source="hyperliquid_archive", **PERP | OFF_CHAIN),
            *(
                row(log["block_number"], log["log_index"], event_id=f"devnet:{log['block_number']}:{log['log_index']}",
                    venue="maker", protocol="maker", chain="devnet", sector="cdp", kind=wanted["kind"], block_hash=None,
                    collateral_raw=Decimal(wanted["collateral_raw"]), debt_raw=Decimal(wanted["debt_raw"]),
                    forced_usd=None, seized_usd=None, price_source=None, price_at=None, tx_hash=log["tx_hash"],
                    account=wanted["account"], **unvalued)
                for wanted, log in maker
            ),
        ],
    )  # fmt: skip
    insert(connection, "tokens", [{"chain": "ethereum", "address": WETH, "symbol": "WETH", "decimals": 18},
                                  {"chain": "ethereum", "address": "0xdebt", "symbol": "USDC", "decimals": 6}])  # fmt: skip
    insert(connection, "emitters", [{"chain": "ethereum", "address": "0xcomet", "protocol": "compound_v3",
                                     "venue": "compound_v3", "first_block": 1}])  # fmt: skip
    spans = [("ethereum", venue, 0, 100) for venue in ("aave_v3", "gmx_v2", "compound_v3")] + [
        ("devnet", "maker", 0, 500)
    ]
    insert(
        connection,
        "coverage",
        [
            {"source": "rpc", "chain": chain, "dataset": f"liquidations:{venue}", "from_block": first, "to_block": last,
             "from_at": AT - dt.timedelta(days=1), "to_at": AT + dt.timedelta(days=1)}
            for chain, venue, first, last in spans
        ]
        + [{"source": "hyperliquid_archive", "chain": "hyperliquid", "dataset": "fills", "from_at": AT,
            "to_at": AT + dt.timedelta(hours=1)}],
    )  # fmt: skip


@pytest.fixture(scope="module")
def shared():
    "The store of this module."
    return empty_store()


@pytest.fixture
def connection(shared):
    "A store that breaks no rule."
    for table in DATASETS:
        shared.execute(f"DELETE FROM {store.stored_in(table)}")
    fill(shared)
    return shared


SECOND_USER = """
  INSERT INTO liquidations
  SELECT * REPLACE ('hyperliquid:1760130000000:ETH:7:0xb2' AS event_id, '0xb2' AS account)
  FROM liquidations WHERE venue = 'hyperliquid'
"""
AGGREGATE = """
  UPDATE liquidations SET account = NULL, collateral_raw = 9, debt_raw = 9 WHERE event_id = 'ethereum:10:1';
  INSERT INTO liquidations
  SELECT liquidations.* REPLACE ('ethereum:10:' || n AS event_id, n AS log_index, '0xb' || n AS account,
    n AS collateral_raw, n AS debt_raw)
  FROM liquidations, (VALUES (4), (5)) AS parts(n) WHERE event_id = 'ethereum:10:1'
"""


def broken(connection):
    "Names of the checks that found something."
    return [check.name for check in audit.run(connection) if check.n_bad]


def test_a_clean_store_passes(connection):
    "No check finds anything, warnings included."
    assert broken(connection) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE liquidations SET is_headline = false WHERE event_id = 'ethereum:10:1'", "headline_rule"),
        ("INSERT INTO liquidations SELECT * REPLACE (event_id || ':again' AS event_id) FROM liquidations WHERE event_id = 'ethereum:10:1'",
         "same_log_twice"),
        (SECOND_USER, "hyperliquid_fill_once"),
        (AGGREGATE, "aggregate_and_parts"),
        ("UPDATE raw_logs SET data = (SELECT data FROM raw_logs WHERE block_number = 20) WHERE block_number = 21", "gmx_order_once"),
        ("UPDATE liquidations SET side = 'long' WHERE kind = 'resale'", "resale_without_value"),
        ("UPDATE liquidations SET price_source = NULL WHERE event_id = 'ethereum:10:1'", "priced_with_source"),
        ("UPDATE liquidations SET forced_usd = 0, seized_usd = 0 WHERE event_id = 'ethereum:10:1'", "missing_is_null"),
        ("UPDATE liquidations SET price_at = liquidated_at + INTERVAL 1 SECOND WHERE event_id = 'ethereum:10:1'", "price_not_later"),
        ("UPDATE liquidations SET forced_usd = 6001 WHERE event_id = 'ethereum:10:1'", "seized_is_forced"),
        ("UPDATE liquidations SET forced_usd = 6001 WHERE venue = 'hyperliquid'", "perp_is_size_times_price"),
        ("UPDATE liquidations SET collateral_amount = 2e10 WHERE event_id = 'ethereum:10:1'", "amount_is_scaled_raw"),
        ("UPDATE liquidations SET debt_amount = 5e-9 WHERE event_id = 'ethereum:10:1'", "debt_is_scaled_raw"),
        ("UPDATE liquidations SET bonus_usd = 'nan' WHERE event_id = 'ethereum:10:1'", "numbers_are_finite"),
        ("UPDATE coverage SET to_block = -1 WHERE dataset = 'liquidations:gmx_v2'", "ranges_in_order"),
        ("INSERT INTO coverage FROM coverage WHERE dataset = 'fills'", "ranges_in_order"),
        ("UPDATE coverage SET to_block = 10, head_hash = '0xbad' WHERE dataset = 'liquidations:gmx_v2'", "one_hash_a_block"),
        ("UPDATE coverage SET to_block = 9 WHERE dataset = 'liquidations:aave_v3'", "rows_are_covered"),
        ("UPDATE coverage SET from_at = from_at + INTERVAL 1 SECOND WHERE dataset = 'fills'", "rows_are_covered"),
        ("DELETE FROM coverage WHERE dataset = 'fills'", "venues_are_covered"),
        ("DELETE FROM raw_logs WHERE block_number = 10", "raw_log_is_kept"),
        ("UPDATE liquidations SET collateral_raw = collateral_raw - 1 WHERE event_id = 'devnet:416:1'", "maker_lot_difference"),
        ("UPDATE liquidations SET collateral_raw = 113775461876194344961 WHERE event_id = 'devnet:406:1'", "takes_within_lot"),
        ("UPDATE liquidations SET kind = 'absorb' WHERE event_id = 'ethereum:10:1'", "aave_deficit_in_call"),
        ("UPDATE liquidations SET collateral_raw = collateral_raw + 1e15::BIGINT WHERE kind = 'resale'", "resale_within_absorbed"),
    ],
)  # fmt: skip
def test_damage_is_found(connection, damage, found):
    "What breaks one rule is found by the audit of that rule."
    connection.execute(damage)

    assert found in broken(connection)


def test_wide_integers_are_found():
    "A view with a HUGEINT column would reach Parquet as DOUBLE."
    with empty_store() as connection:
        connection.execute("CREATE VIEW totals AS SELECT sum(log_index) AS total FROM liquidations")

        assert broken(connection) == ["no_wide_integers"]


def test_nested_ranges_cover(connection):
    "A row inside a long range is covered although a later, shorter range has ended before it."
    connection.execute(
        "INSERT INTO coverage SELECT * REPLACE (2 AS from_block, 5 AS to_block) FROM coverage WHERE dataset = 'liquidations:aave_v3'"
    )

    assert broken(connection) == []


def test_a_take_after_a_gap_is_not_compared(connection):
    "Where the blocks between two takes are not covered, their lots say nothing about each other."
    connection.execute("UPDATE liquidations SET collateral_raw = collateral_raw - 1 WHERE event_id = 'devnet:416:1'")
    connection.execute("UPDATE coverage SET from_block = 410 WHERE dataset = 'liquidations:maker'")

    assert "maker_lot_difference" not in broken(connection)


def test_an_empty_store_passes():
    "Nothing stored, nothing wrong; all checks are there."
    with empty_store() as connection:
        checks = list(audit.run(connection))

    assert not any(check.n_bad for check in checks)
    assert len({check.name for check in checks}) == len(checks) > 25


def test_exit_codes(tmp_path):
    "The audits print a line a check: exit code 0 with warnings only, 1 when one fails."
    path = tmp_path / "night.duckdb"
    indexer("--db", path, "import", FIXTURES)
    passed = indexer("--db", path, "verify")
    with store.connect(path) as connection:
        connection.execute("UPDATE liquidations SET is_headline = NOT is_headline WHERE event_id = 'p01'")
    failed = indexer("--db", path, "verify")

    assert (passed.code, passed.err) == (0, "")
    assert "warn  double counting  relay_equals_adl: 1 bad, for example p07" in passed.out
    assert failed.code == 1
    assert [line for line in failed.out.splitlines() if line.startswith("FAIL")] == [
        "FAIL  double counting  headline_rule: 1 bad, for example p01; see queries/quality/double_count_audit.sql"
    ]
