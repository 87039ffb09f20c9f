"""The range engine against the recorded devnet: every bad manner of a node ends in the same rows, or in a listed gap."""

import itertools
import json
from datetime import datetime

import httpx
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import endpoints
from indexer.errors import NoEndpoint
from indexer.ranges import Range, merge
from indexer.rpc import Pool
from indexer.sources import evm_logs
from indexer.sources.evm_logs import LOG_SCHEMA, Fetched, Gap, LogFilter, fetch, plan
from indexer.sources.log_columns import Log, Malformed, frame_of, places, seconds
from tests.node import rpc_node

LAST = 554
EVERYTHING = LogFilter()
WHOLE = [Range(0, LAST)]
TAIL = [Range(440, LAST)]  # a thousand logs, some blocks with sixty, the second branch


def unhex(text):
    "Bytes of 0x hex."
    return bytes.fromhex(text[2:])


def row(log):
    "The expected row of one log of the recording."
    topics = [unhex(topic) for topic in log["topics"]]
    return (
        int(log["blockNumber"], 16),
        unhex(log["blockHash"]),
        datetime.utcfromtimestamp(int(log["blockTimestamp"], 16)),
        unhex(log["transactionHash"]),
        int(log["logIndex"], 16),
        unhex(log["address"]),
        *topics,
        *[None] * (4 - len(topics)),
        unhex(log["data"]),
    )


def recorded(branch, first=0, last=LAST, *, addresses=None, topics0=None):
    "The rows that the recording holds for a range and a filter, in block order."
    logs = [json.loads(text) for text in branch.log_json["hex"]]
    rows = [
        row(log)
        for log in logs
        if first <= int(log["blockNumber"], 16) <= last
        and (addresses is None or log["address"] in addresses)
        and (topics0 is None or (log["topics"] and log["topics"][0] in topics0))
    ]
    return sorted(rows, key=lambda one: (one[0], one[4]))


@pytest.fixture(scope="session")
def everything(recorded_chain):
    "Every log of the main branch."
    return recorded(recorded_chain.main)


@pytest.fixture(scope="session")
def expected(everything):
    "Every log of the tail of the main branch."
    return [one for one in everything if one[0] >= TAIL[0].first]


class Run:
    "One fetch: what it yielded, said and learned."

    def __init__(self, urls, wanted=TAIL, filters=(EVERYTHING,), *, learned=(), chain_id=31337, **options):
        self.said = []
        pool = Pool(
            [urls] if isinstance(urls, str) else urls,
            chain_id=chain_id,
            chain="devnet",
            learned=learned,
            narrate=self.said.append,
        )
        options = {"width": 50, "verify_sample": 0, **options}
        try:
            self.yielded = list(fetch(pool, wanted, filters, **options))
        finally:
            self.learned = pool.learned()
            pool.close()
        self.fetched = [one for one in self.yielded if isinstance(one, Fetched)]
        self.gaps = [one for one in self.yielded if isinstance(one, Gap)]
        self.wanted = wanted

    def rows(self):
        "The rows of all ranges; checks that ranges are in order and add up, and that each holds its own logs."
        ranges = [one.block_range for one in self.yielded]
        assert merge(ranges) == merge(self.wanted)
        assert all(one.last < other.first for one, other in itertools.pairwise(ranges))
        for one in self.fetched:
            numbers = one.logs["block_number"]
            assert one.logs.schema == LOG_SCHEMA
            assert (one.first.number, one.head.number) == one.block_range
            assert numbers.is_empty() or one.block_range.first <= numbers.min() <= numbers.max() <= one.block_range.last
        return pl.concat([one.logs for one in self.fetched]).rows() if self.fetched else []


# ---- a faultless node ------------------------------------------------------------------------------------------


