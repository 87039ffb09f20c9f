"""What a picture is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl


class Answer(NamedTuple):
    "One question as it was asked, and its rows; report/... is the page's own, in indexer/report/sql."

    query: str
    title: str
    question: str
    sql: str
    params: dict[str, str]
    table: pl.DataFrame
    coverage: str


@dataclass(frozen=True)
class Picture:
    """One question, its rows and what they say; how it is drawn is the business of the page or of the terminal.

    `missing` is empty, or says in one sentence why there is nothing to draw: then `table` may be empty. `more` are the
    other answers that the picture is drawn from; `facts` are single values, such as what simulation adds.
    """

    name: str  # also the name of its PNG
    title: str
    question: str
    query: str  # its name in queries/; report/... is the page's own, in indexer/report/sql
    sql: str
    params: dict[str, str]
    table: pl.DataFrame
    coverage: str  # what of the window is covered, as one line
    caption: str  # the finding, one to three sentences
    alt: str  # what is to be seen, for who cannot see it
    missing: str = ""
    more: tuple[Answer, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # how it was made and what it cannot say

    def other(self, query: str, **params: str) -> pl.DataFrame:
        "The rows of another answer that the picture is drawn from, asked with these values; raises LookupError."
        for answer in self.more:
            if answer.query == query and params.items() <= answer.params.items():
                return answer.table
        raise LookupError(f"{self.name} rests on no answer of {query}")
