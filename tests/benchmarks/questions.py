"""What each question of the pack costs on a large database, and the ratios to plain SQL of the same run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from indexer import query, store
from tests.benchmarks import measure, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

NIGHT = {"since": "2024-09-10", "until": "2024-09-12"}
N_PLANTED = 50
FLOWS_PER_ROW = 3
N_ACCOUNTS = 1_000_000
N_PLACES = 5_000

PLACE = f"'0x' || substr(md5((floor(pow({{}}, 3) * {N_PLACES}))::BIGINT::VARCHAR), 1, 32) || 'eeeeeeee'"
PERSON = f"'0x' || substr(md5((floor(pow({{}}, 2) * {N_ACCOUNTS}))::BIGINT::VARCHAR), 1, 32) || '00112233'"
PLANTED = "'0x' || substr(md5('planted ' || {}), 1, 40)"
# Seven of ten flows are transfers, a quarter of those of a labelled place; in time order, as an indexer stores them.
FLOWS = f"""
WITH numbers AS (
  SELECT i, {sql.SHARE.format(21)} AS what, {sql.SHARE.format(22)} AS who, {sql.SHARE.format(23)} AS one, {sql.SHARE.format(24)} AS other
  FROM range({{rows}}) AS numbers(i)
)
SELECT 'bench:' || i AS flow_id, {sql.FIRST} + to_microseconds((i * ({sql.MICROSECONDS}::DOUBLE / {{rows}}))::BIGINT) AS flowed_at,
  'ethereum' AS chain, i AS block_number, '0x' || md5(i::VARCHAR) || md5('of' || i) AS tx_hash, (i % 300)::INTEGER AS log_index,
  CASE WHEN what < 0.7 THEN 'transfer' WHEN what < 0.8 THEN 'supply' WHEN what < 0.9 THEN 'borrow' WHEN what < 0.95 THEN 'repay'
    WHEN what < 0.975 THEN 'bridge_out' ELSE 'bridge_in' END AS kind,
  CASE WHEN what >= 0.7 THEN {PERSON.format("one")} END AS account,
  CASE WHEN what < 0.7 AND who < 0.12 THEN {PLACE.format("one")} ELSE {PERSON.format("one")} END AS from_address,
  CASE WHEN what < 0.7 AND who > 0.88 THEN {PLACE.format("other")} ELSE {PERSON.format("other")} END AS to_address,
  'WETH' AS token, 'ETH' AS asset, exp(8 + 5 * {sql.SHARE.format(25)}) AS usd, usd / 2500 AS amount, 'rpc' AS source
FROM numbers
"""
LABELS = f"""
SELECT '0x' || substr(md5(i::VARCHAR), 1, 32) || 'eeeeeeee' AS address, 'place' || i AS entity,
  CASE WHEN i % 10 = 0 THEN 'bridge' ELSE 'exchange' END AS kind, 'bench' AS source
FROM range({N_PLACES}) AS numbers(i)
"""
# The largest accounts of the night, each of which sends a million dollars on over three hops to an exchange.
PLANTED_ROWS = f"""
SELECT row.* REPLACE ('planted:' || k AS event_id, {PLANTED.format("'a' || k")} AS account, 1e9 + k AS forced_usd,
  TIMESTAMP '2024-09-11 12:00:00' + to_minutes(k) AS liquidated_at)
FROM (FROM liquidations LIMIT 1) AS row, range({N_PLANTED}) AS numbers(k)
"""
PLANTED_FLOWS = f"""
SELECT 'planted:' || k || ':' || hop AS flow_id, 'ethereum' AS chain, 'transfer' AS kind, 'ETH' AS asset, 'rpc' AS source,
  TIMESTAMP '2024-09-11 13:00:00' + to_minutes(k) + to_hours(hop) AS flowed_at, 1e6 - 1000 * hop AS usd, 400 AS amount,
  CASE hop WHEN 0 THEN {PLANTED.format("'a' || k")} ELSE {PLANTED.format("'h' || k || '-' || hop")} END AS from_address,
  CASE hop WHEN 2 THEN '0x' || substr(md5('1'), 1, 32) || 'eeeeeeee' ELSE {PLANTED.format("'h' || k || '-' || (hop + 1)")} END
    AS to_address
FROM range({N_PLANTED}) AS numbers(k), range(3) AS hops(hop)
"""
PRICES = f"""
SELECT asset, {sql.FIRST} + to_minutes(minute) AS priced_at, 100 * (1 + 0.2 * sin(minute / 1440)) AS price_usd, 'kline' AS kind,
  'binance' AS source
