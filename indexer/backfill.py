"""The backfill of a block range: endpoints first, so that a request is on the wire before anything heavy is imported."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.chains import CHAINS
from indexer.errors import NoEndpoint, UserError, closest
from indexer.options import EvmOptions
from indexer.rpc import Pool

if TYPE_CHECKING:
    import duckdb
    import httpx

    from indexer.narration import Narrate
__all__ = ["EvmOptions", "evm", "price", "redecode"]
PROTOCOLS = Path(__file__).parent / "protocols"  # a protocol is called as its module is


def endpoints(chain: str, given: tuple[str, ...]) -> tuple[str, ...]:
    "URLs in order of preference: given, else <CHAIN>_RPC_URL (comma-separated), else the chain's public ones."
    variable = f"{chain.upper()}_RPC_URL"
    named = tuple(url.strip() for url in os.environ.get(variable, "").split(",") if url.strip())
    public = CHAINS[chain].public_endpoints if chain in CHAINS else ()
    urls = given or named or public
    if not urls:
        raise NoEndpoint(f"no endpoint known for {chain}; pass --rpc URL or set {variable}")
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{url.split('://')[0][:40]} is no endpoint: give an http:// or https:// URL to --rpc")
    return urls


def evm(path: str | Path, options: EvmOptions, narrate: Narrate, transport: httpx.BaseTransport | None = None) -> int:
    """Index `options` into the database at `path`; the exit code: 0 whole, 1 some ranges are left (they are listed).

    Raises UserError for wrong input, NoEndpoint when no endpoint can answer, StoreError for the database.
    """
    check(options)
    urls = endpoints(options.chain, options.rpc)
    pool = Pool(urls, chain_id=chain_id(options), chain=options.chain, narrate=narrate, transport=transport)
    warming = threading.Thread(target=warm, args=(pool,), daemon=True)
    warming.start()
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # numpy starts a thread a core otherwise, for algebra nobody does here
    was_collecting = gc.isenabled()
    gc.disable()  # frames hold no cycles, and a collection walks every import and every parsed log
    try:
        from indexer import loop  # noqa: PLC0415 - polars and duckdb load while the first answer travels

        return loop.run(path, options, pool, narrate)
    finally:
        if was_collecting:
            gc.enable()
        warming.join()
        pool.close()


def warm(pool: Pool) -> None:
    "Put the first request on the wire; its errors come again where the head is needed."
    try:
        pool.head("latest")
    except Exception:  # noqa: BLE001 - the same call follows on the main thread and reports
        return


def check(options: EvmOptions) -> None:
    "Raise UserError for a range that is none."
    first, last = options.from_block, options.to_block
    if isinstance(last, str) and last not in ("latest", "finalized"):
        raise UserError(f"--to-block {last} is neither a block number, latest nor finalized")
    if (first is not None and first < 0) or (isinstance(last, int) and last < 0):
        raise UserError("block numbers start at 0; give --from-block and --to-block of 0 or more")
    if first is not None and isinstance(last, int) and first > last:
        raise UserError(f"--from-block {first} is above --to-block {last}; swap them")
    if options.min_usd is not None and not 0 <= options.min_usd < float("inf"):
        raise UserError(f"--min-usd {options.min_usd} is no amount of dollars; give 0 or more")
    if options.chain not in CHAINS and options.deployments is None:
        raise UserError(
            f"unknown chain {options.chain}{closest(options.chain, CHAINS)}; a --deployments file can add one"
        )
    decoders = sorted(path.stem for path in PROTOCOLS.glob("[a-z]*.py"))
    for name in options.protocols:
        if name not in decoders:
            raise UserError(f"unknown protocol {name}{closest(name, decoders)}; known: {', '.join(decoders)}")
    if not 0 <= options.verify_sample <= 1:
        raise UserError(f"--verify-sample {options.verify_sample} is not a share; give a number from 0 to 1")


def chain_id(options: EvmOptions) -> int | None:
    "The id that endpoints must have: built in, or as the deployments file says; its mistakes are reported when it is read."
    if options.chain in CHAINS:
        return CHAINS[options.chain].chain_id
    import orjson  # noqa: PLC0415

    try:
        document: Any = orjson.loads(options.deployments.read_bytes()) if options.deployments else {}
        ids = {row["chain_id"] for row in document["deployments"] if row["chain"] == options.chain}
        return ids.pop() if len(ids) == 1 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def price(connection: duckdb.DuckDBPyConnection, narrate: Narrate) -> None:
    "Value every stored row again, chain by chain."
    from indexer import redecode  # noqa: PLC0415

    redecode.price_all(connection, narrate)


def redecode(connection: duckdb.DuckDBPyConnection, narrate: Narrate) -> None:
    "Derive every row again from the stored raw logs, without any network."
    from indexer import redecode as again  # noqa: PLC0415

    again.redecode(connection, narrate)
