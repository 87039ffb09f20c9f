"""One column of a file: the SQL of its value as the schema has it, and of what is wrong with it."""

from __future__ import annotations

from typing import NamedTuple

ROW = "imported row"  # number of a record in its file, from 1; no column of a table has a blank in its name

# Patterns are for the whole text.
WHOLE = r"\s*[+-]?\d+(\.0*)?\s*"
NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
HEX = r"0[xX][0-9a-fA-F]*"
# ISO 8601: a date, or a date and a time, perhaps with a zone as an offset. DuckDB's own cast of a text drops the zone.
INSTANT = r"^\s*(\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?)"
ZONE = r":\d{2}(?:\.\d+)?\s*(Z|z|UTC|[+-]\d{2}:?(?:\d{2})?)\s*$"
ISO = r"\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)?)?\s*"

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
KINDS = {
    "TIMESTAMP": "a time (ISO 8601, UTC)",
    "DOUBLE": "a finite number",
    "BOOLEAN": "true or false",
    "BLOB": "bytes (0x and hex digits)",
    "JSON": "JSON",
    "VARCHAR": "text",
}
ADDRESSES = {  # 0x values are stored in lower case
    "account", "liquidator", "collateral_token", "debt_token", "tx_hash", "block_hash", "market", "from_address",
    "to_address", "token", "address", "owner", "head_hash", "parent", "base", "quote",
}  # fmt: skip
# What schema.sql says a column may hold; NULL is always allowed where the column is not required.
VOCABULARY: dict[tuple[str, str], tuple[str, ...]] = {
    ("liquidations", "venue_kind"): ("defi", "cefi"),
    ("liquidations", "sector"): ("perp", "lending", "cdp"),
    ("liquidations", "side"): ("long", "short"),
    ("liquidations", "account_kind"): ("user", "vault", "protocol"),
    ("flows", "kind"): ("transfer", "supply", "withdraw", "borrow", "repay", "bridge_in", "bridge_out", "ledger"),
    ("flows", "direction"): (
        "to_exchange", "from_exchange", "internal", "to_bridge", "from_bridge", "to_lending", "from_lending", "other",
    ),
    ("prices", "kind"): ("oracle", "mark", "trade", "kline"),
    ("tokens", "kind"): ("stable", "volatile", "staked", "lp"),
    ("coverage", "finality"): ("final", "pending"),
    ("asked", "finality"): ("final", "pending"),
}  # fmt: skip
COMPLETENESS = ("full", "throttled_latest_1s", "throttled_largest_1s", "trade_flag", "unknown")
VOCABULARY |= {(table, "completeness"): COMPLETENESS for table in ("liquidations", "cefi_totals")}
# Amounts and values that have no sign; a price of 0 would be a missing one in disguise.
UNSIGNED = {
    "liquidations": ("size", "price", "mark_price", "forced_usd", "seized_usd", "repaid_usd", "bad_debt_usd",
                     "collateral_raw", "collateral_amount", "debt_raw", "debt_amount"),
}  # fmt: skip
POSITIVE = {"prices": ("price_usd",)}


class Column(NamedTuple):
    "SQL over the records `taken`: `value` has the schema's type; `problems` are conditions with their reasons."

    value: str
    problems: list[tuple[str, str]]


