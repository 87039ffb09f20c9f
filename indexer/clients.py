"""One POST through httpx: encrypted connections, proxies, recorders and transports given by the caller."""

from __future__ import annotations

import ssl
import time

import httpx

from indexer import sockets
from indexer.sockets import CutOff, Response


class Client:
    "One pooled keep-alive client for all endpoints and threads."

    def __init__(
        self, transport: httpx.BaseTransport | None, max_connections: int, agent: str, *, is_encrypted: bool
    ) -> None:
        self.client = httpx.Client(
            transport=transport,
            # Certificates take 50 ms to load and plain http needs none; an empty context trusts nobody.
            verify=True if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            headers={"content-type": "application/json", "accept-encoding": "gzip", "user-agent": agent},
        )

    def close(self) -> None:
        "Close every connection."
        self.client.close()

    def post(self, url: str, payload: bytes, timeout_seconds: float) -> Response:
        "The response to one POST; raises TimeoutError, OSError or TooLarge."
        give_up = time.monotonic() + timeout_seconds * sockets.WHOLE_REQUEST_TIMEOUTS
        timeout = httpx.Timeout(timeout_seconds, connect=min(sockets.CONNECT_SECONDS, timeout_seconds))
        try:
            with self.client.stream("POST", url, content=payload, timeout=timeout) as response:
                chunks, n_bytes = [], 0
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    n_bytes += len(chunk)
                    sockets.check(n_bytes, give_up)
        except httpx.TimeoutException as error:
            raise TimeoutError(type(error).__name__) from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise CutOff(str(error) or type(error).__name__) from error
        return Response(response.status_code, dict(response.headers), b"".join(chunks))


def is_watched() -> bool:
    "Whether somebody stands in for httpx's own transport, as recorders do: then every request must pass there."
    handler = httpx.HTTPTransport.handle_request
    return handler.__module__ != "httpx._transports.default" or hasattr(handler, "__wrapped__")
