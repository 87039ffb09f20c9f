"""The quick way through an hour file: it finds what parsing every line finds, or knows that it did not."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import lz4.frame
import polars as pl
import pytest
from forced import (
    HLP,
    HOUR,
    address,
    adl_pair,
    backstop_pair,
    block,
    compact,
    fill,
    judge,
    kinds,
    market_pair,
    tag,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.hyperliquid import classify, cutting, fills, reading, scan
from indexer.hyperliquid.archive import Folder, Object
from indexer.hyperliquid.lines import Lines
from indexer.hyperliquid.tasks import Task

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


def hlp():
    "The HLP vault, always."
    return pl.DataFrame([(HLP, "hlp", None, None)], schema=classify.LABEL_SCHEMA, orient="row")


def verdict(path):
    "The verdict on an hour file, and what the scan learned."
    frame, facts = fills.read_hour(path, HOUR)
    return classify.classify(frame, hlp()), facts


def wanted():
    "The verdict on EVENTS, without blocks."
    return judge(EVENTS).rows.drop("block_number")


@pytest.fixture
def refuse_slow(monkeypatch):
    "Reading slowly fails: what passes was found the quick way."

    def refuse(*_):
        raise AssertionError("parsed line by line")

    monkeypatch.setattr(fills, "read_slowly", refuse)


@pytest.mark.usefixtures("refuse_slow")
def test_every_object_is_accounted_for(tmp_path):
    "Objects met = liquidated rows + counterparties + deleveragings that carry one; what is left in place is counted."
    path = write(tmp_path / "4.lz4", [block(1, EVENTS), block(2, market_pair(USER, MAKER, tid=8))])
    frame, facts = fills.read_hour(path, HOUR)
    found = classify.classify(frame, hlp())

    n_objects = path.with_suffix(".txt")
    n_objects.write_bytes(b"".join(stretch.buffer[stretch.start : stretch.end] for stretch in Lines(path)))
    n_own = found.rows.filter(pl.col("kind") != "adl").height
    n_counterparties = frame.filter(pl.col("is_tagged") & (pl.col("account") != pl.col("liquidated_user"))).height
    assert facts.n_tags == n_objects.read_bytes().count(b'"liquidation":{') == 8
    assert (n_own, n_counterparties, facts.n_others) == (4, 2, 2)  # of the two, one is the winner of a deleveraging
    assert facts.n_tags == n_own + n_counterparties + facts.n_others


def test_a_lost_object_is_noticed(tmp_path, monkeypatch):
    "If the cut loses an event with an object, the counts differ and the file is parsed line by line."
    path = write(tmp_path / "4.lz4", [block(n, EVENTS) if n == 40 else block(n, []) for n in range(80)])
    append = cutting.append

    def lose(buffer, begin, end, number, events):
        if b'"tid":3,' not in buffer[begin:end]:
            append(buffer, begin, end, number, events)

    monkeypatch.setattr(cutting, "append", lose)
    monkeypatch.setattr(scan, "sample", lambda stretch: stretch._replace(end=stretch.buffer.find(b"\n") + 1))
    found, facts = verdict(path)

    assert found.rows.drop("block_number").equals(wanted())
    assert facts.n_lines == 80


def test_the_sample_notices_what_has_no_object(tmp_path, monkeypatch):
    "If the cut loses deleveragings without an object, a line that is parsed as well says so."
    path = write(tmp_path / "4.lz4", [block(1, []), block(2, EVENTS)])
    winners = cutting.cut_winners

    def lose(stretch, _, facts):
        return winners(stretch, [], facts)

    monkeypatch.setattr(cutting, "cut_winners", lose)
    found, _ = verdict(path)

    assert found.rows.drop("block_number").equals(wanted())


EXTRA = {"builders": [{"b": 1}], "path": ["0x" + "7" * 40, "x"], "note": "a }] b, q and v"}


@pytest.mark.parametrize("dump", [compact, json.dumps, lambda record: json.dumps(record, separators=(" , ", " : "))])
@pytest.mark.parametrize(
    "written",
    [
        lambda record: dict(sorted(record.items())),
        lambda record: dict(reversed(record.items())),
        lambda record: record | EXTRA,
        lambda record: EXTRA | record,
        lambda record: {
            key: dict(reversed(value.items())) if key == "liquidation" else value for key, value in record.items()
        },
        lambda record: record if "liquidation" in record else record | {"liquidation": None},
    ],
    ids=["sorted", "reversed", "fields_after", "fields_before", "object_reversed", "null_objects"],
)
def test_other_layouts(tmp_path, written, dump):
    "A provider that writes fields in another order, with spaces or with more fields loses no liquidation."
    events = [[account, written(record)] for account, record in EVENTS]
    found, facts = verdict(write(tmp_path / "4.lz4", [block(1, []), block(2, events)], dump=dump))

    assert found.rows.drop("block_number").equals(wanted())
    assert (found.rejected.height, facts.n_lines) == (1, 2)


def test_letter_case(tmp_path):
    "An account is the liquidated user whatever the case its address is written in."
    pair = market_pair(address(0xAB), MAKER, tid=2)
    pair[0][0] = "0x" + pair[0][0][2:].upper()
    found, _ = verdict(write(tmp_path / "4.lz4", [block(1, pair)]))

    assert kinds(found) == [(address(0xAB), "market")]


@pytest.mark.usefixtures("refuse_slow")
def test_broken_line_costs_a_line(tmp_path):
    "A broken line sends its neighbours to the slow way, not the file."
    lines = [block(n, market_pair(USER, MAKER, tid=n)) for n in range(1500)]
    found, facts = verdict(write(tmp_path / "4.lz4", [*lines, "garbage", *lines]))

    assert found.rows.height == 1500  # the second copy has the same ids
    assert [raw for _, raw in facts.rejected] == [b"garbage"]
    assert facts.n_lines == 3001


def test_damaged_bytes(tmp_path):
    "Bytes changed at random never stop the reader; only fills of a damaged line may differ from what parsing gives."
    rng = random.Random(5)
    lines = [compact(block(n, market_pair(USER, MAKER, tid=n) + adl_pair(WINNER, HLP, tid=n + 100))) for n in range(30)]
    path = tmp_path / "4"
    for _ in range(60):
        hurt = [bytearray(line.encode()) for line in lines]
        harmed = {rng.randrange(30) for _ in range(2)}
        for number in harmed:
            hurt[number][rng.randrange(len(hurt[number]))] = rng.choice(b'q"}{],:v\x00\xff 7')
        path.write_bytes(b"".join(bytes(line) + b"\n" for line in hurt))
        quick = classify.classify(fills.read_hour(path, HOUR)[0], hlp()).rows
        sure = classify.classify(fills.read_slowly(path, HOUR)[0], hlp()).rows
        differing = pl.concat(
            [quick.join(sure, on="event_id", how="anti"), sure.join(quick, on="event_id", how="anti")]
        )
        numbers = {
            int(event_id.split(":")[3]) % 100 for event_id in differing["event_id"] if event_id.split(":")[3].isdigit()
        }

        assert numbers <= harmed | {number for number in numbers if number not in range(30)}
        assert quick.height >= 3 * (30 - len(harmed))


def test_long_line_in_linked_blocks(tmp_path):
    "A line of 24 MB over many blocks of a frame is a line."
    crowd = [[address(n), fill(tid=n)] for n in range(70_000)]
    records = [block(1, EVENTS), block(2, [*crowd, *market_pair(USER, MAKER, tid=9)])]
    text = "".join(compact(record) + "\n" for record in records).encode()
    (tmp_path / "4.lz4").write_bytes(framed(text, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=True))
    found, facts = verdict(tmp_path / "4.lz4")

    assert (found.rows.height, facts.n_lines, facts.broken) == (wanted().height + 1, 2, None)


def framed(text, **options):
    "One LZ4 frame that does not state its size."
    with lz4.frame.LZ4FrameCompressor(**options) as compressor:
        return compressor.begin() + compressor.compress(text) + compressor.flush()


def content(n_lines, seed=1):
    "Lines, some of them incompressible."
    rng = random.Random(seed)
    return b"".join(
        b'{"a":"' + (rng.randbytes(300).hex().encode() if n % 3 else b"0" * rng.randrange(3000)) + b'"}\n'
        for n in range(n_lines)
    )


def read_lines(path):
    "The bytes of all stretches, and why the file ends early."
    lines = Lines(path)
    return b"".join(stretch.buffer[stretch.start : stretch.end] for stretch in lines), lines.broken


SIZES = [lz4.frame.BLOCKSIZE_MAX64KB, lz4.frame.BLOCKSIZE_MAX256KB, lz4.frame.BLOCKSIZE_MAX4MB]
LAYOUTS = [
    {"block_size": size, "block_linked": linked, "content_checksum": checked, "block_checksum": checked}
    for size in SIZES
    for linked in (True, False)
    for checked in (True, False)
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_frames_of_every_layout(tmp_path, layout):
    "Any block size, linked or not, with checksums or without, stored or compressed: the same lines."
    text = content(400) + random.Random(2).randbytes(200_000).replace(b"\n", b" ") + b"\n" + content(400, seed=3)
    path = tmp_path / "4.lz4"
    path.write_bytes(framed(text, **layout) + lz4.frame.compress(content(5)) + framed(content(7), **layout))

    assert read_lines(path) == (text + content(5) + content(7), None)


@pytest.mark.parametrize("layout", LAYOUTS[:4], ids=str)
def test_frames_cut_anywhere(tmp_path, layout):
    "Of a file cut at any byte the whole lines of the blocks before it are kept, and it is known to be cut."
    text, path = content(600), tmp_path / "4.lz4"
    whole = framed(text, **layout)
    for at in [5, 6, 7, 8, 10, 11, 12, *range(2000, len(whole), 60_001), len(whole) - 5, len(whole) - 1]:
        path.write_bytes(whole[:at])
        kept, broken = read_lines(path)

        assert broken == "truncated LZ4 frame" or (at < 8 and broken)
        assert text.startswith(kept)
        assert len(kept) >= (at > 300_000) * 100_000


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_frames_damaged_anywhere(tmp_path, layout):
    "Damage is noticed wherever the format allows; what a checksum does not guard never crashes the reader."
    text, path, rng = content(600), tmp_path / "4.lz4", random.Random(7)
    whole = framed(text, **layout)
    for _ in range(25):
        hurt = bytearray(whole)
        hurt[rng.randrange(4, len(hurt))] ^= 1 << rng.randrange(8)
        path.write_bytes(hurt)
        kept, broken = read_lines(path)

        assert broken or not layout["content_checksum"] or kept == text


odd = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(-1e3, 1e3), st.just({}), st.just([1]),
    st.sampled_from(["", " 1.5", "1.5", "+2", "1e5", "1e400", "inf", "nan", "0x1", "true", "77", "A", "Open Long"]),
)  # fmt: skip
fields = st.sampled_from(sorted(fill(liquidation=tag(USER))))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), fields, st.one_of(odd, st.just(...))), max_size=3), st.booleans())
def test_odd_values(changes, is_bare):
    "Fills read as nodes write them are what reading value by value gives; one odd value costs one value."
    records = [fill(tid=n, liquidation=tag(USER) if n % 2 else ...) for n in range(5)]
    for number, name, value in changes:
        records[number] = {key: kept for key, kept in (records[number] | {name: value}).items() if kept is not ...}
    account = b"" if is_bare else USER.encode()
    if is_bare:
        records = [record | {"user": MAKER} for record in records]
    raws = [compact(record).encode() for record in records]
    frame = fills.decode([(account, raw, None) for raw in raws])
    incoming = pl.DataFrame({"account": [account.decode()] * 5, "raw": [raw.decode() for raw in raws]})
    sure = fills.value_by_value(incoming)

    assert frame.select(sure.columns).equals(sure.cast({name: fills.SCHEMA[name] for name in sure.columns}))


def test_worker_and_writer_agree(tmp_path):
    "What a worker hands over is what reading in one's own process gives, even where the worker's cut was wrong."
    path = write(tmp_path / "20251122/4.lz4", [block(1, EVENTS), "garbage"])
    source = Folder(tmp_path)
    task = Task(
        source, Object("fills", "node_fills_by_block", HOUR, "20251122/4.lz4", path.stat().st_size, "1"), HOUR, None
    )
    handed, own = task.run(), reading.here(task)
    lost = handed._replace(batches=[batch[:-1] for batch in handed.batches])
    parts = [reading.handed_over(task, found) for found in (handed, lost)]

    assert [
        part.fills.drop("raw", "raw_account").equals(own.fills.drop("raw", "raw_account")) for part in parts[:1]
    ] == [True]
    assert [kinds(classify.classify(part.fills, hlp())) for part in parts] == [kinds(judge(EVENTS))] * 2
    assert [part.facts.rejected for part in parts] == [own.facts.rejected] * 2


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("indexer.hyperliquid.tasks", {"polars", "duckdb", "numpy", "pyarrow", "httpx"}),
        ("indexer.hyperliquid.run", {"numpy", "pyarrow", "httpx", "web3", "eth_abi"}),
    ],
)
def test_imports(module, absent):
    "A worker that scans loads no engine; reading files needs no HTTP client and no array library."
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )

    assert absent.isdisjoint(done.stdout.split())
