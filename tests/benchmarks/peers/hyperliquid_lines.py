"""What others do with an hour file of HyperCore: `python -m tests.benchmarks.peers.hyperliquid_lines WAY SCRATCH FILE ...`."""

# ruff: noqa: PLC0415 - the imports are part of what is measured
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 16  # the best of 16 KB to 1 MB for a decompressor that is fed


def pieces(path: str) -> Iterator[bytes]:
    "The decompressed file, piece by piece."
    import lz4.frame

    decompressor = lz4.frame.LZ4FrameDecompressor()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - nothing else is loaded for it
        while chunk := file.read(CHUNK_BYTES):
            yield decompressor.decompress(chunk)


def lines(path: str) -> Iterator[bytes]:
    "The lines of the file."
    rest = b""
    for piece in pieces(path):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def bare(_: str, path: str) -> int:
    "Decompress and throw away."
    return 0 * sum(len(piece) for piece in pieces(path))


def orjson_lines(_: str, path: str) -> int:
    "Every line parsed with orjson, the liquidated users' rows kept in a list, nothing stored."
    import orjson

    kept = []
    for line in lines(path):
        for user, fill in orjson.loads(line)["events"]:
            if "liquidation" in fill and fill["liquidation"]["liquidatedUser"] == user:
                kept.append((user, fill["coin"], float(fill["px"]) * float(fill["sz"])))
    return len(kept)


def buckets(_: str, path: str) -> int:
    """Every line parsed with the standard library, liquidated users summed in five-minute buckets a coin.

    The way of hyperliquid-data 0.1.0: a row counts, and its notional where `dir` says Close.
    """
    import collections
    import json

    sums: dict[tuple[int, str], float] = collections.defaultdict(float)
    n_rows = 0
    for line in lines(path):
        for user, fill in json.loads(line)["events"]:
            tag = fill.get("liquidation")
            if tag is not None and tag["liquidatedUser"].lower() == user.lower():
                n_rows += 1
                if fill["dir"].startswith(("Close Long", "Close Short")):
                    sums[fill["time"] // 300_000, fill["coin"]] += float(fill["px"]) * float(fill["sz"])
    return n_rows


def duckdb_json(scratch: str, path: str) -> int:
    "DuckDB's own reader on the decompressed file, rows counted."
    import os

    import duckdb

    with open(scratch, "wb") as file:  # noqa: PTH123 - nothing else is loaded for it
        file.writelines(pieces(path))
    found = duckdb.sql(f"""
        SELECT count(*) FROM (
          SELECT event->>0 AS account, event->1 AS fill FROM (
            SELECT unnest(events) AS event
            FROM read_json('{scratch}', format = 'newline_delimited', columns = {{events: 'JSON[]'}},
              maximum_object_size = 67108864)
          ) WHERE contains(event::VARCHAR, '"liquidation":')
        ) WHERE fill->>'$.liquidation.liquidatedUser' = account
    """).fetchall()
    os.unlink(scratch)  # noqa: PTH108 - nothing else is loaded for it
    n_rows: int = found[0][0]
    return n_rows


WAYS: dict[str, Callable[[str, str], int]] = {
    "bare": bare,
    "orjson": orjson_lines,
    "duckdb": duckdb_json,
    "json": buckets,
}

if __name__ == "__main__":
    way, scratch_file, *files = sys.argv[1:]
    sys.stderr.write(f"{sum(WAYS[way](scratch_file, name) for name in files)}\n")
