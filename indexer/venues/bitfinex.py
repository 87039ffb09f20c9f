"""Bitfinex derivatives: the sign of the amount is that of the position, the trigger row counts, executions do not."""

from indexer.feed import SIGN, Disclosure, Feed, History, Rule, Stream, Venue

# Fields by position: pos, POS_ID, MTS, -, SYMBOL, AMOUNT, BASE_PRICE, -, IS_MATCH, IS_MARKET_SOLD, -, PRICE_ACQUIRED.
# BASE_PRICE is the user's entry price; rows with IS_MATCH = 1 are executions of a position already counted.
FIELDS: dict[str, str | tuple[str, ...]] = {
    "row_kind": "[0]",
    "position_id": "[1]",
    "event_time": "[2]",
    "market": "[4]",
    "raw_size": "[5]",
    "is_match": "[8]",
    "raw_price": "[11]",
}
WHERE = r"row_kind = 'pos' AND is_match = '0' AND regexp_matches(market, 'F0:')"

VENUE = Venue(
    name="bitfinex",
    venue_kind="cefi",
    hides="No throttle is documented; a trigger row without a price has no USD value.",
    feeds=(
        Feed(
            name="liq:global",
            frame="json_type(frame) = 'ARRAY' AND contains(frame::VARCHAR, '\"pos\"')"
            " AND json_type(frame, '$[0]') IN ('UBIGINT', 'BIGINT') OR (frame ->> '$[0][0]') = 'pos'",
            records=("$[1][*]", "$[*]"),
            record_type="ARRAY",
            fields=FIELDS,
            native_id="position_id || ':' || event_time",
            where=WHERE,
            raw_side="''",
            side=SIGN,
            is_signed=True,
            price="trade",
        ),
        Feed(
            name="liq:global",
            frame="(frame ->> '$[0][0][0]') = 'pos'",
            records=("$[*][*]",),
            record_type="ARRAY",
            fields=FIELDS,
            native_id="position_id || ':' || event_time",
            where=WHERE,
            raw_side="''",
            side=SIGN,
            is_signed=True,
            price="trade",
            transport="rest",
        ),
    ),
    tardis=("bitfinex-derivatives",),
    rules=(Rule("", "base", "docs.bitfinex.com rest-public-liquidations: AMOUNT in base units"),),
    disclosures=(Disclosure("full", "no throttle documented"),),
    streams=(
        Stream(
            url="wss://api-pub.bitfinex.com/ws/2",
            subscribe=(
                '{"event":"subscribe","channel":"status","key":"liq:global"}',
                '{"event":"subscribe","channel":"ticker","symbol":"tBTCF0:USTF0"}',
            ),
            ack="(frame ->> '$.event') = 'subscribed' AND (frame ->> '$.key') = 'liq:global'",
            ping='{"event":"ping","cid":1}',
            quiet_seconds=45.0,
        ),
    ),
    histories=(
        History(
            feed="liq:global",
            url="https://api-pub.bitfinex.com/v2/liquidations/hist",
            params={"start": "{since}", "end": "{until}", "limit": "{limit}", "sort": "1"},
            n_records="if(json_type(page) = 'ARRAY', json_array_length(page), NULL)",
            cursor="page ->> '$[#-1][0][2]'",
            limit=500,
            requests_per_minute=3.0,
            refusal="if((page ->> '$[0]') = 'error', page ->> '$[2]', NULL)",
        ),
    ),
    origins=("docs.bitfinex.com rest-public-liquidations", "tardis-dev/tardis-node test/mappers.test.ts"),
)
