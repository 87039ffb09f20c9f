"""Who liquidates on the test chain: keepers one call a transaction, and a bot with several in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.devnet.deploy import AAVE, BY_SYMBOL, MAX, WAD

if TYPE_CHECKING:
    from tests.devnet.scenario import Position, Scenario

CALLS_A_BLOCK = 7
ORACLE_SCALE = 10**36  # Morpho: price of a raw unit of collateral in raw units of the loan token, times this


class Target(NamedTuple):
    "An unhealthy position with the size of its debt, in raw units."

    position: Position
    debt_raw: int


def act(state: Scenario, answers_before: dict[str, int]) -> None:
    "Liquidations of this block, sent after its feeds; `answers_before` are what the chain still shows."
    rng = state.rng
    keepers = state.role("keeper", 8)
    rng.shuffle(keepers)
    targets = unhealthy_aave(state, answers_before)
    rng.shuffle(targets)
    if len(targets) > 1 and rng.random() < 0.35:
        n_calls = rng.choice((2, 2, 3))
        several_in_one(state, targets[:n_calls])
        targets = targets[n_calls:]
    for target in targets[:CALLS_A_BLOCK]:
        call(state, keepers.pop(), target)
        if keepers and rng.random() < 0.2:  # a rival: a second part, or a transaction that fails
            call(state, keepers.pop(), target)
        if not keepers:
            return
    for market_name in state.world.markets:
        for position in [one for one in state.positions if one.venue == market_name]:
            if keepers:
                seize(state, keepers, position)


def unhealthy_aave(state: Scenario, answers_before: dict[str, int]) -> list[Target]:
    "Aave positions below a health factor of 1 at the answers of this block."
    world, positions = state.world, [one for one in state.positions if one.venue == AAVE]
    rows = world.pool.read_many(world.node, "getUserAccountData", [(one.account,) for one in positions], "latest")
    targets = []
    for one, row in zip(positions, rows, strict=True):
        if row[1] == 0 or row[0] == 0:
            continue
        change = {s: state.pushed[s].raw / answers_before[s] for s in (one.collateral, one.debt)}
        if row[5] / WAD * change[one.collateral] / change[one.debt] < 1:
            debt = world.debt_tokens[one.debt].read(world.node, "balanceOf", one.account)
            targets.append(Target(one, debt))
    return targets


def arguments(state: Scenario, target: Target) -> tuple[str, str, str, int, bool]:
    "Arguments of one liquidationCall: mostly all that may be repaid, sometimes less, sometimes for aTokens."
    rng, tokens, position = state.rng, state.world.tokens, target.position
    cover = MAX if rng.random() < 0.7 else int(target.debt_raw * rng.uniform(0.1, 0.45))
    sell(state, position, min(cover, target.debt_raw // 2))
    pair = (tokens[position.collateral].address, tokens[position.debt].address)
    return (*pair, position.account, cover, rng.random() < 0.25)


def call(state: Scenario, keeper: str, target: Target) -> None:
    "One liquidationCall of a keeper."
    state.send(keeper, state.world.pool, "liquidationCall", *arguments(state, target))


def several_in_one(state: Scenario, targets: list[Target]) -> None:
    "Liquidations of several accounts, and twice of the first, in one transaction of the bot."
    pool = state.world.pool
    first = targets[0]
    pair = (state.world.tokens[first.position.collateral].address, state.world.tokens[first.position.debt].address)
    calls = [(*pair, first.position.account, first.debt_raw // 20, False)]
    calls += [arguments(state, target) for target in targets]
    inputs = [bytes.fromhex(pool.data("liquidationCall", *one)[2:]) for one in calls]
    calldata = state.world.bot.data("run", [pool.address] * len(inputs), inputs)
    state.world.node.send(state.world.owner, state.world.bot.address, calldata, 4_000_000)


def seize(state: Scenario, keepers: list[str], position: Position) -> None:
    "Liquidates a Morpho position if it is unhealthy at the answers of this block: the rest, a half, or all there is."
    world, market = state.world, state.world.markets[position.venue]
    node, params = world.node, market.params
    _, shares, collateral = world.morpho.read(node, "position", bytes.fromhex(market.market_id[2:]), position.account)
    if not shares:
        return
    totals = world.morpho.read(node, "market", bytes.fromhex(market.market_id[2:]))
    debt = shares * (totals[2] + 1) // (totals[3] + 10**6) + 1
    value = collateral * oracle_price(state, market.collateral, market.loan) // ORACLE_SCALE
    if value * params[4] // WAD >= debt:
        return
    incentive = min(1.15, 1 / (1 - 0.3 * (1 - params[4] / WAD)))
    a_part = state.rng.random() < 0.3 and market.collateral in BY_SYMBOL  # all of the huge amount, or it would fit
    seized, repaid_shares = (collateral, 0) if value / incentive < debt else (0, shares // 2 if a_part else shares)
    sell(state, position, debt)
    state.send(keepers.pop(), world.morpho, "liquidate", params, position.account, seized, repaid_shares, b"")


def oracle_price(state: Scenario, collateral: str, loan: str) -> int:
    "What the market's oracle will answer after the feeds of this block."
    world = state.world
    if collateral not in BY_SYMBOL:
        return world.markets[f"{collateral}/{loan}"].oracle.read(world.node, "price")
    oracle = world.markets[f"{collateral}/{loan}"].oracle
    factor = oracle.read(world.node, "factor")
    if oracle.read(world.node, "inverse"):
        return factor // state.pushed[loan].raw
    return factor * state.pushed[collateral].raw


def sell(state: Scenario, position: Position, debt_raw: int) -> None:
    "Notes what a liquidator sells on the market afterwards: it moves the next price."
    usd = debt_raw / 10 ** BY_SYMBOL[position.debt].decimals * state.prices[position.debt]
    sold = position.collateral if position.collateral != "USDC" else position.debt
    state.sold_usd[sold] = state.sold_usd.get(sold, 0.0) + (usd if position.collateral != "USDC" else -usd)
