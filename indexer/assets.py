"""One table from the symbols of venues to canonical assets."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path
from typing import NamedTuple

ALIASES = Path(__file__).parent / "data" / "assets.csv"
# Counted as one US dollar: the quotes of derivatives that are worth a dollar each.
PAR = frozenset({"USD", "USDT", "USDC", "BUSD", "FDUSD"})

DOLLARS = "FDUSD|USDT|USDC|BUSD|USD"
QUOTES = rf"{DOLLARS}|UST|EUR|GBP|JPY|KRW|TRY|BTC|XBT|ETH|BNB"
# Assets that end in B, quoted in USD: BNBUSD is BNB in USD, not BN in BUSD.
ENDS_IN_B = "BNB|ARB|(?:1000)?SHIB|TRB|SUPERB"
MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
DATED = rf"\d{{1,2}}(?:{MONTHS})\d\d|\d{{6}}|\d{{8}}"
MONTH_CODE = r"[FGHJKMNQUVXZ]\d\d"

# How venues write a market, the first that fits the whole symbol. Groups: base, quote, expiry, option, spot.
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"t(?P<base>[A-Z0-9]+)F0:(?P<quote>[A-Z0-9]+)F0",  # Bitfinex derivatives
        rf"(?P<spot>t)(?P<base>[A-Z0-9]{{2,}}?):?(?P<quote>{QUOTES}|UDC)",  # Bitfinex margin pairs
        rf"(?:P[IFV]|F[IFV])_(?P<base>[A-Z0-9]+?)(?P<quote>USD|EUR|GBP)(?:_(?P<expiry>{DATED}))?",  # Kraken Futures
        rf"(?P<base>{ENDS_IN_B})(?P<quote>USD)(?:_(?:PERP|(?P<expiry>{DATED})))?",
        rf"(?P<base>[A-Za-z0-9]+?)(?P<quote>{DOLLARS})_(?:PERP|[USDC]+MCBL|(?P<expiry>{DATED}))",  # Binance, Bitget v1
        rf"(?P<base>[A-Z0-9]+)[-_](?P<quote>{QUOTES})[-_](?P<expiry>{DATED})-(?P<option>[0-9.d]+-[CP])",
        rf"(?P<base>[A-Z0-9]+)-(?P<expiry>{DATED})-(?P<option>[0-9.d]+-[CP](?:-USDT)?)",
        rf"(?P<base>[A-Za-z0-9]+)[-_](?P<quote>{QUOTES})(?:[-_](?:SWAP|PERP|PERPETUAL|(?P<expiry>{DATED}|[CN][WQ])))?",
        rf"(?P<base>[A-Z0-9]+?)(?P<quote>{DOLLARS})-?(?P<expiry>{MONTH_CODE}|{DATED})",  # Bybit dated
        rf"(?P<base>[A-Z0-9]+)-(?:PERP|PERPETUAL|(?P<expiry>{DATED}|\d{{4}}))",  # FTX, Deribit inverse, Bybit USDC
        r"(?P<base>[A-Z]{2,})(?P<expiry>_[CN][WQ]|\d{6})",  # HTX coin-margined futures
        rf"(?P<base>XBT)(?P<expiry>{MONTH_CODE})",  # BitMEX dated
        r"(?P<base>[A-Z0-9]{2,})PERP",  # Bybit and Bitget, margined in USDC
        rf"(?P<base>\w+?)(?P<quote>{DOLLARS})M?",  # BTCUSDT, and KuCoin's XBTUSDTM
        rf"(?P<base>[A-Z0-9]{{3,}}?)(?P<quote>{QUOTES})",  # ETHBTC
        rf"(?P<spot>)(?P<base>[A-Z0-9]+)/(?P<quote>{QUOTES})",
    )
)
MULTIPLIER = re.compile(r"(10000000|1000000|100000|10000|1000)([A-Z].*)")
THOUSANDS = re.compile(r"k([A-Z][A-Z0-9]*)")


class Symbol(NamedTuple):
    """What a venue's symbol stands for.

    One contract unit is `multiplier` units of `asset` (1000PEPE: 1000). `kind` is perpetual, future, option, spot or
    unknown; an unknown symbol keeps its own name as `asset` and has no `quote`.
    """

    asset: str
    base: str
    quote: str | None
    kind: str
    expiry: str | None
    multiplier: float

    @property
    def is_known(self) -> bool:
        "Did a pattern of the table fit the symbol."
        return self.kind != "unknown"

    @property
    def is_par(self) -> bool:
        "Is the quote counted as one US dollar."
        return self.quote in PAR


@functools.cache
def aliases() -> dict[tuple[str, str], tuple[str, float]]:
    "(venue or empty, symbol) to (asset, multiplier): the exceptions that no pattern can know."
    with ALIASES.open(encoding="utf-8", newline="") as file:
        return {(row["venue"], row["symbol"]): (row["asset"], float(row["multiplier"])) for row in csv.DictReader(file)}


def asset(base: str, venue: str = "") -> tuple[str, float]:
    "The canonical asset of a base symbol, and how many of its units one unit of the symbol is (kPEPE: PEPE, 1000)."
    known = aliases()
    if found := known.get((venue, base)) or known.get(("", base)):
        return found
    if found_multiplier := MULTIPLIER.fullmatch(base):
        name, inner = asset(found_multiplier[2], venue)
        return name, inner * float(found_multiplier[1])
    if found_thousands := THOUSANDS.fullmatch(base):
        name, inner = asset(found_thousands[1], venue)
        return name, inner * 1000.0
    return base, 1.0


def parse(symbol: str, venue: str = "") -> Symbol:
    "What `symbol` of `venue` stands for."
    for pattern in PATTERNS:
        if match := pattern.fullmatch(symbol):
            groups = match.groupdict()
            name, multiplier = asset(groups["base"], venue)
            quote = asset(groups.get("quote") or "USD", venue)[0]
            expiry = groups.get("expiry")
            if groups.get("option"):
                kind = "option"
            elif groups.get("spot") is not None:
                kind = "spot"
            else:
                kind = "future" if expiry else "perpetual"
            return Symbol(name, groups["base"], quote, kind, expiry, multiplier)
    name, multiplier = asset(symbol, venue)
    return Symbol(name, symbol, None, "unknown", None, multiplier)
