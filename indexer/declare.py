"""What a protocol file declares: a Protocol of Mappings, Deployments and what must be read besides logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.builtin import perp_markets
from indexer.decode import LIMIT, RAW, digits, exact, floating, floor_division, hexadecimal, raw_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.abi import Event

__all__ = [
    "NATIVE",
    "NOBODY",
    "Call",
    "Deployment",
    "Group",
    "Join",
    "Mapping",
    "Protocol",
    "Read",
    "Sum",
    "coalesce",
    "col",
    "digits",
    "emitter",
    "exact",
    "floating",
    "floor_division",
    "hexadecimal",
    "json",
    "lit",
    "moved",
    "raw_word",
    "scaled",
    "text",
    "traded",
    "when",
    "whole",
]

coalesce = pl.coalesce
col = pl.col
lit = pl.lit
when = pl.when
emitter = hexadecimal(pl.col("address"))
NOBODY = pl.lit(None, dtype=pl.String)  # the event names no account
NATIVE = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"  # the chain's own coin where an event names no contract


def scaled(name: str, exponent: int) -> pl.Expr:
    "The integer column `name` divided by 10^exponent, as Float64."
    return pl.col(name).cast(pl.Float64) / 10.0**exponent


def whole(value: pl.Expr) -> pl.Expr:
    "A computed amount, rounded, as a raw amount; NULL where it is negative, no number or has 39 digits."
    fits = value.is_finite() & (value >= 0) & (value < float(LIMIT) / 2)
    return pl.when(fits).then(value.round()).cast(RAW)


def text(name: str) -> pl.Expr:
    "A bytes32 column (0x and digits) as the text it pads with zeros: an ilk, an old symbol."
    return (
        pl.col(name)
        .str.slice(2)
        .str.decode("hex")
        .bin.encode("hex")
        .str.replace(r"(00)+$", "")
        .str.decode("hex")
        .cast(pl.String)
    )


def traded(market: pl.Expr) -> pl.Expr:
    "The asset of a perp `market` of the row's venue; NULL where indexer/data/perp_markets.csv does not name it."
    key = pl.concat_str(pl.col("venue"), market.cast(pl.String), separator=":")
    return key.replace_strict(perp_markets(), default=None, return_dtype=pl.String)


def json(**columns: pl.Expr) -> pl.Expr:
    "A JSON object of `columns` as text, keys in name order."
    return pl.struct([column.alias(name) for name, column in sorted(columns.items())]).struct.json_encode()


class Deployment(NamedTuple):
    "A contract of the protocol on a chain; a fork is one more line under its own venue name."

    venue: str
    chain: str
    address: str  # EIP-55
    first_block: int | None = None  # None: no public source gives it
    last_block: int | None = None
    market: str | None = None  # what `liquidations.market` says where the emitter decides it


class Read(NamedTuple):
    "A contract read that logs do not replace, asked once an emitter (or once a market, see `of`) and kept in `markets`."

    signature: str  # for example underlying()
    into: str  # collateral_token, debt_token, or a name in markets.params
    type: str = "address"  # address, uint256, bytes32, string: what comes back
    of: str = "emitter"  # emitter, or the name of an address read before
    emits: Event | None = None  # the address read emits logs that are joined, filtered by Protocol.topics
    argument: int | None = None  # of a function that takes one number
    word: int = 0  # which word of the answer
    n_words: int | None = None  # an answer of another length is another contract's: nothing was read


class Join(NamedTuple):
    """Columns of another log of the same transaction, beside each row: `{event name}.{column}`, NULL where there is none.

    `on` pairs a column here with a column there; `emitter` is the address of the log. A log is joined once at most: the
    nearest later one (`direction` forward), the nearest earlier one (backward), or the first (any), where `on` is a key.
    """

    event: Event
    on: tuple[tuple[str, str], ...] = ()
    direction: str = "forward"
    where: pl.Expr | None = None  # which logs of `event` count
    is_across: bool = False  # in earlier transactions too: the nearest earlier log, wherever it is; `on` is a key


class Call(NamedTuple):
    """A call that the transaction must have made for its logs to give rows, with its arguments as `{function}.{argument}`.

    The called contract is the emitter, or answers the emitter to `of`. No log says what was called: transactions are asked
    for where they hold logs of `given` and none of `unless`.
    """

    signature: str  # of static arguments only
    names: tuple[str, ...]
    of: str  # for example vault()
    given: tuple[Event, ...] = ()
    unless: tuple[Event, ...] = ()

    @property
    def name(self) -> str:
        "The function's name, as columns are called."
        return self.signature.partition("(")[0]


class Sum(NamedTuple):
    "The sum of `column` over the logs of `event` that the group's closing log closes as well."

    name: str
    event: Event
    column: str
    where: pl.Expr | None = None


class Group(NamedTuple):
    """Rows of one act that end at one closing log: Comet's AbsorbDebt, Liquity's Liquidation.

    Adds the columns of the closing log as `{event name}.{column}`, `group.place` (0 for the first row of the act),
    `group.id` for window expressions, and the sums. `on` as in Join.
    """

    closed_by: Event
    on: tuple[tuple[str, str], ...] = ()
    sums: tuple[Sum, ...] = ()


@dataclass(frozen=True)
class Mapping:
    """What one event becomes: expressions over its decoded columns, by target table.

    `liquidation` gives columns of `liquidations` (the rest follows from the log's position and the deployment);
    `values` of `valuation_inputs`; `markets`, `rates`, `prices`, `owners` rows of those tables; `flow` a row of
    `flow_rows` (where the log does not name the token, `market` and `token_of` say whose it is); `emitters`
    announces further contracts (`address`, optional `venue`, `market`, `protocol`). `kind` is a kind or an expression.
    Logs for which `where` is not true give no row. A changed event is a second mapping with a block bound. `is_registry`:
    its logs are asked from the contract's first block, because later logs name what they announce (reserve ids).
    """

    event: Event
    kind: str | pl.Expr | None = None
    liquidation: dict[str, pl.Expr] | None = None
    values: dict[str, pl.Expr] = field(default_factory=dict)
    markets: dict[str, pl.Expr] | None = None
    rates: dict[str, pl.Expr] | None = None
    prices: dict[str, pl.Expr] | None = None
    flow: dict[str, pl.Expr] | None = None
    owners: dict[str, pl.Expr] | None = None
    emitters: dict[str, pl.Expr] | None = None
    where: pl.Expr | None = None
    joins: tuple[Join, ...] = ()
    groups: tuple[Group, ...] = ()
    call: Call | None = None
    is_registry: bool = False
    first_block: int | None = None
    last_block: int | None = None


def moved(
    event: Event, kind: str, owner: str, other: str, amount: str, token: str | pl.Expr | None = None, *,
    market: str | None = None, of: str = "debt_token", where: pl.Expr | None = None,
) -> Mapping:  # fmt: skip
    """The Mapping of a loan or bridge event: `kind` of `amount` between `other` and the contract.

    Names are columns: `owner` whose position or move it is, `other` who pays in (supply, repay, bridge_out) or receives,
    `token` where the log names it; else the token is the one that `markets` has as `of` for `market` (none: for the
    contract itself). Only logs for which `where` is true.
    """
    is_in = kind in {"supply", "repay", "bridge_out"}
    held = {"market": col(market) if market else emitter, "token_of": lit(of)}
    named = {"token": col(token)} if isinstance(token, str) else held if token is None else {"token": token}
    return Mapping(
        event=event,
        where=where,
        flow={
            "kind": lit(kind),
            "account": col(owner),
            "from_address": col(other) if is_in else emitter,
            "to_address": emitter if is_in else col(other),
            "amount_raw": col(amount),
            **named,
        },
    )


@dataclass(frozen=True)
class Protocol:
    "On-chain software with one liquidation rule: its name is the decoder's, `methodology` one sentence for the reader."

    name: str
    sector: str  # perp, lending or cdp; price or rate; of what only moves value: token, bridge, account
    methodology: str
    mappings: tuple[Mapping, ...]
    deployments: tuple[Deployment, ...] = ()
    supporting: tuple[Event, ...] = ()  # logs that are only joined
    lists: tuple[str, ...] = ()  # calls of a registry that return address[]: its markets, for example getAllMarkets()
    # or `count()->item(uint256)`, with +1 behind it where items count from 1
    reads: tuple[Read, ...] = ()
    market_read: tuple[str, tuple[str, ...]] | None = None  # call with a market's id, and what its words are
    id_read: str | None = (
        None  # call of an emitter with the id of a `{emitter}:{id}` market: its token is the first word
    )
    share_rate: str | None = None  # call of a collateral share that returns underlying for one share, times 10^18
    topics: dict[Event, tuple[tuple[str, ...] | None, ...]] = field(default_factory=dict)
    # `topics`: an event asked for by a filter of its own: topics 1 to 3, as 32-byte hex or names of addresses in `reads`
    beside: dict[Event, Event] = field(default_factory=dict)  # an event that contracts emit all day: asked for only in
    # blocks in which one of them emitted the other event
    notes: tuple[str, ...] = ()  # what is not measured, for the README's table
    decode: Callable[[pl.DataFrame], pl.DataFrame] | None = (
        None  # of events with dynamic data: adds columns, or `reason`
    )
    inflow: str | None = None  # kind of flow that a token transfer to one of its contracts is: bridge_out
    holds_positions: bool = (
        False  # its contracts are accounts of other protocols: rows there are of a protocol, no user
    )
    reads_for: tuple[str, ...] = ()  # decoders of other contracts whose logs it reads as well: a file may name them
    is_synthetic: str | None = None  # why the vectors are synthetic, where no real log is public

    @property
    def events(self) -> tuple[Event, ...]:
        "Every event whose logs are kept, in order of declaration."
        wanted = [mapping.event for mapping in self.mappings]
        wanted += self.supporting
        return tuple(dict.fromkeys(wanted))

    @property
    def flow_events(self) -> tuple[Event, ...]:
        "Events that are asked for with flows only: value that moved, and who owns an account."
        moved = [one.event for one in self.mappings if one.flow is not None or one.owners is not None]
        return tuple(event for event in dict.fromkeys(moved) if event not in self.act_events)

    @property
    def act_events(self) -> tuple[Event, ...]:
        "Events that liquidations, their prices and the contracts behind them need."
        wanted = [one.event for one in self.mappings if one.flow is None and one.owners is None]
        return tuple(dict.fromkeys([*wanted, *self.supporting]))
