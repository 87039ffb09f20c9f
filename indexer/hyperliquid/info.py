"""The info API of Hyperliquid: one account at a time, within its weights and its paging."""

from __future__ import annotations

import collections
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from indexer.errors import NoEndpoint, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://api.hyperliquid.xyz"
URL_VARIABLE = "HYPERLIQUID_API_URL"
# Weights, pages and reach: Hyperliquid docs, "Rate limits and user limits" and "Info endpoint".
WEIGHT_PER_MINUTE = 1200
LIGHT = {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
LIGHT_WEIGHT, USUAL_WEIGHT = 2, 20
ITEMS_PER_WEIGHT = {
    "userFills": 20,
    "userFillsByTime": 20,
    "userNonFundingLedgerUpdates": 20,
    "fundingHistory": 20,
    "candleSnapshot": 60,
}
HEAVY = {"userRole": 60}
CANDLES = 5000  # the latest, whatever is asked for
REACHABLE_FILLS = 10_000
FOREVER = 2**62
ATTEMPTS = 6
SECONDS = 60.0
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


class Fills(NamedTuple):
    "The fills of an account in a window, in order, and from when on they are all there (milliseconds)."

    rows: list[dict[str, Any]]
    since: int


class Info:
    "A client of one endpoint; it waits where the next request would weigh too much for the minute."

    def __init__(
        self,
        base_url: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        base = base_url or os.environ.get(URL_VARIABLE) or URL
        if not base.startswith(("http://", "https://")):
            raise UserError(f"{base}: not the URL of an info API; it begins with http:// or https://")
        self.url = base.rstrip("/").removesuffix("/info") + "/info"
        self.host = httpx.URL(self.url).host
        self.client = httpx.Client(timeout=SECONDS)
        self.clock, self.sleep = clock, sleep
        self.spent: collections.deque[tuple[float, int]] = collections.deque()

    def close(self) -> None:
        "Close the connections."
        self.client.close()

    def ask(self, kind: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """The answer to one request of type `kind`.

        Waits for the minute's weight, repeats what was refused for its rate or failed on the way. Raises UserError for
        a request the API refuses, NoEndpoint when it cannot be reached.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            self.make_room(LIGHT_WEIGHT if kind in LIGHT else HEAVY.get(kind, USUAL_WEIGHT))
            try:
                reply = self.client.post(self.url, json={"type": kind} | body)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__} {error}".strip()
            else:
                if reply.is_success:
                    return self.decode(kind, reply)
                if reply.status_code != TOO_MANY_REQUESTS and reply.status_code < SERVER_ERROR:
                    raise UserError(f"{self.host} refuses {kind}: HTTP {reply.status_code} {reply.text[:200]}")
                reason = f"HTTP {reply.status_code}"
            if attempt + 1 < ATTEMPTS:
                self.sleep(2.0**attempt)
        raise NoEndpoint(f"{self.host}: {kind} failed {ATTEMPTS} times ({reason}); try later or pass another base URL")

    def decode(self, kind: str, reply: httpx.Response) -> Any:  # noqa: ANN401 - JSON
        "The JSON of a reply, its items counted into the weight."
        try:
            answer = reply.json()
        except ValueError as error:
            raise NoEndpoint(f"{self.host}: the answer to {kind} is not JSON; is this an info API?") from error
        if isinstance(answer, list) and kind in ITEMS_PER_WEIGHT:
            self.spent.append((self.clock(), len(answer) // ITEMS_PER_WEIGHT[kind]))
        return answer

    def make_room(self, weight: int) -> None:
        "Wait until `weight` fits into the last minute, and spend it."
        while self.spent:
            now = self.clock()
            while self.spent and self.spent[0][0] <= now - SECONDS:
                self.spent.popleft()
            if sum(used for _, used in self.spent) + weight <= WEIGHT_PER_MINUTE or not self.spent:
                break
            self.sleep(max(self.spent[0][0] + SECONDS - now, 0.01))
        self.spent.append((self.clock(), weight))

    def paged(
        self, kind: str, user: str, since: int, until: int | None, most: int | None = None
    ) -> list[dict[str, Any]]:
        """Every item of `user` in [since, until), in order of time; without `until` all there is, up to `most`.

        Several items share a millisecond, so the next page begins at the last time seen, and what this page has of that
        time is dropped in favour of the next.
        """
        items: list[dict[str, Any]] = []
        start, end = since, FOREVER if until is None else until
        while start < end:
            body: dict[str, object] = {} if until is None else {"endTime": end - 1}
            if kind == "userFillsByTime":
                body["aggregateByTime"] = False
            page = self.ask(kind, user=user, startTime=start, **body)
            page = sorted((item for item in listed(kind, page) if start <= item["time"] < end), key=at)
            if not page:
                break
            last = page[-1]["time"]
            if last == start:  # a whole page of one millisecond: nothing more of it can be asked for
                items += page
                start = last + 1
                continue
            items += [item for item in page if item["time"] < last]
            start = last
            if most is not None and len(items) >= most:
                break
        return items

    def fills(self, user: str, since: int, until: int) -> Fills:
        """The fills of `user` in [since, until), as far back as the API reaches: the latest 10,000.

        `since` of the answer is later than asked where older fills can no longer be had.
        """
        oldest = listed("userFillsByTime", self.ask("userFillsByTime", user=user, startTime=0, aggregateByTime=False))
        first = min((item["time"] for item in oldest), default=since)
        rows = self.paged("userFillsByTime", user, since, until)
        if first <= since:
            return Fills(rows, since)
        is_cut = len(self.paged("userFillsByTime", user, first, None, REACHABLE_FILLS)) >= REACHABLE_FILLS
        # The first millisecond that can be had may be cut in two.
        return Fills(rows, min(first + 1, until) if is_cut else since)

    def ledger(self, user: str, since: int, until: int) -> list[dict[str, Any]]:
        "The ledger updates of `user` in [since, until): deposits, withdrawals, transfers, liquidations."
        return self.paged("userNonFundingLedgerUpdates", user, since, until)

    def clearinghouse(self, user: str, dex: str = "") -> dict[str, Any]:
        "What `user` holds now on one dex (the main one by default)."
        answer = self.ask("clearinghouseState", user=user, **({"dex": dex} if dex else {}))
        state: dict[str, Any] = checked("clearinghouseState", answer, dict)
        return state

    def contexts(self, dex: str = "") -> tuple[dict[str, Any], list[dict[str, Any]]]:
        "Markets of one dex and the context of each: open interest, funding, prices."
        answer = checked("metaAndAssetCtxs", self.ask("metaAndAssetCtxs", **({"dex": dex} if dex else {})), list)
        meta, each = answer
        return meta, each

    def candles(self, coin: str, interval: str, since: int, until: int) -> list[dict[str, Any]]:
        "Candles of `coin` that begin in [since, until), the latest CANDLES at most."
        asked = {"coin": coin, "interval": interval, "startTime": since, "endTime": until - 1}
        found: list[dict[str, Any]] = checked("candleSnapshot", self.ask("candleSnapshot", req=asked), list)
        if any(not isinstance(candle, dict) or not {"t", "T", "s", "c"} <= candle.keys() for candle in found):
            raise NoEndpoint("the answer to candleSnapshot has items that are no candles; is this an info API?")
        return [candle for candle in found if since <= candle["t"] < until]

    def funding(self, coin: str, since: int, until: int) -> list[dict[str, Any]]:
        "The funding rates of `coin` that were paid in [since, until), page by page."
        rates: list[dict[str, Any]] = []
        start = since
        while start < until:
            page = listed("fundingHistory", self.ask("fundingHistory", coin=coin, startTime=start, endTime=until - 1))
            page = sorted((rate for rate in page if start <= rate["time"] < until), key=at)
            if not page:
                break
            rates += page
            start = page[-1]["time"] + 1  # one rate an hour: none shares a millisecond
        return rates

    def vault(self, address: str) -> dict[str, Any]:
        "Who leads a vault, and its children."
        details: dict[str, Any] = checked("vaultDetails", self.ask("vaultDetails", vaultAddress=address), dict)
        return details


def at(item: dict[str, Any]) -> int:
    "The time of an item."
    moment: int = item["time"]
    return moment


def listed(kind: str, answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    "`answer` as a list of items with a time; raises NoEndpoint for anything else."
    items: list[dict[str, Any]] = checked(kind, answer, list)
    if any(not isinstance(item, dict) or not isinstance(item.get("time"), int) for item in items):
        raise NoEndpoint(f"the answer to {kind} has items without a time; is this an info API?")
    return items


def checked(kind: str, answer: Any, shape: type) -> Any:  # noqa: ANN401 - JSON
    "`answer` if it is of the documented shape; raises NoEndpoint otherwise."
    if not isinstance(answer, shape):
        raise NoEndpoint(f"the answer to {kind} is not what the API documents; is this an info API?")
    return answer
