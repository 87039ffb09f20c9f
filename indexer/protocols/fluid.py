"""Fluid: a vault liquidates a range of ticks at once, so LogLiquidate names no borrower."""

from indexer.abi import event
from indexer.declare import NOBODY, Deployment, Mapping, Protocol, Read, col

# constantsView() of a vault of type 1 has 13 words, with its two tokens; other types answer 18 and count in DEX shares.
T1_WORDS = 13

PROTOCOL = Protocol(
    name="fluid",
    sector="lending",
    methodology="Collateral and debt as emitted, for all borrowers of the liquidated ticks together; valued for vaults of type 1 only.",
    mappings=(
        Mapping(
            event=event("fluid", "LogLiquidate"),
            kind="call",
            liquidation={
                "account": NOBODY,
                "liquidator": col("liquidator_"),
                "collateral_raw": col("colAmt_"),
                "debt_raw": col("debtAmt_"),
            },
        ),
        Mapping(
            event=event("fluid", "LogAbsorb"),
            kind="bad_debt",
            liquidation={
                "account": NOBODY,
                "collateral_raw": col("colAbsorbedRaw_"),
                "debt_raw": col("debtAbsorbedRaw_"),
            },
        ),
        Mapping(event=event("fluid", "VaultDeployed"), emitters={"address": col("vault")}),
    ),
    lists=("totalVaults()->getVaultAddress(uint256)+1",),
    reads=(
        Read("constantsView()", into="collateral_token", word=4, n_words=T1_WORDS),
        Read("constantsView()", into="debt_token", word=5, n_words=T1_WORDS),
    ),
    notes=(
        "No borrower is named. Vaults with smart collateral or debt count in DEX shares and have no value.",
        "Absorbed positions are in raw units before the exchange price; a later liquidation sells them.",
    ),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("fluid", "ethereum", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d", 19310014),
        Deployment("fluid", "arbitrum", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d"),
        Deployment("fluid", "base", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d", 17391489),
        Deployment("fluid", "bnb", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d", 71734805),
        Deployment("fluid", "plasma", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d", 643197),
        Deployment("fluid", "polygon", "0x324c5Dc1fC42c7a4D43d92df1eBA58a54d13Bf2d", 68510647),
    ),
)
