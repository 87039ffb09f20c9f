"""The loop over block ranges: plan, fetch, derive, write, then read what logs do not say and value."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer import calls, discovery, flow_plan, flow_values, pricing, store
from indexer.beside import completed
from indexer.chains import CHAINS
from indexer.deployments import Catalogue, catalogue
from indexer.derive import derive, looked_back
from indexer.errors import EndpointUnusable, UserError
from indexer.ownership import read_owners
from indexer.plan import PRICING, Member, Segment, alive, filters, members, pairs, registries, routes, segments
from indexer.proof import mark, note_gap, stretches
from indexer.ranges import Range, merge
from indexer.scope import Scope, prepare, refreshed
from indexer.sources.evm_logs import WIDTH, Fetched, Gap, fetch, plan
from indexer.stale import replace
from indexer.valuing import Valuer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import duckdb

    from indexer.narration import Narrate
    from indexer.options import EvmOptions
    from indexer.rpc import Header, Pool

COMMIT_LOGS = 20_480  # one transaction holds about so many logs
ROW_GROUP = 20_480  # rows; a commit holds at least one such group, which then goes to the file at once
COMMIT_SECONDS = 5.0
MEMORY = "64MB"  # of the database while indexing: what does not fit is spilled beside the file
UNKNOWN_BLOCK_SECONDS = 12.0


def run(path: str | Path, options: EvmOptions, pool: Pool, narrate: Narrate) -> int:
    "See backfill.evm."
    known = catalogue(options.chain, options.protocols, options.deployments)
    if "flows" in options.datasets:
        known = flow_plan.with_tokens(known, options.tokens, options.protocols)
    for note in known.notes:
        narrate(note)
    if known.emitters.is_empty():
        raise UserError(
            f"no contract known on {options.chain} for {', '.join(options.protocols) or 'any protocol'}; add a --deployments file"
        )
    head, final = pool.head("latest"), pool.head("finalized")
    wanted, left = block_range(options, known, head, final)
    if left:
        narrate(left)
    if options.dry_run:
        return dry_run(path, options, pool, known, wanted, narrate)
    connection = store.connect(path, row_group=ROW_GROUP)
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET wal_autocheckpoint = '256MB'")
    connection.execute("SET threads = 1")  # the other core fetches and parses
    try:
        pool.recall(stored_endpoints(connection, options.chain))
        scope = prepare(connection, pool, known, wanted, final.number)
        scope = scope._replace(has_flows="flows" in options.datasets, min_usd=options.min_usd)
        failed = index(connection, pool, scope, options, narrate, Valuer(connection, known.chain))
        with store.transaction(connection):
            save_endpoints(connection, options.chain, pool)
        finish(connection, pool, scope, narrate)
        if "owners" in options.datasets:
            with store.transaction(connection):
                n_found = read_owners(connection, pool, known.chain, wanted)
            narrate(f"{known.chain}: owners of {n_found} more accounts found")
    finally:
        connection.close()
    return 1 if failed or left else 0


def block_range(options: EvmOptions, known: Catalogue, head: Header, final: Header) -> tuple[Range, str | None]:
    "The range to index and, where the chain is shorter than asked, a line that says what is left."
    first = options.from_block
    if first is None:
        starts = [block for block in known.emitters["first_block"] if block is not None]
        first = min(starts) if starts else 0
    if first > head.number:
        raise UserError(f"--from-block {first} is beyond the head of {known.chain} ({head.number}); give a lower one")
    tags: dict[object, int] = {None: final.number, "finalized": final.number, "latest": head.number}
    last = tags[options.to_block] if not isinstance(options.to_block, int) else options.to_block
    left = None
    if last > head.number:
        left = f"{known.chain} is at block {head.number}: {head.number + 1}..{last} is left; run again when it is there"
        last = head.number
    if first > last:
        raise UserError(
            f"nothing to index: the range {first}..{last} is empty (finalized is {final.number}); pass --to-block latest"
        )
    return Range(first, last), left


def work(connection: duckdb.DuckDBPyConnection, scope: Scope) -> list[Segment]:
    "What is left to ask: registries from their first block, everything else in the wanted range, prices a little earlier."
    wanted = [
        (member, Range(min(first or 0, scope.wanted.first), scope.wanted.first - 1))
        for member, first in registries(scope.emitters)
        if member.address not in scope.settled and (first or 0) < scope.wanted.first
    ]
    early = max(0, scope.wanted.first - lookback(connection, scope.known.chain))
    for member in members(scope.emitters, scope.feeds, scope.companions):
        first = early if member.dataset.startswith(PRICING) else scope.wanted.first
        wanted.append((member, Range(first, scope.wanted.last)))
    asked = store.asked(connection, scope.known.chain)
    if scope.has_flows:
        moved = flow_members(connection, scope)
        wanted += [(member, scope.wanted) for member in moved]
        asked |= flow_plan.answered(moved, asked)
    return segments(alive(wanted, scope.emitters), asked)


def flow_members(connection: duckdb.DuckDBPyConnection, scope: Scope) -> list[Member]:
    "Everything that is asked for flows: see flow_plan.members."
    addresses = flow_plan.watched(connection, scope.known.chain, scope.emitters)
    least = 0.0 if scope.min_usd is None and flow_plan.is_own(scope.known) else scope.min_usd
    return flow_plan.members(scope.emitters, addresses, least)


def lookback(connection: duckdb.DuckDBPyConnection, chain: str) -> int:
    "Blocks before the range in which an answer may lie that still values its first row."
    seconds = CHAINS[chain].block_seconds if chain in CHAINS else UNKNOWN_BLOCK_SECONDS
    return int(pricing.longest_age(connection, chain) / seconds) + 1


def index(
    connection: duckdb.DuckDBPyConnection,
    pool: Pool,
    scope: Scope,
    options: EvmOptions,
    narrate: Narrate,
    valuer: Valuer,
) -> bool:
    "Fetch and store everything that is left; whether some range could not be completed. New contracts restart the plan."
    while True:
        left = [segment for segment in work(connection, scope) if not overlaps(segment.block_range, scope.failed)]
        if not any(run_segment(connection, pool, scope, segment, options, narrate, valuer) for segment in left):
            return bool(scope.failed)
        scope = refreshed(connection, scope)


def overlaps(block_range: Range, others: set[Range]) -> bool:
    "Whether any of `others` is exactly or in part inside `block_range`; only used to stop asking again in one run."
    return any(one.first <= block_range.last and one.last >= block_range.first for one in others)


def run_segment(
    connection: duckdb.DuckDBPyConnection,
    pool: Pool,
    scope: Scope,
    segment: Segment,
    options: EvmOptions,
    narrate: Narrate,
    valuer: Valuer,
) -> bool:
    "Store one segment; True when it named contracts that nobody had asked for yet, so that the plan must be made again."
    table_of_routes = routes(scope.emitters, scope.feeds, scope.companions, scope.parents)
    spans = split_at(segment.block_range, scope.final_block)
    wanted = filters(segment.members)
    settings: dict[str, Any] = {"workers": options.workers, "verify_sample": options.verify_sample}
    if options.width:
        settings["width"] = options.width
    for span in spans:
        pieces: Generator[Fetched | Gap, None, None] = fetch(pool, [span], wanted, **settings)
        try:
            for batch in batches(completed(pool, pieces, segment.members)):
                for gap in (one for one in batch if isinstance(one, Gap)):
                    scope.failed.add(gap.block_range)
                    note_gap(connection, scope.known.chain, segment, gap)
                    narrate(f"{scope.known.chain} {gap.block_range} left open: {gap.reason}")
                done = [one for one in batch if isinstance(one, Fetched)]
                if done and commit(connection, pool, scope, segment, done, table_of_routes, narrate, valuer):
                    return True
        finally:
            pieces.close()
    return False


def split_at(block_range: Range, final_block: int) -> list[Range]:
    "The range in one piece, or cut after the finalized block."
    if block_range.first <= final_block < block_range.last:
        return [Range(block_range.first, final_block), Range(final_block + 1, block_range.last)]
    return [block_range]


def batches(pieces: Iterator[Fetched | Gap]) -> Iterator[list[Fetched | Gap]]:
    "Neighbouring pieces that commit together: many logs, or a few seconds of work."
    batch: list[Fetched | Gap] = []
    n_logs, started = 0, time.monotonic()
    for piece in pieces:
        batch.append(piece)
        n_logs += piece.logs.height if isinstance(piece, Fetched) else 0
        if n_logs >= COMMIT_LOGS or time.monotonic() - started >= COMMIT_SECONDS:
            yield batch
            batch, n_logs, started = [], 0, time.monotonic()
    if batch:
        yield batch


def commit(
    connection: duckdb.DuckDBPyConnection, pool: Pool, scope: Scope, segment: Segment, done: list[Fetched], table_of_routes: pl.DataFrame,
    narrate: Narrate, valuer: Valuer,
) -> bool:  # fmt: skip
    """Rows, rejected logs, raw logs and coverage of neighbouring pieces in one transaction.

    True when contracts appeared that were not asked: what they emitted inside these very blocks is still missing, so
    only the new contracts are stored, and the plan made again.
    """
    chain = scope.known.chain
    logs = own(pl.concat([one.logs for one in done]), pairs(segment.members))
    topics = looked_back(logs)
    earlier = store.earlier_logs(connection, chain, done[0].block_range.first, topics) if topics else None
    told = calls.fetch(connection, pool, chain, logs, table_of_routes)
    tables = derive(chain, logs, table_of_routes, earlier, told)
    if n_found := unknown_emitters(scope, segment, tables.get("emitters")):
        with store.transaction(connection):
            store.upsert(connection, "emitters", tables["emitters"])
        narrate(f"{chain}: {n_found} more contracts found")
        return True
    fresh: list[Range] = []
    with store.transaction(connection):
        for stretch in stretches(done):
            refuse_deep_reorg(connection, chain, stretch[0])
            span = Range(stretch[0].block_range.first, stretch[-1].block_range.last)
            if not replace(connection, chain, segment, span):
                fresh.append(span)
        store.write(connection, tables)
        n_rows = tables["liquidations"].height if "liquidations" in tables else 0
        has_flows = "flows" in tables and not tables["flows"].is_empty()
        if n_rows or has_flows:
            is_new = valuer.stage(tables) or "markets" in tables
            if is_new or has_flows or discovery.has_share_rates(tables["liquidations"]):
                discovery.enrich(connection, pool, chain, "staged", is_new=is_new or has_flows)
            valuer.insert(is_new=is_new)
        if has_flows:
            flow_values.insert(connection, chain, segment.members)
        if n_rows or has_flows:
            flow_values.mark_legs(connection, chain, Range(done[0].block_range.first, done[-1].block_range.last))
        for stretch in stretches(done):
            mark(connection, scope, segment, stretch, tables)
    scope.touched.extend(one.block_range for one in done)
    scope.fresh.extend(fresh)
    narrate(
        f"{chain} {done[0].block_range.first}..{done[-1].block_range.last} {n_rows} liquidations, {tables['raw_logs'].height} logs",
        done=done[-1].block_range.last + 1 - scope.wanted.first,
        total=scope.wanted.n_blocks,
    )
    return False


def own(logs: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    "The logs of `wanted` pairs of address and topic0, in the order of `logs`: block and log index."
    rows = (
        logs.select("address", "topic0").with_row_index("row").join(wanted, on=["address", "topic0"], how="semi")["row"]
    )
    return logs if len(rows) == logs.height else logs[rows.sort()]


def refuse_deep_reorg(connection: duckdb.DuckDBPyConnection, chain: str, piece: Fetched) -> None:
    "Raise EndpointUnusable when a piece does not follow the final block stored before it: that node is on another chain."
    stored = connection.execute(
        "SELECT head_hash FROM coverage WHERE source = 'rpc' AND chain = ? AND to_block = ? AND finality = 'final'"
        " AND head_hash IS NOT NULL LIMIT 1",
        [chain, piece.block_range.first - 1],
    ).fetchall()
    if stored and stored[0][0] != piece.first.parent_hash:
        raise EndpointUnusable(
            f"{piece.endpoint}: block {piece.block_range.first} does not follow the final block stored before it;"
            " use another endpoint, nothing was changed"
        )


def unknown_emitters(scope: Scope, segment: Segment, found: pl.DataFrame | None) -> int:
    "How many announced contracts are not among the emitters of the run; a discovery segment only collects them."
    if found is None or found.is_empty() or all(member.dataset.startswith("discovery:") for member in segment.members):
        return 0
    return len(set(found["address"]) - set(scope.emitters["address"]))


def finish(connection: duckdb.DuckDBPyConnection, pool: Pool, scope: Scope, narrate: Narrate) -> None:
    "What this run found may value rows that earlier runs stored: contract reads they ask for, then their values."
    chain = scope.known.chain
    touched = merge(scope.touched) or [scope.wanted]
    if has_older(connection, chain, merge(scope.fresh)):
        with store.transaction(connection):
            discovery.enrich(connection, pool, chain)
            since, until = connection.execute(
                "SELECT min(liquidated_at), max(liquidated_at) FROM liquidations WHERE chain = ? AND block_number BETWEEN ? AND ?",
                [chain, touched[0].first, touched[-1].last],
            ).fetchall()[0]
            age = timedelta(seconds=pricing.longest_age(connection, chain))
            pricing.price(connection, chain, since, until + age if until else None, scope.fresh)
            late = touched[-1].last + lookback(connection, chain)
            flow_values.revalue(connection, chain, Range(touched[0].first, late), scope.fresh)
    priced = pricing.counted(connection, chain)
    connection.execute("CHECKPOINT")
    narrate(f"{chain}: {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} of them without a price")


def has_older(connection: duckdb.DuckDBPyConnection, chain: str, fresh: list[Range]) -> bool:
    "Whether liquidations or flows of `chain` are stored outside the blocks of `fresh`, or perps that no event values."
    outside = " AND ".join(f"block_number NOT BETWEEN {one.first} AND {one.last}" for one in fresh) or "true"
    questions = [
        f"FROM {name} WHERE chain = ? AND source = 'rpc' AND {outside}" for name in ("liquidations", "flow_rows")
    ]
    questions.append(
        "FROM liquidations WHERE chain = ? AND sector = 'perp' AND (asset IS NULL OR price_source IS DISTINCT FROM 'event')"
    )
    return any(connection.execute(f"SELECT 1 {question} LIMIT 1", [chain]).fetchall() for question in questions)


def stored_endpoints(connection: duckdb.DuckDBPyConnection, chain: str) -> list[dict[str, Any]]:
    "What earlier runs learned of endpoints of `chain`."
    rows = connection.execute("SELECT * FROM endpoints WHERE chain = ?", [chain])
    names = [column[0] for column in rows.description]
    return [dict(zip(names, values, strict=True)) for values in rows.fetchall()]


def save_endpoints(connection: duckdb.DuckDBPyConnection, chain: str, pool: Pool) -> None:
    "Keep what this run learned."
    for row in pool.learned():
        connection.execute(
            "DELETE FROM endpoints WHERE host = ? AND chain = ? AND method = ?", [row["host"], chain, row["method"]]
        )
        store.insert(connection, "endpoints", row)


def dry_run(
    path: str | Path, options: EvmOptions, pool: Pool, known: Catalogue, wanted: Range, narrate: Narrate
) -> int:
    "Print the plan: ranges, requests, what is covered already. Nothing is asked of the chain but its head, nothing stored."
    asked = {}
    try:
        with store.connect(path, read_only=True) as existing:
            asked = store.asked(existing, options.chain)
    except UserError:
        narrate(f"{path}: no database yet, so nothing is covered")
    everything = members(known.emitters, known.feeds, ())
    if "flows" in options.datasets:
        everything += flow_plan.members(known.emitters, (), options.min_usd)
    left = segments([(member, wanted) for member in everything], asked)
    n_requests = sum(plan([one.block_range], pool, options.width or WIDTH) for one in left)
    lines = [
        f"{options.chain} {wanted}: {wanted.n_blocks} blocks, {known.emitters.height} contracts, {known.feeds.height} price feeds"
    ]
    n_open = sum(one.block_range.n_blocks for one in left)
    lines.append(
        f"covered already: {max(0, wanted.n_blocks - n_open)} blocks; left: {n_open} blocks in {len(left)} pieces"
    )
    lines += [
        f"  {one.block_range}: {len(one.members)} contracts in {len(filters(one.members))} filters" for one in left
    ]
    lines.append(f"about {n_requests} requests to {', '.join(pool.hosts())}")
    print("\n".join(lines))  # noqa: T201 - the plan is the output that was asked for
    return 0
