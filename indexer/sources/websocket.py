"""A websocket kept open: subscribed, pinged, opened again after every loss; frames and losses go to a queue."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from indexer.errors import UserError

if TYPE_CHECKING:
    import queue
    import threading
    from collections.abc import Callable

    from websockets.sync.client import ClientConnection

    from indexer.feed import Stream

LONGEST_BACKOFF_SECONDS = 60.0
SETTLED_SECONDS = 10.0  # a connection that lived this long was no failure
LONGEST_FRAME_BYTES = 16 << 20
POLL_SECONDS = 0.25


class Event(NamedTuple):
    "What happened on a connection: `open`, `frame` (with its text) or `close` (with the reason), in nanoseconds of UTC."

    kind: str
    connection: str
    at_ns: int
    text: str


@dataclass(frozen=True)
class Line:
    "One subscription to keep: where, what for, and the name its connections get, numbered."

    name: str
    stream: Stream
    markets: tuple[str, ...]
    base_url: str | None = None
    backoff_seconds: float = 1.0

    @property
    def url(self) -> str:
        "The stream's address, at the host that is asked instead if there is one."
        if not self.base_url:
            return self.stream.url
        own, other = urlsplit(self.stream.url), urlsplit(self.base_url)
        return urlunsplit((other.scheme, other.netloc, own.path, own.query, ""))

    def subscriptions(self) -> list[str]:
        "The frames to send after connecting: those with a market once for each."
        return [
            text.replace("{market}", market)
            for text in self.stream.subscribe
            for market in (self.markets if "{market}" in text else ("",))
        ]


class Silent(Exception):
    "No frame for longer than the stream's bound."


def connector() -> Callable[..., ClientConnection]:
    "The function that opens a websocket; raises UserError without the extra that brings it."
    try:
        from websockets.sync.client import connect  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise UserError("live recording needs the extra `live`: pip install 'liquidation-indexer[live]'") from error
    return connect


def listen(line: Line, events: queue.Queue[Event], stop: threading.Event) -> None:
    "Keep one line until `stop`: every loss ends the connection in the queue, and a new one follows after a back-off."
    connect = connector()
    number = n_failures = 0
    while not stop.is_set():
        number += 1
        name = f"{line.name}#{number}"
        opened = time.monotonic()
        try:
            with connect(line.url, max_size=LONGEST_FRAME_BYTES, open_timeout=10, close_timeout=1) as socket:
                events.put(Event("open", name, time.time_ns(), ""))
                for text in line.subscriptions():
                    socket.send(text)
                receive(line.stream, socket, name, events=events, stop=stop)
            reason = "stopped"
        except Exception as error:  # noqa: BLE001 - whatever ends a connection, the next one follows, and it is told
            reason = str(error).partition("\n")[0] or type(error).__name__
        events.put(Event("close", name, time.time_ns(), reason))
        n_failures = 0 if time.monotonic() - opened > SETTLED_SECONDS else n_failures + 1
        stop.wait(min(LONGEST_BACKOFF_SECONDS, line.backoff_seconds * 2.0 ** min(n_failures, 10)))


def receive(
    stream: Stream, socket: ClientConnection, name: str, *, events: queue.Queue[Event], stop: threading.Event
) -> None:
    "Pass on frames until `stop`. Raises Silent, or what the library raises when the connection ends."
    heard = pinged = time.monotonic()
    while not stop.is_set():
        now = time.monotonic()
        if stream.ping and now - pinged >= stream.ping_seconds:
            socket.send(stream.ping)
            pinged = now
        try:
            message = socket.recv(timeout=min(POLL_SECONDS, stream.quiet_seconds / 2))
        except TimeoutError:
            if time.monotonic() - heard > stream.quiet_seconds:
                raise Silent(f"no frame for {stream.quiet_seconds:g} s") from None
            continue
        received_ns = time.time_ns()
        heard = time.monotonic()
        text = readable(message)
        events.put(Event("frame", name, received_ns, text))
        if reply := answer(stream, text):
            socket.send(reply)


def readable(message: str | bytes) -> str:
    "The frame as text: binary ones are gzip where they are that, and never raise."
    if isinstance(message, str):
        return message
    with contextlib.suppress(OSError, EOFError, zlib.error):
        message = gzip.decompress(message)
    return message.decode("utf-8", errors="replace")


def answer(stream: Stream, text: str) -> str | None:
    "The reply to a venue's own ping, echoing its value in the type it came in; None if the frame is no ping."
    if stream.pong is None or '"ping"' not in text[:200]:
        return None
    key, template = stream.pong
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        return None
    return template.replace("{value}", json.dumps(value))
