"""Aave v4: a spoke emits LiquidationCall by reserve ids; its hub knows the assets and how large a deficit was."""

from indexer.abi import event
from indexer.declare import (
    Deployment,
    Join,
    Mapping,
    Protocol,
    col,
    emitter,
    floor_division,
    json,
    scaled,
    whole,
)

RESERVE_ADDED = event("aave_v4", "AddReserve")
# The hub reports the same deficit with its amount, in asset units times 10^27: the fifth word of its data.
HUB_DEFICIT = event("aave_v4_hub", "ReportDeficit")
DEFICIT = floor_division(col("ReportDeficit.data").bin.slice(128, 32), 10**27)
# An id counts within its spoke or hub.
RESERVE = emitter + ":" + col("reserveId").cast(str)
REMOVED, LIQUIDATED, KEPT = (
    scaled(name, 0)
    for name in ("collateralAmountRemoved", "collateralSharesLiquidated", "collateralSharesToLiquidator")
)

PROTOCOL = Protocol(
    name="aave_v4",
    sector="lending",
    methodology="Debt restored and collateral removed as emitted; the fee is the protocol's part of the shares; bad debt from the hub.",
    mappings=(
        Mapping(
            event=event("aave_v4", "LiquidationCall"),
            kind="call",
            liquidation={
                "account": col("user"),
                "liquidator": col("liquidator"),
                "collateral_raw": col("collateralAmountRemoved"),
                "debt_raw": col("debtAmountRestored"),
            },
            values={
                "collateral_market": emitter + ":" + col("collateralReserveId").cast(str),
                "debt_market": emitter + ":" + col("debtReserveId").cast(str),
                "fee_raw": whole(REMOVED * (LIQUIDATED - KEPT) / LIQUIDATED),
            },
        ),
        Mapping(
            event=event("aave_v4", "ReportDeficit"),
            kind="bad_debt",
            joins=(Join(HUB_DEFICIT, (("emitter", "spoke"), ("drawnShares", "drawnShares")), "any"),),
            liquidation={"account": col("user"), "debt_raw": DEFICIT},
            values={"debt_market": RESERVE, "bad_debt_raw": DEFICIT},
        ),
        Mapping(
            event=RESERVE_ADDED,
            is_registry=True,
            markets={
                "market": RESERVE,
                "params": json(same_token_as=col("hub") + ":" + col("assetId").cast(str)),
            },
        ),
        Mapping(
            event=event("aave_v4_hub", "AddAsset"),
            is_registry=True,
            markets={"market": emitter + ":" + col("assetId").cast(str), "debt_token": col("underlying")},
        ),
    ),
    supporting=(HUB_DEFICIT,),
    reads_for=("aave_v4_hub",),
    id_read="getReserve(uint256)",
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("aave_v4", "ethereum", "0x973a023A77420ba610f06b3858aD991Df6d85A08"),
        Deployment("aave_v4", "ethereum", "0x58131E79531caB1d52301228d1f7b842F26B9649"),
        Deployment("aave_v4", "ethereum", "0xba1B3D55D249692b669A164024A838309B7508AF"),
        Deployment("aave_v4", "ethereum", "0xbF10BDfE177dE0336aFD7fcCF80A904E15386219"),
        Deployment("aave_v4", "ethereum", "0xD8B93635b8C6d0fF98CbE90b5988E3F2d1Cd9da1"),
        Deployment("aave_v4", "ethereum", "0x65407b940966954b23dfA3caA5C0702bB42984DC"),
        Deployment("aave_v4", "ethereum", "0x3131FE68C4722e726fe6B2819ED68e514395B9a4"),
        Deployment("aave_v4", "ethereum", "0xe1900480ac69f0B296841Cd01cC37546d92F35Cd"),
        Deployment("aave_v4", "ethereum", "0x7EC68b5695e803e98a21a9A05d744F28b0a7753D"),
        Deployment("aave_v4", "ethereum", "0x94e7A5dCbE816e498b89aB752661904E2F56c485"),
        Deployment("aave_v4", "ethereum", "0xAD75cE6354f87F3135cE10621d385d8D1e2562C2"),
        Deployment("aave_v4", "ethereum", "0x774b9655413c34809c1f1b16b654465A89EBE989"),
        Deployment("aave_v4", "ethereum", "0x956d8e0A89cfa3744428C4641b5a53B56167a7f9"),
        Deployment("aave_v4", "arc", "0x4164EBCAF74670aa74C8D4F59de6157c0780F1bB"),
        Deployment("aave_v4", "arc", "0xB843bdC3a87A05E77E07Df9FE48928b3A34b134d"),
        Deployment("aave_v4", "avalanche", "0x3b517594277c67307CF2d7CBE6FE1D4399B68c41"),
        Deployment("aave_v4", "avalanche", "0x6a37776B5E026dBdF043b4F933c323C84DD1B514"),
        Deployment("aave_v4", "avalanche", "0x435272CefF93a1E657E8ABfdf0A13e95900A3a56"),
        Deployment("aave_v4", "ethereum", "0xCca852Bc40e560adC3b1Cc58CA5b55638ce826c9"),
        Deployment("aave_v4", "ethereum", "0x62d63197660c080236193CA60b70E49A08E90368"),
        Deployment("aave_v4", "ethereum", "0x06002e9c4412CB7814a791eA3666D905871E536A"),
        Deployment("aave_v4", "ethereum", "0x943827DCA022D0F354a8a8c332dA1e5Eb9f9F931"),
        Deployment("aave_v4", "arc", "0x17288dfc86205301064577b98B02b81017e6F79C"),
        Deployment("aave_v4", "avalanche", "0xd07369fAE4A5BB13c9Ce446B052c7867B1AbDf6e"),
    ),
)
