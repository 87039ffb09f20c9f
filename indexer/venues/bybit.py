"""Bybit linear and inverse contracts: the word names the position, the price is the bankruptcy price."""

from indexer.feed import POSITION, Disclosure, Feed, Rule, Stream, Venue

CHANGELOG = "bybit-exchange/docs changelog 2025-02-20"
K33 = "K33 (Lunde, 2024-08)"

VENUE = Venue(
    name="bybit",
    venue_kind="cefi",
    hides="One order a symbol and second from 2021-09 until the full topic of 2025-02-20; USD at bankruptcy prices.",
    feeds=(
        Feed(
            name="allLiquidation",
            frame="(frame ->> '$.topic') LIKE 'allLiquidation.%'",
            records=("$.data[*]", "$.data"),
            fields={"market": "s", "raw_side": "S", "raw_size": "v", "raw_price": "p", "event_time": "T"},
            side=POSITION,
            price="bankruptcy",
        ),
        Feed(
            name="liquidation",
            frame="(frame ->> '$.topic') LIKE 'liquidation.%'",
            records=("$.data[*]", "$.data"),
            fields={
                "market": "symbol",
                "raw_side": "side",
                "raw_size": ("size", "qty"),
                "raw_price": "price",
                "event_time": ("updatedTime", "time"),
            },
            side=POSITION,
            price="bankruptcy",
        ),
    ),
    tardis=("bybit",),
    tardis_price="bankruptcy",
    rules=(
        Rule(r"USD([FGHJKMNQUVXZ]\d\d)?$", "usd", "Bybit inverse contracts are 1 USD each, dated ones included"),
        Rule("", "base", "Bybit linear contracts: size in base units"),
    ),
    disclosures=(
        Disclosure("full", f"{CHANGELOG}; every 500 ms", feed="allLiquidation", from_at="2025-02-20"),
        Disclosure("full", K33, feed="liquidation", to_at="2021-09-01"),
        Disclosure(
            "throttled_latest_1s",
            f"{K33}; which order of the second is not documented",
            feed="liquidation",
            from_at="2021-09-01",
        ),
        Disclosure("full", K33, feed="tardis", to_at="2021-09-01"),
        Disclosure("throttled_latest_1s", K33, feed="tardis", from_at="2021-09-01", to_at="2025-02-26"),
        Disclosure("full", "tardis-node switched to the full topic on 2025-02-26", feed="tardis", from_at="2025-02-26"),
        Disclosure("full", K33, feed="provider", to_at="2021-09-01"),
        Disclosure("throttled_latest_1s", K33, feed="provider", from_at="2021-09-01", to_at="2025-02-20"),
    ),
    streams=(
        Stream(
            url="wss://stream.bybit.com/v5/public/linear",
            subscribe=(
                '{"op":"subscribe","args":["tickers.BTCUSDT"]}',
                '{"op":"subscribe","args":["allLiquidation.{market}"]}',
            ),
            ack="(frame ->> '$.op') = 'subscribe' AND (frame ->> '$.success') = 'true'",
            ping='{"op":"ping"}',
            quiet_seconds=30.0,
            markets=("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "HYPEUSDT"),
        ),
        Stream(
            url="wss://stream.bybit.com/v5/public/inverse",
            part="inverse",
            subscribe=(
                '{"op":"subscribe","args":["tickers.BTCUSD"]}',
                '{"op":"subscribe","args":["allLiquidation.{market}"]}',
            ),
            ack="(frame ->> '$.op') = 'subscribe' AND (frame ->> '$.success') = 'true'",
            ping='{"op":"ping"}',
            quiet_seconds=30.0,
            markets=("BTCUSD", "ETHUSD", "XRPUSD"),
        ),
    ),
    origins=("bybit-exchange/docs, all-liquidation page", CHANGELOG, "tardis-dev/tardis-node src/mappers"),
)
