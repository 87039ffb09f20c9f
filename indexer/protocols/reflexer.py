"""Reflexer: the LiquidationEngine starts an auction of a safe's collateral; the auction's sales are not catalogued."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col, lit, text

KIND = text("collateralType")

PROTOCOL = Protocol(
    name="reflexer",
    sector="cdp",
    methodology="The start of an auction as emitted; its sales are not decoded, so it adds to no total.",
    mappings=(
        Mapping(
            event=event("reflexer", "Liquidate"),
            kind="auction_start",
            liquidation={
                "market": KIND,
                "account": col("safe"),
                "collateral_symbol": KIND.str.extract(r"^([^-]+)-").replace({"ETH": "WETH"}),
                "collateral_raw": col("collateralAmount"),
                "debt_symbol": lit("RAI"),
                "debt_raw": col("debtAmount"),
            },
            values={"collateral_decimals": lit(18), "debt_decimals": lit(18)},
        ),
    ),
    notes=("Sales of the auction house are not measured. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
