"""What every answer keeps when the records are shifted, scaled, permuted or added to."""

import datetime as dt
import math

import pytest
from fixture_store import ask, copy_of, empty_store, example_store, insert

from indexer import query, query_coverage, schema, store

PACK = query.find()
# Small enough that the example night has cascades, and every account a path.
SETTINGS = {"floor_usd": 1000.0, "min_transfer_usd": 1000.0}
SHIFT = dt.timedelta(days=3)
# A whole power of two: scaled sums are equal to the last digit.
SCALE = 4.0
TABLES = ("liquidations", "flow_rows", "prices", "positions", "open_interest", "lending_totals", "reported_totals")
# The logarithm of 1 + USD is not proportional to USD.
NOT_PROPORTIONAL = {"cefi/lead_lag"}
# A month, or a text that holds a time.
NOT_SHIFTED = {"month_at", "cascade_id"}
# The audit is of rows that are not in totals too.
COUNTS_EVERY_KIND = {"quality/double_count_audit"}

every_query = pytest.mark.parametrize("name", sorted(PACK))


@pytest.fixture(scope="module")
def plain():
    "The answers over the example night."
    connection = example_store()
    return {name: answer(connection, name) for name in PACK}


def answer(connection, name, **more):
    "The rows of a question under SETTINGS, as dictionaries."
    values = {key: value for key, value in (SETTINGS | more).items() if key in PACK[name].parameters}
    return ask(connection, name, **values)


def changed(rows, others, same):
    "Pairs of cells for which `same(column, one, other)` is not true, or the two numbers of rows."
    if len(rows) != len(others):
        return [(len(rows), len(others))]
    return [
        (column, one[column], other[column])
        for one, other in zip(rows, others, strict=True)
        for column in one
        if not same(column, one[column], other[column])
    ]


def equal(_column, one, other):
    "Equal, floats to 1e-9 relative."
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return one == other


@pytest.fixture(scope="module")
def shifted_store():
    "The example night three days later."
    connection = example_store()
    for table in TABLES:
        for column, kind in store.columns(connection, table).items():
            if kind == "TIMESTAMP":
                connection.execute(f"UPDATE {table} SET {column} = {column} + INTERVAL {SHIFT.days} DAY")
    return connection


@every_query
def test_shift(name, plain, shifted_store):
    "Times moved by whole days move the times of the answer, and nothing else."

    def shifted(column, one, other):
        if column in NOT_SHIFTED:
            return True
        return other == one + SHIFT if isinstance(one, dt.date) else equal(column, one, other)

    assert changed(plain[name], answer(shifted_store, name), shifted) == []


def proportional(column):
    "Whether a column is in US dollars, tokens or base units."
    return "usd" in column.split("_") or column.endswith(("_amount", "_units"))


@pytest.fixture(scope="module")
def scaled_store():
    "The example night with values and sizes times four."
    connection = example_store()
    for table in TABLES:
        for column, kind in store.columns(connection, table).items():
            scaled = column.endswith(("_usd", "amount")) or column in {"usd", "size", "units", "value"}
            if kind == "DOUBLE" and scaled and column != "price_usd":
                connection.execute(f"UPDATE {table} SET {column} = {column} * {SCALE}")
    return connection


@pytest.mark.parametrize("name", sorted(PACK.keys() - NOT_PROPORTIONAL))
def test_scale(name, plain, scaled_store):
    "Values, sizes and floors times four: money and amounts times four, shares, ranks, prices and counts as they were."
    floors = {parameter: value * SCALE for parameter, value in SETTINGS.items()}

    def scaled_too(column, one, other):
        if proportional(column) and one is not None and other is not None:
            return equal(column, one * SCALE, other)
        return equal(column, one, other)

    assert changed(plain[name], answer(scaled_store, name, **floors), scaled_too) == []


@pytest.fixture(scope="module")
def backward_store():
    "The example night, its rows stored in the opposite order."
    connection = example_store()
    for table in TABLES:
        connection.execute(f"CREATE TABLE backwards AS SELECT * FROM {table} ORDER BY rowid DESC")
        connection.execute(f"DELETE FROM {table}")
        connection.execute(f"INSERT INTO {table} SELECT * FROM backwards")
        connection.execute("DROP TABLE backwards")
    return connection


@every_query
def test_permute(name, plain, backward_store):
    "The order of storage does not show."
    assert changed(plain[name], answer(backward_store, name), equal) == []


@pytest.fixture(scope="module")
def crowded_store():
    "The example night with a copy of every headline row of each kind that is in no total."
    connection = example_store()
    for kind in ("adl", "relay", "resale", "auction_start", "soft"):
        connection.execute(
            "INSERT INTO liquidations SELECT * REPLACE (? || event_id AS event_id, ? AS kind, false AS is_headline, "
            "NULL AS bad_debt_usd) FROM liquidations WHERE is_headline",
            [kind, kind],
        )
    return connection


