"""One POST over a plain connection, against a server that does what servers do."""

import gzip
import socket
import threading
import time

import pytest

from indexer import sockets
from indexer.rpc import Pool
from indexer.sockets import CutOff, Sockets, TooLarge

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def answering():
    "A function that serves raw bytes: one list a connection, one item a request; `None` closes; (url, connections)."
    listeners = []

    def start(*connections):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        accepted = []

        def serve():
            for answers in connections:
                peer, _ = listener.accept()
                accepted.append(peer)
                with peer:
                    for answer in answers:
                        received = peer.recv(65536)
                        while b"\r\n\r\n" not in received or not received.endswith(b"!"):
                            received += peer.recv(65536)
                        if callable(answer):
                            answer()
                        elif answer is not None:
                            peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/path?key=1", accepted

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def plain():
    "The connections under test."
    made = Sockets("test")
    yield made
    made.close()


def whole(body, extra=b""):
    "A response with its length."
    return HEAD + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_one_connection_serves_many(answering, plain):
    "Requests in a row share a connection, and the path and query of the URL are asked."
    url, accepted = answering([whole(b"one"), whole(b"two"), whole(b"")])
    bodies = [bytes(plain.post(url, b"?!", 5).body) for _ in range(3)]

    assert (bodies, len(accepted)) == ([b"one", b"two", b""], 1)


def test_closed_while_idle(answering, plain):
    "A connection that the server closed meanwhile is opened again, once."
    url, accepted = answering([whole(b"one")], [whole(b"two")])
    first = plain.post(url, b"!", 5)
    time.sleep(0.05)

    assert (bytes(first.body), bytes(plain.post(url, b"!", 5).body), len(accepted)) == (b"one", b"two", 2)


def test_status_and_headers(answering, plain):
    "A refusal is a response: its status, headers in lower case, and body are kept."
    url, _ = answering([b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nslow"])
    response = plain.post(url, b"!", 5)

    assert (response.status, response.headers["retry-after"], bytes(response.body)) == (429, "3", b"slow")


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n2\r\ncd\r\n0\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\nab\r\ncd",
        whole(gzip.compress(b"ab\r\ncd"), b"Content-Encoding: gzip\r\n"),
    ],
    ids=["chunked", "until closed", "gzip"],
)
def test_other_framings(answering, plain, answer):
    "Chunked, unframed and packed bodies come out whole."
    url, _ = answering([answer])

    assert bytes(plain.post(url, b"!", 5).body) == b"ab\r\ncd"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 100\r\n\r\nshort",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\nshort",
        whole(gzip.compress(b"x" * 1000)[:-12], b"Content-Encoding: gzip\r\n"),
        whole(b"not packed", b"Content-Encoding: gzip\r\n"),
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
    ids=["length", "chunk", "packed", "not packed", "not http", "nothing"],
)
def test_damaged(answering, plain, answer):
    "A body that ends early or is none is an OSError, never half an answer."
    url, _ = answering([answer])

    with pytest.raises(OSError, match=r"\S"):
        plain.post(url, b"!", 5)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 5000000000\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\n" + b"x" * 3000,
        whole(gzip.compress(b"x" * 100_000), b"Content-Encoding: gzip\r\n"),
    ],
    ids=["announced", "unannounced", "packed"],
)
def test_too_large(answering, plain, monkeypatch, answer):
    "A body beyond the cap is refused, announced or not, packed or not, before memory is taken for it."
    monkeypatch.setattr(sockets, "MOST_BYTES", 2000)
    url, _ = answering([answer])

    with pytest.raises(TooLarge, match="2000 bytes"):
        plain.post(url, b"!", 5)


def test_no_answer(answering, plain):
    "A server that accepts and says nothing is a timeout."
    url, _ = answering([lambda: time.sleep(0.5)])
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        plain.post(url, b"!", 0.1)
    assert time.monotonic() - started < 0.4


def test_trickle(answering, plain):
    "A body that trickles for ever ends too: the whole request has its time."
    peers = []

    def trickle():
        peers[0][0].sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(30):
            try:
                peers[0][0].sendall(b"x")
            except OSError:
                return
            time.sleep(0.03)

    url, accepted = answering([trickle])
    peers.append(accepted)

    with pytest.raises(TimeoutError, match="whole request"):
        plain.post(url, b"!", 0.05)


def test_hanging_endpoint(answering, monkeypatch):
    "An endpoint that hangs costs one short wait; another one answers."
    monkeypatch.setattr("indexer.rpc.CHECK_SECONDS", 0.2)
    hanging = socket.create_server(("127.0.0.1", 0))
    url, _ = answering(
        [whole(b'{"jsonrpc":"2.0","id":1,"result":"0x1"}'), whole(b'{"jsonrpc":"2.0","id":1,"result":"0x2a"}')]
    )
    pool = Pool([f"http://127.0.0.1:{hanging.getsockname()[1]}", url], chain_id=1, chain="ethereum")
    monkeypatch.setattr("msgspec.json.encode", lambda _: b"!")
    started = time.monotonic()
    result = pool.call("eth_gasPrice", [])
    pool.close()
    hanging.close()

    assert result == "0x2a"
    assert time.monotonic() - started < 3


def test_cut_off_is_an_os_error():
    "Callers handle one family of errors."
    assert issubclass(CutOff, OSError)
