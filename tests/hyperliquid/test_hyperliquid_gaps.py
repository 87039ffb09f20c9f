"""What is not proven or cannot be placed is said; records of other hours count under their own time; records are kept."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations

import polars as pl
import pytest
from forced import HLP, HOUR, ZERO_HASH, address, adl_pair, backstop_pair, block, compact, fill, market_pair, tag, write
from test_hyperliquid_backfill import ask, at, hour_file, ledger_event, run, tids

from indexer import store
from indexer.hyperliquid import again, placing
from indexer.hyperliquid import write as write_module
from indexer.ranges import Range

USER, MAKER, WINNER = address(1), address(2), address(3)
NOON = datetime(2025, 11, 22, 7)


# -- records of another hour --


@pytest.fixture
def mixed(tmp_path):
    "Three hours; the file of 04 also holds a fill of 05:30 and one of 09:00, that of 06 one of 04:10."
    root = tmp_path / "archive"
    hour_file(root, 4, [at(4, 1, tid=1), at(5, 1800, tid=55), at(9, 0, tid=99)])
    hour_file(root, 5, [at(5, 1, tid=2)])
    hour_file(root, 6, [at(6, 1, tid=3), at(4, 600, tid=44)])
    hour_file(root, 7, [])
    return root


def test_fills_of_other_hours(tmp_path, mixed):
    "A fill in the file of another hour is stored under its own time if that was asked for; either way it is reported."
    code, said = run(tmp_path, until=NOON)
    again_code, _ = run(tmp_path, until=NOON)

    assert (code, again_code, tids(tmp_path)) == (0, 0, [1, 44, 2, 55, 3])
    assert "1 forced fills of other hours than the file's, stored under their own time" in said[0]
    assert "1 forced fills of hours that were not asked for, left out" in said[0]
    hour_file(mixed, 5, [at(5, 2, tid=22)])
    run(tmp_path, until=NOON)
    assert tids(tmp_path) == [1, 44, 22, 55, 3]
    hour_file(mixed, 4, [at(4, 1, tid=1)])
    run(tmp_path, until=NOON)
    assert tids(tmp_path) == [1, 44, 22, 3]


@pytest.mark.usefixtures("mixed")
def test_fills_of_other_hours_in_any_order(tmp_path):
    "Whichever file is read first, the same rows are there."
    for order in list(permutations((4, 5, 6)))[1:3]:
        place = tmp_path / str(order[0])
        for hour in (*order, *order):
            window = {"since": datetime(2025, 11, 22, hour), "until": datetime(2025, 11, 22, hour + 1)}
            run(place, archive=str(tmp_path / "archive"), **window)
            with store.connect(place / "x.duckdb") as connection:
                connection.execute("DELETE FROM coverage")
        run(place, archive=str(tmp_path / "archive"), until=NOON)

        assert tids(place) == [1, 44, 2, 55, 3]


# -- records without a block number --


def test_placing():
    "A record without a number has the one of its millisecond, or lies between its neighbours' numbers, or is undecided."
    rows = [(10, 100), (10, None), (20, None), (30, 200), (40, None), (50, 300), (60, None), (None, None)]
    records = pl.DataFrame(rows, schema=["time", "block_number"], orient="row")

    def times(first, last):
        found = placing.placed(records, Range(first, last))
        return found.inside["time"].to_list(), found.undecided.to_list()

    assert times(100, 200) == ([10, 10, 20, 30, None], [40])
    assert times(100, 300) == ([10, 10, 20, 30, 40, 50, None], [60])
    assert times(201, 250) == ([None], [40])
    assert times(301, 400) == ([None], [60])
    assert placing.placed(records, None).inside.height == 8


def test_unknown_block(tmp_path):
    "A liquidation whose block nobody knows is neither guessed nor lost: the blocks are a gap until the hour is read by time."
    early, odd, late = (
        [USER, fill(liquidation=tag(USER), tid=tid, time=HOUR + 1000 * tid, hash=hash_)]
        for tid, hash_ in ((1, block_hash(803_000_000)), (2, ZERO_HASH), (3, block_hash(803_000_100)))
    )
    hour_file(tmp_path / "archive", 4, [early, odd, late], family="node_fills")
    hour_file(tmp_path / "archive", 5, [], family="node_fills")

    code, said = run(tmp_path, from_block=803_000_000, to_block=803_000_050)
    stored, gaps = tids(tmp_path), ask(tmp_path, "SELECT dataset, from_at, reason FROM gaps")
    whole, _ = run(tmp_path, from_block=803_000_000, to_block=803_000_100)
    after = tids(tmp_path)
    by_time, _ = run(tmp_path)

    assert (code, stored) == (1, [1])
    assert gaps == [("fills", datetime(2025, 11, 22, 4, 0, 2), placing.UNPLACED)]
    assert "1 fills: records without a block number" in said[0]
    assert (whole, after) == (0, [1, 2, 3])
    assert (by_time, tids(tmp_path), ask(tmp_path, "FROM gaps")) == (0, [1, 2, 3], [])


def block_hash(number):
    "A hash with a block number in it."
    return "0x" + "dc" * 10 + "04" + f"{number:08x}" + "0000" + "60" * 15


def test_rejected_without_block(tmp_path):
    "A record that cannot be read at all is put aside in a block range too."
    bad = [USER, fill(liquidation=tag(USER, "partial"), time=HOUR + 5, hash=ZERO_HASH)]
    hour_file(tmp_path / "archive", 4, [bad, "garbage"], family="node_fills")

    run(tmp_path, from_block=803_000_000, to_block=803_000_050)

    assert ask(tmp_path, "SELECT raw FROM rejected") == [("garbage",)]
    assert ask(tmp_path, "SELECT reason FROM gaps WHERE from_at IS NOT NULL AND reason NOT LIKE 'the last%'") == [
        (placing.UNPLACED,)
    ]


def test_middle_hour_missing(tmp_path):
    "Without the next file the last minute is open even where a later file follows."
    hour_file(tmp_path / "archive", 4, [at(4, 1, tid=1)])
    hour_file(tmp_path / "archive", 6, [at(6, 1, tid=3)])
    hour_file(tmp_path / "archive", 7, [])

    code, _ = run(tmp_path, until=NOON)

    assert code == 1
    gaps = ask(tmp_path, "SELECT from_at, to_at FROM gaps ORDER BY 1")
    assert gaps == [
        (datetime(2025, 11, 22, 4, 59), datetime(2025, 11, 22, 5)),
        (datetime(2025, 11, 22, 5), datetime(2025, 11, 22, 6)),
    ]
    assert ask(tmp_path, "SELECT to_at FROM coverage WHERE from_at = TIMESTAMP '2025-11-22 04:00'") == [
        (datetime(2025, 11, 22, 4, 59),)
    ]


def test_gaps_are_cut_to_size(tmp_path):
    "What is proven is cut out of a gap; the rest of it stays, and a block range proves no whole hour."
    with store.connect(tmp_path / "x.duckdb") as connection:
        day = datetime(2025, 11, 22)
        for dataset, hours in (("fills", (4, 8)), ("misc_events", (4, 5))):
            gap = {"from_at": day.replace(hour=hours[0]), "to_at": day.replace(hour=hours[1]), "reason": "r"}
            write_module.mark_gap(connection, {"dataset": dataset} | gap)
    hour_file(tmp_path / "archive", 5, [at(5, 1, tid=1, number=803_000_000), at(5, 2, tid=2, number=803_000_012)])
    hour_file(tmp_path / "archive", 6, [at(6, 1, tid=3, number=803_050_000)])
    run(tmp_path, from_block=803_000_000, to_block=803_000_000)
    untouched = ask(tmp_path, "SELECT count(*) FROM gaps WHERE reason = 'r'")
    run(tmp_path, since=datetime(2025, 11, 22, 5), until=datetime(2025, 11, 22, 6))

    assert untouched == [(2,)]
    assert ask(tmp_path, "SELECT dataset, hour(from_at), hour(to_at) FROM gaps ORDER BY ALL") == [
        ("fills", 4, 5),
        ("fills", 6, 8),
        ("misc_events", 4, 5),
    ]


# -- records kept --


ROWS = "SELECT * FROM {} ORDER BY ALL"


def night(tmp_path):
    "An hour with every kind, a rejected record, a self-match, and the ledger event of the backstop."
    time_ms = HOUR + 1000
    events = [
        *market_pair(USER, MAKER, tid=1, time=time_ms),
        *backstop_pair(USER, HLP, tid=2, time=time_ms),
        *adl_pair(WINNER, HLP, tid=3, time=time_ms),
        [USER, fill(dir="Liquidated Cross Long", tid=4, time=time_ms)],
        [MAKER, fill(tid=5, time=time_ms, liquidation=tag(MAKER), coin="kPEPE", novelty={"text": 'a "quoted" ]} end'})],
    ]
    root = tmp_path / "archive"
    hour_file(root, 4, [block(800_000_012, events, time_ms)])
    hour_file(root, 4, [ledger_event(time_ms, USER, "250.0")], family="misc_events_by_block")
    for family in ("node_fills_by_block", "misc_events_by_block"):
        hour_file(root, 5, [], family=family)
    return events


def test_redecode(tmp_path):
    "Records are kept as they were written, and decoding them again gives the very rows, rejects and margins."
    events = night(tmp_path)
    run(tmp_path)
    tables = ("liquidations", "rejected", "raw_frames")
    before = {table: ask(tmp_path, ROWS.format(table)) for table in tables}
    with store.connect(tmp_path / "x.duckdb") as connection:
        connection.execute("UPDATE liquidations SET forced_usd = 0, kind = 'market'")
        connection.execute("DELETE FROM rejected")
        n_rows = again.redecode(connection, lambda _: None)

    assert n_rows == 5
    assert {table: ask(tmp_path, ROWS.format(table)) for table in tables} == before
    frames = [frame for (frame,) in ask(tmp_path, "SELECT frame FROM raw_frames WHERE market IS NOT NULL")]
    own = compact({"block_number": 800_000_012, "events": [events[-1]]})
    assert own in frames
    assert ask(tmp_path, "SELECT DISTINCT connection, received_at FROM raw_frames ORDER BY 1") == [
        ("fills/20251122/4", datetime(2025, 11, 22, 4, 0, 1)),
        ("misc_events/20251122/4", datetime(2025, 11, 22, 4, 0, 1)),
    ]


def test_redecode_in_batches(tmp_path, monkeypatch):
    "Records are decoded again some at a time, whole minutes together, with the same rows."
    monkeypatch.setattr(again, "BATCH_FRAMES", 3)
    lines = [at(4, minute * 60 + second, tid=60 * minute + second) for minute in range(5) for second in (1, 2)]
    hour_file(tmp_path / "archive", 4, lines)
    run(tmp_path)
    before = ask(tmp_path, ROWS.format("liquidations"))
    with store.connect(tmp_path / "x.duckdb") as connection:
        n_batches = len(again.stretches(connection, "hyperliquid_archive"))
        connection.execute("UPDATE liquidations SET forced_usd = 0")
        again.redecode(connection, lambda _: None)

    assert n_batches == 4
    assert ask(tmp_path, ROWS.format("liquidations")) == before


def test_redecode_with_other_labels(tmp_path):
    "What a label says today decides: without the vault's label its relay is an ordinary backstop."
    night(tmp_path)
    run(tmp_path)
    with store.connect(tmp_path / "x.duckdb") as connection:
        connection.execute("DELETE FROM labels WHERE entity = 'hlp'")
        again.redecode(connection, lambda _: None)

        kinds = connection.execute("SELECT kind, account FROM liquidations WHERE account = ?", [HLP]).fetchall()
    assert kinds == [("backstop", HLP)]


@pytest.mark.parametrize("family", ["node_fills", "node_fills_by_block"])
def test_redecode_of_both_families(tmp_path, family):
    "A line without an envelope is kept without one, and its block still comes from the hash."
    pairs = market_pair(USER, MAKER, tid=7, time=HOUR + 1000, hash=block_hash(803_000_012))
    records = pairs if family == "node_fills" else [block(803_000_012, pairs)]
    write(tmp_path / "archive" / family / "hourly/20251122/4", records, plain=True)
    run(tmp_path)
    before = ask(tmp_path, ROWS.format("liquidations"))
    with store.connect(tmp_path / "x.duckdb") as connection:
        connection.execute("DELETE FROM liquidations")
        again.redecode(connection, lambda _: None)

    assert ask(tmp_path, ROWS.format("liquidations")) == before
    assert ask(tmp_path, "SELECT block_number FROM liquidations") == [(803_000_012,)]


def test_nothing_of_another_hour(tmp_path):
    "Late arrivals of the hour before are no strangers: they are not reported."
    hour_file(tmp_path / "archive", 4, [at(3, 3599.9, tid=1), at(4, 1, tid=2)])
    hour_file(tmp_path / "archive", 5, [at(4, 3599.9, tid=3)])

    _, said = run(tmp_path)

    assert (len(said), ";" in said[0]) == (1, False)
