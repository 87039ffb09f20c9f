"""The backfill of single accounts over the info API: the same rows under the same ids as from hour files."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer import store
from indexer.errors import BadRecord, UserError
from indexer.hyperliquid import blocks, classify, fills, ledger, misc, placing, raws, snapshots, write
from indexer.hyperliquid.info import Fills, Info
from indexer.hyperliquid.plan import moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

    from indexer.hyperliquid.plan import Options, Selection

SOURCE = "hyperliquid_api"
WATCH_SOURCE = "hyperliquid_watch"
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
OUT_OF_REACH = "the API gives the latest 10,000 fills only; take this part from the archive"


def backfill(db_path: str | Path, options: Options, selection: Selection, narrate: Callable[[str], None]) -> int:
    """Index the accounts of `options.accounts` in the window; 0, or 1 if older fills are out of the API's reach.

    Each account commits on its own. What an archive has stored of an account stays as it is.
    """
    if options.accounts is None:
        raise UserError("no accounts: pass --accounts with a file of addresses")
    wanted = addresses(options.accounts)
    if options.dry_run:
        for account in wanted:
            narrate(f"{account} {moment(selection.since)} to {moment(selection.until)}")
        return 0
    connection = store.connect(db_path)
    info = Info(options.base_url)
    try:
        with store.transaction(connection):
            write.seed_vaults(connection)
        vaults = write.vaults(connection)
        is_whole = True
        for account in wanted:
            is_whole &= index(connection, info, account, vaults, selection, narrate)
            if selection.since <= time.time() * 1000 < selection.until:  # the API knows only what is held now
                observe(connection, info, account)
    finally:
        info.close()
        connection.close()
    return 0 if is_whole else 1


def addresses(path: Path) -> list[str]:
    """The addresses of a file, in order, once each, lower case: one a line, anything after it ignored, # for comments.

    Raises BadRecord for a line without an address, UserError for a file that cannot be read or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from error
    found = []
    for row, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        matched = re.match(rf"({ADDRESS.pattern})(\b.*)?$", text)
        if matched is None:
            raise BadRecord(path.name, row, f"{text[:60]!r} is no address; write 0x and 40 hexadecimal digits")
        found.append(matched[1].lower())
    if not found:
        raise UserError(f"{path}: no addresses in it; write one a line")
    return list(dict.fromkeys(found))


def index(
    connection: duckdb.DuckDBPyConnection,
    info: Info,
    account: str,
    vaults: pl.DataFrame,
    selection: Selection,
    narrate: Callable[[str], None],
    *,
    fresh_from: int | None = None,
    watched: bool = False,
) -> bool:
    """Fetch and store one account; False if a part of the window is out of reach, or may hold unplaced records.

    With `fresh_from` the window is stored up to there already, and only what came since is asked for. `watched` also
    stores the liquidations of others in which the account was the other side, until a better source has them.
    """
    since, until = selection.since, selection.until
    asked = since if fresh_from is None else fresh_from
    is_new = fresh_from is not None
    fresh = Fills(info.paged("userFillsByTime", account, asked, until), since) if is_new else None
    found = fresh or info.fills(account, since, until)
    ledger_lines = ledger_rows(account, info.ledger(account, asked, until))
    updates = ledger.read(ledger_lines, SOURCE)
    frame = fills.decode([(account.encode(), json.dumps(row).encode(), None) for row in found.rows])
    numbered = frame.with_columns(number=blocks.from_hash(frame))
    chosen = placing.placed(numbered, selection.blocks, "number")
    flows = placing.placed(updates.flows.with_columns(time=pl.col("flowed_at").dt.epoch("ms")), selection.blocks)
    verdict = classify.classify(chosen.inside.drop("number"), vaults, updates.liquidations, source=SOURCE)
    others = verdict.rows.clear()
    if watched:
        seen = classify.classify(chosen.inside.drop("number"), vaults, source=WATCH_SOURCE, watched=True).rows
        others = seen.filter(pl.col("account") != account).select(others.columns)
    rejected = pl.concat([verdict.rejected, placing.readable(updates.rejected, selection.blocks)])
    kept = [raws.of_fills(chosen.inside.filter(pl.col("is_tagged")).with_columns(connection=pl.lit(account)), SOURCE)]
    kept.append(raws.of_ledger(ledger_lines.with_columns(connection=pl.lit(account)), SOURCE))
    n_unplaced = chosen.undecided.len() + flows.undecided.len()
    with store.transaction(connection):
        rows, moves = verdict.rows, flows.inside.drop("time")
        if is_new:
            rows = unknown(connection, write.LIQUIDATIONS, rows, "margin_lost_usd")
            moves = unknown(connection, write.FLOWS, moves, "amount")
            others = unknown(connection, write.LIQUIDATIONS, others, "margin_lost_usd")
        n_rows = write.replace_ranked(connection, write.LIQUIDATIONS, rows, None)
        n_rows += write.replace_ranked(connection, write.LIQUIDATIONS, others, None)
        n_flows = write.replace_ranked(connection, write.FLOWS, moves, None)
        n_rejected = write.reject(connection, SOURCE, rejected)
        if n_rows:  # what an archive has stored is kept there
            write.keep_raw(connection, pl.concat(kept), None, [])
        write.markets(connection, frame.filter("is_tagged").select("coin", "fee_token"))
        # "watched": rows of single accounts never count as coverage of the venue.
        for dataset, first, n_stored in (("fills", found.since, n_rows), ("ledger", since, n_flows)):
            coverage = {
                "source": SOURCE,
                "dataset": f"watched:{dataset}:{account}",
                "from_at": moment(first),
                "to_at": moment(until),
                "n_rows": None if is_new else n_stored,
                "n_rejected": n_rejected if dataset == "fills" else 0,
                "proof": "paged",
                "endpoint": info.host,
            }
            if first < until:
                write.cover(connection, coverage)
        if not is_new:
            write.clear_gaps(connection, SOURCE, f"watched:fills:{account}", moment(since), moment(until))
        gaps = [(since, found.since, OUT_OF_REACH)] if found.since > since else []
        if n_unplaced:
            gaps.append((found.since, until, placing.UNPLACED))
        for first, past, reason in gaps:
            gap = {"from_at": moment(first), "to_at": moment(past), "reason": reason}
            write.mark_gap(connection, {"source": SOURCE, "dataset": f"watched:fills:{account}"} | gap)
    notes = [f"before {moment(found.since)}: {OUT_OF_REACH}"] if found.since > since else []
    notes += [f"{n_unplaced} {placing.UNPLACED}"] if n_unplaced else []
    if not is_new or n_rows or n_flows:
        narrate("; ".join([f"{account} {n_rows} liquidations, {n_flows} flows, {n_rejected} rejected", *notes]))
    return not gaps


