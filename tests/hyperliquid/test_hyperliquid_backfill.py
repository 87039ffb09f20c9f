"""The backfill of hour files: windows of time and of blocks, gaps, overlapping sources, running again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import lz4.frame
import pytest
from forced import (
    HLP,
    HOUR,
    ZERO_HASH,
    address,
    adl_pair,
    backstop_pair,
    block,
    compact,
    fill,
    iso,
    market_pair,
    ms,
    vector,
    write,
)

from indexer import store
from indexer.errors import UserError
from indexer.hyperliquid import write as write_module
from indexer.hyperliquid.run import Options, backfill

REPOSITORY = Path(__file__).parents[2]
USER, MAKER, WINNER = address(1), address(2), address(3)
HOURS = 3_600_000
AT = datetime(2025, 11, 22, 4)


def hour_file(root, hour, records, *, family="node_fills_by_block", suffix=".lz4", day="20251122", **options):
    "An hour file where the archive has it."
    return write(root / family / "hourly" / day / f"{hour}{suffix}", records, **options)


def run(tmp_path, **options):
    "(exit code, narration) of a backfill of tmp_path/archive into tmp_path/x.duckdb; by default 04:00 to 05:00."
    window = {} if "from_block" in options else {"since": AT, "until": datetime(2025, 11, 22, 5)}
    said = []
    tmp_path.mkdir(exist_ok=True)
    chosen = {"archive": str(tmp_path / "archive")} | window | options
    return backfill(tmp_path / "x.duckdb", Options(**chosen), said.append), said


def ask(tmp_path, sql):
    "The rows of a query on the database."
    with store.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def dump(tmp_path):
    "Every table but for when things were done."
    tables = ["liquidations", "flows", "positions", "funding", "open_interest", "prices", "gaps", "rejected", "labels"]
    tables.append("raw_frames")
    rows = {table: ask(tmp_path, f"FROM {table} ORDER BY ALL") for table in tables}
    return rows | {"coverage": ask(tmp_path, "SELECT * EXCLUDE (indexed_at) FROM coverage ORDER BY ALL")}


def at(hour, seconds=1, tid=1, user=USER, number=None, **changes):
    "A block with one market liquidation, so many seconds into an hour of the day."
    time_ms = HOUR + (hour - 4) * HOURS + round(seconds * 1000)
    number = 800_000_000 + (hour - 4) * 43_200 + round(seconds * 12) if number is None else number
    return block(number, market_pair(user, MAKER, tid=tid, time=time_ms, **changes), time_ms)


@pytest.fixture
def root(tmp_path):
    "An archive of three hours; the last event of 04 arrived in 05."
    root = tmp_path / "archive"
    hour_file(root, 4, [at(3, 3599.9, tid=1), at(4, 1, tid=2), at(4, 1800, tid=3)])
    hour_file(root, 5, [at(4, 3599.9, tid=4), at(5, 1, tid=5)])
    hour_file(root, 6, [at(5, 3599.8, tid=6), at(6, 1, tid=7)])
    return root


def tids(tmp_path):
    "The tids of the stored rows, in order of time."
    rows = ask(tmp_path, "SELECT split_part(event_id, ':', 4)::INTEGER FROM liquidations ORDER BY liquidated_at")
    return [tid for (tid,) in rows]


@pytest.mark.usefixtures("root")
def test_an_hour_needs_the_next_file(tmp_path):
    "An hour of events is its own file and the late arrivals at the head of the next; nothing of other hours."
    code, said = run(tmp_path)

    assert (code, tids(tmp_path)) == (0, [2, 3, 4])
    assert len(said) == 1
    assert ask(tmp_path, "SELECT dataset, from_at, to_at, from_block, to_block, n_rows, proof FROM coverage") == [
        ("fills", AT, datetime(2025, 11, 22, 5), 800_000_012, 800_043_211, 3, "archive_file")
    ]
    assert ask(tmp_path, "FROM gaps") == []


@pytest.mark.usefixtures("root")
def test_next_file_not_there(tmp_path):
    "Without the next file the last arrivals of the hour are a gap of a minute: not covered, not zero, not complete."
    code, said = run(tmp_path, since=datetime(2025, 11, 22, 6), until=datetime(2025, 11, 22, 7))

    assert (code, tids(tmp_path)) == (1, [7])
    end = datetime(2025, 11, 22, 6, 59)
    assert ask(tmp_path, "SELECT to_at FROM coverage") == [(end,)]
    assert ask(tmp_path, "SELECT from_at, to_at FROM gaps") == [(end, datetime(2025, 11, 22, 7))]
    assert "next hour's file" in said[0]


def test_next_file_comes_later(tmp_path, root):
    "When the next file is there, the hour is read again, its gap is gone and its late arrivals are stored."
    later = (root / "node_fills_by_block/hourly/20251122/5.lz4").rename(tmp_path / "5.lz4")
    run(tmp_path)
    before = tids(tmp_path)
    later.rename(root / "node_fills_by_block/hourly/20251122/5.lz4")

    code, _ = run(tmp_path)

    assert (before, tids(tmp_path), code) == ([2, 3], [2, 3, 4], 0)
    assert ask(tmp_path, "FROM gaps") == []
    assert ask(tmp_path, "SELECT count(*) FROM coverage") == [(1,)]


@pytest.mark.usefixtures("root")
def test_window_inside_an_hour(tmp_path):
    "A window is half-open to the millisecond, and a part of an hour does not need the next file."
    code, _ = run(tmp_path, since=datetime(2025, 11, 22, 4, 0, 1), until=datetime(2025, 11, 22, 4, 30))

    assert (code, tids(tmp_path)) == (0, [2])
    assert ask(tmp_path, "SELECT from_at, to_at, from_block FROM coverage") == [
        (datetime(2025, 11, 22, 4, 0, 1), datetime(2025, 11, 22, 4, 30), None)
    ]


def test_missing_hour(tmp_path, root):
    "An hour without a file is a gap and exit code 1; the hours around it are kept."
    (root / "node_fills_by_block/hourly/20251122/5.lz4").unlink()

    code, said = run(tmp_path, until=datetime(2025, 11, 22, 7))

    assert (code, tids(tmp_path)) == (1, [2, 3, 7])
    gaps = ask(tmp_path, "SELECT from_at, to_at FROM gaps WHERE reason LIKE 'no hour file%'")
    assert gaps == [(datetime(2025, 11, 22, 5), datetime(2025, 11, 22, 6))]
    assert [one for (one,) in ask(tmp_path, "SELECT from_at FROM coverage ORDER BY 1")] == [
        AT,
        datetime(2025, 11, 22, 6),
    ]
    assert "gap fills 2025-11-22T05:00 to 2025-11-22T06:00" in said[0]


def test_nothing_there(tmp_path):
    "An archive without the hours is one gap; a folder that does not exist is the user's mistake."
    (tmp_path / "archive").mkdir()

    code, _ = run(tmp_path, until=datetime(2025, 11, 22, 7))

    assert code == 1
    assert ask(tmp_path, "SELECT from_at, to_at FROM gaps") == [(AT, datetime(2025, 11, 22, 7))]
    assert ask(tmp_path, "FROM coverage") == []
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path, archive=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "options",
    [
        {"until": AT},
        {"since": None},
        {"from_block": 5, "to_block": 4},
        {"from_block": 5, "to_block": 9, "since": AT, "until": datetime(2026, 1, 1)},
        {"from_block": 5},
    ],
)
@pytest.mark.usefixtures("root")
def test_windows_that_make_no_sense(tmp_path, options):
    "A window is two ends of one sort, the right way round; anything else is refused in one line."
    with pytest.raises(UserError):
        run(tmp_path, **options)


@pytest.mark.usefixtures("root")
def test_again(tmp_path):
    "Running again reads nothing and changes nothing; running after a loss of coverage reads again and changes nothing."
    run(tmp_path, until=datetime(2025, 11, 22, 7))
    before = dump(tmp_path)
    code, said = run(tmp_path, until=datetime(2025, 11, 22, 7))
    again = dump(tmp_path)
    with store.connect(tmp_path / "x.duckdb") as connection:
        connection.execute("DELETE FROM coverage")
    run(tmp_path, until=datetime(2025, 11, 22, 7))

    assert code == 0
    assert said == ["3 hours are covered by the same files already"]
    assert before == again == dump(tmp_path)


def test_published_again(tmp_path, root):
    "An hour whose file is another one is replaced: what the new file does not say is gone."
    run(tmp_path)
    hour_file(root, 4, [at(4, 2, tid=22)])

    run(tmp_path)

    assert tids(tmp_path) == [22, 4]


@pytest.mark.parametrize("hours", [[4, 5, 6], [6, 5, 4], [5, 4, 6]])
@pytest.mark.usefixtures("root")
def test_any_order(tmp_path, hours):
    "Hours indexed one by one, in any order, are the same as all at once."
    for hour in hours:
        run(tmp_path, since=datetime(2025, 11, 22, hour), until=datetime(2025, 11, 22, hour + 1))

    assert tids(tmp_path) == [2, 3, 4, 5, 6, 7]


def test_overlapping_sources(tmp_path, root):
    "An hour that two families have is stored once, with the block number of the one that has it."
    events = [event for line in (at(4, 1, tid=2), at(4, 7, tid=9)) for event in line["events"]]
    hour_file(root, 4, events, family="node_fills")

    run(tmp_path)

    assert tids(tmp_path) == [2, 9, 3, 4]
    assert ask(tmp_path, "SELECT block_number FROM liquidations ORDER BY liquidated_at LIMIT 2") == [
        (800_000_012,),
        (None,),
    ]


@pytest.mark.parametrize("place", ["", "data", "hl/data", "hl-mainnet-node-data"])
@pytest.mark.parametrize("family", ["node_fills_by_block", "node_fills", "node_fills_streaming"])
def test_places(tmp_path, family, place):
    "A mirror of the archive and a node's data folder are both found, plain or compressed."
    records = [at(4, 1, tid=2)] if family != "node_fills" else at(4, 1, tid=2)["events"]
    root = tmp_path / "archive" / place
    hour_file(root, 4, records, family=family, suffix="", plain=True)
    hour_file(root, 5, [], family=family, suffix=".jsonl", plain=True)

    code, _ = run(tmp_path)

    assert (code, tids(tmp_path)) == (0, [2])


@pytest.mark.parametrize("inner", ["node_fills_by_block", "node_fills_by_block/hourly"])
def test_folder_of_one_family(tmp_path, root, inner):
    "The folder of one family, or of its days, is an archive too."
    code, _ = run(tmp_path, archive=str(root / inner))

    assert (code, tids(tmp_path)) == (0, [2, 3, 4])


def test_truncated_file(tmp_path, root):
    "A truncated file gives what it has; from its last block on the hour is a gap, and the exit code says so."
    path = root / "node_fills_by_block/hourly/20251122/4.lz4"
    lines = [compact(at(4, second / 2, tid=second)) + "\n" for second in range(7000)]
    whole = lz4.frame.compress("".join(lines).encode())
    path.write_bytes(whole[: len(whole) // 3])

    code, said = run(tmp_path)

    ((until,),) = ask(tmp_path, "SELECT to_at FROM coverage")
    ((last,),) = ask(
        tmp_path, "SELECT max(liquidated_at) FROM liquidations WHERE liquidated_at < TIMESTAMP '2025-11-22 04:59'"
    )
    assert code == 1
    assert AT < last < until < datetime(2025, 11, 22, 4, 59)
    assert ask(tmp_path, "SELECT from_at, to_at FROM gaps") == [(until, datetime(2025, 11, 22, 5))]
    assert "truncated" in said[0]


def test_rejected_once(tmp_path, root):
    "Records put aside are stored with their raw text, counted in coverage, and not again by the next run."
    odd = [USER, fill(dir="Liquidated Cross Long", time=HOUR + 5)]
    hour_file(root, 4, [block(800_000_001, [odd], HOUR + 5), "garbage", at(4, 9, tid=3)])
    for _ in range(2):
        run(tmp_path)
        with store.connect(tmp_path / "x.duckdb") as connection:
            counted = connection.execute("SELECT n_rows, n_rejected FROM coverage").fetchall()
            connection.execute("DELETE FROM coverage")

    rejected = ask(tmp_path, "SELECT source, chain, block_number, raw FROM rejected ORDER BY raw")
    assert counted == [(2, 2)]
    assert rejected == [
        ("hyperliquid_archive", "hyperliquid", 800_000_001, compact(odd)),
        ("hyperliquid_archive", "hyperliquid", None, "garbage"),
    ]


@pytest.mark.usefixtures("root")
def test_loss_in_the_middle(tmp_path, monkeypatch):
    "A failure between an hour's rows and its coverage leaves neither; the hours before it stay."
    covered = write_module.cover

    def fail(connection, coverage):
        if coverage["from_at"] == datetime(2025, 11, 22, 5):
            raise RuntimeError("the disk is gone")
        covered(connection, coverage)

    monkeypatch.setattr(write_module, "cover", fail)
    with pytest.raises(RuntimeError):
        run(tmp_path, until=datetime(2025, 11, 22, 7))
    left = tids(tmp_path), ask(tmp_path, "SELECT count(*) FROM coverage")
    monkeypatch.undo()
    run(tmp_path, until=datetime(2025, 11, 22, 7))

    assert left == ([2, 3, 4], [(1,)])
    assert tids(tmp_path) == [2, 3, 4, 5, 6, 7]


KILLED = """
import sys
from datetime import datetime
from indexer.hyperliquid import reading, run