def test_rows_are_the_recorded_logs(serve, everything, recorded_chain):
    "Every log once, in order, with its block time; each range with the headers that prove it."
    url, node = serve()
    run = Run(url, WHOLE)

    assert run.rows() == everything
    assert [one.proof for one in run.fetched] == ["header_in_batch"] * len(run.fetched)
    for one in run.fetched:
        blocks = recorded_chain.main.blocks
        assert (one.first.hash, one.head.hash) == tuple(blocks[number]["hash"] for number in one.block_range)
        assert one.last_at == datetime.utcfromtimestamp(int(blocks[one.block_range.last]["timestamp"], 16))
        assert one.endpoint in url
    assert node.state()["faults"] == {}


def test_final_ranges_cost_one_request_each(serve):
    "Below the finalized block a range is one HTTP request, headers and block times included; the plan says so before."
    url, node = serve()
    wanted = [Range(0, 489)]
    pool = Pool([url], chain_id=31337, chain="devnet")
    pool.head("finalized")
    before = node.n_http
    found = list(fetch(pool, wanted, [EVERYTHING], width=49, verify_sample=0))
    history = 3  # one look at the oldest block's bloom, its neighbours' and the logs there, once an endpoint
    pool.close()

    assert len(found) == plan(wanted, pool, 49) == 10
    assert node.n_http - before <= 10 + history


def test_filters(serve, recorded_chain):
    "Several filters ride in one batch; a log that two of them ask for comes once; case does not matter."
    url, _ = serve()
    by_address = {}
    for log in map(json.loads, recorded_chain.main.log_json["hex"]):
        by_address.setdefault(log["address"], log["topics"][0])
    (first, topic), (second, _), *_ = sorted(by_address.items())
    filters = [
        LogFilter((first.upper().replace("0X", "0x"),)),
        LogFilter((), ((topic,),)),
        LogFilter((second,), (None,)),
    ]
    run = Run(url, WHOLE, filters)
    both = {*recorded(recorded_chain.main, addresses={first, second}), *recorded(recorded_chain.main, topics0={topic})}

    assert run.rows() == sorted(both, key=lambda one: (one[0], one[4]))


def test_several_ranges(serve, everything):
    "Ranges apart stay apart; overlapping ones are asked once."
    url, _ = serve()
    run = Run(url, [Range(400, 420), Range(10, 60), Range(50, 90), Range(300, 300)])

    assert run.rows() == [one for one in everything if one[0] in {*range(10, 91), 300, *range(400, 421)}]


def test_reading_ahead_is_bounded(serve):
    "A slow consumer holds back the requests, so that memory does not grow with the range."
    url, node = serve()
    pool = Pool([url], chain_id=31337, chain="devnet")
    running = fetch(pool, [Range(0, 480)], [EVERYTHING], width=5, workers=2, verify_sample=0)
    next(running)
    calls = node.state()["calls"]["eth_getLogs"]
    running.close()
    pool.close()

    assert calls <= 2 * evm_logs.READ_AHEAD + 3


# ---- limits ----------------------------------------------------------------------------------------------------


# Their only wording of a refusal speaks of the size of the answer: density, which is not remembered.
SPEAKS_OF_SIZE = {"alchemy", "zksync"}
# Their only wording of a refusal speaks of the range.
SPEAKS_OF_RANGE = {"chainstack", "drpc"}


@pytest.mark.parametrize("style", sorted(rpc_node.STYLES))
def test_range_cap(serve, expected, style):
    "A cap on blocks is learned from any wording in few refusals, kept for later runs, and never passed again."
    url, node = serve("--errors", style, "--max-range", "20")
    run = Run(url, workers=1)
    refused = sum(node.state()["faults"].values())
    cap = run.learned[0]["max_blocks"]

    assert run.rows() == expected
    if style in SPEAKS_OF_SIZE:
        assert cap is None
    else:
        node.control({"reset": True})
        later = Run(url, [Range(400, 440)], learned=run.learned)
        assert refused <= 3
        assert 10 <= cap <= 20
        assert (later.gaps, node.state()["faults"]) == ([], {})


