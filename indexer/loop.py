"""The loop over block ranges: plan, fetch, derive, write, then read what logs do not say and value."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from indexer import discovery, pricing, store
from indexer.chains import CHAINS
from indexer.deployments import EMITTERS, FEEDS, Catalogue, catalogue
from indexer.deployments import feeds as listed_feeds
from indexer.decode import LOG_SCHEMA
from indexer.derive import derive
from indexer.errors import UserError
from indexer.plan import PRICES, Member, Segment, filters, members, padded, registries, routes, segments, topic
from indexer.protocols import all_protocols
from indexer.ranges import Range
from indexer.sources.evm_logs import Fetched, Gap, fetch, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from indexer.backfill import EvmOptions
    from indexer.rpc import Header, Pool

COMMIT_LOGS = 60_000  # one transaction holds about so many logs
COMMIT_SECONDS = 5.0
UNKNOWN_BLOCK_SECONDS = 12.0
ROW_TABLES = ("liquidations", "valuation_inputs", "prices", "flows")
MERGED_TABLES = ("markets", "emitters", "owners")


class Scope(NamedTuple):
    "What one run works on: the chain's known contracts, the range, and what the routes need."

    known: Catalogue
    wanted: Range
    final_block: int
    emitters: pl.DataFrame
    feeds: pl.DataFrame
    companions: tuple[Member, ...]
    parents: dict[str, str]
    settled: frozenset[str] = frozenset()


def run(path: str | Path, options: EvmOptions, pool: Pool, narrate: Callable[[str], None]) -> int:
    "See backfill.evm."
    known = catalogue(options.chain, options.protocols, options.deployments)
    for note in known.notes:
        narrate(note)
    if known.emitters.is_empty():
        raise UserError(f"no contract known on {options.chain} for {', '.join(options.protocols) or 'any protocol'}; add a --deployments file")
    head, final = pool.head("latest"), pool.head("finalized")
    wanted, left = block_range(options, known, head, final)
    if left:
        narrate(left)
    connection = store.connect(":memory:" if options.dry_run else path)
    try:
        if options.dry_run:
            return dry_run(path, connection, options, pool, known, wanted, final, narrate)
        pool.learn(stored_endpoints(connection, options.chain))
        scope = prepare(connection, pool, known, wanted, final.number)
        failed = index(connection, pool, scope, options, narrate)
        with store.transaction(connection):
            save_endpoints(connection, options.chain, pool)
        finish(connection, pool, options.chain, wanted, narrate)
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
    last = {None: final.number, "finalized": final.number, "latest": head.number}.get(options.to_block, options.to_block)  # type: ignore[arg-type]
    if not isinstance(last, int):
        raise UserError(f"--to-block {last} is neither a block number, latest nor finalized")
    left = None
    if last > head.number:
        left = f"{known.chain} is at block {head.number}: {head.number + 1}..{last} is left; run again when it is there"
        last = head.number
    if first > last:
        raise UserError(f"nothing to index: the range {first}..{last} is empty (finalized is {final.number}); pass --to-block latest")
    return Range(first, last), left


def prepare(connection: duckdb.DuckDBPyConnection, pool: Pool, known: Catalogue, wanted: Range, final_block: int) -> Scope:
    "Store what is known of the chain, ask registries and proxies, and read what a filter of its own needs."
    chain = known.chain
    with store.transaction(connection):
        store.upsert(connection, "tokens", known.tokens)
        store.upsert(connection, "feeds", known.feeds.select(FEEDS.names()))
        store.upsert(connection, "markets", known.markets)
        store.upsert(connection, "emitters", known.emitters)
        if known.is_simulated:
            connection.execute("DELETE FROM facts WHERE name = ?", [f"simulated:{chain}"])
            connection.execute("INSERT INTO facts VALUES (?, 'true')", [f"simulated:{chain}"])
        named, settled = discovery.registries(pool, chain, known.emitters)
        store.upsert(connection, "emitters", named)
        proxies = [one for one in known.feeds["proxy"] if one is not None]
        discovery.feed_phases(connection, pool, chain, sorted(set(proxies)))
        companions, parents = eager_reads(connection, pool, chain, known.emitters)
    empty = Scope(known, wanted, final_block, known.emitters, known.feeds, companions, parents, frozenset(settled))
    return refreshed(connection, empty)


def refreshed(connection: duckdb.DuckDBPyConnection, scope: Scope) -> Scope:
    "The scope with the contracts and feeds that the database knows by now; only protocols of this run."
    known = scope.known
    listed = known.emitters["address"].to_list()
    rows = table(connection, "emitters", known.chain, EMITTERS)
    own = rows.filter(
        pl.col("protocol").is_in(known.emitters["protocol"].unique().to_list())
        & (pl.col("address").is_in(listed) | pl.col("parent").is_in(listed))
    )
    return scope._replace(emitters=own, feeds=stored_feeds(connection, known.chain))


def stored_feeds(connection: duckdb.DuckDBPyConnection, chain: str) -> pl.DataFrame:
    "The feeds of `chain` with `rate_kind` of a ratio: as the built-in list says, else exchange_rate."
    kinds = {row["asset"]: row["rate_kind"] for row in listed_feeds(chain, []).to_dicts() if row["rate_kind"]}
    ratio = pl.when(pl.col("asset").str.contains("/")).then(
        pl.col("asset").replace_strict(kinds, default="exchange_rate", return_dtype=pl.String)
    )
    return table(connection, "feeds", chain, FEEDS).with_columns(rate_kind=ratio)


def table(connection: duckdb.DuckDBPyConnection, name: str, chain: str, schema: pl.Schema) -> pl.DataFrame:
    "The rows of `chain` of a small table, sorted by address."
    columns = ", ".join(schema.names())
    rows = connection.execute(f"SELECT {columns} FROM {name} WHERE chain = ? ORDER BY address", [chain]).fetchall()  # noqa: S608
    return pl.DataFrame(rows, schema=schema, orient="row")


def eager_reads(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, emitters: pl.DataFrame
) -> tuple[tuple[Member, ...], dict[str, str]]:
    "Contracts that must be known before logs are asked, because a filter names them: Liquity's LUSD and Stability Pool."
    companions, parents = [], {}
    for name, protocol in all_protocols().items():
        reads = [read for read in protocol.reads if read.emits is not None]
        rows = emitters.filter(pl.col("protocol") == name).to_dicts()
        if not reads or not rows:
            continue
        found = discovery.read_emitters(pool, protocol, rows)
        store.upsert(connection, "markets", discovery.market_rows(chain, found))
        for one in found:
            for read in reads:
                address, event = one.values.get(read.into), read.emits
                if address is None or event is None:
                    continue
                lists = tuple(
                    None if names is None
                    else tuple(padded(one.values.get(value) or "0x") if not value.startswith("0x") else value for value in names)
                    for names in protocol.topics.get(event, ())
                )  # fmt: skip
                dataset = f"liquidations:{one.emitter['venue']}"
                companions.append(Member(address, name, one.emitter["venue"], dataset, (topic(event),), lists))
                parents[address] = one.emitter["address"]
    return tuple(companions), parents


def work(connection: duckdb.DuckDBPyConnection, scope: Scope) -> list[Segment]:
    "What is left to ask: registries from their first block, everything else in the wanted range, prices a little earlier."
    wanted = [
        (member, Range(min(first or 0, scope.wanted.first), scope.wanted.first - 1))
        for member, first in registries(scope.emitters)
        if member.address not in scope.settled and (first or 0) < scope.wanted.first
    ]
    early = max(0, scope.wanted.first - lookback(connection, scope.known.chain))
    for member in members(scope.emitters, scope.feeds, scope.companions):
        first = early if member.dataset == PRICES else scope.wanted.first
        wanted.append((member, Range(first, scope.wanted.last)))
    return segments(wanted, store.asked(connection, scope.known.chain))


def lookback(connection: duckdb.DuckDBPyConnection, chain: str) -> int:
    "Blocks before the range in which an answer may lie that still values its first row."
    seconds = CHAINS[chain].block_seconds if chain in CHAINS else UNKNOWN_BLOCK_SECONDS
    return int(pricing.longest_age(connection, chain) / seconds) + 1


def index(
    connection: duckdb.DuckDBPyConnection, pool: Pool, scope: Scope, options: EvmOptions, narrate: Callable[[str], None]
) -> bool:
    "Fetch and store everything that is left; whether some range could not be completed. New contracts restart the plan."
    failed: set[Range] = set()
    while True:
        left = [segment for segment in work(connection, scope) if not overlaps(segment.block_range, failed)]
        if not left:
            return bool(failed)
        if not any(run_segment(connection, pool, scope, segment, options, failed, narrate) for segment in left):
            return bool(failed)
        scope = refreshed(connection, scope)


def overlaps(block_range: Range, others: set[Range]) -> bool:
    "Whether any of `others` is exactly or in part inside `block_range`; only used to stop asking again in one run."
    return any(one.first <= block_range.last and one.last >= block_range.first for one in others)


def run_segment(
    connection: duckdb.DuckDBPyConnection, pool: Pool, scope: Scope, segment: Segment, options: EvmOptions,
    failed: set[Range], narrate: Callable[[str], None],
) -> bool:  # fmt: skip
    "Store one segment; True when it named contracts that nobody had asked for yet, so that the plan must be made again."
    table_of_routes = routes(scope.emitters, scope.feeds, scope.companions, scope.parents)
    asked = {member.address for member in segment.members}
    table_of_routes = table_of_routes.filter(pl.col("address").is_in([bytes.fromhex(one[2:]) for one in asked]))
    spans = split_at(segment.block_range, scope.final_block)
    wanted = filters(segment.members)
    settings: dict[str, Any] = {"workers": options.workers, "verify_sample": options.verify_sample}
    if options.width:
        settings["width"] = options.width
    pieces = fetch(pool, spans, wanted, **settings)
    try:
        for batch in batches(pieces):
            for gap in (one for one in batch if isinstance(one, Gap)):
                failed.add(gap.block_range)
                note_gap(connection, scope.known.chain, segment, gap)
                narrate(f"{scope.known.chain} {gap.block_range} left open: {gap.reason}")
            done = [one for one in batch if isinstance(one, Fetched)]
            if done and commit(connection, scope, segment, done, table_of_routes, narrate):
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
    connection: duckdb.DuckDBPyConnection, scope: Scope, segment: Segment, done: list[Fetched], table_of_routes: pl.DataFrame,
    narrate: Callable[[str], None],
) -> bool:  # fmt: skip
    """
    Rows, rejected logs, raw logs and coverage of neighbouring pieces in one transaction.

    True when contracts appeared that were not asked: what they emitted inside these very blocks is still missing, so
    only the new contracts are stored, and the plan made again.
    """
    chain = scope.known.chain
    tables = derive(chain, pl.concat([one.logs for one in done]), table_of_routes)
    if fresh := unknown_emitters(scope, segment, tables.get("emitters")):
        with store.transaction(connection):
            store.upsert(connection, "emitters", tables["emitters"])
        narrate(f"{chain}: {fresh} more contracts found")
        return True
    with store.transaction(connection):
        for stretch in stretches(done):
            replace(connection, chain, segment, Range(stretch[0].block_range.first, stretch[-1].block_range.last))
        write(connection, tables)
        for stretch in stretches(done):
            mark(connection, scope, segment, stretch, tables)
    n_rows = tables["liquidations"].height if "liquidations" in tables else 0
    narrate(f"{chain} {done[0].block_range.first}..{done[-1].block_range.last} {n_rows} liquidations, {tables['raw_logs'].height} logs")
    return False


def unknown_emitters(scope: Scope, segment: Segment, found: pl.DataFrame | None) -> int:
    "How many announced contracts are not among the emitters of the run; a discovery segment only collects them."
    if found is None or found.is_empty() or all(member.dataset.startswith("discovery:") for member in segment.members):
        return 0
    return len(set(found["address"]) - set(scope.emitters["address"]))


def stretches(done: list[Fetched]) -> list[list[Fetched]]:
    "Pieces that follow each other and share proof, endpoint, in order."
    result: list[list[Fetched]] = []
    for piece in done:
        last = result[-1][-1] if result else None
        if last and last.block_range.last == piece.block_range.first - 1 and (last.proof, last.endpoint) == (piece.proof, piece.endpoint):
            result[-1].append(piece)
        else:
            result.append([piece])
    return result


def replace(connection: duckdb.DuckDBPyConnection, chain: str, segment: Segment, span: Range) -> None:
    "Delete what an earlier run stored of these members in this range: it was pending, or asked by an older version."
    inside = "chain = ? AND block_number BETWEEN ? AND ?"
    where = [chain, span.first, span.last]
    if not connection.execute(f"SELECT 1 FROM raw_logs WHERE {inside} LIMIT 1", where).fetchall():  # noqa: S608
        return
    addresses = [bytes.fromhex(one[2:]) for one in sorted({member.address for member in segment.members})]
    connection.execute("CREATE OR REPLACE TEMP TABLE stale AS SELECT block_number, log_index FROM raw_logs"
                       f" WHERE {inside} AND address IN (SELECT unnest(?::BLOB[]))", [*where, addresses])  # noqa: S608  # fmt: skip
    for name in (*ROW_TABLES, "rates", "raw_logs"):
        connection.execute(
            f"DELETE FROM {name} WHERE {inside} AND (block_number, log_index) IN (FROM stale)", where  # noqa: S608
        )
    connection.execute(f"DELETE FROM rates WHERE {inside} AND kind = 'call'", where)  # noqa: S608
    connection.execute(f"DELETE FROM rejected WHERE {inside} AND source = 'rpc'", where)  # noqa: S608
    connection.execute("DELETE FROM gaps WHERE source = 'rpc' AND chain = ? AND from_block >= ? AND to_block <= ?", where)


def write(connection: duckdb.DuckDBPyConnection, tables: dict[str, pl.DataFrame]) -> None:
    "Append derived rows; `is_headline` comes from the rule table."
    for name in MERGED_TABLES:
        if name in tables:
            store.upsert(connection, name, tables[name])
    for name in ("valuation_inputs", "prices", "rates", "flows", "rejected", "raw_logs"):
        if name in tables and tables[name].width:
            store.append(connection, name, tables[name])
    if "liquidations" in tables:
        connection.register("derived", tables["liquidations"].to_arrow())
        connection.execute(
            "INSERT INTO liquidations BY NAME SELECT d.*, k.is_headline FROM derived d JOIN kinds k USING (kind)"
            " ORDER BY liquidated_at, log_index"
        )
        connection.unregister("derived")


def mark(
    connection: duckdb.DuckDBPyConnection, scope: Scope, segment: Segment, stretch: list[Fetched], tables: dict[str, pl.DataFrame]
) -> None:
    "Coverage of one stretch: one row a dataset, and the members asked."
    chain, first, last = scope.known.chain, stretch[0], stretch[-1]
    span = Range(first.block_range.first, last.block_range.last)
    finality = "final" if span.last <= scope.final_block else "pending"
    inside = pl.col("block_number").is_between(span.first, span.last)
    n_rows = {}
    if "liquidations" in tables:
        counts = tables["liquidations"].filter(inside).group_by("venue").len()
        n_rows = {f"liquidations:{venue}": n for venue, n in counts.iter_rows()}
    if "prices" in tables:
        n_rows[PRICES] = tables["prices"].filter(inside).height
    n_rejected = tables["rejected"].filter(inside).height if "rejected" in tables else 0
    for dataset in sorted({member.dataset for member in segment.members}):
        store.cover(connection, {
            "source": "rpc", "chain": chain, "dataset": dataset, "from_block": span.first, "to_block": span.last,
            "from_at": first.first_at, "to_at": last.last_at + timedelta(seconds=1), "n_rows": n_rows.get(dataset, 0),
            "n_rejected": n_rejected, "head_hash": last.head.hash, "proof": last.proof, "endpoint": last.endpoint,
            "finality": finality, "indexed_at": datetime.now(UTC).replace(tzinfo=None),
        })  # fmt: skip
    store.mark_asked(connection, chain, [member.key for member in segment.members], span, finality)


def note_gap(connection: duckdb.DuckDBPyConnection, chain: str, segment: Segment, gap: Gap) -> None:
    "A row of `gaps` for each dataset that a failed range leaves open."
    with store.transaction(connection):
        for dataset in sorted({member.dataset for member in segment.members}):
            span = [chain, dataset, gap.block_range.first, gap.block_range.last]
            connection.execute(
                "DELETE FROM gaps WHERE source = 'rpc' AND chain = ? AND dataset = ? AND from_block = ? AND to_block = ?", span
            )
            connection.execute(
                "INSERT INTO gaps (source, chain, dataset, from_block, to_block, reason) VALUES ('rpc', ?, ?, ?, ?, ?)",
                [*span, gap.reason],
            )


def finish(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, wanted: Range, narrate: Callable[[str], None]
) -> None:
    "Contract reads that stored rows ask for, then values."
    with store.transaction(connection):
        discovery.enrich(connection, pool, chain)
        since, until = connection.execute(
            "SELECT min(liquidated_at), max(liquidated_at) FROM liquidations WHERE chain = ? AND block_number BETWEEN ? AND ?",
            [chain, wanted.first, wanted.last],
        ).fetchall()[0]
        age = timedelta(seconds=pricing.longest_age(connection, chain))
        priced = pricing.price(connection, chain, since, until + age if until else None)
    connection.execute("CHECKPOINT")
    narrate(f"{chain}: {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} of them without a price")


def price_all(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> None:
    "See backfill.price."
    chains = [row[0] for row in connection.execute("SELECT DISTINCT chain FROM liquidations WHERE source = 'rpc' ORDER BY 1").fetchall()]
    for chain in chains:
        with store.transaction(connection):
            priced = pricing.price(connection, chain)
        narrate(f"{chain}: {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} of them without a price")


def stored_endpoints(connection: duckdb.DuckDBPyConnection, chain: str) -> list[dict[str, Any]]:
    "What earlier runs learned of endpoints of `chain`."
    rows = connection.execute("SELECT * FROM endpoints WHERE chain = ?", [chain])
    names = [column[0] for column in rows.description]
    return [dict(zip(names, values, strict=True)) for values in rows.fetchall()]


def save_endpoints(connection: duckdb.DuckDBPyConnection, chain: str, pool: Pool) -> None:
    "Keep what this run learned."
    for row in pool.learned():
        connection.execute("DELETE FROM endpoints WHERE host = ? AND chain = ? AND method = ?", [row["host"], chain, row["method"]])
        store.insert(connection, "endpoints", row)


def dry_run(
    path: str | Path, connection: duckdb.DuckDBPyConnection, options: EvmOptions, pool: Pool, known: Catalogue, wanted: Range,
    final: Header, narrate: Callable[[str], None],
) -> int:  # fmt: skip
    "Print the plan: ranges, requests, what is covered already. Nothing is asked of the chain but its head, nothing stored."
    scope = Scope(known, wanted, final.number, known.emitters, known.feeds, (), {})
    asked = {}
    try:
        with store.connect(path, read_only=True) as existing:
            asked = store.asked(existing, options.chain)
    except UserError:
        narrate(f"{path}: no database yet, so nothing is covered")
    left = segments([(member, wanted) for member in members(scope.emitters, scope.feeds, ())], asked)
    n_requests = sum(plan([one.block_range], pool, options.width) for one in left)
    lines = [f"{options.chain} {wanted}: {wanted.n_blocks} blocks, {known.emitters.height} contracts, {known.feeds.height} price feeds"]
    n_open = sum(one.block_range.n_blocks for one in left)
    lines.append(f"covered already: {max(0, wanted.n_blocks - n_open)} blocks; left: {n_open} blocks in {len(left)} pieces")
    lines += [f"  {one.block_range}: {len(one.members)} contracts in {len(filters(one.members))} filters" for one in left]
    lines.append(f"about {n_requests} requests to {', '.join(pool.hosts())}")
    print("\n".join(lines))  # noqa: T201 - the plan is the output that was asked for
    return 0


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Callable[[str], None]) -> None:
    "See backfill.redecode."
    chains = [row[0] for row in connection.execute("SELECT DISTINCT chain FROM raw_logs ORDER BY 1").fetchall()]
    for chain in chains:
        with store.transaction(connection):
            for name in ("liquidations", "prices", "flows"):
                connection.execute(f"DELETE FROM {name} WHERE chain = ? AND (source = 'rpc' OR source LIKE 'chainlink:%')", [chain])  # noqa: S608
            connection.execute("DELETE FROM valuation_inputs WHERE chain = ?", [chain])
            connection.execute("DELETE FROM rates WHERE chain = ? AND kind <> 'call'", [chain])
            connection.execute("DELETE FROM rejected WHERE chain = ? AND source = 'rpc'", [chain])
            companions, parents = stored_companions(connection, chain)
            ways = routes(table(connection, "emitters", chain, EMITTERS), stored_feeds(connection, chain), companions, parents)
            n_logs = 0
            for logs in stored_logs(connection, chain):
                tables = derive(chain, logs, ways)
                n_logs += logs.height
                tables.pop("raw_logs")
                write(connection, tables)
            priced = pricing.price(connection, chain)
        narrate(f"{chain}: {n_logs} logs decoded again, {priced.n_rows} liquidations counted in totals, {priced.n_unpriced} without a price")


def stored_companions(connection: duckdb.DuckDBPyConnection, chain: str) -> tuple[tuple[Member, ...], dict[str, str]]:
    "The contracts that eager reads once found, from `markets`."
    companions, parents = [], {}
    for name, protocol in all_protocols().items():
        for read in protocol.reads:
            if read.emits is None:
                continue
            found = connection.execute(
                "SELECT m.venue, m.market, coalesce(m.params ->> $1, CASE $1 WHEN 'debt_token' THEN m.debt_token END)"
                " FROM markets m JOIN emitters e ON e.chain = m.chain AND e.address = m.market AND e.protocol = $2 WHERE m.chain = $3",
                [read.into, name, chain],
            ).fetchall()
            for venue, market, address in found:
                if address:
                    companions.append(Member(address, name, venue, f"liquidations:{venue}", (topic(read.emits),)))
                    parents[address] = market
    return tuple(companions), parents


def stored_logs(connection: duckdb.DuckDBPyConnection, chain: str) -> Iterator[pl.DataFrame]:
    "The raw logs of `chain` in block order, whole blocks at a time."
    bounds = connection.execute(
        "SELECT max(block_number) FROM (SELECT block_number, row_number() OVER (ORDER BY block_number, log_index) // ? AS part"
        " FROM raw_logs WHERE chain = ?) GROUP BY part ORDER BY 1",
        [COMMIT_LOGS, chain],
    ).fetchall()
    first = 0
    columns = ", ".join(LOG_SCHEMA.names())
    for (last,) in bounds:
        if last < first:
            continue
        cursor = connection.cursor()
        rows = cursor.sql(
            f"SELECT {columns} FROM raw_logs WHERE chain = $chain AND block_number BETWEEN $first AND $last"  # noqa: S608
            " ORDER BY block_number, log_index", params={"chain": chain, "first": first, "last": last},
        ).pl()  # fmt: skip
        yield rows.cast(dict(LOG_SCHEMA))
        first = last + 1
