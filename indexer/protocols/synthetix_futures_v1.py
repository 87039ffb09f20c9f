"""Synthetix futures, first generation: a market emits PositionLiquidated with the whole position it closes."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, lit, scaled, text, when

SIZE, PRICE = scaled("size", 18), scaled("price", 18)

PROTOCOL = Protocol(
    name="synthetix_futures_v1",
    sector="perp",
    methodology="The size closed times the price of the event.",
    mappings=(
        Mapping(
            event=event("synthetix_futures_v1", "PositionLiquidated"),
            kind="market",
            liquidation={
                "account": col("account"),
                "liquidator": col("liquidator"),
                "side": when(SIZE > 0).then(lit("long")).when(SIZE < 0).then(lit("short")),
                "asset": col("market"),
                "collateral_symbol": lit("sUSD"),
                "size": SIZE.abs(),
                "price": PRICE,
                "forced_usd": SIZE.abs() * PRICE,
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
        ),
        # A key is the asset behind an s (sETH), as the synth of that name has it.
        Mapping(
            event=event("synthetix_futures_v1", "MarketAdded"),
            emitters={"address": col("market_"), "market": text("marketKey").str.replace("^s([A-Z0-9])", "${1}")},
        ),
    ),
    lists=("allMarkets()",),
    notes=("Margin lost is in no event; the fee is the keeper's.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("synthetix_futures", "optimism", "0xdb89f3fc45A707Dd49781495f77f8ae69bF5cA6e", 52456507),
        Deployment("synthetix_futures", "optimism", "0x001b7876F567f0b3A639332Ed1e363839c6d85e2", market="AAVE"),
        Deployment("synthetix_futures", "optimism", "0xFe00395ec846240dc693e92AB2Dd720F94765Aa3", market="APE"),
        Deployment("synthetix_futures", "optimism", "0x4ff54624D5FB61C34c634c3314Ed3BfE4dBB665a", market="AVAX"),
        Deployment("synthetix_futures", "optimism", "0x4Aa0dabd22BC0894975324Bec293443c8538bD08", market="BNB"),
        Deployment("synthetix_futures", "optimism", "0xEe8804d8Ad10b0C3aD1Bd57AC3737242aD24bB95", market="BTC"),
        Deployment("synthetix_futures", "optimism", "0x9f231dBE53D460f359B2B8CC47574493caA5B7Bf", market="DOGE"),
        Deployment("synthetix_futures", "optimism", "0x10305C1854d6DB8A1060dF60bDF8A8B2981249Cf", market="DYDX"),
        Deployment("synthetix_futures", "optimism", "0xf86048DFf23cF130107dfB4e6386f574231a5C65", market="ETH"),
        Deployment("synthetix_futures", "optimism", "0xad44873632840144fFC97b2D1de716f6E2cF0366", market="EUR"),
        Deployment("synthetix_futures", "optimism", "0x1228c7D8BBc5bC53DB181bD7B1fcE765aa83bF8A", market="LINK"),
        Deployment("synthetix_futures", "optimism", "0xbCB2D435045E16B059b2130b28BE70b5cA47bFE5", market="MATIC"),
        Deployment("synthetix_futures", "optimism", "0x9F1C2f0071Bc3b31447AEda9fA3A68d651eB4632", market="OP"),
        Deployment("synthetix_futures", "optimism", "0xcF853f7f8F78B2B801095b66F8ba9c5f04dB1640", market="SOL"),
        Deployment("synthetix_futures", "optimism", "0x5Af0072617F7f2AEB0e314e2faD1DE0231Ba97cD", market="UNI"),
        Deployment("synthetix_futures", "optimism", "0xb147C69BEe211F57290a6cde9d1BAbfD0DCF3Ea3", market="XAG"),
        Deployment("synthetix_futures", "optimism", "0x4434f56ddBdE28fab08C4AE71970a06B300F8881", market="XAU"),
        Deployment("synthetix_futures", "optimism", "0x3Ed04CEfF4c91872F19b1da35740C0Be9CA21558", market="XMR"),
    ),
)
