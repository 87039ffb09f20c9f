"""What a HyperCore coin name says: perp, builder dex, spot pair or outcome token, and its canonical asset."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import polars as pl

TOKENS = Path(__file__).parent.parent / "data" / "hyperliquid_tokens.json"
# Lower-case k before an upper-case letter: the contract is for 1000 of the asset (kBONK, kPEPE).
THOUSANDS = r"^k[A-Z]"


@functools.cache
def tokens() -> dict[str, Any]:
    "Dollar tokens, the assets that wrapped spot tokens stand for, and the spot pairs whose base is known."
    loaded: dict[str, Any] = json.loads(TOKENS.read_text())
    return loaded


def exact(product: pl.Expr) -> pl.Expr:
    """The double nearest to a product or quotient of two short decimals.

    Prices have at most 5 significant digits, or are whole (Hyperliquid docs, "Tick and lot size"), so px x sz has no
    more than 15 and rounding there undoes what binary multiplication added.
    """
    return product.round_sig_figs(15)


def is_perp(coin: pl.Expr) -> pl.Expr:
    "True for perps, those of builder dexes included; false for spot pairs (`@107`, `PURR/USDC`) and outcomes (`#5`)."
    return ~(coin.str.starts_with("@") | coin.str.starts_with("#") | coin.str.contains("/", literal=True))


def dex(coin: pl.Expr) -> pl.Expr:
    "The builder dex of `xyz:TSLA`; empty for the main dex."
    return pl.when(coin.str.contains(":", literal=True)).then(coin.str.extract(r"^([^:]*):")).otherwise(pl.lit(""))


def multiplier(coin: pl.Expr) -> pl.Expr:
    "Units of the asset in one unit of the coin: 1000 for `kPEPE`, else 1."
    return pl.when(coin.str.replace(r"^[^:]*:", "").str.contains(THOUSANDS)).then(1000.0).otherwise(1.0)


def asset(coin: pl.Expr) -> pl.Expr:
    "The canonical asset: without dex prefix and `k`; the base of a known spot pair; else NULL."
    bare = coin.str.replace(r"^[^:]*:", "").str.replace(r"^k([A-Z])", "${1}")
    spot = coin.replace_strict(tokens()["spot_pairs"], default=None, return_dtype=pl.String)
    return pl.when(is_perp(coin)).then(bare).otherwise(spot)


def facts(coin: pl.Series) -> pl.DataFrame:
    "What the name of each coin in `coin` says, once a coin: `is_perp`, `dex`, `units` (the multiplier) and `asset`."
    name = pl.col("coin")
    names = pl.DataFrame({"coin": coin.unique().drop_nulls()}, schema={"coin": pl.String})
    return names.with_columns(is_perp=is_perp(name), dex=dex(name), units=multiplier(name), asset=asset(name))


def token_asset(token: pl.Expr) -> pl.Expr:
    "The canonical asset of a ledger token: `UBTC` is BTC; a name nobody mapped stands for itself."
    return token.replace(tokens()["assets"])


def is_dollar(token: pl.Expr) -> pl.Expr:
    "True for the tokens that count one dollar each; NULL where the token is not named."
    return token.str.to_uppercase().is_in(tokens()["dollar_tokens"])
