"""Flows of a chain of real contracts: they add up to every balance, and a whale is seen on its way to the exchange."""

from __future__ import annotations

import pytest

from indexer import store
from tests.devnet import chain as chains
from tests.devnet import deploy, truth
from tests.devnet.indexed import index, rows

LARGEST_DECIMAL = 10**38


@pytest.fixture(scope="module")
def path(chain, found, tmp_path_factory):
    "A database with the flows of the chain, in which the exchange is labelled."
    chains.write(chain, found)
    made = tmp_path_factory.mktemp("own_flows") / "index.duckdb"
    with store.connect(made) as connection:
        connection.execute(f"INSERT INTO labels BY NAME FROM read_csv('{chain.folder / 'labels.csv'}')")
    assert index(chain, made, datasets=("liquidations", "flows")) == 0
    return made


def test_flows_conserve(chain, found, path):
    "Indexed transfers, with the mints and burns that are no flows, add up to every balance change."
    transfers = rows(path, f"FROM flows WHERE kind = 'transfer' AND block_number >= {chain.first_block}")
    of_supply = [row for row in found.transfers if deploy.ZERO in (row["from_address"], row["to_address"])]
    huge = chain.world.tokens[deploy.HUGE.symbol].address
    gained = truth.net(
        truth.Move(row["token"], row["from_address"], row["to_address"], int(row["amount_raw"]))
        for row in (*transfers, *of_supply)
        if row["token"] != huge
    )
    changes = [row for row in chains.balance_changes(chain, found) if row["token"] != huge]

    assert not [row for row in transfers if row["token"] != huge and row["amount_raw"] is None]
    assert [gained[row["token"], row["account"]] for row in changes] == [
        row["after_raw"] - row["before_raw"] for row in changes
    ]
    assert len(transfers) == len([one for one in found.moves if deploy.ZERO not in (one.giver, one.taker)])


def test_lending_flows(found, path):
    "Every supply, withdrawal, loan and repayment is a flow of whose position it is; nothing else is one."
    names = ("block_number", "log_index", "kind", "venue", "account", "token")
    acts = {
        tuple(row[name] for name in names): row["amount_raw"]
        for row in rows(path, "FROM flows WHERE kind <> 'transfer'")
    }

    assert acts == {
        tuple(row[name] for name in names): row["amount_raw"] if row["amount_raw"] < LARGEST_DECIMAL else None
        for row in found.lending
    }


def test_whale_goes_to_the_exchange(chain, found, path):
    "With the label of the exchange, the whale's transfers are value moved to an exchange; legs of other acts are not."
    (cold,), (exchange,) = chain.state.role("cold", 1), chain.state.role("exchange", 1)
    to_exchange = rows(path, "FROM flows WHERE direction = 'to_exchange' ORDER BY block_number")
    expected = [row for row in found.transfers if row["to_address"] == exchange and row["from_address"] != exchange]
    of_whale = [row for row in to_exchange if row["account"] == cold]

    assert [(row["tx_hash"], row["amount_raw"]) for row in to_exchange] == [
        (row["tx_hash"], row["amount_raw"]) for row in expected
    ]
    assert len(of_whale) == 3
    assert {row["to_label"] for row in of_whale} == {"devnet exchange"}
    assert all(row["usd"] > 2e7 and row["asset"] == "ETH" for row in of_whale)
