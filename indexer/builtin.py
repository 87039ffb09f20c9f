"""The built-in tables: tokens, price feeds and labels that public lists name, read from indexer/data."""

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


LABELS = pl.Schema(
    {
        "address": pl.String(),
        "chain": pl.String(),
        "entity": pl.String(),
        "kind": pl.String(),
        "source": pl.String(),
        "from_at": pl.Datetime("us"),
        "to_at": pl.Datetime("us"),
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


def labels() -> pl.DataFrame:
    """The known addresses of exchanges, bridges and vaults: rows of the table `labels`, one an address and chain.

    A chain of NULL means every chain (a plain account has one address on all EVM chains); NULL bounds mean always.
    """
    return pl.read_csv(DATA / "labels.csv", schema=LABELS)


@functools.cache
def perp_markets() -> dict[str, str]:
    "`{venue}:{market}` to the asset, for markets in dollars that perp venues name by a number or a token of their own."
    rows = pl.read_csv(DATA / "perp_markets.csv", infer_schema=False)
    return dict(rows.select(pl.concat_str("venue", "market", separator=":"), "asset").iter_rows())


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


# The chain's own coin where it is not ether: symbol, and its canonical asset where that differs.
NATIVE_SYMBOLS = {
    "polygon": "POL", "avalanche": "AVAX", "bnb": "BNB", "opbnb": "BNB", "fantom": "FTM", "gnosis": "XDAI", "mantle": "MNT",
    "celo": "CELO", "sonic": "S", "hyperevm": "HYPE", "moonbeam": "GLMR", "moonriver": "MOVR", "cronos": "CRO", "kava": "KAVA",
    "core": "CORE", "iotex": "IOTX", "metis": "METIS", "sei": "SEI", "pulsechain": "PLS", "kaia": "KAIA", "flow": "FLOW",
    "monad": "MON", "berachain": "BERA", "xdc": "XDC", "harmony": "ONE", "canto": "CANTO", "ronin": "RON", "story": "IP",
    "plasma": "XPL", "xlayer": "OKB", "apechain": "APE", "flare": "FLR", "hedera": "HBAR", "etherlink": "XTZ",
}  # fmt: skip
NATIVE_ADDRESS = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
# Tokens that an event does not name because the protocol knows no other.
DECLARED = (
    ("DAI", 18, "DAI", "stable"),
    ("LUSD", 18, "LUSD", "stable"),
    ("BOLD", 18, "BOLD", "stable"),
    ("feUSD", 18, "FEUSD", "stable"),
)


def natives(chain: str) -> pl.DataFrame:
    "One row: the chain's own coin under the address that events use for it (chain, address, symbol, decimals, asset)."
    symbol = NATIVE_SYMBOLS.get(chain, "ETH")
    asset = "DAI" if symbol == "XDAI" else symbol
    return pl.DataFrame({"chain": chain, "address": NATIVE_ADDRESS, "symbol": symbol, "decimals": 18, "asset": asset})


def declared() -> pl.DataFrame:
    "Tokens that protocols name by symbol (symbol, decimals, asset, kind), and every stable asset of the built-in list."
    stable = [(None, None, asset, "stable") for asset in sorted(stable_assets())]
    return pl.DataFrame([*DECLARED, *stable], schema=["symbol", "decimals", "asset", "kind"], orient="row")


@functools.cache
def stable_assets() -> frozenset[str]:
    "Assets whose plain tokens the built-in list calls stable."
    return frozenset(asset for asset, kind in assets().values() if kind == "stable")


@functools.cache
def assets() -> dict[str, tuple[str, str]]:
    "Symbol in upper case to (asset, kind), over every chain of the built-in list."
    columns = document("tokens")["columns"]
    symbol, asset, kind = (columns.index(name) for name in ("symbol", "asset", "kind"))
    return {
        row[symbol].upper(): (row[asset], row[kind])
        for rows in document("tokens")["rows"].values()
        for row in rows
        if row[symbol] and row[asset]
    }


def kind_of(symbol: str | None, asset: str | None) -> str:
    "stable, staked or volatile: what the built-in list says of the symbol, else of the asset."
    known = assets().get((symbol or "").upper())
    if known and (asset is None or known[0] == asset.upper()):
        return known[1]
    return "stable" if (asset or "").upper() in stable_assets() else "volatile"
