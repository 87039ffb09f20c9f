"""One JSON-RPC request or batch over HTTP, and its answers matched by id."""

from __future__ import annotations

import contextlib
import email.utils
import os
import sys
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from indexer import __version__
from indexer.rpc_errors import Refused, Verdict, classify, from_error, one_line
from indexer.sockets import Sockets, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import httpx

    from indexer.clients import Client
    from indexer.endpoints import Endpoint
    from indexer.sockets import Response

AGENT = f"liquidation-indexer/{__version__}"
PATIENCE_SECONDS = 900.0  # a longer wait than this is a quota, not a rate
CLOSING_SECONDS = 2.0
MOST_THROTTLES = 30  # in a row, for one request

MALFORMED = object()
PROXIES = {"http_proxy", "all_proxy"}  # what httpx reads for a plain URL
# Held while a body is parsed: threads that parse at once only take the interpreter from each other, at half again the cost.
PARSING = threading.Lock()

Call = tuple[str, list[Any]]


class Answer(msgspec.Struct):
    "One JSON-RPC answer of any kind."

    id: Any = None
    result: Any = msgspec.UNSET
    error: Any = None


class Limits(NamedTuple):
    "How long one request may wait for its turn, and for an answer to go on."

    patience_seconds: float
    timeout_seconds: float


class Reply(NamedTuple):
    "The result of one call, or what its error means."

    result: Any
    error: Verdict | None


ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[Answer] | Answer)
LOOSE: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Wire:
    "One keep-alive HTTP client for all endpoints and threads."

    def __init__(self, urls: Sequence[str], *, transport: httpx.BaseTransport | None, max_in_flight: int) -> None:
        self.transport = transport
        self.max_connections = max_in_flight * 2
        self.is_encrypted = any(url.startswith("https:") for url in urls)
        self.has_proxy = any(value and name.lower() in PROXIES for name, value in os.environ.items())
        self.sockets = Sockets(AGENT)
        self.idle = threading.Condition()
        self.n_in_flight = 0
        self.is_closed = False
        self.made: Client | None = None

    def close(self) -> None:
        "Close every connection, once the requests in flight ended or had their time."
        with self.idle:
            self.is_closed = True
            self.idle.wait_for(lambda: self.n_in_flight == 0, CLOSING_SECONDS)
        self.sockets.close()
        if self.made is not None:
            self.made.close()

    def exchange(
        self,
        endpoint: Endpoint,
        calls: Sequence[Call],
        decoder: msgspec.json.Decoder[Any],
        limits: Limits,
    ) -> list[Reply]:
        """The replies to `calls` in their order, from one HTTP request; a rate limit is waited out here.

        Raises Refused when the request as a whole came to nothing, or the next turn is further away than the
        limits allow. Ids are the positions from 1, so that a recorded answer fits every run.
        """
        bodies = [
            {"jsonrpc": "2.0", "id": position, "method": method, "params": params}
            for position, (method, params) in enumerate(calls, 1)
        ]
        payload = msgspec.json.encode(bodies if len(bodies) > 1 else bodies[0])
        for _ in range(MOST_THROTTLES):
            endpoint.take_turn()
            try:
                replies = self.attempt(endpoint, payload, len(calls), decoder, limits.timeout_seconds)
            except Refused as refused:
                verdict = refused.verdict
                if verdict.kind == "transient":
                    endpoint.failed(verdict.message)
                if verdict.kind != "rate":
                    raise
            else:
                throttled = next((reply.error for reply in replies if reply.error and reply.error.kind == "rate"), None)
                if throttled is None:
                    endpoint.succeeded()
                    return replies
                verdict = throttled
            if endpoint.throttled(verdict) > limits.patience_seconds:
                raise Refused(endpoint.host, verdict)
        endpoint.failed(verdict.message)
        raise Refused(endpoint.host, verdict)

    def attempt(
        self,
        endpoint: Endpoint,
        payload: bytes,
        n_calls: int,
        decoder: msgspec.json.Decoder[Any],
        timeout_seconds: float,
    ) -> list[Reply]:
        "The replies of one HTTP request; raises Refused."
        try:
            with self.in_flight(endpoint):
                status, headers, body = self.post(endpoint.url, payload, timeout_seconds)
        except TimeoutError as error:
            raise Refused(endpoint.host, Verdict("transient", f"timed out ({one_line(str(error))})")) from error
        except OSError as error:
            said = one_line(str(error)) or type(error).__name__
            raise Refused(endpoint.host, Verdict("transient", said)) from error
        except TooLarge as error:
            raise Refused(endpoint.host, Verdict("response_size", str(error))) from error
        try:
            with PARSING:
                return read(body, n_calls, decoder, None if status == HTTPStatus.OK else status)
        except Refused as refused:
            verdict = refused.verdict
            wait = retry_after(headers)
            if wait is not None and (verdict.kind == "rate" or status == HTTPStatus.SERVICE_UNAVAILABLE):
                verdict = verdict._replace(kind="rate", wait_seconds=wait)
                if wait > PATIENCE_SECONDS:
                    verdict = verdict._replace(kind="quota", message=f"{verdict.message} (retry after {wait:.0f} s)")
            raise Refused(endpoint.host, verdict) from refused

    @contextlib.contextmanager
    def in_flight(self, endpoint: Endpoint) -> Iterator[None]:
        "Count a request that is on its way; raises Refused after `close`."
        with self.idle:
            if self.is_closed:
                raise Refused(endpoint.host, Verdict("transient", "the connections are closed"))
            self.n_in_flight += 1
        try:
            yield
        finally:
            with self.idle:
                self.n_in_flight -= 1
                self.idle.notify_all()

    def post(self, url: str, payload: bytes, timeout_seconds: float) -> Response:
        "The response to one POST: on a plain socket where nothing needs more; raises TimeoutError, OSError, TooLarge."
        parts = urlsplit(url)
        needs_more = parts.scheme != "http" or parts.username is not None or self.has_proxy or not url.isascii()
        if self.transport is None and not needs_more and "httpx" not in sys.modules:
            return self.sockets.post(url, payload, timeout_seconds)
        # 0.1 s of CPU that a run over plain http never needs.
        from indexer.clients import Client, is_watched  # noqa: PLC0415

        if self.transport is None and not needs_more and not is_watched():
            return self.sockets.post(url, payload, timeout_seconds)
        with self.idle:
            if self.made is None:
                self.made = Client(self.transport, self.max_connections, AGENT, is_encrypted=self.is_encrypted)
        return self.made.post(url, payload, timeout_seconds)