def unknown(connection: duckdb.DuckDBPyConnection, table: write.Table, rows: pl.DataFrame, value: str) -> pl.DataFrame:
    "The `rows` that are not stored under their key, by any source as good, with the same `value`."
    (key,) = table.key
    stored = connection.execute(
        f"SELECT {key}, {value} FROM {table.name} WHERE list_contains(?, {key})", [rows[key].to_list()]
    ).fetchall()
    known = pl.DataFrame(stored, schema={key: pl.String, value: pl.Float64}, orient="row")
    return rows.join(known, on=[key, value], how="anti", nulls_equal=True, maintain_order="left")


def observe(connection: duckdb.DuckDBPyConnection, info: Info, account: str) -> int:
    """Store what the account holds now, on the main dex and on those that `markets` knows; the number of positions.

    What is as it was when last seen within the hour is not stored again.
    """
    dexes = connection.execute(
        "SELECT DISTINCT params ->> '$.dex' AS dex FROM markets WHERE chain = ? AND venue = 'hyperliquid'"
        " AND dex <> '' ORDER BY dex",
        [write.CHAIN],
    ).fetchall()
    now = int(time.time() * 1000)
    states = [{"time": now} | info.clearinghouse(account, dex) for dex in ("", *(name for (name,) in dexes))]
    held = pl.concat([snapshots.positions(account, state) for state in states])
    if held.is_empty():
        return 0
    # Every dex has its own clock; the positions of one account are of one moment.
    held = held.with_columns(observed_at=moment(max(state["time"] for state in states)))
    seen = connection.execute(
        """
        SELECT market, size FROM positions WHERE account = $account AND source = $source AND observed_at = (
          SELECT max(observed_at) FROM positions
          WHERE account = $account AND source = $source AND observed_at > $now::TIMESTAMP - INTERVAL 1 HOUR)
        """,
        {"account": account, "source": SOURCE, "now": held["observed_at"].min()},
    ).fetchall()
    if sorted(seen) == sorted(held.select("market", "size").rows()):
        return 0
    with store.transaction(connection):
        return write.replace(connection, write.POSITIONS, held)


def ledger_rows(account: str, updates: list[dict[str, Any]]) -> pl.DataFrame:
    "API ledger updates in the columns of the node's (misc.LEDGER_SCHEMA): the queried account is the acting user."
    rows = [
        (None, update.get("time"), update.get("hash"), [account], json.dumps(update.get("delta"))) for update in updates
    ]
    return pl.DataFrame(rows, schema=pl.Schema(misc.LEDGER_SCHEMA), orient="row")
