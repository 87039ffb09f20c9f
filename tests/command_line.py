"""The command line inside the test's process: arguments in, exit code and both streams out."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from indexer import cli

FIXTURES = Path(__file__).with_name("fixtures")


class Outcome(NamedTuple):
    "What a run of `indexer` left."

    code: int
    out: str
    err: str


def indexer(*arguments: object) -> Outcome:
    "Run `indexer` with `arguments`."
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["indexer", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            return Outcome(int(stop.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main always exits")


def files_of(folder: Path) -> dict[str, bytes]:
    "Every file below `folder`: its path inside to its bytes."
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
