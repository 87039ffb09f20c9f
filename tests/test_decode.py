"""One batch of logs becomes typed columns: exact, or rejected with a reason, never wrapped."""

from datetime import datetime

import polars as pl
import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.abi import Event, parse
from indexer.decode import LIMIT, LOG_SCHEMA, decode, floating, floor_division, raw_word, rejected

ENTRY = {
    "name": "Everything",
    "inputs": [
        {"name": "who", "type": "address", "indexed": True},
        {"name": "amount", "type": "uint256", "indexed": False},
        {"name": "change", "type": "int256", "indexed": False},
        {"name": "small", "type": "uint16", "indexed": False},
        {"name": "signed", "type": "int64", "indexed": False},
        {"name": "middle", "type": "uint128", "indexed": False},
        {"name": "flag", "type": "bool", "indexed": False},
        {"name": "id", "type": "bytes32", "indexed": False},
        {
            "name": "pair",
            "type": "tuple",
            "indexed": False,
            "components": [{"name": "left", "type": "uint256"}, {"name": "right", "type": "address"}],
        },
    ],
}
TYPES = ["uint256", "int256", "uint16", "int64", "uint128", "bool", "bytes32", "uint256", "address"]
EVENT = parse("example", ENTRY)
WHO = "0x" + "ab" * 20
EXTREMES = [0, 1, 2**53 + 1, 2**64 - 1, 2**127 - 1, 2**127, 10**38 - 1, 10**38, 2**128, 2**255, 2**256 - 1]


def frame(datas, topics=None):
    "Logs of the event `Everything` with the given data."
    return pl.DataFrame(
        [
            (place, b"\1" * 32, datetime(2025, 10, 10), b"\2" * 32, 0, b"\3" * 20,
             *((topics or [EVENT.topic0, bytes(12) + bytes.fromhex(WHO[2:])]) + [None] * 4)[:4], data)
            for place, data in enumerate(datas)
        ],
        schema=LOG_SCHEMA,
        orient="row",
    )  # fmt: skip


VALUES = st.tuples(
    st.integers(0, 2**256 - 1) | st.sampled_from(EXTREMES),
    st.integers(-(2**255), 2**255 - 1) | st.sampled_from([-1, -(10**38), 1 - 10**38, 10**38 - 1]),
    st.integers(0, 2**16 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**128 - 1),
    st.booleans(),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**256 - 1),
    st.binary(min_size=20, max_size=20).map(lambda one: "0x" + one.hex()),
)


def exact(number):
    "The number as text where DECIMAL(38,0) holds it, else None."
    return str(number) if -LIMIT < number < LIMIT else None


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12))
def test_what_eth_abi_encodes_comes_back(rows):
    "Any values that another implementation encodes come back exactly; 39 digits and more are NULL, never wrapped."
    columns, misfits = decode(EVENT, frame([encode(TYPES, row) for row in rows]))
    got = columns.select(
        "amount", "change", "small", "signed", "middle", "flag", "id", "pair.left", "pair.right"
    ).rows()
    expected = [
        (exact(a), exact(b), c, str(d), exact(e), f, "0x" + g.hex(), exact(h), i) for a, b, c, d, e, f, g, h, i in rows
    ]

    assert misfits.is_empty()
    assert [
        tuple(value if isinstance(value, bool | str) or place == 2 or value is None else str(value)
              for place, value in enumerate(row))
        for row in got
    ] == expected  # fmt: skip


@pytest.mark.parametrize("number", EXTREMES)
def test_wide_numbers_keep_their_size(number):
    "Where the exact column is NULL, the Float64 of the same word has the right size, up to 2^256 - 1."
    data = encode(TYPES, (number, 0, 0, 0, 0, False, bytes(32), 0, WHO))
    value = frame([data]).select(floating(raw_word(EVENT, "amount")))[0, 0]

    assert value == pytest.approx(float(number), rel=1e-15)


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**200))
def test_floor_division_is_exact(numerator, divisor):
    "Owe // price of numbers of 77 digits is exact; by zero, or of 39 digits, it is NULL."
    data = encode(TYPES, (numerator, 0, 0, 0, 0, False, bytes(32), divisor, WHO))
    logs = frame([data])
    value = logs.select(floor_division(raw_word(EVENT, "amount"), raw_word(EVENT, "pair.left")))[0, 0]
    expected = None if divisor == 0 else exact(numerator // divisor)

    assert (None if value is None else str(value)) == expected


@pytest.mark.parametrize(
    ("place", "word", "reason"),
    [
        (5, (2).to_bytes(32), "flag is no bool"),
        (2, (2**16).to_bytes(32), "small is no uint16"),
        (3, (2**63).to_bytes(32), "signed is no int64"),
        (4, (2**128).to_bytes(32), "middle is no uint128"),
        (8, (2**160).to_bytes(32), "pair.right is no address"),
    ],
)
def test_wrong_padding_is_rejected(place, word, reason):
    "A word that no compiler would emit is rejected with the field's name; its neighbours are kept."
    good = encode(TYPES, (1, 1, 1, 1, 1, True, bytes(32), 1, WHO))
    bad = good[: 32 * place] + word + good[32 * (place + 1) :]
    columns, misfits = decode(EVENT, frame([good, bad, good]))

    assert columns["block_number"].to_list() == [0, 2]
    assert misfits["reason"].to_list() == [reason]


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 8), bytes(32 * 10)])
def test_wrong_length_is_rejected(data):
    "Data that is too short or too long is rejected, and the raw log stands in the reject."
    _, misfits = decode(EVENT, frame([data]))

    assert misfits["reason"].to_list() == ["Everything has 288 bytes of data"]
    assert rejected("ethereum", misfits)["raw"][0].count("0x" + data.hex()) >= 1


@pytest.mark.parametrize("topics", [[EVENT.topic0], [EVENT.topic0, bytes(32), bytes(32)]])
def test_wrong_topics_are_rejected(topics):
    "Another number of topics is another layout."
    _, misfits = decode(EVENT, frame([encode(TYPES, (1, 1, 1, 1, 1, True, bytes(32), 1, WHO))], topics))

    assert misfits["reason"].to_list() == ["Everything has 2 topics"]


def test_signature_spells_tuples_out():
    "The signature that is hashed has the tuple's types, not the word tuple."
    assert isinstance(EVENT, Event)
    assert EVENT.signature == ("Everything(address,uint256,int256,uint16,int64,uint128,bool,bytes32,(uint256,address))")
