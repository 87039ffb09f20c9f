"""Hour files: every form a node or the archive writes, whole or damaged, read the fast way and the sure way."""

from __future__ import annotations

import json

import lz4.frame
import polars as pl
import pytest
from forced import HLP, HOUR, address, adl_pair, backstop_pair, block, compact, fill, judge, kinds, market_pair, write
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indexer.hyperliquid import classify, fills, scan

USER, MAKER, WINNER = address(1), address(2), address(3)
EVENTS = [
    [address(8), fill(tid=1)],
    *market_pair(USER, MAKER, tid=2),
    *backstop_pair(USER, HLP, tid=3),
    *adl_pair(WINNER, HLP, tid=4),
    [WINNER, fill(dir="Auto-Deleveraging", tid=5, side="B", startPosition="-2.0")],
    [USER, fill(dir="Liquidated Cross Long", tid=6)],
    [address(9), fill(tid=7, coin="vntl:SPACEX")],
]
BLOCK = block(800_000_001, EVENTS)


def verdict(path):
    "The verdict on an hour file, and what the scan learned."
    frame, facts = fills.read_hour(path, HOUR)
    return classify.classify(frame, hlp()), facts


def hlp():
    "The HLP vault, always."
    return pl.DataFrame([(HLP, "hlp", None, None)], schema=classify.LABEL_SCHEMA, orient="row")


@pytest.mark.parametrize("plain", [False, True], ids=["lz4", "plain"])
@pytest.mark.parametrize("dump", [compact, json.dumps], ids=["compact", "spaced"])
@pytest.mark.parametrize(
    "records",
    [
        [BLOCK],
        [BLOCK | {"events": EVENTS[:3]}, BLOCK | {"events": EVENTS[3:]}],
        [dict(sorted(BLOCK.items()))],
        [dict(reversed(BLOCK.items()))],
        EVENTS,
        [fill | {"user": account} for account, fill in EVENTS],
    ],
    ids=["by_block", "streaming", "sorted_keys", "events_first", "node_fills", "flattened"],
)
def test_forms(tmp_path, records, dump, plain):
    "Every form of the file gives the same rows and the same rejects."
    found, facts = verdict(write(tmp_path / "4.lz4", records, plain=plain, dump=dump))

    wanted = judge(EVENTS)
    assert kinds(found) == kinds(wanted)
    assert found.rows.drop("block_number").equals(wanted.rows.drop("block_number"))
    assert found.rejected.height == 1
    assert facts.broken is None
    has_blocks = "events" in records[0]
    assert found.rows["block_number"].to_list() == ([800_000_001] * 5 if has_blocks else [None] * 5)


def test_hour_bounds(tmp_path):
    "The first block of the hour is the first whose own time is in it, whatever arrived before; the last is the last."
    records = [block(7, [], HOUR - 300), block(8, [], HOUR + 10), block(9, [], HOUR + 20)]
    _, facts = fills.read_hour(write(tmp_path / "4.lz4", records), HOUR)

    assert (facts.opening.block, facts.opening.time, facts.last.block) == (8, HOUR + 10, 9)


def test_head_of_the_next_hour(tmp_path):
    "Of a file read only for its late arrivals, no more than the first minute is read."
    late = [block(number, market_pair(USER, MAKER, tid=number), HOUR + number) for number in range(3)]
    far = [block(number, market_pair(USER, MAKER, tid=number), HOUR + 120_000) for number in range(3, 3000)]
    frame, _ = fills.read_hour(write(tmp_path / "4", [*late, *far], plain=True), HOUR, HOUR)

    assert frame["tid"].to_list()[:3] == [0, 1, 2]
    assert frame.height < 1500


