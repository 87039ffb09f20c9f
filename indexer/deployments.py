"""What is known of a chain before any request: contracts, tokens, feeds and markets, built in or from a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from indexer import builtin
from indexer.abi import folder
from indexer.chains import CHAINS
from indexer.errors import UserError, closest
from indexer.protocols import all_protocols, decoder_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ADDRESS = re.compile(r"^0x[0-9a-fA-F]{40}$")
EMITTERS = pl.Schema({
    "chain": pl.String(), "address": pl.String(), "protocol": pl.String(), "venue": pl.String(), "market": pl.String(),
    "first_block": pl.Int64(), "parent": pl.String(), "source": pl.String(),
})  # fmt: skip
TOKENS = pl.Schema({
    "chain": pl.String(), "address": pl.String(), "symbol": pl.String(), "decimals": pl.Int32(), "asset": pl.String(),
    "kind": pl.String(), "source": pl.String(),
})  # fmt: skip
FEEDS = pl.Schema({
    "chain": pl.String(), "address": pl.String(), "asset": pl.String(), "decimals": pl.Int32(), "first_block": pl.Int64(),
    "last_block": pl.Int64(), "heartbeat_seconds": pl.Int32(), "source": pl.String(),
})  # fmt: skip
MARKETS = pl.Schema({
    "chain": pl.String(), "venue": pl.String(), "market": pl.String(), "collateral_token": pl.String(),
    "debt_token": pl.String(), "params": pl.String(), "source": pl.String(),
})  # fmt: skip
# The token that a market is named after: its own debt token, or that of the market it points to (a reserve at its hub).
NAMED_TOKENS = (
    "SELECT m.chain, m.venue, m.market, coalesce(m.debt_token, u.debt_token) AS token FROM markets m LEFT JOIN markets u"
    " ON u.chain = m.chain AND u.venue = m.venue AND u.market = (m.params ->> 'same_token_as')"
)
# What a deployments file may call the two tokens of a market.
TOKEN_NAMES = {
    "collateral_token": ("collateral_token", "underlying"),
    "debt_token": ("debt_token", "loan_token", "base_token", "underlying"),
}


class Catalogue(NamedTuple):
    "Rows of `emitters`, `tokens`, `feeds` and `markets` that are known of one chain."

    chain: str
    chain_id: int | None
    emitters: pl.DataFrame
    tokens: pl.DataFrame
    feeds: pl.DataFrame
    markets: pl.DataFrame
    is_simulated: bool
    notes: tuple[str, ...]


def catalogue(chain: str, protocols: Iterable[str] = (), file: Path | None = None) -> Catalogue:
    """What is built in about `chain` and what `file` adds to it, for `protocols` (none: all).

    Raises UserError with one line for an unknown chain or protocol and for every mistake of the file.
    """
    document = read(file) if file else {}
    own = {name: [row for row in document.get(name, []) if row["chain"] == chain] for name in ROWS}
    named = sorted({row["chain"] for row in document.get("deployments", [])})
    if chain not in CHAINS and not own["deployments"]:
        raise UserError(f"unknown chain {chain}{closest(chain, [*CHAINS, *named])}; a --deployments file can add one")
    known = {name: one for name, one in all_protocols().items() if one.deployments or one.sector != "price"}
    protocols = [decoder_of(name) for name in protocols]
    for name in protocols:
        if name not in known:
            raise UserError(f"unknown protocol {name}{closest(name, known)}; known: {', '.join(sorted(known))}")
    wanted = set(protocols) or set(known)
    notes = sorted({
        f"{row['protocol']} is not decoded yet: {row['venue']} of the deployments file gives no rows"
        for row in own["deployments"] if row["protocol"] not in known
    })  # fmt: skip
    chain_ids = {row["chain_id"] for row in own["deployments"]}
    if len(chain_ids) > 1:
        raise UserError(
            f"{file}: chain {chain} has several chain ids: {', '.join(map(str, sorted(chain_ids)))}; give one"
        )
    built_in_id = CHAINS[chain].chain_id if chain in CHAINS else None
    if chain_ids and built_in_id is not None and chain_ids != {built_in_id}:
        raise UserError(f"{file}: chain {chain} has id {built_in_id}, the file says {chain_ids.pop()}; correct it")
    rates = {name for name, one in known.items() if one.sector == "rate"}
    rows = [row for row in own["deployments"] if row["protocol"] in wanted | rates]
    found = emitters(chain, rows, wanted | rates, own["markets"])
    if found["protocol"].is_in(list(rates - wanted)).all():
        found = found.clear()  # rates alone value nothing
    return Catalogue(
        chain=chain,
        chain_id=next(iter(chain_ids), built_in_id),
        emitters=found,
        tokens=tokens(chain, own["tokens"]),
        feeds=feeds(chain, own["feeds"]),
        markets=markets(own["markets"]),
        is_simulated=bool(document.get("simulated")) and bool(own["deployments"]),
        notes=tuple(notes),
    )


def emitters(
    chain: str, rows: list[dict[str, Any]], wanted: set[str], file_markets: list[dict[str, Any]]
) -> pl.DataFrame:
    "Rows of `emitters`: built-in deployments of the wanted protocols, then those of the file, one a contract and protocol."
    built_in = [
        (chain, one.address.lower(), name, one.venue, one.market, one.first_block, None, "built_in")
        for name, protocol in all_protocols().items() if name in wanted
        for one in protocol.deployments if one.chain == chain
    ]  # fmt: skip
    # A clip, a cToken or a vault that the file names inside a market belongs to that market.
    market_of = {
        value.lower(): market["market"]
        for market in file_markets
        for name, value in market.items()
        if name == "clip" and isinstance(value, str)
    }
    from_file = [
        (chain, row["address"].lower(), row["protocol"], row["venue"], row.get("market") or market_of.get(row["address"].lower()),
         row["first_block"], None, "file")
        for row in rows
    ]  # fmt: skip
    frame = pl.DataFrame(built_in + from_file, schema=EMITTERS, orient="row")
    return frame.unique(["address", "protocol"], keep="last", maintain_order=True)


def tokens(chain: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    "Rows of `tokens`: the built-in list, where the file does not say otherwise."
    listed = builtin.tokens(chain).select(pl.exclude("source", "usd_base", "rate_base"), source=pl.lit("list"))
    from_file = [
        (chain, row["address"].lower(), row.get("symbol"), row.get("decimals"), row.get("asset") or row.get("symbol"),
         row.get("kind") or builtin.kind_of(row.get("symbol"), row.get("asset")), "file")
        for row in rows
    ]  # fmt: skip
    added = pl.DataFrame(from_file, schema=TOKENS, orient="row")
    return pl.concat([listed.select(TOKENS.names()).cast(TOKENS), added]).unique(
        ["address"], keep="last", maintain_order=True
    )


def feeds(chain: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    "Rows of `feeds` and the `rate_kind` of a ratio: feeds that value a known token of the chain, and those of the file."
    known = builtin.tokens(chain)
    keys = pl.concat([known["asset"], known["symbol"].str.to_uppercase(), known["usd_base"]]).unique()
    quotes = builtin.feeds(chain).filter(pl.col("quote") != "USD")["quote"].unique()
    bases = pl.concat([known["rate_base"], known["symbol"].str.to_uppercase()]).unique()
    listed = builtin.feeds(chain).filter(
        pl.col("decimals").is_not_null()
        & (
            (
                (pl.col("quote") == "USD")
                & (pl.col("base").is_in(keys.implode()) | pl.col("base").is_in(quotes.implode()))
            )
            | ((pl.col("quote") != "USD") & pl.col("base").is_in(bases.implode()))
        )
    )
    columns = listed.select(
        chain=pl.lit(chain), address="address",
        asset=pl.when(pl.col("quote") == "USD").then("base").otherwise(pl.format("{}/{}", "base", "quote")),
        decimals="decimals", first_block="first_block", last_block="last_block", heartbeat_seconds="heartbeat_seconds",
        source=pl.lit("list"), rate_kind=pl.when(pl.col("quote") != "USD").then("kind"), proxy="proxy",
    )  # fmt: skip
    from_file = [
        (chain, row["address"].lower(), row["asset"], row["decimals"], row.get("first_block"), row.get("last_block"),
         row.get("heartbeat_seconds"), "file")
        for row in rows
    ]  # fmt: skip
    added = pl.DataFrame(from_file, schema=FEEDS, orient="row").with_columns(
        rate_kind=pl.when(pl.col("asset").str.contains("/")).then(pl.lit("exchange_rate")),
        proxy=pl.lit(None, dtype=pl.String),
    )
    frame = pl.concat([columns.cast(pl.Schema({**FEEDS, "rate_kind": pl.String(), "proxy": pl.String()})), added])
    return frame.unique(["address"], keep="last", maintain_order=True)


def markets(rows: list[dict[str, Any]]) -> pl.DataFrame:
    "Rows of `markets` of the file: its two tokens, everything else in params."
    out = []
    for row in rows:
        tokens_of = {
            column: next((row[name].lower() for name in names if isinstance(row.get(name), str)), None)
            for column, names in TOKEN_NAMES.items()
        }
        taken = {"chain", "venue", "market", *(name for names in TOKEN_NAMES.values() for name in names)}
        params = {
            name: value.lower() if isinstance(value, str) else value for name, value in row.items() if name not in taken
        }
        out.append((
            row["chain"], row["venue"], row["market"], tokens_of["collateral_token"], tokens_of["debt_token"],
            orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode(), "file",
        ))  # fmt: skip
    return pl.DataFrame(out, schema=MARKETS, orient="row")


# What each list of a deployments file must say, and of what type.
ROWS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "deployments": {"venue": str, "protocol": str, "chain": str, "chain_id": int, "address": str},
    "tokens": {"chain": str, "address": str},
    "feeds": {"chain": str, "address": str, "asset": str, "decimals": int},
    "markets": {"chain": str, "venue": str, "market": str},
}
OPTIONAL: dict[str, type] = {
    "first_block": int, "last_block": int, "decimals": int, "heartbeat_seconds": int, "symbol": str, "asset": str, "kind": str,
}  # fmt: skip


def read(file: Path) -> dict[str, Any]:
    "A deployments file as DESIGN section 3 has it; raises UserError with the first mistake, where it stands and the remedy."
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); check the path of --deployments") from error
    except orjson.JSONDecodeError as error:
        raise UserError(f"{file}: not JSON ({error}); correct the file") from error
    if not isinstance(document, dict) or not isinstance(document.get("deployments"), list):
        raise UserError(f"{file}: must be an object with a list `deployments`")
    for name, required in ROWS.items():
        rows = document.get(name, [])
        if not isinstance(rows, list):
            raise UserError(f"{file}: `{name}` must be a list")
        for place, row in enumerate(rows):
            if mistake := wrong(name, row, required):
                raise UserError(f"{file}: {name}[{place}]: {mistake}")
    for row in document["deployments"]:
        row.setdefault("first_block", None)
        row["protocol"] = decoder_of(row["protocol"])
        if row["protocol"] not in all_protocols() and not (folder("abis") / f"{row['protocol']}.json").exists():
            raise UserError(
                f"{file}: unknown protocol {row['protocol']}{closest(row['protocol'], all_protocols())}; correct it or leave it out"
            )
    return document


def wrong(name: str, row: Any, required: dict[str, type | tuple[type, ...]]) -> str | None:  # noqa: ANN401 - parsed JSON
    "What is wrong with one row of a deployments file, or None."
    if not isinstance(row, dict):
        return "must be an object"
    for field, kind in required.items():
        if field not in row:
            return f"`{field}` is missing"
        if not isinstance(row[field], kind) or isinstance(row[field], bool):
            return f"`{field}` must be {'a number' if kind is int else 'text'}, not {orjson.dumps(row[field]).decode()}"
    for field, kind in OPTIONAL.items():
        value = row.get(field)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            return f"`{field}` must be {'a number' if kind is int else 'text'}, not {orjson.dumps(value).decode()}"
    if name != "markets" and not ADDRESS.match(row["address"]):
        return f"{row['address']} is not an address: 0x and 40 hexadecimal digits"
    if row.get("first_block") is not None and row["first_block"] < 0:
        return "`first_block` must not be negative"
    return None
