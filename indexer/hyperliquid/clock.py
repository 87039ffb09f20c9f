"""Times as nodes write them."""

from __future__ import annotations

from datetime import UTC, datetime


def milliseconds(text: str) -> int:
    "Milliseconds since 1970 of an ISO time in UTC, truncated; with or without zone, with any number of decimals."
    whole, _, fraction = text.strip().removesuffix("Z").removesuffix("+00:00").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1000 + int(f"{fraction[:3]:0<3}")
