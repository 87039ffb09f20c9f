"""History over REST: what is not covered yet is asked page by page, each committed with what it covers."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer import venues
from indexer.cefi import decode, files, listing, write
from indexer.errors import NoEndpoint, RateLimited, Retryable, UserError
from indexer.ranges import Range, cut, missing
from indexer.sources.rest import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

    from indexer.feed import Archive, History, Venue

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - instants are naive UTC
UNITS = {"ms": 1, "s": 1000, "iso": 1}
FILES_AT_ONCE = 32
FRAME: dict[str, pl.DataType] = {
    "row": pl.Int64(),
    "received_at": pl.Datetime("us"),
    "market": pl.String(),
    "connection": pl.String(),
    "frame": pl.String(),
}


@dataclass(frozen=True)
class Window:
    """What is asked of a venue: a half-open window of markets, and where.

    `client` makes the HTTP client of a source; `now` ends the window and tells how far back a venue keeps its records.
    """

    since: datetime
    until: datetime
    markets: tuple[str, ...]
    narrate: Callable[[str], None]
    client: Callable[..., Client] = Client
    base_url: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None, microsecond=0))


class Hopeless(Retryable):
    "Asking the source for anything else is pointless for now."


class Page(NamedTuple):
    "One answer: is it the last of its window, and the instant (ms) of the record at its far end."

    is_last: bool
    cursor: int | None


def load(connection: duckdb.DuckDBPyConnection, venue: Venue, window: Window) -> int:
    """Fill the window from the venue's free history; 0, or 1 if parts could not be had (they are in `gaps`).

    Raises UserError for a venue without one, and what the source's refusals raise.
    """
    archives = [archive for archive in venue.archives if archive.url]
    if not venue.histories and not archives:
        able = ", ".join(
            one.name for one in venues.all_venues() if one.histories or any(archive.url for archive in one.archives)
        )
        raise UserError(
            f"{venue.name} has no free history: record it with `indexer follow cefi --venue {venue.name}`,"
            f" or import files; with history: {able}"
        )
    served = [history.serves for history in venue.histories] + [""] * len(archives)
    if strange := [one for one in window.markets if not any(re.search(pattern, one) for pattern in served)]:
        known = ", ".join(one for history in venue.histories for one in history.markets)
        raise UserError(f"{venue.name} has no history of {strange[0]}; pass a --market as the venue writes it: {known}")
    window = replace(window, until=min(window.until, window.now))
    if window.since >= window.until:
        raise UserError(f"the window is empty: since {window.since} is not before until {window.until}")
    n_left = 0
    asked = [
        (history, [one for one in window.markets or history.markets if re.search(history.serves, one)])
        for history in venue.histories
    ]
    for number, (history, markets) in enumerate(one for one in asked if one[1]):
        client = window.client(venue.name, requests_per_minute=history.requests_per_minute, base_url=window.base_url)
        try:
            note = learn_contracts(connection, venue, client) if number == 0 else None
            for market in markets:
                n_left += fill(connection, venue, history, market, window=window, client=client)
            if note:
                window.narrate(note)
        except Hopeless as error:
            window.narrate(f"{venue.name}: nothing more is asked for now: {error}")
            return 1
        finally:
            client.close()
    for archive in archives:
        client = window.client(venue.name, requests_per_minute=600.0, base_url=window.base_url)
        try:
            n_left += fetch_days(connection, venue, archive, window, client)
        finally:
            client.close()
    return int(n_left > 0)


def learn_contracts(connection: duckdb.DuckDBPyConnection, venue: Venue, client: Client) -> str | None:
    """Ask for the venue's list of contracts; what there is to say about it.

    Without a list sizes in contracts stay NULL, so a failure is no error.
    """
    if venue.instruments is None:
        return None
    try:
        body = client.get(venue.instruments.url)
    except (UserError, NoEndpoint, Retryable) as error:
        return f"{venue.name}: no list of contracts ({error}); sizes in unknown contracts stay NULL"
    put_frame(connection, body or b"", None)
    decode.from_frames(connection, venue, "frames")
    n_listed = listing.learn(connection, venue)
    return f"{venue.name}: {n_listed:,} contracts listed" if n_listed else None


def fill(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    history: History,
    market: str,
    *,
    window: Window,
    client: Client,
) -> int:
    "Ask for every uncovered part of the window; how many parts are left. Raises Hopeless once the source is out of reach."
    dataset = f"{venue.name}:{history.feed}" + (f":{market}" if market else "")
    source = f"{venue.name}_rest"
    n_left = 0
    for part in uncovered(connection, source, dataset, window):
        width = history.window_seconds * 1000 if history.window_seconds else part.n_blocks
        for piece in cut(part, width):
            kept_from = milliseconds(window.now) - history.kept_seconds * 1000 if history.kept_seconds else 0
            try:
                oldest = ask(
                    connection,
                    venue,
                    history,
                    market,
                    piece,
                    client=client,
                    span=(source, dataset),
                    kept_from=kept_from,
                )
                reason = f"{venue.name} keeps no older records" if oldest > piece.first else None
                left = Range(piece.first, min(oldest - 1, piece.last))
            except Retryable as error:
                reason, left = str(error), piece
            note_gap(connection, source, dataset, piece, left=left if reason else None, reason=reason)
            if reason:
                n_left += 1
                window.narrate(f"{dataset} {moment(left.first)} to {moment(left.last + 1)} is left: {reason}")
            if reason and is_hopeless(reason):
                raise Hopeless(reason)
    ((n_rows,),) = connection.sql(
        "SELECT count(*) FROM liquidations WHERE source = $source AND liquidated_at >= $since"
        " AND liquidated_at < $until AND ($market = '' OR market = $market OR market LIKE $market || '-%')",
        params={"source": source, "since": window.since, "until": window.until, "market": market},
    ).fetchall()
    window.narrate(f"{dataset}: {n_rows:,} rows in the window")
    return n_left


def is_hopeless(reason: str) -> bool:
    "Is asking on pointless for now."
    return any(words in reason for words in ("asked too often", "does not answer", "answers with something"))


def uncovered(connection: duckdb.DuckDBPyConnection, source: str, dataset: str, window: Window) -> list[Range]:
    "The parts of the window (milliseconds, inclusive) that no coverage row of the data set proves."
    rows = connection.sql(
        "SELECT epoch_ms(from_at), epoch_ms(to_at) FROM coverage WHERE source = $source AND dataset = $dataset",
        params={"source": source, "dataset": dataset},
    ).fetchall()
    done = [Range(first, last - 1) for first, last in rows if last > first]
    return missing(Range(milliseconds(window.since), milliseconds(window.until) - 1), done)


def ask(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    history: History,
    market: str,
    piece: Range,
    *,
    client: Client,
    span: tuple[str, str],
    kept_from: int,
) -> int:
    """Ask for `piece` until it is whole, each page committed; the first millisecond that is proven.

    A full page leads on from its cursor; without a cursor its window is halved. `kept_from` is the oldest instant that
    the venue still keeps; records older than that prove more.
    """
    unit = UNITS[history.clock]
    todo = [piece]
    oldest = piece.first
    while todo:
        one = todo.pop()
        page = ask_page(connection, venue, history, market, window=one, client=client)
        proven, rest = one, None
        if not page.is_last and page.cursor is None:
            middle = (one.first + one.last) // 2 // unit * unit
            if one.n_blocks > unit and one.first <= middle < one.last:
                todo += [Range(middle + 1, one.last), Range(one.first, middle)]
                continue
        elif not page.is_last and page.cursor is not None:
            proven, rest = lead_on(one, page.cursor, is_newest_first=history.is_newest_first)
        if rest is None and kept_from:
            oldest = max(one.first, kept_from if page.cursor is None else min(page.cursor, kept_from))
            proven = Range(oldest, proven.last)
        commit(connection, venue, proven, span, client)
        if rest is not None:
            todo.append(rest)
    return oldest


def lead_on(one: Range, cursor: int, *, is_newest_first: bool) -> tuple[Range, Range | None]:
    "What a full page proves of the window it was asked for, and what is left; records at the cursor are asked again."
    if is_newest_first:
        if cursor < one.first:
            return one, None
        last = min(cursor, one.last - 1)
        return Range(last + 1, one.last), Range(one.first, last) if last >= one.first else None
    first = max(cursor, one.first + 1)
    return Range(one.first, first - 1), Range(first, one.last) if first <= one.last else None


def ask_page(
    connection: duckdb.DuckDBPyConnection,
    venue: Venue,
    history: History,
    market: str,
    *,
    window: Range,
    client: Client,
) -> Page:
    "Ask for one page and decode it into the temp tables `decoded` and `refused`."
    stated = {
        "market": market,
        "since": written_as(window.first, history.clock),
        "until": written_as(window.last + 1, history.clock),
        "limit": str(history.limit),
    }
    params = {name: template.format(**stated) for name, template in history.params.items()}
    body = client.get(history.url.format(**stated), {name: value for name, value in params.items() if value})
    if body is None:
        raise UserError(f"{venue.name} has no history of {market or 'this'}; pass a --market as the venue writes it")
    put_frame(connection, body, market)
    valid = connection.sql("SELECT json_valid(frame) FROM frames").fetchall()
    if valid != [(True,)]:
        raise Retryable(f"{venue.name} answers with something that is not JSON; run again later")
    ((n_records, cursor, refusal),) = connection.sql(
        f"SELECT {history.n_records}, {history.cursor or 'NULL'}, {history.refusal} FROM"
        " (SELECT frame::JSON AS page FROM frames)"
    ).fetchall()
    if refusal:
        raise refused(venue.name, str(refusal))
    if n_records is None:
        raise Retryable(f"{venue.name} answers with something unexpected ({one_line(body)}); run again later")
    decode.from_frames(connection, venue, "frames")
    decode.price(connection, venue, write.instruments(connection, venue))
    return Page(int(n_records) < history.limit, None if cursor is None else read_as(str(cursor), history.clock))


def refused(name: str, words: str) -> UserError | RateLimited:
    "The error for a refusal that came with status 200, by the venue's own words."
    line = one_line(words)
    if any(word in line.lower() for word in ("too many", "too frequent", "rate limit", "ratelimit")):
        return RateLimited(f"{name} is asked too often ({line}); run again in a minute", 60.0)
    return UserError(f"{name} refuses the request: {line}")


def one_line(said: str | bytes) -> str:
    "The beginning of what a source says, in one line."
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:200]


def commit(
    connection: duckdb.DuckDBPyConnection, venue: Venue, proven: Range, span: tuple[str, str], client: Client
) -> None:
    "Store the page with the stretch that it proves."
    source, dataset = span
    first, last = moment(proven.first), moment(proven.last + 1)
    ((n_rows, n_refused),) = connection.sql(
        "SELECT (SELECT count(*) FROM decoded WHERE liquidated_at >= $first AND liquidated_at < $last),"
        " (SELECT count(*) FROM refused)",
        params={"first": first, "last": last},
    ).fetchall()
    host = client.placed(f"https://{venue.name}").split("/")[2]
    one = write.Span(source, dataset, first, last, n_rows, n_refused, "rest", host)
    write.write(connection, venue, [one] if first < last else [], write.RAW_FRAMES)


def note_gap(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    dataset: str,
    asked: Range,
    *,
    left: Range | None,
    reason: str | None,
) -> None:
    "Forget the gaps inside what was asked; keep the one that is left with its reason."
    connection.execute(
        "DELETE FROM gaps WHERE source = ? AND dataset = ? AND from_at >= ? AND to_at <= ?",
        [source, dataset, moment(asked.first), moment(asked.last + 1)],
    )
    if left is not None:
        connection.execute(
            "INSERT INTO gaps BY NAME SELECT ? AS source, ? AS dataset, ? AS from_at, ? AS to_at, ? AS reason",
            [source, dataset, moment(left.first), moment(left.last + 1), reason],
        )


def put_frame(connection: duckdb.DuckDBPyConnection, body: bytes, market: str | None) -> None:
    "The temp table `frames` with one answer; a REST answer has no receive time, so that asking twice stores the same."
    frame = pl.DataFrame([(1, None, market, None, body.decode("utf-8", "replace"))], schema=FRAME, orient="row")
    connection.register("incoming_frame", frame.to_arrow())
    connection.execute("CREATE OR REPLACE TEMP TABLE frames AS SELECT * FROM incoming_frame")
    connection.unregister("incoming_frame")


def fetch_days(
    connection: duckdb.DuckDBPyConnection, venue: Venue, archive: Archive, window: Window, client: Client
) -> int:
    "Fetch and import the daily files of the window that are not covered; how many days there was no file of."
    n_left = 0
    source = f"{venue.name}_archive"
    for market in window.markets or archive.markets:
        dataset = f"{venue.name}:{archive.feed.name}:{market}"
        days = list(days_of(uncovered(connection, source, dataset, window)))
        for first in range(0, len(days), FILES_AT_ONCE):
            with tempfile.TemporaryDirectory() as folder:
                paths = []
                for day in days[first : first + FILES_AT_ONCE]:
                    url = str(archive.url).format(market=market, day=f"{day:%Y-%m-%d}")
                    body = client.get(url)
                    whole = Range(milliseconds(day), milliseconds(day + timedelta(days=1)) - 1)
                    reason = None if body is not None else "the archive has no file of this day"
                    note_gap(connection, source, dataset, whole, left=whole if reason else None, reason=reason)
                    if body is None:
                        n_left += 1
                        window.narrate(f"{dataset} {day:%Y-%m-%d} is left: {reason}")
                        continue
                    path = Path(folder) / url.rpartition("/")[2]
                    path.write_bytes(body)
                    paths.append(path)
                files.load(connection, venue, paths, window.narrate)
    return n_left


def days_of(parts: list[Range]) -> Iterator[datetime]:
    "The days (UTC) that the parts touch, each once."
    seen = None
    for part in parts:
        day = moment(part.first).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= moment(part.last):
            if day != seen:
                yield day
            seen, day = day, day + timedelta(days=1)


def milliseconds(instant: datetime) -> int:
    "Milliseconds since 1970 of a naive UTC instant."
    return (instant - EPOCH) // timedelta(milliseconds=1)


def moment(millisecond: int) -> datetime:
    "The naive UTC instant of a number of milliseconds."
    return EPOCH + timedelta(milliseconds=millisecond)


def written_as(millisecond: int, clock: str) -> str:
    "An instant as the endpoint takes it."
    if clock == "iso":
        return moment(millisecond).isoformat(timespec="milliseconds") + "Z"
    return str(-(-millisecond // UNITS[clock]))


def read_as(text: str, clock: str) -> int:
    "Milliseconds of an instant as the endpoint writes it."
    if clock == "iso":
        return milliseconds(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None))
    return int(float(text)) * UNITS[clock]
