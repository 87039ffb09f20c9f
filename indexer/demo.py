"""The whole job on recorded input, offline: index, ask, export, and say where everything is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer import cefi, export, imports, query, query_format, simulated, store
from indexer.abi import folder
from indexer.backfill import evm
from indexer.cefi import reported
from indexer.errors import UserError
from indexer.options import EvmOptions
from indexer.replay import Replay
from indexer.report import write

if TYPE_CHECKING:
    from indexer.narration import Narrate

# What each run asks of the chain, and what it was answered.
CASSETTES = {"demo.json.gz": ("liquidations",), "demo.flows.json.gz": ("liquidations", "flows")}
DEPLOYMENTS = "demo.deployments.json"
EXCHANGES = {"binance": "demo.binance.jsonl", "bybit": "demo.bybit.jsonl"}
DATABASE = "demo.duckdb"
LABELS = "labels_demo.csv"  # the exchange of the recorded chain
EXAMPLE = Path(__file__).with_name("data") / "demo_reported_totals.csv"
HEAD = 554
WIDTH = 100  # as recorded: the ranges of the requests are part of what identifies them
NOTICE = (
    "This chain is a simulation: real protocol contracts (Aave v3, Compound v2 and v3, Morpho Blue, Maker, Liquity,"
    " GMX v2, Chainlink) on a local node. Users, sizes and prices are made up; events, encodings and receipts are real."
)
EXCHANGE_NOTICE = (
    "The exchange records beside it are simulated too: no venue sent them. They have the shape of Binance's and Bybit's"
    " frames, follow the chain's prices, and hide what the real feeds hid on that date."
)
QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("whales/largest_liquidated", {"top": "5"}),
    ("cascades/cascades", {"floor_usd": "100000"}),
    ("structure/market_split", {"split": "venue"}),
    ("whales/catalysts", {"min_transfer_usd": "1000000", "floor_usd": "100000", "top": "3"}),
    ("cefi/side_by_side", {"step_seconds": "600"}),
    ("cefi/venue_ranking", {"venues": "binance,bybit,gmx_v2"}),
    ("context/event_rank", {"top": "5"}),
)


def options(recording: Path, url: str, datasets: tuple[str, ...]) -> EvmOptions:
    "What the demo asks of the recorded chain; the recorder asks the same."
    return EvmOptions(
        chain="devnet", from_block=0, to_block=HEAD, rpc=(url,), deployments=recording / DEPLOYMENTS, width=WIDTH,
        verify_sample=0.0, workers=2, datasets=datasets,
    )  # fmt: skip


def run(out: Path, narrate: Narrate) -> int:
    "Index what is recorded into `out`, print answers on stdout, write Parquet and the report; 0 when all of it worked."
    started = time.monotonic()
    db = out / DATABASE
    code = fill(out, narrate)
    with store.connect(db, read_only=True) as connection:
        marks = "; ".join(simulated.sentences(connection))
        for name, values in QUESTIONS:
            question = query.named(name)
            said = " ".join(f"-p {key}={value}" for key, value in values.items())
            click.echo(f"\n{question.title}   (indexer query {name} {said} --db {db})")
            if name.startswith("cefi/"):
                click.echo(f"simulated on both sides: {marks}")
            query_format.write(query.run(connection, question, values), "table", sys.stdout)
        export.write(connection, out / "parquet", narrate, (), (None, None))
        page = out / "report.html"
        if write.is_possible():
            write.report(connection, page, lambda *_, **__: None)
    click.echo(f"\nDone in {time.monotonic() - started:.1f} s, offline. {NOTICE} {EXCHANGE_NOTICE}")
    click.echo(f"database  {db}\nParquet   {out / 'parquet'}   (manifest.json says what is in it)")
    click.echo(f"report    {page if page.exists() else write.EXTRA}")
    click.echo(
        f"next      indexer query --db {db}\n          indexer status --db {db}\n          indexer verify --db {db}"
    )
    return code


def fill(out: Path, narrate: Narrate) -> int:
    "The demo's database in `out`: the recorded chain, the exchange records, and figures that were reported."
    db = out / DATABASE
    code = chain(out, narrate) | exchanges(db, narrate)
    with store.connect(db) as connection:
        n_reported = cefi.reported_totals(connection)
        n_made_up = reported.load(connection, EXAMPLE)
    narrate(
        f"{n_reported} figures that third parties stated of real nights, loaded beside it: never compared with a simulation"
    )
    narrate(f"{n_made_up} figures of a made-up story about this simulated night (source `example: ...`)")
    return code


def chain(out: Path, narrate: Narrate) -> int:
    "Index the recorded chain into a new database in `out`; raises UserError where nothing can be written."
    recording = folder("cassettes")
    if absent := [name for name in CASSETTES if not (recording / name).exists()]:
        raise UserError(f"{recording / absent[0]} is missing; install the project again")
    db = out / DATABASE
    narrate(NOTICE)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in (db, db.with_name(db.name + ".wal"), out / "report.html"):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; pass another folder to --out") from error
    code = 0
    for name, datasets in CASSETTES.items():
        code |= evm(db, options(recording, "http://recorded.invalid", datasets), narrate, Replay(recording / name))
    with store.connect(db) as connection:
        imports.load(connection, [recording / LABELS], lambda *_, **__: None)
    return code


def exchanges(db: Path, narrate: Narrate) -> int:
    "Import the simulated captures of exchanges as any capture."
    narrate(EXCHANGE_NOTICE)
    asked = [cefi.BackfillOptions(venue, (folder("cassettes") / name,)) for venue, name in EXCHANGES.items()]
    return max(cefi.backfill(db, one, narrate) for one in asked)
