"""Fraxlend: a pair emits Liquidate with the collateral paid out, the debt repaid and the debt written off."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, Read, col

PROTOCOL = Protocol(
    name="fraxlend",
    sector="lending",
    methodology="Collateral the liquidator receives and debt repaid as emitted; the debt written off stands on the same row.",
    mappings=(
        Mapping(
            event=event("fraxlend", "Liquidate"),
            kind="call",
            liquidation={
                "account": col("_borrower"),
                "collateral_raw": col("_collateralForLiquidator"),
                "debt_raw": col("_amountLiquidatorToRepay"),
            },
            values={"bad_debt_raw": col("_amountToAdjust"), "fee_raw": col("_feesAmount")},
        ),
        Mapping(event=event("fraxlend", "AddPair"), emitters={"address": col("pairAddress")}),
    ),
    lists=("getAllPairAddresses()",),
    reads=(Read("collateralContract()", into="collateral_token"), Read("asset()", into="debt_token")),
    notes=("No liquidator is named.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("fraxlend", "ethereum", "0xD6E9D27C75Afd88ad24Cd5EdccdC76fd2fc3A751"),
        Deployment("fraxlend", "arbitrum", "0x0bD2fFBcB0A17De2d5a543ec2D47C772eeaD316d"),
        Deployment("fraxlend", "fraxtal", "0x8c22EBc8f9B96cEac97EA21c53F3B27ef2F45e57"),
        Deployment("hyperlend_isolated", "hyperevm", "0xf55AF86c9EC3a7d5fa6367c00a120E6B262f718d"),
    ),
)
