"""Kraken Futures: trades of type liquidation, named by the side of the order."""

from indexer.feed import ORDER, Disclosure, Feed, History, Rule, Stream, Venue

FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": ("product_id", "symbol", "frame.product_id"),
    "raw_side": "side",
    "type": "type",
    "raw_size": ("qty", "size"),
    "raw_price": "price",
    "event_time": "time",
    "native_id": ("uid", "trade_id"),
}

VENUE = Venue(
    name="kraken_futures",
    venue_kind="cefi",
    hides="Liquidations are flagged trades of a complete trade feed.",
    feeds=(
        Feed(
            name="trade",
            frame="(frame ->> '$.feed') IN ('trade', 'trade_snapshot')",
            records=("$", "$.trades[*]"),
            fields=FIELDS,
            where="type = 'liquidation'",
            side=ORDER,
            price="trade",
        ),
        Feed(
            name="trade",
            frame="json_type(frame, '$.history') = 'ARRAY'",
            records=("$.history[*]",),
            fields=FIELDS,
            where="type = 'liquidation'",
            side=ORDER,
            clock="iso",
            price="trade",
            transport="rest",
        ),
    ),
    tardis=("cryptofacilities",),
    rules=(
        Rule("^(PI|FI)_", "usd", "Kraken inverse contracts are 1 USD each"),
        Rule("", "base", "Kraken PF_ contracts in base units (unverified)"),
    ),
    disclosures=(Disclosure("trade_flag", "type of the trades of a complete feed"),),
    streams=(
        Stream(
            url="wss://futures.kraken.com/ws/v1",
            subscribe=(
                '{"event":"subscribe","feed":"heartbeat"}',
                '{"event":"subscribe","feed":"trade","product_ids":["{market}"]}',
            ),
            ack="(frame ->> '$.event') = 'subscribed' AND (frame ->> '$.feed') = 'trade'",
            quiet_seconds=60.0,
            markets=("PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD", "PF_XRPUSD", "PI_XBTUSD", "PI_ETHUSD"),
        ),
    ),
    histories=(
        History(
            feed="trade",
            url="https://futures.kraken.com/derivatives/api/v3/history",
            params={"symbol": "{market}", "lastTime": "{until}"},
            n_records="json_array_length(page, '$.history')",
            clock="iso",
            cursor="list_min(page ->> '$.history[*].time')",
            is_newest_first=True,
            limit=100,
            requests_per_minute=240.0,
            markets=("PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD", "PF_XRPUSD", "PI_XBTUSD", "PI_ETHUSD"),
            # Seven days, or since the engine restarted: only what its oldest trade shows is proven.
            kept_seconds=1,
            refusal="if((page ->> '$.result') = 'error', coalesce(page ->> '$.error', page ->> '$.errors[0].message'), NULL)",
        ),
    ),
    origins=("docs.kraken.com futures websocket and trade history", "tardis-dev/tardis-node test/mappers.test.ts"),
)
