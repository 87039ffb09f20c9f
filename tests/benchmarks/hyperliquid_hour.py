"""One busy hour of HyperCore fills, from LZ4 to committed rows, beside what others do with the same bytes.

`python -m tests.benchmarks.hyperliquid_hour` prints a line a way: CPU seconds of the whole process, start-up and imports
included, and the median ratio to bare decompression in the same round.
"""

# ruff: noqa: PLC0415 - the imports are part of what is measured
from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = measure.ROOT / "build" / "benchmarks"  # ignored by git
HOUR = 1_763_784_000_000  # 2025-11-22T04:00:00Z
COINS = [("BTC", 104_000.0), ("ETH", 3500.0), ("SOL", 160.0), ("HYPE", 38.0), ("kPEPE", 0.009), ("xyz:TSLA", 430.0)]
SPOT = [("@107", 37.0), ("PURR/USDC", 0.15)]
N_BLOCKS = 42_000
FILL_BYTES = 400


def generate(archive: Path, megabytes: int, seed: int = 3) -> None:
    "An hour file of about so many megabytes unpacked: one fill in about 90 of a liquidation, a tenth of them backstops."
    import lz4.frame

    rng = random.Random(seed)
    users = [f"0x{rng.randbytes(20).hex()}" for _ in range(50_000)]
    target = archive / "node_fills_by_block/hourly/20251122/4.lz4"
    target.parent.mkdir(parents=True, exist_ok=True)
    pairs_a_block = megabytes * 1_000_000 / N_BLOCKS / (2 * FILL_BYTES)
    tid = 0
    with lz4.frame.open(target, "wb", block_size=lz4.frame.BLOCKSIZE_MAX4MB) as file:
        for number in range(N_BLOCKS):
            at = HOUR + number * 3_600_000 // N_BLOCKS
            events = []
            is_burst = number % 700 < 8
            for _ in range(int(rng.expovariate(1 / pairs_a_block))):
                tid += 1
                events += pair(rng, users, at, tid, forced=rng.random() < (0.4 if is_burst else 0.006))
            if events:
                stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789"
                head = (
                    f'{{"local_time":"{stamp}","block_time":"{stamp}","block_number":{800_000_000 + number},"events":['
                )
                file.write((head + ",".join(events) + "]}\n").encode())
    (target.parent / "5.lz4").write_bytes(lz4.frame.compress(b""))


def pair(rng: random.Random, users: list[str], at: int, tid: int, *, forced: bool) -> list[str]:
    "The two fills of one trade as a node writes them."
    coin, around = rng.choice(COINS if forced else COINS + SPOT)
    price, size = f"{around * rng.uniform(0.99, 1.01):.5g}", f"{rng.random() ** 4 * 20_000 / around:.4f}1"
    user, other = users[int(rng.paretovariate(0.8)) % len(users)], rng.choice(users)
    is_backstop = forced and rng.random() < 0.1
    method = "backstop" if is_backstop else "market"
    tag = f'"liquidation":{{"liquidatedUser":"{user}","markPx":"{price}","method":"{method}"}},' if forced else ""
    word = "Liquidated Cross Long" if is_backstop else "Close Long"
    digest = f"0x{rng.getrandbits(256):064x}"
    sides = ((user, "A", not is_backstop, word), (other, "B", is_backstop, word if is_backstop else "Open Long"))
    return [
        f'["{who}",{{"coin":"{coin}","px":"{price}","sz":"{size}","side":"{side}","time":{at},'
        f'"startPosition":"{rng.random() * 900:.4f}","dir":"{direction}","closedPnl":"{rng.uniform(-150, 150):.6f}",'
        f'"hash":"{digest}","oid":{rng.randrange(10**11)},"crossed":{str(crossed).lower()},"fee":"{rng.random():.6f}",'
        f'"tid":{tid},"cloid":null,{tag}"feeToken":"USDC","twapId":null}}]'
        for who, side, crossed, direction in sides
    ]


def ours(archive: Path, database: Path) -> int:
    "The whole backfill of the hour; the number of rows stored."
    from indexer.hyperliquid import run

    since, until = datetime(2025, 11, 22, 4), datetime(2025, 11, 22, 5)
    run.backfill(database, run.Options(since=since, until=until, archive=str(archive)), lambda _: None)
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM liquidations").fetchall()[0][0]