@pytest.mark.parametrize("style", sorted(rpc_node.STYLES))
def test_result_cap(serve, expected, style):
    "Too many results split the range in any wording, and nothing is remembered but by nodes that word it as a range."
    url, node = serve("--errors", style, "--max-results", "70")
    run = Run(url)

    assert run.rows() == expected
    assert node.n_http < 200
    assert run.learned[0]["max_blocks"] is None


@pytest.mark.parametrize("trap", ["same", "inverted", "outside"])
@pytest.mark.parametrize("style", ["alchemy", "alchemy-free", "infura", "reth", "zksync"])
def test_bad_suggestion(serve, expected, trap, style):
    "A suggestion that is the same range, inverted or outside is not followed; requests stay bounded."
    url, node = serve("--errors", style, "--max-results", "90", "--bad-suggestion", trap)
    run = Run(url)

    assert run.rows() == expected
    assert node.n_http < 150


def test_suggestion_is_used(serve):
    "A sound suggestion saves requests against halving."
    counts = {}
    for style in ("reth", "ankr"):
        url, node = serve("--errors", style, "--max-results", "400")
        Run(url, [Range(0, 400)], width=401, workers=1)
        counts[style] = sum(node.state()["faults"].values())

    assert counts["reth"] < counts["ankr"]


def test_suggestion_that_fails_on_bytes(serve, expected):
    "A suggestion may fail on the next limit: each answer is classified afresh."
    url, _ = serve("--errors", "zksync", "--max-results", "200", "--max-bytes", "60000")

    assert Run(url).rows() == expected


def test_off_by_one(serve, expected):
    "A cap that compares to - from is never exceeded by counting blocks."
    url, _ = serve("--errors", "blast", "--max-range", "20", "--range-exclusive")
    run = Run(url)

    assert run.rows() == expected
    assert run.learned[0]["max_blocks"] == 20


@pytest.mark.parametrize("switches", [("--max-bytes", "40000"), ("--max-results", "25"), ("--max-results", "4")])
def test_one_block_too_large(serve, expected, switches):
    "A single block over the cap is read by address, by topic and from its receipts."
    url, node = serve(*switches)
    run = Run(url, [Range(500, 554)])

    assert run.rows() == [one for one in expected if one[0] >= 500]
    assert node.state()["calls"]["eth_getBlockReceipts"] > 0


def test_one_block_too_large_is_divided_first(serve, recorded_chain):
    "Addresses and topics are divided before receipts are asked for."
    url, node = serve("--max-results", "12")
    busiest = max(recorded_chain.main.block_receipts.items(), key=lambda one: sum(len(r["logs"]) for r in one[1]))[0]
    logs = [
        one for one in map(json.loads, recorded_chain.main.log_json["hex"]) if int(one["blockNumber"], 16) == busiest
    ]
    addresses, topics = {one["address"] for one in logs}, {one["topics"][0] for one in logs}
    run = Run(url, [Range(busiest, busiest)], [LogFilter(tuple(addresses), (tuple(topics),))])

    assert run.rows() == recorded(recorded_chain.main, busiest, busiest)
    assert node.state()["calls"]["eth_getLogs"] > 4


def test_end_of_the_ladder_is_a_gap(serve, expected):
    "One block too large and no receipts: that block is a gap with its reason, its neighbours are kept."
    url, node = serve("--max-results", "60")
    node.eth_getBlockReceipts = None
    run = Run(url)
    lost = {one.block_range.first for one in run.gaps}

    assert lost
    assert run.rows() == [one for one in expected if one[0] not in lost]
    assert all(one.block_range.n_blocks == 1 and "eth_getBlockReceipts" in one.reason for one in run.gaps)
    assert node.n_http < 200


@pytest.mark.parametrize("cap", [1, 2, 3, 5])
def test_batch_cap(serve, expected, cap):
    "Batches of any size give the same rows; without batches there is no proof, and it says so."
    url, _ = serve("--max-batch", str(cap))
    run = Run(url, [Range(440, 480)], [LogFilter((), ((), None)), EVERYTHING, LogFilter((), (None,))])

    assert run.rows() == [one for one in expected if one[0] <= 480]
    assert (run.learned[0]["max_batch"] or 5) <= cap
    assert {one.proof for one in run.fetched} == {"unverified" if cap == 1 else "header_in_batch"}


