"""Who owns the accounts of liquidations, where contracts say so: vaults of Maker, sub-accounts of Euler, proxies of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer import store
from indexer.abi import keccak256, selector
from indexer.answers import as_address, as_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from indexer.ranges import Range
    from indexer.rpc import Pool

# CDP_MANAGER of Maker's changelog (dss-cdp-manager): it creates one urn a vault, and nothing else.
CDP_MANAGERS = {"ethereum": "0x5ef30b9986345249bc32d8928b7ee64de9435e39"}
OWNERS = pl.Schema({
    "chain": pl.String(), "address": pl.String(), "owner": pl.String(), "kind": pl.String(), "source": pl.String(),
})  # fmt: skip
MOST_SMALL = 0x7F  # RLP: a number up to this is one byte
LIST_OF_ADDRESS = 0x94  # RLP: a string of 20 bytes follows


class Owned(NamedTuple):
    "What a contract says of one account."

    owner: str
    kind: str  # cdp, sub_account, proxy
    source: str


def read_owners(connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, span: Range) -> int:
    """Store in `owners` who owns the accounts of stored liquidations of `chain` in `span`; the number of new rows.

    An owner that is itself a proxy is followed to the proxy's owner. An account of which no contract says anything has no
    row: most accounts are their own.
    """
    rows = connection.execute(
        "SELECT DISTINCT protocol, market, account FROM liquidations l"
        " WHERE chain = ? AND source = 'rpc' AND sector IN ('lending', 'cdp') AND block_number BETWEEN ? AND ?"
        " AND regexp_full_match(account, '0x[0-9a-f]{40}')"
        " AND NOT EXISTS (SELECT 1 FROM owners o WHERE o.chain = l.chain AND o.address = l.account) ORDER BY ALL",
        [chain, *span],
    ).fetchall()
    found = sub_accounts(pool, [(market, account) for protocol, market, account in rows if protocol == "euler_v2"])
    found |= vaults(pool, chain, {account for protocol, _, account in rows if protocol.startswith("maker")})
    followed = {account for _, _, account in rows if account not in found} | {one.owner for one in found.values()}
    held = proxies(pool, sorted(followed))
    found = {
        account: one._replace(owner=held[one.owner].owner) if one.owner in held else one
        for account, one in found.items()
    }
    told = [(chain, account, *one) for account, one in sorted((held | found).items())]
    store.upsert(connection, "owners", pl.DataFrame(told, schema=OWNERS, orient="row"))
    return len(told)


def sub_accounts(pool: Pool, asked: Sequence[tuple[str, str]]) -> dict[str, Owned]:
    """Owners of sub-accounts of Euler v2, by the connector that their (vault, account) names.

    A connector knows the owner of the 256 addresses that share its first 19 bytes once that owner used it.
    """
    markets = sorted({market for market, _ in asked})
    connectors = dict(zip(markets, addresses(pool, [(market, "EVC()", "") for market in markets]), strict=True))
    known = [(connector, account) for market, account in asked if (connector := connectors[market])]
    calls = [(connector, "getAccountOwner(address)", padded(account)) for connector, account in known]
    return {
        account: Owned(owner, "sub_account", "call:getAccountOwner")
        for (_, account), owner in zip(known, addresses(pool, calls), strict=True)
        if owner and owner != account
    }


def vaults(pool: Pool, chain: str, urns: Iterable[str]) -> dict[str, Owned]:
    "Owners of Maker's urns that the vault manager made, each confirmed by it."
    wanted, manager = set(urns), CDP_MANAGERS.get(chain)
    if not wanted or manager is None:
        return {}
    n_vaults = as_integer(pool.eth_calls([(manager, selector("cdpi()"), "latest")])[0]) or 0
    made = {created(manager, number): number for number in range(1, n_vaults + 1)}
    known = [(urn, made[urn]) for urn in sorted(wanted) if urn in made]
    confirmed = addresses(pool, [(manager, "urns(uint256)", f"{number:064x}") for _, number in known])
    owners = addresses(pool, [(manager, "owns(uint256)", f"{number:064x}") for _, number in known])
    return {
        urn: Owned(owner, "cdp", "call:owns")
        for (urn, _), told, owner in zip(known, confirmed, owners, strict=True)
        if told == urn and owner
    }


def proxies(pool: Pool, accounts: Sequence[str]) -> dict[str, Owned]:
    "Owners of those accounts that are a DSProxy: a contract that names an owner and the cache of its scripts."
    calls = [(account, name, "") for account in accounts for name in ("owner()", "cache()")]
    told = addresses(pool, calls)
    return {
        account: Owned(owner, "proxy", "call:owner")
        for account, owner, cache in zip(accounts, told[::2], told[1::2], strict=True)
        if owner and cache and owner != account
    }


def addresses(pool: Pool, calls: Sequence[tuple[str, str, str]]) -> list[str | None]:
    "The addresses that (contract, signature, argument in hex) answer, in order."
    asked: list[tuple[str, str, int | str]] = [
        (to, selector(name) + argument, "latest") for to, name, argument in calls
    ]
    return [as_address(answer) for answer in (pool.eth_calls(asked) if asked else [])]


def padded(address: str) -> str:
    "An address as one word in hex."
    return address[2:].rjust(64, "0")


def created(maker: str, nonce: int) -> str:
    "The address of the contract that `maker` made with its `nonce`-th CREATE (yellow paper, section 7): RLP of both, hashed."
    size = (nonce.bit_length() + 7) // 8
    number = bytes([nonce]) if 0 < nonce <= MOST_SMALL else bytes([MOST_SMALL + 1 + size]) + nonce.to_bytes(size)
    both = bytes([LIST_OF_ADDRESS]) + bytes.fromhex(maker[2:]) + number
    return "0x" + keccak256(bytes([0xC0 + len(both)]) + both)[12:].hex()
