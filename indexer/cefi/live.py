"""The recorder: frames of websockets into the store every few seconds, with what each connection covers."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from indexer import store, venues
from indexer.cefi import decode, files, rest, write
from indexer.errors import UserError
from indexer.sources.rest import Client
from indexer.sources.websocket import Event, Line, connector, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from indexer.feed import Venue

TICK = timedelta(milliseconds=1)
FRAMES: dict[str, pl.DataType] = {
    "row": pl.Int64(),
    "received_at": pl.Datetime("us"),
    "market": pl.String(),
    "connection": pl.String(),
    "frame": pl.String(),
}
# A frame that says no to a subscription, in the words of every venue here.
REFUSES = "(frame ->> '$.event') = 'error' OR (frame ->> '$.success') = 'false' OR (frame ->> '$.error') IS NOT NULL"


@dataclass
class Connection:
    "What is known of one connection: since when its subscription stands, when it last lived, what it covers."

    name: str
    venue: Venue
    line: Line
    opened_at: datetime
    acked_at: datetime | None = None
    alive_at: datetime | None = None
    liquidated_at: datetime | None = None
    has_first: bool = False
    is_silent: bool = False
    silent_since: datetime | None = None
    n_rows: dict[str, int] = field(default_factory=dict)


def follow(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    narrate: Callable[[str], None],
    *,
    markets: Sequence[str] = (),
    base_url: str | None = None,
    until: datetime | None = None,
    commit_seconds: float = 2.0,
    backoff_seconds: float = 1.0,
    stop: threading.Event | None = None,
    learns_contracts: bool = True,
) -> int:
    """Record the venues until `until` or `stop`; 0, or 1 if a feed was never acknowledged or ended silent.

    Raises UserError for a venue without a stream, or without the extra `live`.
    """
    connector()
    chosen = [venues.get(name) for name in names]
    for venue in chosen:
        if not venue.streams:
            raise UserError(f"{venue.name} has no live stream; import files instead")
    if learns_contracts:
        for venue in chosen:
            learn_contracts(connection, venue, narrate)
    stop = stop or threading.Event()
    events: queue.Queue[Event] = queue.Queue()
    lines = {
        line.name: (venue, line)
        for venue in chosen
        for number, stream in enumerate(venue.streams, 1)
        for line in (
            Line(f"{venue.name}/{number}", stream, tuple(markets) or stream.markets, base_url, backoff_seconds),
        )
    }
    threads = [
        threading.Thread(target=listen, args=(line, events, stop), name=line.name, daemon=True)
        for _, line in lines.values()
    ]
    for thread in threads:
        thread.start()
    recorder: dict[str, Connection] = {}
    try:
        while not stop.is_set() and (until is None or now() < until):
            stop.wait(commit_seconds)
            commit(connection, recorder, lines, drained(events), narrate=narrate)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5)
        commit(connection, recorder, lines, drained(events), narrate=narrate)
    heard = {one.line.name for one in recorder.values() if one.acked_at}
    for name in lines.keys() - heard:
        narrate(f"{name}: the subscription was never acknowledged; nothing of it is covered")
    is_silent = {one.line.name: one.is_silent for one in recorder.values()}
    return int(bool(lines.keys() - heard) or any(is_silent.values()))


def learn_contracts(connection: duckdb.DuckDBPyConnection, venue: Venue, narrate: Callable[[str], None]) -> None:
    "Ask the venue for its list of contracts once."
    client = Client(venue.name, requests_per_minute=60.0)
    try:
        if note := rest.learn_contracts(connection, venue, client):
            narrate(note)
    finally:
        client.close()


def drained(events: queue.Queue[Event]) -> list[Event]:
    "Everything in the queue."
    taken = []
    while True:
        try:
            taken.append(events.get_nowait())
        except queue.Empty:
            return taken


def commit(
    connection: duckdb.DuckDBPyConnection,
    recorder: dict[str, Connection],
    lines: dict[str, tuple[Venue, Line]],
    events: Sequence[Event],
    *,
    narrate: Callable[[str], None],
) -> None:
    "Store what happened since the last commit: frames as received first, then what they say and what is covered."
    for event in events:  # connections come and go a few times an hour; frames are taken whole below
        if event.kind == "open":
            venue, line = lines[event.connection.partition("#")[0]]
            recorder[event.connection] = Connection(event.connection, venue, line, instant(event.at_ns))
    frames = pl.DataFrame(
        [(event.connection, event.at_ns, event.text) for event in events if event.kind == "frame"],
        schema={"connection": pl.String, "at_ns": pl.Int64, "frame": pl.String},
        orient="row",
    ).with_columns(venue=pl.col("connection").str.split("/").list.first())
    by_venue = {str(key[0]): part for key, part in frames.partition_by("venue", as_dict=True).items()}
    for venue in {one.venue.name: one.venue for one in recorder.values()}.values():
        own = [one for one in recorder.values() if one.venue.name == venue.name]
        if venue.name in by_venue:
            store_frames(connection, venue, own, by_venue[venue.name], narrate=narrate)
        else:
            mark(connection, own, narrate)
    for event in events:
        if event.kind == "close":
            lost = recorder[event.connection]
            narrate(f"{lost.name} ended: {event.text}")
            if event.text != "stopped":
                note_gap(connection, lost, lost.alive_at or lost.opened_at, instant(event.at_ns), event.text)
            del_if_replaced(recorder, lost)


def del_if_replaced(recorder: dict[str, Connection], lost: Connection) -> None:
    "Forget ended connections but the last of each line, whose state is the line's verdict."
    for one in [one for one in recorder.values() if one.line.name == lost.line.name and one is not lost]:
        if number(one.name) < number(lost.name) and (lost.acked_at or not one.acked_at):
            del recorder[one.name]


def number(name: str) -> int:
    "The number of a connection within its line."
    return int(name.rpartition("#")[2])


def store_frames(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    own: Sequence[Connection],
    received: pl.DataFrame,
    *,
    narrate: Callable[[str], None],
) -> None:
    "Store the frames of one venue and what they say; if the decoder fails, the frames are kept as they came."
    framed = received.with_row_index("row").select(
        pl.col("row").cast(pl.Int64),
        received_at=(pl.col("at_ns") // 1000).cast(pl.Datetime("us")),
        market=pl.lit(None, dtype=pl.String),
        connection=pl.col("connection"),
        frame=pl.col("frame"),
    )
    connection.register("incoming_frames", framed.to_arrow())
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE frames AS SELECT * FROM incoming_frames WHERE frame NOT IN ('pong', 'ping')"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE heard AS SELECT connection, received_at FROM incoming_frames")
    connection.unregister("incoming_frames")
    try:
        decode.from_frames(connection, venue, "frames")
        decode.price(connection, venue, write.instruments(connection, venue))
    except duckdb.Error:
        connection.execute(RAW_FIRST.format(belongs=files.belongs(venue)), {"source": f"{venue.name}_ws"})
        raise
    for one in own:
        observe(connection, one, narrate)
    written = write.write(connection, venue, [span for one in own for span in spans(one, narrate)], write.RAW_FRAMES)
    note_silences(connection, own)
    if written.n_new or written.rejected:
        narrate(f"{venue.name}: {written}")


RAW_FIRST = """
INSERT INTO raw_frames BY NAME SELECT $source AS source, received_at, market, connection, frame FROM frames
WHERE row IN (SELECT row FROM (SELECT row, frame::JSON AS frame FROM frames WHERE json_valid(frame)) WHERE {belongs})
"""


def observe(connection: duckdb.DuckDBPyConnection, one: Connection, narrate: Callable[[str], None]) -> None:
    "Take from the temp tables of this commit what they say of one connection."
    ((alive_at,),) = connection.sql(
        "SELECT max(received_at) FROM heard WHERE connection = $name", params={"name": one.name}
    ).fetchall()
    if alive_at is None:
        return
    one.alive_at = alive_at
    ((acked_at, refusal),) = connection.sql(
        f"SELECT min(received_at) FILTER ({one.line.stream.ack}), any_value(frame::VARCHAR) FILTER ({REFUSES})"
        " FROM known_frames WHERE row IN (SELECT row FROM frames WHERE connection = $name)",
        params={"name": one.name},
    ).fetchall()
    if refusal:
        narrate(f"{one.name}: the venue refuses: {str(refusal)[:200]}")
    one.acked_at = one.acked_at or acked_at
    if one.line.stream.drops_first and not one.has_first:
        drop_old_first(connection, one)
    for market, n_rows, liquidated_at in connection.sql(
        "SELECT decoded.market, count(*), max(received_at) FROM decoded WHERE row IN"
        " (SELECT row FROM frames WHERE connection = $name) GROUP BY decoded.market",
        params={"name": one.name},
    ).fetchall():
        key = market if one.line.markets else ""
        one.n_rows[key] = one.n_rows.get(key, 0) + n_rows
        one.liquidated_at = max(filter(None, (one.liquidated_at, liquidated_at)))


def drop_old_first(connection: duckdb.DuckDBPyConnection, one: Connection) -> None:
    "Take the first record out of `decoded` if it is older than the connection: a venue may repeat an old one."
    first = connection.sql(
        "SELECT min(row) FROM decoded WHERE row IN (SELECT row FROM frames WHERE connection = $name)",
        params={"name": one.name},
    ).fetchall()[0][0]
    if first is not None:
        one.has_first = True
        connection.execute("DELETE FROM decoded WHERE row = ? AND liquidated_at < ?", [first, one.opened_at])


def spans(one: Connection, narrate: Callable[[str], None]) -> list[write.Span]:
    "What the connection covers: from the acknowledgement to its last frame, or to its last liquidation while it is silent."
    if one.acked_at is None or one.alive_at is None or one.alive_at < one.acked_at:
        return []
    end = one.alive_at
    bound = one.line.stream.liquidation_quiet_seconds
    since = one.liquidated_at or one.acked_at
    was_silent, one.is_silent = one.is_silent, bool(bound and (end - since).total_seconds() > bound)
    one.silent_since = since if one.is_silent else None
    if one.is_silent:
        end = since
        if not was_silent:
            narrate(
                f"{one.name}: alive but no liquidation for {bound:g} s: not covered since {since:%Y-%m-%d %H:%M:%S}"
            )
    elif was_silent:
        one.acked_at, one.n_rows = one.liquidated_at or one.acked_at, {}
    return [
        write.Span(
            f"{one.venue.name}_ws",
            dataset,
            one.acked_at,
            end + TICK,
            one.n_rows.get(dataset.rpartition(":")[2] if one.line.markets else "", 0),
            0,
            "connection",
            one.name,
        )
        for dataset in datasets(one)
    ]


def datasets(one: Connection) -> list[str]:
    "What the connection listens to: one data set a market, or one for all."
    feed = next(feed.name for feed in one.venue.feeds if feed.transport == "ws")
    part = f":{one.line.stream.part}" if one.line.stream.part else ""
    return [f"{one.venue.name}:{feed}:{market}" for market in one.line.markets] or [f"{one.venue.name}:{feed}{part}"]


def mark(connection: duckdb.DuckDBPyConnection, own: Iterable[Connection], narrate: Callable[[str], None]) -> None:
    "Commit what the connections cover when nothing arrived: a silence may have become too long."
    found = [span for one in own for span in spans(one, narrate)]
    if found:
        with store.transaction(connection):
            write.cover(connection, found)
    note_silences(connection, own)


def note_silences(connection: duckdb.DuckDBPyConnection, own: Iterable[Connection]) -> None:
    "List the silence of each silent connection, as long as it lasts."
    for one in own:
        if one.silent_since and one.alive_at:
            reason = f"alive but no liquidation for {one.line.stream.liquidation_quiet_seconds:g} s"
            note_gap(connection, one, one.silent_since, one.alive_at, reason)


def note_gap(
    connection: duckdb.DuckDBPyConnection, one: Connection, first: datetime, last: datetime, reason: str
) -> None:
    "List a stretch in which the connection covers nothing, in place of what begins at the same instant."
    with store.transaction(connection):
        for dataset in datasets(one):
            key = [f"{one.venue.name}_ws", dataset, first]
            connection.execute("DELETE FROM gaps WHERE source = ? AND dataset = ? AND from_at = ?", key)
            connection.execute(
                "INSERT INTO gaps BY NAME SELECT ? AS source, ? AS dataset, ? AS from_at, ? AS to_at, ? AS reason",
                [*key, max(first, last), f"{one.name}: {reason}"],
            )


def instant(at_ns: int) -> datetime:
    "The naive UTC instant of a number of nanoseconds."
    return datetime(1970, 1, 1) + timedelta(microseconds=at_ns // 1000)  # noqa: DTZ001 - instants are naive UTC


def now() -> datetime:
    "The present, naive UTC."
    return datetime.now(UTC).replace(tzinfo=None)
