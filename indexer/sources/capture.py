"""JSONL captures of exchange streams: lines to frames with their receive times."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

import polars as pl

from indexer.errors import BadRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

BLOCK_BYTES = 256 << 20
# An epoch number's unit follows from its size: seconds until 1e11, milliseconds until 1e14, then micro- and
# nanoseconds.
EPOCH = """make_timestamp((CASE WHEN {0} < 1e11 THEN {0} * 1e6 WHEN {0} < 1e14 THEN {0} * 1e3
  WHEN {0} < 1e17 THEN {0} ELSE {0} / 1e3 END)::BIGINT)"""
RECEIVED = "coalesce(line ->> '$.received_at', line ->> '$.received_ns', line ->> '$.recv_ts')"
# A line is a frame as received, an object that holds one beside its receive time, or the time, a blank and the frame.
# An object may say that its frame is simulated: no venue sent it.
UNWRAP = f"""
CREATE OR REPLACE TEMP TABLE frames AS
SELECT row, venue, market, connection, coalesce(simulated, false) AS simulated, frame,
  CASE WHEN epoch BETWEEN 1e8 AND 8e18 THEN {EPOCH.format("epoch")} ELSE TRY_CAST(received AS TIMESTAMP) END AS
  received_at
FROM (
  SELECT row, TRY_CAST(received AS DOUBLE) AS epoch, received, market, venue, connection, simulated, frame
  FROM (
    SELECT row, text AS frame, NULL AS received, NULL AS venue, NULL AS market, NULL AS connection, false AS simulated
    FROM classified WHERE shape = 'bare'
    UNION ALL BY NAME
    SELECT row, regexp_extract(text, '^\\S+ (.*)$', 1) AS frame, regexp_extract(text, '^\\S+') AS received
    FROM classified WHERE shape = 'timed'
    UNION ALL BY NAME
    SELECT row, coalesce(line ->> '$.frame', line ->> '$.raw') AS frame, {RECEIVED} AS received,
      line ->> '$.venue' AS venue, line ->> '$.market' AS market, line ->> '$.connection' AS connection,
      (line ->> '$.simulated') = 'true' AS simulated
    FROM (SELECT row, text::JSON AS line FROM classified WHERE shape = 'wrapped')))
"""
CLASSIFY = """
CREATE OR REPLACE TEMP TABLE classified AS
SELECT row, text, CASE
    WHEN NOT json_valid(text) THEN
      CASE WHEN regexp_matches(text, '^\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z? [\\[{]') THEN 'timed' ELSE 'bare' END
    WHEN json_type(text) = 'OBJECT' AND (json_exists(text, '$.frame') OR json_exists(text, '$.raw')) THEN 'wrapped'
    ELSE 'bare' END AS shape
FROM incoming_lines
"""


def blocks(path: Path) -> Iterator[pl.DataFrame]:
    """The lines of a capture (.jsonl, .json, or either with .gz), a block at a time: row (from 1) and text.

    A .json file that is one document is one line. Bytes that are not UTF-8 become the replacement character, so that
    the line cannot be JSON by accident of a lost byte inside a key, and is refused if it is broken. Raises BadRecord
    for a file that is empty or cut short.
    """
    row = 0
    for block in cut_at_newlines(path):
        text = block.decode("utf-8", errors="replace")
        if row == 0 and ".json" in path.suffixes and is_one_document(text):
            text = text.replace("\r", " ").replace("\n", " ")
        lines = pl.DataFrame({"text": text.split("\n")}, schema={"text": pl.String})
        lines = lines.with_row_index("row", row + 1).with_columns(pl.col("row").cast(pl.Int64))
        row += lines.height
        yield lines.with_columns(pl.col("text").str.strip_chars()).filter(pl.col("text") != "")
    if row == 0:
        raise BadRecord(str(path), None, "the file is empty; nothing to import")


def is_one_document(text: str) -> bool:
    "Is the text one JSON value over several lines, rather than a value a line."
    head = text.lstrip()
    first_line, _, rest = head.partition("\n")
    return bool(rest.strip()) and first_line.strip().rstrip(",") in ("{", "[", "[{", "[[")


def cut_at_newlines(path: Path) -> Iterator[bytes]:
    "The bytes of a file in blocks that end with a line."
    rest = b""
    try:
        with opened(path) as file:
            while len(block := file.read(BLOCK_BYTES)) == BLOCK_BYTES:
                whole, newline, tail = (rest + block).rpartition(b"\n")
                rest = tail
                if newline:
                    yield whole
            rest += block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadRecord(str(path), None, "the gzip file is cut short or damaged; fetch it again") from error
    if rest:
        yield rest


def opened(path: Path) -> BinaryIO:
    "The file, decompressed if it is gzip."
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def unwrap(connection: duckdb.DuckDBPyConnection, lines: pl.DataFrame) -> None:
    "Temp table `frames` (row, received_at, venue, market, connection, simulated, frame) from the lines of a capture."
    connection.register("incoming_lines", lines.to_arrow())
    try:
        connection.execute(CLASSIFY)
    finally:
        connection.unregister("incoming_lines")
    connection.execute(UNWRAP)
