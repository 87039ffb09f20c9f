"""crvUSD and LlamaLend: a controller emits Liquidate; before that its AMM converts collateral softly, by TokenExchange."""

from indexer.abi import event
from indexer.declare import NOBODY, Deployment, Mapping, Protocol, Read, col, when

ADDED, CREATED = event("llamalend", "AddMarket"), event("llamalend", "NewVault")
COLLATERAL = 1  # coin of the AMM; 0 is what the market lends

PROTOCOL = Protocol(
    name="llamalend",
    sector="cdp",
    methodology="Collateral and stablecoin received by a liquidator who is not the user; soft conversions are rows outside totals.",
    mappings=(
        Mapping(
            event=event("llamalend", "Liquidate"),
            kind="call",
            where=col("liquidator") != col("user"),
            liquidation={
                "account": col("user"),
                "liquidator": col("liquidator"),
                "collateral_raw": col("collateral_received"),
                "debt_raw": col("debt"),
            },
            values={"seized_debt_raw": col("stablecoin_received")},
        ),
        Mapping(
            event=event("llamalend", "TokenExchange"),
            kind="soft",
            liquidation={
                "account": NOBODY,
                "liquidator": col("buyer"),
                "collateral_raw": col("tokens_bought"),
            },
            # Stablecoin bought is what the market lends; collateral bought is its collateral.
            values={"collateral_market": when(col("bought_id") != COLLATERAL).then(col("market"))},
        ),
        Mapping(event=ADDED, emitters={"address": col("controller")}),
        Mapping(event=ADDED, emitters={"address": col("amm"), "market": col("controller")}),
        Mapping(event=ADDED, markets={"market": col("controller"), "collateral_token": col("collateral")}),
        Mapping(event=CREATED, emitters={"address": col("controller")}),
        Mapping(event=CREATED, emitters={"address": col("amm"), "market": col("controller")}),
        Mapping(
            event=CREATED,
            markets={
                "market": col("controller"),
                "collateral_token": col("collateral_token"),
                "debt_token": col("borrowed_token"),
            },
        ),
    ),
    supporting=(
        event("llamalend", "SelfLiquidate"),
        event("llamalend", "UserState"),
        event("llamalend", "UserStateV2"),
    ),
    lists=("market_count()->controllers(uint256)", "market_count()->amms(uint256)"),
    # A controller names its AMM, and the AMM its coins; a row of an AMM that no factory placed has the AMM as its market.
    reads=(
        Read("amm()", into="amm"),
        Read("coins(uint256)", into="debt_token", of="amm", argument=0),
        Read("coins(uint256)", into="collateral_token", of="amm", argument=COLLATERAL),
        Read("coins(uint256)", into="debt_token", argument=0),
        Read("coins(uint256)", into="collateral_token", argument=COLLATERAL),
    ),
    notes=("A soft conversion names no debtor. A user's own liquidation is a repayment and gives no row.",),
    is_synthetic="of its liquidations no public source quotes a log; the user states are real",
    deployments=(
        Deployment(
            "crvusd",
            "ethereum",
            "0x4e59541306910aD6dC1daC0AC9dFB29bD9F15c67",
            market="0x4e59541306910ad6dc1dac0ac9dfb29bd9f15c67",
        ),
        Deployment("llamalend", "ethereum", "0xeA6876DDE9e3467564acBeE1Ed5bac88783205E0"),
        Deployment(
            "llamalend",
            "arbitrum",
            "0xB5c6082d3307088C98dA8D79991501E113e6365d",
            market="0xb5c6082d3307088c98da8d79991501e113e6365d",
        ),
        Deployment("llamalend", "arbitrum", "0xcaEC110C784c9DF37240a8Ce096D352A75922DeA"),
        Deployment("llamalend", "fraxtal", "0xf3c9bdAB17B7016fBE3B77D17b1602A7db93ac66"),
        Deployment("llamalend", "optimism", "0x5EA8f3D674C70b020586933A0a5b250734798BeF"),
    ),
)
