"""Ledger updates, of the node or of the API: value moved, and the account value that liquidations took."""

from __future__ import annotations

import json
from typing import NamedTuple

import polars as pl

from indexer.hyperliquid import blocks, classify, coins
from indexer.hyperliquid.fills import parser

DELTA = {
    "type": "VARCHAR",
    "user": "VARCHAR",
    "destination": "VARCHAR",
    "vault": "VARCHAR",
    "token": "VARCHAR",
    "usdc": "DOUBLE",
    "amount": "DOUBLE",
    "usdcValue": "DOUBLE",
    "netWithdrawnUsd": "DOUBLE",
    "liquidatedNtlPos": "DOUBLE",
    "accountValue": "DOUBLE",
    "liquidatedPositions": [{"coin": "VARCHAR", "szi": "DOUBLE"}],
}
TYPED = f"""
SELECT position, block_number, time, hash, users, delta AS raw, unnest(typed)
FROM (SELECT *, json_transform(delta, '{json.dumps(DELTA)}') AS typed FROM incoming)
ORDER BY position
"""
TYPED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "position": pl.UInt32,
    "block_number": pl.Int64,
    "time": pl.Int64,
    "hash": pl.String,
    "users": pl.List(pl.String),
    "raw": pl.String,
    **{name: pl.Float64 if kind == "DOUBLE" else pl.String for name, kind in DELTA.items() if isinstance(kind, str)},
    "liquidatedPositions": pl.List(pl.Struct({"coin": pl.String, "szi": pl.Float64})),
}
# Between whom each type moves value: `self` is the acting account; None is outside HyperCore, or nobody it names.
PARTIES: dict[str, tuple[str | None, str | None]] = {
    "deposit": (None, "self"),
    "withdraw": ("self", None),
    "send": ("self", "destination"),
    "spotTransfer": ("self", "destination"),
    "internalTransfer": ("self", "destination"),
    "subAccountTransfer": ("self", "destination"),
    "accountClassTransfer": ("self", "self"),
    "perpDexClassTransfer": ("self", "self"),
    "cStakingTransfer": ("self", "self"),
    "borrowLend": ("self", "self"),
    "vaultCreate": ("self", "vault"),
    "vaultDeposit": ("self", "vault"),
    "vaultWithdraw": ("vault", "self"),
    "vaultDistribution": ("vault", "self"),
    "vaultLeaderCommission": (None, "self"),
    "rewardsClaim": (None, "self"),
    "spotGenesis": (None, "self"),
    "deployGasAuction": ("self", None),
    "accountActivationGas": ("self", None),
    "gossipPriorityGasAuction": ("self", None),
    "activateDexAbstraction": ("self", None),
}
KINDS = {"deposit": "bridge_in", "withdraw": "bridge_out"}
OWN = ["accountClassTransfer", "perpDexClassTransfer", "cStakingTransfer", "subAccountTransfer"]
# System addresses stand for tokens on HyperEVM: 0x20, then the token's index; HYPE has 0x2222... (Hyperliquid docs).
SYSTEM = "^0x(20{31}[0-9a-f]{8}|2{40})$"


class Ledger(NamedTuple):
    "`flows` and `rejected` rows, and the liquidation events, one row per position (classify.LEDGER_SCHEMA)."

    flows: pl.DataFrame
    liquidations: pl.DataFrame
    rejected: pl.DataFrame


def read(updates: pl.DataFrame, source: str) -> Ledger:
    """What `updates` (misc.LEDGER_SCHEMA) say, in the order given.

    An update of a type that nobody has described is rejected with its JSON; one without amount, time or account too.
    """
    typed = decode(updates).with_columns(
        account=pl.coalesce("user", pl.col("users").list.first()).str.to_lowercase(),
        time=pl.col("time").cast(pl.Int64),
        hash=pl.col("hash").cast(pl.String),
    )
    moves = typed.with_columns(reason=reason(), hash_block=blocks.from_hash(typed))
    return Ledger(
        flows(moves.filter(pl.col("reason").is_null() & (pl.col("type") != "liquidation")), source),
        liquidations(moves.filter(pl.col("reason").is_null() & (pl.col("type") == "liquidation"))),
        moves.filter(pl.col("reason").is_not_null()).select("block_number", "reason", "raw"),
    )


def decode(updates: pl.DataFrame) -> pl.DataFrame:
    "`updates` with the fields of DELTA as columns, NULL where a value is not of its type; `raw` is the JSON."
    if updates.is_empty():
        return pl.DataFrame(schema=TYPED_SCHEMA)
    cursor = parser().cursor()
    cursor.register("incoming", updates.with_row_index("position").to_arrow())
    return pl.DataFrame(pl.from_arrow(cursor.sql(TYPED).to_arrow_table()))


