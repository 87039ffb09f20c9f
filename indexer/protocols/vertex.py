"""Vertex and Nado: a Clearinghouse emits Liquidation with what the liquidated subaccount lost, by product number."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, lit, scaled, traded, when

ADDRESS = 42  # characters of 0x and an address: the first 20 bytes of a subaccount, its name follows
AMOUNT, QUOTE = scaled("amount", 18), scaled("amountQuote", 18)
# A spread is a spot and a perp product in one number, the spot product in its low 16 bits: one long, the other short.
PRODUCT = when(col("isEncodedSpread")).then(col("productId") % 2**16).otherwise(col("productId"))

PROTOCOL = Protocol(
    name="vertex",
    sector="perp",
    methodology="Quote amount paid for the liquidated part of the subaccount's position, as emitted.",
    mappings=(
        Mapping(
            event=event("vertex", "Liquidation"),
            kind="market",
            liquidation={
                "market": col("productId").cast(str),
                "account": col("liquidateeSubaccount").str.head(ADDRESS),
                "liquidator": col("liquidatorSubaccount").str.head(ADDRESS),
                # `amount` has the sign of the balance it reduces (assertLiquidationAmount of ClearinghouseLiq.sol).
                "side": when(col("isEncodedSpread")).then(lit(None)).when(AMOUNT > 0).then(lit("long"))
                .when(AMOUNT < 0).then(lit("short")),
                "asset": traded(PRODUCT),
                "size": AMOUNT.abs(),
                "price": when(AMOUNT != 0).then((QUOTE / AMOUNT).abs()),
                "forced_usd": QUOTE.abs(),
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
        ),
    ),
    notes=("Spot products are rows of the same event; a spread has no side.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(Deployment("nado", "ink", "0xD218103918C19D0A10cf35300E4CfAfbD444c5fE"),),
)  # fmt: skip