def test_address_cap(serve, recorded_chain):
    "Long address lists are divided, and their length is remembered."
    addresses = sorted(set(recorded_chain.main.log_address))[:50]
    url, node = serve("--max-addresses", "7")
    run = Run(url, WHOLE, [LogFilter(tuple(addresses))], width=200)
    node.control({"reset": True})
    later = Run(url, WHOLE, [LogFilter(tuple(addresses))], width=200, learned=run.learned)

    assert run.rows() == later.rows() == recorded(recorded_chain.main, addresses=set(addresses))
    assert 4 <= run.learned[0]["max_addresses"] <= 7
    assert node.state()["faults"] == {}


def test_grows_back(serve):
    "After a dense stretch the width returns: few requests for the sparse rest."
    url, _ = serve("--max-results", "300", "--errors", "ankr")
    run = Run(url, [Range(0, 480)], width=160, workers=1)
    widths = [one.block_range.n_blocks for one in run.fetched]
    narrowest = widths.index(min(widths))

    assert max(widths[narrowest:]) > 3 * min(widths)
    assert run.learned[0]["max_blocks"] is None


# ---- rates, faults, lag ----------------------------------------------------------------------------------------


def test_rate_never_shrinks(serve, expected):
    "A rate limit repeats the same range: as many ranges as without it, and no wait beyond what is told."
    calm, _ = serve()
    url, node = serve("--rate-limit", "4", "--retry-after", "0.05")
    quick, slow = Run(calm, width=10), Run(url, width=10)

    assert slow.rows() == expected
    assert [one.block_range for one in slow.yielded] == [one.block_range for one in quick.yielded]
    assert node.state()["faults"]["429"] > 3


@pytest.mark.parametrize(
    "switches",
    [
        ("--flaky", "0.25"),
        ("--flaky", "0.1", "--seed", "5", "--shuffle-batch"),
        ("--shuffle-batch",),
        ("--lag-blocks", "3", "--lag-every", "3"),
        ("--mix-every", "3"),
        ("--mix-every", "4", "--flaky", "0.1"),
        ("--no-block-timestamp",),
        ("--block-timestamp", "zero"),
        ("--no-block-timestamp", "--max-batch", "4", "--flaky", "0.1"),
        ("--beyond-head", "error"),
        (
            *("--flaky", "0.1", "--rate-limit", "9", "--retry-after", "0.05", "--max-range", "12"),
            *("--max-results", "60", "--lag-blocks", "3", "--lag-every", "4"),
        ),
    ],
    ids=" ".join,
)
def test_bad_day(serve, expected, switches):
    "Whatever the node does, the rows are those of the faultless run, in bounded requests."
    url, node = serve(*switches)
    run = Run(url, width=25)

    assert run.gaps == []
    assert run.rows() == expected
    assert node.n_http < 300


def test_block_times_cost_headers_only_without_the_field(serve):
    "With blockTimestamp no header beyond the ends of ranges is asked; without it one for each block that has logs."
    counts = {}
    for switch in ("hex", "none"):
        url, node = serve("--block-timestamp", switch)
        pool = Pool([url], chain_id=31337, chain="devnet")
        pool.head("finalized")
        n_blocks = node.state()["calls"]["eth_getBlockByNumber"]
        found = list(fetch(pool, [Range(100, 480)], [EVERYTHING], width=96, verify_sample=0))
        counts[switch] = node.state()["calls"]["eth_getBlockByNumber"] - n_blocks
        distinct = pl.concat([one.logs for one in found])["block_number"].n_unique()
        pool.close()

    assert counts["hex"] <= 2 * len(found) + 18
    assert distinct <= counts["none"] <= distinct + counts["hex"]


