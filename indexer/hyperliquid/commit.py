"""One hour of events into the store: liquidations, flows, positions and funding, with coverage and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from indexer import store
from indexer.hyperliquid import blocks, classify, contexts, fills, ledger, misc, placing, raws, scan, strays, write
from indexer.hyperliquid.archive import DAY_MS, HOUR_MS
from indexer.hyperliquid.plan import block_of, endpoint, moment

if TYPE_CHECKING:
    import duckdb

    from indexer.hyperliquid.archive import Object, Store
    from indexer.hyperliquid.plan import Selection, Unit
    from indexer.hyperliquid.reading import Hour, Part

SOURCE = classify.ARCHIVE
CONNECTION = {"connection": pl.String()}


class Extent(NamedTuple):
    "What an hour's files cover: until when, which blocks, by what proof; if not all of the hour: why, and how bad."

    until: int
    from_block: int | None
    to_block: int | None
    proof: str
    reason: str | None
    is_whole: bool
    is_in_order: bool


class Outcome(NamedTuple):
    "What was done for an hour, and the sentences a user should read."

    n_rows: int
    n_rejected: int
    is_whole: bool
    notes: list[str]


def extent(unit: Unit, own: list[Part], tail: list[Part], *, closed: bool) -> Extent:
    "What `own` and `tail` cover of `unit`."
    openings = [part.facts.opening for part in own if part.facts.opening]
    lasts = [part.facts.last for part in own if part.facts.last]
    followed = [part.facts.opening for part in tail if part.facts.opening]
    end = unit.hour + HOUR_MS
    seen = max((mark.time + 1 for mark in lasts), default=unit.since)
    broken = next((part.facts.broken for part in own if part.facts.broken), None)
    is_tail_whole = unit.is_followed_up() and not any(part.facts.broken for part in tail)
    is_tail_known = bool(tail) and (bool(followed) or is_tail_whole)
    reason, until, is_whole = None, unit.until, True
    if broken is not None:
        reason, until, is_whole = f"{broken}: get the file again", min(seen, unit.until), False
    elif not closed and seen < unit.until:
        reason, until, is_whole = "still being written: run again later", seen, False
    elif unit.needs_tail and not is_tail_known:
        reason, until = "the last arrivals are in the next hour's file", min(unit.until, end - scan.ARRIVAL_MS)
        is_whole = False
    first = min((block for mark in openings if (block := block_of(mark)) is not None), default=None)
    last = max((block for mark in lasts if (block := block_of(mark)) is not None), default=None)
    after = min((block for mark in followed if (block := block_of(mark)) is not None), default=None)
    last = after - 1 if after is not None and broken is None else last
    if first is not None and last is not None and last < first:  # numbers that do not rise are no numbers
        first = last = None
    is_envelope = all(mark.block is not None for mark in (*openings, *lasts))
    return Extent(
        max(until, unit.since),
        first,
        last,
        "archive_file" if is_envelope else "archive_file, blocks from hashes",
        reason,
        is_whole,
        broken is None,
    )


class Derived(NamedTuple):
    """What an hour's files say of its wanted part.

    Rows by table, records put aside by dataset, records kept as written, coins seen, the times of records that may lie
    outside wanted blocks by dataset, fills of other hours, and the sentences a user should read.
    """

    found: dict[write.Table, pl.DataFrame]
    rejected: dict[str, pl.DataFrame]
    raw_frames: pl.DataFrame
    coins: pl.DataFrame
    undecided: dict[str, list[int]]
    strays: pl.DataFrame
    notes: list[str]


def commit(
    connection: duckdb.DuckDBPyConnection, unit: Unit, hour: Hour, vaults: pl.DataFrame, selection: Selection
) -> Outcome:
    "Store what `hour` says of `unit`, in one transaction."
    derived = derive(connection, unit, hour, vaults, selection)
    with store.transaction(connection):
        n_rows, n_rejected = save(connection, unit, derived, selection)
        strays.save(connection, unit, derived.strays, vaults, selection)
        n_misc = sum(n_rows.values()) - n_rows["liquidations"]
        reaches = [
            cover(connection, unit, "fills", hour, (n_rows["liquidations"], n_rejected["fills"]), selection),
            cover(connection, unit, "misc_events", hour, (n_misc, n_rejected["misc_events"]), selection),
        ]
        mark_undecided(connection, derived.undecided)
    notes = [*derived.notes]
    notes += [f"after {moment(one.until):%H:%M:%S.%f}: {one.reason}" for one in reaches if one and one.reason]
    is_whole = all(one.is_whole for one in reaches if one) and not any(derived.undecided.values())
    return Outcome(sum(n_rows.values()), sum(n_rejected.values()), is_whole, notes)


def derive(
    connection: duckdb.DuckDBPyConnection, unit: Unit, hour: Hour, vaults: pl.DataFrame, selection: Selection
) -> Derived:
    "What `hour` says of the wanted part of `unit`, and what other hours' files say of it."
    updates = within(unit, from_files(unit, "misc_events", hour), misc.LEDGER_SCHEMA | CONNECTION)
    funding_lines = [part.misc.funding for part in (*hour.misc, *hour.misc_tail) if part.misc is not None]
    funding = placing.placed(within(unit, funding_lines, misc.FUNDING_SCHEMA), selection.blocks)
    said = ledger.read(updates.drop("connection"), SOURCE)
    flows = placing.placed(said.flows.with_columns(time=pl.col("flowed_at").dt.epoch("ms")), selection.blocks)
    files = from_files(unit, "fills", hour)
    known = pl.concat([within(unit, files, fills.SCHEMA | CONNECTION), strays.stored(connection, unit)])
    has_all = not known["block_number"].has_nulls()
    numbers = pl.col("block_number") if has_all else pl.coalesce("block_number", blocks.from_hash(known))
    candidates = placing.placed(known.with_columns(number=numbers), selection.blocks, "number")
    verdict = classify.classify(candidates.inside.drop("number"), vaults, said.liquidations)
    bad_updates = [placing.readable(said.rejected, selection.blocks), misc.broken_funding(funding.inside)]
    n_left = sum(strays.of_hour(unit, part.misc.ledger).height for part in hour.misc if part.misc is not None)
    foreign = pl.concat(
        [
            pl.DataFrame(schema=fills.SCHEMA),
            *(strays.of_hour(unit, part.fills) for part in hour.fills if part.fills is not None),
        ]
    )
    notes = [f"{verdict.n_odd} rows whose start position contradicts their side"] if verdict.n_odd else []
    notes += [f"{n_left} misc events of other hours than their file's left out"] if n_left else []
    unplaced = {"fills": candidates.undecided, "misc_events": pl.concat([funding.undecided, flows.undecided])}
    notes += [f"{times.len()} {dataset}: {placing.UNPLACED}" for dataset, times in unplaced.items() if times.len()]
    return Derived(
        {
            write.LIQUIDATIONS: verdict.rows,
            write.FLOWS: flows.inside.drop("time"),
            write.POSITIONS: misc.positions(funding.inside, SOURCE),
            write.FUNDING: misc.funding_rates(funding.inside, SOURCE),
        },
        {
            "fills": pl.concat([verdict.rejected, broken_lines(hour.fills)]),
            "misc_events": pl.concat([*bad_updates, broken_lines(hour.misc)]),
        },
        pl.concat([raws.of_fills(candidates.inside, SOURCE), raws.of_ledger(updates, SOURCE)]),
        candidates.inside.select("coin", "fee_token"),
        {dataset: times.to_list() for dataset, times in unplaced.items()},
        foreign,
        [*notes, *strays.notes(foreign, selection)],
    )


def save(
    connection: duckdb.DuckDBPyConnection, unit: Unit, derived: Derived, selection: Selection
) -> tuple[dict[str, int], dict[str, int]]:
    "Store what was derived in place of what the window had: rows by table, and records put aside by dataset."
    window = write.Window(moment(unit.since), moment(unit.until), selection.blocks)
    n_rows = {table.name: put(connection, table, rows, window) for table, rows in derived.found.items()}
    n_rejected = {name: write.reject(connection, SOURCE, rows) for name, rows in derived.rejected.items()}
    names = [raws.named(dataset, at) for dataset in ("fills", "misc_events") for at in (unit.hour, unit.hour + HOUR_MS)]
    write.keep_raw(connection, derived.raw_frames, window, names)
    write.markets(connection, derived.coins)
    return n_rows, n_rejected


def mark_undecided(connection: duckdb.DuckDBPyConnection, undecided: dict[str, list[int]]) -> None:
    "Write down the times of records that may or may not be in the wanted blocks."
    for dataset, times in undecided.items():
        if times:
            gap = {"from_at": moment(min(times)), "to_at": moment(max(times) + 1), "reason": placing.UNPLACED}
            write.mark_gap(connection, {"dataset": dataset} | gap)


def from_files(unit: Unit, dataset: str, hour: Hour) -> list[pl.DataFrame]:
    "The records of the hour's own files, then of the next one's, with the name of their file as `connection`."
    parts = (hour.fills, hour.fills_tail) if dataset == "fills" else (hour.misc, hour.misc_tail)
    named = []
    for at, group in zip((unit.hour, unit.hour + HOUR_MS), parts, strict=True):
        name = pl.lit(raws.named(dataset, at)).alias("connection")
        named += [part.fills.with_columns(name) for part in group if part.fills is not None]
        named += [part.misc.ledger.with_columns(name) for part in group if part.misc is not None]
    return named


def put(connection: duckdb.DuckDBPyConnection, table: write.Table, rows: pl.DataFrame, window: write.Window) -> int:
    "Store rows the way their table is keyed."
    if table in {write.LIQUIDATIONS, write.FLOWS}:
        return write.replace_ranked(connection, table, rows, window)
    return write.replace(connection, table, rows)


def within(unit: Unit, frames: list[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    "The rows of `frames` in the wanted part of the hour; rows without time only of the first frame, the hour's own."
    is_wanted = pl.col("time").is_between(unit.since, unit.until, closed="left")
    own = [frame.filter(is_wanted | pl.col("time").is_null()) for frame in frames[:1]]
    return pl.concat([pl.DataFrame(schema=pl.Schema(schema)), *own, *(frame.filter(is_wanted) for frame in frames[1:])])


def broken_lines(parts: list[Part]) -> pl.DataFrame:
    "The lines of the hour's own files that no node writes (block_number, reason, raw)."
    rows = [(None, reason, raw.decode(errors="replace")) for part in parts for reason, raw in part.facts.rejected]
    return pl.DataFrame(rows, schema={"block_number": pl.Int64, "reason": pl.String, "raw": pl.String}, orient="row")


def cover(
    connection: duckdb.DuckDBPyConnection,
    unit: Unit,
    dataset: str,
    hour: Hour,
    counts: tuple[int, int],
    selection: Selection,
) -> Extent | None:
    "Mark what the files of `dataset` prove of the hour, and what they leave open; None if it has no file."
    is_fills = dataset == "fills"
    own, tail = (hour.fills, hour.fills_tail) if is_fills else (hour.misc, hour.misc_tail)
    files = (unit.fills, unit.fills_tail) if is_fills else (unit.misc, unit.misc_tail)
    if not own:
        return None
    reach = extent(unit, own, tail, closed=unit.is_closed())
    if selection.blocks is not None and (reach.to_block or -1) >= selection.blocks.last and reach.is_in_order:
        reach = reach._replace(reason=None, is_whole=True)  # what arrives later has later blocks
    coverage = {
        "source": SOURCE,
        "dataset": dataset,
        "n_rows": counts[0],
        "n_rejected": counts[1],
        "proof": reach.proof,
        "endpoint": endpoint(*files),
    }
    ends = bounds(unit, reach, selection)
    write.cover(connection, coverage | ends)
    if ends["from_at"] is not None:
        write.clear_gaps(connection, SOURCE, dataset, moment(unit.since), moment(unit.until))
    if reach.reason is not None:
        gap = {"from_at": moment(reach.until), "to_at": moment(unit.until), "reason": reach.reason}
        write.mark_gap(connection, {"dataset": dataset} | gap)
    return reach


def bounds(unit: Unit, reach: Extent, selection: Selection) -> dict[str, object]:
    """The ends of a coverage row, in blocks and in time.

    A window that cuts the hour in time leaves the blocks open, one that cuts it in blocks leaves the times open.
    """
    times: dict[str, object] = {"from_at": moment(unit.since), "to_at": moment(reach.until)}
    first, last = reach.from_block, reach.to_block
    if selection.blocks is None:
        is_hour = unit.since == unit.hour and unit.until == unit.hour + HOUR_MS
        return times | ({"from_block": first, "to_block": last} if is_hour else {"from_block": None, "to_block": None})
    wanted = selection.blocks
    if first is not None and last is not None and wanted.first <= first and last <= wanted.last:
        return times | {"from_block": first, "to_block": last}
    return {
        "from_at": None,
        "to_at": None,
        "from_block": wanted.first if first is None else max(first, wanted.first),
        "to_block": wanted.last if last is None else min(last, wanted.last),
    }


def commit_contexts(
    connection: duckdb.DuckDBPyConnection, source: Store, item: Object, day: int, selection: Selection
) -> Outcome:
    "Store the wanted part of a day of asset contexts, in one transaction."
    since, until = max(day, selection.since), min(day + DAY_MS, selection.until)
    read = contexts.read_day(source.fetch(item), SOURCE)
    is_wanted = {
        table: pl.col(table.time).is_between(pl.lit(moment(since)), pl.lit(moment(until)), closed="left")
        for table in (write.OPEN_INTEREST, write.PRICES, write.FUNDING)
    }
    frames = {write.OPEN_INTEREST: read.open_interest, write.PRICES: read.prices, write.FUNDING: read.funding}
    found = {table: frame.filter(is_wanted[table]) for table, frame in frames.items()}
    reached = moment(until)
    if read.broken is not None:
        seen = read.open_interest.filter(is_wanted[write.OPEN_INTEREST])["observed_at"].to_list()
        reached = max(seen, default=moment(since))
    with store.transaction(connection):
        n_rows = sum(write.replace(connection, table, rows) for table, rows in found.items())
        n_rejected = write.reject(connection, SOURCE, read.rejected)
        coverage: dict[str, object] = {"source": SOURCE, "dataset": item.dataset, "endpoint": str(item)}
        coverage |= {"from_at": moment(since), "to_at": reached, "proof": "archive_file"}
        write.cover(connection, coverage | {"n_rows": n_rows, "n_rejected": n_rejected})
        write.clear_gaps(connection, SOURCE, item.dataset, moment(since), moment(until))
        if read.broken is not None:
            gap = {"from_at": reached, "to_at": moment(until), "reason": f"{read.broken}: get the file again"}
            write.mark_gap(connection, {"dataset": item.dataset} | gap)
    notes = [f"{item.key}: {read.broken}"] if read.broken else []
    return Outcome(n_rows, n_rejected, read.broken is None, notes)