def amount() -> pl.Expr:
    "Whole tokens moved."
    return pl.coalesce(pl.when(pl.col("type") == "vaultWithdraw").then("netWithdrawnUsd"), "amount", "usdc")


def reason() -> pl.Expr:
    "Why an update gives neither a flow nor a liquidation event; NULL where it gives one."
    is_liquidation = pl.col("type") == "liquidation"
    return (
        pl.when(pl.col("type").is_null() | ~pl.col("type").is_in(["liquidation", *PARTIES]))
        .then(pl.format("unknown ledger update {}", pl.col("type").fill_null("without type")))
        .when(pl.col("time").is_null() | pl.col("account").is_null())
        .then(pl.lit("a ledger update without time or account"))
        .when(~is_liquidation & (pl.col("type") != "activateDexAbstraction") & ~is_finite(amount()))
        .then(pl.lit("a ledger update without an amount"))
        .when(is_liquidation & pl.any_horizontal(pl.col("accountValue", "liquidatedNtlPos").is_null()))
        .then(pl.lit("a liquidation without accountValue or liquidatedNtlPos"))
    )


def is_finite(number: pl.Expr) -> pl.Expr:
    "True for a number that is there and finite."
    return number.is_finite().fill_null(value=False)


def party(index: int) -> pl.Expr:
    "The sender (0) or the receiver (1), NULL where it is outside or not named."
    roles = {name: parties[index] for name, parties in PARTIES.items()}
    role = pl.col("type").replace_strict(roles, return_dtype=pl.String)
    return (
        pl.when(role == "self")
        .then("account")
        .when(role == "destination")
        .then(pl.col("destination").str.to_lowercase())
        .when(role == "vault")
        .then(pl.col("vault").str.to_lowercase())
    )


def direction() -> pl.Expr:
    "Over a bridge (HyperEVM's system addresses included), between a user's own, or elsewhere."
    sender, receiver = pl.col("from_address"), pl.col("to_address")
    return (
        pl.when((pl.col("type") == "deposit") | sender.str.contains(SYSTEM))
        .then(pl.lit("from_bridge"))
        .when((pl.col("type") == "withdraw") | receiver.str.contains(SYSTEM))
        .then(pl.lit("to_bridge"))
        .when(pl.col("type").is_in(OWN) | (sender == receiver).fill_null(value=False))
        .then(pl.lit("internal"))
        .otherwise(pl.lit("other"))
    )


def flows(moves: pl.DataFrame, source: str) -> pl.DataFrame:
    "Rows of table flows, one a ledger update; equal updates of one action are numbered in their order."
    prefix = pl.format(
        "hyperliquid:{}:{}:{}:{}", "time", pl.col("hash").fill_null("").str.to_lowercase(), "type", "account"
    )
    is_usdc = pl.col("usdc").is_not_null() | pl.col("netWithdrawnUsd").is_not_null()
    token = pl.coalesce("token", pl.when(is_usdc).then(pl.lit("USDC")))
    is_par = coins.is_dollar(pl.col("token")).fill_null(value=False)
    return (
        moves.filter(is_finite(amount()))
        .with_columns(
            prefix=prefix,
            from_address=party(0),
            to_address=party(1),
            token=token,
            block_number=pl.coalesce(pl.col("block_number").cast(pl.Int64), "hash_block"),
        )
        .with_columns(copy=pl.int_range(pl.len()).over("prefix"))
        .select(
            flow_id=pl.format("{}:{}", "prefix", "copy"),
            flowed_at=pl.from_epoch("time", time_unit="ms"),
            chain=pl.lit("hyperliquid"),
            block_number="block_number",
            tx_hash=pl.when(~pl.col("hash").str.contains("^0x0*$")).then(pl.col("hash").str.to_lowercase()),
            kind=pl.col("type").replace_strict(KINDS, default="ledger", return_dtype=pl.String),
            account="account",
            from_address="from_address",
            to_address="to_address",
            direction=direction(),
            venue=pl.lit("hyperliquid"),
            token="token",  # noqa: S106 - the name of a column
            asset=coins.token_asset(pl.col("token").str.replace(":.*$", "")),
            amount=amount(),
            usd=pl.coalesce("usdcValue", pl.when(is_par).then(amount())),
            price_source=pl.when(pl.col("usdcValue").is_not_null())
            .then(pl.lit("event"))
            .when(is_par)
            .then(pl.lit("par")),
            source=pl.lit(source),
        )
    )


def liquidations(events: pl.DataFrame) -> pl.DataFrame:
    "The liquidation events, one row per position that was open at that moment."
    return (
        events.explode("liquidatedPositions")
        .unnest("liquidatedPositions")
        .select(
            "account",
            "time",
            "coin",
            "hash",
            account_value="accountValue",
            liquidated_ntl="liquidatedNtlPos",
        )
        .cast(pl.Schema(classify.LEDGER_SCHEMA))
        .unique(maintain_order=True)
    )
