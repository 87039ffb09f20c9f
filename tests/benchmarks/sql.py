"""What a question costs on a large database: cascades, flows around them, export."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from indexer import export, query, store
from tests.benchmarks import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

SMALLER = 10  # growth is measured between sizes so many times apart
FLOWS_PER_ROW = 3
CASCADE = {"floor_usd": "10000"}  # the synthetic rows are small: the default of a million would find nothing
FIRST = "TIMESTAMP '2024-01-01'"
MICROSECONDS = 366 * 86_400_000_000  # a year
N_CASCADES = 400

# A share of a row's hash, from 0 to 1, one for each salt: the same rows on every machine.
SHARE = "(hash(i * 64 + {}) / 18446744073709551616.0)"
LIQUIDATIONS = f"""
SELECT 'bench:' || i::VARCHAR AS event_id,
  ['aave_v3', 'spark', 'compound_v3', 'morpho_blue', 'hyperliquid'][1 + (hash(i) % 5)::INTEGER] AS venue,
  'defi' AS venue_kind, CASE WHEN hash(i) % 5 = 4 THEN 'perp' ELSE 'lending' END AS sector, 'aave_v3' AS protocol,
  'ethereum' AS chain, '0x' || substr(md5((hash(i * 3) % 40)::VARCHAR), 1, 40 - 8) || '00000000' AS market,
  'call' AS kind, true AS is_headline,
  {FIRST} + to_microseconds((CASE WHEN {SHARE.format(1)} < 0.45
    THEN (hash(i % {N_CASCADES}) % {MICROSECONDS})::BIGINT + (-ln(1 - {SHARE.format(2)}) * 300000000)::BIGINT
    ELSE ({SHARE.format(2)} * {MICROSECONDS})::BIGINT END)) AS liquidated_at,
  i AS block_number, (hash(i * 5) % 300)::INTEGER AS log_index,
  '0x' || md5('hash' || i::VARCHAR) || md5('of' || i::VARCHAR) AS tx_hash,
  '0x' || md5((floor(pow({SHARE.format(3)}, 4) * 300000))::BIGINT::VARCHAR) || '00112233' AS account, 'user' AS account_kind,
  '0x' || md5((hash(i * 7) % 300)::VARCHAR) || '44556677' AS liquidator,
  CASE WHEN {SHARE.format(4)} < 0.82 THEN 'long' ELSE 'short' END AS side,
  ['ETH', 'BTC', 'AVAX', 'LINK', 'SOL'][1 + (hash(i * 11) % 5)::INTEGER] AS asset,
  'WETH' AS collateral_symbol, (exp(20 + 2 * {SHARE.format(5)}) * 1e9)::DECIMAL(38,0) AS collateral_raw,
  'USDC' AS debt_symbol, (exp(20 + 2 * {SHARE.format(6)}))::DECIMAL(38,0) AS debt_raw,
  exp(6.5 + 3.74 * ({SHARE.format(7)} + {SHARE.format(8)} + {SHARE.format(9)} + {SHARE.format(10)} - 2)) AS forced_usd,
  forced_usd AS seized_usd, forced_usd * 0.95 AS repaid_usd, forced_usd * 0.05 AS bonus_usd, 'chainlink' AS price_source,
  'full' AS completeness, 'rpc' AS source
FROM range({{}}) AS numbers(i) ORDER BY liquidated_at
"""
FLOWS = f"""
SELECT 'bench:' || i::VARCHAR AS flow_id, {FIRST} + to_microseconds(({SHARE.format(11)} * {MICROSECONDS})::BIGINT) AS flowed_at,
  'ethereum' AS chain, i AS block_number, 'transfer' AS kind,
  '0x' || md5((floor(pow({SHARE.format(12)}, 4) * 300000))::BIGINT::VARCHAR) || '00112233' AS account,
  ['to_exchange', 'from_exchange', 'to_bridge', 'from_lending', 'other'][1 + (hash(i * 13) % 5)::INTEGER] AS direction,
  'WETH' AS token, 'ETH' AS asset, exp(10 + 5 * {SHARE.format(13)}) AS usd, 'rpc' AS source
