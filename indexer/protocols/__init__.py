"""One module per on-chain protocol, declarations only; the folder is the registry."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.declare import Protocol


@functools.cache
def all_protocols() -> dict[str, Protocol]:
    "Every protocol of this folder by its name, in name order."
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}").PROTOCOL for name in names]
    return {protocol.name: protocol for protocol in found}


def decoder_of(name: str) -> str:
    "The protocol that reads the contracts of the decoder `name`: most often the one of that name."
    return next((own for own, protocol in all_protocols().items() if name in protocol.reads_for), name)
