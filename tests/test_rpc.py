"""The pool of endpoints: batches, failover, rates, heads, calls, and what it says when it fails."""

import email.utils
import json
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import vcr

from indexer import endpoints, sockets
from indexer.errors import EndpointUnusable, HeadLag, NoEndpoint, UserError
from indexer.ranges import Range
from indexer.rpc import Pool
from indexer.sources.evm_logs import Fetched, LogFilter, fetch

HEAD_HASH = "0x0b7ebb8ae1fe6e1bd6a5e1b6cdbbf0bf3e9e8d6b8ae6a1a8a0b3b3a6a0f5cf95"
NODE = "http://node.example/v2/SECRETKEY"


def block(number):
    "A header as a node sends it."
    word = f"0x{number:064x}"
    parent = f"0x{max(number - 1, 0):064x}"
    return {"number": hex(number), "hash": word, "parentHash": parent, "timestamp": hex(1_700_000_000 + 12 * number)}


def chain_of(head, tags=()):
    "What a plain node with `head` answers to one request."
    numbers = {"latest": head, **dict(tags)}

    def answer(method, params):
        if method == "eth_chainId":
            return {"result": "0x1"}
        if method == "eth_getBlockByNumber":
            number = numbers[params[0]] if params[0] in numbers else int(params[0], 16)
            return number if isinstance(number, dict) else {"result": block(number) if number <= head else None}
        return {"error": {"code": -32601, "message": f"the method {method} does not exist/is not available"}}

    return answer


def replies(request, answer):
    "The HTTP answer of a plain node."
    asked = json.loads(request.content)
    if isinstance(asked, dict):
        return httpx.Response(
            200, json={"jsonrpc": "2.0", "id": asked["id"], **answer(asked["method"], asked["params"])}
        )
    return httpx.Response(
        200, json=[{"jsonrpc": "2.0", "id": one["id"], **answer(one["method"], one["params"])} for one in asked]
    )


class Script:
    "A transport that gives prepared responses first, then those of a plain node; it counts what it was asked."

    def __init__(self, *first, answer=None):
        self.first = list(first)
        self.answer = answer or chain_of(1000)
        self.asked = []

    def __call__(self, request):
        "The next response."
        asked = json.loads(request.content)
        self.asked.append(asked)
        if self.first and not (isinstance(asked, dict) and asked["method"] == "eth_chainId"):
            prepared = self.first.pop(0)
            if isinstance(prepared, Exception):
                raise prepared
            return prepared(request) if callable(prepared) else prepared
        return replies(request, self.answer)


def pool_of(script, *, urls=(NODE,), chain_id=1, chain="ethereum", **settings):
    "A pool whose only transport is `script`; what it narrates is kept in `said`."
    said = []
    pool = Pool(
        list(urls),
        chain_id=chain_id,
        chain=chain,
        narrate=said.append,
        transport=httpx.MockTransport(script),
        **settings,
    )
    return pool, said


def free_port():
    "A port nobody listens on."
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


# ---- heads and headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finalized", "expected"),
    [
        (950, 950),
        (1000, 936),
        ({"result": None}, 936),
        ({"error": {"code": -39001, "message": "'finalized' block not found"}}, 936),
        ({"error": {"code": -32602, "message": "invalid block number"}}, 936),
    ],
)
def test_finalized(finalized, expected):
    "The finalized tag decides; where it is missing or names the head, the chain's own depth does."
    pool, _ = pool_of(Script(answer=chain_of(1000, {"finalized": finalized})))

    assert (pool.head("finalized").number, pool.head().number) == (expected, 1000)


def test_headers_are_batched_and_kept():
    "Headers come in batches, each final one is asked once, and their fields are those of the node."
    script = Script(answer=chain_of(1000, {"finalized": 900}))
    pool, _ = pool_of(script)
    pool.head("finalized")
    first = pool.headers([3, 1, 2, 3])
    n_asked = len(script.asked)
    again = pool.headers([1, 2, 3])

    assert (len(script.asked), sorted(again)) == (n_asked, [1, 2, 3])
    assert (first[2].parent_hash, first[2].timestamp, first[2].logs_bloom) == (f"0x{1:064x}", 1_700_000_024, None)


def test_header_not_there():
    "A block that no node has is HeadLag, after a few tries."
    script = Script()
    pool, _ = pool_of(script)

    with pytest.raises(HeadLag, match="not got the block"):
        pool.headers([1001])
    assert len(script.asked) < 10


