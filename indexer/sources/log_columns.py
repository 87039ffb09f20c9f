"""eth_getLogs answers as whole columns."""

from __future__ import annotations

import binascii
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
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
NARROWEST, WIDEST = 3, 18  # letters of a quantity: 0x and one to sixteen digits
LARGEST, LARGEST_INDEX = 2**63 - 1, 2**31 - 1
LATEST_SECOND = 9_223_372_036  # the year 2262; what is larger counts milliseconds, or nothing
DIGITS = np.full(256, 255, np.uint8)  # the value of each hex digit by its letter; 0 where there is none
DIGITS[np.frombuffer(b"\x000123456789abcdef", np.uint8)] = [0, *range(16)]
DIGITS[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
PLACE_VALUES = np.array([16**place for place in range(15, -1, -1)], np.uint64)

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


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


class Places(NamedTuple):
    "Where logs stand in the chain: block number, log index and the 32 bytes of the block's hash, one row a log."

    numbers: Integers
    indexes: Integers
    hashes: Bytes


def places(logs: list[Log]) -> Places:
    "Where each log stands; raises Malformed."
    try:
        return Places(
            quantities([log.block_number for log in logs], LARGEST),
            quantities([log.log_index for log in logs], LARGEST_INDEX),
            words([log.block_hash for log in logs], 32),
        )
    except ValueError as error:
        raise Malformed(f"a log is malformed ({error})") from error


def seconds(logs: list[Log]) -> Integers | None:
    "The block times as sent; None where one is absent, zero or no time."
    stamps = [log.block_timestamp for log in logs]
    if {type(stamp) for stamp in stamps} != {str}:
        return None
    try:
        found = quantities(stamps, LATEST_SECOND)
    except ValueError:
        return None
    return None if (found == 0).any() else found


def frame_of(logs: list[Log], at: Places, times: Integers) -> pl.DataFrame:
    "The logs in the columns of LOG_SCHEMA, in the order given; raises Malformed."
    try:
        arrays = [
            whole(at.numbers, pa.int64()),
            fixed(at.hashes),
            whole(times * 1_000_000, pa.timestamp("us")),
            fixed(words([log.transaction_hash for log in logs], 32)),
            whole(at.indexes.astype(np.int32), pa.int32()),
            fixed(words([log.address for log in logs], 20)),
            *topics([log.topics for log in logs]),
            variable([log.data for log in logs]),
        ]
    except ValueError as error:
        raise Malformed(f"a log is malformed ({error})") from error
    return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, names=LOG_SCHEMA.names()))


def whole(values: npt.NDArray[np.integer[Any]], kind: Any) -> Any:  # noqa: ANN401 - pyarrow ships no types
    "Integers as a column of `kind`; pyarrow's own way imports numpy.ma and looks for pandas first."
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def quantities(texts: list[Any], largest: int) -> Integers:
    "Hex quantities as integers; raises ValueError for text that is none, or one past `largest`."
    widths = set(map(len, texts))
    widest = max(widths)
    if min(widths) < NARROWEST or widest > WIDEST:
        raise ValueError("a quantity is not 0x hex")
    joined = "".join(texts) if len(widths) == 1 else "".join([text.ljust(widest, "\0") for text in texts])
    table = np.frombuffer(joined.encode("ascii"), np.uint8).reshape(-1, widest)
    is_prefixed = (table[:, 0] == ord("0")) & (table[:, 1] == ord("x"))
    if not is_prefixed.all():
        raise ValueError("a quantity is not 0x hex")
    digits = DIGITS[table[:, 2:]]
    is_empty = table[:, 2:] == 0
    if digits.max() > 15 or (is_empty[:, 1:] < is_empty[:, :-1]).any():  # noqa: PLR2004 - the largest hex digit
        raise ValueError("a quantity is not hex")
    # Shorter numbers stand to the left: the places they do not fill are shifted away.
    values = digits.astype(np.uint64) @ PLACE_VALUES[-digits.shape[1] :]
    values >>= (4 * is_empty.sum(axis=1)).astype(np.uint64)
    if (values > largest).any():
        raise ValueError("a quantity is too large")
    return values.astype(np.int64)


def words(texts: list[str], width: int) -> Bytes:
    "Hex texts of `width` bytes each as rows of bytes; raises ValueError for any other text."
    letters = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    size = 2 * width + 2
    if letters.size != size * len(texts):
        raise ValueError(f"a value is not {width} bytes of hex")
    table = letters.reshape(-1, size)
    if not ((table[:, 0] == ord("0")) & (table[:, 1] == ord("x"))).all():
        raise ValueError(f"a value is not {width} bytes of 0x hex")
    return np.frombuffer(binascii.unhexlify(np.ascontiguousarray(table[:, 2:]).data), np.uint8).reshape(-1, width)


def fixed(rows: Bytes, is_there: Flags | None = None) -> Any:  # noqa: ANN401 - pyarrow ships no types
    "Rows of bytes as a binary column; where `is_there` is false a null stands between them."
    n_values, width = len(rows) if is_there is None else len(is_there), rows.shape[1]
    if is_there is None or is_there.all():
        offsets = np.arange(0, (n_values + 1) * width, width, dtype=np.int64)
        mask = None
    else:
        offsets = np.zeros(n_values + 1, np.int64)
        np.cumsum(is_there, out=offsets[1:])
        offsets *= width
        mask = pa.py_buffer(np.packbits(is_there, bitorder="little"))
    return pa.Array.from_buffers(pa.large_binary(), n_values, [mask, pa.py_buffer(offsets), pa.py_buffer(rows)])


def topics(lists: list[list[str]]) -> list[Any]:
    "The columns topic0 to topic3; raises ValueError where a log has more than four."
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    if counts.size and counts.max() > MOST_TOPICS:
        raise ValueError(f"a log has {counts.max()} topics")
    rows = words(list(chain.from_iterable(lists)), 32)
    if counts.size and counts.min() == counts.max():
        places = np.ascontiguousarray(rows.reshape(len(lists), -1, 32).transpose(1, 0, 2))
        return [fixed(places[at]) if at < len(places) else nothing(len(lists)) for at in range(MOST_TOPICS)]
    starts = np.cumsum(counts) - counts
    found = []
    for position in range(MOST_TOPICS):
        is_there = counts > position
        found.append(fixed(rows[starts[is_there] + position], is_there))
    return found


def nothing(n_values: int) -> Any:  # noqa: ANN401 - pyarrow ships no types
    "A binary column of nulls."
    return pa.nulls(n_values, pa.large_binary())


def variable(texts: list[str]) -> Any:  # noqa: ANN401 - pyarrow ships no types
    "Hex texts of any length as a binary column; raises ValueError for other text."
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    if (sizes % 2).any() or not {text[:2] for text in texts} <= {"0x"}:
        raise ValueError("data is not whole bytes of 0x hex")
    joined = binascii.unhexlify("".join([text[2:] for text in texts]))
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(sizes // 2 - 1, out=offsets[1:])
    return pa.Array.from_buffers(pa.large_binary(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
