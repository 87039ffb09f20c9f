"""Numbers, times and lists as a reader says them."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "unknown"
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
SPANS = ((172_800, 86_400, "days"), (7200, 3600, "hours"), (120, 60, "minutes"))
FEW = 3


def money(usd: float | None) -> str:
    "US dollars in three significant digits: $12.3M; NULL is unknown, never 0."
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    sign = "-" if usd < 0 else ""
    return f"{sign}${short(abs(usd))}"


def short(value: float) -> str:
    "A positive number in three significant digits with its unit."
    for size, unit in UNITS:
        if value >= size * 0.9995:
            return f"{three(value / size)}{unit}"
    return three(value)


def three(value: float) -> str:
    "Three significant digits without an exponent; whole numbers stay whole."
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-9))
    text = f"{value:.{min(digits, 8)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(usd: float | None) -> str:
    "A price: five significant digits, with separators."
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    digits = 0 if abs(usd) >= 10_000 else max(0, 4 - math.floor(math.log10(abs(usd)))) if usd else 0  # noqa: PLR2004
    return f"${usd:,.{min(digits, 8)}f}"


def share(part: float | None) -> str:
    "A share of 0 to 1 in per cent; what is not all or nothing is never rounded to it."
    if part is None or not math.isfinite(part):
        return UNKNOWN
    percent = 100 * part
    if 0 < percent < 1 or 99 < percent < 100:  # noqa: PLR2004
        return f"{min(max(percent, 0.1), 99.9):.1f}%"
    return f"{percent:.0f}%"


def count(number: float | None) -> str:
    "A whole number with separators."
    return UNKNOWN if number is None else f"{number:,.0f}"


def several(number: int | None, noun: str, plural: str = "") -> str:
    "`3 accounts`, `1 account`."
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def lasting(seconds: float | None) -> str:
    "A length of time in a unit that fits."
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    for least, unit, name in SPANS:
        if abs(seconds) >= least:
            return f"{three(seconds / unit)} {name}"
    return f"{three(seconds)} s"


def at(instant: dt.datetime | dt.date | None) -> str:
    "A time to the minute, a day without one."
    if instant is None:
        return UNKNOWN
    if not isinstance(instant, dt.datetime):
        return instant.isoformat()
    return instant.strftime("%Y-%m-%d %H:%M:%S" if instant.second else "%Y-%m-%d %H:%M")


def clock(instant: dt.datetime | None) -> str:
    "Only the time of day."
    return UNKNOWN if instant is None else instant.strftime("%H:%M:%S" if instant.second else "%H:%M")


def window(since: dt.datetime, until: dt.datetime) -> str:
    "A half-open window; the day stands once where both edges share it."
    if since.date() == until.date():
        return f"{at(since)} to {clock(until)} UTC"
    return f"{at(since)} to {at(until)} UTC"


def account(address: str | None) -> str:
    "An address short enough for a line."
    if not address:
        return UNKNOWN
    return f"{address[:6]}…{address[-4:]}" if address.startswith("0x") and len(address) > 14 else address  # noqa: PLR2004


def listed(names: Iterable[str], most: int = 6) -> str:
    "`a, b and c`; what is left out is counted."
    every = list(names)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}" if every else "none"


def venue(name: str | None) -> str:
    "A venue's name as it is said: aave_v3 is Aave v3."
    if not name:
        return UNKNOWN
    words = name.split("_")
    return " ".join([words[0].capitalize() if words[0].islower() else words[0], *words[1:]])


def sentences(*parts: str) -> str:
    "The parts that say something, in one paragraph."
    return " ".join(part for part in parts if part)


def tally(table: Any, column: str) -> float | None:  # noqa: ANN401 - a polars frame, imported by nobody here
    "Sum of what is known in a column; None where nothing is."
    known: Sequence[float] = table[column].drop_nulls().to_list() if table.height else []
    return float(sum(known)) if known else None
