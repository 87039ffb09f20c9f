"""Whole lines out of an hour file: LZ4 frames or plain text, closed or still growing."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FRAME_MAGIC = b"\x04\x22\x4d\x18"  # LZ4 frame format, little-endian 0x184D2204
CHUNK_BYTES = 1 << 16  # larger inputs make outputs that leave the processor's cache


class Stretch(NamedTuple):
    "Whole lines: `buffer[start:end]`, the last byte a newline."

    buffer: bytes
    start: int
    end: int


class Lines:
    """The lines of `path`, as stretches of whole lines.

    After the last stretch `broken` says why the file does not end where it should, or is None: a damaged or truncated
    frame, or a last line that `is_whole` refuses (by default: that is no JSON). What came before has been handed out.
    """

    def __init__(self, path: Path, is_whole: Callable[[bytes], bool] | None = None) -> None:
        self.path = path
        self.is_whole = is_whole or is_json
        self.broken: str | None = None

    def __iter__(self) -> Iterator[Stretch]:
        "The stretches, in order."
        with self.path.open("rb", buffering=0) as file:
            is_framed = file.read(len(FRAME_MAGIC)) == FRAME_MAGIC
            file.seek(0)
            yield from self.whole_lines(self.frames(file) if is_framed else plain(file))

    def frames(self, file: BinaryIO) -> Iterator[bytes]:
        "The decompressed pieces of every frame in `file`."
        import lz4.frame  # noqa: PLC0415 - a plain file needs none

        decompressor = lz4.frame.LZ4FrameDecompressor()
        while chunk := file.read(CHUNK_BYTES):
            while chunk:
                if decompressor.eof:
                    decompressor = lz4.frame.LZ4FrameDecompressor()
                try:
                    piece = decompressor.decompress(chunk)
                except (RuntimeError, ValueError) as error:
                    self.broken = f"damaged LZ4 frame ({error})"
                    return
                chunk = (decompressor.unused_data or b"") if decompressor.eof else b""
                yield piece
        if not decompressor.eof:
            self.broken = "truncated LZ4 frame"

    def whole_lines(self, pieces: Iterator[bytes]) -> Iterator[Stretch]:
        "`pieces` cut at the last newline of each; only a line over two or more pieces is copied."
        started: list[bytes] = []
        for piece in pieces:
            end = piece.rfind(b"\n") + 1
            if not end:
                started.append(piece)
                continue
            first = 0
            if started:
                first = piece.find(b"\n") + 1
                joined = b"".join([*started, piece[:first]])
                yield Stretch(joined, 0, len(joined))
                started.clear()
            if first < end:
                yield Stretch(piece, first, end)
            if end < len(piece):
                started.append(piece[end:])
        last = b"".join(started)
        if last.strip() and self.broken is None:
            if self.is_whole(last):
                yield Stretch(last + b"\n", 0, len(last) + 1)
            else:
                self.broken = "half-written last line"


def plain(file: BinaryIO) -> Iterator[bytes]:
    "The pieces of an uncompressed file."
    while chunk := file.read(CHUNK_BYTES * 4):
        yield chunk


def is_json(text: bytes) -> bool:
    "True if `text` is one whole JSON value."
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
