"""Measures this project beside the alternatives: `python -m tests.benchmarks [--only PART]`.

CPU seconds and ratios of one run hold; wall seconds of a shared machine do not.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import decoding, hyperliquid_hour, logs, measure, questions, sql, start

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = measure.ROOT / "build" / "benchmarks"  # ignored by git


def main() -> None:
    "Runs what was chosen and prints a line as soon as it is known."
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        choices=("logs", "start", "sql", "questions", "decode", "hyperliquid"),
        action="append",
        help="repeatable; default: all",
    )
    parser.add_argument("--logs", type=int, default=8_000, help="logs of the smallest comparison")
    parser.add_argument("--pairs", type=int, default=3, help="measured pairs of each comparison")
    parser.add_argument("--blocks", type=int, default=10_000, help="blocks in one request")
    parser.add_argument(
        "--rows", type=int, default=200_000, help="liquidations of the SQL benchmark; three times the flows"
    )
    parser.add_argument("--megabytes", type=int, default=1500, help="an hour of HyperCore fills, unpacked")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where generated input is kept")
    options = parser.parse_args()
    parts = {
        "start": lambda: start.benchmark(options.folder, options.pairs),
        "logs": lambda: logs.benchmark(options.folder, options.logs, options.pairs, options.blocks),
        "sql": lambda: sql.benchmark(options.folder, options.rows, options.pairs),
        "questions": lambda: questions.benchmark(options.folder, options.rows, options.pairs),
        "hyperliquid": lambda: hyperliquid_hour.benchmark(options.folder, options.megabytes, options.pairs),
        "decode": lambda: decoding.benchmark(4 * options.logs, options.pairs),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, part in parts.items():
            if options.only is None or name in options.only:
                report(name, part())
    except measure.Failed as error:
        sys.exit(str(error))


def report(name: str, lines: Iterator[str]) -> None:
    "Prints the lines of one part under its name."
    for line in itertools.chain([f"== {name}"], lines):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


main()
