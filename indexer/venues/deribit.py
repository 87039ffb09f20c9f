"""Deribit: trades that carry a liquidation flag; the flag says whose side was forced."""

from indexer.feed import Disclosure, Feed, History, Rule, Stream, Venue

# T: the taker was liquidated, whose order `direction` names. M: the maker. MT: both, one row each.
SIDE = """CASE liquidation || ':' || raw_side
  WHEN 'T:sell' THEN ['long'] WHEN 'T:buy' THEN ['short']
  WHEN 'M:sell' THEN ['short'] WHEN 'M:buy' THEN ['long']
  WHEN 'MT:sell' THEN ['long', 'short'] WHEN 'MT:buy' THEN ['short', 'long'] END"""
# Options share the trade feed: their names end in a strike and C or P.
WHERE = r"liquidation IS NOT NULL AND liquidation <> 'none' AND NOT regexp_matches(market, '-[CP]$')"
ID_SUFFIX = "CASE liquidation WHEN 'MT' THEN ':' || side ELSE '' END"
FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": "instrument_name",
    "raw_side": "direction",
    "liquidation": "liquidation",
    "raw_size": "amount",
    "raw_price": "price",
    "event_time": "timestamp",
    "native_id": "trade_id",
}

VENUE = Venue(
    name="deribit",
    venue_kind="cefi",
    hides="Liquidations are flagged trades of a complete trade feed.",
    feeds=(
        Feed(
            name="trades",
            frame="(frame ->> '$.params.channel') LIKE 'trades.%'",
            records=("$.params.data[*]",),
            fields=FIELDS,
            where=WHERE,
            side=SIDE,
            is_side_list=True,
            id_suffix=ID_SUFFIX,
            price="trade",
        ),
        Feed(
            name="trades",
            frame="json_type(frame, '$.result.trades') = 'ARRAY'",
            records=("$.result.trades[*]",),
            fields=FIELDS,
            where=WHERE,
            side=SIDE,
            is_side_list=True,
            id_suffix=ID_SUFFIX,
            price="trade",
            transport="rest",
        ),
    ),
    tardis=("deribit",),
    rules=(
        Rule(r"^[A-Z0-9]+_[A-Z]+-", "base", "Deribit linear contracts: amount in base units"),
        Rule("", "usd", "Deribit inverse contracts: amount in US dollars"),
    ),
    disclosures=(Disclosure("trade_flag", "flag on the trades of a complete feed"),),
    streams=(
        Stream(
            url="wss://www.deribit.com/ws/api/v2",
            subscribe=(
                '{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":10}}',
                '{"jsonrpc":"2.0","id":2,"method":"public/subscribe","params":{"channels":["trades.future.any.100ms"]}}',
            ),
            ack="(frame ->> '$.id') = '2' AND (frame ->> '$.result') IS NOT NULL",
            ping='{"jsonrpc":"2.0","id":3,"method":"public/test","params":{}}',
            quiet_seconds=60.0,
        ),
    ),
    histories=(
        History(
            feed="trades",
            url="https://www.deribit.com/api/v2/public/get_last_trades_by_currency_and_time",
            params={
                "currency": "{market}",
                "kind": "future",
                "start_timestamp": "{since}",
                "end_timestamp": "{until}",
                "count": "{limit}",
                "sorting": "asc",
            },
            n_records="CASE WHEN json_type(page, '$.result.trades') = 'ARRAY'"
            " THEN if((page ->> '$.result.has_more') = 'true', 1000, 0) END",
            cursor="page ->> '$.result.trades[#-1].timestamp'",
            limit=1000,
            requests_per_minute=300.0,
            markets=("BTC", "ETH", "USDC"),
            refusal="page ->> '$.error.message'",
        ),
    ),
    origins=("docs.deribit.com", "tardis-dev/tardis-node test/mappers.test.ts"),
)
