"""OKX swaps and futures: sizes in contracts, both the side of the position and of the order, bankruptcy prices."""

from indexer.feed import Disclosure, Feed, History, Instruments, Rule, Stream, Venue

DOCS = "okx.com/docs-v5, liquidation orders channel"
SIDE = """CASE
  WHEN pos_side IN ('long', 'short') THEN pos_side
  WHEN order_side = 'sell' THEN 'long'
  WHEN order_side = 'buy' THEN 'short' END"""
# MARGIN and OPTION rows share the channel.
IS_PERP = r"coalesce(inst_type, 'SWAP') IN ('SWAP', 'FUTURES') AND (market IS NULL OR regexp_matches(market, '-(SWAP|\d{6})$'))"  # fmt: skip  # noqa: E501
FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": ("parent.instId", "instId", "frame.arg.instId"),
    "inst_type": ("parent.instType", "instType"),
    "pos_side": "posSide",
    "order_side": "side",
    "raw_size": "sz",
    "raw_price": "bkPx",
    "event_time": "ts",
}
V3_FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": "instrument_id",
    "raw_side": "type",
    "raw_size": "size",
    "raw_price": "price",
    "event_time": "created_at",
}
RAW_SIDE = "coalesce(nullif(pos_side, 'net'), order_side)"

VENUE = Venue(
    name="okx",
    venue_kind="cefi",
    hides="At most one order a contract and second, up to minutes late; USD at bankruptcy prices.",
    feeds=(
        Feed(
            name="liquidation-orders",
            frame="(frame ->> '$.arg.channel') IN ('liquidation-orders', 'liquidations')",
            parents=("$.data[*]",),
            records=("$.details[*]", "$"),
            fields=FIELDS,
            raw_side=RAW_SIDE,
            side=SIDE,
            where=f"event_time IS NOT NULL AND {IS_PERP}",
            price="bankruptcy",
        ),
        Feed(
            name="liquidation-orders",
            frame="json_type(frame, '$.data[0].details') = 'ARRAY' AND (frame ->> '$.arg.channel') IS NULL",
            parents=("$.data[*]",),
            records=("$.details[*]",),
            fields=FIELDS,
            raw_side=RAW_SIDE,
            side=SIDE,
            where=IS_PERP,
            price="bankruptcy",
            transport="rest",
        ),
        Feed(
            name="liquidation_v3",
            frame="(frame ->> '$.table') IN ('futures/liquidation', 'swap/liquidation')",
            records=("$.data[*]",),
            fields=V3_FIELDS,
            side="CASE raw_side WHEN '3' THEN 'long' WHEN '4' THEN 'short' END",
            clock="iso",
            price="bankruptcy",
        ),
    ),
    tardis=("okex-swap", "okex-futures"),
    tardis_price="bankruptcy",
    rules=(
        Rule("^BTC-USDT-", "contracts", "OKX contract specification: 0.01 BTC", value=0.01),
        Rule("^ETH-USDT-", "contracts", "OKX contract specification: 0.1 ETH", value=0.1),
        Rule("^BTC-USD-", "usd_contracts", "OKX contract specification: 100 USD", value=100.0),
        Rule("-USD-", "usd_contracts", "OKX contract specification: 10 USD", value=10.0),
        Rule("", "contracts", "ctVal of the instruments endpoint"),
    ),
    instruments=Instruments(
        url="https://www.okx.com/api/v5/public/instruments?instType=SWAP",
        frame="(frame ->> '$.data[0].ctVal') IS NOT NULL",
        fields={
            "market": "instId",
            "value": "ctVal",
            "kind": "ctType",
            "multiplier": "ctMult",
            "from_ms": "listTime",
            "to_ms": "expTime",
            "base": "ctValCcy",
            "settle": "settleCcy",
        },
        unit="CASE kind WHEN 'linear' THEN 'contracts' WHEN 'inverse' THEN 'usd_contracts' END",
        value="TRY_CAST(value AS DOUBLE) * coalesce(TRY_CAST(nullif(multiplier, '') AS DOUBLE), 1)",
    ),
    disclosures=(
        Disclosure("unknown", "v3 documents nothing", feed="liquidation_v3"),
        Disclosure("throttled_latest_1s", f"{DOCS}: one a contract and second", from_at="2021-12-23"),
    ),
    streams=(
        Stream(
            url="wss://ws.okx.com:8443/ws/v5/public",
            subscribe=(
                '{"op":"subscribe","args":[{"channel":"liquidation-orders","instType":"SWAP"}]}',
                '{"op":"subscribe","args":[{"channel":"liquidation-orders","instType":"FUTURES"}]}',
                '{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT-SWAP"}]}',
            ),
            ack="(frame ->> '$.event') = 'subscribe' AND (frame ->> '$.arg.channel') = 'liquidation-orders'",
            ping="ping",
            quiet_seconds=30.0,
            liquidation_quiet_seconds=1800.0,
            drops_first=True,
        ),
    ),
    histories=(
        History(
            feed="liquidation-orders",
            url="https://www.okx.com/api/v5/public/liquidation-orders",
            params={
                "instType": "SWAP",
                "state": "filled",
                "uly": "{market}",
                "before": "{since}",
                "after": "{until}",
                "limit": "{limit}",
            },
            n_records="if(json_type(page, '$.data') = 'ARRAY', len(page -> '$.data[*].details[*]'), NULL)",
            cursor="list_min(list_transform(page ->> '$.data[*].details[*].ts', lambda stamp: stamp::BIGINT))::VARCHAR",
            is_newest_first=True,
            limit=100,
            requests_per_minute=600.0,
            markets=("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "BTC-USD", "ETH-USD"),
            kept_seconds=23 * 3600,
            refusal="if((page ->> '$.code') <> '0', page ->> '$.msg', NULL)",
        ),
    ),
    origins=(DOCS, "tardis-dev/tardis-node src/mappers", "belyjelli/ai-rates"),
)
