"""Chainlink: the aggregator behind a feed emits AnswerUpdated with each answer."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, col, lit

ANSWER = event("chainlink", "AnswerUpdated")
VALUE = col("current").cast(float) / lit(10.0).pow(col("decimals"))
PAIR = col("market").str.split_exact("/", 1)

PROTOCOL = Protocol(
    name="chainlink",
    sector="price",
    methodology="Answers of price feeds as emitted: US dollars, or the ratio of two tokens.",
    mappings=(
        Mapping(
            event=ANSWER,
            where=~col("market").str.contains("/"),
            prices={"asset": col("market"), "price_usd": VALUE},
        ),
        Mapping(
            event=ANSWER,
            where=col("market").str.contains("/"),
            rates={
                "base": PAIR.struct.field("field_0"),
                "quote": PAIR.struct.field("field_1"),
                "rate": VALUE,
                "kind": col("parent"),
                "source": lit("chainlink:") + col("emitter"),
            },
        ),
    ),
)
