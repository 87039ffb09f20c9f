"""JSON-RPC answers from a pool of endpoints: failover, retries, heads, headers and calls."""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from indexer import chains
from indexer.endpoints import BATCH_START, MANDATORY, Endpoint
from indexer.errors import EndpointUnusable, HeadLag, NoEndpoint, RateLimited
from indexer.headers import Header, block_call, first_must_exist, header, must_exist, quantity, tag_is_unknown
from indexer.rpc_errors import Refused, Verdict
from indexer.wire import ANY, PATIENCE_SECONDS, Limits, Reply, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import httpx
    import msgspec

    from indexer.wire import Call

__all__ = ["Header", "Pool"]

MOST_ATTEMPTS = 40
# Tries on one endpoint before another; a kind that is not named gets one.
TRIES = {"transient": 12, "head_lag": 4, "spurious": 2}
KEPT_HEADERS = 50_000
BACK_OFF_SECONDS = 0.1
CHECK_SECONDS = 15.0  # the longest wait for a chain id: a host that takes longer hangs
NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
WAIT_ELSEWHERE_SECONDS = 20.0  # a longer wait for a turn is spent on another endpoint, if there is one
# What nodes say when the call itself failed, which no other node changes (geth, Erigon, Nethermind, Besu, ganache).
REVERTS = ("revert", "invalid opcode", "out of gas", "stack ", "invalid jump", "bad instruction", "vm exe", "vm exc")
# Words of a refusal that is about one method: "limit exceeded" alone is how BNB nodes switch eth_getLogs off.
METHOD_WORDS = ("method", "specify address", "specify an address", "limit exceeded")


def quiet(_: str) -> None:
    "No narration."


