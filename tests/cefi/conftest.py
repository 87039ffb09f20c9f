"""One database for the tests of a module, emptied before each: opening one costs more than a test."""

import pytest

from indexer import store

TABLES = (
    "liquidations",
    "rejected",
    "raw_frames",
    "coverage",
    "gaps",
    "markets",
    "cefi_totals",
    "series",
    "open_interest",
    "funding",
    "prices",
)


@pytest.fixture(scope="module")
def opened():
    "A private database."
    with store.connect(":memory:") as connection:
        yield connection


@pytest.fixture
def connection(opened):
    "The database of the module, empty."
    for table in TABLES:
        opened.execute(f"DELETE FROM {table}")
    return opened
