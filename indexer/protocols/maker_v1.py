"""Maker liquidations 1.x: a Cat bites and a Flip kicks, then takes bids until someone deals the lot to the highest."""

from indexer.abi import event, noted
from indexer.declare import (
    Deployment,
    Join,
    Mapping,
    Protocol,
    coalesce,
    col,
    floating,
    floor_division,
    json,
    lit,
    raw_word,
    text,
    when,
)

BITE, KICK = event("maker_v1", "Bite"), event("maker_v1", "Kick")
# Bids and their end are no events: the Flip notes the calls. A tend raises the bid, a dent lowers the lot.
TEND = noted("maker_v1", "tend(uint256,uint256,uint256)", "id", "lot", "bid")
DENT = noted("maker_v1", "dent(uint256,uint256,uint256)", "id", "lot", "bid")
DEAL = noted("maker_v1", "deal(uint256)", "id")
AUCTION = (("emitter", "emitter"), ("id", "id"))
BID_WORD = coalesce(*(col(name).bin.slice(132, 32) for name in ("dent.data", "tend.data")))
RAY = 10**27  # a rad (tab, bid) is a wad times a ray
WAD = {"collateral_decimals": lit(18), "debt_decimals": lit(18)}
DAI = {"debt_symbol": lit("DAI")}
ILK = text("ilk")
TICKER = r"^([^-]+)-"
WRAPPED = {"ETH": "WETH"}

PROTOCOL = Protocol(
    name="maker_v1",
    sector="cdp",
    methodology="The lot dealt to the highest bidder, valued at his bid in DAI; an auction's start is no sale.",
    mappings=(
        Mapping(
            event=BITE,
            kind="auction_start",
            joins=(Join(KICK, (("flip", "emitter"), ("id", "id")), "any"),),
            liquidation={
                "market": ILK,
                "account": col("urn"),
                "collateral_symbol": ILK.str.extract(TICKER).replace(WRAPPED),
                "collateral_raw": col("ink"),
                "debt_raw": floor_division(raw_word(BITE, "tab"), RAY),
                **DAI,
            },
            values=WAD,
            emitters={"address": col("flip"), "market": ILK},
            markets={"market": ILK, "params": json(flip=col("flip")), "from_at": lit(None)},
        ),
        Mapping(
            event=KICK,
            kind="auction_start",
            joins=(Join(BITE, (("emitter", "flip"), ("id", "id")), "any"),),
            where=col("Bite.urn").is_null(),
            liquidation={
                "account": col("usr"),
                "collateral_raw": col("lot"),
                "collateral_symbol": col("market").str.extract(TICKER).replace(WRAPPED),
                **DAI,
            },
            values=WAD,
        ),
        Mapping(
            event=DEAL,
            kind="auction_take",
            joins=(
                Join(KICK, AUCTION, is_across=True),
                Join(TEND, AUCTION, is_across=True),
                Join(DENT, AUCTION, is_across=True),
            ),
            liquidation={
                "account": col("Kick.usr"),
                "collateral_symbol": col("market").str.extract(TICKER).replace(WRAPPED),
                "collateral_raw": coalesce("dent.lot", "tend.lot"),
                "debt_raw": floor_division(BID_WORD, RAY),
                **DAI,
            },
            values={
                **WAD,
                "event_value": when(BID_WORD.is_not_null()).then(floating(BID_WORD) / 1e45),
                "event_quote": lit("USD"),
            },
        ),
    ),
    supporting=(TEND, DENT),
    notes=("A lot whose bids were made before the indexed range has no amounts.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("maker", "ethereum", "0x78F2c2AF65126834c51822F56Be0d7469D7A523E", 8928165),
        Deployment("maker", "ethereum", "0xa5679C04fc3d9d8b0AaB1F0ab83555b301cA70Ea", 10742907),
    ),
)
