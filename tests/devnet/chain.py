"""Builds the test chain, keeps its node running, and writes what an index of it is compared with."""

from __future__ import annotations

import contextlib
import csv
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.devnet import anvil, deploy, packages, scenario, truth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.devnet.anvil import Node
    from tests.devnet.deploy import World
    from tests.devnet.scenario import Plan, Scenario
    from tests.devnet.truth import Truth

CHAIN = "devnet"


class Chain(NamedTuple):
    "A running chain; `first_block` is the scenario's first, `folder` holds the files of `write`."

    node: Node
    world: World
    state: Scenario
    first_block: int
    folder: Path

    @property
    def deployments(self) -> Path:
        "For `--deployments`."
        return self.folder / "deployments.json"

    def truth(self) -> Truth:
        "Expected rows of the chain as it is now, confirmed by contract reads."
        found = truth.collect(self.world, self.first_block)
        truth.check(self.world, found, self.first_block)
        return found

    def head_hash(self) -> str:
        "Hash of the newest block."
        return self.node.rpc("eth_getBlockByNumber", "latest", False)["hash"]  # noqa: FBT003 - without transactions


@contextlib.contextmanager
def building(plan: Plan, folder: Path | None = None) -> Iterator[Chain]:
    "The chain of `plan`, played to its end, its node running while the context lasts; raises packages.Unavailable."
    packages.install()
    label = f"{CHAIN}:{tuple(plan)}"
    with anvil.running() as node:
        world = deploy.deploy(node, label)
        first_block = node.head() + 1
        state = scenario.run(world, plan, label)
        folder = folder or packages.BUILD / f"seed-{plan.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        chain = Chain(node, world, state, first_block, folder)
        chain.deployments.write_text(json.dumps(deployments(world), indent=1))
        yield chain


def deployments(world: World) -> dict[str, Any]:
    "The deployments file: contracts, tokens, feeds and Morpho markets."
    base = {"chain": CHAIN, "chain_id": anvil.CHAIN_ID}
    tokens = {one.symbol: one for one in (*deploy.ASSETS, deploy.HUGE)}
    return {
        "simulated": True,
        "deployments": [
            {"venue": venue, "protocol": venue, **base, "address": at, "first_block": world.created[at]}
            for venue, at in ((deploy.AAVE, world.pool.address), (truth.MORPHO, world.morpho.address))
        ],
        "tokens": [
            {"chain": CHAIN, "address": one.address, "symbol": symbol, "decimals": tokens[symbol].decimals}
            | {"asset": tokens[symbol].asset}
            for symbol, one in world.tokens.items()
        ],
        "feeds": [
            {"chain": CHAIN, "address": one.address, "asset": deploy.BY_SYMBOL[symbol].asset}
            | {"decimals": deploy.FEED_DECIMALS, "first_block": world.created[one.address]}
            for symbol, one in world.feeds.items()
        ],
        "markets": [
            {"chain": CHAIN, "venue": truth.MORPHO, "market": one.market_id, "loan_token": one.params[0]}
            | {"collateral_token": one.params[1], "oracle": one.params[2], "lltv": str(one.params[4])}
            for one in world.markets.values()
        ],
    }


def write(chain: Chain, found: Truth) -> dict[str, int]:
    "Writes truth.jsonl, transfers.jsonl, lending.jsonl, balances.jsonl and labels.csv; the number of rows of each."
    tables = {
        "truth": found.liquidations,
        "transfers": found.transfers,
        "lending": found.lending,
        "balances": list(balance_changes(chain, found)),
    }
    for name, rows in tables.items():
        lines = (json.dumps({key: plain(key, value) for key, value in row.items()}) for row in rows)
        (chain.folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    with (chain.folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("address", "chain", "entity", "kind", "source"))
        writer.writerow((chain.state.role("exchange", 1)[0], CHAIN, "devnet exchange", "exchange", "tests/devnet"))
        writer.writerow((chain.state.role("cold", 1)[0], CHAIN, "devnet whale", "whale", "tests/devnet"))
    return {name: len(rows) for name, rows in tables.items()}


def plain(key: str, value: Any) -> Any:
    "Raw amounts as decimal strings: they do not fit a JSON number."
    return str(value) if key.endswith("_raw") else value


def balance_changes(chain: Chain, found: Truth) -> Iterator[dict[str, Any]]:
    "Balances before and after the scenario, for every account that took part and every token."
    accounts = sorted({end for one in found.moves for end in (one.giver, one.taker)} - {deploy.ZERO})
    first, last = chain.first_block - 1, chain.node.head()
    before, after = (truth.balances(chain.world, accounts, block) for block in (first, last))
    for token, account in after:
        raws = {"before_raw": before[token, account], "after_raw": after[token, account]}
        yield {"account": account, "token": token, **raws, "from_block": first + 1, "to_block": last}


def delay(chain: Chain, depth: int) -> list[str]:
    """Replaces the newest `depth` blocks: every transaction of theirs comes one block later (the last ones are lost).

    Hashes of the transactions that stayed: they occur on both branches, in different blocks.
    """
    node, head = chain.node, chain.node.head()
    moved, hashes = [], []
    for offset, number in enumerate(range(head - depth + 1, head)):
        for sent in node.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:  # noqa: FBT003 - whole ones
            fields = {name: sent[name] for name in ("from", "to", "gas", "gasPrice", "nonce")}
            moved.append([{**fields, "data": sent["input"]}, offset + 1])
            hashes.append(sent["hash"])
    node.rpc("anvil_reorg", depth, moved)
    return hashes


def go_on(chain: Chain, n_blocks: int) -> None:
    "Plays `n_blocks` more of the last phase, from what the chain now shows."
    chain.state.read_feeds()
    for _ in range(n_blocks):
        scenario.step(chain.state, chain.state.plan.n_blocks - 1)
