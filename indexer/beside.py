"""Logs that mean something only beside another log: asked for in its blocks, once that log has been found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from indexer.plan import topic
from indexer.protocols import all_protocols
from indexer.ranges import Range
from indexer.sources.evm_logs import Fetched, Gap, LogFilter, fetch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from indexer.plan import Member
    from indexer.rpc import Pool


def completed(
    pool: Pool, pieces: Iterator[Fetched | Gap], members: Sequence[Member]
) -> Generator[Fetched | Gap, None, None]:
    """The pieces with the logs that `Protocol.beside` of the members declares, in order.

    A piece whose further logs cannot be proven, or are of another branch of the chain, is a Gap.
    """
    wanted = causes(members)
    for piece in pieces:
        yield piece if isinstance(piece, Gap) or not wanted else with_logs(pool, piece, wanted)


def causes(members: Sequence[Member]) -> list[tuple[tuple[str, ...], str, str]]:
    "Contracts, topic0 of the log that must be there, and topic0 of what is then asked of the same contracts."
    found: dict[tuple[str, str], set[str]] = {}
    for member in members:
        for event, cause in all_protocols()[member.protocol].beside.items():
            if topic(cause) in member.topic0s:
                found.setdefault((topic(cause), topic(event)), set()).add(member.address)
    return [(tuple(sorted(addresses)), cause, event) for (cause, event), addresses in found.items()]


def with_logs(pool: Pool, piece: Fetched, wanted: Sequence[tuple[tuple[str, ...], str, str]]) -> Fetched | Gap:
    "One piece and what stands beside its logs."
    for addresses, cause, event in wanted:
        is_cause = (pl.col("topic0") == bytes.fromhex(cause[2:])) & pl.col("address").is_in(
            [bytes.fromhex(address[2:]) for address in addresses]
        )
        hashes = dict(piece.logs.filter(is_cause).select("block_number", "block_hash").unique().rows())
        ranges = [Range(block, block) for block in sorted(hashes)]
        if not ranges:
            continue
        for more in fetch(pool, ranges, [LogFilter(addresses, ((event,),))], workers=1):
            if isinstance(more, Gap):
                return Gap(piece.block_range, more.reason)
            known = hashes.get(more.block_range.first)
            if known is not None and "0x" + known.hex() != more.first.hash:
                return Gap(piece.block_range, f"block {more.block_range.first} was replaced meanwhile; run again")
            logs = pl.concat([piece.logs, more.logs]).unique(["block_number", "log_index"])
            piece = piece._replace(logs=logs.sort("block_number", "log_index"))
    return piece
