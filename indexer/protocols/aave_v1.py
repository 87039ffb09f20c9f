"""Aave v1: the LendingPool emits LiquidationCall once per seized collateral."""

from indexer.abi import event
from indexer.declare import Deployment, Join, Mapping, Protocol, col

FEE = event("aave_v1", "OriginationFeeLiquidated")

PROTOCOL = Protocol(
    name="aave_v1",
    sector="lending",
    methodology="Debt repaid and collateral the liquidator receives, as emitted; the origination fee beside it.",
    mappings=(
        Mapping(
            event=event("aave_v1", "LiquidationCall"),
            kind="call",
            liquidation={
                "account": col("_user"),
                "liquidator": col("_liquidator"),
                "collateral_token": col("_collateral"),
                "collateral_raw": col("_liquidatedCollateralAmount"),
                "debt_token": col("_reserve"),
                "debt_raw": col("_purchaseAmount"),
            },
            joins=(Join(FEE, (("_collateral", "_collateral"), ("_reserve", "_reserve"), ("_user", "_user")), "any"),),
            values={"fee_raw": col("OriginationFeeLiquidated._liquidatedCollateralForFee")},
        ),
    ),
    supporting=(FEE,),
    deployments=(Deployment("aave_v1", "ethereum", "0x398eC7346DcD622eDc5ae82352F02bE94C62d119"),),
)
