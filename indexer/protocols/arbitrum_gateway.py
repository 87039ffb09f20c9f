"""Arbitrum's token gateways, both sides, and coins that its bridge pays out on Ethereum."""

from indexer.abi import event
from indexer.declare import NATIVE, Deployment, Protocol, col, emitter, lit, moved, when

NAME = "arbitrum_gateway"
BRIDGE = "0x8315177aB297bA92A06054cE80a67Ed4DBd7ed3a"
WETH_GATEWAY = "0xd92023E9d9911199a6711321D1277285e6d4e2db"
# What stands for a token of Ethereum on Arbitrum: the gateways name the first only.
ON_L2 = {
    "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": "0x2f2a2543b76a4166549f7aab2e75bef0aefc5b0f",  # WBTC
    "0x6b175474e89094c44da98b954eedeac495271d0f": "0xda10009cbd5d07dd0cecc66161fc93d7c9000da1",  # DAI
    "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0": "0x5979d7b546e38e414f7e9822514be443a4800529",  # wstETH
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": "0xff970a61a04b1ca14834a43f5de4533ebddb5cc8",  # USDC, USDC.e
    "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": "0x82af49447d8a07e3bd95bd0d56f35241523fbab1",  # WETH
    "0xdac17f958d2ee523a2206206994597c13d831ec7": "0xfd086bc7cd5c481dcc9c85ebe478a1c0b69fcbb9",  # USDT
}
L2_TOKEN = col("l1Token").replace_strict(ON_L2, default=None)
# WETH comes back as coins, which the gateway wraps and pays out: its own event says to whom.
IS_PAID = (col("value") > 0) & (col("to") != WETH_GATEWAY.lower())

PROTOCOL = Protocol(
    name=NAME,
    sector="bridge",
    methodology="Token deposits and withdrawals at the gateways, each once a side; coins where the bridge pays them out.",
    mappings=(
        moved(event(NAME, "DepositInitiated"), "bridge_out", "from", "from", "amount", "l1Token"),
        moved(event(NAME, "WithdrawalFinalized"), "bridge_in", "to", "to", "amount", "l1Token"),
        moved(event(NAME, "WithdrawalInitiated"), "bridge_out", "from", "from", "amount", L2_TOKEN),
        moved(event(NAME, "DepositFinalized"), "bridge_in", "to", "to", "amount", L2_TOKEN),
        moved(
            event(NAME, "BridgeCallTriggered"),
            "bridge_in",
            "to",
            "to",
            "value",
            when(emitter == BRIDGE.lower()).then(lit(NATIVE)),
            where=IS_PAID,
        ),
    ),
    notes=(
        "Deposits of coins have no event that states the amount.",
        "On Arbitrum only major tokens of the gateways are known by address.",
    ),
    deployments=(
        Deployment("arbitrum_bridge", "ethereum", BRIDGE),
        Deployment("arbitrum_bridge", "ethereum", "0xa3A7B6F88361F48403514059F1F16C8E78d60EeC"),
        Deployment("arbitrum_bridge", "ethereum", "0xcEe284F754E854890e311e3280b767F80797180d"),
        Deployment("arbitrum_bridge", "ethereum", "0xD3B5b60020504bc3489D6949d545893982BA3011"),
        Deployment("arbitrum_bridge", "ethereum", WETH_GATEWAY),
        Deployment("arbitrum_bridge", "arbitrum", "0x096760F208390250649E3e8763348E783AEF5562"),
        Deployment("arbitrum_bridge", "arbitrum", "0x09e9222E96E7B4AE2a407B98d48e330053351EEe"),
        Deployment("arbitrum_bridge", "arbitrum", "0x467194771dAe2967Aef3ECbEDD3Bf9a310C76C65"),
        Deployment("arbitrum_bridge", "arbitrum", "0x6c411aD3E74De3E7Bd422b94A27770f5B86C623B"),
    ),
)
