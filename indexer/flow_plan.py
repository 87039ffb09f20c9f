"""What a run asks of a chain for flows: loan and bridge events, and token transfers of whoever is labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer import builtin
from indexer.chains import CHAINS
from indexer.deployments import ADDRESS, EMITTERS, Catalogue
from indexer.errors import UserError, closest
from indexer.plan import TRANSFERS, Member, topic
from indexer.protocols import all_protocols
from indexer.ranges import Range, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from indexer.plan import Segment

ERC20 = "erc20"
GROUPS = {"bridge": "bridges", "account": "accounts", "token": "transfers"}  # by sector; a loan venue is its own group
# The largest dollar tokens; with them go all wrapped BTC and ETH and staked ETH of the built-in list.
MAJOR_DOLLARS = ("USDT", "USDC", "DAI", "USDS", "USDE", "BUSD", "FDUSD", "TUSD", "PYUSD", "USD1", "FRAX")
# Whoever has one of these labels is asked for by address. A router or a pool touches everything and says nothing.
WATCHED_KINDS = ("exchange", "bridge", "lending", "vault", "protocol", "whale")


def with_tokens(known: Catalogue, wanted: Sequence[str], protocols: Sequence[str]) -> Catalogue:
    """`known` with the tokens whose transfers are asked for as rows of `emitters`: major ones, and `wanted`.

    None where `protocols` names other protocols only. Raises UserError for a token of `wanted` (symbol or address) that
    the chain does not have.
    """
    if protocols and ERC20 not in protocols and not wanted:
        return known
    addresses = [*majors(known), *(address for one in wanted for address in named(known, one))]
    rows = [(known.chain, one, ERC20, ERC20, None, None, None, "built_in") for one in dict.fromkeys(addresses)]
    added = pl.DataFrame(rows, schema=EMITTERS, orient="row")
    return known._replace(
        emitters=pl.concat([known.emitters, added]).unique(["address", "protocol"], keep="first", maintain_order=True)
    )


def is_own(known: Catalogue) -> bool:
    "Whether the chain is one that only its deployments file knows, or a simulated one: its tokens are read whole."
    return known.is_simulated or known.chain not in CHAINS


def majors(known: Catalogue) -> list[str]:
    "Addresses of the major tokens of a chain; of one that only a file knows every token that the file names."
    if is_own(known):
        return known.tokens.filter(pl.col("source") == "file")["address"].to_list()
    is_major = pl.col("asset").is_in(MAJOR_DOLLARS) & (pl.col("kind") == "stable")
    is_base = pl.col("asset").is_in(["BTC", "ETH"]) & (pl.col("kind") == "volatile")
    is_staked = (pl.col("asset") == "ETH") & (pl.col("kind") == "staked")
    chosen = known.tokens.filter((is_major | is_base | is_staked) & (pl.col("address") != builtin.NATIVE_ADDRESS))
    return chosen["address"].to_list()


def named(known: Catalogue, token: str) -> list[str]:
    "Addresses that a symbol or an address of --token stands for."
    if ADDRESS.match(token):
        return [token.lower()]
    found = known.tokens.filter(pl.col("symbol").str.to_uppercase() == token.upper())["address"].to_list()
    if not found:
        symbols = [symbol for symbol in known.tokens["symbol"].to_list() if symbol]
        raise UserError(f"unknown token {token} on {known.chain}{closest(token, symbols)}; give its address to --token")
    return [str(one) for one in found]


def watched(connection: duckdb.DuckDBPyConnection, chain: str, emitters: pl.DataFrame) -> list[str]:
    "Addresses whose transfers are asked for: labelled ones, and contracts that take deposits as plain transfers."
    marks = ", ".join("?" * len(WATCHED_KINDS))
    rows = connection.execute(
        f"SELECT DISTINCT lower(address) FROM labels WHERE kind IN ({marks}) AND (chain IS NULL OR chain = ?)"
        " AND regexp_full_match(address, '0[xX][0-9a-fA-F]{40}')",
        [*WATCHED_KINDS, chain],
    ).fetchall()
    takers = [name for name, protocol in all_protocols().items() if protocol.inflow]
    return sorted({address for (address,) in rows} | set(emitters.filter(pl.col("protocol").is_in(takers))["address"]))


def members(emitters: pl.DataFrame, addresses: Iterable[str], min_usd: float | None) -> list[Member]:
    """Everything that is asked for flows.

    Transfers are asked for by watched address (`addresses`) as sender or receiver, or, with `min_usd`, whole: then only
    those of at least that value, and those of a watched address, are kept.
    """
    found = []
    for row in emitters.filter(pl.col("protocol") != ERC20).to_dicts():
        protocol = all_protocols()[row["protocol"]]
        group = GROUPS.get(protocol.sector, row["venue"])
        topics = tuple(sorted({topic(event) for event in protocol.flow_events}))
        if topics:
            found.append(Member(row["address"], protocol.name, row["venue"], f"flows:{group}", topics))
    tokens = tuple(sorted(emitters.filter(pl.col("protocol") == ERC20)["address"]))
    transfer = (topic(all_protocols()[ERC20].flow_events[0]),)
    if min_usd is not None:
        found += [Member(token, ERC20, ERC20, TRANSFERS, transfer, min_usd=min_usd) for token in tokens]
    elif tokens:
        found += [Member(one, ERC20, ERC20, TRANSFERS, transfer, tokens=tokens) for one in addresses]
    return found


def answered(moved: Sequence[Member], asked: dict[str, list[Range]]) -> dict[str, list[Range]]:
    "Ranges that need not be asked for a token read whole, because they were with the same threshold or a lower one."
    found = {}
    for member in moved:
        if member.min_usd is not None:
            whole = member._replace(min_usd=None).key
            lower = [
                ranges for key, ranges in asked.items()
                if key.startswith(whole + ":") and float(key.removeprefix(whole + ":")) <= member.min_usd
            ]  # fmt: skip
            found[member.key] = merge([one for ranges in lower for one in ranges])
    return found


def counts(flows: pl.DataFrame, segment: Segment) -> dict[str, int]:
    "Rows by dataset of `coverage`."
    dataset_of = {member.venue: member.dataset for member in segment.members if member.dataset.startswith("flows:")}
    is_transfer = pl.col("kind").is_in(["transfer", *(one.inflow for one in all_protocols().values() if one.inflow)])
    venue = pl.col("venue").replace_strict(dataset_of, default=None, return_dtype=pl.String)
    by_dataset = flows.group_by(dataset=pl.when(is_transfer).then(pl.lit(TRANSFERS)).otherwise(venue)).len()
    return dict(by_dataset.drop_nulls().iter_rows())
