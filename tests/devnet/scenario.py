"""A crash on the test chain: open positions, let prices fall, liquidate what is unhealthy, block by block."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import NamedTuple

from tests.devnet import bystanders, deploy, liquidators
from tests.devnet.deploy import AAVE, ASSETS, BY_SYMBOL, FEED_DECIMALS, HUGE, MAX, VARIABLE_RATE, WAD, World

DEVIATION = 0.0012  # a feed is pushed when its price moved so far
STALE_BLOCKS = 25  # or after so many blocks
DEPTH_USD = 4e8  # selling so much moves a price by e
N_LENDERS = 6
N_KEEPERS = 8
N_TRADERS = 10
N_SHORT, N_CROSS, N_LATE = 8, 4, 10
# Share of the blocks, drift of ETH a block.
PHASES = ((0.14, 0.0), (0.30, -0.0042), (0.16, 0.0065), (0.26, -0.0040), (0.14, -0.0050))
BETA = {"WETH": 1.0, "WBTC": 0.7, "AVAX": 1.3, "USDC": 0.0}
BORROWED = {"WETH": 25_000, "WBTC": 800, "USDC": 150_000_000}  # what lenders supply, in whole tokens


class Plan(NamedTuple):
    "What decides the chain: the same plan gives the same head hash."

    seed: int = 7
    n_users: int = 48
    n_morpho_users: int = 18
    n_blocks: int = 110


class Answer(NamedTuple):
    "The newest answer of a feed."

    raw: int
    block: int
    round_id: int


class Position(NamedTuple):
    "One collateral against one debt; `venue` is Aave or the name of a Morpho market."

    account: str
    venue: str
    collateral: str
    debt: str


@dataclasses.dataclass
class Scenario:
    "The running state of one crash."

    world: World
    plan: Plan
    label: str
    rng: random.Random
    prices: dict[str, float]
    pushed: dict[str, Answer]
    positions: list[Position] = dataclasses.field(default_factory=list)
    sold_usd: dict[str, float] = dataclasses.field(default_factory=dict)

    def role(self, name: str, number: int) -> list[str]:
        "Accounts of a role."
        return deploy.accounts(self.label, name, number)

    def send(self, sender: str, contract: deploy.Contract, name: str, *arguments: object) -> None:
        "A call put into the next block."
        self.world.node.send(sender, contract.address, contract.data(name, *arguments))

    def raw(self, symbol: str, whole: float) -> int:
        "Raw units of a token, from whole ones."
        return int(whole * 10**6) * 10 ** deploy.decimals(symbol) // 10**6

    def raw_of_usd(self, symbol: str, usd: float) -> int:
        "Raw units of a token worth `usd` at the running price."
        return self.raw(symbol, usd / self.prices[symbol])

    def read_feeds(self) -> None:
        "Takes answers and prices from the chain, which a reorg has changed."
        node = self.world.node
        for symbol, feed in self.world.feeds.items():
            raw, block = feed.read(node, "latestAnswer"), node.head()
            self.pushed[symbol] = Answer(raw, block, feed.read(node, "latestRound"))
            self.prices[symbol] = raw / 10**FEED_DECIMALS


def run(world: World, plan: Plan, label: str) -> Scenario:
    "Plays the whole scenario; the chain then ends with the last block of the crash."
    now = {one.symbol: one.first_price for one in ASSETS}
    block = world.node.head()
    pushed = {symbol: Answer(round(price * 10**FEED_DECIMALS), block, 1) for symbol, price in now.items()}
    state = Scenario(world, plan, label, random.Random(label), now, pushed)
    prepare(state)
    open_all(state)
    for number in range(plan.n_blocks):
        step(state, number)
    return state


def prepare(state: Scenario) -> None:
    "Coins for fees, tokens and allowances for everybody who is not a borrower."
    world, owner, send = state.world, state.world.owner, state.send
    lenders, keepers = state.role("lender", N_LENDERS), state.role("keeper", N_KEEPERS)
    traders = state.role("trader", N_TRADERS)
    borrowers = {"user": state.plan.n_users, "morpho": state.plan.n_morpho_users}
    borrowers |= {"short": N_SHORT, "cross": N_CROSS, "late": N_LATE, "whale": 1, "huge": 1, "cold": 1, "exchange": 1}
    everybody = [account for name, number in borrowers.items() for account in state.role(name, number)]
    deploy.fund(world.node, [*everybody, *lenders, *keepers, *traders])
    for account in [*lenders, *keepers, world.bot.address]:
        for symbol, whole in BORROWED.items():
            send(owner, world.tokens[symbol], "mint", account, state.raw(symbol, whole))
    for account in traders:
        send(owner, world.tokens["WETH"], "mint", account, state.raw("WETH", state.rng.uniform(5, 50)))
        send(owner, world.tokens["USDC"], "mint", account, state.raw("USDC", state.rng.uniform(1e4, 1e5)))
    send(owner, world.tokens["WETH"], "mint", state.role("cold", 1)[0], state.raw("WETH", 30_000))
    world.node.mine()
    for account in [*lenders, *keepers]:
        for symbol in BORROWED:
            for spender in (world.pool, world.morpho):
                send(account, world.tokens[symbol], "approve", spender.address, MAX)
    for symbol in BORROWED:
        targets, token = [world.tokens[symbol].address], world.tokens[symbol]
        approval = bytes.fromhex(token.data("approve", world.pool.address, MAX)[2:])
        send(owner, world.bot, "run", targets, [approval])
    world.node.mine()
    provide(state, lenders)


def provide(state: Scenario, lenders: list[str]) -> None:
    "Liquidity to borrow from, on Aave and in every market of Morpho."
    world, send = state.world, state.send
    for lender in lenders:
        for symbol, whole in BORROWED.items():
            amount = state.raw(symbol, whole * 0.5)
            send(lender, world.pool, "supply", world.tokens[symbol].address, amount, lender, 0)
    for market in world.markets.values():
        amount = state.raw(market.loan, BORROWED[market.loan] * 0.1)
        send(lenders[0], world.morpho, "supply", market.params, amount, 0, lenders[0], b"")
    send(lenders[0], world.debt_tokens["USDC"], "approveDelegation", lenders[1], MAX)
    world.node.mine()


def open_all(state: Scenario) -> None:
    "Long positions close to their limits, log-normal in size, and one whale."
    rng, plan = state.rng, state.plan
    for account in state.role("user", plan.n_users):
        collateral = rng.choices(("WETH", "WBTC", "AVAX"), (60, 25, 15))[0]
        size = math.exp(rng.gauss(11.5, 1.3))
        open_one(state, Position(account, AAVE, collateral, "USDC"), size, rng.uniform(0.82, 0.99))
    state.world.node.mine()
    for account in state.role("morpho", plan.n_morpho_users):
        collateral = rng.choices(("WETH", "AVAX"), (55, 45))[0]
        size = math.exp(rng.gauss(11.0, 1.2))
        open_one(state, Position(account, f"{collateral}/USDC", collateral, "USDC"), size, rng.uniform(0.85, 0.98))
    (whale,) = state.role("whale", 1)
    open_one(state, Position(whale, AAVE, "WETH", "USDC"), 4e7, 0.97)
    (huge,) = state.role("huge", 1)
    state.prices[HUGE.symbol] = 1100.0
    open_one(state, Position(huge, "BIG36/USDC", HUGE.symbol, "USDC"), 132 * 1100.0, 0.985)
    state.world.node.mine()


def open_one(state: Scenario, position: Position, usd: float, fraction: float) -> None:
    "Supplies collateral worth `usd` and borrows `fraction` of what it allows."
    world, (account, venue, collateral, debt) = state.world, position
    token, amount = world.tokens[collateral], state.raw_of_usd(collateral, usd)
    target = world.pool if venue == AAVE else world.morpho
    state.send(world.owner, token, "mint", account, amount)
    state.send(account, token, "approve", target.address, MAX)
    if venue == AAVE:
        borrowed = state.raw_of_usd(debt, usd * BY_SYMBOL[collateral].ltv / 10_000 * fraction)
        state.send(account, target, "supply", token.address, amount, account, 0)
        state.send(account, target, "borrow", world.tokens[debt].address, borrowed, VARIABLE_RATE, 0, account)
    else:
        market = world.markets[venue]
        borrowed = state.raw_of_usd(debt, usd * market.params[4] / WAD * fraction)
        state.send(account, target, "supplyCollateral", market.params, amount, account, b"")
        state.send(account, target, "borrow", market.params, borrowed, 0, account, account)
    state.positions.append(position)


def step(state: Scenario, number: int) -> None:
    "One block: new prices, feeds, liquidations, and what else people do."
    rng, n_blocks = state.rng, state.plan.n_blocks
    draw_prices(state, number)
    before = {symbol: answer.raw for symbol, answer in state.pushed.items()}
    push_feeds(state)
    congested = 0.20 < number / n_blocks < 0.35  # liquidators get no place in these blocks
    if not congested:
        liquidators.act(state, before)
    open_later(state, number)
    if number == int(n_blocks * 0.5):
        state.send(state.world.owner, state.world.markets["BIG36/USDC"].oracle, "set", 1050 * 10**6)
    bystanders.act(state, number)
    if rng.random() < 0.15:
        state.prices["WETH"] *= math.exp(rng.gauss(0, 0.003))
        push_feeds(state)
    state.world.node.mine()


def open_later(state: Scenario, number: int) -> None:
    "Shorts before the bounce, AVAX against BTC after it, and longs before the last leg."
    rng, n_blocks = state.rng, state.plan.n_blocks
    if number == int(n_blocks * 0.44):
        for account in state.role("short", N_SHORT):
            venue = rng.choice((AAVE, AAVE, "USDC/WETH"))
            size = math.exp(rng.gauss(11.3, 0.9))
            open_one(state, Position(account, venue, "USDC", "WETH"), size, rng.uniform(0.93, 0.98))
    if number == int(n_blocks * 0.6):
        for account in state.role("cross", N_CROSS):  # AVAX against BTC, which falls less
            open_one(state, Position(account, AAVE, "AVAX", "WBTC"), 9e4, rng.uniform(0.985, 0.998))
    if number == int(n_blocks * 0.86):
        for account in state.role("late", N_LATE):
            size = math.exp(rng.gauss(11.0, 0.8))
            open_one(state, Position(account, AAVE, "WETH", "USDC"), size, rng.uniform(0.96, 0.998))


def draw_prices(state: Scenario, number: int) -> None:
    "Drift of the phase, noise, the impact of what was sold in the block before, and one gap of AVAX."
    rng, share = state.rng, (number + 0.5) / state.plan.n_blocks
    drift, end = 0.0, 0.0
    for width, value in PHASES:
        end += width
        if share < end:
            drift = value
            break
    common = rng.gauss(0, 0.0012)
    for one in ASSETS:
        beta = BETA[one.symbol]
        impact = -state.sold_usd.pop(one.symbol, 0.0) / DEPTH_USD
        own = rng.gauss(0, 0.0006 if beta else 0.0001)
        state.prices[one.symbol] *= math.exp(beta * (drift + common) * 110 / state.plan.n_blocks + own + impact)
    if number == int(state.plan.n_blocks * 0.36):
        state.prices["AVAX"] *= 0.6


def push_feeds(state: Scenario) -> None:
    "New answers of the feeds whose price moved far enough, or that are stale."
    world, block = state.world, state.world.node.head() + 1
    for symbol, feed in world.feeds.items():
        last, price = state.pushed[symbol], state.prices[symbol]
        raw = round(price * 10**FEED_DECIMALS)
        if abs(raw / last.raw - 1) < DEVIATION and block - last.block < STALE_BLOCKS:
            continue
        deploy.submit(world.node, feed, world.oracles, last.round_id + 1, price)
        state.pushed[symbol] = Answer(raw, block, last.round_id + 1)