def column(table: str, name: str, given: str, wanted: str, *, is_required: bool) -> Column:
    "How column `name` of a file, of type `given`, becomes the column of `table`, of type `wanted`."
    raw = f'taken."{name}"'
    value = _value(raw, given, wanted)
    shown = f"left({raw}::VARCHAR, 80)"
    problems = []
    if is_required:
        is_empty = f" OR trim({value}) = ''" if wanted == "VARCHAR" else ""
        problems.append((f"{raw} IS NULL{is_empty}", f"'{name} is missing'"))
    if value != raw:
        kind = KINDS.get(wanted, f"a whole number that fits {wanted}")
        problems.append((f"{raw} IS NOT NULL AND ({value}) IS NULL", f"'{name} is not {kind}: ' || {shown}"))
    if words := VOCABULARY.get((table, name)):
        listed = ", ".join(f"'{word}'" for word in words)
        problems.append((f"{value} NOT IN ({listed})", f"'{name} is ' || {shown} || ', not one of {', '.join(words)}'"))
    if (table, name) == ("liquidations", "kind"):
        unknown = f"{value} NOT IN (SELECT kind FROM kinds)"
        problems.append((unknown, f"'kind is ' || {shown} || ', not one of table kinds'"))
    if name in UNSIGNED.get(table, ()):
        problems.append((f"{value} < 0", f"'{name} is negative: ' || {shown}"))
    if name in POSITIVE.get(table, ()):
        problems.append((f"{value} <= 0", f"'{name} is not above 0: ' || {shown}"))
    if name in ADDRESSES and wanted == "VARCHAR":
        is_hex = f"({value} LIKE '0x%' OR {value} LIKE '0X%')"
        problems.append(
            (f"{is_hex} AND NOT regexp_full_match({value}, '{HEX}')", f"'{name} is no hex number: ' || {shown}")
        )
        value = f"CASE WHEN {is_hex} THEN lower({value}) ELSE {value} END"
    return Column(value, problems)


def bad_row(columns: list[Column], records: str) -> str:
    "SQL of the first bad row of `records`, if any: its number from 1 and what is wrong."
    problems = [problem for column in columns for problem in column.problems]
    cases = " ".join(f"WHEN {condition} THEN {reason}" for condition, reason in problems)
    anything = " OR ".join(f"({condition})" for condition, _ in problems)
    return f'SELECT "{ROW}", CASE {cases} END FROM {records} AS taken WHERE {anything} ORDER BY "{ROW}" LIMIT 1'


def is_nested(given: str) -> bool:
    "Whether a column of a file holds lists or structures, which no column of a table does."
    return given.endswith("]") or given.startswith(("STRUCT", "MAP", "UNION"))


def _value(raw: str, given: str, wanted: str) -> str:
    "SQL of `raw` as `wanted`, NULL where it is none."
    text = f"{raw}::VARCHAR"
    if wanted == "TIMESTAMP":
        return _instant(raw, given)
    if wanted == "DOUBLE":
        is_number = given in INTEGERS or given in {"DOUBLE", "FLOAT"} or given.startswith("DECIMAL")
        number = f"TRY_CAST({raw if is_number else _matching(text, NUMBER)} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    if wanted == "BLOB" and given != wanted:
        return f"unhex(substr({_matching(text, '0x([0-9a-fA-F]{2})*')}, 3))"
    if wanted in {given, "VARCHAR"}:
        return raw if given == wanted else text
    if wanted in {"BOOLEAN", "JSON"}:
        return f"TRY_CAST({text} AS {wanted})"
    return f"TRY_CAST({raw if given in INTEGERS else _matching(text, WHOLE)} AS {wanted})"


def _matching(text: str, pattern: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {text} END"


def _instant(raw: str, given: str) -> str:
    "SQL of `raw` as naive UTC, to the microsecond."
    if given == "TIMESTAMP WITH TIME ZONE":
        return f"CASE WHEN isfinite({raw}) THEN make_timestamp(epoch_us({raw})) END"
    if given.startswith("TIMESTAMP") or given == "DATE":
        return f"CASE WHEN isfinite({raw}) THEN TRY_CAST({raw} AS TIMESTAMP) END"
    text = f"{raw}::VARCHAR"
    zone = f"regexp_extract({text}, '{ZONE}', 1)"
    sign = f"CASE WHEN {zone} LIKE '-%' THEN -1 ELSE 1 END"
    hours = f"coalesce(TRY_CAST(regexp_extract({zone}, '^[+-](\\d{{2}})', 1) AS INTEGER), 0)"
    minutes = f"coalesce(TRY_CAST(regexp_extract({zone}, '^[+-]\\d{{2}}:?(\\d{{2}})$', 1) AS INTEGER), 0)"
    naive = f"TRY_CAST(regexp_extract({text}, '{INSTANT}', 1) AS TIMESTAMP)"
    shifted = f"{naive} - to_minutes({sign} * ({hours} * 60 + {minutes}))"
    return f"CASE WHEN regexp_full_match({text}, '{ISO}') THEN {shifted} END"
