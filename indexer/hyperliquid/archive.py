"""Where hour files are: a local mirror of the archive, a node's data folder, or an object store."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Families of hour files by dataset, the preferred one first. A node writes one of them, by its flags; the archive has
# node_fills until 2025-07-27 and node_fills_by_block from that day on, so that both are read where both are there.
FAMILIES = {
    "fills": ("node_fills_by_block", "node_fills", "node_fills_streaming", "node_fills_by_block_streaming"),
    "misc_events": ("misc_events_by_block", "misc_events", "misc_events_streaming", "misc_events_by_block_streaming"),
}
CONTEXTS = "asset_ctxs"
# A node keeps its logs under hl/data (hyperliquid-dex/node README); a mirror may keep the names of the two buckets.
FOLDERS = ("", "data/", "hl/data/", "hl-mainnet-node-data/")
CONTEXT_FOLDERS = (f"{CONTEXTS}/", "", f"hyperliquid-archive/{CONTEXTS}/")
HOUR_FILE = re.compile(r"^(\d{1,2})(\.lz4|\.jsonl|\.jsonl\.lz4|\.ndjson|\.json)?$")
DAY_FILE = re.compile(r"^(\d{8})\.csv(\.lz4)?$")


class Object(NamedTuple):
    "One file: dataset, family, the hour (or day) it is for in milliseconds, its key, size and version."

    dataset: str
    family: str
    at: int
    key: str
    n_bytes: int
    etag: str

    def __str__(self) -> str:
        "Which version of which file: what coverage remembers."
        return f"{self.key}@{self.etag}"


class Store(Protocol):
    "Files by key, wherever they are."

    name: str

    def refresh(self) -> None:
        "Have the next listing tell what is there then."

    def entries(self, folder: str) -> list[tuple[str, int, str]]:
        "(name, size, etag) of the files directly in `folder`, empty if there is no such folder."

    def folders(self, folder: str) -> list[str]:
        "Names of the folders directly in `folder`."

    def fetch(self, item: Object) -> Path:
        "A local file with the object's bytes."

    def head(self, item: Object) -> Path:
        "A local file with the first of the object's bytes, at least its first lines."


class Folder:
    "A local mirror or a node's data folder."

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; --archive takes a mirror of the archive or a node's data folder")
        self.root = root
        self.name = str(root)

    def refresh(self) -> None:
        "Nothing: a folder is listed as it is."

    def entries(self, folder: str) -> list[tuple[str, int, str]]:
        "The files of a folder; size and time of the last change stand for the etag."
        place = self.root / folder
        if not place.is_dir():
            return []
        found = []
        for path in sorted(place.iterdir()):
            if path.is_file():
                status = path.stat()
                found.append((path.name, status.st_size, f"{status.st_size:x}-{status.st_mtime_ns:x}"))
        return found

    def folders(self, folder: str) -> list[str]:
        "The folders of a folder."
        place = self.root / folder
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def fetch(self, item: Object) -> Path:
        "The file itself."
        return self.root / item.key

    head = fetch


def hour_of(day: str, hour: int) -> int:
    "Milliseconds of an archive day (YYYYMMDD) and hour."
    return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1000 + hour * HOUR_MS


def days(since: int, until: int) -> Iterator[str]:
    "The archive days (YYYYMMDD) that [since, until) touches."
    day = datetime.fromtimestamp(since // DAY_MS * (DAY_MS // 1000), UTC)
    while int(day.timestamp()) * 1000 < until:
        yield day.strftime("%Y%m%d")
        day += timedelta(days=1)


class Layout:
    "The folders of a store that hold hour files, found once."

    def __init__(self, store: Store) -> None:
        self.store = store
        self.families = dict(self.find())

    def find(self) -> Iterator[tuple[tuple[str, str], str]]:
        "((dataset, family), folder of day folders) for every family that is there."
        names = {folder: set(self.store.folders(folder)) for folder in FOLDERS}
        for dataset, families in FAMILIES.items():
            for family in families:
                for folder in FOLDERS:
                    if family in names[folder]:
                        yield (dataset, family), self.hourly(f"{folder}{family}/")
                        break
        own_name = self.store.name.rstrip("/").rsplit("/", 1)[-1]
        if "hourly" in names[""] or any(re.fullmatch(r"\d{8}", name) for name in names[""]):
            dataset = "misc_events" if own_name.startswith("misc_events") else "fills"
            yield (dataset, own_name if own_name in FAMILIES[dataset] else FAMILIES[dataset][0]), self.hourly("")

    def hourly(self, folder: str) -> str:
        "The folder with day folders inside `folder`."
        return f"{folder}hourly/" if "hourly" in self.store.folders(folder) else folder

    def objects(self, dataset: str, since: int, until: int) -> dict[int, list[Object]]:
        "The files of `dataset` for each hour in [since, until), the preferred family first; one file a family."
        found: dict[int, list[Object]] = {}
        for (kept, family), folder in self.families.items():
            if kept != dataset:
                continue
            for day in days(since, until):
                for hour, item in hour_files(dataset, family, f"{folder}{day}/", day, self.store):
                    if since <= hour < until:
                        found.setdefault(hour, []).append(item)
        return found

    def contexts(self, since: int, until: int) -> dict[int, Object]:
        "The asset_ctxs file of each day that [since, until) touches."
        wanted = {day: hour_of(day, 0) for day in days(since, until)}
        found = {}
        for folder in CONTEXT_FOLDERS:
            for name, n_bytes, etag in self.store.entries(folder):
                matched = DAY_FILE.match(name)
                if matched and matched[1] in wanted and wanted[matched[1]] not in found:
                    at = wanted[matched[1]]
                    found[at] = Object(CONTEXTS, CONTEXTS, at, f"{folder}{name}", n_bytes, etag)
        return found


def hour_files(dataset: str, family: str, folder: str, day: str, store: Store) -> Iterable[tuple[int, Object]]:
    "The hour files of one day folder; of a compressed and a plain file of one hour the compressed one."
    chosen: dict[int, Object] = {}
    for name, n_bytes, etag in store.entries(folder):
        matched = HOUR_FILE.match(name)
        if matched is None or int(matched[1]) > 23:  # noqa: PLR2004 - hours of a day
            continue
        hour = hour_of(day, int(matched[1]))
        if hour not in chosen or name.endswith(".lz4"):
            chosen[hour] = Object(dataset, family, hour, f"{folder}{name}", n_bytes, etag)
    return chosen.items()