if __name__ == "__main__":
    reading.POOL_BYTES = -1
    window = {"since": datetime(2025, 11, 22), "until": datetime(2025, 11, 22, 12)}
    options = run.Options(archive=sys.argv[1], workers=2, **window)
    sys.exit(run.backfill(sys.argv[2], options, lambda line: print(line, flush=True)))
"""


def test_killed(tmp_path):
    "A run killed at any moment keeps whole hours only, its workers end, and the next run ends where one run would."
    for hour in range(12):
        lines = [at(hour, second, tid=hour * 1000 + second, user=address(second)) for second in range(1, 400)]
        hour_file(tmp_path / "archive", hour, lines)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(tmp_path / "archive"), str(tmp_path / "x.duckdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()) as process:
        said = [process.stdout.readline() for _ in range(3)]
        process.kill()
        process.stdout.read()  # ends when the last worker, too, has closed its end
    stored = ask(tmp_path, "SELECT hour(liquidated_at), count(*) FROM liquidations GROUP BY ALL ORDER BY ALL")
    covered = ask(tmp_path, "SELECT hour(from_at) FROM coverage ORDER BY ALL")
    assert len(said) <= len(stored) < 12
    assert stored == [(hour, 399) for (hour,) in covered]

    hour_file(tmp_path / "archive", 12, [])
    code, _ = run(tmp_path, since=datetime(2025, 11, 22), until=datetime(2025, 11, 22, 12))
    finished = dump(tmp_path)
    run(
        tmp_path / "clean",
        since=datetime(2025, 11, 22),
        until=datetime(2025, 11, 22, 12),
        archive=str(tmp_path / "archive"),
    )

    assert code == 0
    assert finished == dump(tmp_path / "clean")


def environment():
    "The environment of a run from the checkout."
    return os.environ | {"PYTHONPATH": str(REPOSITORY)}


# -- by block range --


def numbered(first, count, hour=4):
    "Consecutive blocks of a second each, the tid of each its number."
    seconds = [second * 3600 / count for second in range(count)]
    return [at(hour, second, tid=first + n, number=first + n) for n, second in enumerate(seconds)]


@pytest.fixture
def blocks(tmp_path):
    "Three hours of 100 blocks each; the last block of each arrived in the next file."
    first = 803_000_000
    lines = [line for n, hour in enumerate((4, 5, 6)) for line in numbered(first + 100 * n, 100, hour)]
    for n, hour in enumerate((4, 5, 6)):
        hour_file(tmp_path / "archive", hour, lines[max(100 * n - 1, 0) : 100 * n + 99])
    return first


def test_block_range(tmp_path, blocks):
    "A block range gives exactly its blocks, over hour files and late arrivals."
    code, _ = run(tmp_path, from_block=blocks + 50, to_block=blocks + 250)

    assert (code, tids(tmp_path)) == (0, list(range(blocks + 50, blocks + 251)))
    covered = ask(tmp_path, "SELECT from_block, to_block, from_at IS NULL FROM coverage ORDER BY 1")
    assert covered == [
        (blocks + 50, blocks + 99, True),
        (blocks + 100, blocks + 199, False),
        (blocks + 200, blocks + 250, True),
    ]


def test_block_range_equals_time(tmp_path, blocks):
    "The same hours by block and by time are the same rows, in either order."
    run(tmp_path, from_block=blocks, to_block=blocks + 150)
    run(tmp_path, from_block=blocks + 120, to_block=blocks + 199)
    by_block = ask(tmp_path, "FROM liquidations ORDER BY event_id")
    run(tmp_path, until=datetime(2025, 11, 22, 6))

    assert len(by_block) == 200
    assert ask(tmp_path, "FROM liquidations ORDER BY event_id") == by_block


def test_blocks_that_no_file_has(tmp_path, blocks):
    "Wanted blocks before the first file and after the last are gaps, and the exit code says so."
    code, said = run(tmp_path, from_block=blocks - 1000, to_block=blocks + 1000)

    assert code == 1
    assert ask(tmp_path, "SELECT from_block, to_block FROM gaps WHERE from_at IS NULL ORDER BY 1") == [
        (blocks - 1000, blocks - 1),
        (blocks + 299, blocks + 1000),
    ]
    assert tids(tmp_path) == list(range(blocks, blocks + 299))
    assert len([line for line in said if "gap" in line]) == 2


def test_blocks_from_hashes(tmp_path):
    "node_fills has no block column: the number is in the hash, and coverage says so."
    record = json.loads(vector("userfills_liquidation.jsonl")[1])
    user = record["liquidation"]["liquidatedUser"]
    early = fill(time=ms("2025-06-09T09:00:00.500"), hash=ZERO_HASH)
    root = tmp_path / "archive"
    hour_file(root, 9, [[MAKER, early], [user, record]], family="node_fills", day="20250609")
    number = 623_213_524

    code, _ = run(tmp_path, from_block=number, to_block=number)
    other, _ = run(tmp_path, from_block=number - 20, to_block=number - 1)

    assert code == 0
    assert ask(tmp_path, "SELECT block_number, account FROM liquidations") == [(number, user)]
    ((proof,),) = ask(tmp_path, "SELECT DISTINCT proof FROM coverage")
    assert "hashes" in proof
    assert other in {0, 1}


# -- misc events and asset contexts --


def ledger_event(time_ms, account, value):
    "A by-block line with a liquidation of the ledger."
    delta = {
        "type": "liquidation",
        "liquidatedNtlPos": "5002.0",
        "accountValue": value,
        "leverageType": "Cross",
        "liquidatedPositions": [{"coin": "ETH", "szi": "2.0"}],
    }
    update = {"time": iso(time_ms), "hash": ZERO_HASH, "inner": {"LedgerUpdate": {"users": [account], "delta": delta}}}
    return block(800_000_012, [update], time_ms)


def test_misc_events(tmp_path, root):
    "The hour's misc events give the margin a backstop lost, positions, funding and flows, with their own coverage."
    time_ms = HOUR + 1000
    fills = [block(800_000_012, backstop_pair(USER, HLP, time=time_ms), time_ms)]
    hour_file(root, 4, [*fills, block(800_000_013, adl_pair(WINNER, HLP, time=time_ms, tid=5), time_ms)])
    funding = {"user": USER, "coin": "kPEPE", "funding_amount": "1.0", "szi": "-3.5", "funding_rate": "0.0001"}
    hourly = {"time": iso(HOUR + 39), "hash": ZERO_HASH, "inner": {"Funding": {"deltas": [funding]}}}
    deposit = {"users": [USER], "delta": {"type": "deposit", "usdc": "100.5"}}
    moved = {"time": iso(HOUR + 50), "hash": "0x" + "ab" * 32, "inner": {"LedgerUpdate": deposit}}
    records = [block(800_000_001, [hourly, moved], HOUR + 39), ledger_event(time_ms, USER, "250.0")]
    hour_file(root, 4, records, family="misc_events_by_block")
    hour_file(root, 5, [], family="misc_events_by_block")

    code, _ = run(tmp_path)

    assert code == 0
    lost = ask(tmp_path, "SELECT kind, margin_lost_usd FROM liquidations WHERE tx_hash IS NULL ORDER BY ALL")
    assert ("backstop", 250.0) in lost
    assert ask(tmp_path, "SELECT account, market, asset, size FROM positions") == [(USER, "kPEPE", "PEPE", -3500.0)]
    assert ask(tmp_path, "SELECT market, rate, interval_seconds FROM funding") == [("kPEPE", 0.0001, 3600)]
    flows = ask(tmp_path, "SELECT flow_id, kind, direction, account, to_address, amount, usd, price_source FROM flows")
    assert flows == [
        (
            f"hyperliquid:{HOUR + 50}:0x{'ab' * 32}:deposit:{USER}:0",
            *("bridge_in", "from_bridge", USER, USER, 100.5, 100.5, "par"),
        )
    ]
    assert ask(tmp_path, "SELECT dataset, n_rows FROM coverage ORDER BY 1") == [("fills", 4), ("misc_events", 3)]


def test_misc_events_come_later(tmp_path, root):
    "Misc events that come later give the margin to the rows that are there."
    time_ms = HOUR + 1000
    hour_file(root, 4, [block(800_000_012, backstop_pair(USER, HLP, time=time_ms), time_ms)])
    run(tmp_path)
    before = ask(tmp_path, "SELECT margin_lost_usd FROM liquidations WHERE kind = 'backstop'")
    hour_file(root, 4, [ledger_event(time_ms, USER, "250.0")], family="misc_events_by_block")

    run(tmp_path)

    after = ask(tmp_path, "SELECT margin_lost_usd FROM liquidations WHERE kind = 'backstop'")
    assert (before, after) == ([(None,)], [(250.0,)])


def test_misc_hour_missing(tmp_path, root):
    "Where the archive has misc events for some hours, one that it lacks is a gap; where it has none, none is claimed."
    hour_file(root, 4, [], family="misc_events_by_block")

    code, _ = run(tmp_path, until=datetime(2025, 11, 22, 6))

    assert code == 1
    gaps = ask(tmp_path, "SELECT dataset, from_at FROM gaps WHERE reason LIKE 'no hour file%'")
    assert gaps == [("misc_events", datetime(2025, 11, 22, 5))]


def test_asset_contexts(tmp_path, root):
    "A day of asset contexts gives open interest, mark and oracle prices and hourly funding, of the window only."
    header = (
        "time,coin,funding,open_interest,prev_day_px,day_ntl_vlm,premium,"
        "oracle_px,mark_px,mid_px,impact_bid_px,impact_ask_px"
    )
    tail = "2000,1,0,{0},{1},1,1,1"
    lines = [
        f"2025-11-22T03:59:00Z,BTC,0.00001,10,{tail.format(26999, 27000)}",
        f"2025-11-22T04:00:00Z,BTC,0.00002,100.5,{tail.format(27000.5, 27001)}",
        f"2025-11-22T04:01:00Z,BTC,0.00003,100.6,{tail.format(27000.6, 27001.1)}",
        f"2025-11-22T04:00:00Z,kPEPE,0.00004,1000,{tail.format(0.0016, 0.0017)}",
        "nonsense,,,,,,,,,,,",
    ]
    path = root / "asset_ctxs" / "20251122.csv.lz4"
    path.parent.mkdir()
    path.write_bytes(lz4.frame.compress("\n".join([header, *lines, ""]).encode()))

    code, _ = run(tmp_path)

    assert code == 0
    assert ask(tmp_path, "SELECT market, asset, units, usd, sides FROM open_interest ORDER BY observed_at, market") == [
        ("BTC", "BTC", 100.5, 2713600.5, 1),
        ("kPEPE", "PEPE", 1_000_000.0, 1.7, 1),
        ("BTC", "BTC", 100.6, 2716310.66, 1),
    ]
    assert ask(tmp_path, "SELECT asset, kind, price_usd FROM prices ORDER BY ALL")[-2:] == [
        ("PEPE", "mark", 0.0000017),
        ("PEPE", "oracle", 0.0000016),
    ]
    assert ask(tmp_path, "SELECT market, rate FROM funding ORDER BY ALL") == [("BTC", 0.00002), ("kPEPE", 0.00004)]
    assert ask(tmp_path, "SELECT n_rows, n_rejected FROM coverage WHERE dataset = 'asset_ctxs'") == [(11, 1)]


def test_asset_contexts_alone(tmp_path):
    "A mirror of the asset contexts alone is an archive: its day is no gap in fills."
    path = tmp_path / "archive" / "20251122.csv"
    path.parent.mkdir()
    header = "time,coin,funding,open_interest,prev_day_px,day_ntl_vlm,premium,oracle_px,mark_px,mid_px,impact_bid_px"
    path.write_text(f"{header},impact_ask_px\n2025-11-22T04:00:00Z,BTC,0.00002,100.5,1,1,0,27000.5,27001,1,1,1\n")

    code, _ = run(tmp_path)

    assert (code, ask(tmp_path, "FROM gaps")) == (0, [])
    assert ask(tmp_path, "SELECT dataset FROM coverage") == [("asset_ctxs",)]


def test_public_misc_events(tmp_path):
    "The public misc events give the flow and the positions that their origin supports."
    day = tmp_path / "archive/misc_events_by_block/hourly/20260611"
    write(day / "1.lz4", vector("misc_events_by_block.jsonl"))

    run(tmp_path, since=datetime(2026, 6, 11, 1), until=datetime(2026, 6, 11, 2))

    expected = [json.loads(line) for line in vector("expected.jsonl") if "misc_events" in line]
    for one in expected:
        for wanted in one["rows"]:
            row = {key: value for key, value in wanted.items() if key not in {"type", "side"}}
            stored = ask(tmp_path, f"SELECT {', '.join(row)} FROM {one['table']} WHERE account = '{row['account']}'")
            times = {"flowed_at", "observed_at"}
            assert stored == [tuple(datetime.fromisoformat(v) if k in times else v for k, v in row.items())]


@pytest.mark.usefixtures("root")
def test_dry_run(tmp_path):
    "A dry run lists the files, their bytes and the cost, and makes no database."
    code, said = run(tmp_path, dry_run=True)

    assert code == 0
    assert [line.split()[0] for line in said[:2]] == [f"node_fills_by_block/hourly/20251122/{n}.lz4" for n in (4, 5)]
    assert "2 objects" in said[-1]
    assert "USD" in said[-1]
    assert not (tmp_path / "x.duckdb").exists()