def test_lagging_node_proves_nothing(serve, expected):
    "Blocks that the backend has not got are a gap, though it answers their logs with an empty list."
    url, node = serve("--lag-blocks", "3")
    run = Run(url)

    assert [one.block_range for one in run.gaps] == [Range(552, 554)]
    assert run.rows() == [one for one in expected if one[0] < 552]
    assert node.n_http < 60


def test_lagging_node_beside_another(serve, expected):
    "A second endpoint fills in for one that lags."
    lagging, _ = serve("--lag-blocks", "5")
    whole, _ = serve()
    run = Run([lagging, whole])

    assert (run.rows(), run.gaps) == (expected, [])


@pytest.mark.parametrize("answer", ["error", "empty"])
def test_pruned_history(serve, everything, answer):
    "What an endpoint has lost is found out in few requests, whether it says so or not, and is a gap; it is remembered."
    url, node = serve("--prune-below", "250", "--prune-answer", answer)
    run = Run(url, WHOLE, width=100)
    n_http = node.n_http
    later = Run(url, WHOLE, width=100, learned=run.learned)

    assert merge(one.block_range for one in run.gaps) == [Range(0, 249)]
    assert run.rows() == later.rows() == [one for one in everything if one[0] >= 250]
    assert run.learned[0]["earliest_block"] == 250
    assert n_http < 80


@pytest.mark.parametrize("answer", ["error", "empty"])
def test_pruned_history_elsewhere(serve, everything, answer):
    "History that one endpoint has lost comes from another; what it keeps still comes from the first."
    pruned, _ = serve("--prune-below", "250", "--prune-answer", answer)
    archive, node = serve()
    run = Run([pruned, archive], WHOLE, width=100)
    by_first = [one for one in run.fetched if one.endpoint in pruned]

    assert run.rows() == everything
    assert 250 <= by_first[0].block_range.first <= 300
    assert node.n_http < 40


def test_removed_logs(serve, recorded_chain):
    "Logs of an abandoned branch that a node still returns condemn its answer; another endpoint gives the branch."
    liar, first = serve("--removed-logs")
    honest, second = serve()
    for node in (first, second):
        node.control({"fork": True})
    wanted = [Range(500, 555)]
    run, alone = Run([liar, honest], wanted), Run(liar, wanted)

    assert run.rows() == recorded(recorded_chain.other, 500, 555)
    assert any("removed" in text for text in run.said)
    assert merge(gap.block_range for gap in alone.gaps) == [Range(543, 554)]


def test_reorg_between_ranges_is_visible(serve):
    "When the chain turns during a run, the first range of the other branch does not follow the one before it."
    url, node = serve()
    pool = Pool([url], chain_id=31337, chain="devnet")
    running = fetch(pool, [Range(530, 554)], [EVERYTHING], width=15, workers=1, verify_sample=0)
    found = [next(running)]
    node.control({"fork": True})
    found += list(running)
    pool.close()
    links = [
        other.first.parent_hash == one.head.hash
        for one, other in itertools.pairwise(found)
        if isinstance(other, Fetched)
    ]

    assert False in links or any(isinstance(one, Gap) for one in found) or len(found) == 1


# ---- endpoints that lie or fail --------------------------------------------------------------------------------


def tampering(node, change):
    "Make the node pass each list of logs through `change`."
    honest = node.eth_getLogs

    def get_logs(params, known):
        return json.dumps(change(json.loads(honest(params, known)), params[0])).encode()

    node.eth_getLogs = get_logs


def swapped(**fields):
    "A change that replaces fields of the last log."
    return lambda logs, _: [*logs[:-1], {**logs[-1], **fields}] if logs else logs