FROM range({{}}) AS numbers(i) ORDER BY flowed_at
"""
# The same windows as whales/flows, each flow compared with each window.
PLAIN_JOIN = """
WITH phases AS (
  SELECT cascade_id, unnest([
    {'phase': 'before_24h', 'from_at': start_at - INTERVAL 24 HOUR, 'to_at': start_at - INTERVAL 1 HOUR},
    {'phase': 'before_1h', 'from_at': start_at - INTERVAL 1 HOUR, 'to_at': start_at},
    {'phase': 'during', 'from_at': start_at, 'to_at': end_at},
    {'phase': 'after_1h', 'from_at': end_at, 'to_at': end_at + INTERVAL 1 HOUR},
    {'phase': 'after_24h', 'from_at': end_at + INTERVAL 1 HOUR, 'to_at': end_at + INTERVAL 24 HOUR}]) AS part
  FROM found
), windows AS (
  SELECT cascade_id, days_back, part.phase AS phase, part.from_at - to_days(days_back::INTEGER) AS from_at,
    part.to_at - to_days(days_back::INTEGER) AS to_at
  FROM range(15) AS shifts(days_back), phases
)
SELECT cascade_id, phase, days_back, sum(usd) FILTER (WHERE direction = 'to_exchange')
FROM windows JOIN flows ON flowed_at >= from_at AND flowed_at < to_at WHERE usd >= 10000 GROUP BY ALL
"""


def benchmark(folder: Path, n_rows: int, n_runs: int) -> Iterator[str]:
    "Lines of the report."
    yield f"{n_rows:,} liquidations, {n_rows * FLOWS_PER_ROW:,} flows, median of {n_runs}; CPU s / wall s"
    questions = query.find()
    small = open_database(folder, n_rows // SMALLER)
    large = open_database(folder, n_rows)
    with small, large:
        few, _ = timed(lambda: query.run(small, questions["cascades/cascades"], CASCADE).fetchall(), n_runs)
        cascades = query.run(large, questions["cascades/cascades"], CASCADE)
        cpu, wall = timed(lambda: query.run(large, questions["cascades/cascades"], CASCADE).fetchall(), n_runs)
        n_cascades = len(cascades.fetchall())
        yield f"cascades/cascades            {cpu:7.2f} / {wall:6.2f}   {n_cascades} cascades; {cpu / few:.1f}x of {SMALLER}x fewer rows"
        yield flows(large, questions, n_runs)
        yield exported(large, folder, n_runs)


def open_database(folder: Path, n_rows: int) -> duckdb.DuckDBPyConnection:
    "A database of that many liquidations; built once."
    path = folder / f"sql-{n_rows}.duckdb"
    is_new = not path.exists()
    connection = store.connect(path)
    if is_new:
        connection.execute(f"INSERT INTO liquidations BY NAME {LIQUIDATIONS.format(n_rows)}")
        connection.execute(f"INSERT INTO flow_rows BY NAME {FLOWS.format(n_rows * FLOWS_PER_ROW)}")
        connection.execute("CHECKPOINT")
    return connection


def flows(connection: duckdb.DuckDBPyConnection, questions: dict[str, query.Query], n_runs: int) -> str:
    "whales/flows against the plain join of the same windows."
    if "whales/flows" not in questions:
        return "whales/flows                 is not in the pack"
    connection.execute("CREATE OR REPLACE TEMP TABLE found (cascade_id VARCHAR, start_at TIMESTAMP, end_at TIMESTAMP)")
    rows = (
        query.run(connection, questions["cascades/cascades"], CASCADE)
        .project("cascade_id, start_at, end_at")
        .fetchall()
    )
    connection.executemany("INSERT INTO found VALUES (?, ?, ?)", rows)
    cpu, wall = timed(lambda: query.run(connection, questions["whales/flows"], CASCADE).fetchall(), n_runs)
    plain_cpu, plain_wall = timed(lambda: connection.execute(PLAIN_JOIN).fetchall(), n_runs)
    plain = f"plain join {plain_cpu:.2f} / {plain_wall:.2f}, {plain_cpu / cpu:.1f}x as much CPU"
    return f"whales/flows                 {cpu:7.2f} / {wall:6.2f}   {plain}"


def exported(connection: duckdb.DuckDBPyConnection, folder: Path, n_runs: int) -> str:
    "Partitioned export against COPY to one file."
    target, single = folder / "exported", folder / "exported.parquet"
    copy = f"COPY (FROM liquidations) TO '{single}' (FORMAT parquet, COMPRESSION zstd)"
    cpu, wall = timed(lambda: export.write(connection, target, silent, ("liquidations",)), n_runs)
    copy_cpu, copy_wall = timed(lambda: connection.execute(copy), n_runs)
    shutil.rmtree(target)
    single.unlink()
    ratios = f"{cpu / copy_cpu:.2f}x CPU, {wall / copy_wall:.2f}x wall"
    return f"export, partitioned          {cpu:7.2f} / {wall:6.2f}   COPY to one file {copy_cpu:.2f} / {copy_wall:.2f}: {ratios}"


def silent(*_: object, **__: object) -> None:
    "Narration that nobody reads."


def timed(act: Callable[[], object], n_runs: int) -> tuple[float, float]:
    "Median CPU and wall seconds of `act`, all threads of this process."
    runs = []
    for _ in range(n_runs):
        cpu, wall = time.process_time(), time.perf_counter()
        act()
        runs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return measure.median([cpu for cpu, _ in runs]), measure.median([wall for _, wall in runs])