@pytest.mark.parametrize("name", sorted(PACK.keys() - COUNTS_EVERY_KIND))
def test_kinds_outside_totals(name, plain, crowded_store):
    "ADL, relay, resale, auction starts and soft liquidations change no headline result."
    assert changed(plain[name], answer(crowded_store, name), equal) == []


@pytest.fixture(scope="module")
def unpriced_store():
    "The example night without any value."
    connection = example_store()
    for table in ("liquidations", "flow_rows"):
        for column in store.columns(connection, table):
            if column == "usd" or column.endswith("_usd"):
                connection.execute(f"UPDATE {table} SET {column} = NULL")
    return connection


@every_query
def test_unpriced(name, unpriced_store):
    "Without any value nothing fails: rows are counted, money is unknown or nothing."
    for row in answer(unpriced_store, name):
        assert not [value for value in row.values() if isinstance(value, float) and not math.isfinite(value)]


@pytest.fixture(scope="module")
def bare_store():
    "The liquidations of the example night and nothing else."
    connection = example_store()
    for table in TABLES[1:]:
        connection.execute(f"DELETE FROM {table}")
    return connection


@every_query
def test_nothing_but_liquidations(name, bare_store):
    "Without prices, flows, positions and totals nothing fails, and no number is infinite."
    for row in answer(bare_store, name):
        assert not [value for value in row.values() if isinstance(value, float) and not math.isfinite(value)]


@pytest.fixture(scope="module")
def covered_stores():
    "An empty, an uncovered and a half covered store."
    half = example_store()
    piece = {"source": "rpc", "chain": "ethereum", "dataset": "liquidations:aave_v3"}
    insert(
        half, "coverage", [piece | {"from_at": dt.datetime(2026, 3, 14, 9), "to_at": dt.datetime(2026, 3, 14, 9, 2)}]
    )
    return empty_store(), example_store(), half


@every_query
def test_narration(name, covered_stores):
    "What is said beside an answer is one line a source, over an empty, an uncovered and a half covered store."
    for connection in covered_stores:
        lines = query_coverage.narrate(connection, PACK[name], {})
        assert all(line and "\n" not in line for line in lines)


def test_split_fill():
    "One fill as two halves: value, accounts, episodes and concentration stay."
    connection = example_store()
    halves = (
        "INSERT INTO liquidations SELECT * REPLACE (event_id || 'b' AS event_id, forced_usd / 2 AS forced_usd, "
        "seized_usd / 2 AS seized_usd, size / 2 AS size, collateral_amount / 2 AS collateral_amount) FROM liquidations "
        "WHERE event_id IN ('p03', 'p04')"
    )
    connection.execute(halves)
    connection.execute(
        "UPDATE liquidations SET forced_usd = forced_usd / 2, seized_usd = seized_usd / 2, size = size / 2, "
        "collateral_amount = collateral_amount / 2 WHERE event_id IN ('p03', 'p04')"
    )
    kept = {
        "whales/largest_liquidated": ("account", "forced_usd", "n_episodes", "total_share"),
        "structure/traders": ("scope", "n_accounts", "n_episodes", "repeat_share"),
        "structure/liquidator_concentration": ("venue", "hhi", "gini", "n_liquidators"),
        "structure/market_split": ("key", "forced_usd", "total_share", "n_accounts", "long_share"),
        "cascades/cascades": ("cascade_id", "forced_usd", "n_accounts", "half_seconds", "hot_share"),
        "whales/reentry": ("account", "liquidated_usd", "liquidation_price", "reentry_usd"),
        "whales/liquidator_inventory": ("liquidator", "seized_amount", "realised_pnl_usd", "hold_seconds"),
    }
    before = example_store()
    for name, columns in kept.items():
        pairs = changed(answer(before, name), answer(connection, name), equal)
        assert [pair for pair in pairs if pair[0] in columns or len(pair) == 2] == [], name


def test_no_look_ahead():
    "Without the rows after ten past nine the cascade that ended at three minutes past is the same."
    connection = example_store()
    connection.execute("DELETE FROM liquidations WHERE liquidated_at > '2026-03-14 09:13:00'")

    assert answer(connection, "cascades/cascades") == answer(example_store(), "cascades/cascades")


def test_reopened():
    "Opening a store again keeps its rows and its shared steps."
    connection = copy_of("example")
    connection.execute(schema.SCHEMA.read_text())

    assert len(answer(connection, "cascades/cascades")) == 1