@pytest.mark.parametrize(
    "change",
    [
        swapped(address="0x" + "ab" * 20),
        swapped(topics=["0x" + "cd" * 32]),
        swapped(blockNumber="0x5000"),
        swapped(blockNumber=None),
        swapped(removed=True),
        swapped(logIndex="zero"),
        swapped(data="0xabc"),
        swapped(data="0xzz"),
        swapped(topics=["0x" + "cd" * 32] * 5),
        swapped(transactionHash="0x12"),
        lambda logs, _: [*logs, *logs[-1:]],
        lambda logs, _: [*logs, {**logs[-1], "data": "0x"}] if logs else logs,
        lambda logs, _: None if logs else logs,
        lambda logs, _: [*logs[:-1], {"address": logs[-1]["address"]}] if logs else logs,
    ],
    ids=range(14),
)
def test_false_answers_are_condemned(serve, recorded_chain, change):
    "A log that cannot be in the answer condemns it, and another endpoint is asked."
    address = recorded_chain.main.log_address[4000]
    filters = [LogFilter((address,), ((json.loads(recorded_chain.main.log_json["hex"][4000])["topics"][0],),))]
    wanted = [Range(300, 400)]
    truth = recorded(recorded_chain.main, 300, 400, addresses={address}, topics0=set(filters[0].topics[0]))
    lying, node = serve()
    tampering(node, change)
    honest, _ = serve()
    run = Run([lying, honest], wanted, filters)

    assert truth
    assert (run.rows(), run.gaps) == (truth, [])
    assert any("asked again" in text for text in run.said)
    assert node.n_http < 40


def test_lone_liar(serve, recorded_chain):
    "Without another endpoint a false answer is a gap as small as the fault, or the end of the endpoint; never a row."
    url, node = serve()
    tampering(node, lambda logs, _: [{**log, "removed": log["blockNumber"] == hex(510)} for log in logs])
    run = Run(url, [Range(480, 530)])

    assert merge(gap.block_range for gap in run.gaps) == [Range(510, 510)]
    assert "removed" in run.gaps[0].reason
    assert run.rows() == [one for one in recorded(recorded_chain.main, 480, 530) if one[0] != 510]
    assert node.n_http < 100


def test_incorrigible_liar(serve, recorded_chain):
    "An endpoint whose every answer is false is left before long."
    url, node = serve()
    withdrawn = json.loads(recorded_chain.main.log_json["hex"][0]) | {"removed": True}
    tampering(node, lambda logs, _: [*logs, withdrawn])

    with pytest.raises(NoEndpoint, match="removed"):
        Run(url, [Range(360, 480)], width=10)
    assert node.n_http < 150


def test_missing_log_is_found_by_a_second_endpoint(serve, expected):
    "An endpoint that leaves out a log is caught by the sample, convicted by receipts, and left."
    lying, node = serve()
    tampering(node, lambda logs, _: [log for log in logs if log["blockNumber"] != hex(expected[-400][0])])
    honest, _ = serve()
    run = Run([lying, honest], verify_sample=1.0)

    assert run.rows() == expected
    assert any("contradict the receipts" in text for text in run.said)
    assert {one.proof for one in run.fetched if one.endpoint in lying} <= {"header_in_batch+second_endpoint"}


def test_invented_log_is_found_by_a_second_endpoint(serve, expected):
    "The other way round: a second endpoint that lies does not spoil the first one's rows."
    honest, _ = serve()
    lying, node = serve()
    tampering(node, lambda logs, _: [log for log in logs if log["blockNumber"] != hex(expected[-400][0])])
    run = Run([honest, lying], verify_sample=1.0)

    assert run.rows() == expected
    assert any(text.startswith(lying.removeprefix("http://")) for text in run.said)


def test_sample_share(serve):
    "A share of the ranges is asked twice, empty ones first; both endpoints that agree make the proof."
    one, _ = serve()
    two, node = serve()
    nothing = LogFilter(("0x" + "99" * 20,))
    run = Run([one, two], [Range(0, 479)], [nothing], width=10, verify_sample=0.1)
    proofs = [found.proof for found in run.fetched]

    assert proofs.count("header_in_batch+second_endpoint") == 5
    assert node.state()["calls"]["eth_getLogs"] <= 7


