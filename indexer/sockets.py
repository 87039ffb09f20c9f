"""One POST over a kept-alive plain connection, its body read into one buffer.

A node on this machine answers faster than a general client reads: megabytes of logs cost it five times the time here.
"""

from __future__ import annotations

import http.client
import threading
import time
import zlib
from typing import NamedTuple
from urllib.parse import urlsplit

MOST_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
WHOLE_REQUEST_TIMEOUTS = 4  # the whole request may take this many read timeouts
HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
GZIP = 31  # zlib's window bits for a gzip header
# What a server that closed an idle connection looks like; the request never reached it.
STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Response(NamedTuple):
    "Status, headers by lower-case name, and the whole decoded body."

    status: int
    headers: dict[str, str]
    body: bytes | bytearray


class TooLarge(Exception):
    "The body passed the cap."

    def __init__(self) -> None:
        super().__init__(f"the response is larger than {MOST_BYTES} bytes")


class CutOff(OSError):
    "The body ended early, or was no HTTP."


class Sockets:
    "Kept-alive connections by host; shared by threads, each request has one of its own."

    def __init__(self, agent: str) -> None:
        self.headers = {**HEADERS, "User-Agent": agent}
        self.idle: dict[str, list[http.client.HTTPConnection]] = {}
        self.lock = threading.Lock()

    def close(self) -> None:
        "Close every idle connection."
        with self.lock:
            connections = [one for kept in self.idle.values() for one in kept]
            self.idle.clear()
        for one in connections:
            one.close()

    def post(self, url: str, payload: bytes, timeout_seconds: float) -> Response:
        "The response to one POST; raises TimeoutError, OSError or TooLarge."
        parts = urlsplit(url)
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        with self.lock:
            kept = self.idle.get(f"{parts.hostname}:{parts.port or http.client.HTTP_PORT}")
            connection = kept.pop() if kept else None
        if connection is not None:
            try:
                return self.exchange(connection, path, payload, timeout_seconds)
            except STALE:
                connection.close()
        fresh = http.client.HTTPConnection(parts.netloc, timeout=min(CONNECT_SECONDS, timeout_seconds))
        fresh.connect()
        return self.exchange(fresh, path, payload, timeout_seconds)

    def exchange(
        self, connection: http.client.HTTPConnection, path: str, payload: bytes, timeout_seconds: float
    ) -> Response:
        "The response on one connection, which is kept if it can serve again."
        is_kept = False
        try:
            connection.sock.settimeout(timeout_seconds)
            connection.request("POST", path, payload, self.headers)
            answer = connection.getresponse()
            body: bytes | bytearray = read_body(answer, time.monotonic() + timeout_seconds * WHOLE_REQUEST_TIMEOUTS)
            is_kept = not answer.will_close
        except STALE:
            raise
        except http.client.HTTPException as error:
            raise CutOff(f"{type(error).__name__}: {error}") from error
        finally:
            if is_kept:
                with self.lock:
                    self.idle.setdefault(f"{connection.host}:{connection.port}", []).append(connection)
            else:
                connection.close()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if headers.get("content-encoding", "identity") != "identity":
            body = unpacked(body)
        return Response(answer.status, headers, body)


def read_body(answer: http.client.HTTPResponse, give_up: float) -> bytearray:
    "The whole body; raises CutOff, TooLarge, or TimeoutError past `give_up` (in monotonic seconds)."
    if answer.length is None:
        body = bytearray()
        while chunk := answer.read(CHUNK_BYTES):
            body += chunk
            check(len(body), give_up)
        return body
    check(answer.length, give_up)
    body = bytearray(answer.length)
    view, n_read = memoryview(body), 0
    while n_read < len(body):
        n_more = answer.readinto(view[n_read:])
        if not n_more:
            raise CutOff(f"the body ended after {n_read} of {len(body)} bytes")
        n_read += n_more
        check(n_read, give_up)
    return body


def check(n_bytes: int, give_up: float) -> None:
    "Raise TooLarge past the cap, TimeoutError past the time."
    if n_bytes > MOST_BYTES:
        raise TooLarge
    if time.monotonic() > give_up:
        raise TimeoutError("the whole request took too long")


def unpacked(body: bytes | bytearray) -> bytes:
    "A gzip body unpacked; raises CutOff, or TooLarge past the cap."
    unpacker = zlib.decompressobj(GZIP)
    try:
        plain = unpacker.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise CutOff(f"a packed body is damaged ({error})") from error
    check(len(plain), float("inf"))
    if not unpacker.eof:
        raise CutOff("a packed body ended early")
    return plain
