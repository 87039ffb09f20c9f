"""The backfill of single accounts over the info API: the same rows under the same ids as from hour files."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer import store
from indexer.errors import BadRecord, UserError
from indexer.hyperliquid import classify, fills, ledger, misc, write
from indexer.hyperliquid.info import Info
from indexer.hyperliquid.plan import moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

    from indexer.hyperliquid.plan import Options, Selection

SOURCE = "hyperliquid_api"
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
) -> bool:
    "Fetch and store one account; False if a part of the window is out of reach."
    since, until = selection.since, selection.until
    found = info.fills(account, since, until)
    updates = ledger.read(ledger_rows(account, info.ledger(account, since, until)), SOURCE)
    frame = fills.decode([(account.encode(), json.dumps(row).encode(), None) for row in found.rows])
    verdict = classify.classify(frame, vaults, updates.liquidations, source=SOURCE)
    rows, flows = in_blocks(verdict.rows, selection), in_blocks(updates.flows, selection)
    rejected = pl.concat([in_blocks(verdict.rejected, selection), in_blocks(updates.rejected, selection)])
    with store.transaction(connection):
        n_rows = write.replace_ranked(connection, write.LIQUIDATIONS, rows, None)
        n_flows = write.replace_ranked(connection, write.FLOWS, flows, None)
        n_rejected = write.reject(connection, SOURCE, rejected)
        write.markets(connection, frame.filter("is_tagged").select("coin", "fee_token"))
        # "watched": rows of single accounts never count as coverage of the venue.
        for dataset, first, n_stored in (("fills", found.since, n_rows), ("ledger", since, n_flows)):
            coverage = {
                "source": SOURCE,
                "dataset": f"watched:{dataset}:{account}",
                "from_at": moment(first),
                "to_at": moment(until),
                "n_rows": n_stored,
                "n_rejected": n_rejected if dataset == "fills" else 0,
                "proof": "paged",
                "endpoint": info.host,
            }
            if first < until:
                write.cover(connection, coverage)
        write.clear_gaps(connection, SOURCE, f"watched:fills:{account}", moment(since), moment(until))
        if found.since > since:
            gap = {"from_at": moment(since), "to_at": moment(found.since), "reason": OUT_OF_REACH}
            write.mark_gap(connection, {"source": SOURCE, "dataset": f"watched:fills:{account}"} | gap)
    unreached = f"; before {moment(found.since)}: {OUT_OF_REACH}" if found.since > since else ""
    narrate(f"{account} {n_rows} liquidations, {n_flows} flows, {n_rejected} rejected{unreached}")
    return found.since == since


def ledger_rows(account: str, updates: list[dict[str, Any]]) -> pl.DataFrame:
    "API ledger updates in the columns of the node's (misc.LEDGER_SCHEMA): the queried account is the acting user."
    rows = [
        (None, update.get("time"), update.get("hash"), [account], json.dumps(update.get("delta"))) for update in updates
    ]
    return pl.DataFrame(rows, schema=pl.Schema(misc.LEDGER_SCHEMA), orient="row")


def in_blocks(rows: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    "The rows of the wanted blocks; without a wanted range, all."
    if selection.blocks is None:
        return rows
    return rows.filter(pl.col("block_number").is_between(*selection.blocks))
