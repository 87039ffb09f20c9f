"""What the file of an exchange declares: its feeds, units, completeness, and where they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["base", "contracts", "usd_contracts", "usd", "quote", "unknown"]
Clock = Literal["ms", "us", "s", "iso", "received"]
Transport = Literal["ws", "rest", "archive", "tardis", "coinglass"]

# What a side word names is the venue's business. As SQL over the column raw_side, so that a new word gives NULL and the
# record is rejected. ORDER: the word names the forced order. POSITION: it names the position that was closed.
ORDER = "CASE upper(raw_side) WHEN 'SELL' THEN 'long' WHEN 'BUY' THEN 'short' END"
POSITION = "CASE upper(raw_side) WHEN 'BUY' THEN 'long' WHEN 'SELL' THEN 'short' END"
# The sign of the size is that of the position.
SIGN = "CASE WHEN TRY_CAST(raw_size AS DOUBLE) > 0 THEN 'long' WHEN TRY_CAST(raw_size AS DOUBLE) < 0 THEN 'short' END"


@dataclass(frozen=True)
class Feed:
    """One shape of record a venue publishes.

    `frame` is SQL over `frame` (JSON): does a frame belong to this feed. `parents` and `records` are JSON paths that
    lead to the records: paths that do not fit a frame give nothing. `fields` names the text columns of a record and
    the paths they come from, the first that is there; a path starting `parent` or `frame` looks above the record.
    Columns with a meaning: market, raw_side, raw_size, raw_price, event_time, native_id. `where`, `side`, `kind`,
    `raw_side`, `size`, `native_id`, `stated_usd` and `id_suffix` are SQL over those columns. `size` is the text that
    gives the quantity, in the unit of the market's rule. With `is_side_list` `side` is a list: one row each.
    """

    name: str
    frame: str
    fields: dict[str, str | tuple[str, ...]]
    side: str
    price: str
    records: tuple[str, ...] = ("$",)
    parents: tuple[str, ...] = ()
    record_type: Literal["OBJECT", "ARRAY"] = "OBJECT"
    clock: Clock = "ms"
    where: str = "true"
    kind: str = "'market'"
    raw_side: str = "raw_side"
    size: str = "raw_size"
    native_id: str = "native_id"
    stated_usd: str = "NULL"
    id_suffix: str = "''"
    is_side_list: bool = False
    is_signed: bool = False
    transport: Transport = "ws"


@dataclass(frozen=True)
class Archive:
    "A CSV file of a venue: how its columns are read, its header, and where a day of a market is (a template)."

    feed: Feed
    columns: tuple[str, ...]
    url: str | None = None
    markets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """The unit of sizes in the markets that match `market` (a regular expression over the symbol), and its value.

    base: base units. contracts: `value` base units each. usd_contracts: `value` US dollars each. usd: US dollars.
    quote: quote currency. A value of None is asked of the venue's instruments; unknown there too means NULL, never a
    guess.
    """

    market: str
    unit: Unit
    origin: str
    value: float | None = None
    feeds: tuple[str, ...] = ()
    from_at: str | None = None
    to_at: str | None = None


@dataclass(frozen=True)
class Disclosure:
    "How complete a feed is between two instants (UTC, half-open), and on what evidence."

    completeness: str
    evidence: str
    feed: str | None = None
    market: str = ""
    from_at: str | None = None
    to_at: str | None = None


@dataclass(frozen=True)
class Instruments:
    "The venue's list of contracts: where it is, which frames are it, and which fields give the contract's value."

    url: str
    frame: str
    fields: dict[str, str | tuple[str, ...]]
    unit: str
    records: tuple[str, ...] = ("$.data[*]",)
    value: str = "value"


@dataclass(frozen=True)
class Stream:
    """How a venue is listened to: its address, what is sent to it, what keeps it alive, and when it is silent.

    `subscribe` are text frames; `{market}` is replaced by each wanted market. `ack` is SQL over `frame` (JSON): the
    subscription stands. `ping` is sent every `ping_seconds`; `pong` names the value of the venue's ping and the reply's
    template. A connection without any frame for `quiet_seconds` is dead: the interval ends at its last frame. One that
    lives but shows no liquidation for `liquidation_quiet_seconds` covers nothing since its last one. `part` tells the
    streams of one venue apart.
    """

    url: str
    part: str = ""
    subscribe: tuple[str, ...] = ()
    ack: str = "true"
    ping: str | None = None
    ping_seconds: float = 20.0
    pong: tuple[str, str] | None = None
    quiet_seconds: float = 60.0
    liquidation_quiet_seconds: float | None = None
    drops_first: bool = False
    markets: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """A REST endpoint with past liquidations: how a page is asked for and how the next one follows.

    `params` and the URL are templates over market, since, until (in units of `clock`) and limit. `n_records` and `cursor`
    are SQL over `page` (JSON): how many records it has (NULL: it is no page), and the instant of the last, in units of `clock`. A page with
    `limit` records is not the last: the next one begins at the cursor, or ends there with `is_newest_first`; without a
    cursor the window is halved. `refusal` is SQL for an error that comes with status 200. `kept_seconds` is how long the
    venue keeps records: nothing before the oldest one is proven. `serves` is a regular expression: the markets it has.
    """

    feed: str
    url: str
    params: dict[str, str]
    n_records: str
    clock: Clock = "ms"
    cursor: str | None = None
    is_newest_first: bool = False
    limit: int = 100
    window_seconds: int | None = None
    requests_per_minute: float = 60.0
    markets: tuple[str, ...] = ("",)
    kept_seconds: int | None = None
    serves: str = ""
    refusal: str = "NULL"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Venue:
    "One exchange: everything the indexer knows of it. `hides` says in one sentence what its feed leaves out."

    name: str
    venue_kind: Literal["cefi", "defi"]
    hides: str
    feeds: tuple[Feed, ...]
    rules: tuple[Rule, ...]
    disclosures: tuple[Disclosure, ...]
    quote: str | None = None
    archives: tuple[Archive, ...] = ()
    tardis: tuple[str, ...] = ()
    tardis_price: str = "trade"
    instruments: Instruments | None = None
    streams: tuple[Stream, ...] = ()
    histories: tuple[History, ...] = ()
    origins: tuple[str, ...] = field(default=())
