"""The world of the test chain: tokens, Chainlink feeds, Aave v3 and Morpho Blue, wired together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import eth_abi
from eth_utils import keccak

from tests.devnet.contracts import Contract, Deployer, address, functions
from tests.devnet.packages import artifact

if TYPE_CHECKING:
    from tests.devnet.anvil import Node

ZERO = "0x" + "0" * 40
MAX = 2**256 - 1
WAD = 10**18
RAY = 10**27
AAVE = "aave_v3"
FEED_DECIMALS = 8
N_ORACLES = 3
VARIABLE_RATE = 2  # interest rate mode of Aave


class Asset(NamedTuple):
    "A token with its Aave parameters in basis points and its first price in US dollars."

    symbol: str
    asset: str
    decimals: int
    first_price: float
    ltv: int
    threshold: int
    bonus: int


ASSETS = (
    Asset("WETH", "ETH", 18, 4400.0, 8000, 8250, 10500),
    Asset("WBTC", "BTC", 8, 121_000.0, 7000, 7500, 10650),
    Asset("AVAX", "AVAX", 18, 28.0, 6500, 7000, 11000),
    Asset("USDC", "USDC", 6, 1.0, 7500, 7800, 10450),
)
BY_SYMBOL = {one.symbol: one for one in ASSETS}
HUGE = Asset("BIG36", "BIG36", 36, 1.0, 0, 0, 0)  # 120 whole units do not fit DECIMAL(38,0); it has no feed


class Market(NamedTuple):
    "A Morpho market."

    collateral: str
    loan: str
    params: tuple[str, str, str, str, int]
    market_id: str
    oracle: Contract


class World(NamedTuple):
    "Every contract that the scenario speaks to; `created` maps lower-case addresses to blocks."

    node: Node
    owner: str
    tokens: dict[str, Contract]
    feeds: dict[str, Contract]
    oracles: tuple[str, ...]
    pool: Contract
    a_tokens: dict[str, Contract]
    debt_tokens: dict[str, Contract]
    treasury: str
    morpho: Contract
    markets: dict[str, Market]
    bot: Contract
    impostor: Contract
    created: dict[str, int]


def decimals(symbol: str) -> int:
    "Decimals of a token."
    return HUGE.decimals if symbol == HUGE.symbol else BY_SYMBOL[symbol].decimals


def fund(node: Node, accounts: list[str]) -> None:
    "Enough of the chain's own coin for every fee."
    node.batch(("anvil_setBalance", [one, hex(10**24)]) for one in accounts)


def deploy(node: Node, label: str) -> World:
    "A wired world; `label` decides the addresses."
    owner = address(f"{label}:owner")
    oracles = tuple(sorted(address(f"{label}:oracle:{i}") for i in range(N_ORACLES)))
    fund(node, [owner, *oracles])
    deployer = Deployer(node, owner, {})
    created: dict[str, int] = {}

    def note(contract: Contract) -> Contract:
        created[contract.address] = node.head()
        return contract

    tokens = {one.symbol: note(deployer.new("Token", one.symbol, one.decimals)) for one in (*ASSETS, HUGE)}
    feeds = {one.symbol: note(feed(deployer, one, oracles)) for one in ASSETS}
    for one in ASSETS:
        push(node, feeds[one.symbol], oracles, one.first_price)
    treasury = address(f"{label}:treasury")
    before_aave = node.head() + 1
    pool, a_tokens, debt_tokens = aave(deployer, tokens, feeds, treasury)
    created[pool.address] = before_aave
    morpho = note(deployer.new("Morpho", owner))
    markets = {
        "WETH/USDC": market(deployer, morpho, tokens, ("WETH", "USDC", 86), (feeds["WETH"].address, False, 10**16)),
        "AVAX/USDC": market(deployer, morpho, tokens, ("AVAX", "USDC", 77), (feeds["AVAX"].address, False, 10**16)),
        "USDC/WETH": market(deployer, morpho, tokens, ("USDC", "WETH", 86), (feeds["WETH"].address, True, 10**56)),
        "BIG36/USDC": market(deployer, morpho, tokens, ("BIG36", "USDC", 91), (ZERO, False, 1100 * 10**6)),
    }
    bot, impostor = deployer.new("Bot"), deployer.new("Impostor")
    return World(
        node=node, owner=owner, tokens=tokens, feeds=feeds, oracles=oracles, pool=pool, a_tokens=a_tokens,
        debt_tokens=debt_tokens, treasury=treasury, morpho=morpho, markets=markets, bot=bot, impostor=impostor,
        created=created,
    )  # fmt: skip


def feed(deployer: Deployer, asset: Asset, oracles: tuple[str, ...]) -> Contract:
    "A FluxAggregator without payments: an answer is the median of all three oracles."
    bounds = (1, 10**17)
    aggregator = deployer.new("FluxAggregator", ZERO, 0, 0, ZERO, *bounds, FEED_DECIMALS, f"{asset.asset} / USD")
    deployer.do(aggregator, "changeOracles", [], oracles, oracles, N_ORACLES, N_ORACLES, 0)
    return aggregator


def submit(node: Node, aggregator: Contract, oracles: tuple[str, ...], round_id: int, price: float) -> list[str]:
    "Hashes of one submission an oracle, a basis point apart; the median is `price` to 8 decimals."
    answers = [round(price * (1 + step / 10_000) * 10**FEED_DECIMALS) for step in (-1, 0, 1)]
    return [
        node.send(oracle, aggregator.address, aggregator.data("submit", round_id, answer), 400_000)
        for oracle, answer in zip(oracles, answers, strict=True)
    ]


def push(node: Node, aggregator: Contract, oracles: tuple[str, ...], price: float) -> None:
    "A new answer in a block of its own."
    hashes = submit(node, aggregator, oracles, aggregator.read(node, "latestRound") + 1, price)
    node.mine()
    assert {one["status"] for one in node.receipts(hashes)} == {"0x1"}


def aave(
    deployer: Deployer, tokens: dict[str, Contract], feeds: dict[str, Contract], treasury: str
) -> tuple[Contract, dict[str, Contract], dict[str, Contract]]:
    "A pool with one reserve an asset, its aTokens and its variable debt tokens."
    node, do = deployer.node, deployer.do
    provider = deployer.new("PoolAddressesProvider", "devnet", deployer.account, folder="protocol/configuration")
    do(provider, "setACLAdmin", deployer.account)
    acl = deployer.new("ACLManager", provider.address, folder="protocol/configuration")
    do(provider, "setACLManager", acl.address)
    do(acl, "addPoolAdmin", deployer.account)
    for name, setter in (("Pool", "setPoolImpl"), ("PoolConfigurator", "setPoolConfiguratorImpl")):
        implementation = deployer.new(name, *([provider.address] * (name == "Pool")), folder="protocol/pool")
        do(implementation, "initialize", provider.address)
        do(provider, setter, implementation.address)
    pool = proxied(provider.read(node, "getPool"), "Pool", "protocol/pool")
    configurator = proxied(provider.read(node, "getPoolConfigurator"), "PoolConfigurator", "protocol/pool")
    addresses = [tokens[one.symbol].address for one in ASSETS]
    sources = [feeds[one.symbol].address for one in ASSETS]
    unit = 10**FEED_DECIMALS
    oracle = deployer.new("AaveOracle", provider.address, addresses, sources, ZERO, ZERO, unit, folder="misc")
    do(provider, "setPriceOracle", oracle.address)
    data_provider = deployer.new("AaveProtocolDataProvider", provider.address, folder="misc")
    do(provider, "setPoolDataProvider", data_provider.address)
    implementations = [
        deployer.new(name, pool.address, folder="protocol/tokenization").address
        for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    ]
    slopes = [RAY * share // 1000 for share in (800, 0, 40, 750, 5, 750, 10, 80, 200)]
    strategy = deployer.new(
        "DefaultReserveInterestRateStrategy", provider.address, *slopes, folder="protocol/pool"
    ).address
    for one in ASSETS:
        token = tokens[one.symbol].address
        names = [f"{prefix}{one.symbol}" for prefix in ("a", "a", "variableDebt", "variableDebt", "sDebt", "sDebt")]
        do(
            configurator,
            "initReserves",
            [(*implementations, one.decimals, strategy, token, treasury, ZERO, *names, b"\x10")],
        )
        do(configurator, "configureReserveAsCollateral", token, one.ltv, one.threshold, one.bonus)
        do(configurator, "setReserveBorrowing", token, True)  # noqa: FBT003 - the contract's own signature
        do(configurator, "setLiquidationProtocolFee", token, 1000)
        do(configurator, "setReserveFactor", token, 1000)
    reserves = {one.symbol: pool.read(node, "getReserveData", tokens[one.symbol].address) for one in ASSETS}
    a_tokens = {symbol: proxied(row[8], "AToken", "protocol/tokenization") for symbol, row in reserves.items()}
    debts = {symbol: proxied(row[10], "VariableDebtToken", "protocol/tokenization") for symbol, row in reserves.items()}
    return pool, a_tokens, debts


def proxied(proxy: str, name: str, folder: str) -> Contract:
    "The contract behind a proxy: its address, the implementation's functions."
    return Contract(proxy.lower(), functions(artifact(name, folder)["abi"]))


def market(
    deployer: Deployer,
    morpho: Contract,
    tokens: dict[str, Contract],
    pair: tuple[str, str, int],
    oracle_arguments: tuple[Any, ...],
) -> Market:
    "A new market without interest; `pair` is collateral, loan token and the liquidation threshold in percent."
    collateral, loan, percent = pair
    threshold = percent * 10**16
    if not morpho.read(deployer.node, "isLltvEnabled", threshold):
        deployer.do(morpho, "enableLltv", threshold)
    if not morpho.read(deployer.node, "isIrmEnabled", ZERO):
        deployer.do(morpho, "enableIrm", ZERO)
    oracle = deployer.new("FeedOracle", *oracle_arguments)
    params = (tokens[loan].address, tokens[collateral].address, oracle.address, ZERO, threshold)
    deployer.do(morpho, "createMarket", params)
    market_id = keccak(eth_abi.encode(["address", "address", "address", "address", "uint256"], params))
    return Market(collateral, loan, params, "0x" + market_id.hex(), oracle)


def accounts(label: str, role: str, number: int) -> list[str]:
    "Accounts of one role."
    return [address(f"{label}:{role}:{i}") for i in range(number)]
