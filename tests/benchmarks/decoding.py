"""From logs to rows by protocol: CPU per log of `derive`, beside the simplest protocol's in the same run."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from indexer.decode import LOG_SCHEMA
from indexer.derive import ROUTE_SCHEMA, derive
from indexer.protocols import all_protocols
from tests.benchmarks import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = Path(__file__).parent.parent / "protocols"
SIMPLEST = "aave_v2"  # one event, no join
MOST = 2.0  # times the simplest protocol's CPU per log


class Measured(NamedTuple):
    "Medians of one protocol: CPU microseconds a log, the ratio to the simplest, rows that a thousand logs give."

    microseconds: float
    ratio: float
    rows: float


def benchmark(n_logs: int, n_pairs: int) -> Iterator[str]:
    "Lines of the report: each protocol in turn with the simplest, `n_pairs` times."
    yield f"{n_logs:,} logs each, {n_pairs} pairs with {SIMPLEST}; static events are to stay within {MOST:.0f} times"
    yield f"{'':<22} {'CPU µs a log':>13} {'ratio':>7} {'rows a 1,000 logs':>18}"
    for name in protocols():
        one = compared(name, n_logs, n_pairs)
        verdict = "" if one.ratio <= MOST else "  dynamic data" if is_dynamic(name) else "  OVER"
        yield f"{name:<22} {one.microseconds:>13.2f} {one.ratio:>6.2f}x {one.rows:>18.0f}{verdict}"


def protocols() -> list[str]:
    "Every protocol of liquidations that has a vector file."
    sectors = {"perp", "lending", "cdp"}
    return [
        name for name, one in all_protocols().items() if one.sector in sectors and (VECTORS / f"{name}.json").exists()
    ]


def is_dynamic(name: str) -> bool:
    "Whether rows come from events whose fields have no fixed place."
    rows = [mapping.event for mapping in all_protocols()[name].mappings if mapping.liquidation is not None]
    return any(not event.is_static for event in rows)


def compared(name: str, n_logs: int, n_pairs: int) -> Measured:
    "One protocol and the simplest in turn, the first pair thrown away."
    ours, simplest = chain_of(name, n_logs), chain_of(SIMPLEST, n_logs)
    n_rows = derive(*ours)["liquidations"].height
    pairs = [(seconds(ours), seconds(simplest)) for _ in range(n_pairs + 1)][1:]
    return Measured(
        measure.median([one / ours[1].height * 1e6 for one, _ in pairs]),
        measure.median([(one / ours[1].height) / (other / simplest[1].height) for one, other in pairs]),
        1000 * n_rows / ours[1].height,
    )


def seconds(chain: tuple[str, pl.DataFrame, pl.DataFrame]) -> float:
    "CPU seconds of one `derive`, all threads."
    start = time.process_time()
    derive(*chain)
    return time.process_time() - start


def chain_of(name: str, n_logs: int) -> tuple[str, pl.DataFrame, pl.DataFrame]:
    "Chain, logs and routes: the transactions of a protocol's vector that give rows, again and again in later blocks."
    vector = json.loads((VECTORS / f"{name}.json").read_text())
    logs = vector["logs"]
    kept = {logs[row["log"]]["tx_hash"] for row in vector["rows"]}
    chain = logs[vector["rows"][0]["log"]]["chain"]
    own = [log for log in logs if log["tx_hash"] in kept and log["chain"] == chain]
    known = {one.address.lower(): one for one in all_protocols()[name].deployments if one.chain == chain}
    routes = {
        log["address"]: (
            blob(log["address"]),
            name,
            log.get("emitter_of") or known[log["address"]].venue,
            None,
            None,
            None,
        )
        for log in own
        if log.get("emitter_of") or log["address"] in known
    }
    step = max(log["block_number"] for log in own) + 1
    # A transaction is told by its block and hash, so the same hash in another block is another act. Built row by row:
    # polars keeps a column of copies as one value, which costs nothing to decode.
    rows = [columns(log, turn * step) for turn in range(max(1, n_logs // len(own))) for log in own]
    frame = pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row").sort("block_number", "log_index")
    return chain, frame, pl.DataFrame(list(routes.values()), schema=ROUTE_SCHEMA, orient="row")


def columns(log: dict[str, Any], offset: int) -> tuple[object, ...]:
    "One log of a vector, `offset` blocks later, as a row of LOG_SCHEMA."
    topics = (blob(topic) for topic in (log["topics"] + [None] * 4)[:4])
    return (log["block_number"] + offset, b"\1" * 32, datetime(2024, 1, 1), blob(log["tx_hash"]), log["log_index"],
            blob(log["address"]), *topics, blob(log["data"]))  # fmt: skip


def blob(text: str | None) -> bytes | None:
    "Bytes of 0x and digits, or None."
    return None if text is None else bytes.fromhex(text[2:])
