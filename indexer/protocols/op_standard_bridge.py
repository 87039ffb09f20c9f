"""Standard bridges of OP chains: value leaves at the initiated event of one side and arrives at the finalized one of the other."""

from indexer.abi import event
from indexer.declare import NATIVE, Deployment, Protocol, col, lit, moved, when

NAME = "op_standard_bridge"
ON_L2 = "0x4200000000000000000000000000000000000010"  # the predeploy of every OP chain
L2_ETH = "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0000"  # how an OP chain's bridge names the chain's own coin
ETH = lit(NATIVE)
L2_TOKEN = when(col("l2Token") == L2_ETH).then(ETH).otherwise(col("l2Token"))

# Since Bedrock the bridges emit ERC20BridgeInitiated and its like right behind these events, for the same value.
PROTOCOL = Protocol(
    name=NAME,
    sector="bridge",
    methodology="Deposits and withdrawals of the standard bridges, each once a side.",
    mappings=(
        moved(event(NAME, "ETHDepositInitiated"), "bridge_out", "from", "from", "amount", ETH),
        moved(event(NAME, "ETHWithdrawalFinalized"), "bridge_in", "to", "to", "amount", ETH),
        moved(event(NAME, "ERC20DepositInitiated"), "bridge_out", "from", "from", "amount", "l1Token"),
        moved(event(NAME, "ERC20WithdrawalFinalized"), "bridge_in", "to", "to", "amount", "l1Token"),
        moved(event(NAME, "WithdrawalInitiated"), "bridge_out", "from", "from", "amount", L2_TOKEN),
        moved(event(NAME, "DepositFinalized"), "bridge_in", "to", "to", "amount", L2_TOKEN),
    ),
    notes=("Coins sent to a portal directly show in no event of the bridge.",),
    deployments=(
        Deployment("base_bridge", "ethereum", "0x3154Cf16ccdb4C6d922629664174b904d80F2C35", 17482143),
        Deployment("ink_bridge", "ethereum", "0x88FF1e5b602916615391F55854588EFcBB7663f0"),
        Deployment("optimism_bridge", "ethereum", "0x99C9fc46f92E8a1c0deC1b1747d010903E884bE1"),
        Deployment("unichain_bridge", "ethereum", "0x81014F44b0a345033bB2b3B21C7a1A308B35fEeA"),
        Deployment("worldchain_bridge", "ethereum", "0x470458C91978D2d929704489Ad730DC3E3001113"),
        Deployment("base_bridge", "base", ON_L2),
        Deployment("ink_bridge", "ink", ON_L2),
        Deployment("optimism_bridge", "optimism", ON_L2),
        Deployment("unichain_bridge", "unichain", ON_L2),
        Deployment("worldchain_bridge", "worldchain", ON_L2),
    ),
)
