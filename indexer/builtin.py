"""The built-in tables: tokens and price feeds that public lists name, read from indexer/data."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import orjson
import polars as pl

DATA = Path(__file__).parent / "data"
TOKENS = pl.Schema(
    {
        "address": pl.String,
        "symbol": pl.String,
        "decimals": pl.Int32,
        "asset": pl.String,
        "kind": pl.String,
        "usd_base": pl.String,
        "rate_base": pl.String,
        "source": pl.String,
    }
)
FEEDS = pl.Schema(
    {
        "address": pl.String,
        "proxy": pl.String,
        "base": pl.String,
        "quote": pl.String,
        "kind": pl.String,
        "decimals": pl.Int32,
        "heartbeat_seconds": pl.Int32,
        "first_block": pl.Int64,
        "last_block": pl.Int64,
        "phase": pl.Int32,
        "status": pl.String,
        "source": pl.String,
    }
)


def tokens(chain: str) -> pl.DataFrame:
    """The known tokens of `chain`, one row a contract; no rows for a chain that no list names.

    Columns: chain, address (lower-case), symbol, decimals, asset, kind (stable, volatile, staked, lp), `usd_base` (base
    of the USD feed that values the token itself, NULL where none is known), `rate_base` (base of the ratio feeds of a
    staked token), source (public lists, joined by +; the legend stands in the file).
    """
    return table("tokens", TOKENS, chain)


def feeds(chain: str) -> pl.DataFrame:
    """The known price feeds of `chain`, one row an aggregator: the contract that emits the answers.

    Columns: chain, address and proxy (lower-case), base, quote (`USD` or the quote of a ratio), kind (usd,
    exchange_rate, market_rate), decimals of the answer, heartbeat_seconds, first_block and last_block of the era,
    phase, status (listed, delisted), source. NULL where no source states it.
    """
    return table("feeds", FEEDS, chain)


def chains(name: str) -> list[str]:
    "The chains that the built-in table `name` (tokens, feeds) has rows for, in the file's order."
    return list(document(name)["rows"])


def table(name: str, schema: pl.Schema, chain: str) -> pl.DataFrame:
    "The rows of one chain of indexer/data/{name}.json, with the chain as first column."
    frame = pl.DataFrame(document(name)["rows"].get(chain, []), schema=schema, orient="row")
    return frame.select(pl.lit(chain).alias("chain"), pl.all())


@functools.cache
def document(name: str) -> dict[str, Any]:
    "The parsed file indexer/data/{name}.json: about, sources, columns, rows by chain."
    parsed: dict[str, Any] = orjson.loads((DATA / f"{name}.json").read_bytes())
    return parsed
