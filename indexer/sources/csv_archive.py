"""CSV archives of exchanges and vendors, plain, zipped or gzipped, read by DuckDB."""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from indexer.errors import BadRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

SYMBOL = r"[^\Wa-z_][^\Wa-z]*?"  # no lower-case letters: copy_BTCUSD_PERP is BTCUSD_PERP
DAY = r"\d{4}-\d\d(?:-\d\d)?"
SUFFIXES = (".csv", ".csv.gz", ".zip")


class Member(NamedTuple):
    "A plain CSV on disk, the archive it came from and its name inside, and its first line."

    path: Path
    archive: Path
    name: str
    first_line: str

    @property
    def columns(self) -> tuple[str, ...]:
        "The fields of the first line."
        return tuple(field.strip().strip('"') for field in self.first_line.split(","))


def stated(name: str, dataset: str) -> tuple[str | None, datetime | None, datetime | None]:
    """Market, first instant and end of the day or month that a file name states; None for what it does not.

    BTCUSD_PERP-liquidationSnapshot-2023-06-25 or liquidationSnapshot_BTCUSD_PERP_2023-06-25: market and day on either
    side of the data set's name (a regular expression).
    """
    for pattern in (
        rf"(?P<market>{SYMBOL})[-_]{dataset}[-_](?P<day>{DAY})",
        rf"{dataset}[-_](?P<market>{SYMBOL})[-_](?P<day>{DAY})",
        rf"{dataset}[-_](?P<day>{DAY})[-_](?P<market>[\w.:+-]+?)\.csv",
        rf"(?P<market>{SYMBOL})[-_]{dataset}(?P<day>)(?:\.|$)",
        rf"{dataset}[-_](?P<market>{SYMBOL})(?P<day>)(?:\.|$)",
    ):
        if found := re.search(pattern, name):
            return found["market"], *window(found["day"])
    return None, None, None


def window(day: str) -> tuple[datetime | None, datetime | None]:
    "The half-open window of a day (2023-06-25) or month (2023-06); (None, None) of an empty text."
    if not day:
        return None, None
    is_month = day.count("-") == 1
    first = datetime.fromisoformat(f"{day}-01" if is_month else day)
    return first, (first + timedelta(days=31)).replace(day=1) if is_month else first + timedelta(days=1)


def is_archive(path: Path) -> bool:
    "Is the file a CSV, plain or packed, by its name."
    return path.name.lower().endswith(SUFFIXES)


def unpack(paths: Sequence[Path], folder: Path) -> list[Member]:
    "The CSV files inside `paths`, unpacked into `folder` where they are packed; raises BadRecord for a damaged one."
    with ThreadPoolExecutor(max_workers=2) as pool:
        unpacked = pool.map(lambda numbered: unpack_one(numbered[1], folder / str(numbered[0])), enumerate(paths))
        return [member for members in unpacked for member in members]


def unpack_one(path: Path, folder: Path) -> list[Member]:
    "The CSV files inside one file; zlib works outside the interpreter's lock, so threads help."
    if not path.is_file():
        raise BadRecord(str(path), None, "no such file")
    name = path.name.lower()
    if not name.endswith((".zip", ".gz")):
        return [member(path, path, path.name)]
    folder.mkdir(parents=True)
    try:
        if name.endswith(".gz"):
            plain = folder / path.name[:-3]
            with gzip.open(path) as packed, plain.open("wb") as target:
                shutil.copyfileobj(packed, target, 1 << 20)
            return [member(plain, path, plain.name)]
        return unzip(path, folder)
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadRecord(str(path), None, f"the archive is cut short or damaged ({error}); fetch it again") from error


def unzip(path: Path, folder: Path) -> list[Member]:
    "The CSV files of a zip archive; its checksums are verified."
    members = []
    with zipfile.ZipFile(path) as archive:
        names = [
            name for name in archive.namelist() if name.lower().endswith(".csv") and not name.startswith("__MACOSX")
        ]
        for number, name in enumerate(names):
            plain = folder / f"{number}.csv"
            with archive.open(name) as packed, plain.open("wb") as target:
                shutil.copyfileobj(packed, target, 1 << 20)
            members.append(member(plain, path, Path(name).name))
    if not members:
        raise BadRecord(str(path), None, "no CSV file inside; expected an archive with one")
    return members


def member(path: Path, archive: Path, name: str) -> Member:
    "The file with its first line; raises BadRecord for an empty one."
    with path.open("rb") as file:
        first_line = file.readline(1 << 16).decode("utf-8", errors="replace").strip("\ufeff\r\n ")
    if "\ufffd" in first_line or "\0" in first_line:
        raise BadRecord(str(archive), 1, "the first line is not UTF-8 text; save the file as UTF-8")
    if not first_line:
        raise BadRecord(str(archive), None, "the file is empty; nothing to import")
    return Member(path, archive, name, first_line)


def texts(members: Iterable[Member], columns: Sequence[str], *, has_header: bool) -> str:
    """SQL that reads the files as text columns, with `filename`.

    Lines that do not fit (too few or many columns, not UTF-8) go to the temp table reject_errors.
    """
    listed = ", ".join(quoted(str(one.path)) for one in members)
    typed = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in columns)
    return (
        f"read_csv([{listed}], columns={{{typed}}}, auto_detect=false, header=false, skip={int(has_header)}, delim=',',"
        " quote='\"', escape='\"', filename=true, store_rejects=true, null_padding=false)"
    )


def refused_lines(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the temp table `refused_lines` of what `texts` could not read since the last call: one row a line.

    Columns: path (as in `filename`), line (its number), reason and raw.
    """
    tables = {name for (name,) in connection.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "reject_errors" not in tables:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE refused_lines (path VARCHAR, line BIGINT, reason VARCHAR, raw VARCHAR)"
        )
        return
    connection.execute(REFUSED_LINES)
    connection.execute("DROP TABLE reject_errors")
    connection.execute("DROP TABLE reject_scans")


# DuckDB reports a line once for each thing that is wrong with it.
REFUSED_LINES = """
CREATE OR REPLACE TEMP TABLE refused_lines AS
SELECT any_value(file_path) AS path, line::BIGINT AS line, any_value(csv_line) AS raw,
  lower(replace(min_by(error_type::VARCHAR, if(error_type::VARCHAR = 'INVALID ENCODING', 0, 1)), '_', ' ')) AS reason
FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY scan_id, file_id, line
"""


def quoted(text: str) -> str:
    "A SQL string literal."
    return "'" + text.replace("'", "''") + "'"