def test_bloom_of_an_empty_answer(serve, recorded_chain):
    "A lone endpoint whose empty answer its own bloom contradicts is found out where its receipts hold the log."
    address, topic = next(
        (log["address"], log["topics"][0])
        for log in map(json.loads, recorded_chain.main.log_json["hex"])
        if int(log["blockNumber"], 16) == 540
    )
    url, node = serve()
    tampering(node, lambda logs, asked: [] if asked.get("address") else logs)
    run = Run(url, [Range(540, 540)], [LogFilter((address,), ((topic,),))])

    assert [one.block_range for one in run.gaps] == [Range(540, 540)]
    assert "receipts" in run.gaps[0].reason


def test_wrong_chain(serve):
    "A node of another chain yields nothing."
    url, node = serve()

    with pytest.raises(NoEndpoint, match=r"chain id 31337, not 1"):
        Run(url, chain_id=1)
    assert node.state()["calls"] == {"eth_chainId": 1}


def test_dead_endpoint_beside_a_good_one(serve, expected):
    "A port where nobody listens is passed over."
    url, _ = serve()
    run = Run(["http://127.0.0.1:9", url])

    assert run.rows() == expected


def test_node_dies(serve, monkeypatch):
    "A node that stops answering ends the run with its name; what was yielded stands."
    monkeypatch.setattr(endpoints, "COOL_DOWN_SECONDS", 0.1)
    url, node = serve()
    pool = Pool([url], chain_id=31337, chain="devnet")
    pool.head("finalized")
    running = fetch(pool, [Range(0, 480)], [EVERYTHING], width=5, workers=2, verify_sample=0)
    first = next(running)
    node.exchange = lambda _: None
    with pytest.raises(NoEndpoint, match=r"127\.0\.0\.1:\d+: "):
        list(running)
    pool.close()

    assert first.block_range == Range(0, 4)


def test_unknown_error_is_reported_and_bounded(serve):
    "An error that no rule knows is said once with a request to report it; the endpoint is left before long."
    url, node = serve()

    def refuse(_params, _known):
        raise rpc_node.RpcError("flux capacitor misaligned", -31999)

    node.eth_getLogs = refuse
    with pytest.raises(NoEndpoint, match="flux capacitor"):
        Run(url)

    assert node.n_http < 80


def test_too_many_logs_are_history(small_node):
    "A first block that is refused for what follows it has kept its logs: in every provider's wording it is no gap."
    transport, truth, options = small_node
    options.max_results = 1
    for options.errors in sorted(rpc_node.STYLES):
        pool = Pool(["http://node.example"], chain_id=31337, chain="devnet", transport=transport)
        pool.final_block = LAST
        found = list(fetch(pool, [Range(0, 0)], [EVERYTHING], width=1, verify_sample=0))
        pool.close()

        assert [(type(one), one.block_range) for one in found] == [(Fetched, Range(0, 0))]
    assert min(truth)[0] > 0


def test_quota_for_logs_only(serve, expected):
    "A plan without eth_getLogs leaves the method to another endpoint."
    poor, node = serve()
    rich, _ = serve()

    def refuse(_params, _known):
        raise rpc_node.RpcError("eth_getLogs is not included in your current plan")

    node.eth_getLogs = refuse
    run = Run([poor, rich])

    assert run.rows() == expected
    assert node.state()["calls"]["eth_getLogs"] <= 5
    assert sum("not included" in text for text in run.said) == 1


