"""Whole lines out of an hour file: LZ4 frames or plain text, closed or still growing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FRAME_MAGIC = b"\x04\x22\x4d\x18"  # LZ4 frame format, little-endian 0x184D2204
CHUNK_BYTES = 1 << 16  # larger inputs make outputs that leave the processor's cache
# LZ4 frame format, sections "Frame Descriptor" and "Data Blocks": 4 + 3 bytes of header, up to 12 more by its flags;
# each block begins with its size, the highest bit set where it is stored as it is; size 0 ends the frame. A linked
# block refers to at most the last 64 KiB before it.
HEADER_BYTES, BARE_HEADER_BYTES, WORD_BYTES, HISTORY_BYTES = 19, 7, 4, 1 << 16
STORED = 1 << 31
# glibc gives freed buffers of this size back to the kernel, so that every piece is paged in anew, which costs more than
# decompressing it. One that is freed raises the threshold for all that are smaller (mallopt(3), M_MMAP_THRESHOLD: up to
# 32 MB); it is never touched, so it takes no memory.
RETAINED_BYTES = 31 << 20


class Stretch(NamedTuple):
    "Whole lines: `buffer[start:end]`, the last byte a newline."

    buffer: bytes
    start: int
    end: int


class Layout(NamedTuple):
    "How the blocks of a frame follow its header of `n_bytes`."

    n_bytes: int
    block_bytes: int
    is_linked: bool


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
        bytes(RETAINED_BYTES)
        while self.broken is None and (header := file.read(HEADER_BYTES)):
            start = file.tell() - len(header)
            layout = bare_layout(header)
            file.seek(start + layout.n_bytes if layout else start)
            yield from self.blocks(file, layout) if layout else self.stream(file)

    def blocks(self, file: BinaryIO, layout: Layout) -> Iterator[bytes]:
        "The blocks of a frame without checksums, from the first block's size on: each decompressed in one step."
        import lz4.block  # noqa: PLC0415 - a plain file needs none

        history: bytes | None = None
        while True:
            word = file.read(WORD_BYTES)
            size = int.from_bytes(word, "little")
            if len(word) == WORD_BYTES and size == 0:
                return
            n_bytes = size & ~STORED
            if n_bytes > layout.block_bytes:
                self.broken = f"damaged LZ4 frame (a block of {n_bytes} bytes)"
                return
            piece: bytes = file.read(n_bytes)
            if len(word) < WORD_BYTES or len(piece) < n_bytes:
                self.broken = "truncated LZ4 frame"
                return
            if not size & STORED:
                try:
                    piece = lz4.block.decompress(piece, uncompressed_size=layout.block_bytes, dict=history)
                except lz4.block.LZ4BlockError as error:
                    self.broken = f"damaged LZ4 frame ({error})"
                    return
            if layout.is_linked:
                history = piece if len(piece) >= HISTORY_BYTES else (history or b"") + piece
                history = history[-HISTORY_BYTES:]
            yield piece

    def stream(self, file: BinaryIO) -> Iterator[bytes]:
        "The decompressed pieces of one frame of any kind, its checksums verified; `file` is left behind it."
        import lz4.frame  # noqa: PLC0415 - a plain file needs none

        decompressor = lz4.frame.LZ4FrameDecompressor()
        while not decompressor.eof:
            chunk = file.read(CHUNK_BYTES)
            if not chunk:
                self.broken = "truncated LZ4 frame"
                return
            try:
                piece = decompressor.decompress(chunk)
            except (RuntimeError, ValueError) as error:
                self.broken = f"damaged LZ4 frame ({error})"
                return
            yield piece
        file.seek(-len(decompressor.unused_data or b""), os.SEEK_CUR)

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


def bare_layout(header: bytes) -> Layout | None:
    "The layout of a frame that has nothing but blocks: no checksum or size to verify, no dictionary; else None."
    import lz4.frame  # noqa: PLC0415 - a plain file needs none

    try:
        said = lz4.frame.get_frame_info(header)
    except RuntimeError:
        return None
    extras = ("skippable", "content_size", "content_checksum", "block_checksum")
    has_dictionary = header[len(FRAME_MAGIC)] & 1
    if has_dictionary or any(said[extra] for extra in extras):
        return None
    return Layout(BARE_HEADER_BYTES, said["block_size"], said["block_linked"])


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
