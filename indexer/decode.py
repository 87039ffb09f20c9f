"""One batch of logs of one event becomes typed columns, whole columns at a time."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import polars as pl

from indexer.errors import UnknownAbiType

if TYPE_CHECKING:
    from collections.abc import Collection

    from indexer.abi import Event, Field

LOG_SCHEMA = pl.Schema({
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
})  # fmt: skip
REJECTED_SCHEMA = pl.Schema({
    "source": pl.String(), "chain": pl.String(), "block_number": pl.Int64(), "reason": pl.String(), "raw": pl.String(),
})  # fmt: skip
RAW = pl.Decimal(38, 0)
# DECIMAL(38,0), the widest exact number DuckDB, Arrow and Parquet share, ends below 10^38.
LIMIT = 10**38
WORD = 32
TOPICS = ("topic0", "topic1", "topic2", "topic3")
LONG_INTEGER = 63  # bits: up to here a column of Int64 holds every value


def n_topics() -> pl.Expr:
    "How many topics a log has."
    return pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.Int8) for name in TOPICS)


def decode(event: Event, logs: pl.DataFrame, names: Collection[str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The logs of `event` as typed columns, and the logs that do not fit with `reason`.

    The first frame has the columns of `logs` and one column a field, of those in `names` if given: addresses and bytes
    as 0x and lower-case digits, integers up to 63 bits as Int64, wider ones as Decimal(38,0) that is NULL where the value
    does not fit (its exact bytes stay in `data` and the topics; see `floating` and `floor_division`). A log with another
    number of topics, another data length, a word whose padding is not what its type demands, is rejected: no compiler
    emits such a log.
    """
    checks = [
        (n_topics() == event.n_topics, f"{event.name} has {event.n_topics} topics"),
        (
            pl.col("data").bin.size() == event.n_data_bytes
            if event.is_static
            else pl.col("data").bin.size() % WORD == 0,
            f"{event.name} has {event.n_data_bytes} bytes of data" if event.is_static else "data is not whole words",
        ),
    ]
    shape = [pl.when(~check).then(pl.lit(reason)) for check, reason in checks]
    checked = logs.with_columns(reason=pl.coalesce(*shape))
    fitting = checked.filter(pl.col("reason").is_null())
    misfits = [checked.filter(pl.col("reason").is_not_null())]
    if event.fields:
        padding = [
            pl.when(~is_padded(field)).then(pl.lit(f"{field.name} is no {field.type}")) for field in event.fields
        ]
        fitting = fitting.with_columns(reason=pl.coalesce(*padding))
        if fitting["reason"].null_count() < fitting.height:
            misfits.append(fitting.filter(pl.col("reason").is_not_null()))
            fitting = fitting.filter(pl.col("reason").is_null())
    wanted = [field for field in event.fields if names is None or field.name in names]
    columns = fitting.drop("reason").with_columns(**{field.name: column(field) for field in wanted})
    return columns, pl.concat(misfits)


def word(field: Field) -> pl.Expr:
    "The 32 bytes of `field`."
    if field.topic is not None:
        return pl.col(TOPICS[field.topic])
    return pl.col("data").bin.slice(field.offset, WORD)


def raw_word(event: Event, name: str) -> pl.Expr:
    "The 32 bytes of the field `name`, for exact arithmetic on numbers wider than 38 digits."
    return word(next(field for field in event.fields if field.name == name))


def hexadecimal(value: pl.Expr) -> pl.Expr:
    "0x and lower-case digits."
    return pl.lit("0x") + value.bin.encode("hex")


def width(kind: str) -> int:
    "Bits of an integer type."
    digits = kind.removeprefix("u").removeprefix("int")
    return int(digits) if digits else 256


def is_padded(field: Field) -> pl.Expr:
    "Whether the word of `field` has the padding that its type demands."
    value, kind = word(field), field.type
    if kind == "address":
        return value.bin.head(12) == bytes(12)
    if kind == "bool":
        return (value.bin.head(31) == bytes(31)) & (value.bin.tail(1) <= b"\x01")
    if kind.startswith("bytes"):
        size = int(kind.removeprefix("bytes"))
        return pl.lit(value=True) if size == WORD else value.bin.tail(WORD - size) == bytes(WORD - size)
    filler = WORD - width(kind) // 8
    if not filler:
        return pl.lit(value=True)
    if kind.startswith("uint"):
        return value.bin.head(filler) == bytes(filler)
    is_negative = value.bin.slice(filler, 1) >= b"\x80"
    return (
        pl.when(is_negative)
        .then(value.bin.head(filler) == b"\xff" * filler)
        .otherwise(value.bin.head(filler) == bytes(filler))
    )