def read(
    body: bytes | bytearray, n_calls: int, decoder: msgspec.json.Decoder[Any], http_status: int | None
) -> list[Reply]:
    "The replies in `body` by position; raises Refused where it is not one answer for each call."
    answers = decoded(body, decoder, http_status)
    if not isinstance(answers, list):
        if answers.error is not None and (n_calls > 1 or http_status is not None):
            raise Refused("", from_error(answers.error, http_status))
        if n_calls > 1 or http_status is not None or (answers.result is msgspec.UNSET and answers.error is None):
            raise Refused("", not_json(body, http_status))
        return [Reply(answers.result, meaning(answers, http_status))]
    replies: dict[int, Reply] = {}
    for answer in answers:
        position = answer.id
        if isinstance(position, str) and position.isdigit():
            position = int(position)
        if not isinstance(position, int) or not 1 <= position <= n_calls or position in replies:
            if answer.error is not None:
                raise Refused("", from_error(answer.error, http_status))
            raise Refused("", Verdict("transient", f"an answer has the id {answer.id!r}, which is not open"))
        replies[position] = Reply(answer.result, meaning(answer, http_status))
    if len(replies) != n_calls:
        raise Refused("", Verdict("transient", f"{len(replies)} answers to {n_calls} requests"))
    return [replies[position] for position in range(1, n_calls + 1)]


def decoded(body: bytes | bytearray, decoder: msgspec.json.Decoder[Any], http_status: int | None) -> Any:  # noqa: ANN401 - structs
    "The answers in `body`, one or a list; raises Refused where it holds none."
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        return loose(body, http_status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("", not_json(body, http_status)) from None


def meaning(answer: Any, http_status: int | None) -> Verdict | None:  # noqa: ANN401 - structs of several decoders
    "What is wrong with one answer; None if nothing is."
    if answer.error is not None:
        return from_error(answer.error, http_status)
    if answer.result is MALFORMED:
        return Verdict("fault", "a result has a shape that it cannot have")
    if answer.result is msgspec.UNSET:
        return Verdict("transient", "an answer has neither result nor error")
    return None


def loose(body: bytes | bytearray, http_status: int | None) -> Any:  # noqa: ANN401 - whatever JSON stands there
    "The answers of a body that is JSON but not of the expected shape: a malformed result becomes a fault."
    found = LOOSE.decode(body)
    for item in found if isinstance(found, list) else [found]:
        if not isinstance(item, dict) or not {"result", "error"} & item.keys():
            raise Refused("", not_json(body, http_status))
    if isinstance(found, list):
        return [spoilt(item) for item in found]
    return spoilt(found)


def spoilt(item: dict[str, Any]) -> Answer:
    "An answer whose result has a shape it cannot have; its own error stands where it has one."
    error = item.get("error")
    return Answer(id=item.get("id"), result=MALFORMED if error is None else None, error=error)


def not_json(body: bytes | bytearray, http_status: int | None) -> Verdict:
    "What a body means that is not the JSON asked for: its text may still say it."
    text = body[:2000].decode("utf-8", "replace")
    verdict = classify(text, http_status=http_status)
    said = one_line(text)[:120]
    where = f"HTTP {http_status or 200}, not a JSON-RPC answer"
    if verdict.kind == "unknown":
        return Verdict("transient", f"{where}: {said}")
    return verdict._replace(message=f"{where}: {said}" if said else f"HTTP {http_status}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    "The seconds to wait that the node states, as a number or as a date."
    stated = headers.get("retry-after")
    if stated is None:
        return None
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(stated).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
