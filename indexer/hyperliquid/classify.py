"""The truth table: which fill row is a liquidation, of what kind, and what of it is counted.

A forced trade is two fill rows with one tid, and both carry the same `liquidation` object. Only the liquidated user's
row becomes a row here. A position that the HLP vault had taken over and passes on is a `relay`; the winner it is closed
against is an `adl`; neither counts in totals. The other row only names the liquidator of a backstop.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from indexer.hyperliquid import blocks, coins

ARCHIVE = "hyperliquid_archive"  # hour files, of the archive or of an own node: they hold every fill
DELEVERAGED = "Auto-Deleveraging"
METHODS = ("market", "backstop")  # every method a counted row may have; all of them headline kinds
KEY = ["time", "coin", "tid"]  # the two rows of one trade
LEDGER_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "account": pl.String,
    "time": pl.Int64,
    "coin": pl.String,
    "hash": pl.String,
    "account_value": pl.Float64,
    "liquidated_ntl": pl.Float64,
}
LABEL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "address": pl.String,
    "entity": pl.String,
    "from_at": pl.Datetime("us"),
    "to_at": pl.Datetime("us"),
}


class Verdict(NamedTuple):
    "`rows` of table liquidations, `rejected` (block_number, reason, raw), and how many rows are odd but counted."

    rows: pl.DataFrame
    rejected: pl.DataFrame
    n_odd: int


def classify(
    fills: pl.DataFrame,
    vaults: pl.DataFrame,
    ledger: pl.DataFrame | None = None,
    *,
    source: str = ARCHIVE,
    watched: bool = False,
) -> Verdict:
    """The liquidations in `fills` (columns of fills.SCHEMA), one row per act, each event_id once.

    `vaults` (columns of LABEL_SCHEMA) are the known vaults with their dates; entity `hlp` makes a relay. `ledger`
    (columns of LEDGER_SCHEMA) are the ledger's liquidation events, one row per position, and give the margin lost.
    `watched` also builds a row from a counterparty's fill alone: only for feeds that follow single addresses.
    """
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA) if ledger is None else ledger
    described = fills.with_columns(at=pl.from_epoch("time", time_unit="ms")).join(
        coins.facts(fills["coin"]), on="coin", how="left", maintain_order="left"
    )
    if described["block_number"].has_nulls():
        described = described.with_columns(pl.coalesce("block_number", blocks.from_hash(described)))
    named = name_liquidated(described, ledger)
    sides = as_liquidated(named) if watched else named
    judged = sides.with_row_index("row").with_columns(role=role())
    judged = judged.with_columns(is_hlp=is_labelled(judged, vaults.filter(pl.col("entity") == "hlp")))
    judged = judged.with_columns(kind=kind()).with_columns(reason=reason())
    rejected = judged.filter(pl.col("reason").is_not_null()).select("block_number", "reason", raw()).unique()
    chosen = judged.filter(pl.col("kind").is_not_null() & pl.col("reason").is_null())
    with_others = chosen.join(counterparties(named), on=KEY, how="left", maintain_order="left")
    rows = once(with_margin(with_others, ledger), vaults, source)
    return Verdict(rows.drop("is_odd"), rejected, rows.filter("is_odd").height)


def raw() -> pl.Expr:
    "The record as the node wrote it: a pair, or a bare fill that names its user."
    pair = pl.format('["{}",{}]', "raw_account", "raw")
    return pl.when(pl.col("raw_account") == "").then("raw").otherwise(pair).alias("raw")


def name_liquidated(fills: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """`fills` with `liquidated_user` filled in where old rows lack it and the rest decides.

    A backstop names the liquidated side in `dir` on both rows and the liquidated user does not cross; of a market row
    the ledger event decides. What stays NULL is undecidable.
    """
    is_old = pl.col("is_tagged") & pl.col("liquidated_user").is_null()
    events = ledger.select("account", "time", "coin").unique().with_columns(in_ledger=pl.lit(value=True))
    joined = fills.join(events, on=["account", "time", "coin"], how="left", maintain_order="left")
    is_backstop = pl.col("dir").str.starts_with("Liquidated")
    is_own = pl.when(is_backstop).then(~pl.col("crossed")).otherwise(pl.col("in_ledger"))
    own = joined.filter(is_old & is_own).select(*KEY, owner="account").unique(KEY, keep="any", maintain_order=True)
    return joined.join(own, on=KEY, how="left", maintain_order="left").with_columns(
        liquidated_user=pl.when(is_old & is_own)
        .then("account")
        .when(is_old)
        .then("owner")
        .otherwise("liquidated_user"),
        is_other_side=is_old & is_backstop & pl.col("crossed"),
    )


def role() -> pl.Expr:
    """What a row is to the forced trade, NULL for an ordinary fill.

    `adl`: the winner's row. `own`: the liquidated user's. `other`: the other side. `untold`: `dir` names a liquidation
    but there is no object. `undecided`: the object does not say, and nothing else does, whose row it is.
    """
    is_named = pl.col("liquidated_user").is_not_null()
    return (
        pl.when(pl.col("dir").eq_missing(DELEVERAGED))
        .then(pl.lit("adl"))
        .when(~pl.col("is_tagged"))
        .then(pl.when(pl.col("dir").str.contains("(?i)liquidat")).then(pl.lit("untold")))
        .when(pl.col("account").is_null())
        .then(pl.lit("undecided"))
        .when(pl.col("account") == pl.col("liquidated_user"))
        .then(pl.lit("own"))
        .when(is_named | pl.col("is_other_side"))
        .then(pl.lit("other"))
        .otherwise(pl.lit("undecided"))
    )


def kind() -> pl.Expr:
    "The kind of the rows that become liquidations, NULL for rows that give nothing."
    return (
        pl.when(pl.col("role") == "adl")
        .then(pl.lit("adl"))
        .when(pl.col("role") == "own")
        .then(pl.when("is_hlp").then(pl.lit("relay")).otherwise("method"))
    )


def reason() -> pl.Expr:
    "Why a row that speaks of a liquidation cannot become one; NULL for every other row."
    is_other = ~pl.col("role").is_in(["adl", "own"])
    return (
        pl.when(pl.col("role") == "untold")
        .then(pl.lit("dir names a liquidation but the liquidation object is missing"))
        .when(pl.col("role") == "undecided")
        .then(pl.lit("liquidatedUser is missing and nothing else says whose row it is"))
        .when(is_other.fill_null(value=True))
        .then(None)
        .when(~pl.col("account").fill_null("").str.contains("^0x[0-9a-f]{40}$"))
        .then(pl.lit("no account address"))
        .when(pl.col("coin").is_null() | pl.col("time").is_null() | pl.col("tid").is_null())
        .then(pl.lit("coin, time or tid is missing"))
        .when(~pl.col("is_perp"))
        .then(pl.lit("a liquidation of a coin that is not a perp"))
        .when(~pl.col("side").is_in(["A", "B"]).fill_null(value=False))
        .then(pl.lit("side is neither A nor B"))
        .when(~is_amount("px") | ~is_amount("sz"))
        .then(pl.lit("px or sz is not a positive number"))
        .when(~pl.col("kind").is_in([*METHODS, "adl", "relay"]).fill_null(value=False))
        .then(pl.lit("unknown liquidation method"))
    )


def is_amount(column: str) -> pl.Expr:
    "True for a finite number above zero."
    return (pl.col(column).is_finite() & (pl.col(column) > 0)).fill_null(value=False)


def is_labelled(rows: pl.DataFrame, labels: pl.DataFrame) -> pl.Series:
    "True for the `rows` (`row`, `account`, `at`) whose account has one of `labels` at that time."
    matches = (
        rows.select("row", "account", "at")
        .join(labels, left_on="account", right_on="address", how="inner")
        .filter(
            (pl.col("from_at").is_null() | (pl.col("from_at") <= pl.col("at")))
            & (pl.col("to_at").is_null() | (pl.col("at") < pl.col("to_at")))
        )
    )
    return rows["row"].is_in(matches["row"].unique().implode()).alias("is_labelled")


def counterparties(fills: pl.DataFrame) -> pl.DataFrame:
    "The other account of each trade (KEY, `counterparty`); of several, the first in order of address."
    return (
        fills.filter(pl.col("is_tagged") & (pl.col("account") != pl.col("liquidated_user")))
        .group_by(KEY)
        .agg(counterparty=pl.col("account").min())
    )


def as_liquidated(named: pl.DataFrame) -> pl.DataFrame:
    """`named` with every other side's row turned into the liquidated user's, where that row is not there itself.

    The side is the opposite one; profit, fee and position of the other side say nothing of the liquidated user.
    """
    roles = named.with_columns(role=role())
    present = roles.filter(pl.col("role") == "own").select(*KEY, liquidated_user="account")
    turned = (
        roles.filter((pl.col("role") == "other") & pl.col("liquidated_user").is_not_null())
        .join(present, on=[*KEY, "liquidated_user"], how="anti")
        .with_columns(
            account="liquidated_user",
            side=pl.col("side").replace({"A": "B", "B": "A"}),
            crossed=~pl.col("crossed"),
            closed_pnl=pl.lit(None, pl.Float64),
            fee=pl.lit(None, pl.Float64),
            start_position=pl.lit(None, pl.Float64),
        )
    )
    return pl.concat([named, turned.drop("role")])


def with_margin(chosen: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    "`chosen` with the account value each backstop fill stands for: the event's, shared by notional at the mark."
    is_same = (action("own_hash") == action("hash")).fill_null(value=True)
    events = (
        chosen.filter(pl.col("kind") == "backstop")
        .select("row", "account", "time", "coin", "mark_px", "sz", own_hash="hash")
        .join(ledger, on=["account", "time", "coin"], how="inner")
        .filter(is_same & (pl.col("liquidated_ntl") != 0))
        .sort("row", "account_value")
        .unique("row", keep="first", maintain_order=True)
    )
    lost = pl.col("account_value") * (pl.col("mark_px") * pl.col("sz")) / pl.col("liquidated_ntl")
    shares = events.select("row", margin_lost_usd=coins.exact(lost))
    return chosen.join(shares, on="row", how="left", maintain_order="left")


def action(name: str) -> pl.Expr:
    "The hash in column `name`, lower case; NULL for the zero hash of TWAP slices and funding, which names no action."
    return pl.when(~pl.col(name).str.contains("^0x0*$")).then(pl.col(name).str.to_lowercase())


def once(chosen: pl.DataFrame, vaults: pl.DataFrame, source: str) -> pl.DataFrame:
    """Rows of table liquidations from the chosen fills, each event_id once.

    A self-match has two rows of one account; the liquidated user's is the one that crosses, in a backstop the other.
    """
    ids = pl.format("hyperliquid:{}:{}:{}:{}", "time", "coin", "tid", "account")
    is_wrong_side = pl.when(pl.col("kind") == "market").then(~pl.col("crossed")).otherwise(pl.col("crossed"))
    unique = (
        chosen.with_columns(event_id=ids, is_wrong_side=is_wrong_side)
        .sort("time", "tid", "coin", "account", "is_wrong_side", "block_number", "raw", nulls_last=True)
        .unique("event_id", keep="first", maintain_order=True)
    )
    return unique.select(*columns(is_labelled(unique, vaults), source))


def columns(is_vault: pl.Series, source: str) -> list[pl.Expr]:
    "The columns of table liquidations, and `is_odd`."
    units, is_main = pl.col("units"), pl.col("dex") == ""
    side = pl.col("side").replace_strict({"A": "long", "B": "short"}, return_dtype=pl.String)
    # Dexes settle in one of the dollar tokens; one that names another fee token has a quote without a price here.
    is_dollar = coins.is_dollar(pl.col("fee_token"))
    is_par = is_main | is_dollar.fill_null(value=True)
    forced = pl.when(is_par).then(coins.exact(pl.col("px") * pl.col("sz")))
    is_deleveraged = (pl.col("kind") == "adl") & (pl.col("liquidated_user") != pl.col("account"))
    liquidator = pl.when(pl.col("kind") == "backstop").then("counterparty").when(is_deleveraged).then("liquidated_user")
    turned = pl.col("dir").fill_null("").str.contains(">", literal=True)
    contradicts = pl.when(side == "long").then(pl.col("start_position") < 0).otherwise(pl.col("start_position") > 0)
    return [
        pl.col("event_id"),
        pl.lit("hyperliquid").alias("venue"),
        pl.lit("defi").alias("venue_kind"),
        pl.lit("perp").alias("sector"),
        pl.lit("hyperliquid").alias("protocol"),
        pl.lit("hyperliquid").alias("chain"),
        pl.col("coin").alias("market"),
        pl.col("kind"),
        pl.col("kind").is_in(METHODS).alias("is_headline"),
        pl.col("at").alias("liquidated_at"),
        pl.col("block_number"),
        action("hash").alias("tx_hash"),
        pl.col("account"),
        pl.when(is_vault).then(pl.lit("vault")).otherwise(pl.lit("user")).alias("account_kind"),
        liquidator.alias("liquidator"),
        side.alias("side"),
        pl.col("asset"),
        coins.exact(pl.col("sz") * units).alias("size"),
        coins.exact(pl.col("px") / units).alias("price"),
        coins.exact(pl.col("mark_px") / units).alias("mark_price"),
        forced.alias("forced_usd"),
        pl.when(is_dollar).then("fee").alias("protocol_fee_usd"),
        pl.col("margin_lost_usd"),
        pl.col("closed_pnl").alias("closed_pnl_usd"),
        pl.when(is_par).then(pl.lit("fill")).alias("price_source"),
        pl.when(is_par).then("at").alias("price_at"),
        pl.lit("full" if source == ARCHIVE else "unknown").alias("completeness"),
        pl.lit(source).alias("source"),
        (turned | contradicts.fill_null(value=False)).alias("is_odd"),
    ]
