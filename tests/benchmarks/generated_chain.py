"""A synthetic chain of Aave v3 liquidations: deterministic, any size, with its exact sums beside it."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.benchmarks.peers.common import POOL, TOPIC

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = "synthetic"
CHAIN_ID = 31338
FIRST_AT = 1_700_000_000
BLOCK_SECONDS = 12
BLOCKS_PER_LOG = 2
SHARE_IN_CASCADES = 0.4
CASCADE_BLOCKS = 290
EVERY_2_255, EVERY_2_200 = 5003, 4001  # rows whose debt or collateral is beyond what most column types hold
LARGEST_DECIMAL = 10**38
TOKENS = tuple(
    (symbol, decimals, "0x" + hashlib.blake2b(symbol.encode(), digest_size=20).hexdigest())
    for symbol, decimals in (
        ("WETH", 18),
        ("WBTC", 8),
        ("AVAX", 18),
        ("LINK", 18),
        ("USDC", 6),
        ("USDT", 6),
        ("DAI", 18),
    )
)


class Totals(NamedTuple):
    "What a decoded table of the whole chain must add up to; amounts from 10^38 on are not in the sums."

    n_logs: int
    n_blocks: int
    debt_sum: int
    collateral_sum: int
    n_too_large: int


def block_hash(number: int) -> str:
    "Hash of a block of the synthetic chain."
    return "0x" + hashlib.blake2b(b"block %d" % number, digest_size=32).hexdigest()


def generate(folder: Path, n_logs: int, seed: int = 7) -> Totals:
    """Writes logs.json (compact objects joined by commas, in block order), index.npy, deployments.json, totals.json.

    A chain that is already in the folder is not written again.
    """
    known = folder / "totals.json"
    if known.exists():
        return Totals(**json.loads(known.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    n_blocks = n_logs * BLOCKS_PER_LOG + 1000
    index = np.zeros(n_logs, dtype=[("block", "<u4"), ("start", "<u8"), ("end", "<u8")])
    index["block"] = block_numbers(numbers, n_logs, n_blocks)
    amounts = numbers.lognormal(6.5, 2.2, (n_logs, 2))
    picks = numbers.integers(0, 1 << 30, (n_logs, 5))
    accounts = np.minimum((numbers.pareto(1.1, n_logs) * 500).astype(np.int64), 199_999)
    sums, n_too_large, position = [0, 0], 0, 0
    texts = random.Random(seed)
    place = (-1, 0, "")
    with (folder / "logs.json").open("wb", 1 << 20) as file:
        rows = zip(index["block"].tolist(), amounts.tolist(), picks.tolist(), accounts.tolist(), strict=True)
        for row, (block, (debt, collateral), pick, account) in enumerate(rows):
            collateral_token, debt_token = TOKENS[pick[0] % len(TOKENS)], TOKENS[pick[1] % len(TOKENS)]
            raws = [scaled(debt, debt_token[1]), scaled(collateral, collateral_token[1])]
            if row % EVERY_2_255 == 0:
                raws[0] = (1 << 255) + row
            if row % EVERY_2_200 == 0:
                raws[1] = (1 << 200) + row
            for which, raw in enumerate(raws):
                if raw < LARGEST_DECIMAL:
                    sums[which] += raw
                else:
                    n_too_large += 1
            if block != place[0]:
                place = (block, pick[2] % 40, texts.randbytes(32).hex())
            else:
                place = (block, place[1] + 1 + pick[2] % 7, texts.randbytes(32).hex() if pick[3] & 1 else place[2])
            text = log(place, raws, (collateral_token[2], debt_token[2]), account, pick[4]).encode()
            file.write(b"," * (row > 0) + text)
            position += row > 0
            index[row]["start"], index[row]["end"] = position, position + len(text)
            position += len(text)
    np.save(folder / "index.npy", index)
    (folder / "deployments.json").write_text(json.dumps(deployments()))
    totals = Totals(n_logs, n_blocks, sums[0], sums[1], n_too_large)
    known.write_text(json.dumps(totals._asdict()))
    return totals


def block_numbers(numbers: np.random.Generator, n_logs: int, n_blocks: int) -> np.ndarray:
    "A block for every log, in order: most anywhere, the rest crowded behind a few hundred moments."
    n_crowded = int(n_logs * SHARE_IN_CASCADES)
    moments = numbers.integers(0, n_blocks - CASCADE_BLOCKS - 1, max(4, n_logs // 2500))
    after = np.minimum(numbers.exponential(40, n_crowded).astype(np.int64), CASCADE_BLOCKS)
    crowded = moments[numbers.integers(0, len(moments), n_crowded)] + after
    return np.sort(np.concatenate([numbers.integers(0, n_blocks, n_logs - n_crowded), crowded]))


def scaled(whole: float, decimals: int) -> int:
    "Raw units of an amount in whole tokens."
    return int(whole * 1e6) * 10**decimals // 10**6


def account_address(number: int) -> str:
    "Address of the account with that number."
    return "0x" + hashlib.blake2b(b"account %d" % number, digest_size=20).hexdigest()


def log(place: tuple[int, int, str], raws: list[int], tokens: tuple[str, str], account: int, pick: int) -> str:
    "One log, as a node of the geth family writes it."
    block, log_index, tx_hash = place
    topics = ",".join(f'"0x{one[2:]:0>64}"' for one in (*tokens, account_address(account)))
    liquidator = account_address(-1 - pick % 300)
    data = f"{raws[0]:064x}{raws[1]:064x}{liquidator[2:]:0>64}{pick % 10 == 0:064x}"
    return (
        f'{{"address":"{POOL}","topics":["{TOPIC}",{topics}],"data":"0x{data}","blockNumber":"0x{block:x}",'
        f'"transactionHash":"0x{tx_hash}","transactionIndex":"0x{log_index:x}","blockHash":"{block_hash(block)}",'
        f'"blockTimestamp":"0x{FIRST_AT + BLOCK_SECONDS * block:x}","logIndex":"0x{log_index:x}","removed":false}}'
    )


def deployments() -> dict[str, object]:
    "The deployments file of the synthetic chain."
    base = {"chain": CHAIN, "chain_id": CHAIN_ID}
    return {
        "simulated": True,
        "deployments": [{"venue": "aave_v3", "protocol": "aave_v3", **base, "address": POOL, "first_block": 0}],
        "tokens": [
            {
                "chain": CHAIN,
                "address": address,
                "symbol": symbol,
                "decimals": decimals,
                "asset": symbol.removeprefix("W"),
            }
            for symbol, decimals, address in TOKENS
        ],
    }
