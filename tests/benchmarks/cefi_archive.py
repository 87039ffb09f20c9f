"""Import of a made-up archive of CSV zips against DuckDB's own reading of the same CSV: `python -m` this module."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import duckdb

from indexer import cefi

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


def main() -> None:
    "Print seconds of each and the ratio."
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        paths = make(folder, options.rows, options.days)
        begin, cpu = time.perf_counter(), time.process_time()
        with duckdb.connect(str(folder / "floor.duckdb")) as floor:
            floor.execute(f"CREATE TABLE rows AS SELECT * FROM read_csv('{folder}/*.csv', header=true)")
        floor_seconds, floor_cpu = time.perf_counter() - begin, time.process_time() - cpu
        begin, cpu = time.perf_counter(), time.process_time()
        cefi.backfill(folder / "own.duckdb", cefi.BackfillOptions("binance", tuple(paths)), sys.stderr.write)
        own_seconds, own_cpu = time.perf_counter() - begin, time.process_time() - cpu
    sys.stdout.write(
        f"{options.rows:,} rows in {options.days} zips\n"
        f"duckdb read_csv into a table: {floor_seconds:.1f} s ({floor_cpu:.1f} CPU s)\n"
        f"indexer backfill cefi:        {own_seconds:.1f} s ({own_cpu:.1f} CPU s),"
        f" {options.rows / own_seconds:,.0f} rows/s, ratio {own_seconds / floor_seconds:.1f}"
        f" (CPU {own_cpu / floor_cpu:.1f})\n"
    )


if __name__ == "__main__":
    main()
