"""Builds a test chain and prints what is on it: `python -m tests.devnet [--seed N] [--serve]`."""

from __future__ import annotations

import argparse
import collections
import signal
import sys
import time
from pathlib import Path

from tests.devnet import chain as chains
from tests.devnet import deploy, packages, truth
from tests.devnet.scenario import Plan


def main() -> None:
    "Builds, checks, writes the files, prints a summary; with --serve the node then runs until interrupted."
    parser = argparse.ArgumentParser(prog="python -m tests.devnet", description=__doc__)
    parser.add_argument("--seed", type=int, default=Plan().seed, help="another seed is another chain")
    parser.add_argument("--blocks", type=int, default=Plan().n_blocks, help="blocks of the crash")
    parser.add_argument("--users", type=int, default=Plan().n_users, help="borrowers of Aave")
    parser.add_argument("--out", type=Path, help="folder of the files; build/devnet/seed-N by default")
    parser.add_argument("--serve", action="store_true", help="keep the node running until interrupted")
    options = parser.parse_args()
    began = time.perf_counter()
    plan = Plan(seed=options.seed, n_users=options.users, n_blocks=options.blocks)
    try:
        with chains.building(plan, options.out) as chain:
            found = truth.collect(chain.world, chain.first_block)
            summarise(chain, found, time.perf_counter() - began)
            if options.serve:
                signal.pause()
    except packages.Unavailable as error:
        sys.exit(f"no test chain: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def summarise(chain: chains.Chain, found: truth.Truth, seconds: float) -> None:
    "Prints where the chain is, what happened on it, and how the truth was confirmed."
    lines = [
        f"node         {chain.node.url}  (simulated: real contracts, invented users and prices)",
        f"blocks       0..{chain.node.head()}, the crash begins at {chain.first_block}; built in {seconds:.1f} s",
        f"head         {chain.head_hash()}",
        f"deployments  {chain.deployments}",
    ]
    lines += [f"{name:<12} {n:>6} rows  {chain.folder / name}.jsonl" for name, n in chains.write(chain, found).items()]
    lines += [f"failed       {len(found.failed):>6} transactions, no row"]
    kinds = collections.Counter(
        (row["venue"], row["side"] or "neither side", f"{row['collateral_symbol']} for {row['debt_symbol']}")
        for row in found.liquidations
    )
    lines += [f"  {venue:<12} {side:<13} {pair:<15} {n:>4}" for (venue, side, pair), n in sorted(kinds.items())]
    left = [(row["account_debt_base_after"], row["account_collateral_base_after"]) for row in found.liquidations
            if row["venue"] == deploy.AAVE]  # fmt: skip
    n_closed, n_stranded = sum(debt == 0 for debt, _ in left), sum(debt > 0 == rest for debt, rest in left)
    lines += [f"aave_v3      {n_closed} calls left no debt, {n_stranded} left debt without collateral"]
    forced, bad = (sum(row[name] or 0.0 for row in found.liquidations) for name in ("forced_usd", "bad_debt_usd"))
    lines += [f"forced_usd   {forced:,.2f}, bad debt {bad:,.2f}"]
    checks = truth.check(chain.world, found, chain.first_block)
    lines += [f"confirmed    {name}: {n}" for name, n in checks.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


main()