class Pool:
    "The endpoints of one chain in order of preference; any method may be called from several threads."

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int | None,
        chain: str,
        learned: Sequence[dict[str, Any]] = (),
        narrate: Callable[[str], None] = quiet,
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = 60.0,
        max_in_flight: int = 8,
    ) -> None:
        self.chain = chains.chain(chain, chain_id)
        self.chain_id = chain_id
        self.endpoints = [Endpoint(url, chain) for url in dict.fromkeys(urls)]
        self.narrate = narrate
        self.max_in_flight = max_in_flight
        self.said: set[str] = set()
        self.kept: dict[int, Header] = {}
        self.final_block = -1
        self.timeout_seconds = timeout_seconds
        self.stateless: set[Endpoint] = set()  # endpoints that lack the state of some old block
        self.wire = Wire(urls, transport=transport, max_in_flight=max_in_flight)
        self.executor = ThreadPoolExecutor(max_in_flight, thread_name_prefix="rpc")
        self.recall(learned)

    def close(self) -> None:
        "Close every connection; what was learned stays readable."
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.wire.close()

    def hosts(self) -> list[str]:
        "The hosts in order of preference: URLs hold keys."
        return [endpoint.host for endpoint in self.endpoints]

    def recall(self, learned: Sequence[dict[str, Any]]) -> None:
        "Take over what earlier runs learned: rows of table `endpoints`."
        for endpoint in self.endpoints:
            for row in learned:
                if row["host"] == endpoint.host and row["chain"] == endpoint.chain:
                    endpoint.restore(row)

    def learned(self) -> list[dict[str, Any]]:
        "Rows of table `endpoints`: the limits that cost requests to learn, one row a host."
        rows: dict[str, dict[str, Any]] = {}
        for endpoint in self.endpoints:
            if row := endpoint.row():
                rows.setdefault(endpoint.host, row)
        return list(rows.values())

    # ---- questions ---------------------------------------------------------------------------------------------

    def head(self, tag: str = "latest") -> Header:
        """The header of the newest block, or of the newest that is `safe` or `finalized`.

        Where a node does not know the tag, or calls its newest block final, the chain's own depth decides.
        """
        if tag == "latest":
            return self.header_of(self.ask([block_call("latest")], judge=must_exist)[0])
        replies = self.ask([block_call("latest"), block_call(tag)], judge=first_must_exist, settles=tag_is_unknown)
        newest = self.header_of(replies[0])
        depth = self.chain.finality_depth if tag == "finalized" else self.chain.safe_depth
        named = None
        if replies[1].error is None and replies[1].result is not None:
            named = self.header_of(replies[1])
        if named is None or (named.number >= newest.number and depth > 0):
            number = max(0, newest.number - depth)
            self.say(f"no {tag} block: {depth} blocks below the head count as {tag}")
            named = newest if number == newest.number else self.headers([number])[number]
        if tag == "finalized":
            self.final_block = max(self.final_block, named.number)
        return named

    def headers(self, numbers: Sequence[int]) -> dict[int, Header]:
        "The headers of `numbers`, asked in batches and kept once final; raises HeadLag for a block no node has."
        wanted = sorted(set(numbers))
        found = {number: self.kept[number] for number in wanted if number in self.kept}
        absent = [number for number in wanted if number not in found]
        replies = self.ask_many([block_call(number) for number in absent], judge=must_exist)
        for number, reply in zip(absent, replies, strict=True):
            one = self.header_of(reply)
            if one.number != number:
                raise EndpointUnusable(
                    f"asked for block {number}, the answer is block {one.number}; pass another --rpc"
                )
            found[number] = one
        self.keep(found.values())
        return found

    def call(self, method: str, params: list[Any]) -> Any:  # noqa: ANN401 - whatever the method returns
        "The result of one call; raises HeadLag, RateLimited or EndpointUnusable with what the last endpoint said."
        return self.result_of(self.ask([(method, params)])[0], method)

    def eth_calls(self, calls: Sequence[tuple[str, str, int | str]]) -> list[bytes | None]:
        """What contracts answer to (address, data, block), in order.

        None: the call reverted, there is no code, the answer is empty, or no endpoint has the state of that block.
        """
        asked: list[Call] = [
            ("eth_call", [{"to": to, "data": data}, hex(block) if isinstance(block, int) else block])
            for to, data, block in calls
        ]
        return [returned(reply) for reply in self.ask_many(asked, settles=is_revert)]

    # ---- failover ----------------------------------------------------------------------------------------------

    def ask_many(
        self,
        calls: Sequence[Call],
        *,
        judge: Callable[[int, Any], Verdict | None] | None = None,
        settles: Callable[[Verdict], bool] | None = None,
    ) -> list[Reply]:
        "The replies to any number of calls, several batches at a time."
        if len(calls) <= BATCH_START:
            return self.ask(calls, judge=judge, settles=settles)
        size = max(BATCH_START, -(-len(calls) // (self.max_in_flight * 4)))
        parts = [calls[start : start + size] for start in range(0, len(calls), size)]
        done = self.executor.map(lambda part: self.ask(part, judge=judge, settles=settles), parts)
        return [reply for replies in done for reply in replies]

    def ask(
        self,
        calls: Sequence[Call],
        *,
        judge: Callable[[int, Any], Verdict | None] | None = None,
        settles: Callable[[Verdict], bool] | None = None,
    ) -> list[Reply]:
        """The replies to `calls` in order, each from the first endpoint that answers it.

        `judge` may find an error in a result; `settles` says which errors are answers. An error that is left stands in
        its reply. Raises NoEndpoint when no endpoint is usable.
        """
        replies = [Reply(None, Verdict("transient", "no endpoint could answer"))] * len(calls)
        waiting = list(range(len(calls)))
        tries: Counter[tuple[str, str]] = Counter()
        avoided: set[Endpoint] = set()
        # Until the others had their turn.
        resting = self.stateless if calls and calls[0][0] == "eth_call" else set[Endpoint]()
        for attempt in range(MOST_ATTEMPTS if calls else 0):
            method = calls[waiting[0]][0]
            endpoint = self.pick(method, avoided | resting) or (self.pick(method, avoided) if resting else None)
            if endpoint is None:
                break
            sent = waiting[: endpoint.batch]
            for index, reply in zip(sent, self.answers(endpoint, [calls[index] for index in sent]), strict=True):
                error = reply.error or (judge(index, reply.result) if judge else None)
                replies[index] = Reply(reply.result, error)
            failed = {
                index: error
                for index in sent
                if (error := replies[index].error) is not None and not (settles and settles(error))
            }
            for index, error in failed.items():
                self.learn(endpoint, error, calls[index][0])
            waiting = sorted(set(waiting) - set(sent) | failed.keys())
            if not waiting:
                break
            resting = resting | {endpoint} if failed else set()
            for kind in {error.kind for error in failed.values()}:
                tries[endpoint.url, kind] += 1
                if tries[endpoint.url, kind] >= TRIES.get(kind, 1):
                    avoided.add(endpoint)
            if len(failed) == len(sent) and endpoint not in avoided:
                time.sleep(min(2.0, BACK_OFF_SECONDS * 2 ** min(attempt, 5)))
        return replies

    def answers(self, endpoint: Endpoint, calls: Sequence[Call]) -> list[Reply]:
        "One endpoint's replies: a batch refused as such is asked in parts, any other refusal is that of each call."
        try:
            replies = self.exchange(endpoint, calls)
        except Refused as refused:
            verdict = refused.verdict
            if len(calls) == 1 or verdict.kind not in {"params", "response_size", "unknown"}:
                return [Reply(None, verdict)] * len(calls)
            size = len(calls) // 2
            if verdict.kind == "params":
                endpoint.learn_batch(size)
            endpoint.batch = min(endpoint.batch, size)
            parts = [calls[start : start + size] for start in range(0, len(calls), size)]
            return [reply for part in parts for reply in self.answers(endpoint, part)]
        endpoint.grow_batch(len(calls))
        return replies

    def exchange(
        self,
        endpoint: Endpoint,
        calls: Sequence[Call],
        decoder: msgspec.json.Decoder[Any] = ANY,
        *,
        timeout_seconds: float | None = None,
    ) -> list[Reply]:
        "One HTTP request to one endpoint; raises Refused. A long wait for a turn is left to another endpoint, if any."
        patience = WAIT_ELSEWHERE_SECONDS if self.has_other(endpoint, calls[0][0]) else PATIENCE_SECONDS
        limits = Limits(patience, timeout_seconds or self.timeout_seconds)
        return self.wire.exchange(endpoint, calls, decoder, limits)

    def has_other(self, endpoint: Endpoint, method: str) -> bool:
        "Whether another endpoint can be asked for `method` now."
        others = (one for one in self.endpoints if one is not endpoint and one.is_usable(method))
        return any(not one.is_dead() and not one.is_open() for one in others)

    def pick(self, method: str, avoided: Collection[Endpoint] = (), first_block: int | None = None) -> Endpoint | None:
        """The endpoint to ask next: the first usable one that is not avoided and keeps `first_block`.

        None: every usable endpoint is avoided. Raises NoEndpoint when none is usable, with each host's last error.
        """
        while True:
            alive = [one for one in self.endpoints if one.is_usable(method) and not one.is_dead()]
            if not alive:
                raise NoEndpoint(self.explain())
            candidates = [one for one in alive if one not in avoided and one.keeps(first_block)]
            if not candidates:
                return None
            for one in sorted(candidates, key=lambda one: one.wait_seconds() > WAIT_ELSEWHERE_SECONDS):
                if one.may_probe() and self.is_right_chain(one):
                    return one
            time.sleep(0.05)

    def is_right_chain(self, endpoint: Endpoint) -> bool:
        "Whether the endpoint may be asked: it tells its chain once, before anything else; another chain retires it."
        if endpoint.is_checked:
            return endpoint.retired is None
        with endpoint.check_lock:
            if endpoint.is_checked or endpoint.retired:
                return endpoint.retired is None
            try:
                reply = self.exchange(endpoint, [("eth_chainId", [])], timeout_seconds=CHECK_SECONDS)[0]
            except Refused as refused:
                reply = Reply(None, refused.verdict)
            if reply.error is not None:
                self.learn(endpoint, reply.error, "eth_chainId")
                if reply.error.kind in {"transient", "rate"}:
                    time.sleep(BACK_OFF_SECONDS)
                    return False
                self.say(f"{endpoint.host} does not tell its chain id: {reply.error.message}")
            elif self.chain_id is not None and (served := chain_id_in(reply.result)) != self.chain_id:
                self.leave(endpoint, f"serves chain id {served}, not {self.chain_id} ({self.chain.slug})")
            endpoint.is_checked = True
            return endpoint.retired is None

    def learn(self, endpoint: Endpoint, verdict: Verdict, method: str) -> None:
        "Remember what an error says about the endpoint, or about one method of it."
        said = verdict.message.lower()
        if verdict.kind == "quota":
            names_method = method.lower() in said or any(word in said for word in METHOD_WORDS)
            self.leave(endpoint, verdict.message, method if names_method else None)
        elif verdict.kind == "state":
            self.stateless = self.stateless | {endpoint}
        elif verdict.kind == "spurious" and method not in MANDATORY:
            endpoint.retire(f"{method}: {verdict.message}", method)
        elif endpoint.is_open():
            self.say(f"{endpoint.host} does not answer, trying again later: {verdict.message}")

    def leave(self, endpoint: Endpoint, reason: str, method: str | None = None) -> None:
        "Ask the endpoint (or that method of it) no more in this run, and say so once."
        endpoint.retire(reason, method)
        self.say(f"{endpoint.host}: {f'no more {method}' if method else 'not used any more'}: {reason}")

    def explain(self) -> str:
        "One line that names each host with its last error."
        if not self.endpoints:
            variable = chains.variable(self.chain.slug)
            return f"no endpoint for {self.chain.slug}: pass --rpc URL or set {variable}"
        said = (f"{one.host}: {one.retired or one.last_error or 'not asked'}" for one in self.endpoints)
        return f"no usable endpoint for {self.chain.slug}: {'; '.join(said)}; pass another --rpc"

    def say(self, text: str) -> None:
        "Narrate `text` once in a run; texts of one host that differ in numbers only count as one."
        host, colon, rest = text.partition(": ")
        key = f"{host}{colon}{NUMBERS.sub('#', rest)}"
        if key not in self.said:
            self.said.add(key)
            self.narrate(text)

    # ---- answers -----------------------------------------------------------------------------------------------

    def keep(self, found: Collection[Header]) -> None:
        "Keep headers that cannot change any more."
        if len(self.kept) > KEPT_HEADERS:
            self.kept.clear()
        self.kept.update({header.number: header for header in found if header.number <= self.final_block})

    def result_of(self, reply: Reply, what: str) -> Any:  # noqa: ANN401 - whatever the method returns
        "The result of a reply; raises by what the caller must do."
        if reply.error is None:
            return reply.result
        message = f"{what}: {reply.error.message} ({', '.join(self.hosts())})"
        if reply.error.kind == "head_lag":
            raise HeadLag(f"{message}; try again later")
        if reply.error.kind == "rate":
            raise RateLimited(f"{message}; try again later", reply.error.wait_seconds)
        raise EndpointUnusable(f"{message}; pass another --rpc")

    def header_of(self, reply: Reply) -> Header:
        "The header in a reply; raises as `result_of`, and EndpointUnusable for a block without its fields."
        return header(self.result_of(reply, "eth_getBlockByNumber"))


def is_revert(verdict: Verdict) -> bool:
    "Whether an eth_call failed in the contract, so that every node says the same."
    return any(word in verdict.message.lower() for word in REVERTS)


def returned(reply: Reply) -> bytes | None:
    "The bytes a contract returned; None for an error, no answer or an answer that is not hex."
    if reply.error is not None or not isinstance(reply.result, str):
        return None
    try:
        return bytes.fromhex(reply.result.removeprefix("0x")) or None
    except ValueError:
        return None


def chain_id_in(value: Any) -> int | None:  # noqa: ANN401 - whatever JSON stands there
    "The chain id in an answer to eth_chainId; None if there is none."
    try:
        return quantity(value)
    except (TypeError, ValueError):
        return None
