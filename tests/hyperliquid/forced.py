"""Builders of HyperCore records in the node's format, for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import lz4.frame
import polars as pl

from indexer.hyperliquid import classify, fills

VECTORS = Path(__file__).with_name("vectors")
HLP = "0xb0a55f13d22f66e6d495ac98113841b2326e9540"
HOUR = 1_763_784_000_000  # 2025-11-22T04:00:00Z
ZERO_HASH = "0x" + "0" * 64


def address(number):
    "A lower-case address."
    return f"0x{number:040x}"


def ms(text):
    "Milliseconds since 1970 of an ISO time in UTC."
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def vector(name):
    "The records of a vector file, as text."
    return (VECTORS / name).read_text().splitlines()


def fill(**changes):
    "An ordinary fill, with `changes`."
    record = {
        "coin": "ETH",
        "px": "2500.5",
        "sz": "2.0",
        "side": "A",
        "time": HOUR + 1000,
        "startPosition": "2.0",
        "dir": "Close Long",
        "closedPnl": "-10.5",
        "hash": ZERO_HASH,
        "oid": 1,
        "crossed": True,
        "fee": "1.3",
        "tid": 77,
        "feeToken": "USDC",
        "twapId": None,
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def tag(user, method="market", mark="2501.0"):
    "A liquidation object."
    return {"liquidatedUser": user, "markPx": mark, "method": method}


def market_pair(user, maker, *, side="A", **changes):
    "The two rows of a market liquidation: the liquidated user takes, anybody makes."
    other = "B" if side == "A" else "A"
    closed, opened = ("Close Long", "Open Long") if side == "A" else ("Close Short", "Open Short")
    start = "10.0" if side == "A" else "-10.0"
    both = {"liquidation": tag(user)} | changes
    return [
        [user, fill(side=side, dir=closed, startPosition=start, **both)],
        [maker, fill(side=other, dir=opened, crossed=False, fee="-0.1", startPosition="0.0", **both)],
    ]


def backstop_pair(user, vault, *, side="A", **changes):
    "The two rows of a backstop: the vault crosses, both carry the liquidated side in `dir`."
    word = "Liquidated Cross Long" if side == "A" else "Liquidated Cross Short"
    other = "B" if side == "A" else "A"
    start = "10.0" if side == "A" else "-10.0"
    both = {"liquidation": tag(user, "backstop"), "dir": word, "fee": "0.0"} | changes
    return [
        [user, fill(side=side, crossed=False, startPosition=start, **both)],
        [vault, fill(side=other, crossed=True, startPosition="0.0", **both)],
    ]


def adl_pair(winner, vault, *, side="B", **changes):
    "The two rows of an auto-deleveraging: the vault passes on what it had taken over, a winner is closed."
    other = "A" if side == "B" else "B"
    word = "Liquidated Cross Long" if other == "A" else "Liquidated Cross Short"
    both = {"liquidation": tag(vault, "backstop"), "fee": "0.0"} | changes
    return [
        [winner, fill(side=side, dir="Auto-Deleveraging", startPosition="-9.0" if side == "B" else "9.0", **both)],
        [vault, fill(side=other, dir=word, crossed=False, startPosition="9.0" if side == "B" else "-9.0", **both)],
    ]


def block(number, events, time_ms=HOUR + 1000, arrives_ms=250):
    "A by-block line as a node writes it."
    return {
        "local_time": iso(time_ms + arrives_ms),
        "block_time": iso(time_ms),
        "block_number": number,
        "events": events,
    }


def iso(time_ms):
    "A node's time: nanoseconds, no zone."
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123"


def compact(record):
    "JSON as a node writes it."
    return json.dumps(record, separators=(",", ":"))


def write(path, records, *, plain=False, dump=compact):
    "An hour file of `records`, one a line."
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{record if isinstance(record, str) else dump(record)}\n" for record in records).encode()
    path.write_bytes(text if plain else lz4.frame.compress(text))
    return path


def vaults(*rows):
    "Labels of vaults: (address, entity, from_at, to_at)."
    return pl.DataFrame(rows or [(HLP, "hlp", None, None)], schema=classify.LABEL_SCHEMA, orient="row")


def judge(events, labels=None, **options):
    "The verdict on [address, fill] pairs."
    frame = fills.decode([(account.encode(), compact(record).encode(), None) for account, record in events])
    return classify.classify(frame, vaults() if labels is None else labels, **options)


def kinds(verdict):
    "(account, kind) of every row, sorted."
    return sorted(verdict.rows.select("account", "kind").rows())
