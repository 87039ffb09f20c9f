"""dYdX solo and Dolomite: one margin contract emits LogLiquidate by market ids; LogAddMarket says what they are."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, emitter

HELD = emitter + ":" + col("heldMarket").cast(str)
OWED = emitter + ":" + col("owedMarket").cast(str)

PROTOCOL = Protocol(
    name="dydx_solo",
    sector="lending",
    methodology="What the liquidated account lost of the held market and was repaid of the owed one, as emitted.",
    mappings=(
        Mapping(
            event=event("dydx_solo", "LogLiquidate"),
            kind="call",
            liquidation={
                "account": col("liquidAccountOwner"),
                "liquidator": col("solidAccountOwner"),
                "collateral_raw": col("liquidHeldUpdate.deltaWei.value"),
                "debt_raw": col("liquidOwedUpdate.deltaWei.value"),
            },
            values={"collateral_market": HELD, "debt_market": OWED},
        ),
        Mapping(
            event=event("dydx_solo", "LogVaporize"),
            kind="bad_debt",
            liquidation={
                "account": col("vaporAccountOwner"),
                "liquidator": col("solidAccountOwner"),
                "debt_raw": col("vaporOwedUpdate.deltaWei.value"),
            },
            values={"debt_market": OWED, "bad_debt_raw": col("vaporOwedUpdate.deltaWei.value")},
        ),
        Mapping(
            event=event("dydx_solo", "LogAddMarket"),
            is_registry=True,
            markets={"market": emitter + ":" + col("marketId").cast(str), "debt_token": col("token")},
        ),
    ),
    id_read="getMarketTokenAddress(uint256)",
    notes=("An owner's numbered accounts are one account here. Dolomite's trader proxies are not measured.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("dydx_solo", "ethereum", "0x1E0447b19BB6EcFdAe1e4AE1694b0C3659614e4e"),
        Deployment("dolomite", "arbitrum", "0x6Bd780E7fDf01D77e4d475c821f1e7AE05409072"),
        Deployment("dolomite", "base", "0x43C2FDB89A1C491F9FE86E1Ff05bd2BE204Ab4aE"),
        Deployment("dolomite", "mantle", "0xE6Ef4f0B2455bAB92ce7cC78E35324ab58917De8"),
        Deployment("dolomite", "polygon_zkevm", "0x836b557Cf9eF29fcF49C776841191782df34e4e5"),
        Deployment("dolomite", "xlayer", "0x836b557Cf9eF29fcF49C776841191782df34e4e5"),
    ),
)