def test_truncated_frame(tmp_path):
    "Of a truncated LZ4 file the whole lines before the end are kept, and the file is known to be cut short."
    path = write(
        tmp_path / "4.lz4", [block(n, market_pair(USER, MAKER, tid=n, time=HOUR + n), HOUR + n) for n in range(8000)]
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    found, facts = verdict(path)

    assert "truncated" in facts.broken
    assert 100 < found.rows.height < 8000
    assert found.rows["block_number"].to_list() == list(range(found.rows.height))
    assert facts.last.block >= found.rows.height - 1


def test_damaged_frame(tmp_path):
    "A file that stops being LZ4 is cut there, without a crash."
    path = write(tmp_path / "4.lz4", [BLOCK] * 2000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)

    _, facts = fills.read_hour(path, HOUR)

    assert facts.broken


def test_frames_in_a_row(tmp_path):
    "Several LZ4 frames in one file are one file."
    path = tmp_path / "4.lz4"
    lines = [compact(block(n, market_pair(USER, MAKER, tid=n), HOUR + n)) + "\n" for n in range(3)]
    path.write_bytes(b"".join(lz4.frame.compress(line.encode()) for line in lines))

    found, facts = verdict(path)

    assert (found.rows["block_number"].to_list(), facts.broken) == ([0, 1, 2], None)


def test_half_written_last_line(tmp_path):
    "The last line of a growing file is left alone until it is whole; a whole one needs no newline."
    path = write(tmp_path / "4", [BLOCK], plain=True)
    whole = compact(block(800_000_002, market_pair(USER, MAKER, tid=9), HOUR + 2000))

    path.write_bytes(path.read_bytes() + whole[:-30].encode())
    half, half_facts = verdict(path)
    path.write_bytes(path.read_bytes() + whole[-30:].encode())
    full, full_facts = verdict(path)

    assert (half.rows.height, half_facts.broken, half_facts.last.block) == (5, "half-written last line", 800_000_001)
    assert (full.rows.height, full_facts.broken, full_facts.last.block) == (6, None, 800_000_002)
    assert half.rejected.height == full.rejected.height == 1


@pytest.mark.parametrize(
    "garbage",
    [
        "garbage",
        '{"local_time":"2025-11-22T04:00:01","block_number":5,"events":[["0x12',
        '{"block_number":5,"events":"liquidation"}',
        '{"block_number":"five","events":[["' + USER + '",{"liquidation":{}}]]}',
        compact(block(5, [["short"], ["0x1", {"dir": "Auto-Deleveraging"}, 3]])),
        compact(BLOCK)[:-5] + compact(BLOCK),
    ],
)
def test_broken_line(tmp_path, garbage):
    "A line that is no JSON, or is not what a node writes, is put aside as it is; its neighbours count."
    path = write(tmp_path / "4.lz4", [BLOCK, garbage, block(800_000_002, market_pair(USER, MAKER, tid=9))])

    found, facts = verdict(path)

    assert found.rows.height == 6
    assert len(facts.rejected) == 1 or (facts.rejected and "short" in garbage)
    assert all(reason and raw.decode() in garbage for reason, raw in facts.rejected)


def test_not_utf8(tmp_path):
    "Bytes that are no text are put aside, not a crash."
    path = write(tmp_path / "4", [BLOCK], plain=True)
    path.write_bytes(path.read_bytes() + b'{"events":[["0x\xff\xfe",{"liquidation":{}}]]}\n')

    found, facts = verdict(path)

    assert (found.rows.height, len(facts.rejected)) == (5, 1)


def test_long_line(tmp_path):
    "A line of 24 MB is a line."
    crowd = [[address(n), fill(tid=n)] for n in range(70_000)]
    path = write(tmp_path / "4.lz4", [BLOCK, block(800_000_002, [*crowd, *market_pair(USER, MAKER, tid=9)])])

    found, facts = verdict(path)

    assert (found.rows.height, facts.n_lines, facts.broken) == (6, 2, None)


def test_null_objects(tmp_path):
    "A file that writes `liquidation: null` on every fill is read like one that leaves it out."
    calm = [[address(n), fill(tid=n, liquidation=None)] for n in range(50)]
    path = write(tmp_path / "4.lz4", [block(1, [*calm, *market_pair(USER, MAKER, tid=99)])])

    frame, _ = fills.read_hour(path, HOUR)

    assert frame["tid"].to_list() == [99]


@pytest.mark.parametrize("content", [b"", b"\n", lz4.frame.compress(b"")])
def test_empty(tmp_path, content):
    "An empty file has no events and no bounds."
    (tmp_path / "4").write_bytes(content)

    frame, facts = fills.read_hour(tmp_path / "4", HOUR)

    assert (frame.height, facts.opening, facts.last, facts.broken) == (0, None, None, None)


ordinary = st.builds(
    lambda user, tid, coin, word: [[address(user), fill(tid=tid, coin=coin, dir=word)]],
    st.integers(1, 9),
    st.integers(1, 2**50),
    st.sampled_from(["BTC", "kPEPE", "vntl:SPACEX", "@107", "#4", "quant:Q"]),
    st.sampled_from(["Open Long", "Net Child Vaults", "Spot Dust Conversion", "Settlement"]),
)
forced = st.builds(
    lambda pair, user, maker, tid, side: pair(address(user), address(maker), tid=tid, side=side),
    st.sampled_from([market_pair, backstop_pair, adl_pair]),
    st.integers(1, 9),
    st.integers(10, 12),
    st.integers(1, 2**50),
    st.sampled_from("AB"),
)
# A trade id names one trade, whose fills carry it; nothing tells two trades of one id apart.
trades = st.lists(st.one_of(ordinary, forced), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(trades, max_size=4), st.sampled_from([compact, json.dumps]), st.booleans())
def test_fast_equals_sure(tmp_path_factory, blocks, dump, by_block):
    "The cut finds what parsing every line finds, but for the other sides of market liquidations."
    ids = [trade[0][1]["tid"] for one in blocks for trade in one]
    assume(len(set(ids)) == len(ids))
    events = [[event for pair in one for event in pair] for one in blocks]
    records = (
        [block(n, one) for n, one in enumerate(events)] if by_block else [event for one in events for event in one]
    )
    path = write(tmp_path_factory.mktemp("hour") / "4.lz4", records, dump=dump)
    fast, sure = scan.Facts(), scan.Facts()

    cut = [event for batch in scan.batches(path, HOUR, None, fast, scan.cut) for event in batch]
    parsed = [event for batch in scan.batches(path, HOUR, None, sure, scan.slow) for event in batch]

    verdicts = [classify.classify(fills.decode(found), hlp()) for found in (cut, parsed)]
    assert verdicts[0].rows.equals(verdicts[1].rows)
    assert fast.n_lines == sure.n_lines
    left = [event for event in parsed if event not in cut]
    assert all(b'"market"' in text and account not in text for account, text, _ in left)
