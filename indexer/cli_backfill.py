"""The commands that fetch: one for each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from indexer.cli_options import SESSION, BlockBound, Group


@click.group(cls=Group, no_args_is_help=True)
def backfill() -> None:
    "Fetch what is not covered yet."


@click.group(cls=Group, no_args_is_help=True)
def follow() -> None:
    "Fetch what is new, again and again."


def evm_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators are untyped
    "The options that backfill and follow of an EVM chain share."
    options = (
        click.option("--chain", required=True, metavar="SLUG", help="ethereum, arbitrum, base, bnb …"),
        click.option("--from-block", type=click.IntRange(0), metavar="N", help="Default: the contracts' first block."),
        click.option("--protocol", "protocols", multiple=True, metavar="NAME", help="Only this decoder; repeatable."),
        click.option(
            "--dataset",
            "datasets",
            multiple=True,
            default=("liquidations",),
            type=click.Choice(["liquidations", "flows"]),
        ),
        click.option(
            "--token", "tokens", multiple=True, metavar="SYMBOL|ADDRESS", help="Flows: further token; repeatable."
        ),
        click.option(
            "--min-usd", type=click.FloatRange(0), metavar="USD", help="Flows: all transfers from this value on."
        ),
        click.option("--rpc", multiple=True, metavar="URL", help="Endpoint, in order of preference; repeatable."),
        click.option("--deployments", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"),
        click.option(
            "--verify-sample", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share asked twice."
        ),
        click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="Requests under way."),
        click.option("--width", type=click.IntRange(1), metavar="BLOCKS", help="Blocks of the first requests."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@backfill.command("evm")
@evm_options
@click.option("--to-block", type=BlockBound(), metavar="N|latest|finalized", default="finalized", show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the plan; fetch and store nothing.")
def backfill_evm(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Liquidations of an EVM chain, and who moved what, block range by block range."
    from indexer.backfill import EvmOptions, evm

    return evm(SESSION.db, EvmOptions(**asked), SESSION.narrate)


@follow.command("evm")
@evm_options
@click.option("--poll-seconds", type=click.FloatRange(0.05), default=12.0, show_default=True)
@click.option("--until-block", type=click.IntRange(0), metavar="N", help="Stop by itself when this block is stored.")
def follow_evm(poll_seconds: float, until_block: int | None, **asked: Any) -> int:  # noqa: ANN401
    "The head of an EVM chain, with its reorganisations."
    from indexer import follow as tail
    from indexer.options import EvmOptions

    return tail.evm(
        SESSION.db, EvmOptions(**asked), SESSION.narrate, poll_seconds=poll_seconds, until_block=until_block
    )
