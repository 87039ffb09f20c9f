"""DYdX v4: trades of type LIQUIDATED, named by the side of the taker, which is the forced order."""

from indexer.feed import ORDER, Disclosure, Feed, History, Rule, Stream, Venue

FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": ("frame.id", "ticker"),
    "raw_side": "side",
    "type": "type",
    "raw_size": "size",
    "raw_price": "price",
    "event_time": "createdAt",
    "native_id": "id",
}
WHERE = "type IN ('LIQUIDATED', 'DELEVERAGED')"
KIND = "CASE type WHEN 'LIQUIDATED' THEN 'market' ELSE 'adl' END"

VENUE = Venue(
    name="dydx",
    venue_kind="defi",
    hides="Liquidations are flagged trades of a complete trade feed.",
    quote="USD",
    feeds=(
        Feed(
            name="v4_trades",
            frame="(frame ->> '$.channel') = 'v4_trades'",
            records=("$.contents.trades[*]", "$.contents[*].trades[*]"),
            fields=FIELDS,
            where=WHERE,
            kind=KIND,
            side=ORDER,
            clock="iso",
            price="trade",
        ),
        Feed(
            name="v4_trades",
            frame="coalesce(frame ->> '$.trades[0].createdAtHeight', frame ->> '$[0].createdAtHeight') IS NOT NULL",
            records=("$.trades[*]", "$[*]"),
            fields=FIELDS | {"market": "ticker"},
            where=WHERE,
            kind=KIND,
            side=ORDER,
            clock="iso",
            price="trade",
            transport="rest",
        ),
    ),
    tardis=("dydx-v4",),
    rules=(Rule("", "base", "dYdX indexer docs: size in base units"),),
    disclosures=(Disclosure("trade_flag", "type of the trades of a complete feed"),),
    streams=(
        Stream(
            url="wss://indexer.dydx.trade/v4/ws",
            subscribe=('{"type":"subscribe","channel":"v4_trades","id":"{market}"}',),
            ack="(frame ->> '$.type') = 'subscribed' AND (frame ->> '$.channel') = 'v4_trades'",
            quiet_seconds=60.0,
            markets=("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "AVAX-USD"),
        ),
    ),
    histories=(
        History(
            feed="v4_trades",
            url="https://indexer.dydx.trade/v4/trades/perpetualMarket/{market}",
            params={"createdBeforeOrAt": "{until}", "limit": "{limit}"},
            n_records="json_array_length(page, '$.trades')",
            clock="iso",
            cursor="page ->> '$.trades[#-1].createdAt'",
            is_newest_first=True,
            limit=1000,
            requests_per_minute=300.0,
            markets=("BTC-USD", "ETH-USD", "SOL-USD"),
        ),
    ),
    origins=("docs.dydx.exchange indexer API", "tardis-dev/tardis-node test/mappers.test.ts", "belyjelli/ai-rates"),
)
