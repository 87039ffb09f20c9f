"""The recorder against a local server that replays frames, drops, stalls and sends garbage."""

import dataclasses
import gzip
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.sync.server import serve

from indexer import cefi, store, venues
from indexer.cefi import live
from indexer.errors import UserError
from indexer.sources import websocket

VECTORS = Path(__file__).parents[1] / "venues"
ACK = '{"success":true,"ret_msg":"","op":"subscribe"}'


def vector(venue, number=0):
    "The text of a payload."
    return json.loads((VECTORS / f"{venue}.jsonl").read_text().splitlines()[number])["raw"]


@contextmanager
def serving(script):
    "A server that runs `script(socket, number)` for each connection; gives its address and what it was sent."
    received = []
    numbers = iter(range(1000))
    guard = threading.Lock()

    def handler(socket):
        with guard:
            number = next(numbers)
        socket.said = received
        script(socket, number)

    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", received
        server.shutdown()
        thread.join()


def linger(socket, seconds=30.0):
    "Keep the connection until the other side ends it, noting what it says."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.said.append(socket.recv(timeout=0.05))
        except TimeoutError:
            continue
        except Exception:  # noqa: BLE001 - the other side is gone
            return


@pytest.fixture
def record(connection, monkeypatch):
    "Records a venue from a script until a condition on the database holds; gives what was said on both sides."

    def record(name, script, enough, *, markets=(), **stream):
        venue = venues.get(name)
        one = dataclasses.replace(venue.streams[0], **stream)
        monkeypatch.setattr(venues, "get", lambda _: dataclasses.replace(venue, streams=(one,)))
        said, stop = [], threading.Event()

        def narrate(line):
            said.append(line)

        def commit(*arguments, **options):
            committed(*arguments, **options)
            if connection.sql(enough).fetchall()[0][0] or time.monotonic() > deadline:
                stop.set()

        committed, deadline = live.commit, time.monotonic() + 20
        monkeypatch.setattr(live, "commit", commit)
        with serving(script) as (url, received):
            code = live.follow(
                connection,
                [name],
                narrate,
                markets=markets,
                base_url=url,
                commit_seconds=0.05,
                backoff_seconds=0.02,
                stop=stop,
                learns_contracts=False,
            )
        return code, said, received

    return record


def test_frames_are_stored_and_covered(connection, record):
    "A subscription, its acknowledgement, a frame: the row, the frame as received, and an interval from the acknowledgement."

    def script(socket, _number):
        for _ in range(2):
            socket.said.append(socket.recv())
        socket.send(ACK)
        socket.send(vector("bybit", 4))
        linger(socket)

    code, _said, received = record("bybit", script, "SELECT count(*) FROM liquidations", markets=("STRKUSDT",))

    assert code == 0
    assert received[1] == '{"op":"subscribe","args":["allLiquidation.STRKUSDT"]}'
    assert connection.sql("SELECT market, side, source FROM liquidations").fetchall() == [
        ("STRKUSDT", "long", "bybit_ws")
    ]
    assert connection.sql("SELECT frame, connection FROM raw_frames").fetchall() == [(vector("bybit", 4), "bybit/1#1")]
    assert connection.sql(
        "SELECT dataset, proof, from_at < to_at, from_at <= received_at AND received_at < to_at FROM coverage, raw_frames"
    ).fetchall() == [("bybit:allLiquidation:STRKUSDT", "connection", True, True)]


def test_no_acknowledgement_no_coverage(connection, record):
    "Frames without an acknowledged subscription are kept, but cover nothing; the verdict says so."

    def script(socket, _number):
        socket.send('{"success":false,"ret_msg":"error:handler not found","op":"subscribe"}')
        socket.send(vector("bybit", 4))
        linger(socket)

    code, said, _ = record("bybit", script, "SELECT count(*) FROM liquidations")

    assert code == 1
    assert connection.sql("SELECT count(*) FROM coverage").fetchall() == [(0,)]
    assert any("the venue refuses" in line for line in said)
    assert "bybit/1: the subscription was never acknowledged; nothing of it is covered" in said


