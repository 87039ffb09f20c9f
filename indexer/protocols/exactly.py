"""Exactly: the debt market emits Liquidate; what is seized are assets of another market."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, Read, col

PROTOCOL = Protocol(
    name="exactly",
    sector="lending",
    methodology="Debt repaid and assets seized from the collateral's market, as emitted.",
    mappings=(
        Mapping(
            event=event("exactly", "Liquidate"),
            kind="call",
            liquidation={
                "account": col("borrower"),
                "liquidator": col("receiver"),
                "collateral_raw": col("seizedAssets"),
                "debt_raw": col("assets"),
            },
            values={"collateral_market": col("seizeMarket")},
        ),
    ),
    reads=(Read("asset()", into="debt_token"),),
    notes=("No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
