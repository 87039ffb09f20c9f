"""GMX v1: a Vault emits LiquidatePosition; with leverage beyond its limit but collateral left it closes like any trade."""

from indexer.abi import event
from indexer.declare import Call, Deployment, Join, Mapping, Protocol, col, floating, json, lit, raw_word, when

LIQUIDATED, DECREASED, CLOSED = (
    event("gmx_v1", name) for name in ("LiquidatePosition", "DecreasePosition", "ClosePosition")
)
# The PositionRouter's and the OrderBook's word that the account itself had asked for the decrease.
REQUESTED, ORDERED = event("gmx_v1", "ExecuteDecreasePosition"), event("gmx_v1", "ExecuteDecreaseOrder")
USD = 1e30  # a dollar, of amounts and prices alike (Vault.sol PRICE_PRECISION)
POSITION = (("emitter", "emitter"), ("key", "key"))
# Liquidators call the PositionManager, which names its Vault, or the Vault itself (PositionManager.sol, Vault.sol).
LIQUIDATE = Call(
    "liquidatePosition(address,address,address,bool,address)",
    ("account", "collateralToken", "indexToken", "isLong", "feeReceiver"),
    of="vault()",
    given=(DECREASED, CLOSED),
    unless=(LIQUIDATED, REQUESTED, ORDERED),
)
IS_CALLED = (
    (col("liquidatePosition.account") == col("account"))
    & (col("liquidatePosition.collateralToken") == col("collateralToken"))
    & (col("liquidatePosition.indexToken") == col("indexToken"))
    & (col("liquidatePosition.isLong") == col("isLong"))
)
NAMED = {
    "market": col("indexToken"),
    "account": col("account"),
    "side": when(col("isLong")).then(lit("long")).otherwise(lit("short")),
    "collateral_token": col("collateralToken"),
    "price_source": lit("event"),
    "price_at": col("logged_at"),
}
MARKET = {"market": col("indexToken"), "params": json(index_token=col("indexToken")), "from_at": lit(None)}

PROTOCOL = Protocol(
    name="gmx_v1",
    sector="perp",
    methodology="Size of the liquidated position at its average entry price, in dollars as emitted.",
    mappings=(
        Mapping(
            event=LIQUIDATED,
            kind="market",
            liquidation={
                **NAMED,
                "forced_usd": floating(raw_word(LIQUIDATED, "size")) / USD,
                "margin_lost_usd": floating(raw_word(LIQUIDATED, "collateral")) / USD,
                "price": floating(raw_word(LIQUIDATED, "markPrice")) / USD,
                "mark_price": floating(raw_word(LIQUIDATED, "markPrice")) / USD,
            },
            markets=MARKET,
        ),
        Mapping(
            event=DECREASED,
            kind="market",
            call=LIQUIDATE,
            joins=(
                Join(CLOSED, POSITION, "any"),
                Join(LIQUIDATED, POSITION, "any"),
                Join(REQUESTED, (("account", "account"),), "any"),
                Join(ORDERED, (("account", "account"),), "any"),
            ),
            where=IS_CALLED
            & col("ClosePosition.log_index").is_not_null()
            & col("LiquidatePosition.log_index").is_null()
            & col("ExecuteDecreasePosition.log_index").is_null()
            & col("ExecuteDecreaseOrder.log_index").is_null(),
            liquidation={
                **NAMED,
                "forced_usd": floating(raw_word(DECREASED, "sizeDelta")) / USD,
                "price": floating(raw_word(DECREASED, "price")) / USD,
                "mark_price": floating(raw_word(DECREASED, "price")) / USD,
            },
            markets=MARKET,
        ),
    ),
    supporting=(CLOSED, REQUESTED, ORDERED),
    notes=(
        "Silent liquidations count where the node tells what their transaction called.",
        "The size in tokens is not emitted.",
    ),
    is_synthetic="no public source quotes a liquidation of it",
    deployments=(
        Deployment("gmx_v1", "arbitrum", "0x489ee077994B6658eAfA855C308275EAd8097C4A", 227091),
        Deployment("gmx_v1", "arbitrum", "0x09f77E8A13De9a35a7231028187e9fD5DB8a2ACB", market="OrderBook"),
        Deployment("gmx_v1", "arbitrum", "0x3D6bA331e3D9702C5e8A8d254e5d8a285F223aba", market="PositionRouter"),
        Deployment("gmx_v1", "arbitrum", "0xb87a436B93fFE9D75c5cFA7bAcFff96430b09868", market="PositionRouter"),
        Deployment("ktx", "arbitrum", "0xc657A1440d266dD21ec3c299A8B9098065f663Bb"),
        Deployment("mummy", "arbitrum", "0x304951d7172bCAdA54ccAC1E4674862b3d5b3d5b", 96903389),
        Deployment("gmx_v1", "avalanche", "0x9ab2De34A33fB459b538c43f251eB825645e8595", 8231150),
        Deployment("gmx_v1", "avalanche", "0x4296e307f108B2f583FF2F7B7270ee7831574Ae5", market="OrderBook"),
        Deployment("gmx_v1", "avalanche", "0x195256074192170d1530527abC9943759c7167d8", market="PositionRouter"),
        Deployment("gmx_v1", "avalanche", "0xffF6D276Bc37c61A23f06410Dce4A400f66420f8", market="PositionRouter"),
        Deployment("fxdx", "base", "0x1ce0EBd2b95221b924765456fdE017B076E79dbe"),
        Deployment("alpaca_perps", "bnb", "0x18A15bF2Aa1E514dc660Cc4B08d05f9f6f0FdC4e"),
        Deployment("ktx", "bnb", "0xd98b46C6c4D3DBc6a9Cc965F385BDDDf7a660856"),
        Deployment("mummy", "fantom", "0xA6D7D0e650aa40FFa42d845A354c12c2bc0aB15f", 51709945),
        Deployment("loxodrome", "iotex", "0x13904291B7d3e87d23070d22Bc34FA514F99Db18"),
        Deployment("kinetix_v1", "kava", "0xa721f9f61CECf902B2BCBDDbd83E71c191dEcd8b"),
        Deployment("ktx", "mantle", "0x2e488D7ED78171793FA91fAd5352Be423A50Dae1"),
        Deployment("tsunami", "mantle", "0x73a540Bec4350cD2bB3b9e09EBB6976a3C562c55"),
        Deployment("mummy", "optimism", "0xA6D7D0e650aa40FFa42d845A354c12c2bc0aB15f", 78177117),
        Deployment("sobax", "polygon", "0x0e1D69B5888a0411Fe0A05a5A4d2ACED4305f67c"),
        Deployment("phame", "pulsechain", "0x3dC4033fF5c04FdE3369937434961ca47AC7cA26"),
    ),
)