def test_dropped_connection(connection, record):
    "After a drop the recorder comes back, subscribes again, and the hole between the two intervals is listed."

    def script(socket, number):
        for _ in range(2):
            socket.recv()
        socket.send(ACK)
        socket.send(vector("bybit", 4 + min(number, 1)))
        if number:
            linger(socket)
        else:
            socket.close()

    code, said, _ = record("bybit", script, "SELECT count(*) = 2 FROM liquidations", markets=("STRKUSDT",))

    assert code == 0
    assert connection.sql("SELECT endpoint FROM coverage ORDER BY from_at").fetchall() == [
        ("bybit/1#1",),
        ("bybit/1#2",),
    ]
    assert connection.sql(
        "SELECT max(to_at) FILTER (endpoint = 'bybit/1#1') <= max(from_at) FROM coverage"
    ).fetchall() == [(True,)]
    assert connection.sql("SELECT reason FROM gaps").fetchall()[0][0].startswith("bybit/1#1: received 1000")
    assert any("bybit/1#1 ended" in line for line in said)


def test_stalled_connection(connection, record):
    "A connection that goes quiet for longer than its bound is dead: it is left, and another one opened."

    def script(socket, number):
        socket.send(ACK)
        if number:
            socket.send(vector("bybit", 4))
        linger(socket)

    code, _said, _ = record("bybit", script, "SELECT count(*) FROM liquidations", quiet_seconds=0.3)

    assert code == 0
    assert "bybit/1#1: no frame for 0.3 s" in [
        reason for (reason,) in connection.sql("SELECT reason FROM gaps").fetchall()
    ]


def test_silent_feed(connection, record):
    "A connection that lives while its liquidations stay away is no proof of none: nothing is covered since the last one."

    def script(socket, _number):
        socket.send('{"stream":"x","data":{"e":"markPriceUpdate"}}')
        socket.send(vector("binance", 2))
        for _ in range(40):
            socket.send('{"stream":"x","data":{"e":"markPriceUpdate"}}')
            time.sleep(0.05)
        linger(socket)

    code, said, _ = record(
        "binance",
        script,
        "SELECT max(to_at) - max(received_at) < INTERVAL 2 MILLISECOND"
        " AND epoch_ms(now()::TIMESTAMP) - epoch_ms(max(received_at)) > 800 FROM coverage, raw_frames",
        liquidation_quiet_seconds=0.5,
    )

    assert code == 1
    assert any("alive but no liquidation for 0.5 s: not covered since" in line for line in said)
    assert connection.sql(
        "SELECT gaps.dataset, gaps.to_at - gaps.from_at > INTERVAL 0.4 SECOND, gaps.from_at <= coverage.to_at, reason"
        " FROM gaps JOIN coverage USING (source, dataset)"
    ).fetchall() == [("binance:forceOrder", True, True, "binance/1#1: alive but no liquidation for 0.5 s")]


def test_garbage(connection, record):
    "Garbage is put aside and the connection goes on; pongs are nothing."

    def script(socket, _number):
        socket.send(ACK)
        for garbage in (
            "pong",
            "{{{",
            b"\xff\xfe\x00",
            "[1,2",
            "null",
            '{"topic":"allLiquidation.X","data":[{"S":"Up"}]}',
        ):
            socket.send(garbage)
        socket.send(vector("bybit", 4))
        linger(socket)

    code, _said, _ = record("bybit", script, "SELECT count(*) FROM liquidations")

    assert code == 0
    reasons = connection.sql("SELECT reason, count(*) FROM rejected GROUP BY reason ORDER BY reason").fetchall()
    assert reasons == [("neither a time nor a receive time", 1), ("not JSON", 2), ("not UTF-8", 1)]


