"""Event declarations read from abis/*.json: signature, topic0 and the place of every field."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from Crypto.Hash import keccak

from indexer.errors import UnknownAbiType

PACKAGE = Path(__file__).parent
STATIC = re.compile(r"^(address|bool|u?int\d*|bytes([1-9]|[12]\d|3[0-2]))$")


class Field(NamedTuple):
    "One 32-byte word of a log: where it stands and what it holds."

    name: str
    type: str
    topic: int | None  # 1 to 3, or None for a word of the data
    offset: int  # bytes from the start of the data; 0 for a topic


@dataclass(frozen=True)
class Event:
    "One event of one protocol; where a field is dynamic (`is_static` false), `fields` has those that have a fixed place."

    protocol: str
    name: str
    signature: str
    topic0: bytes
    n_topics: int
    fields: tuple[Field, ...]
    is_static: bool
    inputs: tuple[dict[str, Any], ...]

    @property
    def n_data_bytes(self) -> int:
        "The exact length of the data of a log of this event, for events of static fields only."
        return sum(32 for field in self.fields if field.topic is None)

    def __hash__(self) -> int:
        return hash((self.protocol, self.signature, self.n_topics))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and (self.protocol, self.signature, self.n_topics, self.name) == (
            other.protocol,
            other.signature,
            other.n_topics,
            other.name,
        )


def keccak256(text: str | bytes) -> bytes:
    "The 32-byte keccak hash that Ethereum uses for topics and selectors."
    return keccak.new(digest_bits=256, data=text.encode() if isinstance(text, str) else text).digest()


def selector(signature: str) -> str:
    "The four-byte call selector of a function signature, as 0x and eight digits."
    return "0x" + keccak256(signature)[:4].hex()


def folder(name: str) -> Path:
    "The folder `name` (abis, queries): beside the package in a checkout, inside it in a wheel."
    beside = PACKAGE.parent / name
    return beside if (PACKAGE.parent / "pyproject.toml").exists() and beside.is_dir() else PACKAGE / name


@functools.cache
def events(protocol: str) -> dict[str, Event]:
    "Every event of abis/{protocol}.json by its name, or by its alias where two share a name."
    document = orjson.loads((folder("abis") / f"{protocol}.json").read_bytes())
    return {entry.get("alias", entry["name"]): parse(protocol, entry) for entry in document["events"]}


def event(protocol: str, name: str) -> Event:
    "The event `name` (or alias) of abis/{protocol}.json; KeyError when the file lacks it."
    return events(protocol)[name]


def canonical(parameter: dict[str, Any]) -> str:
    "The type of an ABI parameter as it stands in a signature: tuples spelled out."
    kind: str = parameter["type"]
    if kind.startswith("tuple"):
        return "(" + ",".join(canonical(part) for part in parameter["components"]) + ")" + kind.removeprefix("tuple")
    return {"uint": "uint256", "int": "int256"}.get(kind, kind)


def parse(protocol: str, entry: dict[str, Any]) -> Event:
    "The Event of one ABI entry; raises UnknownAbiType for a type that is none."
    inputs = tuple(entry["inputs"])
    signature = entry["name"] + "(" + ",".join(canonical(one) for one in inputs) + ")"
    indexed = [one for one in inputs if one["indexed"]]
    fields = [
        Field(free(one["name"]), canonical(one) if is_static(one) else "bytes32", position, 0)
        for position, one in enumerate(indexed, start=1)
    ]
    data = [one for one in inputs if not one["indexed"]]
    static = all(is_static(one) for one in data)
    # A dynamic parameter has one word in its place: the offset of its content.
    words = [word for one in data for word in (flatten(one) if is_static(one) else [("", "")])]
    fields += [Field(name, kind, None, 32 * place) for place, (name, kind) in enumerate(words) if kind]
    return Event(protocol, entry.get("alias", entry["name"]), signature, keccak256(signature), 1 + len(indexed),
                 tuple(fields), static, inputs)  # fmt: skip


def noted(protocol: str, signature: str, *names: str) -> Event:
    """The log of a call that dss contracts note: topic0 is the selector padded right, then the caller and two arguments.

    `names` are the arguments, numbers all: the third and later ones stand in the call's bytes, which are the data.
    Source: LibNote of makerdao/dss src/lib.sol, an anonymous event; 288 bytes of data.
    """
    topic0 = bytes.fromhex(selector(signature)[2:]).ljust(32, b"\0")
    call = 64 + 4  # offset and length of the bytes, then the selector
    fields = [Field("caller", "address", 1, 0)]
    fields += [
        Field(name, "uint256", place + 2 if place < 2 else None, 0 if place < 2 else call + 32 * place)  # noqa: PLR2004
        for place, name in enumerate(names)
    ]
    name = signature.partition("(")[0]
    return Event(protocol, name, signature, topic0, 4, tuple(fields), is_static=False, inputs=())


def arguments(signature: str, names: tuple[str, ...]) -> tuple[Field, ...]:
    "The arguments of a function of static arguments, as words behind the four bytes of its selector."
    kinds = signature.partition("(")[2].removesuffix(")").split(",")
    return tuple(
        Field(name, kind, None, 4 + 32 * place) for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
    )


def is_static(parameter: dict[str, Any]) -> bool:
    "Whether a parameter stands in place, word by word, in the data of a log."
    kind = canonical(parameter)
    if parameter["type"] == "tuple":
        return all(is_static(part) for part in parameter["components"])
    if STATIC.match(kind):
        return True
    if kind in ("string", "bytes") or kind.endswith("]"):
        return False
    raise UnknownAbiType(f"{kind} of {parameter['name']}")


def flatten(parameter: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    "The words of a static parameter as (name, type); fields of a tuple are named tuple.field."
    name = prefix + parameter["name"]
    if parameter["type"] == "tuple":
        return [word for part in parameter["components"] for word in flatten(part, name + ".")]
    return [(free(name), canonical(parameter))]


# Columns that every log has; a field of one of these names is called {name}_.
TAKEN = frozenset({
    "block_number", "block_hash", "logged_at", "tx_hash", "log_index", "address", "topic0", "topic1", "topic2", "topic3",
    "data", "protocol", "venue", "market", "decimals", "parent", "n_topics", "emitter", "reason",
})  # fmt: skip


def free(name: str) -> str:
    "The name of a field's column: its own, with an underscore where a log has a column of that name."
    return name + "_" if name in TAKEN else name
