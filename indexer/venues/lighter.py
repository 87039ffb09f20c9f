"""Lighter: the list of liquidation trades beside the trades; the maker's side tells the taker's."""

from indexer.feed import Disclosure, Feed, Instruments, Rule, Stream, Venue

VENUE = Venue(
    name="lighter",
    venue_kind="defi",
    hides="Liquidations are flagged trades of a complete trade feed; markets are numbers until the list is read.",
    quote="USD",
    feeds=(
        Feed(
            name="trade",
            frame="regexp_matches(frame ->> '$.channel', '^trade[:/]')",
            records=("$.liquidation_trades[*]",),
            fields={
                "market": "market_id",
                "raw_side": "is_maker_ask",
                "type": "type",
                "raw_size": "size",
                "raw_price": "price",
                "stated": "usd_amount",
                "event_time": "timestamp",
                "native_id": ("trade_id_str", "trade_id"),
            },
            # market-settlement is no liquidation.
            where="type IN ('liquidation', 'deleverage')",
            kind="CASE type WHEN 'liquidation' THEN 'market' ELSE 'adl' END",
            # The maker asks, so the taker buys: a short is closed.
            side="CASE raw_side WHEN 'true' THEN 'short' WHEN 'false' THEN 'long' END",
            stated_usd="stated",
            price="trade",
        ),
    ),
    rules=(Rule("", "base", "Lighter API docs: size in base units"),),
    instruments=Instruments(
        url="https://mainnet.zklighter.elliot.ai/api/v1/orderBooks",
        frame="(frame ->> '$.order_books[0].market_id') IS NOT NULL",
        records=("$.order_books[*]",),
        fields={"market": "market_id", "base": "symbol"},
        unit="'base'",
        value="1",
    ),
    disclosures=(Disclosure("trade_flag", "type of the trades of a complete feed"),),
    streams=(
        Stream(
            url="wss://mainnet.zklighter.elliot.ai/stream",
            subscribe=('{"type":"subscribe","channel":"trade/{market}"}',),
            ack="regexp_matches(frame ->> '$.channel', '^trade[:/]')",
            ping='{"type":"ping"}',
            quiet_seconds=60.0,
            markets=tuple(str(number) for number in range(12)),
        ),
    ),
    origins=("apidocs.lighter.xyz", "tardis-dev/tardis-node test/mappers.test.ts"),
)
