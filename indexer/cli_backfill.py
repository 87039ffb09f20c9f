"""The commands that fetch: one for each kind of source."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import click

from indexer import completion
from indexer.cli_options import SESSION, BlockBound, Group, Instant, window

# Imports and the fills of an hour are many objects without cycles: collecting after every 700 of them, as Python does by
# default, takes a tenth of the whole run.
COLLECT_AFTER = 200_000


@click.group(cls=Group, no_args_is_help=True)
def backfill() -> None:
    "Fetch what is not covered yet."


@click.group(cls=Group, no_args_is_help=True)
def follow() -> None:
    "Fetch what is new, again and again."


def evm_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators are untyped
    "The options that backfill and follow of an EVM chain share."
    options = (
        click.option(
            "--chain",
            required=True,
            metavar="SLUG",
            help="ethereum, arbitrum, base, bnb …",
            shell_complete=completion.chains,
        ),
        click.option("--from-block", type=click.IntRange(0), metavar="N", help="Default: the contracts' first block."),
        click.option(
            "--protocol",
            "protocols",
            multiple=True,
            metavar="NAME",
            help="Only this decoder; repeatable.",
            shell_complete=completion.protocols,
        ),
        click.option(
            "--dataset",
            "datasets",
            multiple=True,
            default=("liquidations",),
            type=click.Choice(["liquidations", "flows", "owners"]),
            help="Besides liquidations: flows, or the owners of liquidated proxies, vaults and sub-accounts; repeatable.",
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
    gc.disable()  # one run, and the process ends: see backfill.evm
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


@backfill.command("hyperliquid")
@window
@click.option("--from-block", type=click.IntRange(0), metavar="N", help="Instead of a window: blocks of HyperCore.")
@click.option("--to-block", type=click.IntRange(0), metavar="N")
@click.option("--archive", metavar="DIR_OR_S3_URL", help="Default: the public bucket (requester pays).")
@click.option("--accounts", type=click.Path(path_type=Path), metavar="FILE", help="Index these over the info API.")
@click.option("--base-url", metavar="URL", help="Another info API.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where pulled objects are kept.")
@click.option("--workers", type=click.IntRange(1))
@click.option("--dry-run", is_flag=True, help="List files, bytes and cost; fetch nothing.")
def backfill_hyperliquid(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Every liquidation of HyperCore, by time or by block."
    gc.set_threshold(COLLECT_AFTER)
    from indexer.hyperliquid.run import Options
    from indexer.hyperliquid.run import backfill as run

    return run(SESSION.db, Options(**asked), SESSION.narrate)


@follow.command("hyperliquid")
@click.option("--archive", metavar="DIR_OR_S3_URL", help="Data folder of a node, or a mirror that grows.")
@click.option("--accounts", type=click.Path(path_type=Path), metavar="FILE", help="Watch these over the info API.")
@click.option("--hlp", is_flag=True, help="Watch what the HLP vault takes over: an alarm, not a feed.")
@click.option("--base-url", metavar="URL", help="Another info API.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where pulled objects are kept.")
@click.option("--since", type=Instant(), metavar="T", help="Default: what is not stored yet.")
@click.option("--until", type=Instant(), metavar="T", help="Stop by itself when everything before it is stored.")
@click.option("--until-block", type=click.IntRange(0), metavar="N", help="Stop by itself when this block is stored.")
@click.option("--poll-seconds", type=click.FloatRange(0.05), default=2.0, show_default=True)
@click.option("--silence-seconds", type=click.FloatRange(0.05), help="Report when nothing came for so long.")
def follow_hyperliquid(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "HyperCore as an own node or a mirror writes it, or single accounts as the API tells."
    from indexer.hyperliquid.live import FollowOptions
    from indexer.hyperliquid.live import follow as run

    return run(SESSION.db, FollowOptions(**asked), SESSION.narrate)


def cefi_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators are untyped
    "The options that the exchanges' commands share."
    market = click.option(
        "--market", "markets", multiple=True, metavar="SYMBOL", help="As the venue writes it; repeatable."
    )
    base = click.option("--base-url", metavar="URL", help="Ask here instead of the venue's own host.")
    return market(base(command))


FILES = click.argument("files", nargs=-1, type=click.Path(path_type=Path))


@backfill.command("cefi")
@click.option(
    "--venue", required=True, metavar="NAME", help="binance, bybit, okx … or coinalyze, coinglass.",
    shell_complete=completion.exchanges,
)  # fmt: skip
@FILES
@window
@cefi_options
@click.option("--interval", metavar="WIDTH", help="Width of a provider's buckets, as it writes it.")
def backfill_cefi(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Liquidations that exchanges disclose: from files, or the window they still keep."
    from indexer import cefi

    return cefi.backfill(SESSION.db, cefi.BackfillOptions(**asked), SESSION.narrate)


@backfill.command("context")
@click.argument("kind", type=click.Choice(["fear_greed", "open_interest", "funding", "klines", "rates", "vaults"]))
@FILES
@click.option("--venue", default="binance", show_default=True, metavar="NAME", shell_complete=completion.exchanges)
@click.option("--name", metavar="NAME", help="Name of a rate; default: its file's.")
@window
@cefi_options
def backfill_context(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Series to read liquidations against; of hyperliquid what its info API tells, its vaults too."
    if (asked["venue"] == "hyperliquid" or asked["kind"] == "vaults") and not asked["files"]:
        from indexer.hyperliquid.context import context

        window = (asked["since"], asked["until"])
        chosen = {"window": window, "markets": asked["markets"], "base_url": asked["base_url"]}
        return context(SESSION.db, asked["kind"], SESSION.narrate, **chosen)
    from indexer import cefi

    return cefi.context(SESSION.db, cefi.ContextOptions(**asked), SESSION.narrate)


@follow.command("cefi")
@click.option(
    "--venue", "venues", required=True, multiple=True, metavar="NAME", help="Repeatable.",
    shell_complete=completion.exchanges,
)  # fmt: skip
@click.option("--until", type=Instant(), metavar="T", help="Stop by itself at this time (UTC).")
@click.option("--poll-seconds", "commit_seconds", type=click.FloatRange(0.05), default=2.0, show_default=True)
@cefi_options
def follow_cefi(**asked: Any) -> int:  # noqa: ANN401 - the options above
    "Record the liquidation streams of exchanges."
    from indexer import cefi

    return cefi.follow(SESSION.db, cefi.FollowOptions(**asked), SESSION.narrate)
