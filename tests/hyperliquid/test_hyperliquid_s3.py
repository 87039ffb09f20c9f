"""Hour files in a bucket: listed with their etags, pulled once, asked for as one who pays."""

from __future__ import annotations

import hashlib
import pickle
import sys
import types
from datetime import datetime
from pathlib import Path

import pytest
from forced import HOUR, address, block, market_pair, write

from indexer import store
from indexer.errors import NoEndpoint, UserError
from indexer.hyperliquid import live
from indexer.hyperliquid.plan import open_store
from indexer.hyperliquid.run import Options, backfill
from indexer.hyperliquid.s3 import Bucket

WINDOW = {"since": datetime(2025, 11, 22, 4), "until": datetime(2025, 11, 22, 5)}


class Bucketful:
    "The part of s3fs.S3FileSystem that is used, over a local folder; etags are digests of the content."

    folder = Path()
    pulled: list[str]

    def __init__(self, *, requester_pays=False):
        assert requester_pays
        type(self).pulled = []

    def ls(self, path, *, detail):
        "What a prefix holds, as s3fs says it."
        place = self.folder / path
        if not place.is_dir():
            raise FileNotFoundError(path)
        assert detail
        return [self.entry(found) for found in sorted(place.iterdir())]

    def entry(self, found):
        "One object or prefix."
        name = str(found.relative_to(self.folder))
        if found.is_dir():
            return {"name": name, "type": "directory", "size": 0}
        etag = f'"{hashlib.md5(found.read_bytes()).hexdigest()}"'
        return {"name": name, "type": "file", "size": found.stat().st_size, "ETag": etag}

    def get_file(self, path, target):
        "Download."
        self.pulled.append(path)
        Path(target).write_bytes((self.folder / path).read_bytes())

    def cat_file(self, path, start, end):
        "A range of bytes."
        return (self.folder / path).read_bytes()[start:end]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    "A bucket with three hours of a block a second, and s3fs to read it."
    Bucketful.folder = tmp_path / "s3"
    module = types.ModuleType("s3fs")
    module.S3FileSystem = Bucketful
    monkeypatch.setitem(sys.modules, "s3fs", module)
    for hour in (4, 5, 6):
        lines = []
        for second in range(1, 3600, 600):
            time_ms = HOUR + (hour - 4) * 3_600_000 + second * 1000
            number = 803_000_000 + (hour - 4) * 3600 + second
            lines.append(block(number, market_pair(address(1), address(2), tid=number, time=time_ms), time_ms))
        write(tmp_path / f"s3/hl-mainnet-node-data/node_fills_by_block/hourly/20251122/{hour}.lz4", lines)
    return Bucketful


def run(tmp_path, **options):
    "(exit code, narration) of a backfill from the bucket."
    said = []
    window = {} if "from_block" in options else WINDOW
    chosen = {"archive": "s3://hl-mainnet-node-data", "cache": tmp_path / "cache"} | window | options
    return backfill(tmp_path / "x.duckdb", Options(**chosen), said.append), said


def count(tmp_path):
    "How many liquidations are stored."
    with store.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM liquidations").fetchall()[0][0]


def test_pulled_once(tmp_path, bucket):
    "Each object is pulled once into the cache; an object that was published again is another one."
    code, _ = run(tmp_path)
    first = list(bucket.pulled)
    (tmp_path / "x.duckdb").unlink()
    run(tmp_path)
    again = list(bucket.pulled)
    write(tmp_path / "s3/hl-mainnet-node-data/node_fills_by_block/hourly/20251122/4.lz4", [])
    run(tmp_path)

    prefix = "hl-mainnet-node-data/node_fills_by_block/hourly/20251122"
    assert (code, first, again) == (0, [f"{prefix}/4.lz4", f"{prefix}/5.lz4"], [])
    assert bucket.pulled == [f"{prefix}/4.lz4"]
    assert count(tmp_path) == 0
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_dry_run(tmp_path, bucket):
    "A dry run lists the objects, their bytes and what pulling them costs, and pulls nothing."
    code, said = run(tmp_path, dry_run=True)

    assert code == 0
    assert said[0].startswith("node_fills_by_block/hourly/20251122/4.lz4 ")
    assert "2 objects" in said[-1]
    assert "USD" in said[-1]
    assert bucket.pulled == []


@pytest.mark.usefixtures("bucket")
def test_block_range(tmp_path):
    "A block range finds its hours from the heads of the objects and pulls no others."
    code, _ = run(tmp_path, from_block=803_003_601, to_block=803_004_201)

    assert (code, count(tmp_path)) == (0, 2)
    assert [
        path.name.split("@")[0] for path in sorted((tmp_path / "cache").rglob("*.lz4@*")) if "head" not in path.name
    ] == [
        "5.lz4",
        "6.lz4",
    ]


def test_interrupted_pull(tmp_path, bucket, monkeypatch):
    "A pull that breaks off leaves nothing in the cache; the next run pulls again."

    def broken(_, __, target):
        Path(target).write_bytes(b"half")
        raise OSError("connection reset")

    monkeypatch.setattr(bucket, "get_file", broken)
    with pytest.raises(NoEndpoint, match="reset"):
        run(tmp_path)
    monkeypatch.undo()

    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_without_the_extra(tmp_path, monkeypatch):
    "Without the extra the error names it."
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(UserError, match=r"\[s3\]"):
        run(tmp_path)


def test_access_denied(tmp_path, bucket, monkeypatch):
    "A refusal says that the requester pays."

    def refused(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(bucket, "ls", refused)

    with pytest.raises(UserError, match="requester-pays"):
        run(tmp_path)


@pytest.mark.usefixtures("bucket")
def test_default_archive(tmp_path):
    "Without --archive the public bucket is meant; worker processes get a store of their own."
    opened = open_store(Options(**WINDOW, cache=tmp_path))

    assert opened.name == "s3://hl-mainnet-node-data"
    assert isinstance(pickle.loads(pickle.dumps(opened)), Bucket)


def test_followed(tmp_path, bucket, monkeypatch):
    "A bucket that gets an hour file is followed from a time on: listings are not kept, and no hour before it is pulled."
    monkeypatch.setattr(live, "BUCKET_POLL_SECONDS", 0.0)
    folder = tmp_path / "s3/hl-mainnet-node-data/node_fills_by_block/hourly/20251122"
    (folder / "6.lz4").rename(tmp_path / "6.lz4")
    refreshed = []

    def refresh(_):
        refreshed.append(1)
        if len(refreshed) == 3:
            (tmp_path / "6.lz4").rename(folder / "6.lz4")

    monkeypatch.setattr(bucket, "invalidate_cache", refresh, raising=False)
    options = {"archive": "s3://hl-mainnet-node-data", "cache": tmp_path / "cache", "poll_seconds": 0.05}
    window = {"since": datetime(2025, 11, 22, 5), "until": datetime(2025, 11, 22, 6)}
    code = live.follow(tmp_path / "x.duckdb", live.FollowOptions(**options, **window), lambda _: None)

    assert (code, count(tmp_path)) == (0, 6)
    assert sorted({path[-5:] for path in bucket.pulled}) == ["5.lz4", "6.lz4"]
    with pytest.raises(UserError, match="--since"):
        live.follow(tmp_path / "x.duckdb", live.FollowOptions(**options), lambda _: None)
