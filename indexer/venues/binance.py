"""Binance USD-M and COIN-M futures: one forced order a symbol and second, named by the side of the order."""

from indexer.feed import ORDER, Archive, Disclosure, Feed, Instruments, Rule, Stream, Venue

COIN_M = r"^(BNB|ARB|TRB)USD_(PERP|\d{6})$|(?<!B)USD_(PERP|\d{6})$"
DOCS = "developers.binance.com, liquidation order streams"

VENUE = Venue(
    name="binance",
    venue_kind="cefi",
    hides="At most one order a symbol and second: the latest until 2026-05-28, the largest since.",
    feeds=(
        Feed(
            name="forceOrder",
            frame="coalesce(frame ->> '$.data.e', frame ->> '$.e', frame ->> '$.data[0].e', frame ->> '$[0].e') = 'forceOrder'",
            records=("$.data.o", "$.o", "$.data[*].o", "$[*].o"),
            # z is what was filled and ap its average price; q is what was ordered, l the last fill, p the limit.
            fields={"market": "s", "raw_side": "S", "raw_size": "z", "raw_price": "ap", "event_time": "T"},
            side=ORDER,
            price="fill_avg",
        ),
        Feed(
            name="allForceOrders",
            frame="(frame ->> '$[0].executedQty') IS NOT NULL AND (frame ->> '$[0].origQty') IS NOT NULL",
            records=("$[*]",),
            fields={
                "market": "symbol",
                "raw_side": "side",
                "raw_size": "executedQty",
                "raw_price": ("averagePrice", "avgPrice"),
                "event_time": "time",
            },
            side=ORDER,
            price="fill_avg",
            transport="rest",
        ),
    ),
    archives=(
        Archive(
            feed=Feed(
                name="liquidationSnapshot",
                frame="false",
                fields={
                    "raw_side": "side",
                    "raw_size": "accumulated_fill_quantity",
                    "raw_price": "average_price",
                    "event_time": "time",
                },
                side=ORDER,
                price="fill_avg",
                transport="archive",
            ),
            columns=(
                "time",
                "side",
                "order_type",
                "time_in_force",
                "original_quantity",
                "price",
                "average_price",
                "order_status",
                "last_fill_quantity",
                "accumulated_fill_quantity",
            ),
            url="https://data.binance.vision/data/futures/cm/daily/liquidationSnapshot/{market}/"
            "{market}-liquidationSnapshot-{day}.zip",
            markets=("BTCUSD_PERP",),
        ),
    ),
    tardis=("binance-futures", "binance-delivery"),
    tardis_price="limit",  # the vendor's price is p, the limit of the order
    rules=(
        Rule(r"^BTCUSD_(PERP|\d{6})$", "usd_contracts", "Binance COIN-M contract specification", value=100.0),
        Rule(COIN_M, "usd_contracts", "Binance COIN-M contract specification (10 USD unverified)", value=10.0),
        Rule("", "base", f"{DOCS}: z and q are in base units"),
    ),
    instruments=Instruments(
        url="https://dapi.binance.com/dapi/v1/exchangeInfo",
        frame="(frame ->> '$.symbols[0].contractSize') IS NOT NULL",
        records=("$.symbols[*]",),
        fields={"market": "symbol", "value": "contractSize", "from_ms": "onboardDate", "base": "baseAsset"},
        unit="'usd_contracts'",
    ),
    disclosures=(
        Disclosure("throttled_latest_1s", "COIN-M docs say latest; start of the throttle unverified", market=COIN_M),
        Disclosure("full", "K33 (Lunde, 2024-08): cut to one a second in 2021-04; REST end", to_at="2021-04-27"),
        Disclosure(
            "throttled_latest_1s",
            "docs; the change to largest lies between 2025-02-04 and 2026-05-28, the end is the safe bound",
            from_at="2021-04-27",
            to_at="2026-05-28",
        ),
        Disclosure("throttled_largest_1s", "docs of 2026-05-28; push delays of about 1 s since", from_at="2026-05-28"),
    ),
    streams=(
        Stream(
            url="wss://fstream.binance.com/market/stream?streams=!forceOrder@arr/btcusdt@markPrice@1s",
            ack="(frame ->> '$.stream') IS NOT NULL OR (frame ->> '$.e') IS NOT NULL",
            quiet_seconds=30.0,
            liquidation_quiet_seconds=1800.0,
        ),
        Stream(
            part="coin_m",
            url="wss://dstream.binance.com/stream?streams=!forceOrder@arr/btcusd_perp@markPrice@1s",
            ack="(frame ->> '$.stream') IS NOT NULL OR (frame ->> '$.e') IS NOT NULL",
            quiet_seconds=30.0,
        ),
    ),
    origins=(DOCS, "tardis-dev/tardis-node src/mappers", "binance/binance-public-data issues 259, 337"),
)
