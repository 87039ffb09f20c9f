"""The commands that fetch: one for each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from indexer.cli_options import SESSION, BlockBound, Group


@click.group(cls=Group, no_args_is_help=True)
def backfill() -> None:
    "Fetch what is not covered yet."


@backfill.command("evm")
@click.option("--chain", required=True, metavar="SLUG", help="ethereum, arbitrum, base, bnb …")
@click.option("--from-block", type=click.IntRange(0), metavar="N", help="Default: the first block of the contracts.")
@click.option("--to-block", type=BlockBound(), metavar="N|latest|finalized", default="finalized", show_default=True)
@click.option("--protocol", "protocols", multiple=True, metavar="NAME", help="Only this decoder; repeatable.")
@click.option(
    "--dataset", "datasets", multiple=True, default=("liquidations",), type=click.Choice(["liquidations", "flows"])
)
@click.option("--rpc", multiple=True, metavar="URL", help="Endpoint, in order of preference; repeatable.")
@click.option("--deployments", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Print the plan; fetch and store nothing.")
@click.option(
    "--verify-sample", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share asked twice."
)
@click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="Requests under way at once.")
@click.option("--width", type=click.IntRange(1), metavar="BLOCKS", help="Blocks of the first requests.")
def backfill_evm(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Liquidations of an EVM chain, block range by block range."
    from indexer.backfill import EvmOptions, evm

    return evm(SESSION.db, EvmOptions(**asked), SESSION.narrate)