def pieces(archive: Path) -> Iterator[bytes]:
    "The decompressed file, piece by piece."
    import lz4.frame

    decompressor = lz4.frame.LZ4FrameDecompressor()
    with next(archive.rglob("4.lz4")).open("rb", buffering=0) as file:
        while chunk := file.read(1 << 16):
            yield decompressor.decompress(chunk)


def lines(archive: Path) -> Iterator[bytes]:
    "The lines of the file."
    rest = b""
    for piece in pieces(archive):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def bare(archive: Path, _: Path) -> int:
    "Decompress and throw away."
    return 0 * sum(len(piece) for piece in pieces(archive))


def parse_lines(archive: Path, loads) -> int:
    "Parse every line, keep the liquidated users' rows, store nothing."
    kept = []
    for line in lines(archive):
        for user, fill in loads(line)["events"]:
            if "liquidation" in fill and fill["liquidation"]["liquidatedUser"] == user:
                kept.append((user, fill["coin"], float(fill["px"]) * float(fill["sz"])))
    return len(kept)


def orjson_lines(archive: Path, _: Path) -> int:
    "Parse with orjson."
    import orjson

    return parse_lines(archive, orjson.loads)


def json_lines(archive: Path, _: Path) -> int:
    "The standard library on every line, as published readers of these files do."
    return parse_lines(archive, json.loads)


def duckdb_json(archive: Path, database: Path) -> int:
    "DuckDB's own reader on the decompressed file."
    import duckdb

    text = database.with_suffix(".ndjson")
    with text.open("wb") as file:
        file.writelines(pieces(archive))
    found = duckdb.sql(f"""
        SELECT count(*) FROM (
          SELECT event->>0 AS account, event->1 AS fill FROM (
            SELECT unnest(events) AS event
            FROM read_json('{text}', format = 'newline_delimited', columns = {{events: 'JSON[]'}},
              maximum_object_size = 67108864)
          ) WHERE contains(event::VARCHAR, '"liquidation":')
        ) WHERE fill->>'$.liquidation.liquidatedUser' = account
    """).fetchall()[0][0]
    text.unlink()
    return found


WAYS = {"bare": bare, "ours": ours, "orjson": orjson_lines, "duckdb": duckdb_json, "json": json_lines}
NAMES = {
    "bare": "bare LZ4 decompression",
    "ours": "indexer backfill hyperliquid, committed",
    "orjson": "orjson.loads per line, rows in a list",
    "duckdb": "DuckDB read_json, rows counted",
    "json": "json.loads per line, rows in a list",
}


def benchmark(folder: Path, megabytes: int, pairs: int) -> Iterator[str]:
    "One line a way; every way runs once a round, in a process of its own."
    archive, database = folder / f"hyperliquid_{megabytes}", folder / "hyperliquid.duckdb"
    if not archive.exists():
        generate(archive, megabytes)
    used: dict[str, list[measure.Usage]] = {way: [] for way in WAYS}
    for _ in range(pairs):
        for way in WAYS:
            database.unlink(missing_ok=True)
            command = (
                sys.executable,
                "-m",
                "tests.benchmarks.hyperliquid_hour",
                "--way",
                way,
                "--archive",
                str(archive),
            )
            used[way].append(measure.run((*command, "--folder", str(folder))))
    database.unlink(missing_ok=True)
    for way, name in NAMES.items():
        cpu = statistics.median(usage.cpu_seconds for usage in used[way])
        rounds = zip(used[way], used["bare"], strict=True)
        ratio = statistics.median(one.cpu_seconds / floor.cpu_seconds for one, floor in rounds)
        peak = max(usage.peak_mib for usage in used[way])
        yield f"{name:42} {cpu:7.2f} s CPU {ratio:7.2f} x bare {peak:6.0f} MiB peak"


def main() -> None:
    "The comparison, or one way of it."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1500, help="size of the hour, unpacked")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where generated input is kept")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--archive", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.way:
        WAYS[asked.way](asked.archive, asked.folder / "hyperliquid.duckdb")
        return
    for line in benchmark(asked.folder, asked.megabytes, asked.pairs):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
