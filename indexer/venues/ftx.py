"""FTX (closed 2022-11): trades flagged as liquidations, for its history in vendor archives."""

from indexer.feed import ORDER, Disclosure, Feed, Rule, Venue

VENUE = Venue(
    name="ftx",
    venue_kind="cefi",
    hides="Liquidations were flagged trades of a complete trade feed; spot margin and MOVE contracts are left out.",
    feeds=(
        Feed(
            name="trades",
            frame="(frame ->> '$.channel') = 'trades' AND (frame ->> '$.market') IS NOT NULL",
            records=("$.data[*]",),
            fields={
                "market": "frame.market",
                "raw_side": "side",
                "is_liquidation": "liquidation",
                "raw_size": "size",
                "raw_price": "price",
                "event_time": "time",
                "native_id": "id",
            },
            where="is_liquidation = 'true' AND NOT regexp_matches(market, '/|-MOVE-')",
            side=ORDER,
            clock="iso",
            price="trade",
        ),
    ),
    tardis=("ftx",),
    rules=(Rule("", "base", "FTX API docs: size in base units"),),
    disclosures=(Disclosure("trade_flag", "flag on the trades of a complete feed"),),
    origins=("tardis-dev/tardis-node test/mappers.test.ts",),
)
