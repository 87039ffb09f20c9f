"""What a run was asked: frozen options, one class a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class EvmOptions:
    "What `indexer backfill evm` was asked; `to_block` is a number, latest or finalized (None: finalized)."

    chain: str
    from_block: int | None = None
    to_block: int | str | None = None
    protocols: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ("liquidations",)  # and flows, owners
    rpc: tuple[str, ...] = ()
    deployments: Path | None = None
    tokens: tuple[str, ...] = ()  # flows: further tokens, by symbol or address
    min_usd: float | None = None  # flows: every transfer of at least this value, not only those of labelled addresses
    dry_run: bool = False
    verify_sample: float = 0.01
    workers: int = 4
    width: int | None = None
