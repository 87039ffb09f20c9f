"""JSON-RPC answers from a pool of endpoints: failover, retries, heads, headers and calls."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from indexer import chains
from indexer.endpoints import BATCH_START, MANDATORY, Endpoint
from indexer.errors import EndpointUnusable, HeadLag, NoEndpoint, RateLimited
from indexer.rpc_errors import Refused, Verdict
from indexer.wire import ANY, Reply, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import httpx
    import msgspec

    from indexer.wire import Call

MOST_ATTEMPTS = 40
# Tries on one endpoint before another; a kind that is not named gets one.
TRIES = {"transient": 4, "head_lag": 4, "spurious": 2, "params": 8, "response_size": 8}
KEPT_HEADERS = 50_000
BACK_OFF_SECONDS = 0.1
REVERT_CODES = frozenset({3, -32015, -32521})
REVERTS = (
    "revert",
    "invalid opcode",
    "out of gas",
    "stack ",
    "invalid jump",
    "bad instruction",
    "vm exception",
    "vm execution",
)


class Header(NamedTuple):
    "What is kept of a block's header; hashes are lower-case hex, the timestamp is in seconds."

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str | None


def quiet(_: str) -> None:
    "No narration."


class Pool:
    "The endpoints of one chain in order of preference; any method may be called from several threads."

    def __init__(  # noqa: PLR0913 - one parameter a setting
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
        self.wire = Wire(urls, transport=transport, timeout_seconds=timeout_seconds, max_in_flight=max_in_flight)
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
        for number, reply in zip(absent, self.ask_many([block_call(number) for number in absent], judge=must_exist)):
            header = self.header_of(reply)
            if header.number != number:
                raise EndpointUnusable(f"asked for block {number}, the answer is block {header.number}")
            found[number] = header
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
        decoder: msgspec.json.Decoder[Any] = ANY,
    ) -> list[Reply]:
        """The replies to `calls` in order, each from the first endpoint that answers it.

        `judge` may find an error in a result; `settles` says which errors are answers. An error that is left stands in
        its reply. Raises NoEndpoint when no endpoint is usable.
        """
        replies: dict[int, Reply] = {}
        open_calls = list(range(len(calls)))
        tries: Counter[tuple[str, str]] = Counter()
        avoided: set[Endpoint] = set()
        for attempt in range(MOST_ATTEMPTS):
            if not open_calls:
                break
            endpoint = self.pick(calls[open_calls[0]][0], avoided)
            if endpoint is None:
                break
            sent = open_calls[: endpoint.batch]
            failed: dict[int, Verdict] = {}
            try:
                answers = self.wire.exchange(endpoint, [calls[index] for index in sent], decoder)
            except Refused as refused:
                answers = [Reply(None, refused.verdict)] * len(sent)
                self.learn(endpoint, refused.verdict, calls[sent[0]][0], len(sent))
            else:
                endpoint.grow_batch(len(sent))
            for index, answer in zip(sent, answers, strict=True):
                error = answer.error or (judge(index, answer.result) if judge else None)
                replies[index] = Reply(answer.result, error)
                if error is not None and not (settles and settles(error)):
                    failed[index] = error
                    self.learn(endpoint, error, calls[index][0], 1)
            open_calls = sorted(set(open_calls) - set(sent) | failed.keys())
            for kind in {error.kind for error in failed.values()}:
                tries[endpoint.url, kind] += 1
                if tries[endpoint.url, kind] >= TRIES.get(kind, 1):
                    avoided.add(endpoint)
            if failed and len(failed) == len(sent) and endpoint not in avoided:
                time.sleep(min(2.0, BACK_OFF_SECONDS * 2 ** min(attempt, 5)))
        nothing = Reply(None, Verdict("transient", self.explain()))
        return [replies.get(index, nothing) for index in range(len(calls))]

    def pick(self, method: str, avoided: Collection[Endpoint] = (), first_block: int | None = None) -> Endpoint | None:
        """The endpoint to ask next: the first usable one that is not avoided and keeps `first_block`.

        None: every usable endpoint is avoided. Raises NoEndpoint when none is usable, with each host's last error.
        """
        while True:
            alive = [one for one in self.endpoints if one.is_usable(method) and not one.is_dead()]
            if not alive:
                raise NoEndpoint(self.explain())
            candidates = [
                one
                for one in alive
                if one not in avoided
                and (first_block is None or one.earliest_block is None or one.earliest_block <= first_block)
            ]
            if not candidates:
                return None
            for one in candidates:
                if one.may_probe() and self.is_right_chain(one):
                    return one
            time.sleep(0.05)

    def is_right_chain(self, endpoint: Endpoint) -> bool:
        "Whether the endpoint serves the pool's chain: asked once, before anything else; another chain retires it."
        with endpoint.check_lock:
            if endpoint.is_checked or endpoint.retired:
                return endpoint.retired is None
            try:
                reply = self.wire.exchange(endpoint, [("eth_chainId", [])])[0]
            except Refused as refused:
                self.learn(endpoint, refused.verdict, "eth_chainId", 1)
                if refused.verdict.kind == "transient":
                    time.sleep(BACK_OFF_SECONDS)
                    return False
                reply = Reply(None, refused.verdict)
            endpoint.is_checked = True
            if reply.error is not None:
                self.learn(endpoint, reply.error, "eth_chainId", 1)
                self.say(f"{endpoint.host} does not tell its chain id: {reply.error.message}")
                return endpoint.retired is None
            try:
                served = int(reply.result, 16)
            except (TypeError, ValueError):
                served = None
            if self.chain_id is not None and served != self.chain_id:
                self.leave(
                    endpoint, f"serves chain id {served}, not {self.chain_id} ({self.chain.slug}); pass another --rpc"
                )
                return False
            return True

    def learn(self, endpoint: Endpoint, verdict: Verdict, method: str, n_sent: int) -> None:
        "Remember what an error says about the endpoint."
        if verdict.kind == "quota":
            named = method.lower() in verdict.message.lower() or "method" in verdict.message.lower()
            self.leave(endpoint, verdict.message, method if named or (n_sent == 1 and endpoint.n_answers > 1) else None)
        elif verdict.kind == "spurious" and method not in MANDATORY:
            endpoint.retire(f"{method}: {verdict.message}", method)
        elif n_sent > 1 and (verdict.kind in {"params", "response_size"} or verdict.kind == "unknown"):
            endpoint.learn_batch(n_sent // 2)
        elif endpoint.is_open():
            self.say(f"{endpoint.host} does not answer, trying again later: {verdict.message}")

    def leave(self, endpoint: Endpoint, reason: str, method: str | None = None) -> None:
        "Ask the endpoint (or that method of it) no more in this run, and say so once."
        endpoint.retire(reason, method)
        self.say(f"{endpoint.host}: {'no more ' + method if method else 'not used any more'}: {reason}")

    def explain(self) -> str:
        "One line that names each host with its last error."
        if not self.endpoints:
            variable = chains.variable(self.chain.slug)
            return f"no endpoint for {self.chain.slug}: pass --rpc URL or set {variable}"
        said = (f"{one.host}: {one.retired or one.last_error or 'no answer'}" for one in self.endpoints)
        return f"no usable endpoint for {self.chain.slug}: {'; '.join(said)}; pass another --rpc"

    def say(self, text: str) -> None:
        "Narrate `text` once in a run."
        if text not in self.said:
            self.said.add(text)
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


def block_call(block: int | str) -> Call:
    "The request for a block's header, with the hashes of its transactions only."
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, False]


def must_exist(_: int, result: Any) -> Verdict | None:  # noqa: ANN401 - whatever JSON stands there
    "A null block is one the node has not got yet."
    return None if result is not None else Verdict("head_lag", "the node has not got the block")


def first_must_exist(index: int, result: Any) -> Verdict | None:  # noqa: ANN401 - whatever JSON stands there
    "As `must_exist`, for the first of two calls: a null tag is an answer."
    return must_exist(index, result) if index == 0 else None


def tag_is_unknown(verdict: Verdict) -> bool:
    "Errors that a node gives for a tag that it does not know."
    return verdict.kind in {"head_lag", "unknown", "params", "spurious", "range"}


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


def quantity(value: Any) -> int:  # noqa: ANN401 - nodes send hex text or, some, numbers
    "A JSON-RPC quantity as a number; raises ValueError or TypeError for anything else."
    if isinstance(value, str):
        return int(value, 16)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"{value!r} is not a quantity")


def header(block: Any) -> Header:  # noqa: ANN401 - whatever JSON stands there
    "The header in a block as a node sends it; raises EndpointUnusable where a field is missing or not hex."
    try:
        return Header(
            number=quantity(block["number"]),
            hash=block["hash"].lower(),
            parent_hash=block["parentHash"].lower(),
            timestamp=quantity(block["timestamp"]),
            logs_bloom=block.get("logsBloom"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EndpointUnusable(f"a block header is malformed ({error!r}); pass another --rpc") from error
