"""Morpho optimizers on Aave v2 and Compound: one contract emits Liquidated, in tokens, by the names of pool tokens."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, Read, col

PROTOCOL = Protocol(
    name="morpho_optimizer",
    sector="lending",
    methodology="Debt repaid and collateral seized as emitted; in the pool below, the optimizer's own rows are a protocol's.",
    mappings=(
        Mapping(
            event=event("morpho_optimizer", "Liquidated"),
            kind="call",
            liquidation={
                "account": col("_liquidated"),
                "liquidator": col("_liquidator"),
                "collateral_token": col("_poolTokenCollateral"),
                "collateral_raw": col("_amountSeized"),
                "debt_token": col("_poolTokenBorrowed"),
                "debt_raw": col("_amountRepaid"),
            },
            # Amounts are of the tokens that the pool's shares stand for.
            values={"collateral_market": col("_poolTokenCollateral"), "debt_market": col("_poolTokenBorrowed")},
        ),
    ),
    reads=(Read("UNDERLYING_ASSET_ADDRESS()", into="debt_token"), Read("underlying()", into="debt_token")),
    holds_positions=True,
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("morpho_aave_v2", "ethereum", "0x777777c9898D384F785Ee44Acfe945efDFf5f3E0", 15383036),
        Deployment("morpho_compound", "ethereum", "0x8888882f8f843896699869179fB6E4f7e3B58888", 14860866),
    ),
)
