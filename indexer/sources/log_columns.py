"""eth_getLogs answers as whole columns."""

from __future__ import annotations

import binascii
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

LOG_SCHEMA = pl.Schema(
    {
        "block_number": pl.Int64(),
        "block_hash": pl.Binary(),
        "logged_at": pl.Datetime("us"),
        "tx_hash": pl.Binary(),
        "log_index": pl.Int32(),
        "address": pl.Binary(),
        "topic0": pl.Binary(),
        "topic1": pl.Binary(),
        "topic2": pl.Binary(),
        "topic3": pl.Binary(),
        "data": pl.Binary(),
    }
)
MOST_TOPICS = 4
# The last second that microseconds in 64 bits hold (year 294247) is beyond any chain; larger is milliseconds or noise.
LATEST_SECOND = 9_223_372_036


class Log(msgspec.Struct, gc=False, rename="camel"):
    "The fields of a log that are used, as sent; without a block it is pending and has no place in a range."

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False
    block_timestamp: str | int | None = None


class Block(msgspec.Struct, gc=False, rename="camel"):
    "The fields of a block header that are used, as sent."

    number: str
    hash: str
    parent_hash: str
    timestamp: str | int
    logs_bloom: str | None = None


class Answer(msgspec.Struct, gc=False):
    "One answer of a batch that asks for logs and headers."

    id: Any = None
    result: list[Log] | Block | msgspec.UnsetType | None = msgspec.UNSET
    error: Any = None


ANSWERS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[Answer] | Answer)
EMPTY = pl.DataFrame(schema=LOG_SCHEMA)


class Malformed(ValueError):
    "A log has a field that is not what JSON-RPC says it is."


class OtherBranch(Malformed):
    "A header is not of the branch that is known."


def columns(logs: list[Log]) -> pl.DataFrame:
    """One row a log, in the order given, in the columns of LOG_SCHEMA.

    `logged_at` is null in every row unless every log carries a sane block time. Raises Malformed.
    """
    if not logs:
        return EMPTY
    try:
        return pl.DataFrame(
            {
                "block_number": quantities([log.block_number for log in logs], pl.Int64),
                "block_hash": fixed([log.block_hash for log in logs], 32),
                "logged_at": instants([log.block_timestamp for log in logs]),
                "tx_hash": fixed([log.transaction_hash for log in logs], 32),
                "log_index": quantities([log.log_index for log in logs], pl.Int32),
                "address": fixed([log.address for log in logs], 20),
                **topics([log.topics for log in logs]),
                "data": variable([log.data for log in logs]),
            }
        )
    except (pl.exceptions.PolarsError, ValueError, OverflowError) as error:
        raise Malformed(f"a log is malformed ({str(error).splitlines()[0][:120]})") from error


def quantities(texts: list[str], dtype: type[pl.DataType]) -> pl.Series:
    "Hex quantities as integers; raises for text that is none."
    series = pl.Series(texts, dtype=pl.String)
    if not series.str.starts_with("0x").all():
        raise ValueError("a quantity is not 0x hex")
    return series.str.slice(2).str.to_integer(base=16, dtype=pl.Int64, strict=True).cast(dtype)


def instants(stamps: list[Any]) -> pl.Series:
    "Block times in hex seconds as instants; all null where one is absent, zero or no time."
    unknown = pl.Series([None] * len(stamps), dtype=pl.Datetime("us"))
    if not all(isinstance(stamp, str) for stamp in stamps):
        return unknown
    seconds = pl.Series(stamps, dtype=pl.String).str.strip_prefix("0x").str.to_integer(base=16, strict=False)
    if seconds.null_count() or not seconds.is_between(1, LATEST_SECOND).all():
        return unknown
    return (seconds * 1_000_000).cast(pl.Datetime("us"))


def fixed(texts: list[str], width: int) -> pl.Series:
    "Hex texts of `width` bytes each; raises for any other text."
    return binary(digits(texts, width), np.ones(len(texts), bool), width)


def digits(texts: list[str], width: int) -> bytes:
    "The bytes of hex texts of `width` bytes each, joined; raises for any other text."
    joined = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    size = 2 * width + 2
    if joined.size != size * len(texts):
        raise ValueError(f"a value is not {width} bytes of hex")
    table = joined.reshape(-1, size)
    if not ((table[:, 0] == ord("0")) & (table[:, 1] == ord("x"))).all():
        raise ValueError(f"a value is not {width} bytes of 0x hex")
    return binascii.unhexlify(np.ascontiguousarray(table[:, 2:]).data)


def binary(joined: bytes, is_there: np.ndarray[Any, np.dtype[np.bool_]], width: int) -> pl.Series:
    "Values of `width` bytes, taken from `joined` in order, where `is_there`; null elsewhere."
    offsets = np.zeros(len(is_there) + 1, np.int64)
    np.cumsum(is_there, out=offsets[1:])
    offsets *= width
    mask = None if is_there.all() else pa.py_buffer(np.packbits(is_there, bitorder="little"))
    buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(joined)]
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.large_binary(), len(is_there), buffers)))


def topics(lists: list[list[str]]) -> dict[str, pl.Series]:
    "The columns topic0 to topic3; raises where a log has more than four."
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    if counts.max() > MOST_TOPICS:
        raise ValueError(f"a log has {counts.max()} topics")
    words = np.frombuffer(digits(list(chain.from_iterable(lists)), 32), np.uint8).reshape(-1, 32)
    starts = np.cumsum(counts) - counts
    found = {}
    for position in range(MOST_TOPICS):
        is_there = counts > position
        found[f"topic{position}"] = binary(words[starts[is_there] + position].tobytes(), is_there, 32)
    return found


def variable(texts: list[str]) -> pl.Series:
    "Hex texts of any length; raises for other text."
    series = pl.Series(texts, dtype=pl.String)
    if not series.str.starts_with("0x").all():
        raise ValueError("data is not 0x hex")
    return series.str.slice(2).str.decode("hex", strict=True)
