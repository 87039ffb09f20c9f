"""The last hour of a folder that is written to: what was added to its files since they were last read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from indexer.hyperliquid import fills, misc, scan
from indexer.hyperliquid.lines import is_json
from indexer.hyperliquid.plan import block_of
from indexer.hyperliquid.reading import Part

if TYPE_CHECKING:
    from indexer.hyperliquid.archive import Object, Store

CHUNK_BYTES = 64 << 20  # what one step reads of a file; a longer line is read whole
# Only these say with one line that a block is whole: others spread a block over lines.
WHOLE_BLOCKS = ("node_fills_by_block", "misc_events_by_block")


class Growing:
    "One growing plain file: what it has said so far, and how far it has been read."

    def __init__(self, item: Object) -> None:
        self.item = item
        self.offset = 0
        self.facts = scan.Facts()
        self.fills = pl.DataFrame(schema=fills.SCHEMA)
        self.events = misc.Misc(pl.DataFrame(schema=misc.LEDGER_SCHEMA), pl.DataFrame(schema=misc.FUNDING_SCHEMA))

    @property
    def part(self) -> Part:
        "Everything the file said so far; of funding what is not stored yet."
        if self.item.dataset == "fills":
            return Part(self.fills, None, self.facts)
        return Part(None, self.events, self.facts)

    def forget_funding(self) -> None:
        "Keep no funding in memory: it is stored."
        self.events = self.events._replace(funding=self.events.funding.clear())

    @property
    def reached(self) -> int | None:
        "Milliseconds before which everything has been written; None before the first line."
        if self.facts.last is None:
            return None
        return self.facts.last.time + (self.item.family in WHOLE_BLOCKS)

    @property
    def last_block(self) -> int | None:
        "The last whole block, where the lines name it."
        block = block_of(self.facts.last)
        return None if block is None else block - (self.item.family not in WHOLE_BLOCKS)


class Added(NamedTuple):
    "What a piece added: its bytes, the time of its first line, and of every forced fill, ledger update and funding."

    n_bytes: int
    opened_at: int | None
    times: list[int]


def read_on(source: Store, file: Growing, hour_ms: int) -> Added:
    "Read what was added to `file` in whole lines, at most a piece of about CHUNK_BYTES."
    piece = next_piece(source.fetch(file.item), file.offset)
    if not piece.strip():
        return Added(0, None, [])
    with tempfile.TemporaryDirectory(prefix="indexer-") as folder:
        place = Path(folder) / "piece"
        place.write_bytes(piece)
        if file.item.dataset == "fills":
            frame, facts = fills.read_hour(place, hour_ms)
            file.fills = pl.concat([file.fills, frame])
            times = frame["time"]
        else:
            events, facts = misc.read_hour(place, hour_ms)
            file.events = misc.Misc(*(pl.concat(pair) for pair in zip(file.events, events, strict=True)))
            times = pl.concat([events.ledger["time"], events.funding["time"].unique()])
    opening = scan.mark(piece[: piece.find(b"\n") + 1] or piece)
    file.facts.opening = file.facts.opening or facts.opening
    file.facts.last = facts.last or file.facts.last
    file.facts.rejected += facts.rejected
    file.facts.n_lines += facts.n_lines
    file.offset += len(piece)
    return Added(len(piece), opening.time if opening else None, times.drop_nulls().to_list())


def next_piece(path: Path, offset: int) -> bytes:
    "The whole lines of `path` from `offset` on, at most about CHUNK_BYTES; a last line without its end waits for it."
    with path.open("rb") as file:
        file.seek(offset)
        piece = file.read(CHUNK_BYTES)
        while piece and b"\n" not in piece and (more := file.read(CHUNK_BYTES)):
            piece += more
    end = piece.rfind(b"\n") + 1
    rest = piece[end:]
    is_whole = rest.rstrip().endswith((b"}", b"]")) and len(piece) < CHUNK_BYTES and is_json(rest)
    return piece if is_whole else piece[:end]
