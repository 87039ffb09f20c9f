"""GMX v2: one EventEmitter a chain emits PositionDecrease for every close; an order's type says which were forced."""

import polars as pl

from indexer.abi import event, keccak256
from indexer.declare import Deployment, Join, Mapping, Protocol, col, json, lit, when
from indexer.dynamic import address, keyed_words, signed, unsigned

CLOSE, ORDER, OTHER = (event("gmx_v2", name) for name in ("EventLog1", "EventLog2", "EventLog"))
DECREASE, CREATED, EXECUTED, INSOLVENT = (
    "0x" + keccak256(name).hex() for name in ("PositionDecrease", "MarketCreated", "OrderExecuted", "InsolventClose")
)
LIQUIDATION, ADL = 7, 1  # enums Order.OrderType and Order.SecondaryOrderType
USD = 10**30  # a dollar; a token's price is a dollar's over 10^decimals
ADDRESSES = ("account", "collateralToken", "marketToken", "indexToken", "longToken", "shortToken")


def items(frame: pl.DataFrame) -> pl.DataFrame:
    "The items of each log by key; products of two 256-bit numbers are taken before they become Float64."
    rows = []
    for data in frame["data"]:
        found = keyed_words(data, 2)
        words = found or {}
        tokens, price, side = (unsigned(words.get(key)) for key in ("sizeDeltaInTokens", "executionPrice", "isLong"))
        mark = unsigned(words.get("indexTokenPrice.min" if side else "indexTokenPrice.max"))
        pnl, left = signed(words.get("basePnlUsd")), unsigned(words.get("remainingCostUsd"))
        rows.append({
            "market_address": address(words.get("market")),
            **{key: address(words.get(key)) for key in ADDRESSES},
            **{key: None if key not in words else "0x" + words[key].hex() for key in ("orderKey", "key")},
            "order_type": unsigned(words.get("orderType")), "secondary": unsigned(words.get("secondaryOrderType")),
            "is_long": None if side is None else bool(side),
            "forced_usd": None if tokens is None or price is None else tokens * price / USD,
            "tokens": None if tokens is None else float(tokens), "price": None if price is None else price / USD,
            "mark": None if mark is None else mark / USD, "pnl": None if pnl is None else pnl / USD,
            "left": None if left is None else left / USD,
            "reason": "event data is not keyed items" if found is None else None,
        })  # fmt: skip
    texts = dict.fromkeys((*ADDRESSES, "market_address", "orderKey", "key", "reason"), pl.String)
    floats = dict.fromkeys(("forced_usd", "tokens", "price", "mark", "pnl", "left"), pl.Float64)
    schema = {**texts, **floats, "order_type": pl.Int64, "secondary": pl.Int64, "is_long": pl.Boolean}
    return frame.hstack(pl.DataFrame(rows, schema=schema))


PROTOCOL = Protocol(
    name="gmx_v2",
    sector="perp",
    methodology="Tokens closed times execution price of liquidation orders; closes by auto-deleveraging are rows outside totals.",
    decode=items,
    mappings=(
        Mapping(
            event=CLOSE,
            joins=(Join(ORDER, (("orderKey", "key"),), "any"), Join(OTHER, (("orderKey", "orderKey"),), "any")),
            where=(col("eventNameHash") == DECREASE)
            & ((col("order_type") == LIQUIDATION) | (col("EventLog2.secondary") == ADL).fill_null(value=False)),
            kind=when(col("order_type") == LIQUIDATION).then(lit("market")).otherwise(lit("adl")),
            liquidation={
                "market": col("market_address"),
                "account": col("account"),
                "side": when(col("is_long")).then(lit("long")).otherwise(lit("short")),
                "collateral_token": col("collateralToken"),
                "forced_usd": col("forced_usd"),
                "bad_debt_usd": col("EventLog.left"),
                "closed_pnl_usd": col("pnl"),
                "price_source": lit("event"),
                "price_at": col("logged_at"),
            },
            values={"unit_size": col("tokens"), "unit_price": col("price"), "unit_mark": col("mark")},
        ),
        Mapping(
            event=CLOSE,
            where=col("eventNameHash") == CREATED,
            markets={
                "market": col("marketToken"),
                "params": json(
                    index_token=col("indexToken"), long_token=col("longToken"), short_token=col("shortToken")
                ),
            },
        ),
    ),
    supporting=(ORDER, OTHER),
    topics=dict.fromkeys((CLOSE, ORDER, OTHER), ((DECREASE, CREATED, EXECUTED, INSOLVENT),)),
    notes=("Margin lost is not measured.",),
    deployments=(
        Deployment("gmx_v2", "arbitrum", "0xC8ee91A54287DB53897056e12D9819156D3822Fb", 107737756),
        Deployment("gmx_v2", "avalanche", "0xDb17B211c34240B014ab6d61d4A31FA0C0e20c26", 32162455),
        Deployment("gmx_v2", "botanix", "0xAf2E131d483cedE068e21a9228aD91E623a989C2"),
    ),
)
