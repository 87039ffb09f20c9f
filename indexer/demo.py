"""The whole job on recorded input, offline: index, ask, export, and say where everything is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer import cefi, export, query, query_format, store
from indexer.abi import folder
from indexer.backfill import evm
from indexer.cefi import reported
from indexer.errors import UserError
from indexer.options import EvmOptions
from indexer.replay import Replay

if TYPE_CHECKING:
    from indexer.narration import Narrate

CASSETTE = "demo.json.gz"
DEPLOYMENTS = "demo.deployments.json"
EXAMPLE = Path(__file__).with_name("data") / "demo_reported_totals.csv"
HEAD = 554
WIDTH = 100  # as recorded: the ranges of the requests are part of what identifies them
NOTICE = (
    "This chain is a simulation: real protocol contracts (Aave v3, Compound v2 and v3, Morpho Blue, Maker, Liquity,"
    " GMX v2, Chainlink) on a local node. Users, sizes and prices are made up; events, encodings and receipts are real."
)
QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("whales/largest_liquidated", {"top": "5"}),
    ("cascades/cascades", {"floor_usd": "100000"}),
    ("structure/market_split", {"split": "venue"}),
    ("context/event_rank", {"top": "5"}),
)


def options(recording: Path, url: str) -> EvmOptions:
    "What the demo asks of the recorded chain; the recorder asks the same."
    return EvmOptions(
        chain="devnet", from_block=0, to_block=HEAD, rpc=(url,), deployments=recording / DEPLOYMENTS, width=WIDTH,
        verify_sample=0.0, workers=2,
    )  # fmt: skip


def run(out: Path, narrate: Narrate) -> int:
    "Index the recorded chain into `out`, print answers on stdout; 0 when all of it worked."
    started = time.monotonic()
    recording = folder("cassettes")
    if not (recording / CASSETTE).exists():
        raise UserError(f"{recording / CASSETTE} is missing; install the project again")
    db = out / "demo.duckdb"
    narrate(NOTICE)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in (db, db.with_name(db.name + ".wal")):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; pass another folder to --out") from error
    code = evm(db, options(recording, "http://recorded.invalid"), narrate, Replay(recording / CASSETTE))
    with store.connect(db) as connection:
        n_reported = cefi.reported_totals(connection)
        n_made_up = reported.load(connection, EXAMPLE)
    narrate(
        f"{n_reported} figures that third parties stated of real nights, loaded beside it: never compared with a simulation"
    )
    narrate(f"{n_made_up} figures of a made-up story about this simulated night (source `example: ...`)")
    with store.connect(db, read_only=True) as connection:
        for name, values in QUESTIONS:
            question = query.named(name)
            said = " ".join(f"-p {key}={value}" for key, value in values.items())
            click.echo(f"\n{question.title}   (indexer query {name} {said} --db {db})")
            query_format.write(query.run(connection, question, values), "table", sys.stdout)
        export.write(connection, out / "parquet", narrate, (), (None, None))
    click.echo(f"\nDone in {time.monotonic() - started:.1f} s, offline. {NOTICE}")
    click.echo(f"database  {db}\nParquet   {out / 'parquet'}   (manifest.json says what is in it)")
    click.echo(
        f"next      indexer query --db {db}\n          indexer status --db {db}\n          indexer verify --db {db}"
    )
    return code
