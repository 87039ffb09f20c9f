"""ERC-20 tokens: Transfer moves value from one account to another; mint and burn name the zero address and move none."""

from dataclasses import replace

from indexer.abi import event
from indexer.declare import NOBODY, Mapping, Protocol, col, emitter, lit

TRANSFER = event("erc20", "Transfer")
# ERC-721 has the same topic0, the token's number as a fourth topic and no data: no value moves, and it is no mistake.
NFT_TRANSFER = replace(TRANSFER, name="TransferOfNft", n_topics=4, fields=())
ZERO = "0x" + "0" * 40

PROTOCOL = Protocol(
    name="erc20",
    sector="token",
    methodology="Every transfer as emitted; who sent and received decides by label whether it went to or came from an exchange.",
    mappings=(
        Mapping(
            event=TRANSFER,
            where=(col("from") != ZERO) & (col("to") != ZERO),
            flow={
                "kind": lit("transfer"),
                "account": NOBODY,
                "venue": NOBODY,
                "from_address": col("from"),
                "to_address": col("to"),
                "token": emitter,
                "amount_raw": col("value"),
            },
        ),
    ),
    supporting=(NFT_TRANSFER,),
    notes=("Native coin has no Transfer log and is not seen.",),
)
