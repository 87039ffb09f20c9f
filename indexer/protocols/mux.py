"""MUX: a LiquidityPool emits Liquidate with the whole position closed, tokens by their number in the pool."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, emitter, lit, scaled, when

AMOUNT, PRICE, PNL = (scaled(name, 18) for name in ("args.amount", "args.assetPrice", "args.pnlUsd"))

PROTOCOL = Protocol(
    name="mux",
    sector="perp",
    methodology="Amount of the liquidated position times the asset's price, as emitted.",
    mappings=(
        Mapping(
            event=event("mux", "Liquidate"),
            kind="market",
            liquidation={
                "market": col("assetId").cast(str),
                "account": col("trader"),
                "side": when(col("args.isLong")).then(lit("long")).otherwise(lit("short")),
                "size": AMOUNT,
                "price": PRICE,
                "forced_usd": AMOUNT * PRICE,
                "protocol_fee_usd": scaled("args.feeUsd", 18),
                "closed_pnl_usd": when(col("args.hasProfit")).then(PNL).otherwise(-PNL),
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
            values={
                "collateral_market": emitter + ":" + col("args.collateralId").cast(str),
                "debt_market": emitter + ":" + col("assetId").cast(str),
            },
        ),
    ),
    id_read="getAssetAddress(uint8)",
    notes=("Margin lost is not emitted; an asset without a token on the chain stays unnamed.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("mux", "arbitrum", "0x3e0199792Ce69DC29A0a36146bFa68bd7C8D6633", 11242780),
        Deployment("mux", "avalanche", "0x0bA2e492e8427fAd51692EE8958eBf936bEE1d84", 14304145),
        Deployment("mux", "bnb", "0x855E99F768FaD76DD0d3EB7c446C0b759C96D520", 17537646),
        Deployment("mux", "fantom", "0x2e81F443A11a943196c88afcB5A0D807721A88E6", 37650215),
        Deployment("mux", "optimism", "0xc6BD76FA1E9e789345e003B361e4A0037DFb7260", 56067441),
    ),
)
