"""HTX (Huobi) futures and swaps: the side of the closing order; turnover in linear markets, contracts in inverse."""

from dataclasses import replace

from indexer.feed import ORDER, Disclosure, Feed, History, Instruments, Rule, Stream, Venue

LINEAR = "-USD[TC]"
# Linear swaps state amount (base) and trade_turnover (quote); inverse contracts count in volume.
IS_LINEAR = f"regexp_matches(market, '{LINEAR}')"
FIELDS: dict[str, str | tuple[str, ...]] = {
    "market": "contract_code",
    "raw_side": "direction",
    "offset": "offset",
    "raw_size": "volume",
    "amount": "amount",
    "turnover": "trade_turnover",
    "raw_price": "price",
    "event_time": "created_at",
}
SIZE = f"CASE WHEN {IS_LINEAR} THEN amount ELSE raw_size END"
TURNOVER = f"CASE WHEN {IS_LINEAR} THEN turnover END"
CLOSES = """coalesce("offset", 'close') <> 'open'"""
# How many orders one answer holds at most is not documented; a window that gives this many is asked in halves.
FULL_PAGE = 20


# The v3 liquidation orders: at most two hours a request, within 90 days; the inverse swaps have their own path.
LINEAR_HISTORY = History(
    feed="liquidation_orders",
    url="https://api.hbdm.com/linear-swap-api/v3/swap_liquidation_orders",
    params={"contract": "{market}", "trade_type": "0", "start_time": "{since}", "end_time": "{until}"},
    n_records="greatest(json_array_length(page, '$.data'), json_array_length(page, '$.data.orders'))",
    limit=FULL_PAGE,
    window_seconds=3600,
    requests_per_minute=600.0,
    markets=("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT"),
    serves=LINEAR,
    kept_seconds=90 * 86400,
    refusal="CASE WHEN (page ->> '$.status') = 'error' THEN page ->> '$.err_msg'"
    " WHEN (page ->> '$.code') <> '200' THEN coalesce(page ->> '$.msg', page ->> '$.code') END",
)
INVERSE_HISTORY = replace(
    LINEAR_HISTORY,
    url="https://api.hbdm.com/swap-api/v3/swap_liquidation_orders",
    markets=("BTC-USD", "ETH-USD"),
    serves="-USD$",
)

VENUE = Venue(
    name="htx",
    venue_kind="cefi",
    hides="Nothing is documented about what the feed leaves out.",
    feeds=(
        Feed(
            name="liquidation_orders",
            frame="(frame ->> '$.topic') LIKE 'public.%.liquidation_orders'",
            records=("$.data[*]",),
            fields=FIELDS,
            size=SIZE,
            stated_usd=TURNOVER,
            side=ORDER,
            where=CLOSES,
            price="bankruptcy",
        ),
        Feed(
            name="liquidation_orders",
            frame="(frame ->> '$.topic') IS NULL AND coalesce(frame ->> '$.data[0].created_at',"
            " frame ->> '$.data.orders[0].created_at') IS NOT NULL",
            records=("$.data[*]", "$.data.orders[*]"),
            fields=FIELDS,
            size=SIZE,
            stated_usd=TURNOVER,
            side=ORDER,
            where=CLOSES,
            price="bankruptcy",
            transport="rest",
        ),
    ),
    tardis=("huobi-dm", "huobi-dm-swap", "huobi-dm-linear-swap"),
    tardis_price="bankruptcy",
    rules=(
        Rule(LINEAR, "base", "HTX docs: amount is in base units", feeds=("liquidation_orders",)),
        Rule(LINEAR, "contracts", "HTX contract_size; the vendor file has only contracts"),
        Rule(r"^BTC(-USD|_|\d|$)", "usd_contracts", "HTX contract specification: 100 USD", value=100.0),
        Rule("", "usd_contracts", "HTX contract specification: 10 USD", value=10.0),
    ),
    instruments=Instruments(
        url="https://api.hbdm.com/linear-swap-api/v1/swap_contract_info",
        frame="(frame ->> '$.data[0].contract_size') IS NOT NULL",
        fields={"market": "contract_code", "value": "contract_size", "base": "symbol"},
        unit=f"CASE WHEN {IS_LINEAR} THEN 'contracts' ELSE 'usd_contracts' END",
    ),
    disclosures=(Disclosure("unknown", "nothing documented"),),
    streams=(
        Stream(
            url="wss://api.hbdm.com/linear-swap-notification",
            subscribe=('{"op":"sub","cid":"1","topic":"public.*.liquidation_orders"}',),
            ack="(frame ->> '$.op') = 'sub' AND (frame ->> '$.\"err-code\"') = '0'",
            # The pong must echo the ping's type, number or string.
            pong=("ts", '{"op":"pong","ts":{value}}'),
            quiet_seconds=60.0,
        ),
        Stream(
            url="wss://api.hbdm.com/swap-notification",
            part="inverse",
            subscribe=('{"op":"sub","cid":"1","topic":"public.*.liquidation_orders"}',),
            ack="(frame ->> '$.op') = 'sub' AND (frame ->> '$.\"err-code\"') = '0'",
            pong=("ts", '{"op":"pong","ts":{value}}'),
            quiet_seconds=60.0,
        ),
    ),
    histories=(LINEAR_HISTORY, INVERSE_HISTORY),
    origins=("HTX API docs", "tardis-dev/tardis-node test/mappers.test.ts", "belyjelli/ai-rates"),
)
