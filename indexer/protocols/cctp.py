"""Circle's transfer protocol: USDC burnt on one chain is minted on another."""

from indexer.abi import event
from indexer.declare import Deployment, Protocol, moved

NAME = "cctp"
SECOND = "0x28b5a0e9C621a5BadaA536219b3a228C8168cf5d"  # TokenMessengerV2, at one address on every chain

PROTOCOL = Protocol(
    name=NAME,
    sector="bridge",
    methodology="Burns and mints of the token messengers, both versions.",
    mappings=(
        moved(event(NAME, "DepositForBurn"), "bridge_out", "depositor", "depositor", "amount", "burnToken"),
        moved(event(NAME, "DepositForBurnV2"), "bridge_out", "depositor", "depositor", "amount", "burnToken"),
        moved(event(NAME, "MintAndWithdraw"), "bridge_in", "mintRecipient", "mintRecipient", "amount", "mintToken"),
        moved(event(NAME, "MintAndWithdrawV2"), "bridge_in", "mintRecipient", "mintRecipient", "amount", "mintToken"),
    ),
    notes=("A burn through another contract is that contract's.",),
    deployments=(
        Deployment(NAME, "arbitrum", "0x19330d10D9Cc8751218eaf51E8885D058642E08A"),
        Deployment(NAME, "arbitrum", SECOND),
        Deployment(NAME, "avalanche", "0x6B25532e1060CE10cc3B0A99e5683b91BFDe6982"),
        Deployment(NAME, "avalanche", SECOND),
        Deployment(NAME, "base", "0x1682Ae6375C4E4A97e4B583BC394c861A46D8962"),
        Deployment(NAME, "base", SECOND),
        Deployment(NAME, "ethereum", "0xBd3fa81B58Ba92a82136038B25aDec7066af3155"),
        Deployment(NAME, "ethereum", SECOND),
        Deployment(NAME, "hyperevm", SECOND),
        Deployment(NAME, "optimism", "0x2B4069517957735bE00ceE0fadAE88a26365528f"),
        Deployment(NAME, "optimism", SECOND),
        Deployment(NAME, "polygon", "0x9daF8c91AEFAE50b9c0E69629D3F6Ca40cA3B3FE"),
        Deployment(NAME, "polygon", SECOND),
    ),
)
