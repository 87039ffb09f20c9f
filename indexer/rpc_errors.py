"""What a JSON-RPC error means: the catalogue of provider errors, read as data."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from indexer.errors import IndexerError

CATALOGUE = Path(__file__).with_name("rpc_errors.json")
DIGIT_GROUPS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
SPACES = re.compile(r"\s+")
TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
URLS = re.compile(r"\b(https?|wss?)://([^/\s\"'@]*@)?([^/\s\"'?#]+)[^\s\"']*")
SHOWN_CHARACTERS = 300


class Rule(NamedTuple):
    "One row of the catalogue, its pattern compiled; None matches by HTTP status, then by code."

    kind: str
    pattern: re.Pattern[str] | None
    http_status: int | None
    code: int | None
    is_structural: bool


class Verdict(NamedTuple):
    """What an endpoint said and what it means.

    `kind` is a class of the catalogue, `unknown` when no rule matches, `fault` for an answer that contradicts itself.
    `suggested` is the (first, last) it named, unchecked; `max_blocks` a cap on blocks; `max_items` a cap on filters.
    """

    kind: str
    message: str
    is_structural: bool = False
    suggested: tuple[int, int] | None = None
    max_blocks: int | None = None
    max_items: int | None = None
    wait_seconds: float | None = None


class Refused(IndexerError):
    "One request to one endpoint came to nothing; `verdict` says why."

    def __init__(self, host: str, verdict: Verdict) -> None:
        super().__init__(f"{host}: {verdict.message}")
        self.verdict = verdict


@functools.cache
def rules() -> tuple[Rule, ...]:
    "The catalogue in its order: the first rule that matches decides."
    return tuple(
        Rule(
            kind=row["class"],
            pattern=None if row["pattern"] is None else re.compile(row["pattern"]),
            http_status=row["http_status"],
            code=row["code"],
            is_structural=row["structural"],
        )
        for row in json.loads(CATALOGUE.read_text())
    )


def classify(message: str, data: object = None, *, code: object = None, http_status: int | None = None) -> Verdict:
    "The meaning of an error: its text decides, then the HTTP status, then the code (codes alone mislead)."
    text = normalise(f"{message} {flatten(data)}")
    shown = one_line(message if data is None else f"{message} ({flatten(data)})")
    for rule in rules():
        if rule.pattern is not None:
            if found := rule.pattern.search(text):
                return verdict(rule, found.groupdict(), shown)
        elif rule.http_status is not None:
            if rule.http_status == http_status:
                return Verdict(rule.kind, shown or f"HTTP {http_status}", rule.is_structural)
        elif rule.code is not None and rule.code == code:
            return Verdict(rule.kind, shown or f"code {code}", rule.is_structural)
    return Verdict("unknown", shown or f"HTTP {http_status}")


def verdict(rule: Rule, groups: dict[str, str | None], shown: str) -> Verdict:
    "The verdict of `rule` with the numbers its pattern found."
    first, last, cap, thousands, items = (groups.get(name) for name in ("first", "last", "max", "k", "n"))
    return Verdict(
        kind=rule.kind,
        message=shown,
        is_structural=rule.is_structural,
        suggested=(integer(first), integer(last)) if first and last else None,
        max_blocks=int(cap) * (1000 if thousands else 1) if cap else None,
        max_items=int(items) if items else None,
    )


def normalise(text: str) -> str:
    "The text that patterns search: lower case, no markup, digit groups joined, single spaces."
    return SPACES.sub(" ", DIGIT_GROUPS.sub("", TAGS.sub(" ", text).lower())).strip()


def flatten(data: object) -> str:
    "The texts and numbers inside `data`, in order."
    if data is None or isinstance(data, bool):
        return ""
    if isinstance(data, dict):
        return " ".join(filter(None, map(flatten, data.values())))
    if isinstance(data, list | tuple):
        return " ".join(filter(None, map(flatten, data)))
    return str(data)


def one_line(text: str) -> str:
    "`text` on one line, cut to a readable length; of URLs only the host, because paths and queries hold keys."
    line = URLS.sub(r"\1://\3", SPACES.sub(" ", TAGS.sub(" ", text)).strip())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."


def integer(text: str) -> int:
    "A decimal or 0x number."
    return int(text, 16) if text.startswith("0x") else int(text)


def from_error(error: Any, http_status: int | None = None) -> Verdict:  # noqa: ANN401 - whatever JSON stands there
    "The meaning of the `error` member of an answer; nodes also send plain strings and bare lists there."
    if isinstance(error, dict):
        message = error.get("message")
        data = error.get("data")
        if message is None:
            message, data = flatten(error), None
        return classify(flatten(message), data, code=number(error.get("code")), http_status=http_status)
    return classify(flatten(error), http_status=http_status)


def number(code: object) -> object:
    "A code as a number where it is one; some nodes send it as text."
    if isinstance(code, str) and code.lstrip("-").isdigit():
        return int(code)
    return code
