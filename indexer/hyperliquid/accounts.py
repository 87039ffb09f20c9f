"""Accounts over the info API: a later step."""

from __future__ import annotations

from typing import Any


def backfill(*_: Any) -> int:  # noqa: ANN401
    "Nothing yet."
    raise NotImplementedError