def test_many_headers(serve):
    "Hundreds of headers come in order and complete, several batches at a time."
    url, node = serve()
    pool = Pool([url], chain_id=31337, chain="devnet")
    found = pool.headers(range(555))
    pool.close()

    assert [found[number].parent_hash for number in range(1, 555)] == [found[number].hash for number in range(554)]
    assert node.n_http < 40


# ---- calls -----------------------------------------------------------------------------------------------------


def test_eth_calls(serve, recorded_chain):
    "Answers stand in the order asked; a revert, an empty answer and a call no node can answer are None."
    url, _ = serve("--shuffle-batch")
    recorded = [call for call in recorded_chain.calls.values() if call["block"] != "latest" and call.get("result")][
        :150
    ]
    unknown = ("0x" + "11" * 20, "0x12345678", 5)
    pool = Pool([url], chain_id=31337, chain="devnet")
    found = pool.eth_calls([*((call["to"], call["data"], int(call["block"], 16)) for call in recorded), unknown])
    pool.close()

    assert found == [*(bytes.fromhex(call["result"][2:]) or None for call in recorded), None]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"result": "0x"}, None),
        ({"result": "0x00ff"}, b"\x00\xff"),
        ({"error": {"code": 3, "message": "execution reverted: nope", "data": "0x08c379a0"}}, None),
        ({"error": {"code": -32000, "message": "missing trie node 12ab"}}, None),
        ({"error": {"code": -32015, "message": "VM execution error."}}, None),
        ({"result": None}, None),
    ],
)
def test_eth_call_answers(answer, expected):
    "What a contract returned, or None."
    script = Script(answer=lambda method, _: {"result": "0x1"} if method == "eth_chainId" else answer)
    pool, _ = pool_of(script)

    assert pool.eth_calls([("0x" + "22" * 20, "0x", "latest")]) == [expected]
    assert len(script.asked) <= 3


def test_state_elsewhere():
    "A node without the state of an old block is passed over for one that has it."
    asked = []

    def handler(request):
        asked.append(request.url.host)

        def answer(method, _):
            if method == "eth_chainId":
                return {"result": "0x1"}
            if request.url.host == "pruned.example":
                return {"error": {"code": -32000, "message": "missing trie node 0d3f"}}
            return {"result": "0x2a"}

        return replies(request, answer)

    pool, _ = pool_of(handler, urls=("http://pruned.example", "http://archive.example"))
    calls = [("0x" + "22" * 20, "0x", 5)] * 3

    assert pool.eth_calls(calls) == pool.eth_calls(calls) == [b"*"] * 3
    assert asked.count("pruned.example") == 2


def test_call_refused_everywhere():
    "An error of every endpoint is raised with its text."
    pool, _ = pool_of(Script())

    with pytest.raises((EndpointUnusable, NoEndpoint), match="does not exist"):
        pool.call("debug_traceBlockByNumber", ["0x1"])


# ---- endpoints that cannot be used -----------------------------------------------------------------------------


def test_wrong_chain():
    "A node of another chain is refused with both numbers, and nothing else is asked of it."
    script = Script()
    pool, _ = pool_of(script, chain_id=8453, chain="base")

    with pytest.raises(NoEndpoint, match=r"node\.example: serves chain id 1, not 8453"):
        pool.head()
    assert [asked["method"] for asked in script.asked] == ["eth_chainId"]


def test_wrong_chain_beside_right():
    "One node of another chain among good ones is named once and passed over."
    chains = {"a.example": "0x5", "b.example": "0x1"}

    def handler(request):
        def answer(method, params):
            return {"result": chains[request.url.host]} if method == "eth_chainId" else chain_of(7)(method, params)

        return replies(request, answer)

    pool, said = pool_of(handler, urls=("http://a.example", "http://b.example"))

    assert (pool.head().number, pool.head().number) == (7, 7)
    assert [text for text in said if "chain id 5" in text] == said[:1]


def test_dead_port():
    "Nobody listening is one line with the host and what happened, within seconds."
    port = free_port()
    pool = Pool([f"http://127.0.0.1:{port}/SECRETKEY"], chain_id=1, chain="ethereum")
    started = time.monotonic()
    with pytest.raises(NoEndpoint) as caught:
        pool.head()
    pool.close()

    assert time.monotonic() - started < 5
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "refused" in str(caught.value).lower()
    assert "SECRETKEY" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_endpoint_at_all():
    "Without a URL the message says where one may be given."
    pool = Pool([], chain_id=1, chain="ethereum")

    with pytest.raises(NoEndpoint, match=r"--rpc URL or set ETHEREUM_RPC_URL"):
        pool.head()


