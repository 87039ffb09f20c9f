"""Following a folder that grows, and accounts: what is written is stored in seconds, once, and what is not is said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest
from forced import HLP, HOUR, address, adl_pair, backstop_pair, block, compact, fill, market_pair
from info_server import serving
from test_hyperliquid_backfill import ask, at, dump, environment, hour_file, ledger_event, run, tids

from indexer import store
from indexer.errors import NoEndpoint, UserError
from indexer.hyperliquid import silence, tail, watch
from indexer.hyperliquid.live import FollowOptions, follow

USER, MAKER = address(1), address(2)
FIVE, SIX = datetime(2025, 11, 22, 5), datetime(2025, 11, 22, 6)


class Following:
    "A follower of tmp_path/archive in a thread; `wait` returns when something is true of what it said or stored."

    def __init__(self, tmp_path, **options):
        self.tmp_path, self.stop, self.said, self.code = tmp_path, threading.Event(), [], None
        chosen = {"archive": str(tmp_path / "archive"), "poll_seconds": 0.05} | options
        self.options = FollowOptions(**chosen)
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def follow(self):
        "Follow until told to stop."
        self.code = follow(self.tmp_path / "x.duckdb", self.options, self.said.append, self.stop)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def wait(self, text, seconds=20.0):
        "Wait for a line of narration with `text` that was not waited for yet."
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            is_alive = self.thread.is_alive()
            for index, line in enumerate(self.said):
                if line and text in line:
                    self.said[index] = None
                    return line
            if not is_alive:
                break
            time.sleep(0.01)
        raise AssertionError(f"no line with {text!r} in {self.said}")

    def finish(self, seconds=30.0):
        "The exit code of a follower that ends by itself."
        self.thread.join(seconds)
        assert not self.thread.is_alive(), self.said
        return self.code


def node_file(root, hour, family="node_fills_by_block"):
    "The hour file of a node."
    path = root / family / "hourly" / "20251122" / str(hour)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def add(path, *records, end="\n"):
    "Write lines at the end of a file."
    with path.open("a") as file:
        file.write("".join(f"{compact(record)}{end}" for record in records))


def test_a_growing_file(tmp_path):
    "Lines are stored as they are written, a half-written one when it is whole; coverage goes as far as the last line."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1), at(4, 2, tid=2))
    line = compact(at(4, 3, tid=3)) + "\n"
    with Following(tmp_path) as following:
        assert "s behind" in following.wait("2 rows")
        with path.open("a") as file:
            file.write(line[:200])
        time.sleep(0.3)
        with path.open("a") as file:
            file.write(line[200:])
        following.wait("T04:00:03 1 rows")
        add(path, at(4, 4, tid=4), end="")
        following.wait("T04:00:04 1 rows")
        add(path, {}, end="")
        with path.open("a") as file:
            file.write("\n" + line.replace(":3,", ":33,"))

    assert following.code == 0
    assert tids(tmp_path)[:4] == [1, 2, 3, 4]
    ((since, until, first, last, proof),) = ask(
        tmp_path, "SELECT from_at, to_at, from_block, to_block, proof FROM coverage"
    )
    assert (since, until, proof) == (datetime(2025, 11, 22, 4), datetime(2025, 11, 22, 4, 0, 4, 1000), "archive_file")
    assert (first, last) == (800_000_012, 800_000_048)
    assert ask(tmp_path, "FROM gaps") == []


def test_rotation(tmp_path):
    "When the next hour begins the one before is closed with its late arrivals: as a backfill would store it."
    root = tmp_path / "archive"
    four, five = node_file(root, 4), node_file(root, 5)
    add(four, at(4, 1, tid=1))
    with Following(tmp_path, until=FIVE) as following:
        following.wait("T04:00:01 1 rows")
        add(four, at(4, 3599, tid=2))
        following.wait("T04:59:59 1 rows")
        add(five, at(4, 3599.9, tid=3))
        time.sleep(0.2)
        add(five, at(5, 1, tid=4))

        assert following.finish() == 0

    followed = dump(tmp_path)
    assert tids(tmp_path) == [1, 2, 3]
    run(tmp_path / "clean", archive=str(root))
    clean = dump(tmp_path / "clean")
    assert {table: rows for table, rows in followed.items() if table != "coverage"} == {
        table: rows for table, rows in clean.items() if table != "coverage"
    }
    # But for the version of the next file, which was shorter when it was read.
    assert [row[:11] for row in followed["coverage"]] == [row[:11] for row in clean["coverage"]]


@pytest.mark.parametrize("family", ["node_fills", "node_fills_by_block_streaming", "node_fills_streaming"])
def test_a_block_over_several_lines(tmp_path, family):
    "The two rows of a trade may come in two lines and two pieces: the liquidator is found, and the last block is open."
    own, other = backstop_pair(USER, HLP, tid=5, time=HOUR + 1000)
    path = node_file(tmp_path / "archive", 4, family)
    lines = [own, other] if family == "node_fills" else [block(800_000_012, [own]), block(800_000_012, [other])]
    add(path, lines[0])
    with Following(tmp_path) as following:
        following.wait("1 rows")
        add(path, lines[1])
        following.wait("1 rows")

    assert ask(tmp_path, "SELECT kind, account, liquidator FROM liquidations") == [("backstop", USER, HLP)]
    assert ask(tmp_path, "SELECT to_at FROM coverage") == [(datetime(2025, 11, 22, 4, 0, 1),)]


def test_misc_events_beside(tmp_path):
    "The ledger's event may come after the fill: the margin is filled in; positions and flows follow too."
    root = tmp_path / "archive"
    time_ms = HOUR + 1000
    add(node_file(root, 4), block(800_000_012, backstop_pair(USER, HLP, time=time_ms), time_ms))
    funding = {"user": USER, "coin": "ETH", "funding_amount": "1.0", "szi": "-3.5", "funding_rate": "0.0001"}
    hourly = {"time": "2025-11-22T04:00:00.010", "hash": "0x0", "inner": {"Funding": {"deltas": [funding]}}}
    misc = node_file(root, 4, "misc_events_by_block")
    add(misc, block(800_000_001, [hourly], HOUR + 10))
    with Following(tmp_path) as following:
        following.wait("3 rows")
        add(misc, ledger_event(time_ms, USER, "250.0"))
        following.wait("1 rows")

    assert ask(tmp_path, "SELECT margin_lost_usd FROM liquidations") == [(250.0,)]
    assert ask(tmp_path, "SELECT size FROM positions") == [(-3.5,)]
    assert ask(tmp_path, "SELECT dataset FROM coverage ORDER BY 1") == [("fills",), ("misc_events",)]


def test_a_file_that_arrives_late(tmp_path):
    "An hour without a file is a gap; when the file comes it is read and the gap is gone."
    root = tmp_path / "archive"
    hour_file(root, 3, [at(3, 1, tid=1)])
    hour_file(root, 5, [at(5, 1, tid=3)])
    with Following(tmp_path) as following:
        following.wait("gap fills 2025-11-22T04:00 to 2025-11-22T05:00")
        following.wait("T05 1 rows")
        following.wait("T03 1 rows")
        hour_file(root, 4, [at(3, 3599.9, tid=2), at(4, 1, tid=22)])
        following.wait("T03 2 rows")
        following.wait("T04 1 rows")
        hour_file(root, 6, [at(6, 1, tid=4)])
        following.wait("T05 1 rows")
        following.wait("T06 1 rows")

    assert following.code == 0
    assert tids(tmp_path) == [1, 2, 22, 3, 4]
    gaps = ask(tmp_path, "SELECT from_at, to_at FROM gaps")
    assert gaps == [(datetime(2025, 11, 22, 6, 59), datetime(2025, 11, 22, 7))]


def test_a_missing_hour_is_the_verdict(tmp_path):
    "A follower that ends with an hour missing says so by its exit code."
    root = tmp_path / "archive"
    hour_file(root, 4, [at(4, 1, tid=1)])
    hour_file(root, 6, [at(6, 1, tid=3)])
    with Following(tmp_path) as following:
        following.wait("T04 1 rows")
        following.wait("T06 1 rows")

    assert following.code == 1


def test_silence(tmp_path):
    "A folder that says nothing for too long is reported and listed; a node that then skips hours leaves the gap."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1))
    with Following(tmp_path, silence_seconds=0.5) as following:
        following.wait("1 rows")
        following.wait("silent since 2025-11-22T04:00:01")
        add(path, at(4, 1800, tid=2))
        following.wait("written again from 2025-11-22T04:30:00")
        following.wait("silent since 2025-11-22T04:30:00")

    assert following.code == 1
    assert ask(tmp_path, "SELECT from_at, to_at < TIMESTAMP '2026-01-01', reason FROM gaps ORDER BY 1") == [
        (datetime(2025, 11, 22, 4, 0, 1, 1000), True, silence.SKIPPED),
        (datetime(2025, 11, 22, 4, 30, 0, 1000), False, silence.NOTHING.format(0.5)),
    ]
    assert ask(tmp_path, "SELECT from_at, to_at FROM coverage ORDER BY 1") == [
        (datetime(2025, 11, 22, 4), datetime(2025, 11, 22, 4, 0, 1, 1000)),
        (datetime(2025, 11, 22, 4, 30), datetime(2025, 11, 22, 4, 30, 0, 1000)),
    ]


def test_nothing_there(tmp_path):
    "An empty folder is waited on, and its silence is reported."
    (tmp_path / "archive").mkdir()
    with Following(tmp_path, silence_seconds=1.5) as following:
        following.wait("silent since the start")
        add(node_file(tmp_path / "archive", 4), at(4, 1, tid=1))
        following.wait("1 rows")

    assert following.code == 0
    assert ask(tmp_path, "FROM gaps") == []


def test_window(tmp_path):
    "Only the window is stored, and the follower ends when all of it is there."
    path = node_file(tmp_path / "archive", 4)
    add(path, *(at(4, second, tid=second) for second in range(1, 60)))
    window = {"since": datetime(2025, 11, 22, 4, 0, 10), "until": datetime(2025, 11, 22, 4, 0, 20)}
    with Following(tmp_path, **window) as following:
        assert following.finish() == 0

    assert tids(tmp_path) == list(range(10, 20))
    assert ask(tmp_path, "SELECT from_at, to_at FROM coverage") == [tuple(window.values())]


def test_until_block(tmp_path):
    "With a block to stop at the follower ends when that block is stored."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1))
    with Following(tmp_path, until_block=800_000_024) as following:
        following.wait("1 rows")
        assert following.thread.is_alive()
        add(path, at(4, 2, tid=2))
        assert following.finish() == 0


def test_a_file_that_is_written_anew(tmp_path):
    "A file that became shorter is another one: its rows replace those of the one before."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1), at(4, 2, tid=2))
    with Following(tmp_path) as following:
        following.wait("2 rows")
        path.write_text(compact(at(4, 1, tid=9)) + "\n")
        following.wait("1 rows")

    assert tids(tmp_path) == [9]


def test_pieces(tmp_path, monkeypatch):
    "A long file is read piece by piece, a line longer than a piece whole, with the rows of the whole."
    monkeypatch.setattr(tail, "CHUNK_BYTES", 3000)
    path = node_file(tmp_path / "archive", 4)
    add(path, *(at(4, second, tid=second) for second in range(1, 40)))
    long = at(4, 41, tid=41)
    long["events"] += [[address(n), fill(tid=1000 + n)] for n in range(40)]
    add(path, long, at(4, 42, tid=42))
    with Following(tmp_path, until=datetime(2025, 11, 22, 4, 0, 42)) as following:
        assert following.finish() == 0

    assert tids(tmp_path) == [*range(1, 40), 41]


def test_broken_lines(tmp_path):
    "A line that no node writes is put aside once, and the follower goes on."
    path = node_file(tmp_path / "archive", 4)
    path.write_text("garbage\n" + compact(at(4, 1, tid=1)) + "\n")
    with Following(tmp_path) as following:
        following.wait("1 rows, 1 rejected")
        add(path, at(4, 2, tid=2))
        following.wait("T04:00:02 1 rows")

    assert ask(tmp_path, "SELECT raw FROM rejected") == [("garbage",)]


def test_a_file_that_cannot_be_read_for_a_while(tmp_path, monkeypatch):
    "A file that is gone for a moment is said once and read when it is back."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1))
    with Following(tmp_path) as following:
        following.wait("1 rows")
        with monkeypatch.context() as patch:
            patch.setattr(tail, "next_piece", unreadable)
            following.wait("trying again")
            time.sleep(0.3)
        add(path, at(4, 2, tid=2))
        following.wait("1 rows")

    assert following.code == 0
    assert not [line for line in following.said if line and "trying again" in line]
    assert tids(tmp_path) == [1, 2]


def test_read_beside(tmp_path):
    "The database is free while nothing is stored: others read it, and what comes meanwhile is stored when they are done."
    path = node_file(tmp_path / "archive", 4)
    add(path, at(4, 1, tid=1))
    command = [sys.executable, "-m", "indexer.cli", "follow", "hyperliquid", "--archive", str(tmp_path / "archive")]
    database = ["--db", str(tmp_path / "x.duckdb"), "--poll-seconds", "0.3"]
    with subprocess.Popen([*command, *database], stderr=subprocess.PIPE, text=True, env=environment()) as process:
        for line in process.stderr:
            if "s behind" in line:
                break
        time.sleep(1)
        with store.connect(tmp_path / "x.duckdb", read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM liquidations").fetchall() == [(1,)]
            add(path, at(4, 2, tid=2))
            for line in process.stderr:
                if "in use by another process" in line:
                    break
        for line in process.stderr:
            if "s behind" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stderr.read()

    assert process.returncode == 130
    assert tids(tmp_path) == [1, 2]


def unreadable(*_):
    "No file."
    raise FileNotFoundError("4 is not there")


KILLED = """
import sys
from indexer.hyperliquid.live import FollowOptions, follow

