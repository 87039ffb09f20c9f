"""The live tail of a chain: the backfill's own loop at the head, again and again, so that both store the same rows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from indexer import store
from indexer.backfill import evm as backfill
from indexer.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.narration import Narrate
    from indexer.options import EvmOptions

POLL_SECONDS = 12.0


def evm(
    path: str | Path,
    options: EvmOptions,
    narrate: Narrate,
    *,
    poll_seconds: float = POLL_SECONDS,
    until_block: int | None = None,
) -> int:
    """Index up to the head, wait, and do it again; 0 once `until_block` is stored, else until interrupted.

    Blocks above finality are asked again each time, so a reorganised block is replaced by its successor. Without
    `from_block` it starts after what is covered.
    """
    first = options.from_block if options.from_block is not None else resume(path, options.chain)
    while True:
        last = until_block if until_block is not None else "latest"
        try:
            code = backfill(path, replace(options, from_block=first, to_block=last), narrate)
        except UserError as error:
            if "beyond the head" not in str(error):
                raise
            code = 1  # the chain is not there yet
        if until_block is not None and code == 0:
            return 0
        time.sleep(poll_seconds)


def resume(path: str | Path, chain: str) -> int | None:
    "The first block of `chain` that is not final in the database; None for a database without the chain."
    try:
        with store.connect(path, read_only=True) as connection:
            row = connection.execute(
                "SELECT max(to_block) + 1 FROM coverage WHERE chain = ? AND source = 'rpc' AND finality = 'final'"
                " AND dataset LIKE 'liquidations:%'",
                [chain],
            ).fetchall()
    except (UserError, duckdb.Error):
        return None
    block: int | None = row[0][0]
    return block
