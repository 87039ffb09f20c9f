"""The exchanges: one module each, found by walking the folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from indexer.errors import UserError

if TYPE_CHECKING:
    from indexer.feed import Venue


def names() -> list[str]:
    "The slugs of all venues, in order."
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Venue:
    "The venue with this slug; raises UserError that lists the known ones."
    if name not in names():
        raise UserError(f"no venue {name!r}; known: {', '.join(names())}")
    venue: Venue = importlib.import_module(f"{__name__}.{name}").VENUE
    return venue


def all_venues() -> list[Venue]:
    "Every venue, by slug."
    return [get(name) for name in names()]


def markdown() -> str:
    "The table of venues for the README: what can be had of each, and what its feed hides."
    lines = ["| venue | live | history | completeness today | what the feed hides |", "|---|---|---|---|---|"]
    for venue in all_venues():
        today = [
            one.completeness
            for one in venue.disclosures
            if one.to_at is None and not one.market and one.feed in (None, venue.feeds[0].name)
        ]
        history = [
            *(["REST"] if venue.histories else []),
            *(["daily archive"] if any(archive.url for archive in venue.archives) else []),
            *(["vendor files"] if venue.tardis else []),
        ]
        classes = ", ".join(f"`{name}`" for name in dict.fromkeys(today))
        live = "yes" if venue.streams else "no"
        lines.append(f"| `{venue.name}` | {live} | {', '.join(history) or 'none'} | {classes} | {venue.hides} |")
    return "\n".join(lines) + "\n"
