"""Gate: the sign of the size is that of the position, the size is in contracts, the time in seconds."""

from indexer.feed import SIGN, Disclosure, Feed, History, Instruments, Rule, Stream, Venue

VENUE = Venue(
    name="gate",
    venue_kind="cefi",
    hides="Nothing is documented about what the feed leaves out; REST asks for one hour a call.",
    feeds=(
        Feed(
            name="public_liquidates",
            frame="(frame ->> '$.channel') = 'futures.public_liquidates'",
            records=("$.result[*]",),
            fields={
                "market": "contract",
                "raw_size": "size",
                "raw_price": ("fill_price", "price"),
                "event_time": "time",
            },
            raw_side="''",
            side=SIGN,
            clock="s",
            is_signed=True,
            price="fill_avg",
        ),
        Feed(
            name="liq_orders",
            frame="(frame ->> '$[0].contract') IS NOT NULL AND (frame ->> '$[0].fill_price') IS NOT NULL",
            records=("$[*]",),
            fields={"market": "contract", "raw_size": "size", "raw_price": "fill_price", "event_time": "time"},
            raw_side="''",
            side=SIGN,
            clock="s",
            is_signed=True,
            price="fill_avg",
            transport="rest",
        ),
    ),
    tardis=("gate-io-futures",),
    tardis_price="fill_avg",
    rules=(
        Rule("^BTC_USDT$", "contracts", "Gate quanto_multiplier of BTC_USDT: 0.0001 BTC", value=0.0001),
        Rule("", "contracts", "quanto_multiplier of the contracts endpoint"),
    ),
    instruments=Instruments(
        url="https://api.gateio.ws/api/v4/futures/usdt/contracts",
        frame="(frame ->> '$[0].quanto_multiplier') IS NOT NULL",
        records=("$[*]",),
        fields={"market": "name", "value": "quanto_multiplier", "kind": "type"},
        unit="CASE kind WHEN 'direct' THEN 'contracts' END",  # an inverse contract has the multiplier 0
    ),
    disclosures=(Disclosure("unknown", "nothing documented"),),
    streams=(
        Stream(
            url="wss://fx-ws.gateio.ws/v4/ws/usdt",
            subscribe=(
                '{"channel":"futures.public_liquidates","event":"subscribe","payload":["!all"]}',
                '{"channel":"futures.tickers","event":"subscribe","payload":["BTC_USDT"]}',
            ),
            ack="(frame ->> '$.channel') = 'futures.public_liquidates' AND (frame ->> '$.event') = 'subscribe'"
            " AND coalesce(frame ->> '$.result.status', 'success') = 'success'",
            ping='{"channel":"futures.ping"}',
            quiet_seconds=60.0,
        ),
    ),
    histories=(
        History(
            feed="liq_orders",
            url="https://api.gateio.ws/api/v4/futures/usdt/liq_orders",
            params={"contract": "{market}", "from": "{since}", "to": "{until}", "limit": "{limit}"},
            n_records="if(json_type(page) = 'ARRAY', json_array_length(page), NULL)",
            clock="s",
            limit=1000,
            window_seconds=3600,
            requests_per_minute=120.0,
            refusal="page ->> '$.label'",
        ),
    ),
    origins=("gateio/gateapi-python docs/FuturesLiquidate.md", "ccxt gate.py, response example"),
)
