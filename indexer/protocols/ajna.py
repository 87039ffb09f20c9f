"""Ajna: a pool kicks a loan, then sells its collateral in takes; what no buyer pays is settled as bad debt."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, Read, col, lit

# Ajna counts in WAD, 18 decimals, whatever the token's own; a pool of NFTs counts pieces.
WAD = {"collateral_decimals": lit(18), "debt_decimals": lit(18)}
SOLD = {"account": col("borrower"), "collateral_raw": col("collateral"), "debt_raw": col("amount")}

PROTOCOL = Protocol(
    name="ajna",
    sector="lending",
    methodology="Collateral sold and debt paid at each take, as emitted; a kick is no sale, a settled debt is bad debt.",
    mappings=(
        Mapping(
            event=event("ajna", "Kick"),
            kind="auction_start",
            liquidation={"account": col("borrower"), "collateral_raw": col("collateral"), "debt_raw": col("debt")},
            values=WAD,
        ),
        Mapping(event=event("ajna", "Take"), kind="auction_take", liquidation=SOLD, values=WAD),
        Mapping(event=event("ajna", "BucketTake"), kind="auction_take", liquidation=SOLD, values=WAD),
        Mapping(
            event=event("ajna", "Settle"),
            kind="bad_debt",
            liquidation={"account": col("borrower"), "debt_raw": col("settledDebt")},
            values={"debt_decimals": lit(18), "bad_debt_raw": col("settledDebt")},
        ),
        Mapping(event=event("ajna", "PoolCreated"), emitters={"address": col("pool_")}),
    ),
    supporting=(event("ajna", "AuctionSettle"), event("ajna", "AuctionNFTSettle")),
    reads=(Read("collateralAddress()", into="collateral_token"), Read("quoteTokenAddress()", into="debt_token")),
    notes=("No taker is named. No factory or pool is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
