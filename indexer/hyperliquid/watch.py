"""Accounts that are watched over the info API: their new fills, ledger updates and positions, in turns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl

from indexer.errors import NoEndpoint, UserError
from indexer.hyperliquid import accounts, plan, write
from indexer.hyperliquid.info import Info
from indexer.hyperliquid.plan import Selection, moment

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import duckdb

    from indexer.hyperliquid.door import Door
    from indexer.hyperliquid.followed import FollowOptions

PARENT = "0xdfc24b077bc1425ad1dea75bcb6f8158e10df303"  # the HLP vault itself (Hyperliquid vaultDetails)
DAY_MS = 86_400_000
OVERLAP_MS = 60_000  # asked again each time: an answer may be a little behind the chain
TURN_SECONDS = 10.0  # one account is asked no more often


def hlp(connection: duckdb.DuckDBPyConnection) -> list[str]:
    "The addresses of HLP that trade now: the parent vault has no fills."
    known = write.vaults(connection).filter((pl.col("entity") == "hlp") & pl.col("to_at").is_null())
    return [address for address in known["address"].unique(maintain_order=True) if address != PARENT]


class Stopped(Exception):
    "The command was told to end while it waited."


class Watch:
    "The state of the list: since when each account is stored, up to when, and when its turn was."

    def __init__(
        self,
        door: Door,
        options: FollowOptions,
        narrate: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self.door, self.options, self.narrate = door, options, narrate
        listed = accounts.addresses(options.accounts) if options.accounts is not None else []
        self.vaults = hlp(door.connection) if options.hlp else []
        self.wanted = list(dict.fromkeys([*self.vaults, *listed]))
        if not self.wanted:
            raise UserError("no accounts: pass --accounts with a file of addresses")
        self.stop = stop
        self.info = Info(options.base_url, sleep=self.pause)
        self.until = None if options.until is None else plan.milliseconds(options.until)
        self.since = {account: self.start(account) for account in self.wanted}
        self.stored: dict[str, int] = {}
        self.asked_at: dict[str, float] = {}
        self.failed: set[str] = set()
        self.is_whole = True
        self.turn = max(TURN_SECONDS, options.poll_seconds)

    def pause(self, seconds: float) -> None:
        "Wait for the API's minute, but not beyond the end of the command."
        if self.stop.wait(seconds):
            raise Stopped

    def start(self, account: str) -> int:
        "Where to begin: as asked, else after what is stored of the account, else a day ago."
        if self.options.since is not None:
            return plan.milliseconds(self.options.since)
        stored = self.door.connection.execute(
            "SELECT epoch_ms(max(to_at)) FROM coverage WHERE source = ? AND dataset = ?",
            [accounts.SOURCE, f"watched:fills:{account}"],
        ).fetchall()[0][0]
        return int(time.time() * 1000) - DAY_MS if stored is None else int(stored) - OVERLAP_MS

    def step(self) -> bool:
        "Ask for the account whose turn it is; True if it is another's turn already."
        waiting = self.waiting()
        if not waiting:
            return False
        account = waiting[0]
        self.asked_at[account] = time.monotonic()
        now = int(time.time() * 1000)
        until = now if self.until is None else min(now, self.until)
        known = self.stored.get(account)
        try:
            self.is_whole &= accounts.index(
                self.door.connection,
                self.info,
                account,
                write.vaults(self.door.connection),
                Selection(self.since[account], max(until, self.since[account] + 1)),
                self.narrate,
                watched=account in self.vaults,
                fresh_from=None if known is None else max(self.since[account], known - OVERLAP_MS),
            )
            accounts.observe(self.door.connection, self.info, account)
        except Stopped:
            return False
        except NoEndpoint as error:
            if not self.stored:
                raise
            if account not in self.failed:
                self.narrate(f"{account} not since {moment(self.stored.get(account, self.since[account]))}: {error}")
            self.failed.add(account)
            return False
        if account in self.failed:
            self.failed.remove(account)
            self.narrate(f"{account} answered again")
        self.stored[account] = until
        return bool(self.waiting())

    def waiting(self) -> list[str]:
        "The accounts whose turn it is, the one that waits longest first."
        latest = time.monotonic() - self.turn
        due = [one for one in self.wanted if self.asked_at.get(one, latest) <= latest and not self.is_stored(one)]
        return sorted(due, key=lambda one: self.asked_at.get(one, float("-inf")))

    def is_stored(self, account: str) -> bool:
        "True if the account is stored up to the end of the window."
        return self.until is not None and self.stored.get(account, -1) >= self.until

    def is_done(self) -> bool:
        "True if every account is stored up to the end of the window."
        return all(self.is_stored(account) for account in self.wanted)

    def verdict(self) -> int:
        "0, or 1 if a part is out of reach or an account did not answer at the end."
        return int(not self.is_whole or bool(self.failed))

    def close(self) -> None:
        "Close the connections."
        self.info.close()
