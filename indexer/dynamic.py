"""Dynamic ABI data, one log at a time: for events whose fields have no fixed place."""

from __future__ import annotations

WORD = 32
# Lists of GMX's EventLogData, in order: address, uint, int, bool, bytes32 (one word a value), then bytes and string.
N_WORD_LISTS = 5
MOST_ITEMS = 1024


def keyed_words(data: bytes, position: int) -> dict[str, bytes] | None:
    """Key to the 32-byte value of every single-word item of a GMX EventLogData whose offset is word `position`.

    None when an offset or a length leaves the data: no compiler emits such a log. Source: EventUtils.sol of GMX synthetics.
    """
    try:
        start = number(data, WORD * position)
        found: dict[str, bytes] = {}
        for place in range(N_WORD_LISTS):
            section = start + number(data, start + WORD * place)
            items = section + number(data, section)
            n_items = number(data, items)
            if n_items > MOST_ITEMS:
                return None
            for item in range(n_items):
                entry = items + WORD + number(data, items + WORD * (item + 1))
                key = entry + number(data, entry)
                size = number(data, key)
                text = data[key + WORD : key + WORD + size]
                if len(text) != size:
                    return None
                found[text.decode("ascii")] = data[entry + WORD : entry + 2 * WORD]
    except (IndexError, UnicodeDecodeError):
        return None
    return found


def number(data: bytes, offset: int) -> int:
    "The word at `offset` as a number; IndexError beyond the data."
    word = data[offset : offset + WORD]
    if len(word) != WORD:
        raise IndexError(offset)
    return int.from_bytes(word)


def address(word: bytes | None) -> str | None:
    "A word as an address in lower-case hex; None for no word."
    return None if word is None else "0x" + word[12:].hex()


def unsigned(word: bytes | None) -> int | None:
    "A word as a number; None for no word."
    return None if word is None else int.from_bytes(word)


def signed(word: bytes | None) -> int | None:
    "A word as a signed number; None for no word."
    return None if word is None else int.from_bytes(word, signed=True)


def text_at(data: bytes, position: int) -> str | None:
    "The string whose offset is word `position`; None where it leaves the data."
    try:
        start = number(data, WORD * position)
        size = number(data, start)
    except IndexError:
        return None
    text = data[start + WORD : start + WORD + size]
    return text.decode("utf-8", "replace").replace("\0", "") if len(text) == size else None
