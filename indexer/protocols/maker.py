"""Maker / Sky liquidations 2.0: a Dog barks and a Clip kicks, then sells the lot in takes."""

from indexer.abi import event, events
from indexer.declare import (
    Deployment,
    Join,
    Mapping,
    Protocol,
    col,
    floating,
    floor_division,
    json,
    lit,
    raw_word,
    text,
    when,
)

BARK, KICK, TAKE = (event("maker", name) for name in ("Bark", "Kick", "Take"))
RAY = 10**27  # price and top; a rad (owe, tab, due) is a wad times a ray
# A gem's join turns every token into 18 decimals, so ink and lot are wads whatever the token's own decimals.
WAD = {"collateral_decimals": lit(18), "debt_decimals": lit(18)}
# Lista DAO's CDP on BNB is the same software with another stablecoin.
DAI = {"debt_symbol": when(col("venue").str.starts_with("lista")).then(lit("lisUSD")).otherwise(lit("DAI"))}
# An ilk is named after its gem (WBTC-A); only ether's gem has another symbol.
ILK = text("ilk")
TICKER = r"^([^-]+)-"
WRAPPED = {"ETH": "WETH"}

PROTOCOL = Protocol(
    name="maker",
    sector="cdp",
    methodology="Collateral sold at each take, owe // price, valued at what the buyer owes in DAI; an auction's start is no sale.",
    mappings=(
        Mapping(
            event=BARK,
            kind="auction_start",
            joins=(Join(KICK, (("clip", "emitter"), ("id", "id")), "any"),),
            liquidation={
                "market": ILK,
                "account": col("urn"),
                "collateral_symbol": ILK.str.extract(TICKER).replace(WRAPPED),
                "liquidator": col("Kick.kpr"),
                "collateral_raw": col("ink"),
                "debt_raw": floor_division(raw_word(BARK, "due"), RAY),
                **DAI,
            },
            values=WAD,
            emitters={"address": col("clip"), "market": ILK},
            markets={"market": ILK, "params": json(clip=col("clip")), "from_at": lit(None)},
        ),
        Mapping(
            event=KICK,
            kind="auction_start",
            joins=(Join(BARK, (("emitter", "clip"), ("id", "id")), "any"),),
            where=col("Bark.urn").is_null(),
            liquidation={
                "account": col("usr"),
                "liquidator": col("kpr"),
                "collateral_raw": col("lot"),
                "collateral_symbol": col("market").str.extract(TICKER).replace(WRAPPED),
                **DAI,
            },
            values=WAD,
        ),
        Mapping(
            event=TAKE,
            kind="auction_take",
            liquidation={
                "account": col("usr"),
                "collateral_symbol": col("market").str.extract(TICKER).replace(WRAPPED),
                "collateral_raw": floor_division(raw_word(TAKE, "owe"), raw_word(TAKE, "price")),
                "debt_raw": floor_division(raw_word(TAKE, "owe"), RAY),
                **DAI,
            },
            values={
                **WAD,
                "event_value": when(col("price").is_null() | (col("price") > 0)).then(
                    floating(raw_word(TAKE, "owe")) / 1e45
                ),
                "event_quote": lit("USD"),
            },
        ),
    ),
    supporting=(events("maker")["Redo"], events("maker")["Yank"]),
    deployments=(
        Deployment("maker", "ethereum", "0x135954d155898D42C90D2a57824C690e0c7BEf1B", 12246358),
        Deployment("maker", "ethereum", "0xc67963a226eddd77B91aD8c421630A1b0AdFF270", market="ETH-A"),
    ),
)
