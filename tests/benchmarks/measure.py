"""Whole processes measured from outside: wall and CPU seconds, peak memory, CPU before the first request."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[2]
INDEXER = (sys.executable, "-c", "from indexer.cli import main; main()")
TICKS = os.sysconf("SC_CLK_TCK")
REQUEST_SECONDS = 30


class Usage(NamedTuple):
    "What one process took."

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


class Failed(Exception):
    "A measured process did not succeed."


def environment() -> dict[str, str]:
    "The caller's environment with this checkout importable, and compiled once as an installed package is."
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}


def run(command: Sequence[str]) -> Usage:
    "Runs `command` to its end; raises Failed with the end of its stderr."
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), cwd=ROOT
    ) as process:
        assert process.stderr is not None
        narration = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)}: exit {process.returncode}: {narration.decode()[-400:].strip()}")
    return Usage(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def alternate(
    ours: Callable[[int], Sequence[str]], theirs: Callable[[int], Sequence[str]], n_pairs: int
) -> list[tuple[Usage, Usage]]:
    "A B A B after one unmeasured run of each; the commands are given the number of the run."
    run(ours(-1))
    run(theirs(-1))
    return [(run(ours(number)), run(theirs(number))) for number in range(n_pairs)]


def median(values: Sequence[float]) -> float:
    "The middle value."
    return statistics.median(values)


@contextlib.contextmanager
def served(folder: Path, max_range: int = 0) -> Iterator[str]:
    "URL of a replay server of the chain in `folder`, a process of its own that ends with the context."
    command = [sys.executable, "-m", "tests.benchmarks.replay", str(folder), "--max-range", str(max_range)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def cpu_before_first_request(command: Callable[[str], Sequence[str]]) -> float:
    "CPU seconds (of all threads, to the clock tick) that a process has used when its first connection arrives."
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(REQUEST_SECONDS)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with subprocess.Popen(
            command(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), cwd=ROOT
        ) as process:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1)
                    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            except TimeoutError as error:
                raise Failed(f"no request within {REQUEST_SECONDS} s") from error
            finally:
                process.kill()
    return (int(fields[11]) + int(fields[12])) / TICKS


def imports(command: Sequence[str], suspects: Sequence[str]) -> list[str]:
    "Which of the suspected modules a Python `command` (python -c CODE ARGS) imports."
    code = f"import sys\ntry:\n    exec({command[2]!r})\nfinally:\n    sys.stderr.write(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [command[0], "-c", code, *command[3:]], capture_output=True, text=True, env=environment(), cwd=ROOT, check=True
    )
    loaded = set(done.stderr.split())
    return [name for name in suspects if name in loaded]
