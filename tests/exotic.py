"""Rows at the edges of what the tables hold."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from fixture_store import insert

LARGEST = 10**38 - 1
INSTANT = dt.datetime(2025, 10, 10, 21, 0, 0, 123456)


def fill(connection):
    "Put at least one row into every table that leaves as a file, with values that are easily damaged on the way."
    insert(
        connection,
        "liquidations",
        [
            {
                "event_id": "ethereum:1:2",
                "venue": "aave_v3",
                "sector": "lending",
                "protocol": "aave_v3",
                "chain": "ethereum",
                "kind": "call",
                "liquidated_at": INSTANT,
                "block_number": 1,
                "log_index": 2,
                "collateral_raw": Decimal(LARGEST),
                "debt_raw": Decimal(2**124),
                "forced_usd": 0.1 + 0.2,
                "source": "rpc",
            },
            {
                "event_id": "hyperliquid:1:@1:2:0xab",
                "market": 'a "quoted", market\nof two lines',
                "chain": "hyperliquid",
                "liquidated_at": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
                "size": 5e-324,
                "closed_pnl_usd": -0.0,
            },
            {
                "event_id": "binance:1",
                "venue": "binance/usd-m é",
                "venue_kind": "cefi",
                "liquidated_at": dt.datetime(2025, 11, 1),
                "forced_usd": 1.7976931348623157e308,
                "completeness": "throttled_largest_1s",
            },
        ],
    )
    insert(connection, "valuation_inputs", [{"event_id": "ethereum:1:2", "chain": "ethereum", "event_price": 1.5}])
    insert(
        connection,
        "flows",
        [{"flow_id": "f1", "flowed_at": INSTANT, "kind": "transfer", "amount_raw": Decimal(-LARGEST), "usd": 1.0}],
    )
    insert(connection, "positions", [{"observed_at": INSTANT, "account": "0xa1", "venue": "hyperliquid", "size": -1.5}])
    insert(
        connection,
        "prices",
        [
            {
                "asset": "ETH",
                "priced_at": INSTANT,
                "price_usd": 3000.1,
                "kind": "oracle",
                "chain": "ethereum",
                "block_number": 1,
            },
            {"asset": "ETH", "priced_at": INSTANT, "price_usd": 3000.2, "kind": "mark", "source": "hyperliquid"},
        ],
    )
    insert(
        connection,
        "rates",
        [
            {
                "chain": "ethereum",
                "base": "WSTETH",
                "quote": "ETH",
                "rate": 1.2,
                "block_number": 1,
                "kind": "call",
                "source": "x",
            }
        ],
    )
    for table in ("open_interest", "funding", "lending_totals"):
        insert(connection, table, [{"venue": "binance", "market": "BTCUSDT", "observed_at": INSTANT}])
    insert(connection, "cefi_totals", [{"venue": "binance", "bucket_at": INSTANT, "n_orders": 2**62}])
    insert(
        connection,
        "reported_totals",
        [
            {"source": "desk", "metric": "total", "value": 1e9},
            {"source": "desk", "metric": "longs", "value": 1e9, "reported_at": INSTANT},
        ],
    )
    insert(connection, "series", [{"name": "fear_greed", "observed_at": INSTANT, "value": 24, "label": "Extreme Fear"}])
    insert(connection, "tokens", [{"chain": "ethereum", "address": "0xaa", "symbol": "WETH", "decimals": 18}])
    insert(connection, "feeds", [{"chain": "ethereum", "address": "0xbb", "asset": "ETH", "decimals": 8}])
    insert(
        connection,
        "markets",
        [{"chain": "ethereum", "venue": "morpho", "market": "0xcc", "params": '{"lltv": "0.86", "a": [1, null]}'}],
    )
    insert(connection, "emitters", [{"chain": "ethereum", "address": "0xdd", "protocol": "aave_v3", "venue": "spark"}])
    insert(
        connection,
        "labels",
        [{"address": "0xee", "entity": "kraken"}, {"address": "0xee", "entity": "kraken", "from_at": INSTANT}],
    )
    insert(connection, "owners", [{"address": "0xff", "owner": "0xa1"}])
    insert(
        connection,
        "coverage",
        [
            {
                "source": "rpc",
                "chain": "ethereum",
                "dataset": "liquidations:aave_v3",
                "from_block": 1,
                "to_block": 9,
                "from_at": INSTANT,
                "to_at": dt.datetime(2025, 10, 10, 22),
                "n_rows": 1,
                "head_hash": "0x09",
            },
            {
                "source": "binance_ws",
                "dataset": "binance:forceOrder",
                "from_at": dt.datetime(2025, 10, 1),
                "to_at": dt.datetime(2025, 12, 1),
            },
        ],
    )
    insert(
        connection,
        "asked",
        [{"chain": "ethereum", "members_id": "m", "from_block": 1, "to_block": 9, "finality": "final"}],
    )
    insert(connection, "asked_members", [{"members_id": "m", "member": "0xdd:aave_v3"}])
    insert(
        connection,
        "gaps",
        [
            {
                "source": "rpc",
                "chain": "ethereum",
                "dataset": "flows:x",
                "from_block": 3,
                "to_block": 4,
                "reason": "pruned",
            }
        ],
    )
    insert(
        connection,
        "rejected",
        [{"source": "rpc", "chain": "ethereum", "block_number": 7, "reason": "short", "raw": '{"data": "0x"}'}],
    )
    insert(connection, "raw_frames", [{"source": "okx_ws", "received_at": INSTANT, "frame": '{"a":"é\\n"}'}])
    insert(
        connection,
        "raw_logs",
        [
            {
                "chain": "ethereum",
                "block_number": 1,
                "logged_at": INSTANT,
                "log_index": 2,
                "address": bytes(range(20)),
                "data": b"\x00\xff,\n\"'",
            }
        ],
    )
    insert(connection, "facts", [{"name": "simulated:devnet", "value": "true"}])
    return connection
