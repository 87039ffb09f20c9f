"""Ctrl-C ends the process, even while a library is deep in its own work and does not listen."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_CODE = 130
GRACE_SECONDS = 2.0  # for the main thread to roll back and close by itself


@contextlib.contextmanager
def heeded(line: str) -> Iterator[None]:
    """While the block runs, an interrupt that the main thread does not act on within the grace ends the process.

    DuckDB executes queries on the calling thread too, and asks for signals only between its tasks: one task can last as
    long as the query. Ending at once is safe, as a database loses only what is not committed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    finished = threading.Event()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading, finished, line), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        signal.set_wakeup_fd(before)
        os.close(writing)
        watcher.join()


def _watch(reading: int, finished: threading.Event, line: str) -> None:
    "Wait for an interrupt, or for the end of the block."
    while number := os.read(reading, 1):
        if number[0] == signal.SIGINT and not finished.wait(GRACE_SECONDS):
            with contextlib.suppress(OSError):
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{line}\n".encode())
            os._exit(EXIT_CODE)
    os.close(reading)
