"""What else happens on the test chain: a whale on its way to an exchange, traders, lenders, an impostor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.devnet.contracts import topic
from tests.devnet.deploy import MAX, VARIABLE_RATE

if TYPE_CHECKING:
    from tests.devnet.scenario import Scenario

LOOK_ALIKES = (
    "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
    "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)",
)
WHALE_BLOCKS = (0.06, 0.09, 0.12)  # shares of the scenario: before the fall begins


def act(state: Scenario, number: int) -> None:
    "Transfers, mints, burns and lending of one block."
    rng, world = state.rng, state.world
    (cold,), (exchange,) = state.role("cold", 1), state.role("exchange", 1)
    if number in [int(share * state.plan.n_blocks) for share in WHALE_BLOCKS]:
        state.send(cold, world.tokens["WETH"], "transfer", exchange, state.raw("WETH", rng.randint(7_000, 9_900)))
    traders = state.role("trader", 10)
    if rng.random() < 0.7:
        trade(state, [*traders, exchange], traders)
    if rng.random() < 0.5:
        lend(state)
    if rng.random() < 0.04:
        pretend(state)


def trade(state: Scenario, receivers: list[str], traders: list[str]) -> None:
    "A transfer between traders or to the exchange, a mint or a burn."
    rng, world = state.rng, state.world
    symbol = rng.choice(("WETH", "USDC"))
    trader, token = rng.choice(traders), world.tokens[symbol]
    amount = max(1, int(token.read(world.node, "balanceOf", trader) * rng.uniform(0.05, 0.5)))
    act_name = rng.choices(("transfer", "mint", "burn", "itself", "nothing"), (70, 12, 12, 3, 3))[0]
    if act_name == "transfer":
        state.send(trader, token, "transfer", rng.choice([one for one in receivers if one != trader]), amount)
    elif act_name == "mint":
        state.send(world.owner, token, "mint", trader, amount)
    elif act_name == "burn":
        state.send(trader, token, "burn", amount)
    elif act_name == "itself":
        state.send(trader, token, "transfer", trader, amount)
    else:
        state.send(trader, token, "transfer", rng.choice(receivers), 0)


def lend(state: Scenario) -> None:
    "One act of a lender on Aave or Morpho, for itself or for another."
    rng, world = state.rng, state.world
    lenders = state.role("lender", 6)
    lender, other = rng.sample(lenders, 2)
    symbol = rng.choice(("WETH", "USDC"))
    token = world.tokens[symbol].address
    amount = state.raw_of_usd(symbol, rng.uniform(1_000, 90_000))
    debt = world.debt_tokens[symbol].read(world.node, "balanceOf", other)
    market = world.markets["WETH/USDC"]
    acts = {
        "supply": (lender, world.pool, "supply", token, amount, lender, 0),
        "supply for another": (lender, world.pool, "supply", token, amount, other, 0),
        "deposit": (lender, world.pool, "deposit", token, amount, lender, 0),
        "withdraw": (lender, world.pool, "withdraw", token, amount, lender),
        "withdraw to another": (lender, world.pool, "withdraw", token, amount, other),
        "borrow": (lender, world.pool, "borrow", token, amount, VARIABLE_RATE, 0, lender),
        "borrow of a delegate": (lenders[1], world.pool, "borrow", world.tokens["USDC"].address,
                                 state.raw_of_usd("USDC", 50_000), VARIABLE_RATE, 0, lenders[0]),
        "morpho supply": (lender, world.morpho, "supply", market.params, state.raw_of_usd("USDC", 5e3), 0, other, b""),
        "morpho withdraw": (lenders[0], world.morpho, "withdraw", market.params, state.raw_of_usd("USDC", 2_000), 0,
                            lenders[0], lender),
    }  # fmt: skip
    if debt:
        acts["repay all for another"] = (lender, world.pool, "repay", token, debt * 2, VARIABLE_RATE, other)
        acts["repay a part"] = (other, world.pool, "repay", token, max(1, debt // 3), VARIABLE_RATE, other)
        acts["repay all"] = (other, world.pool, "repay", token, MAX, VARIABLE_RATE, other)
        acts["repay with aTokens"] = (other, world.pool, "repayWithATokens", token, max(1, debt // 4), VARIABLE_RATE)
    sender, contract, name, *arguments = acts[rng.choice(sorted(acts))]
    state.send(sender, contract, name, *arguments)


def pretend(state: Scenario) -> None:
    "Logs with the topics of liquidations, from a contract that is no protocol."
    world, (user, other) = state.world, state.role("user", 2)
    for signature in LOOK_ALIKES:
        topics = [bytes.fromhex(one[2:].rjust(64, "0")) for one in (topic(signature), other, other, user)]
        words = b"".join(
            state.rng.getrandbits(90).to_bytes(32, "big") for _ in range(5 if "bytes32" in signature else 4)
        )
        state.send(world.owner, world.impostor, "emitLog", topics, words)
