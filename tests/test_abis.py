"""The event declarations of abis/ against recorded topics and real logs."""

import json
from collections import Counter
from pathlib import Path

import pytest
from Crypto.Hash import keccak

ABIS = Path(__file__).parent.parent / "abis"
VECTORS = Path(__file__).parent / "vectors"
FILES = sorted(ABIS.glob("*.json"))
TOPICS = json.loads((VECTORS / "topics.json").read_text())
LOGS = [json.loads(line) for line in (VECTORS / "evm_logs.jsonl").read_text().splitlines()]


def canonical(item):
    "The type of an ABI input as it stands in a signature: tuples spelled out."
    if not item["type"].startswith("tuple"):
        return item["type"]
    return f"({','.join(canonical(part) for part in item['components'])}){item['type'].removeprefix('tuple')}"


def signature(event):
    "The canonical signature of an ABI entry."
    return f"{event['name']}({','.join(canonical(item) for item in event['inputs'])})"


def topic0(text):
    "The keccak-256 hash of a signature, as hex."
    return "0x" + keccak.new(digest_bits=256, data=text.encode()).hexdigest()


def n_topics(event):
    "How many topics a log of this event has."
    return (not event["anonymous"]) + sum(item["indexed"] for item in event["inputs"])


def declared(path):
    "The (decoder, signature, topic0, number of topics) of each event of a file."
    return [
        (path.stem, signature(event), topic0(signature(event)), n_topics(event))
        for event in json.loads(path.read_text())["events"]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_shape(path):
    "A file states its origin, and its events can be told apart by name or alias."
    document = json.loads(path.read_text())
    names = [event.get("alias", event["name"]) for event in document["events"]]

    assert set(document) == {"origin", "events"}
    assert document["origin"]
    assert len(names) == len(set(names)) > 0
    assert {event["type"] for event in document["events"]} == {"event"}
    assert all({"name", "type", "indexed"} <= set(item) for event in document["events"] for item in event["inputs"])


def test_recorded_topics_are_hashes():
    "Each recorded topic is the keccak hash of the recorded signature."
    assert [row["topic0"] for row in TOPICS] == [topic0(row["signature"]) for row in TOPICS]


def test_declarations_match_recorded_topics():
    "Every recorded event stands in the file of each of its decoders with its topic and topic count, and no other does."
    recorded = [
        (decoder, row["signature"], row["topic0"], row["n_topics"]) for row in TOPICS for decoder in row["decoders"]
    ]

    assert Counter(entry for path in FILES for entry in declared(path)) == Counter(recorded)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log['protocol']}-{log['event']}-{log['tx_hash'][:8]}")
def test_real_log_is_declared(log):
    "The first topic and the topic count of a real log are those of its declaration."
    decoder = "llamalend" if log["protocol"] == "curve_cryptoswap" else log["protocol"]
    events = json.loads((ABIS / f"{decoder}.json").read_text())["events"]
    same_name = {(topic0(signature(event)), n_topics(event)) for event in events if event["name"] == log["event"]}

    assert (log["topics"][0], len(log["topics"])) in same_name
