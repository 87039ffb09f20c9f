"""Narration on stderr: a progress bar on a terminal, plain lines otherwise, nothing when quiet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Narrate(Protocol):
    "How a job tells what it does: one line a step; `done` of `total` where the length of the job is known."

    def __call__(self, line: str, *, done: float | None = None, total: float | None = None) -> None:
        "Say it."


class Narrator:
    "The Narrate of a process; `close` takes the bar away."

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, line: str, *, done: float | None = None, total: float | None = None) -> None:
        "Say `line`; a line with `done` and `total` moves the bar of a terminal instead."
        if self.is_quiet:
            return
        if total and sys.stderr.isatty():
            self._move(line, done or 0, total)
        elif self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        "Take the bar away, if there is one."
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _move(self, line: str, done: float, total: float) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal pays for it
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        if self._bar is None or self._task is None:
            columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
            text = TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, text, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(line, total=total)
            self._bar.start()
        self._bar.update(self._task, description=line, completed=done, total=total)
