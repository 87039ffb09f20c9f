"""Rates of staked and vault tokens, as their own contracts emit them; a deployment's market is the pair."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, lit, scaled

DEPOSIT, WITHDRAW = event("rates", "Deposit"), event("rates", "Withdraw")
PAIR = col("market").str.split_exact("/", 1)
TOKENS = {"base": PAIR.struct.field("field_0"), "quote": PAIR.struct.field("field_1")}
IS_NAMED = col("market").str.contains("/")
STAKED = scaled("totalEthLocked", 0) / scaled("totalEEthShares", 0)
# A vault rounds to the last unit, so a tiny deposit says little about its rate.
IS_WHOLE = (col("assets") >= 10**9) & (col("shares") >= 10**9)
SHARE = scaled("assets", 0) / scaled("shares", 0)

PROTOCOL = Protocol(
    name="rates",
    sector="rate",
    methodology="Exchange rates of staked and vault tokens as their contracts emit them.",
    mappings=(
        Mapping(
            event=event("rates", "TokenRebased"),
            where=IS_NAMED,
            rates={**TOKENS, "rate": scaled("postTotalEther", 0) / scaled("postTotalShares", 0)},
        ),
        Mapping(
            event=event("rates", "ExchangeRateUpdated"),
            where=IS_NAMED,
            rates={**TOKENS, "rate": scaled("newExchangeRate", 18)},
        ),
        Mapping(event=event("rates", "Rebase"), where=IS_NAMED, rates={**TOKENS, "rate": STAKED}),
        # An eETH is a claim on one ether, and no feed values it: the same number is the rate to ether.
        Mapping(event=event("rates", "Rebase"), where=IS_NAMED, rates={**TOKENS, "quote": lit("ETH"), "rate": STAKED}),
        Mapping(
            event=event("rates", "BalancesUpdated"),
            where=IS_NAMED,
            rates={**TOKENS, "rate": scaled("totalEth", 0) / scaled("rethSupply", 0)},
        ),
        Mapping(event=DEPOSIT, where=IS_NAMED & IS_WHOLE, rates={**TOKENS, "rate": SHARE}),
        Mapping(event=WITHDRAW, where=IS_NAMED & IS_WHOLE, rates={**TOKENS, "rate": SHARE}),
    ),
    notes=(
        "Rocket Pool's balances are replaced by upgrades: a deployments file names the contract, with market RETH/ETH.",
    ),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("lido", "ethereum", "0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84", market="WSTETH/STETH"),
        Deployment("coinbase", "ethereum", "0xBe9895146f7AF43049ca1c1AE358B0541Ea49704", market="CBETH/ETH"),
        Deployment("ether_fi", "ethereum", "0x308861A430be4cce5502d0A12724771Fc6DaF216", market="WEETH/EETH"),
        Deployment("ethena", "ethereum", "0x9D39A5DE30e57443BfF2A8307A4256c8797A3497", market="SUSDE/USDE"),
        Deployment("sky", "ethereum", "0x83F20F44975D03b1b09e64809B757c47f942BEeA", market="SDAI/DAI"),
        Deployment("sky", "ethereum", "0xa3931d71877C0E7a3148CB7Eb4463524FEc27fbD", market="SUSDS/USDS"),
        Deployment("frax", "ethereum", "0xac3E018457B222d93114458476f3E3416Abbe38F", market="SFRXETH/FRXETH"),
        Deployment("frax", "ethereum", "0xA663B02CF0a4b149d2aD41910CB81e23e1c41c32", market="SFRAX/FRAX"),
        Deployment("curve", "ethereum", "0x0655977FEb2f289A4aB78af67BAB0d17aAb84367", market="SCRVUSD/CRVUSD"),
    ),
)