@pytest.mark.parametrize("url", ["ftp://node.example", "node.example", "", "http://", "wss://node.example/key"])
def test_bad_url(url):
    "What is not an http URL is the user's to fix."
    with pytest.raises(UserError, match="URL"):
        Pool([url], chain_id=1, chain="ethereum")


@pytest.mark.parametrize(
    "garbage",
    [
        httpx.Response(200, html="<html><body>Welcome to nginx</body></html>"),
        httpx.Response(200, content=b'[{"jsonrpc":"2.0","id":1,"resul'),
        httpx.Response(200, content=b""),
        httpx.Response(200, json={"status": "ok"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json="no"),
        httpx.Response(200, json=None),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 1}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(502, text="Bad Gateway"),
        httpx.Response(500, json={"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "Internal error"}}),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
    ids=range(13),
)
def test_one_bad_answer(garbage):
    "An answer that is none is asked again."
    script = Script(garbage, garbage)
    pool, _ = pool_of(script)

    assert pool.head().number == 1000


@pytest.mark.parametrize("status", [200, 404, 301])
def test_only_bad_answers(status):
    "A host that never speaks JSON-RPC ends as NoEndpoint that shows what it says, in bounded requests."
    asked = []

    def handler(request):
        asked.append(request)
        return httpx.Response(status, html="<html><script>var x</script><h1>Parked domain</h1></html>")

    pool, _ = pool_of(handler)
    with pytest.raises(NoEndpoint, match="Parked domain") as caught:
        pool.head()

    assert len(asked) < 10
    assert "<" not in str(caught.value)


def test_large_body(monkeypatch):
    "A body beyond the cap is cut off while it comes, not held in memory."
    monkeypatch.setattr(sockets, "MOST_BYTES", 100_000)
    sent = []

    def endless():
        for _ in range(1000):
            sent.append(10_000)
            yield b" " * 10_000

    pool, _ = pool_of(Script(*(lambda _: httpx.Response(200, content=endless()) for _ in range(50))))

    with pytest.raises(EndpointUnusable, match="larger than 100000 bytes"):
        pool.head()
    assert sum(sent) < 300_000


# ---- batches ---------------------------------------------------------------------------------------------------


def scrambled(change):
    "A response whose list of answers went through `change`."

    def respond(request):
        answers = json.loads(replies(request, chain_of(1000)).content)
        return httpx.Response(200, json=change(answers))

    return respond


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: answers[::-1],
        lambda answers: [{**one, "id": str(one["id"])} for one in answers],
        lambda answers: answers[:-1],
        lambda answers: [*answers, answers[0]],
        lambda answers: [{**one, "id": one["id"] + 1} for one in answers],
        lambda answers: [{**one, "id": None} for one in answers],
        lambda answers: [{"id": one["id"]} for one in answers],
    ],
    ids=["reversed", "text ids", "one missing", "one twice", "shifted ids", "no ids", "neither result nor error"],
)
def test_answers_are_matched_by_id(change):
    "Answers are put to their requests by id, never by position; a batch that cannot be matched is asked again."
    pool, _ = pool_of(Script(scrambled(change), scrambled(change)))
    found = pool.headers([5, 6, 7])

    assert [found[number].number for number in (5, 6, 7)] == [5, 6, 7]


@pytest.mark.parametrize(
    ("cap", "refusal"),
    [
        (
            3,
            httpx.Response(
                200, json={"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
            ),
        ),
        (1, httpx.Response(413, text="Request Entity Too Large")),
        (1, httpx.Response(400, json={"error": {"code": -32600, "message": "batch requests are not supported"}})),
        (
            7,
            httpx.Response(
                200, json=[{"id": None, "error": {"code": -32600, "message": "batch size exceeds maximum of 7"}}]
            ),
        ),
    ],
)
def test_batches_shrink(cap, refusal):
    "Batches shrink until they pass; the size is remembered, for later runs too."

    def handler(request):
        asked = json.loads(request.content)
        return refusal if isinstance(asked, list) and len(asked) > cap else replies(request, chain_of(1000))

    pool, _ = pool_of(handler)
    found = pool.headers(range(20))
    learned = pool.learned()
    script = Script()
    later, _ = pool_of(script, learned=learned)
    later.headers(range(20))

    assert sorted(found) == list(range(20))
    assert learned[0]["max_batch"] <= cap
    assert max(len(asked) if isinstance(asked, list) else 1 for asked in script.asked) <= cap


# ---- rates -----------------------------------------------------------------------------------------------------


def test_retry_after_seconds():
    "The wait is as told, and the same request goes out again."
    script = Script(
        httpx.Response(429, headers={"Retry-After": "0.3"}), httpx.Response(503, headers={"Retry-After": "0.2"})
    )
    pool, _ = pool_of(script)
    started = time.monotonic()
    number = pool.head().number
    passed = time.monotonic() - started

    assert number == 1000
    assert 0.45 < passed < 1.5
    assert script.asked[1] == script.asked[2] == script.asked[3]


def test_retry_after_date():
    "A date is a wait too."
    when = email.utils.formatdate(time.time() + 1.5, usegmt=True)
    pool, _ = pool_of(Script(httpx.Response(429, headers={"Retry-After": when})))
    started = time.monotonic()
    pool.head()

    assert 0.3 < time.monotonic() - started < 2.5


def test_rate_without_a_word():
    "Without Retry-After the rate halves and grows again with success; it is remembered."
    limited = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "Too many requests"}}
    script = Script(*(httpx.Response(200, json=limited) for _ in range(2)))
    pool, _ = pool_of(script)
    pool.head()
    slowest = pool.learned()[0]["requests_per_second"]
    endpoint = pool.endpoints[0]
    for _ in range(endpoints.SUCCESSES_TO_SPEED_UP * 3):
        endpoint.succeeded()

    assert slowest <= 1
    assert endpoint.rate > slowest
    assert endpoint.retired is None


