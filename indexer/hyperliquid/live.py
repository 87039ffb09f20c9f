"""The live tail of HyperCore: the folder of an own node, or a mirror, as it grows, and accounts over the info API."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from indexer import store
from indexer.errors import NoEndpoint, StoreError, UserError
from indexer.hyperliquid import plan, write
from indexer.hyperliquid.door import Door
from indexer.hyperliquid.followed import Followed, FollowOptions
from indexer.hyperliquid.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FollowOptions", "follow"]
# A listing of a bucket is paid for, and it gets a file an hour.
BUCKET_POLL_SECONDS = 60.0


def follow(
    db_path: str | Path, options: FollowOptions, narrate: Callable[[str], None], stop: threading.Event | None = None
) -> int:
    """Index what is written until `until`, `until_block` or `stop`; 0, or 1 if a part is open or the source fell silent.

    Without `since` it begins with the oldest hour of the folder that is not stored yet; for accounts, after what is
    stored. Raises UserError for options that make no sense, NoEndpoint for an info API that cannot be had at the start.
    """
    if options.archive is None and options.accounts is None and not options.hlp:
        raise UserError(
            "nobody publishes all liquidations live: give --archive with the data folder of a node, or a mirror that"
            " grows, --accounts with a file of addresses, or --hlp for what the HLP vault takes over"
        )
    is_bucket = options.archive is not None and options.archive.startswith("s3://")
    if is_bucket and options.since is None:
        raise UserError(f"{options.archive}: pass --since, as every hour that is pulled from there is paid for")
    stop = stop or threading.Event()
    source = None
    if options.archive is not None:
        source = plan.open_store(plan.Options(archive=options.archive, cache=options.cache))
    door = Door(db_path)
    parts: list[Followed | Watch] = []
    try:
        with store.transaction(door.connection):
            write.seed_vaults(door.connection)
        if source is not None:
            narrate(f"following {source.name}: every liquidation that the node writes")
            parts.append(Followed(door, source, options, narrate))
        if options.accounts is not None or options.hlp:
            parts.append(Watch(door, options, narrate, stop))
        if options.accounts is not None:
            narrate("following accounts over the info API: theirs only, never the whole venue")
        if options.hlp:
            narrate("following HLP over the info API: its backstops and relays; neither market liquidations nor HIP-3")
        poll_seconds = max(options.poll_seconds, BUCKET_POLL_SECONDS if is_bucket else 0)
        is_failing = repeat(parts, stop, poll_seconds, door, narrate)
        return max(int(is_failing), *(part.verdict() for part in parts))
    finally:
        for part in parts:
            part.close()
        door.close()


def repeat(
    parts: list[Followed | Watch],
    stop: threading.Event,
    poll_seconds: float,
    door: Door,
    narrate: Callable[[str], None],
) -> bool:
    """Let every part do its step, again and again, until all are done or `stop`; True if the last step failed.

    Once a step was done, a file that is moved, a bucket that does not answer or a database that somebody reads is tried
    again.
    """
    failure, is_begun = None, False
    while not stop.is_set():
        try:
            is_busy = [part.step() for part in parts]
        except (OSError, NoEndpoint, StoreError) as error:
            if not is_begun:
                raise
            if str(error) != failure:
                narrate(f"{error}; trying again")
            failure, is_busy = str(error), [False]
        else:
            failure, is_begun = None, True
            if all(part.is_done() for part in parts):
                break
        if not any(is_busy):
            door.close()
            stop.wait(poll_seconds)
    return failure is not None
