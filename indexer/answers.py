"""What the bytes that a contract read returns mean."""

from __future__ import annotations

WORD = 32
ADDRESS_BYTES = 20


def as_address(answer: bytes | None) -> str | None:
    "An address word; None for anything else, and for the zero address."
    if answer is None or len(answer) < WORD or any(answer[: WORD - ADDRESS_BYTES]) or not any(answer[:WORD]):
        return None
    return "0x" + answer[WORD - ADDRESS_BYTES : WORD].hex()


def as_integer(answer: bytes | None) -> int | None:
    "A number word."
    return int.from_bytes(answer[:WORD]) if answer and len(answer) >= WORD else None


def as_text(answer: bytes | None) -> str | None:
    "A string, or the bytes32 text of old tokens; None for what is neither."
    if not answer:
        return None
    if len(answer) >= 2 * WORD and int.from_bytes(answer[:WORD]) == WORD:
        size = int.from_bytes(answer[WORD : 2 * WORD])
        content = answer[2 * WORD : 2 * WORD + size] if size <= len(answer) - 2 * WORD else b""
    else:
        content = answer[:WORD].split(b"\0", 1)[0]
    text = content.decode("utf-8", "replace").replace("\0", "").strip()
    return text or None


def as_addresses(answer: bytes | None) -> list[str]:
    "A dynamic array of addresses."
    if answer is None or len(answer) < 2 * WORD:
        return []
    n_items = int.from_bytes(answer[WORD : 2 * WORD])
    if len(answer) < WORD * (2 + n_items):
        return []
    items = (as_address(answer[WORD * place : WORD * (place + 1)]) for place in range(2, 2 + n_items))
    return [item for item in items if item]


def as_number_text(answer: bytes | None) -> str | None:
    "A number word in decimal digits, as JSON keeps it exact."
    number = as_integer(answer)
    return None if number is None else str(number)


DECODERS = {"address": as_address, "string": as_text, "uint256": as_number_text}