# ---- properties ------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), min_size=1, max_size=3),
    max_range=st.integers(0, 50),
    max_results=st.integers(0, 40),
    width=st.integers(1, 400),
    trap=st.sampled_from(["no", "same", "inverted", "outside"]),
    style=st.sampled_from(sorted(rpc_node.STYLES)),
)
def test_pieces_add_up(small_node, wanted, max_range, max_results, width, trap, style):
    "Under any caps, wordings and suggestions the pieces are disjoint, in order, add up, and hold every log."
    transport, truth, options = small_node
    options.max_range, options.max_results, options.bad_suggestion, options.errors = max_range, max_results, trap, style
    pool = Pool(["http://node.example"], chain_id=31337, chain="devnet", transport=transport)
    pool.final_block = LAST
    ranges = [Range(first, first + n) for first, n in wanted]
    found = list(fetch(pool, ranges, [EVERYTHING], width=width, verify_sample=0))
    pool.close()
    pieces = [one.block_range for one in found]

    assert all(isinstance(one, Fetched) for one in found)
    assert merge(pieces) == merge(ranges)
    assert sum(one.n_blocks for one in pieces) == sum(one.n_blocks for one in merge(ranges))
    assert [one[:5:4] for one in pl.concat([one.logs for one in found]).select(LOG_SCHEMA.names()).rows()] == [
        one for one in truth if any(first <= one[0] <= last for first, last in ranges)
    ]


@pytest.fixture
def small_node(recorded_chain):
    "The recorded node inside this process, without sockets; its switches; the (block, index) of every log."
    options = rpc_node.parser().parse_args(["-", "--port", "0"])
    node = rpc_node.Node(recorded_chain, options)

    def handler(request):
        status, headers, body = node.exchange(request.content)
        return httpx.Response(status, headers=headers, content=body)

    truth = [(one[0], one[4]) for one in recorded(recorded_chain.main)]
    return httpx.MockTransport(handler), truth, options


# ---- columns ---------------------------------------------------------------------------------------------------


def log_with(**fields):
    "A log with some fields replaced."
    plain = {
        "address": "0x" + "aa" * 20,
        "topics": [],
        "data": "0x",
        "block_number": "0x1",
        "block_hash": "0x" + "bb" * 32,
        "transaction_hash": "0x" + "cc" * 32,
        "log_index": "0x0",
        "block_timestamp": "0x68e750fc",
    }
    return Log(**{**plain, **fields})


def columns(logs):
    "Logs as a frame, with the times they carry."
    return frame_of(logs, places(logs), seconds(logs))


def test_columns_of_odd_logs():
    "No topics, four topics, upper-case hex, empty and long data: each value is where it belongs."
    words = ["0x" + f"{number:064X}" for number in range(1, 5)]
    frame = columns(
        [
            log_with(),
            log_with(topics=words, data="0x" + "Ff" * 1000, log_index="0x7fffffff"),
            log_with(topics=words[:1]),
        ]
    )

    assert frame.schema == LOG_SCHEMA
    assert frame["log_index"].to_list() == [0, 2147483647, 0]
    assert frame["topic0"].to_list() == [None, bytes(31) + b"\x01", bytes(31) + b"\x01"]
    assert frame["topic3"].to_list() == [None, bytes(31) + b"\x04", None]
    assert frame["data"].to_list() == [b"", b"\xff" * 1000, b""]
    assert frame["logged_at"].to_list() == [datetime(2025, 10, 9, 6, 6, 52)] * 3


@pytest.mark.parametrize("stamp", [None, "0x0", 7, "soon", "0x", "0xffffffffffffffff", ""])
def test_no_block_time(stamp):
    "One log without a sane block time and none counts: headers decide for the range."
    assert seconds([log_with(), log_with(block_timestamp=stamp)]) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "0x" + "aa" * 19},
        {"address": "0x" + "aa" * 19 + "zz"},
        {"address": "aa" * 21},
        {"block_hash": "0x"},
        {"block_number": "16"},
        {"block_number": "0x"},
        {"block_number": "0x" + "f" * 20},
        {"log_index": "0x80000000"},
        {"log_index": "-0x1"},
        {"topics": ["0x" + "11" * 31]},
        {"topics": ["0x" + "11" * 32] * 5},
        {"data": "0x123"},
        {"data": "0xgg"},
        {"data": ""},
        {"data": "1234"},
        {"transaction_hash": "0x" + "é" * 64},
    ],
    ids=str,
)
def test_malformed_log(fields):
    "A field that JSON-RPC does not allow condemns the answer; nothing is guessed."
    with pytest.raises(Malformed):
        columns([log_with(), log_with(**fields), log_with()])
