"""Busy hours of HyperCore fills, from LZ4 to committed rows, beside what others do with the same bytes.

`python -m tests.benchmarks.hyperliquid_hour` prints a line a way: CPU seconds of the whole process, start-up, imports and
the making of a new database included, and the median ratio to bare decompression in the same round.
"""

from __future__ import annotations

import argparse
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import lz4.frame

from tests.benchmarks import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = measure.ROOT / "build" / "benchmarks"  # ignored by git
START = datetime(2025, 11, 22, 4)
HOUR = 1_763_784_000_000  # the same in milliseconds
HOURS = 4
COINS = [("BTC", 104_000.0), ("ETH", 3500.0), ("SOL", 160.0), ("HYPE", 38.0), ("kPEPE", 0.009), ("xyz:TSLA", 430.0)]
SPOT = [("@107", 37.0), ("PURR/USDC", 0.15)]
N_BLOCKS = 42_000
FILL_BYTES = 400


def generate(archive: Path, megabytes: int, number: int = 0) -> None:
    """The file of the so manieth hour, of about so many megabytes unpacked, and an empty one of the next.

    One fill in about 90 is of a liquidation, a tenth of these are backstops.
    """
    rng = random.Random(3 + number)
    users = [f"0x{rng.randbytes(20).hex()}" for _ in range(50_000)]
    target, hour_ms = hour_file(archive, number), HOUR + number * 3_600_000
    target.parent.mkdir(parents=True, exist_ok=True)
    pairs_a_block = megabytes * 1_000_000 / N_BLOCKS / (2 * FILL_BYTES)
    tid = 0
    with lz4.frame.open(target, "wb", block_size=lz4.frame.BLOCKSIZE_MAX4MB) as file:
        for place in range(N_BLOCKS):
            at = hour_ms + place * 3_600_000 // N_BLOCKS
            events = []
            is_burst = place % 700 < 8
            for _ in range(int(rng.expovariate(1 / pairs_a_block))):
                tid += 1
                events += pair(rng, users, at, tid, forced=rng.random() < (0.4 if is_burst else 0.006))
            if events:
                stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789"
                block = 800_000_000 + number * N_BLOCKS + place
                head = f'{{"local_time":"{stamp}","block_time":"{stamp}","block_number":{block},"events":['
                file.write((head + ",".join(events) + "]}\n").encode())
    hour_file(archive, number + 1).write_bytes(lz4.frame.compress(b""))


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


def hour_file(archive: Path, number: int) -> Path:
    "The file of the so manieth hour."
    return archive / f"node_fills_by_block/hourly/20251122/{4 + number}.lz4"


def peer(way: str, folder: Path, archive: Path, hours: int) -> tuple[str, ...]:
    "The command of a peer."
    files = (str(hour_file(archive, number)) for number in range(hours))
    return (sys.executable, "-m", "tests.benchmarks.peers.hyperliquid_lines", way, str(folder / "lines.json"), *files)


def ours(database: Path, archive: Path, hours: int, workers: int) -> tuple[str, ...]:
    "The whole command of a user; the database is new."
    for name in (database, database.with_name(database.name + ".wal")):
        name.unlink(missing_ok=True)
    window = ("--since", f"{START:%Y-%m-%dT%H:%M}", "--until", f"{START + timedelta(hours=hours):%Y-%m-%dT%H:%M}")
    asked = ("backfill", "hyperliquid", "--archive", str(archive), "--workers", str(workers), *window)
    return (*measure.INDEXER, "--db", str(database), *asked)


def one_hour(folder: Path, archive: Path, pairs: int) -> Iterator[str]:
    "One line a way to read the hour; every way runs once a round, in a process of its own."
    database = folder / "hyperliquid.duckdb"
    used: dict[str, list[measure.Usage]] = {way: [] for way in NAMES}
    for number in range(-1, pairs):
        for way in NAMES:
            command = ours(database, archive, 1, 1) if way == "ours" else peer(way, folder, archive, 1)
            usage = measure.run(command)
            if number >= 0:  # the round before it fills the caches
                used[way].append(usage)
    for way, name in NAMES.items():
        ratios = {
            other: measure.median(
                [one.cpu_seconds / two.cpu_seconds for one, two in zip(used[way], used[other], strict=True)]
            )
            for other in ("bare", "ours")
        }
        cpu = measure.median([usage.cpu_seconds for usage in used[way]])
        peak = max(usage.peak_mib for usage in used[way])
        yield (
            f"{name:44} {cpu:7.2f} s CPU {ratios['bare']:7.2f} x bare {ratios['ours']:7.2f} x ours {peak:6.0f} MiB peak"
        )


def several_hours(folder: Path, archive: Path, pairs: int) -> Iterator[str]:
    "What each further hour costs, and what a second process gains by the clock."
    database = folder / "hyperliquid.duckdb"
    commands = {
        "bare, 1": lambda: peer("bare", folder, archive, 1),
        "bare, all": lambda: peer("bare", folder, archive, HOURS),
        "ours, 1": lambda: ours(database, archive, 1, 1),
        "ours, all": lambda: ours(database, archive, HOURS, 1),
        "ours, all, 2 workers": lambda: ours(database, archive, HOURS, 2),
    }
    used: dict[str, list[measure.Usage]] = {name: [] for name in commands}
    for _ in range(pairs):
        for name, command in commands.items():
            used[name].append(measure.run(command()))
    cpu = {name: [usage.cpu_seconds for usage in runs] for name, runs in used.items()}
    slopes = [
        (all_ours - one_ours) / (all_bare - one_bare)
        for all_ours, one_ours, all_bare, one_bare in zip(
            cpu["ours, all"], cpu["ours, 1"], cpu["bare, all"], cpu["bare, 1"], strict=True
        )
    ]
    yield f"each further hour costs {measure.median(slopes):.2f} x bare decompression"
    for name in ("ours, all", "ours, all, 2 workers"):
        wall = measure.median([usage.wall_seconds for usage in used[name]])
        peak = max(usage.peak_mib for usage in used[name])
        label = name.replace("all", f"{HOURS} hours")
        yield f"{label:44} {measure.median(cpu[name]):7.2f} s CPU {wall:7.2f} s wall {peak:6.0f} MiB peak of a process"


NAMES = {
    "bare": "bare LZ4 decompression",
    "ours": "indexer backfill hyperliquid, committed",
    "orjson": "orjson.loads per line, rows in a list",
    "duckdb": "DuckDB read_json, rows counted",
    "json": "json.loads per line, five-minute sums",
}


def benchmark(folder: Path, megabytes: int, pairs: int) -> Iterator[str]:
    "A busy hour of so many megabytes unpacked, then several hours of a third of them each."
    archive, several = folder / f"hyperliquid_{megabytes}", folder / f"hyperliquid_{HOURS}_{megabytes // 3}"
    if not archive.exists():
        generate(archive, megabytes)
    if not several.exists():
        for number in range(HOURS):
            generate(several, megabytes // 3, number=number)
    yield from one_hour(folder, archive, pairs)
    yield from several_hours(folder, several, pairs)


def main() -> None:
    "The comparison."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1500, help="size of the hour, unpacked")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where generated input is kept")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for line in benchmark(asked.folder, asked.megabytes, asked.pairs):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
