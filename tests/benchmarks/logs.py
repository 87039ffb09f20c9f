"""eth_getLogs to committed rows: `indexer backfill evm` against peers on the same chain, whole processes in turn."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from tests.benchmarks import measure
from tests.benchmarks.generated_chain import CHAIN, Totals, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.measure import Usage

# Title, module, and the size of its chain: a slow peer would take minutes where a fast one shows nothing but its start.
PEERS = (
    ("web3.py process_log", "web3_process_log", 1),
    ("eth-abi + orjson per log", "eth_abi_per_log", 4),
    ("fetch + orjson.loads, thrown away", "parse_floor", 16),
)
CRYO = ("cryo 0.3.2, Parquet", "cryo_logs", 16)
SMALLER = 4  # the second size is so many times smaller: the difference of the two is free of start-up


def benchmark(folder: Path, n_logs: int, n_pairs: int, blocks: int) -> Iterator[str]:
    "Lines of the report; `blocks` is the width of a peer's request and the most the server takes."
    yield f"{n_logs:,} logs times a factor, {blocks:,} blocks a request, {n_pairs} pairs; ours : theirs (ratio: theirs / ours)"
    yield f"{'':<34} {'logs':>9} {'CPU s':>15} {'ratio':>7} {'CPU µs a log':>15} {'ratio':>7} {'peak MiB':>11}"
    exactness = set()
    for title, module, factor in PEERS if importlib.util.find_spec("cryo") is None else (*PEERS, CRYO):
        sizes = (n_logs * factor // SMALLER, n_logs * factor)
        few, many = (compare(folder, module, size, n_pairs, blocks) for size in sizes)
        ours, theirs = (usage([pair[side] for pair in many.pairs]) for side in (0, 1))
        steps = [
            (now.cpu_seconds - usage([pair[side] for pair in few.pairs]).cpu_seconds) / (sizes[1] - sizes[0]) * 1e6
            for side, now in enumerate((ours, theirs))
        ]
        ratio = measure.median([pair[1].cpu_seconds / pair[0].cpu_seconds for pair in many.pairs])
        yield (
            f"{title:<34} {sizes[1]:>9,} {ours.cpu_seconds:>6.2f} : {theirs.cpu_seconds:>6.2f} {ratio:>6.2f}x "
            f"{steps[0]:>6.1f} : {steps[1]:>6.1f} {steps[1] / steps[0]:>6.2f}x {ours.peak_mib:>4.0f} : {theirs.peak_mib:>4.0f}"
        )
        exactness |= {few.exactness, many.exactness}
    yield f"stored rows against the generator: {', '.join(sorted(exactness))}"
    if importlib.util.find_spec("cryo") is None:
        yield "cryo is not installed here: no comparison with it (pip install cryo==0.3.2)"


class Compared(NamedTuple):
    "Pairs of runs (ours, theirs) on one chain, and whether our rows are what was generated."

    pairs: list[tuple[Usage, Usage]]
    exactness: str


def compare(folder: Path, module: str, n_logs: int, n_pairs: int, blocks: int) -> Compared:
    "Our backfill and a peer in turn on a chain of `n_logs`."
    place = folder / f"logs-{n_logs}"
    totals = generate(place, n_logs)
    with measure.served(place, blocks) as url, tempfile.TemporaryDirectory(dir=folder) as scratch:
        mine = indexed(url, place, totals, Path(scratch))
        pairs = measure.alternate(mine, peer(module, url, totals, blocks, Path(scratch)), n_pairs)
        return Compared(pairs, exact(Path(scratch) / f"ours-{n_pairs - 1}.duckdb", totals))


def indexed(url: str, place: Path, totals: Totals, scratch: Path) -> Callable[[int], Sequence[str]]:
    "The command of our own backfill, into a new database a run."
    return lambda number: (
        *measure.INDEXER, "backfill", "evm", "--chain", CHAIN, "--rpc", url, "--from-block", "0",
        "--to-block", str(totals.n_blocks - 1), "--deployments", str(place / "deployments.json"),
        "--db", str(scratch / f"ours-{number}.duckdb"), "--quiet",
    )  # fmt: skip


def peer(module: str, url: str, totals: Totals, blocks: int, scratch: Path) -> Callable[[int], Sequence[str]]:
    "The command of a peer, into a new database a run."
    return lambda number: (
        sys.executable, "-m", f"tests.benchmarks.peers.{module}", "--rpc", url, "--to-block", str(totals.n_blocks - 1),
        "--blocks", str(blocks), "--db", str(scratch / f"{module}-{number}.duckdb"),
    )  # fmt: skip


def usage(runs: Sequence[Usage]) -> Usage:
    "The medians of several runs."
    return type(runs[0])(*(measure.median(values) for values in zip(*runs, strict=True)))


def exact(path: Path, totals: Totals) -> str:
    "Whether rows, sums and amounts too large for their column are what was generated."
    with duckdb.connect(str(path), read_only=True) as connection:
        ((n_rows, debt, collateral, n_null),) = connection.execute(
            "SELECT count(*), sum(debt_raw)::VARCHAR, sum(collateral_raw)::VARCHAR, "
            "count(*) FILTER (WHERE debt_raw IS NULL) + count(*) FILTER (WHERE collateral_raw IS NULL) FROM liquidations"
        ).fetchall()
    stored = (n_rows, int(debt), int(collateral), n_null)
    expected = (totals.n_logs, totals.debt_sum, totals.collateral_sum, totals.n_too_large)
    return "equal to the last digit" if stored == expected else f"DIFFER: {stored} instead of {expected}"