if __name__ == "__main__":
    options = FollowOptions(archive=sys.argv[1], poll_seconds=0.05)
    sys.exit(follow(sys.argv[2], options, lambda line: print(line, flush=True)))
"""


def test_killed(tmp_path):
    "Killed at any moment and started again, the follower ends where one that ran through would."
    root = tmp_path / "archive"
    hour_file(root, 3, [at(3, 1, tid=1)])
    path = node_file(root, 4)
    add(path, at(4, 1, tid=2), at(4, 2, tid=3))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(root), str(tmp_path / "x.duckdb")]
    for second in (3, 4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            for line in process.stdout:
                if "s behind" in line:
                    break
            add(path, at(4, second, tid=second + 1))
            process.kill()
    add(node_file(root, 5), at(4, 3599.9, tid=8), at(5, 1, tid=9))
    with Following(tmp_path, until=FIVE) as following:
        assert following.finish() == 0

    assert tids(tmp_path) == [1, 2, 3, 4, 5, 8]
    assert ask(tmp_path, "FROM gaps") == []


def test_interrupt(tmp_path):
    "Ctrl-C ends the command cleanly: exit code 130, and what was committed stays."
    add(node_file(tmp_path / "archive", 4), at(4, 1, tid=1))
    command = [sys.executable, "-m", "indexer.cli", "follow", "hyperliquid", "--archive", str(tmp_path / "archive")]
    database = ["--db", str(tmp_path / "x.duckdb"), "--poll-seconds", "0.1"]
    with subprocess.Popen([*command, *database], stderr=subprocess.PIPE, text=True, env=environment()) as process:
        for line in process.stderr:
            if "s behind" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == 130
    assert "what was committed stays" in rest
    assert "Traceback" not in rest
    assert tids(tmp_path) == [1]


def test_nothing_to_follow(tmp_path):
    "Without a folder and without accounts there is nothing that tells of all liquidations, and that is said."
    with pytest.raises(UserError, match="--archive"):
        follow(tmp_path / "x.duckdb", FollowOptions(), lambda _: None)
    with pytest.raises(UserError, match="no such folder"):
        follow(tmp_path / "x.duckdb", FollowOptions(archive=str(tmp_path / "nowhere")), lambda _: None)
    (tmp_path / "archive").mkdir()
    window = {"since": SIX, "until": FIVE}
    with pytest.raises(UserError, match="not after"):
        follow(tmp_path / "x.duckdb", FollowOptions(archive=str(tmp_path / "archive"), **window), lambda _: None)


# -- accounts --


def test_accounts(tmp_path, monkeypatch):
    "New fills of watched accounts come in with the ids of the archive, and what the account holds with its own time."
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.3)
    now = int(time.time() * 1000)
    mine = [market_pair(USER, MAKER, tid=1, time=now - 60_000)[0][1]]
    listed = tmp_path / "accounts.txt"
    listed.write_text(f"{USER}\n{MAKER}\n")
    with serving(fills={USER: mine}) as server:
        held = {"position": {"coin": "ETH", "szi": "-2.5"}, "type": "oneWay"}
        server.answers["clearinghouseState"] = {"time": now, "assetPositions": [held]}
        with Following(tmp_path, archive=None, accounts=listed, base_url=server.url) as following:
            following.wait(f"{USER} 1 liquidations")
            mine.append(market_pair(USER, MAKER, tid=2, time=int(time.time() * 1000))[0][1])
            following.wait(f"{MAKER} 0 liquidations")
            following.wait(f"{USER} 1 liquidations")

    assert following.code == 0
    assert ask(tmp_path, "SELECT event_id FROM liquidations ORDER BY liquidated_at") == [
        (f"hyperliquid:{row['time']}:ETH:{row['tid']}:{USER}",) for row in mine
    ]
    assert ask(tmp_path, "SELECT account, market, size FROM positions ORDER BY 1") == [
        (USER, "ETH", -2.5),
        (MAKER, "ETH", -2.5),
    ]
    datasets = ask(tmp_path, "SELECT dataset, count(*) FROM coverage GROUP BY ALL ORDER BY 1")
    assert datasets == [(f"watched:{kind}:{account}", 1) for kind in ("fills", "ledger") for account in (USER, MAKER)]


def test_accounts_until(tmp_path):
    "With an end in the past the accounts are read once; an API that is not there is said at once."
    listed = tmp_path / "accounts.txt"
    listed.write_text(USER)
    window = {"since": datetime(2025, 11, 22, 4), "until": FIVE}
    with serving(fills={USER: [json.loads(compact(market_pair(USER, MAKER)[0][1]))]}) as server:
        server.answers["clearinghouseState"] = {"time": HOUR, "assetPositions": []}
        with Following(tmp_path, archive=None, accounts=listed, base_url=server.url, **window) as following:
            assert following.finish() == 0

    assert len(ask(tmp_path, "FROM liquidations")) == 1
    options = FollowOptions(accounts=listed, base_url="http://127.0.0.1:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch.Info, "ask", refuse)
        with pytest.raises(NoEndpoint):
            follow(tmp_path / "y.duckdb", options, lambda _: None)


def test_an_api_that_fails_for_a_while(tmp_path, monkeypatch):
    "An account that is not answered is said once and asked again; the others go on, and in the end all is there."
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.2)
    listed = tmp_path / "accounts.txt"
    listed.write_text(f"{USER}\n{MAKER}\n")
    window = {"since": datetime(2025, 11, 22, 4), "until": FIVE}
    asked = watch.Info.ask
    failing = [3]

    def ask_or_fail(self, kind, **body):
        if body.get("user") == MAKER and failing[0]:
            failing[0] -= 1
            raise NoEndpoint("cannot be reached")
        return asked(self, kind, **body)

    monkeypatch.setattr(watch.Info, "ask", ask_or_fail)
    with serving(fills={MAKER: [market_pair(MAKER, USER)[0][1]]}) as server:
        server.answers["clearinghouseState"] = {"time": HOUR, "assetPositions": []}
        with Following(tmp_path, archive=None, accounts=listed, base_url=server.url, **window) as following:
            following.wait("cannot be reached")
            following.wait("answered again")
            assert following.finish() == 0

    assert len(ask(tmp_path, "FROM liquidations")) == 1
    assert not [line for line in following.said if line and "cannot be reached" in line]


def test_hlp(tmp_path):
    "HLP's own fills tell of backstops with the user they took over, as unknown in completeness and no coverage of fills."
    own, vaults_row = backstop_pair(USER, HLP, tid=5, time=HOUR + 1000)
    relay = adl_pair(address(3), HLP, tid=6, time=HOUR + 2000)[1][1]
    window = {"since": datetime(2025, 11, 22, 4), "until": FIVE}
    with serving(fills={HLP: [vaults_row[1], relay, fill(tid=7)]}) as server:
        server.answers["clearinghouseState"] = {"time": HOUR, "assetPositions": []}
        with Following(tmp_path, archive=None, hlp=True, base_url=server.url, **window) as following:
            following.wait("neither market liquidations nor HIP-3")
            assert following.finish() == 0
        asked = {body["user"] for body in server.asked}

    rows = "SELECT kind, account, liquidator, side, completeness, source FROM liquidations ORDER BY liquidated_at"
    assert ask(tmp_path, rows) == [
        ("backstop", USER, HLP, "long", "unknown", "hyperliquid_watch"),
        ("relay", HLP, None, "long", "unknown", "hyperliquid_api"),
    ]
    assert (HLP in asked, watch.PARENT in asked, len(asked)) == (True, False, 7)
    assert ask(tmp_path, "FROM liquidation_coverage") == []
    time_ms = HOUR + 1000
    hour_file(tmp_path / "archive", 4, [block(803_000_000, [own, vaults_row], time_ms)])
    hour_file(tmp_path / "archive", 5, [])
    run(tmp_path)
    assert ask(tmp_path, rows)[0] == ("backstop", USER, HLP, "long", "full", "hyperliquid_archive")


def refuse(*_, **__):
    "No API."
    raise NoEndpoint("cannot be reached")
