"""Hyperliquid Bridge2: USDC sent to the bridge goes to HyperCore, FinalizedWithdrawal pays out what comes back."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, Read, col, emitter, lit, when

BRIDGE = "0x2Df1c51E09aECF9cacB7bc98cB1742757f163dF7"
USDC = "0xaf88d065e77c8cc2239327c5edb3a432268e5831"

PROTOCOL = Protocol(
    name="hyperliquid_bridge2",
    sector="bridge",
    methodology="Token transfers to the bridge, and withdrawals once they are final; requests and failures move nothing.",
    mappings=(
        Mapping(
            event=event("hyperliquid_bridge2", "FinalizedWithdrawal"),
            flow={
                "kind": lit("bridge_in"),
                "account": col("user"),
                "from_address": emitter,
                "to_address": col("destination"),
                "token": when(emitter == BRIDGE.lower()).then(lit(USDC)),
                "market": emitter,
                "token_of": lit("debt_token"),
                "amount_raw": col("usd"),
            },
        ),
    ),
    reads=(Read("usdcToken()", into="debt_token"),),
    inflow="bridge_out",
    notes=("Native USDC on HyperEVM and CCTP bypass the bridge. A deposit through a contract is the contract's.",),
    deployments=(Deployment("hyperliquid", "arbitrum", BRIDGE),),
)
