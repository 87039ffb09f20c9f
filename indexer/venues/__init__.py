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
