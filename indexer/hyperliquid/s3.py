"""Hour files in an object store: listed with their etags, pulled once into a cache."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.errors import NoEndpoint, UserError

if TYPE_CHECKING:
    from indexer.hyperliquid.archive import Object

HEAD_BYTES = 1 << 18  # enough for the first lines of an hour file


def default_cache() -> Path:
    "Where pulled objects are kept unless the user says otherwise."
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liquidation-indexer"


class Bucket:
    """A bucket whose owner lets the requester pay, or any S3-compatible store.

    Endpoint and credentials are taken where every S3 tool takes them (environment, profile, instance role).
    """

    def __init__(self, url: str, cache: Path | None = None, filesystem: Any = None) -> None:  # noqa: ANN401 - an optional package has no types here
        self.name = url.rstrip("/")
        self.root = self.name.removeprefix("s3://")
        self.cache = cache or default_cache()
        self.opened = filesystem

    def filesystem(self) -> Any:  # noqa: ANN401 - an optional package has no types here
        "The s3fs filesystem; raises UserError with the remedy where the extra is not installed."
        if self.opened is None:
            try:
                s3fs = importlib.import_module("s3fs")
            except ModuleNotFoundError as error:
                raise UserError(
                    f"{self.name}: reading object stores needs the extra: pip install 'liquidation-indexer[s3]'"
                ) from error
            self.opened = s3fs.S3FileSystem(requester_pays=True)
        return self.opened

    def __getstate__(self) -> dict[str, Any]:
        "Worker processes open their own connection."
        return self.__dict__ | {"opened": None if "s3fs" in type(self.opened).__module__ else self.opened}

    def failures(self) -> tuple[type[Exception], ...]:
        "What the filesystem raises when the store cannot be reached or refuses."
        try:
            return (OSError, importlib.import_module("botocore.exceptions").BotoCoreError)
        except ModuleNotFoundError:
            return (OSError,)

    def refresh(self) -> None:
        "Forget what was listed: s3fs keeps listings for as long as it lives."
        forget = getattr(self.filesystem(), "invalidate_cache", None)
        if forget is not None:
            forget()

    def listed(self, folder: str) -> list[dict[str, Any]]:
        "What is directly in `folder`, as s3fs describes it."
        place = f"{self.root}/{folder}".rstrip("/")
        try:
            found: list[dict[str, Any]] = self.filesystem().ls(place, detail=True)
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise UserError(
                f"{self.name}: access denied ({error}); the bucket is requester-pays: set AWS credentials that may pay"
            ) from error
        except self.failures() as error:
            raise NoEndpoint(f"{self.name}: cannot be listed ({error}); check endpoint and credentials") from error
        return found

    def entries(self, folder: str) -> list[tuple[str, int, str]]:
        "(name, size, etag) of the objects directly under `folder`."
        return sorted(
            (entry["name"].rsplit("/", 1)[-1], int(entry["size"]), str(entry.get("ETag", "")).strip('"'))
            for entry in self.listed(folder)
            if entry["type"] == "file"
        )

    def folders(self, folder: str) -> list[str]:
        "Names of the prefixes directly under `folder`."
        return sorted(
            entry["name"].rstrip("/").rsplit("/", 1)[-1]
            for entry in self.listed(folder)
            if entry["type"] == "directory"
        )

    def fetch(self, item: Object) -> Path:
        "The object in the cache, pulled unless this version is there; a pull that breaks off leaves nothing behind."
        target = self.cache / self.root / f"{item.key}@{item.etag}"
        if target.exists() and target.stat().st_size == item.n_bytes:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            self.filesystem().get_file(f"{self.root}/{item.key}", str(partial))
            partial.replace(target)
        except self.failures() as error:
            raise NoEndpoint(f"{self.name}/{item.key}: cannot be pulled ({error}); run again to go on") from error
        finally:
            partial.unlink(missing_ok=True)
        return target

    def head(self, item: Object) -> Path:
        "The beginning of the object, enough to see its first block; the whole of it where it is in the cache."
        whole = self.cache / self.root / f"{item.key}@{item.etag}"
        if whole.exists():
            return whole
        target = whole.with_name(f"{whole.name}.head")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                beginning: bytes = self.filesystem().cat_file(f"{self.root}/{item.key}", start=0, end=HEAD_BYTES)
            except self.failures() as error:
                raise NoEndpoint(f"{self.name}/{item.key}: cannot be read ({error}); run again to go on") from error
            target.write_bytes(beginning)
        return target
