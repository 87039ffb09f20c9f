"""What leaves and enters as files: for each table its order, its key and its place in a Parquet tree."""

from __future__ import annotations

from typing import NamedTuple


class Dataset(NamedTuple):
    "A table as files: rows with equal `key` are one row (an empty key: all columns), `folders` are its partitions."

    key: tuple[str, ...]
    order: tuple[str, ...] = ()  # sorted by these first, then by the key: a total order
    folders: tuple[str, ...] = ()  # one key=value folder a column, the same for every file of the dataset
    at: str | None = None  # the instant that --since and --until look at
    by_month: bool = False


DATASETS: dict[str, Dataset] = {
    "liquidations": Dataset(
        key=("event_id",),
        order=("liquidated_at", "chain", "block_number", "log_index"),
        folders=("chain", "venue"),
        at="liquidated_at",
        by_month=True,
    ),
    "valuation_inputs": Dataset(("event_id",), order=("chain", "block_number"), folders=("chain",)),
    "flows": Dataset(
        key=("flow_id",),
        order=("flowed_at", "chain", "block_number", "log_index"),
        folders=("chain",),
        at="flowed_at",
        by_month=True,
    ),
    "positions": Dataset(
        key=("observed_at", "account", "venue", "market", "source"),
        folders=("venue",),
        at="observed_at",
        by_month=True,
    ),
    "prices": Dataset(
        key=("asset", "priced_at", "kind", "source", "chain", "block_number", "log_index"),
        order=("priced_at",),
        folders=("chain",),
        at="priced_at",
        by_month=True,
    ),
    "rates": Dataset(
        key=("chain", "base", "quote", "source", "block_number", "log_index"),
        order=("rated_at",),
        folders=("chain",),
        at="rated_at",
        by_month=True,
    ),
    "open_interest": Dataset(
        key=("venue", "market", "observed_at", "source"),
        order=("observed_at",),
        folders=("venue",),
        at="observed_at",
        by_month=True,
    ),
    "funding": Dataset(
        key=("venue", "market", "observed_at", "source"),
        order=("observed_at",),
        folders=("venue",),
        at="observed_at",
        by_month=True,
    ),
    "lending_totals": Dataset(
        key=("venue", "market", "observed_at", "source"),
        order=("observed_at",),
        folders=("venue",),
        at="observed_at",
        by_month=True,
    ),
    "cefi_totals": Dataset(
        key=("venue", "market", "bucket_at", "interval_seconds", "source"),
        order=("bucket_at",),
        folders=("venue",),
        at="bucket_at",
        by_month=True,
    ),
    "reported_totals": Dataset((), at="reported_at"),
    "series": Dataset(("name", "observed_at", "source"), at="observed_at"),
    "tokens": Dataset(("chain", "address")),
    "feeds": Dataset(("chain", "address")),
    "markets": Dataset(("chain", "venue", "market", "from_at")),
    "emitters": Dataset(("chain", "address", "protocol")),
    "labels": Dataset(("address", "chain", "entity", "kind", "source", "from_at")),
    "owners": Dataset(("chain", "address", "owner")),
    "coverage": Dataset(("source", "chain", "dataset", "from_block", "from_at")),
    "asked": Dataset(("chain", "members_id", "from_block")),
    "asked_members": Dataset(("members_id", "member")),
    "gaps": Dataset(("source", "chain", "dataset", "from_block", "from_at")),
    "rejected": Dataset(()),
    "raw_logs": Dataset(
        key=("chain", "block_number", "log_index"),
        order=("logged_at",),
        folders=("chain",),
        at="logged_at",
        by_month=True,
    ),
    "raw_frames": Dataset(
        key=("source", "received_at", "market", "connection", "frame"),
        order=("source", "received_at"),
        at="received_at",
    ),
    "facts": Dataset(("name",)),
}

# Tables of a file that describe the machine, or follow from the code: they neither leave nor enter.
LOCAL_TABLES = ("kinds", "endpoints")
