"""A REST source asked at its own pace: waits, retries, and one line for every way it says no."""

from __future__ import annotations

import email.utils
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import httpx

from indexer.errors import NoEndpoint, RateLimited, Retryable, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ATTEMPTS = 5
LONGEST_WAIT_SECONDS = 120.0
UNAUTHORIZED = (401, 403)
BUSY = (418, 429)  # 418: Binance bans a host that went on after 429
BLOCKED = 451
NOT_FOUND = 404


class Client:
    """One source: `name` for messages, its documented pace, its key, and where it is asked instead of its own host.

    `sleep` is how the client waits; tests pass their own.
    """

    def __init__(
        self,
        name: str,
        *,
        requests_per_minute: float,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        key_hint: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.gap_seconds = 60.0 / requests_per_minute
        self.base_url = base_url
        self.key_hint = key_hint
        self.sleep = sleep
        self.asked_at = -1e9
        self.http = httpx.Client(timeout=30.0, headers=dict(headers or {}), follow_redirects=True)

    def close(self) -> None:
        "Let go of the connections."
        self.http.close()

    def get(self, url: str, params: Mapping[str, str] | None = None) -> bytes | None:
        """The body of the answer, or None where the source has no such thing (404).

        Raises RateLimited (still too fast after every wait), Retryable (does not answer), NoEndpoint (not served
        here) and UserError (the key or the request is refused).
        """
        target = self.placed(url)
        for attempt in range(ATTEMPTS):
            self.pace()
            try:
                answer = self.http.get(target, params=dict(params) if params else None)
            except httpx.TransportError as error:
                if attempt + 1 == ATTEMPTS:
                    raise Retryable(f"{self.name} does not answer ({type(error).__name__}); run again later") from error
                self.sleep(2.0**attempt)
                continue
            if answer.status_code < 400:  # noqa: PLR2004 - the first status that is an error
                return answer.content
            if answer.status_code == NOT_FOUND:
                return None
            self.sleep(self.wait_for(answer, attempt))
        raise AssertionError("the last attempt returns or raises")

    def wait_for(self, answer: httpx.Response, attempt: int) -> float:
        "Seconds to wait before the next attempt; raises where no attempt will help."
        status = answer.status_code
        if status == BLOCKED:
            raise NoEndpoint(f"{self.name} does not serve this region (451); ask from elsewhere or pass --base-url")
        if status in UNAUTHORIZED:
            raise UserError(f"{self.name} refuses the request ({status}): {said(answer)}{self.key_hint}")
        is_busy = status in BUSY or "too_many_requests" in answer.text or "ratelimit" in answer.text
        if not is_busy and status < 500:  # noqa: PLR2004 - the first status of the server's own faults
            raise UserError(f"{self.name} refuses the request ({status}): {said(answer)}")
        wait = retry_after(answer)
        wait = 2.0**attempt if wait is None else wait
        if attempt + 1 < ATTEMPTS and wait <= LONGEST_WAIT_SECONDS:
            return wait
        if is_busy:
            raise RateLimited(f"{self.name} is asked too often ({status}); run again in {wait:.0f} s", wait)
        raise Retryable(f"{self.name} fails ({status}): {said(answer)}; run again later")

    def pace(self) -> None:
        "Wait until the documented pace allows the next request."
        wait = self.asked_at + self.gap_seconds - time.monotonic()
        if wait > 0:
            self.sleep(wait)
        self.asked_at = time.monotonic()

    def placed(self, url: str) -> str:
        "The URL at the host that is asked instead, if there is one."
        if not self.base_url:
            return url
        own, other = urlsplit(url), urlsplit(self.base_url)
        return urlunsplit((other.scheme, other.netloc, other.path.rstrip("/") + own.path, own.query, ""))


def said(answer: httpx.Response) -> str:
    "The beginning of what the server says, in one line."
    return " ".join(answer.text.split())[:200] or answer.reason_phrase


def retry_after(answer: httpx.Response) -> float | None:
    "Seconds that the header asks to wait, given as a number or as a date."
    stated = answer.headers.get("retry-after", "").strip()
    if not stated:
        return None
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None