FROM (VALUES ('ETH'), ('BTC'), ('AVAX'), ('LINK'), ('SOL')) AS assets(asset), range(366 * 1440) AS minutes(minute)
"""
# The phases of one cascade and the same on the fortnight before, each flow compared with each: what whales/flows must beat.
PLAIN_JOIN = """
WITH phases AS (
  SELECT unnest([
    {'phase': 'before_24h', 'from_at': start_at - INTERVAL 24 HOUR, 'to_at': start_at - INTERVAL 1 HOUR},
    {'phase': 'before_1h', 'from_at': start_at - INTERVAL 1 HOUR, 'to_at': start_at},
    {'phase': 'during', 'from_at': start_at, 'to_at': end_at},
    {'phase': 'after_1h', 'from_at': end_at, 'to_at': end_at + INTERVAL 1 HOUR},
    {'phase': 'after_24h', 'from_at': end_at + INTERVAL 1 HOUR, 'to_at': end_at + INTERVAL 24 HOUR}]) AS part
  FROM (SELECT $start_at::TIMESTAMP AS start_at, $end_at::TIMESTAMP AS end_at)
), windows AS MATERIALIZED (
  SELECT days_back, part.phase AS phase, part.from_at - to_days(days_back::INTEGER) AS from_at,
    part.to_at - to_days(days_back::INTEGER) AS to_at
  FROM range(15) AS shifts(days_back), phases
)
SELECT phase, days_back, sum(usd) FILTER (WHERE direction = 'to_exchange')
FROM flows JOIN windows ON flowed_at >= from_at AND flowed_at < to_at WHERE usd >= 10000 GROUP BY ALL
"""
BUILD = (
    "import sys; from pathlib import Path; from tests.benchmarks import questions;"
    " questions.build(Path(sys.argv[1]), int(sys.argv[2]))"
)
PLAIN_HOURS = (
    "SELECT date_trunc('hour', liquidated_at) AS hour_at, sum(forced_usd), count(*) FROM liquidations GROUP BY ALL"
)


def benchmark(folder: Path, n_rows: int, n_runs: int) -> Iterator[str]:
    "Lines of the report: every question about one night as a process of its own, then the ratios."
    yield f"{n_rows:,} liquidations, {n_rows * FLOWS_PER_ROW:,} flows, one night of {NIGHT['since']}"
    path = folder / f"questions-{n_rows}.duckdb"
    # Built by a process of its own: Linux counts the peak of the parent at the fork as the child's.
    measure.run([sys.executable, "-c", BUILD, str(path), str(n_rows)])
    questions = query.find()
    for name, question in questions.items():
        values = {key: value for key, value in (NIGHT | sql.CASCADE).items() if key in question.parameters}
        used = measure.run([*measure.INDEXER, "query", name, "--db", str(path), "--format", "csv", *options(values)])
        yield f"{name:34} {used.cpu_seconds:7.2f} / {used.wall_seconds:6.2f} s, {used.peak_mib:6.0f} MiB"
    with store.connect(path) as connection:
        yield planted_paths(connection, questions["whales/path"])
        yield around_one_cascade(connection, questions, n_runs)
        yield rolling_day(connection, questions["cefi/reported_agreement"], n_runs)


def options(values: Mapping[str, str]) -> list[str]:
    "Parameters as the command line takes them."
    return [part for key, value in values.items() for part in ("-p", f"{key}={value}")]


def build(path: Path, n_rows: int) -> None:
    "A database of that many liquidations, with flows, labels and prices around them; built once."
    if path.exists():
        return
    with store.connect(path) as connection:
        connection.execute(f"INSERT INTO liquidations BY NAME {sql.LIQUIDATIONS.format(n_rows)}")
        connection.execute(f"INSERT INTO flow_rows BY NAME {FLOWS.format(rows=n_rows * FLOWS_PER_ROW)}")
        for table, rows in {
            "labels": LABELS, "liquidations": PLANTED_ROWS, "flow_rows": PLANTED_FLOWS, "prices": PRICES,
        }.items():  # fmt: skip
            connection.execute(f"INSERT INTO {table} BY NAME {rows}")
        connection.execute("CHECKPOINT")


def planted_paths(connection: duckdb.DuckDBPyConnection, question: query.Query) -> str:
    "How many of the planted three-hop paths are found among all flows."
    found = query.run(connection, question, NIGHT | {"top": str(N_PLANTED)}).fetchall()
    n_hops = list(question.columns).index("n_hops")
    n_found = len({row[0] for row in found if row[n_hops] == 3})
    return f"{'whales/path':34} finds {n_found} of {N_PLANTED} planted three-hop paths"


def around_one_cascade(connection: duckdb.DuckDBPyConnection, questions: Mapping[str, query.Query], n_runs: int) -> str:
    "whales/flows of the largest cascade of the night against a plain join of the same windows."
    asked = NIGHT | sql.CASCADE
    cascades = query.run(connection, questions["cascades/cascades"], asked)
    largest = cascades.order("forced_usd DESC").project("cascade_id, start_at, end_at").fetchall()[0]
    edges = {"start_at": largest[1], "end_at": largest[2]}
    one = asked | {"cascade_id": largest[0]}
    cpu, wall = sql.timed(lambda: query.run(connection, questions["whales/flows"], one).fetchall(), n_runs)
    plain, plain_wall = sql.timed(lambda: connection.execute(PLAIN_JOIN, edges).fetchall(), n_runs)
    ratio = f"plain join {plain:.2f} / {plain_wall:.2f} s, {plain / cpu:.1f}x as much CPU"
    return f"{'whales/flows, one cascade':34} {cpu:7.2f} / {wall:6.2f} s; {ratio}"


def rolling_day(connection: duckdb.DuckDBPyConnection, question: query.Query, n_runs: int) -> str:
    "The rolling 24 hours of every minute around one reported figure against a plain aggregate by hour."
    connection.execute("DELETE FROM reported_totals WHERE source = 'bench'")
    connection.execute(
        "INSERT INTO reported_totals BY NAME SELECT TIMESTAMP '2024-09-11 09:00:00' AS reported_at, 'bench night' AS event,"
        " 'bench' AS source, 'total' AS metric, 'all' AS venue, 'all' AS asset, 24 AS window_hours, 1e8 AS value, 'usd' AS unit"
    )
    cpu, wall = sql.timed(lambda: query.run(connection, question, {"event": "bench night"}).fetchall(), n_runs)
    plain, plain_wall = sql.timed(lambda: connection.execute(PLAIN_HOURS).fetchall(), n_runs)
    return f"{'rolling 24 h, every minute':34} {cpu:7.2f} / {wall:6.2f} s; hourly aggregate {plain:.2f} / {plain_wall:.2f} s"
