"""Flows of a chain of real contracts: they add up to every balance, and a whale is seen on its way to the exchange."""

from __future__ import annotations

from collections import defaultdict, deque

import pytest

from indexer import query, store
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


def fifo(seizures, transfers):
    "What is seized, disposed of and still open of (block, amount) seizures and transfers, first in first out, by hand."
    stock, disposed = deque(), 0.0
    events = sorted(
        [(block, 0, amount) for block, amount in seizures] + [(block, 1, amount) for block, amount in transfers]
    )
    for _, is_transfer, amount in events:
        if not is_transfer:
            stock.append(amount)
            continue
        left = amount
        while stock and left > 0:
            taken = min(stock[0], left)
            stock[0] -= taken
            left -= taken
            disposed += taken
            if stock[0] <= 0:
                stock.popleft()
    return sum(amount for _, amount in seizures), disposed, sum(stock)


def test_seized_collateral_is_disposed_of_or_open(found, path, tmp_path):
    """What the truth says was seized is what left plus what is still open, by liquidator and asset; both counted by hand.

    The keepers of the chain keep everything, so sales are planted: of every second seizure a part is sent on, or more than it.
    """
    known = {row["address"]: (row["asset"], row["decimals"]) for row in rows(path, "FROM tokens")}
    seized, sent = defaultdict(list), defaultdict(list)
    for row in found.liquidations:
        asset, decimals = known[row["collateral_token"]]
        if row["collateral_raw"]:
            seized[row["liquidator"], asset].append((row["block_number"], row["collateral_raw"] / 10**decimals))
    sold = tmp_path / "sold.duckdb"
    sold.write_bytes(path.read_bytes())
    with store.connect(sold) as connection:
        connection.execute("DELETE FROM flow_rows WHERE kind = 'transfer'")
        for number, ((liquidator, asset), seizures) in enumerate(seized.items()):
            for place, (block, amount) in enumerate(seizures[::2]):
                share = (0.25, 1.75)[(number + place) % 2]
                sent[liquidator, asset].append((block, share * amount))
                connection.execute(
                    "INSERT INTO flow_rows (flow_id, flowed_at, chain, block_number, log_index, tx_hash, kind, from_address,"
                    " to_address, asset, amount, usd, source) SELECT ?, max(liquidated_at), any_value(chain), ?, 900 + ?, ?,"
                    " 'transfer', ?, ?, ?, ?, 1, 'rpc' FROM liquidations WHERE block_number = ?",
                    [f"sold:{number}:{place}", block, place, f"0x{number:032x}{place:032x}", liquidator, "0x" + "5e" * 20, asset,
                     share * amount, block],
                )  # fmt: skip
    expected = {key: fifo(seizures, sent[key]) for key, seizures in seized.items()}
    with store.connect(sold, read_only=True) as connection:
        answer = query.run(connection, query.named("whales/liquidator_inventory"), {"top": "1000"}).pl().to_dicts()
    got = {
        (row["liquidator"], row["asset"]): (row["seized_amount"], row["disposed_amount"], row["open_amount"])
        for row in answer
    }

    assert got.keys() == expected.keys()
    assert any(disposed > 0 for _, disposed, _ in expected.values())
    assert any(still_open > 0 for _, _, still_open in expected.values())
    for key, amounts in expected.items():
        assert got[key] == pytest.approx(amounts, rel=1e-9, abs=1e-9 * amounts[0])
        assert amounts[1] + amounts[2] == pytest.approx(amounts[0], rel=1e-9)