def test_long_wait_elsewhere():
    "A wait of minutes on one endpoint is spent on another."

    def handler(request):
        asked = json.loads(request.content)
        if request.url.host == "slow.example" and not (isinstance(asked, dict) and asked["method"] == "eth_chainId"):
            return httpx.Response(429, headers={"Retry-After": "120"})
        return replies(request, chain_of(1000))

    pool, _ = pool_of(handler, urls=("http://slow.example", "http://quick.example"))
    started = time.monotonic()

    assert [pool.head().number for _ in range(3)] == [1000] * 3
    assert time.monotonic() - started < 2


def test_wait_of_a_day_is_a_quota():
    "An endpoint that says to come back tomorrow is left for the run."
    pool, said = pool_of(Script(httpx.Response(429, headers={"Retry-After": "86400"})))

    with pytest.raises((NoEndpoint, EndpointUnusable)):
        pool.head()
    assert "not used any more" in said[0]


# ---- failover --------------------------------------------------------------------------------------------------


def two_hosts(first):
    "A transport where a.example answers `first` and b.example is a plain node; the hosts asked are listed."
    hosts = []

    def handler(request):
        asked = json.loads(request.content)
        is_check = isinstance(asked, dict) and asked["method"] == "eth_chainId"
        if not is_check:
            hosts.append(request.url.host)
        if request.url.host == "a.example" and not is_check:
            return first
        return replies(request, chain_of(1000))

    return handler, hosts


@pytest.mark.parametrize(
    ("first", "n_asked"),
    [
        (httpx.Response(401, text="Unauthorized"), 1),
        (httpx.Response(402, text=""), 1),
        (httpx.Response(200, json={"id": 1, "error": {"code": 429, "message": "Monthly capacity limit exceeded."}}), 1),
    ],
)
def test_quota_retires(first, n_asked):
    "A plan that is used up takes its endpoint out of the run, said once."
    handler, hosts = two_hosts(first)
    pool, said = pool_of(handler, urls=("http://a.example/KEY", "http://b.example/KEY"))
    numbers = [pool.head().number for _ in range(4)]

    assert numbers == [1000] * 4
    assert (hosts.count("a.example"), len(said)) == (n_asked, 1)
    assert "KEY" not in said[0]


def test_missing_method_does_not_retire():
    "A mandatory method that does not exist is one bad backend: another endpoint now, the first again later."
    gone = {
        "id": 1,
        "error": {"code": -32601, "message": "the method eth_getBlockByNumber does not exist/is not available"},
    }
    handler, _ = two_hosts(httpx.Response(200, json=gone))
    pool, _ = pool_of(handler, urls=("http://a.example", "http://b.example"))

    assert pool.head().number == 1000
    assert pool.endpoints[0].retired is None


