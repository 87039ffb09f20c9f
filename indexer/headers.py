"""Block headers as nodes send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from indexer.errors import EndpointUnusable
from indexer.rpc_errors import Verdict

if TYPE_CHECKING:
    from indexer.wire import Call


class Header(NamedTuple):
    "What is kept of a block's header; hashes are lower-case hex, the timestamp is in seconds."

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    logs_bloom: str | None


def block_call(block: int | str) -> Call:
    "The request for a block's header, with the hashes of its transactions only."
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, False]


def must_exist(_: int, result: Any) -> Verdict | None:  # noqa: ANN401 - whatever JSON stands there
    "A null block is one the node has not got yet."
    return None if result is not None else Verdict("head_lag", "the node has not got the block")


def first_must_exist(index: int, result: Any) -> Verdict | None:  # noqa: ANN401 - whatever JSON stands there
    "As `must_exist`, for the first of two calls: a null tag is an answer."
    return must_exist(index, result) if index == 0 else None


def tag_is_unknown(verdict: Verdict) -> bool:
    "Errors that a node gives for a tag that it does not know."
    return verdict.kind in {"head_lag", "unknown", "params", "spurious", "range"}


def quantity(value: Any) -> int:  # noqa: ANN401 - nodes send hex text or, some, numbers
    "A JSON-RPC quantity as a number; raises ValueError or TypeError for anything else."
    if isinstance(value, str):
        return int(value, 16)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"{value!r} is not a quantity")


def header(block: Any) -> Header:  # noqa: ANN401 - whatever JSON stands there
    "The header in a block as a node sends it; raises EndpointUnusable where a field is missing or not hex."
    try:
        fields = (
            (block["number"], block["hash"], block["parentHash"], block["timestamp"], block.get("logsBloom"))
            if isinstance(block, dict)
            else (block.number, block.hash, block.parent_hash, block.timestamp, block.logs_bloom)
        )
        number, block_hash, parent_hash, timestamp, bloom = fields
        bytes.fromhex(block_hash[2:])
        return Header(quantity(number), block_hash.lower(), parent_hash.lower(), quantity(timestamp), bloom)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EndpointUnusable(f"a block header is malformed ({error!r}); pass another --rpc") from error
