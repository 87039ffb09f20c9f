"""What a user waits for before anything happens: --help, and the CPU before the first request."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import logs, measure
from tests.benchmarks.generated_chain import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = ("web3", "polars", "duckdb", "pyarrow", "numpy", "eth_abi", "httpx", "rich")


def benchmark(folder: Path, n_runs: int) -> Iterator[str]:
    "Lines of the report."
    help_command = (*measure.INDEXER, "--help")
    measure.run(help_command)
    runs = logs.usage([measure.run(help_command) for _ in range(n_runs)])
    loaded = measure.imports(help_command, HEAVY)
    took = f"{runs.wall_seconds:.2f} s wall, {runs.cpu_seconds:.2f} s CPU"
    yield f"--help                    {took}; it imports of {', '.join(HEAVY)}: {', '.join(loaded) or 'none'}"
    place = folder / "logs-1000"
    totals = generate(place, 1000)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        scratched = Path(scratch)
        seconds = [
            measure.cpu_before_first_request(lambda url, run=number: logs.indexed(url, place, totals, scratched)(run))
            for number in range(n_runs)
        ]
    yield f"before the first request  {measure.median(seconds):.2f} s CPU (median of {n_runs})"