def test_gzip_and_ping(record):
    "HTX packs its frames and must get its ping back in the type it came in, number or string."

    def script(socket, _number):
        socket.send(gzip.compress(b'{"op":"sub","cid":"1","topic":"public.*.liquidation_orders","err-code":0}'))
        socket.send(gzip.compress(b'{"op":"ping","ts":1603252801658}'))
        socket.send(gzip.compress(b'{"op":"ping","ts":"1603252801659"}'))
        socket.send(gzip.compress(vector("htx", 3).encode()))
        linger(socket)

    code, _said, received = record("htx", script, "SELECT count(*) FROM liquidations")

    assert code == 0
    assert received == [
        '{"op":"sub","cid":"1","topic":"public.*.liquidation_orders"}',
        '{"op":"pong","ts":1603252801658}',
        '{"op":"pong","ts":"1603252801659"}',
    ]


def test_own_ping(connection, record):
    "Venues that want to be pinged are, in their own words."

    def script(socket, _number):
        socket.send('{"event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"}}')
        while socket.said.count("ping") < 2:
            socket.said.append(socket.recv())
        socket.send(vector("okx", 4))
        socket.send(vector("okx", 3))
        linger(socket)

    code, _said, received = record("okx", script, "SELECT count(*) FROM liquidations", ping_seconds=0.05)

    assert code == 0
    assert received.count("ping") >= 2
    assert connection.sql("SELECT market FROM liquidations").fetchall() == [("BTC-USDT-SWAP",)]
    assert connection.sql("SELECT count(*) FROM raw_frames").fetchall() == [(2,)]


def test_receive_time_stands_for_the_time(connection, record):
    "A BitMEX record has no time of its own: it happened when it was received."

    def script(socket, _number):
        socket.send('{"success":true,"subscribe":"liquidation"}')
        socket.send(vector("bitmex"))
        linger(socket)

    code, _said, _ = record("bitmex", script, "SELECT count(*) FROM liquidations")

    assert code == 0
    assert connection.sql(
        "SELECT liquidated_at = date_trunc('milliseconds', received_at) FROM liquidations, raw_frames"
    ).fetchall() == [(True,)]


def test_follow(tmp_path):
    "The command's function opens the database, records until its time and says what it could not hear."
    said = []
    database = tmp_path / "test.duckdb"

    def script(socket, _number):
        socket.send('{"event":"subscribe","arg":{"topic":"liquidation"}}')
        socket.send(vector("bitget"))
        linger(socket)

    with serving(script) as (url, received):
        until = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=2)
        options = cefi.FollowOptions(("bitget",), until=until, base_url=url, commit_seconds=0.1)
        code = cefi.follow(database, options, said.append)

    assert code == 0
    assert "bitget: 2 new" in said
    assert len(received) == 4
    with store.connect(database, read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(2,)]


def test_venue_without_stream(connection):
    "A closed venue cannot be recorded."
    with pytest.raises(UserError, match="ftx has no live stream; import files instead"):
        live.follow(connection, ["ftx"], lambda _: None)


def test_missing_extra(connection, monkeypatch):
    "Without the extra the line says what to install."
    monkeypatch.setitem(__import__("sys").modules, "websockets.sync.client", None)

    with pytest.raises(UserError, match=r"needs the extra `live`: pip install 'liquidation-indexer\[live\]'"):
        live.follow(connection, ["bybit"], lambda _: None)


@pytest.mark.parametrize("name", [name for name in venues.names() if name != "ftx"])
def test_stream_declaration(name):
    "Every open venue says how it is listened to; each subscription is one JSON frame or none is sent."
    streams = venues.get(name).streams

    assert streams
    assert len({stream.part for stream in streams}) == len(streams)
    for stream in streams:
        assert stream.url.startswith("wss://")
        lines = websocket.Line("x", stream, stream.markets).subscriptions()
        assert all(isinstance(json.loads(text), dict) for text in lines)
        assert stream.quiet_seconds <= 60
