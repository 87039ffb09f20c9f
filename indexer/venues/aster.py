"""Aster: a perp DEX whose forced orders have Binance's shape."""

from indexer.feed import ORDER, Disclosure, Feed, Rule, Stream, Venue

VENUE = Venue(
    name="aster",
    venue_kind="defi",
    hides="Nothing is documented about what the feed leaves out.",
    feeds=(
        Feed(
            name="forceOrder",
            frame="coalesce(frame ->> '$.data.e', frame ->> '$.e', frame ->> '$.data[0].e', frame ->> '$[0].e') = 'forceOrder'",
            records=("$.data.o", "$.o", "$.data[*].o", "$[*].o"),
            fields={"market": "s", "raw_side": "S", "raw_size": "z", "raw_price": "ap", "event_time": "T"},
            side=ORDER,
            price="fill_avg",
        ),
    ),
    rules=(Rule("", "base", "Aster API docs: the shape of Binance USD-M"),),
    disclosures=(Disclosure("unknown", "nothing documented"),),
    streams=(
        Stream(
            url="wss://fstream.asterdex.com/stream?streams=!forceOrder@arr/btcusdt@markPrice@1s",
            ack="(frame ->> '$.stream') IS NOT NULL OR (frame ->> '$.e') IS NOT NULL",
            quiet_seconds=30.0,
        ),
    ),
    origins=("belyjelli/ai-rates collector tests",),
)