def test_breaker(monkeypatch):
    "Failures in a row open the breaker, which is said once; a probe after the cool-down closes it."
    monkeypatch.setattr(endpoints, "COOL_DOWN_SECONDS", 0.2)
    script = Script()
    pool, said = pool_of(script)
    pool.head()
    script.first = [httpx.ConnectError("down") for _ in range(endpoints.FAILURES_TO_OPEN + 1)]
    started = time.monotonic()
    number = pool.head().number

    assert number == 1000
    assert time.monotonic() - started >= 3 * endpoints.COOL_DOWN_SECONDS
    assert [text for text in said if "trying again later" in text] == said
    assert not pool.endpoints[0].is_open()


def test_breaker_spares_a_dead_host():
    "A host that died is left alone while another answers."
    dead = f"http://127.0.0.1:{free_port()}"
    hosts = []

    def handler(request):
        hosts.append(request.url.host)
        if request.url.host == "127.0.0.1":
            raise httpx.ConnectError("refused")
        return replies(request, chain_of(1000))

    pool, _ = pool_of(handler, urls=(dead, "http://b.example"))
    numbers = [pool.head().number for _ in range(30)]

    assert numbers == [1000] * 30
    assert hosts.count("127.0.0.1") <= endpoints.FAILURES_TO_OPEN_UNSEEN


def test_said_once():
    "What differs in numbers only is said once a host."
    pool, said = pool_of(Script())
    for text in ("a.example: block 5 is gone", "a.example: block 6 is gone", "b.example: block 6 is gone"):
        pool.say(text)

    assert said == ["a.example: block 5 is gone", "b.example: block 6 is gone"]


def test_learned_round_trip():
    "What one run learned, as rows of the table, the next run starts from; other chains and hosts do not mix."
    pool, _ = pool_of(Script())
    row = {
        "host": "node.example",
        "chain": "ethereum",
        "method": "eth_getLogs",
        "max_blocks": 500,
        "max_addresses": 50,
        "max_batch": 10,
        "earliest_block": 7,
        "requests_per_second": 3.5,
        "has_timestamp": True,
    }
    pool.recall([{**row, "chain": "base", "max_blocks": 1}, {**row, "host": "other.example", "max_blocks": 2}, row])

    assert pool.learned() == [row]


# ---- recordings and imports ------------------------------------------------------------------------------------


def asked_in(request):
    "The list of (method, params) in a JSON-RPC body."
    body = json.loads(request.body)
    return [(one["method"], one["params"]) for one in (body if isinstance(body, list) else [body])]


def same_questions(one, other):
    "Whether two requests ask the same."
    if asked_in(one) != asked_in(other):
        raise AssertionError


def test_replay(serve, tmp_path):
    "A run recorded with four threads replays with four threads, at another address, without a node."
    recorder = vcr.VCR(record_mode="once", match_on=["questions"], serializer="json")
    recorder.register_matcher("questions", same_questions)
    url, node = serve()

    def run(address):
        pool = Pool([address], chain_id=31337, chain="devnet")
        found = list(fetch(pool, [Range(0, 480)], [LogFilter()], width=40, workers=4, verify_sample=0))
        pool.close()
        assert all(isinstance(one, Fetched) for one in found)
        return [(one.block_range, one.head, one.logs.rows()) for one in found]

    with recorder.use_cassette(str(tmp_path / "run.json"), allow_playback_repeats=True):
        recorded = run(url)
    n_http = node.n_http
    player = vcr.VCR(record_mode="none", match_on=["questions"], serializer="json")
    player.register_matcher("questions", same_questions)
    for _ in range(3):
        with player.use_cassette(str(tmp_path / "run.json"), allow_playback_repeats=True):
            replayed = run("http://replay.example")

        assert replayed == recorded
    assert node.n_http == n_http


def test_threads_share_one_client(serve):
    "Many threads over one pool get their own answers."
    url, _ = serve("--shuffle-batch", "--latency", "2")
    pool = Pool([url], chain_id=31337, chain="devnet")
    wrong = []

    def work(start):
        for number in range(start, 500, 50):
            found = pool.headers([number, number + 1])
            if found[number].number != number or found[number + 1].parent_hash != found[number].hash:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()

    assert wrong == []


def test_import_is_light():
    "A first request needs neither polars nor web3, duckdb or pyarrow."
    script = "import sys, indexer.rpc; print([m for m in ('polars', 'web3', 'duckdb', 'pyarrow', 'numpy') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