def column(field: Field) -> pl.Expr:
    "The typed column of `field`, from a word that is padded as its type demands."
    value, kind = word(field), field.type
    if kind == "address":
        return hexadecimal(value.bin.tail(20))
    if kind == "bool":
        return value.bin.tail(1) == b"\x01"
    if kind.startswith("bytes"):
        return hexadecimal(value.bin.head(int(kind.removeprefix("bytes"))))
    if "int" not in kind:
        raise UnknownAbiType(f"{kind} of {field.name}")
    if width(kind) <= LONG_INTEGER:
        return value.bin.tail(8).bin.reinterpret(dtype=pl.Int64, endianness="big")
    return exact(value, is_signed=kind.startswith("int"))


def exact(value: pl.Expr, *, is_signed: bool = False) -> pl.Expr:
    "A 256-bit big-endian integer as Decimal(38,0); NULL where it does not fit."
    high = value.bin.head(16)
    low = value.bin.tail(16).bin.reinterpret(dtype=pl.Int128, endianness="big")
    limit = pl.lit(LIMIT, dtype=pl.Int128)
    fits = (high == bytes(16)) & (low >= 0) & (low < limit)
    if is_signed:
        fits = fits | ((high == b"\xff" * 16) & (low < 0) & (low > -limit))
    return pl.when(fits).then(low).cast(RAW)


def floating(value: pl.Expr) -> pl.Expr:
    "An unsigned 256-bit big-endian integer as Float64, from all of its words."
    parts = [
        value.bin.slice(8 * place, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big").cast(pl.Float64)
        * 2.0 ** (64 * (3 - place))
        for place in range(4)
    ]
    return parts[0] + parts[1] + parts[2] + parts[3]


def floor_division(numerator: pl.Expr, divisor: pl.Expr | int) -> pl.Expr:
    """Exact floor of a quotient of unsigned 256-bit integers as Decimal(38,0); NULL for a zero divisor or a result of 39 digits.

    Both sides are 32-byte words, the divisor may be a number. Whole columns of Python integers: a quotient of two numbers
    of 50 digits has no narrower exact form. For rare events only (an auction's take).
    """
    words = [numerator.alias("numerator")]
    if isinstance(divisor, pl.Expr):
        words.append(divisor.alias("divisor"))

    def quotient(pair: pl.Series) -> pl.Series:
        frame = pair.struct.unnest()
        under = integers(frame["divisor"]) if isinstance(divisor, pl.Expr) else repeat(divisor)
        pairs = zip(integers(frame["numerator"]), under, strict=isinstance(divisor, pl.Expr))
        results = [over // by if over is not None and by else LIMIT for over, by in pairs]
        return pl.Series([one.to_bytes(16) if one < LIMIT else None for one in results], dtype=pl.Binary)

    found = pl.struct(*words).map_batches(quotient, return_dtype=pl.Binary)
    return found.bin.reinterpret(dtype=pl.Int128, endianness="big").cast(RAW)


def integers(words: pl.Series) -> list[int | None]:
    "32-byte words as exact integers; None for no word."
    return [None if one is None else int.from_bytes(one) for one in words]


def digits(word: pl.Expr) -> pl.Expr:
    "An unsigned 256-bit big-endian integer as decimal digits, of any length: an account's number."

    def written(words: pl.Series) -> pl.Series:
        return pl.Series([None if one is None else str(int.from_bytes(one)) for one in words], dtype=pl.String)

    return word.map_batches(written, return_dtype=pl.String)


def rejected(chain: str, misfits: pl.DataFrame) -> pl.DataFrame:
    "Rows of table `rejected` for the logs of `misfits` (with `reason`); `raw` is the log as JSON."
    if misfits.is_empty():
        return pl.DataFrame(schema=REJECTED_SCHEMA)
    parts = {
        "address": hexadecimal(pl.col("address")),
        "topics": pl.concat_list(*(hexadecimal(pl.col(name)) for name in TOPICS)).list.drop_nulls(),
        "data": hexadecimal(pl.col("data")),
        "blockNumber": pl.col("block_number"),
        "logIndex": pl.col("log_index"),
        "transactionHash": hexadecimal(pl.col("tx_hash")),
    }
    return misfits.select(
        source=pl.lit("rpc"),
        chain=pl.lit(chain),
        block_number="block_number",
        reason="reason",
        raw=pl.struct([part.alias(name) for name, part in parts.items()]).struct.json_encode(),
    )
