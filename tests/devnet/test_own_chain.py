"""A chain of real contracts, built here and now: it repeats, and its truth holds together."""

from __future__ import annotations

import collections
import json
import math

from eth_utils import keccak
from hexbytes import HexBytes
from web3 import Web3

from tests.devnet import chain as chains
from tests.devnet import deploy, truth
from tests.devnet.scenario import Plan

SMALL = Plan(n_users=6, n_morpho_users=3, n_blocks=16)
EVENTS = {
    truth.LIQUIDATION_CALL: (
        "LiquidationCall",
        "address collateralAsset,address debtAsset,address user",
        "uint256 debtToCover,uint256 liquidatedCollateralAmount,address liquidator,bool receiveAToken",
    ),
    truth.LIQUIDATE: (
        "Liquidate",
        "bytes32 id,address caller,address borrower",
        "uint256 repaidAssets,uint256 repaidShares,uint256 seizedAssets,uint256 badDebtAssets,uint256 badDebtShares",
    ),
}


def small(seed, folder):
    "Head hash and liquidations of a small chain."
    with chains.building(SMALL._replace(seed=seed), folder) as built:
        return built.head_hash(), built.truth().liquidations


def test_seed(chain, tmp_path):
    "A seed always gives the same chain, to the last hash; another seed gives another one, with other accounts."
    head, rows = small(1, tmp_path / "one")
    again, _ = small(1, tmp_path / "again")
    other_head, other_rows = small(2, tmp_path / "two")

    assert head == again
    assert head not in (other_head, chain.head_hash())
    assert not {row["account"] for row in rows} & {row["account"] for row in other_rows}


def test_variety(found):
    "The crash has every case an index must tell apart."
    rows = found.liquidations
    aave = [row for row in rows if row["venue"] == deploy.AAVE]
    by_block = collections.Counter((row["block_number"], row["account"]) for row in rows)
    by_transaction = collections.Counter(row["tx_hash"] for row in aave)
    left = {(row["account_debt_base_after"] == 0, row["account_collateral_base_after"] == 0) for row in aave}

    assert {row["receive_atoken"] for row in aave} == {True, False}
    assert {(True, False), (False, False), (False, True)} <= left  # whole debt, a part of it, debt without collateral
    assert max(by_block.values()) > 1
    assert max(by_transaction.values()) > 1
    assert max(collections.Counter(row["block_number"] for row in rows).values()) > 3
    assert {row["side"] for row in rows} == {"long", "short", None}
    assert any(row.get("bad_debt_raw") for row in rows)
    assert any(row["collateral_raw"] >= 10**38 and row["forced_usd"] is None for row in rows)


def test_third_party_decoder(chain, found):
    "web3.py reads the same liquidations from the logs of the two contracts as the truth has from inputs and transfers."
    read = {}
    addresses = [chain.world.pool.address, chain.world.morpho.address]
    for topic0, (name, indexed, plain) in EVENTS.items():
        abi = {"type": "event", "anonymous": False, "name": name, "inputs": []}
        for text, is_indexed in ((indexed, True), (plain, False)):
            for one in text.split(","):
                kind, field = one.split(" ")
                abi["inputs"].append({"name": field, "type": kind, "indexed": is_indexed})
        event = Web3().eth.contract(abi=[abi]).events[name]()
        wanted = {"fromBlock": "0x0", "toBlock": "latest", "address": addresses, "topics": [topic0]}
        for log in chain.node.rpc("eth_getLogs", wanted):
            words = {"topics": [HexBytes(one) for one in log["topics"]], "data": HexBytes(log["data"])}
            arguments = event.process_log(log | words)["args"]
            seized = arguments.get("liquidatedCollateralAmount", arguments.get("seizedAssets"))
            repaid = arguments.get("debtToCover", arguments.get("repaidAssets"))
            account = arguments.get("user", arguments.get("borrower")).lower()
            read[int(log["blockNumber"], 16), int(log["logIndex"], 16)] = (account, seized, repaid)

    assert read == {
        (row["block_number"], row["log_index"]): (row["account"], row["collateral_raw"], row["debt_raw"])
        for row in found.liquidations
    }


