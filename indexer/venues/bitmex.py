"""BitMEX: a liquidation order's first appearance counts; what becomes of it later does not."""

from indexer.feed import ORDER, Disclosure, Feed, Instruments, Rule, Stream, Venue

VENUE = Venue(
    name="bitmex",
    venue_kind="cefi",
    hides="No throttle is documented; records carry no time, so the receive time stands for it.",
    feeds=(
        Feed(
            name="liquidation",
            frame="(frame ->> '$.table') = 'liquidation'",
            records=("$.data[*]",),
            fields={
                "market": "symbol",
                "action": "frame.action",
                "raw_side": "side",
                "raw_size": "leavesQty",
                "raw_price": "price",
                "native_id": "orderID",
            },
            # update and delete are the later life of an order; a partial is what was open before.
            where="action = 'insert'",
            side=ORDER,
            clock="received",
            price="bankruptcy",
        ),
    ),
    tardis=("bitmex",),
    tardis_price="bankruptcy",
    rules=(
        Rule("^XBTUSD$", "usd", "BitMEX contract specification: 1 USD a contract"),
        Rule("", "unknown", "multiplier of the instrument endpoint"),
    ),
    instruments=Instruments(
        url="https://www.bitmex.com/api/v1/instrument/active",
        frame="(frame ->> '$[0].multiplier') IS NOT NULL AND (frame ->> '$[0].isInverse') IS NOT NULL",
        records=("$[*]",),
        fields={
            "market": "symbol",
            "value": "multiplier",
            "per_unit": "underlyingToPositionMultiplier",
            "is_inverse": "isInverse",
            "is_quanto": "isQuanto",
            "base": "underlying",
        },
        # Linear contracts: underlyingToPositionMultiplier contracts are one base unit.
        unit="CASE WHEN is_quanto = 'true' THEN NULL WHEN is_inverse = 'true' THEN 'usd'"
        " WHEN TRY_CAST(per_unit AS DOUBLE) > 0 THEN 'contracts' END",
        value="CASE WHEN is_inverse = 'true' THEN 1 ELSE 1 / nullif(TRY_CAST(per_unit AS DOUBLE), 0) END",
    ),
    disclosures=(Disclosure("full", "no throttle documented"),),
    streams=(
        Stream(
            url="wss://ws.bitmex.com/realtime",
            subscribe=('{"op":"subscribe","args":["liquidation","trade:XBTUSD"]}',),
            ack="(frame ->> '$.success') = 'true' AND (frame ->> '$.subscribe') = 'liquidation'",
            ping="ping",
            quiet_seconds=60.0,
        ),
    ),
    origins=("BitMEX websocket docs", "tardis-dev/tardis-node test/mappers.test.ts"),
)
