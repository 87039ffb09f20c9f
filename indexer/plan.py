"""What a run asks of a chain: contracts, filters and the ranges that no earlier run proved."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.derive import ROUTE_SCHEMA
from indexer.protocols import all_protocols
from indexer.ranges import Range, missing
from indexer.sources.evm_logs import LogFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from indexer.abi import Event

PRICES = "prices:chainlink"
PRICING = "prices:"  # datasets that value liquidations
TRANSFERS = "flows:transfers"
FLOW_SECTORS = ("token", "bridge", "account")
START_STEP = 10_000  # blocks
MOST_TOPICS = 500  # geth refuses more than 1,000 values in one topic position


class Member(NamedTuple):
    """One contract as one protocol reads it; `topics` are the 32-byte hex topic lists of a filter of its own, or none.

    With `tokens` it is an account instead, asked for as sender or receiver of those tokens. With `min_usd` only transfers
    of that value are kept.
    """

    address: str
    protocol: str
    venue: str
    dataset: str
    topic0s: tuple[str, ...]
    topics: tuple[tuple[str, ...] | None, ...] = ()
    tokens: tuple[str, ...] = ()
    min_usd: float | None = None

    @property
    def key(self) -> str:
        "Identity in `asked_members`: an event added to the protocol makes it another member."
        events = hashlib.sha256("|".join((*self.topic0s, repr(self.topics), *self.tokens)).encode()).hexdigest()[:8]
        threshold = "" if self.min_usd is None else f":{self.min_usd!r}"
        return f"{self.address}:{self.protocol}:{events}{threshold}"


class Segment(NamedTuple):
    "A stretch of blocks and the members it is to be asked for."

    block_range: Range
    members: tuple[Member, ...]


def topic(event: Event) -> str:
    "Topic0 as eth_getLogs wants it."
    return "0x" + event.topic0.hex()


def padded(address: str) -> str:
    "An address as a 32-byte topic."
    return "0x" + address[2:].rjust(64, "0")


def members(emitters: pl.DataFrame, feeds: pl.DataFrame, companions: Iterable[Member]) -> list[Member]:
    "Everything that is asked for liquidations and the prices that value them."
    found = []
    for row in emitters.to_dicts():
        protocol = all_protocols()[row["protocol"]]
        if protocol.sector in FLOW_SECTORS:
            continue
        apart = {*protocol.topics, *protocol.beside}
        own = [event for event in protocol.act_events if event not in apart]
        dataset = f"{PRICING}{row['venue']}" if protocol.sector == "rate" else f"liquidations:{row['venue']}"
        found.append(
            Member(row["address"], protocol.name, row["venue"], dataset, tuple(sorted({topic(event) for event in own})))
        )
        lists: dict[tuple[tuple[str, ...] | None, ...], set[str]] = {}
        for event, topics in protocol.topics.items():
            if not any(read.emits == event for read in protocol.reads):
                lists.setdefault(topics, set()).add(topic(event))
        found += [
            Member(row["address"], protocol.name, row["venue"], dataset, tuple(sorted(names)), topics)
            for topics, names in lists.items()
        ]
    found = [member for member in found if member.topic0s]
    answers = tuple(topic(event) for event in all_protocols()["chainlink"].events)
    found += [Member(address, "chainlink", "chainlink", PRICES, answers) for address in feeds["address"]]
    return [*found, *companions]


def registries(emitters: pl.DataFrame) -> list[tuple[Member, int | None]]:
    "Registries whose logs name further contracts or what ids mean, with the block from which they can."
    found = []
    for row in emitters.filter(pl.col("parent").is_null() & pl.col("market").is_null()).to_dicts():
        protocol = all_protocols()[row["protocol"]]
        naming = sorted(
            {
                topic(mapping.event)
                for mapping in protocol.mappings
                if mapping.emitters is not None or mapping.is_registry
            }
        )
        if naming:
            member = Member(row["address"], protocol.name, row["venue"], f"discovery:{row['venue']}", tuple(naming))
            found.append((member, row["first_block"]))
    return found


def alive(wanted: Iterable[tuple[Member, Range]], emitters: pl.DataFrame) -> list[tuple[Member, Range]]:
    """`wanted` without the blocks before a contract was announced by a log: no log of it is older.

    Starts are rounded down, so that contracts announced shortly after each other do not cut the range into slivers.
    """
    announced = emitters.filter((pl.col("source") == "event") & (pl.col("first_block") >= START_STEP))
    starts = {(row["address"], row["protocol"]): row["first_block"] for row in announced.to_dicts()}
    found = []
    for member, span in wanted:
        start = starts.get((member.address, member.protocol), 0) // START_STEP * START_STEP
        if start <= span.last:
            found.append((member, Range(max(start, span.first), span.last)))
    return found


def filters(asked: Sequence[Member]) -> list[LogFilter]:
    """The fewest filters that ask for every member.

    One merged, one for tokens read whole, one for each filter on an indexed argument, and two for accounts: as sender
    and as receiver.
    """
    own = [member for member in asked if member.topics]
    accounts = [member for member in asked if member.tokens]
    rest = [member for member in asked if not member.topics and not member.tokens]
    result = []
    for is_transfers in (False, True):
        merged = [member for member in rest if (member.dataset == TRANSFERS) == is_transfers]
        if merged:
            addresses = tuple(sorted({member.address for member in merged}))
            topics = tuple(sorted({name for member in merged for name in member.topic0s}))
            result.append(LogFilter(addresses, (topics,)))
    by_topics: dict[tuple[tuple[str, ...], tuple[tuple[str, ...] | None, ...]], set[str]] = {}
    for member in own:
        by_topics.setdefault((member.topic0s, member.topics), set()).add(member.address)
    result += [LogFilter(tuple(sorted(addresses)), (names, *lists)) for (names, lists), addresses in by_topics.items()]
    by_tokens: dict[tuple[tuple[str, ...], tuple[str, ...]], set[str]] = {}
    for member in accounts:
        by_tokens.setdefault((member.tokens, member.topic0s), set()).add(padded(member.address))
    for (tokens, names), everybody in by_tokens.items():
        ordered = sorted(everybody)
        for start in range(0, len(ordered), MOST_TOPICS):
            some = tuple(ordered[start : start + MOST_TOPICS])
            result += [LogFilter(tokens, (names, some)), LogFilter(tokens, (names, None, some))]
    return result


def pairs(asked: Iterable[Member]) -> pl.DataFrame:
    "What a log must be to belong to one of the members: `address` and `topic0`."
    rows = {
        (bytes.fromhex(address[2:]), bytes.fromhex(name[2:]))
        for member in asked
        for address in (member.tokens or (member.address,))
        for name in (*member.topic0s, *map(topic, all_protocols()[member.protocol].beside))
    }
    return pl.DataFrame(sorted(rows), schema={"address": pl.Binary, "topic0": pl.Binary}, orient="row")


def segments(wanted: Sequence[tuple[Member, Range]], asked: dict[str, list[Range]]) -> list[Segment]:
    "The parts of what is wanted that were not asked before, cut where the members change, in block order."
    gaps = [(member, gap) for member, span in wanted for gap in missing(span, asked.get(member.key, []))]
    edges = sorted({edge for _, gap in gaps for edge in (gap.first, gap.last + 1)})
    result: list[Segment] = []
    for first, after in itertools.pairwise(edges):
        inside = tuple(member for member, gap in gaps if gap.first <= first and gap.last >= after - 1)
        if not inside:
            continue
        if result and result[-1].members == inside and result[-1].block_range.last == first - 1:
            result[-1] = Segment(Range(result[-1].block_range.first, after - 1), inside)
        else:
            result.append(Segment(Range(first, after - 1), inside))
    return result


def routes(
    emitters: pl.DataFrame, feeds: pl.DataFrame, companions: Iterable[Member], parents: dict[str, str]
) -> pl.DataFrame:
    "Which protocol reads the logs of which address: ROUTE_SCHEMA. `feeds` has `rate_kind`; `parents` names a companion's emitter."
    rows = [
        (bytes.fromhex(row["address"][2:]), row["protocol"], row["venue"], row["market"], None, row["parent"])
        for row in emitters.to_dicts()
    ]
    rows += [
        (bytes.fromhex(row["address"][2:]), "chainlink", "chainlink", row["asset"], row["decimals"], row["rate_kind"])
        for row in feeds.to_dicts()
    ]
    rows += [
        (bytes.fromhex(one.address[2:]), one.protocol, one.venue, None, None, parents.get(one.address))
        for one in companions
    ]
    frame = pl.DataFrame(rows, schema=ROUTE_SCHEMA, orient="row")
    return frame.unique(["address", "protocol"], keep="first", maintain_order=True)