def test_nothing_else(chain, found):
    "A failed call leaves no log, and an impostor's logs are nobody's liquidation."
    failed = chain.node.receipts(found.failed)
    wanted = {"fromBlock": "0x0", "toBlock": "latest", "topics": [[truth.LIQUIDATION_CALL, truth.LIQUIDATE]]}
    pretended = [one for one in chain.node.rpc("eth_getLogs", wanted) if one["address"] == chain.world.impostor.address]

    assert failed
    assert [one["logs"] for one in failed] == [[]] * len(failed)
    assert pretended
    assert not {one["transactionHash"] for one in pretended} & {row["tx_hash"] for row in found.liquidations}


def test_whale_moves_first(chain, found):
    "A cold wallet sends WETH to the exchange three times before the first liquidation of a long ETH position."
    (cold,), (exchange,) = chain.state.role("cold", 1), chain.state.role("exchange", 1)
    sent = [row for row in found.transfers if (row["from_address"], row["to_address"]) == (cold, exchange)]
    first = min(row["block_number"] for row in found.liquidations if row["side"] == "long" and row["asset"] == "ETH")

    assert [row["token"] for row in sent] == [chain.world.tokens["WETH"].address] * 3
    assert max(row["block_number"] for row in sent) < first
    assert {deploy.ZERO} <= {row["from_address"] for row in found.transfers} & {
        row["to_address"] for row in found.transfers
    }


def test_transfers_conserve(chain, found):
    "The Transfer logs of a token add up to the change of every balance; mints and burns are those of address zero."
    tokens = [one.address for one in chain.world.tokens.values()]
    wanted = {"fromBlock": hex(chain.first_block), "toBlock": "latest", "address": tokens, "topics": [truth.TRANSFER]}
    moves = [
        truth.Move(log["address"], *("0x" + one[26:] for one in log["topics"][1:]), int(log["data"], 16))
        for log in chain.node.rpc("eth_getLogs", wanted)
    ]
    changes = {(row["token"], row["account"]): row for row in chains.balance_changes(chain, found)}
    gained = truth.net(moves)

    assert {key: row["after_raw"] - row["before_raw"] for key, row in changes.items()} == {
        key: gained[key] for key in changes
    }
    assert {account for _, account in gained} <= {account for _, account in changes} | {deploy.ZERO}


def test_lending_acts(found):
    "Supply, withdraw, borrow and repay happen on both protocols, for oneself and for another."
    acts = {(row["venue"], row["kind"], row["account"] == row["caller"]) for row in found.lending}

    assert {kind for _, kind, _ in acts} == {"supply", "withdraw", "borrow", "repay"}
    assert {(deploy.AAVE, "supply", False), (deploy.AAVE, "borrow", False), (truth.MORPHO, "supply", False)} <= acts


def test_files(chain, found):
    "The files name the chain as simulated, hold raw amounts as text, and list a balance change an account and token."
    numbers = chains.write(chain, found)
    document = json.loads(chain.deployments.read_text())
    rows = [json.loads(line) for line in (chain.folder / "truth.jsonl").read_text().splitlines()]
    changes = [json.loads(line) for line in (chain.folder / "balances.jsonl").read_text().splitlines()]

    assert document["simulated"] is True
    assert [one["venue"] for one in document["deployments"]] == ["aave_v3", "morpho_blue"]
    assert len(rows) == numbers["truth"] == len(found.liquidations)
    assert [int(row["collateral_raw"]) for row in rows] == [row["collateral_raw"] for row in found.liquidations]
    assert len({(row["account"], row["token"]) for row in changes}) == len(changes) == numbers["balances"]


def test_price_is_the_last_answer_before_the_log(chain, found):
    "Where a feed answered again later in the same block, a liquidation is valued at the answer before it."
    prices = truth.answers_of(chain.world)["WETH"]
    times = collections.Counter(block for block, _, _ in prices)
    rows = [row for row in found.liquidations if row["collateral_symbol"] == "WETH" and times[row["block_number"]] > 1]

    assert rows
    for row in rows:
        first_of_block = next(raw for block, _, raw in prices if block == row["block_number"])
        assert math.isclose(row["forced_usd"], row["collateral_raw"] * first_of_block / 1e26, rel_tol=1e-12)


def test_topics():
    "The topics the truth looks for are the hashes of the events' signatures."
    assert "0x" + keccak(text="Transfer(address,address,uint256)").hex() == truth.TRANSFER
    assert truth.LIQUIDATION_CALL == "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
    assert truth.LIQUIDATE == "0xa4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41"
