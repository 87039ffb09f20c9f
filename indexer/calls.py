"""What transactions called, where their logs alone do not say what happened: asked once, then kept in `facts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from indexer.abi import selector
from indexer.answers import as_address
from indexer.derive import CALL_SCHEMA, uncalled
from indexer.errors import NoEndpoint
from indexer.rpc import is_revert, returned
from indexer.rpc_errors import Verdict
from indexer.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from indexer.rpc import Pool
    from indexer.wire import Call

# Errors after which another try may answer; any other says that this node does not tell transactions.
PASSING = {"transient", "rate", "head_lag"}
NOT_ASKED = Reply(None, Verdict("transient", "no endpoint could answer"))


def fetch(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, logs: pl.DataFrame, routes: pl.DataFrame
) -> pl.DataFrame | None:
    """The calls of those transactions of `logs` that no log explains (CALL_SCHEMA); None where there are none.

    A call counts when its function is the declared one and the called contract is the log's emitter, or names it, or
    cannot be asked. What no node tells stays unknown, and its logs give no row.
    """
    wanted = uncalled(logs, routes)
    if wanted.is_empty():
        return None
    known = stored(connection, chain)
    found = asked(pool, wanted.join(known, on=["tx_hash", "address"], how="anti"))
    for tx_hash, address, call in found.iter_rows():
        name = f"call:{chain}:0x{tx_hash.hex()}:0x{address.hex()}"
        connection.execute("DELETE FROM facts WHERE name = ?", [name])
        connection.execute("INSERT INTO facts VALUES (?, ?)", [name, "0x" + call.hex()])
    return pl.concat([known, found])


def stored(connection: duckdb.DuckDBPyConnection, chain: str) -> pl.DataFrame:
    "The calls of `chain` that `facts` holds (CALL_SCHEMA)."
    rows = connection.execute(
        "SELECT unhex(substr(split_part(name, ':', 3), 3)), unhex(substr(split_part(name, ':', 4), 3)), unhex(substr(value, 3))"
        " FROM facts WHERE name LIKE ? ORDER BY name",
        [f"call:{chain}:%"],
    ).fetchall()
    return pl.DataFrame(rows, schema=CALL_SCHEMA, orient="row")


def asked(pool: Pool, wanted: pl.DataFrame) -> pl.DataFrame:
    "The calls among `wanted` (see derive.uncalled) that the node tells and that reached the emitter."
    hashes = [f"0x{one.hex()}" for one in wanted["tx_hash"].unique(maintain_order=True)]
    replies = answers(pool, [("eth_getTransactionByHash", [one]) for one in hashes], is_final)
    told = {bytes.fromhex(one[2:]): sent(reply) for one, reply in zip(hashes, replies, strict=True)}
    found = [
        (tx_hash, address, *told[tx_hash], of)
        for tx_hash, address, head, of in wanted.iter_rows()
        if told[tx_hash][1].startswith(head)
    ]
    others = sorted({(to, of) for _, address, to, _, of in found if to != address})
    reads = answers(
        pool, [("eth_call", [{"to": f"0x{to.hex()}", "data": selector(of)}, "latest"]) for to, of in others], is_revert
    )
    named = dict(zip(others, reads, strict=True))
    rows = [
        (tx_hash, address, call)
        for tx_hash, address, to, call, of in found
        if to == address or may_name(named[to, of], address)
    ]
    return pl.DataFrame(rows, schema=CALL_SCHEMA, orient="row")


def answers(pool: Pool, calls: Sequence[Call], settles: Callable[[Verdict], bool]) -> list[Reply]:
    "The replies to `calls`; errors where no endpoint answers the method."
    try:
        return pool.ask_many(calls, settles=settles) if calls else []
    except NoEndpoint:
        return [NOT_ASKED] * len(calls)


def is_final(verdict: Verdict) -> bool:
    "Whether asking again would bring the same."
    return verdict.kind not in PASSING


def may_name(reply: Reply, emitter: bytes) -> bool:
    "Whether a contract answered `emitter`, or could not be asked: then what the call names decides."
    if reply.error is not None:
        return not is_revert(reply.error)
    return as_address(returned(reply)) == f"0x{emitter.hex()}"


def sent(reply: Reply) -> tuple[bytes, bytes]:
    "Whom a transaction called, and the call's bytes; both empty for one that is not told or creates a contract."
    transaction: Any = reply.result
    if reply.error is not None or not isinstance(transaction, dict):
        return b"", b""
    to, call = transaction.get("to"), transaction.get("input", transaction.get("data"))
    if not isinstance(to, str) or not isinstance(call, str):
        return b"", b""
    try:
        return bytes.fromhex(to.removeprefix("0x")), bytes.fromhex(call.removeprefix("0x"))
    except ValueError:
        return b"", b""
