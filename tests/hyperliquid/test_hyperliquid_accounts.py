"""Accounts over the info API: paging, weights, refusals, and the same rows as from the archive."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
import vcr
from forced import HLP, HOUR, address, backstop_pair, block, fill, iso, market_pair, tag, vector, write
from info_server import serving

from indexer import store
from indexer.errors import BadRecord, NoEndpoint, UserError
from indexer.hyperliquid import accounts, contexts, info, snapshots
from indexer.hyperliquid.run import Options, backfill

USER, MAKER, WINNER = address(1), address(2), address(3)
AT, UNTIL = datetime(2025, 11, 22, 4), datetime(2025, 11, 22, 5)
CASSETTES = Path(__file__).parents[2] / "cassettes" / "hyperliquid"


class Clock:
    "A clock that only sleeping moves."

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def __call__(self):
        "The time."
        return self.now

    def sleep(self, seconds):
        "Move on."
        self.slept.append(seconds)
        self.now += seconds


def client(server):
    "A client of a server, and its clock."
    clock = Clock()
    return info.Info(server.url, clock=clock, sleep=clock.sleep), clock


def fills_of(count, step=1, **changes):
    "Fills of an account, `step` of them in a millisecond."
    return [fill(tid=n, time=HOUR + n // step, **changes) for n in range(count)]


def run(tmp_path, server, wanted, **options):
    "(exit code, narration) of a backfill of accounts from 04:00 to 05:00."
    listed = tmp_path / "accounts.txt"
    listed.write_text("\n".join(wanted) + "\n")
    said = []
    chosen = {"since": AT, "until": UNTIL, "accounts": listed, "base_url": server.url} | options
    return backfill(tmp_path / "x.duckdb", Options(**chosen), said.append), said


def ask(tmp_path, sql):
    "The rows of a query on the database."
    with store.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(("count", "step", "page"), [(0, 1, 5), (3, 1, 5), (23, 1, 5), (40, 3, 7), (12, 12, 20)])
def test_paging(count, step, page):
    "Every fill once and in order, whatever the page size and however many share a millisecond."
    with serving(fills={USER: fills_of(count, step)}, page=page) as server:
        reader, _ = client(server)

        found = reader.fills(USER, HOUR, HOUR + 3_600_000)

    assert [row["tid"] for row in found.rows] == list(range(count))
    assert found.since == HOUR
    assert all(body["aggregateByTime"] is False for body in server.asked)


def test_out_of_reach(tmp_path, monkeypatch):
    "Of an account with more fills than the API gives, what is out of reach is a gap and exit code 1."
    monkeypatch.setattr(info, "REACHABLE_FILLS", 30)
    mine = fills_of(50, liquidation=tag(USER))
    with serving(fills={USER: mine, MAKER: fills_of(20)}, page=8, reach=30) as server:
        code, said = run(tmp_path, server, [USER, MAKER])

    assert code == 1
    assert ask(tmp_path, "SELECT count(*) FROM liquidations") == [(30,)]
    ((start, end, dataset),) = ask(tmp_path, "SELECT from_at, to_at, dataset FROM gaps")
    assert (start, end, dataset) == (AT, datetime(2025, 11, 22, 4, 0, 0, 21_000), f"watched:fills:{USER}")
    assert "archive" in said[0]
    assert "archive" not in said[1]


def test_weights():
    "The client spends no more than the documented weight in any minute."
    with serving(fills={USER: fills_of(2000)}, page=2000) as server:
        reader, clock = client(server)
        for _ in range(30):
            reader.ask("userFillsByTime", user=USER, startTime=0, aggregateByTime=False)

    # 20 for the request and 100 for 2000 items: ten in a minute.
    assert len(clock.slept) == 2
    assert clock.now >= 1000 + 120


def test_light_requests():
    "A light request weighs 2: 600 of them fit into a minute."
    with serving() as server:
        server.answers["clearinghouseState"] = {"time": HOUR, "assetPositions": []}
        reader, clock = client(server)
        for _ in range(601):
            reader.make_room(info.LIGHT_WEIGHT)

    assert (len(clock.slept), clock.now) == (1, 1060.0)


def test_failures():
    "What was refused for its rate or failed on the server is asked again, a little later each time."
    with serving(fills={USER: fills_of(2)}, failures=[429, 502, 429]) as server:
        reader, clock = client(server)

        found = reader.paged("userFillsByTime", USER, HOUR, HOUR + 1000)

    assert len(found) == 2
    assert clock.slept[:3] == [1.0, 2.0, 4.0]


def test_no_answer():
    "An API that keeps failing, or that is none, is one line with the remedy; a refusal is the user's to fix."
    with serving(failures=[500] * 9) as server:
        reader, _ = client(server)
        with pytest.raises(NoEndpoint, match="HTTP 500"):
            reader.fills(USER, 0, 1)
    with serving(failures=[422]) as server:
        reader, _ = client(server)
        with pytest.raises(UserError, match="422"):
            reader.fills(USER, 0, 1)
    with pytest.raises(UserError, match="http"):
        info.Info("api.hyperliquid.xyz")
    closed = info.Info(server.url, sleep=lambda _: None)
    with pytest.raises(NoEndpoint, match="ConnectError"):
        closed.fills(USER, 0, 1)


@pytest.mark.parametrize("reply", [{"error": "x"}, [1], [{"no": "time"}]])
def test_another_server(reply):
    "An answer that the API does not document is not mistaken for none."
    with serving() as server:
        server.answers["userFillsByTime"] = reply
        reader, _ = client(server)
        with pytest.raises(NoEndpoint, match="info API"):
            reader.fills(USER, 0, 1)


def test_address_file(tmp_path):
    "A list of accounts is addresses, one a line, with comments; a line that has none is named."
    path = tmp_path / "whales.txt"
    path.write_text(f"# whales\n{USER.upper().replace('0X', '0x')},Machi\n\n{MAKER} # maker\n{USER}\n")
    assert accounts.addresses(path) == [USER, MAKER]

    path.write_text(f"{USER}\n0x12\n")
    with pytest.raises(BadRecord, match="row 2: '0x12'"):
        accounts.addresses(path)
    path.write_text("# none\n")
    with pytest.raises(UserError, match="no addresses"):
        accounts.addresses(path)
    with pytest.raises(UserError, match="cannot be read"):
        accounts.addresses(tmp_path / "nowhere")


DEPOSIT = {"type": "deposit", "usdc": "100.5"}
SEND = {
    "type": "send",
    "user": USER,
    "destination": MAKER,
    "token": "HYPE",
    "amount": "2.0",
    "usdcValue": "80.5",
    "fee": "0.0",
}
LOST = {
    "type": "liquidation",
    "liquidatedNtlPos": "5002.0",
    "accountValue": "250.0",
    "leverageType": "Cross",
    "liquidatedPositions": [{"coin": "ETH", "szi": "2.0"}],
}
HASH = "0x" + "ab" * 32


@pytest.fixture
def night(tmp_path):
    "One night as an archive and as the API tell it: (archive folder, fills by account, ledger updates by account)."
    time_ms = HOUR + 1000
    events = [
        *market_pair(USER, MAKER, tid=1, time=time_ms),
        *backstop_pair(USER, HLP, tid=2, time=time_ms),
        *market_pair(WINNER, USER, tid=3, time=time_ms),
        [USER, fill(tid=4, time=time_ms)],
    ]
    updates = [(time_ms, HASH, [USER], DEPOSIT), (time_ms, HASH, [USER], DEPOSIT), (time_ms, HASH, [USER, MAKER], SEND)]
    updates.append((time_ms, events[2][1]["hash"], [USER], LOST))
    inner = [
        {"time": iso(when), "hash": of, "inner": {"LedgerUpdate": {"users": users, "delta": delta}}}
        for when, of, users, delta in updates
    ]
    root = tmp_path / "archive"
    for hour, fills_there, misc_there in ((4, events, inner), (5, [], [])):
        for family, there in (("node_fills_by_block", fills_there), ("misc_events_by_block", misc_there)):
            lines = [block(800_000_012, there, time_ms)] if there else []
            write(root / family / "hourly/20251122" / f"{hour}.lz4", lines)
    fills_by_user = {USER: [record for user, record in events if user == USER]}
    ledger_by_user = {USER: [{"time": when, "hash": of, "delta": delta} for when, of, _, delta in updates]}
    return root, fills_by_user, ledger_by_user


STORED = {
    "liquidations": "SELECT * FROM liquidations ORDER BY event_id",
    "flows": "SELECT * FROM flows ORDER BY flow_id",
    "rejected": "SELECT * FROM rejected ORDER BY ALL",
}


def test_same_as_archive(tmp_path, night):
    "The API alone gives the ids, kinds, amounts and margins of the archive; where both were read, nothing changes."
    root, fills_by_user, ledger_by_user = night
    with serving(fills=fills_by_user, ledger=ledger_by_user, page=5) as server:
        code, said = run(tmp_path, server, [USER])
        by_api = {table: ask(tmp_path, sql) for table, sql in STORED.items()}
        own = "SELECT event_id, kind, side, forced_usd, margin_lost_usd, closed_pnl_usd FROM liquidations WHERE account = '{}'"
        own_by_api = ask(tmp_path, own.format(USER))
        backfill(tmp_path / "x.duckdb", Options(since=AT, until=UNTIL, archive=str(root)), lambda _: None)
        by_archive = {table: ask(tmp_path, sql) for table, sql in STORED.items()}
        again, _ = run(tmp_path, server, [USER])

    assert (code, again, len(said)) == (0, 0, 1)
    assert len(by_api["liquidations"]) == 2
    assert len(by_api["flows"]) == 3
    assert sorted(own_by_api) == sorted(ask(tmp_path, own.format(USER)))
    assert {row[0] for row in by_api["flows"]} == {row[0] for row in by_archive["flows"]}
    assert {table: ask(tmp_path, sql) for table, sql in STORED.items()} == by_archive
    assert ask(tmp_path, "SELECT DISTINCT source, completeness FROM liquidations") == [("hyperliquid_archive", "full")]


def test_coverage_of_accounts(tmp_path, night):
    "Rows of single accounts never count as coverage of the venue, and their completeness is unknown."
    _, fills_by_user, ledger_by_user = night
    with serving(fills=fills_by_user, ledger=ledger_by_user) as server:
        run(tmp_path, server, [USER])

    assert ask(tmp_path, "SELECT dataset, n_rows, proof, endpoint FROM coverage ORDER BY 1") == [
        (f"watched:fills:{USER}", 2, "paged", "127.0.0.1"),
        (f"watched:ledger:{USER}", 3, "paged", "127.0.0.1"),
    ]
    assert ask(tmp_path, "FROM liquidation_coverage") == []
    assert ask(tmp_path, "SELECT DISTINCT completeness FROM liquidations") == [("unknown",)]


def test_maker_alone_gives_nothing(tmp_path):
    "An account that only made the market of somebody's liquidation has no rows."
    with serving(fills={MAKER: [market_pair(USER, MAKER)[1][1]]}) as server:
        run(tmp_path, server, [MAKER])

    assert ask(tmp_path, "SELECT count(*) FROM liquidations") == [(0,)]


def test_dry_run(tmp_path):
    "A dry run of accounts asks nothing and makes no database."
    with serving() as server:
        code, said = run(tmp_path, server, [USER], dry_run=True)

    assert (code, len(said), server.asked) == (0, 1, [])
    assert not (tmp_path / "x.duckdb").exists()


def same_body(one, other):
    "Two requests ask the same if their bodies do, at whatever address."
    assert json.loads(one.body) == json.loads(other.body)


def test_recorded_account(tmp_path, request):
    "A recorded conversation about the one public account that was liquidated gives its public row."
    cassette = CASSETTES / "wynn.yaml"
    recorder = vcr.VCR(record_mode="none")
    recorder.register_matcher("body", same_body)
    line = json.loads(vector("userfills_liquidation.jsonl")[1])
    user = line["liquidation"]["liquidatedUser"]
    window = {"since": datetime(2025, 6, 9), "until": datetime(2025, 6, 10)}
    listed = tmp_path / "accounts.txt"
    listed.write_text(user)
    if request.config.getoption("--update-golden"):
        others = [json.loads(text) for text in vector("fills_ordinary.jsonl")[2:]]
        ledger = {user: [json.loads(vector("ledger_updates.jsonl")[0])]}
        cassette.unlink(missing_ok=True)
        recorder.record_mode = "once"
        with serving(fills={user: [line, *others]}, ledger=ledger) as server:
            options = Options(accounts=listed, base_url=server.url, **window)
            with recorder.use_cassette(str(cassette), match_on=["body"]):
                backfill(tmp_path / "recorded.duckdb", options, lambda _: None)
        recorder.record_mode = "none"

    options = Options(accounts=listed, base_url="http://127.0.0.1:1", **window)
    with recorder.use_cassette(str(cassette), match_on=["body"]):
        code = backfill(tmp_path / "x.duckdb", options, lambda _: None)

    assert code == 0
    row = ask(tmp_path, "SELECT block_number, account, forced_usd, side, kind, source FROM liquidations")
    assert row == [(623_213_524, user, 3255.8694, "short", "market", "hyperliquid_api")]


# -- snapshots --


def test_positions():
    "A clearinghouse state gives signed sizes in base units at its own time; closed positions are none."
    held = [("ETH", "-2.5"), ("kPEPE", "3"), ("xyz:TSLA", "0.0")]
    state = {"time": HOUR, "assetPositions": [{"type": "oneWay", "position": {"coin": c, "szi": s}} for c, s in held]}

    rows = snapshots.positions(USER.upper(), state)

    assert rows.select("market", "asset", "size").rows() == [("ETH", "ETH", -2.5), ("kPEPE", "PEPE", 3000.0)]
    assert rows["observed_at"].to_list()[0] == AT
    assert rows["account"].unique().to_list() == [USER]


def test_market_contexts():
    "Contexts of this moment go the same way as those of a file."
    meta = {"universe": [{"name": "BTC"}, {"name": "kPEPE"}]}
    each = [
        {"funding": "0.00001", "openInterest": "100.5", "oraclePx": "27000.5", "markPx": "27001.0"},
        {"funding": "0.00002", "openInterest": "1000", "oraclePx": "0.0016", "markPx": None},
    ]
    rows = snapshots.contexts(meta, each, HOUR)

    assert contexts.open_interest(rows, "x").select("market", "units", "usd").rows() == [
        ("BTC", 100.5, 2713600.5),
        ("kPEPE", 1_000_000.0, None),
    ]
    assert contexts.prices(rows).height == 3


def test_candles():
    "A candle's close is a price at the end of its interval, per unit of the asset."
    candles = [{"t": HOUR, "T": HOUR + 59_999, "s": "kPEPE", "i": "1m", "o": "1", "c": "0.009", "h": "1", "l": "1"}]

    rows = snapshots.candle_prices(candles)

    assert rows.select("asset", "price_usd", "kind", "source").rows() == [("PEPE", 0.000009, "kline", "hyperliquid")]
    assert rows["priced_at"].to_list() == [datetime(2025, 11, 22, 4, 0, 59, 999_000)]


def test_vault_children():
    "A vault's addresses are its own and its children's."
    with serving() as server:
        server.answers["vaultDetails"] = {"relationship": {"type": "parent", "data": {"childAddresses": [HLP.upper()]}}}
        reader, _ = client(server)

        found = snapshots.children(MAKER, reader.vault(MAKER))

    assert found == sorted([MAKER, HLP])


@pytest.mark.parametrize("vault", [{}, {"relationship": {"type": "normal"}}])
def test_vault_without_children(vault):
    "A vault without children stands alone."
    assert snapshots.children(MAKER, vault) == [MAKER]
    assert isinstance(snapshots.positions(USER, {"time": 0}), pl.DataFrame)
