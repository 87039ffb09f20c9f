"""Import of a made-up archive of CSV zips against DuckDB alone on the same CSV: `python -m` this module."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from indexer import cefi, store

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,"
    "last_fill_quantity,accumulated_fill_quantity"
)
ROWS = """
COPY (
  SELECT 1687651200000 + {day} * 86400000 + (i * 86400000) // {n} AS time, CASE WHEN hash(i, {day}) % 2 = 0 THEN 'BUY'
    ELSE 'SELL' END AS side, 'LIMIT' AS order_type, 'IOC' AS time_in_force, 1 + hash(i) % 500 AS original_quantity,
    30000 + hash(i, 1) % 20000 / 10 AS price, 30000 + hash(i, 2) % 20000 / 10 AS average_price,
    'FILLED' AS order_status,
    1 + hash(i) % 500 AS last_fill_quantity, 1 + hash(i) % 500 AS accumulated_fill_quantity
  FROM range({n}) numbers (i)
) TO '{path}' (HEADER, DELIMITER ',')
"""


def make(folder: Path, n_rows: int, n_days: int) -> list[Path]:
    "Zips of one day each, with the shape of Binance's daily archive."
    paths = []
    for day in range(n_days):
        name = f"BTCUSD_PERP-liquidationSnapshot-{duckdb.sql(f'SELECT DATE $$2023-06-25$$ + {day}').fetchall()[0][0]}"
        plain = folder / f"{name}.csv"
        duckdb.sql(ROWS.format(day=day, n=n_rows // n_days, path=plain))
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(plain, plain.name)
        paths.append(folder / f"{name}.zip")
    return paths


READ = "read_csv('{folder}/*.csv', header=true, columns={columns}, auto_detect=false, filename=true)"
COLUMNS = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in HEADER.split(",")) + "}"
# The columns that an import must write, from the same CSV, without any check: what DuckDB alone takes for it.
PLAIN_ROWS = """
INSERT INTO liquidations BY NAME
SELECT concat('binance:BTCUSD_PERP:', time, ':', side, ':', accumulated_fill_quantity, ':', average_price) AS event_id,
  'binance' AS venue, 'cefi' AS venue_kind, 'perp' AS sector, 'BTCUSD_PERP' AS market, 'market' AS kind,
  true AS is_headline, make_timestamp(time::BIGINT * 1000) AS liquidated_at,
  CASE side WHEN 'BUY' THEN 'short' ELSE 'long' END AS side, 'BTC' AS asset,
  accumulated_fill_quantity::DOUBLE * 100 / average_price::DOUBLE AS size, average_price::DOUBLE AS price,
  accumulated_fill_quantity::DOUBLE * 100 AS forced_usd, 'contract_value' AS price_source, liquidated_at AS price_at,
  'throttled_latest_1s' AS completeness, 'binance_archive' AS source FROM {read}
"""
PLAIN_LINES = """
INSERT INTO raw_frames BY NAME
SELECT 'binance_archive' AS source, 'BTCUSD_PERP' AS market, filename AS connection, concat({line}) AS frame FROM {read}
"""
LINE = ", ',', ".join(HEADER.split(","))


class Used(NamedTuple):
    "What a part took."

    name: str
    cpu_seconds: float
    wall_seconds: float


@contextlib.contextmanager
def used(name: str, parts: list[Used]) -> Iterator[None]:
    "Adds what the body takes to `parts`."
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    parts.append(Used(name, time.process_time() - cpu, time.perf_counter() - wall))


def measure(folder: Path, paths: list[Path]) -> list[Used]:
    "CSV read, CSV into a plain table, CSV into the store's tables without checks, and the import."
    parts: list[Used] = []
    read = READ.format(folder=folder, columns=COLUMNS)
    with duckdb.connect(str(folder / "plain.duckdb")) as plain:
        with used("read_csv, nothing kept", parts):
            plain.execute(f"SELECT max(time), max(average_price) FROM {read}").fetchall()
        with used("read_csv into a plain table", parts):
            plain.execute(f"CREATE TABLE rows AS SELECT * FROM {read}")
    with store.connect(folder / "same.duckdb") as same, used("read_csv into the same columns", parts):
        same.execute("BEGIN")
        same.execute(PLAIN_ROWS.format(read=read))
        same.execute(PLAIN_LINES.format(read=read, line=LINE))
        same.execute("COMMIT")
    with used("indexer backfill cefi", parts):
        cefi.backfill(folder / "own.duckdb", cefi.BackfillOptions("binance", tuple(paths)), lambda _: None)
    return parts


def main() -> None:
    "Print CPU and wall seconds of each part, and how many times each of the others the import takes."
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        parts = measure(folder, make(folder, options.rows, options.days))
    own = parts[-1]
    sys.stdout.write(
        f"{options.rows:,} rows in {options.days} zips, {options.rows / own.cpu_seconds:,.0f} rows per CPU second\n"
    )
    for part in parts:
        sys.stdout.write(
            f"{part.name:<32} {part.cpu_seconds:6.1f} CPU s {part.wall_seconds:6.1f} s"
            f"   the import takes {own.cpu_seconds / part.cpu_seconds:.2f} times as much CPU\n"
        )


if __name__ == "__main__":
    main()
