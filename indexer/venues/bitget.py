"""Bitget: the word names the position and the amount is in quote currency."""

from indexer.feed import POSITION, Disclosure, Feed, Rule, Stream, Venue

VENUE = Venue(
    name="bitget",
    venue_kind="cefi",
    hides="At most one order a symbol and second (the vendor's claim); no history.",
    feeds=(
        Feed(
            name="liquidation",
            frame="(frame ->> '$.arg.topic') = 'liquidation'",
            records=("$.data[*]",),
            fields={
                "market": "symbol",
                "raw_side": "side",
                "raw_size": "amount",
                "raw_price": "price",
                "event_time": "ts",
            },
            side=POSITION,
            price="trade",
        ),
    ),
    tardis=("bitget-futures",),
    rules=(Rule("", "quote", "13.70319 / 0.1649 = 83.1 exactly: amount is quote (tardis-node test record)"),),
    disclosures=(Disclosure("throttled_latest_1s", "vendor claim for the UTA topic"),),
    streams=(
        Stream(
            url="wss://ws.bitget.com/v3/ws/public",
            subscribe=(
                '{"op":"subscribe","args":[{"instType":"usdt-futures","topic":"liquidation"}]}',
                '{"op":"subscribe","args":[{"instType":"usdc-futures","topic":"liquidation"}]}',
                '{"op":"subscribe","args":[{"instType":"coin-futures","topic":"liquidation"}]}',
                '{"op":"subscribe","args":[{"instType":"usdt-futures","topic":"ticker","symbol":"BTCUSDT"}]}',
            ),
            ack="(frame ->> '$.event') = 'subscribe' AND (frame ->> '$.arg.topic') = 'liquidation'",
            ping="ping",
            quiet_seconds=60.0,
        ),
    ),
    origins=("tardis-dev/tardis-node test/mappers.test.ts", "Tucsky/aggr-server"),
)
