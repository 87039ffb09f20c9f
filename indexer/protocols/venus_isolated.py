"""Venus isolated pools: the debt market emits LiquidateBorrow; a hopeless account is healed, the rest is bad debt."""

from indexer.abi import event
from indexer.declare import Deployment, Join, Mapping, Protocol, Read, col, emitter, moved, when

HEAL = event("venus_isolated", "HealBorrow")
# The shares that healing seizes show as Transfer of their own market, from the borrower to the payer.
SEIZED = event("erc20", "Transfer")
ACCOUNT = ("block_number", "tx_hash", "borrower")
IS_FIRST = col("log_index") == col("log_index").min().over(ACCOUNT)
IS_LAST = col("log_index") == col("log_index").max().over("block_number", "tx_hash", "from")

PROTOCOL = Protocol(
    name="venus_isolated",
    sector="lending",
    methodology="Debt repaid as emitted; seized market shares turned into their underlying at the exchange rate of the block.",
    mappings=(
        Mapping(
            event=event("venus_isolated", "LiquidateBorrow"),
            kind="call",
            liquidation={
                "account": col("borrower"),
                "liquidator": col("liquidator"),
                "collateral_token": col("vTokenCollateral"),
                "collateral_raw": col("seizeTokens"),
                "debt_raw": col("repayAmount"),
            },
        ),
        # One act seizes every collateral and heals every debt: the first debt carries the last collateral seized,
        # every other collateral is a row of its own.
        Mapping(
            event=HEAL,
            kind="call",
            joins=(Join(SEIZED, (("borrower", "from"), ("payer", "to")), "backward"),),
            liquidation={
                "account": col("borrower"),
                "liquidator": col("payer"),
                "collateral_token": when(IS_FIRST).then(col("Transfer.emitter")),
                "collateral_raw": when(IS_FIRST).then(col("Transfer.value")),
                "debt_raw": col("repayAmount"),
            },
        ),
        Mapping(
            event=SEIZED,
            kind="call",
            joins=(Join(HEAL, (("from", "borrower"), ("to", "payer"))),),
            where=col("HealBorrow.emitter").is_not_null()
            & (col("HealBorrow.log_index") == col("HealBorrow.log_index").min().over("block_number", "tx_hash", "from"))
            & ~IS_LAST,
            liquidation={
                "market": col("HealBorrow.emitter"),
                "account": col("from"),
                "liquidator": col("to"),
                "collateral_token": col("emitter"),
                "collateral_raw": col("value"),
            },
        ),
        Mapping(
            event=event("venus_isolated", "BadDebtIncreased"),
            kind="bad_debt",
            liquidation={"account": col("borrower"), "debt_raw": col("badDebtDelta")},
            values={"bad_debt_raw": col("badDebtDelta")},
        ),
        moved(event("venus_isolated", "Mint"), "supply", "minter", "minter", "mintAmount"),
        moved(event("venus_isolated", "Redeem"), "withdraw", "redeemer", "redeemer", "redeemAmount"),
        moved(event("venus_isolated", "Borrow"), "borrow", "borrower", "borrower", "borrowAmount"),
        # A market that writes a debt off repays it in its own name: nothing moved.
        moved(
            event("venus_isolated", "RepayBorrow"),
            "repay",
            "borrower",
            "payer",
            "repayAmount",
            where=col("payer") != emitter,
        ),
        Mapping(event=event("venus_isolated", "MarketAdded"), emitters={"address": col("vTokenAddress")}),
        Mapping(event=event("venus_isolated", "MarketSupported"), emitters={"address": col("vToken")}),
        Mapping(event=event("venus_isolated", "PoolRegistered"), emitters={"address": col("comptroller")}),
    ),
    lists=("getAllMarkets()",),
    reads=(Read("underlying()", into="debt_token"),),
    share_rate="exchangeRateStored()",
    beside={SEIZED: HEAL},
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("venus", "ethereum", "0x61CAff113CCaf05FFc6540302c37adcf077C5179", 18968019),
        Deployment("venus", "ethereum", "0x687a01ecF6d3907658f7A7c714749fAC32336D1B", 18968019),
        Deployment("venus", "ethereum", "0x67aA3eCc5831a65A5Ba7be76BED3B5dc7DB60796", 18968019),
        Deployment("venus", "ethereum", "0x562d2b6FF1dbf5f63E233662416782318cC081E4", 18968019),
        Deployment("venus", "ethereum", "0xF522cd0360EF8c2FF48B648d53EA1717Ec0F3Ac3", 18968019),
        Deployment("venus", "arbitrum", "0x382238f07Bc4Fe4aA99e561adE8A4164b5f815DA", 216184381),
        Deployment("venus", "arbitrum", "0x317c1A5739F39046E20b08ac9BeEa3f10fD43326", 216184381),
        Deployment("venus", "arbitrum", "0x52bAB1aF7Ff770551BD05b9FC2329a0Bf5E23F16", 216184381),
        Deployment("venus", "base", "0xeef902918DdeCD773D4B422aa1C6e1673EB9136F", 23344365),
        Deployment("venus", "base", "0x0C7973F9598AA62f9e03B94E92C967fD5437426C", 23344365),
        Deployment("venus", "bnb", "0x9F7b01A536aFA00EF10310A162877fd792cD0666", 29335016),
        Deployment("venus", "bnb", "0x9DF11376Cf28867E2B0741348044780FbB7cb1d6", 29335016),
        Deployment("venus", "bnb", "0x3344417c9360b963ca93A4e8305361AEde340Ab9", 29335016),
        Deployment("venus", "bnb", "0x1b43ea8622e76627B81665B1eCeBB4867566B963", 29335016),
        Deployment("venus", "bnb", "0xd933909A4a2b7A4638903028f44D1d38ce27c352", 29335016),
        Deployment("venus", "bnb", "0xBE609449Eb4D76AD8545f957bBE04b596E8fC529", 29335016),
        Deployment("venus", "bnb", "0x33B6fa34cd23e5aeeD1B112d5988B026b8A5567d", 29335016),
        Deployment("venus", "bnb", "0x94c1495cD4c557f1560Cbd68EAB0d197e6291571", 29335016),
        Deployment("venus", "bnb", "0x23b4404E4E5eC5FF5a6FFb70B7d14E3FabF237B0", 29335016),
        Deployment("venus", "opbnb", "0x345a030Ad22e2317ac52811AC41C1A63cfa13aEe", 16232873),
        Deployment("venus", "opbnb", "0xD6e3E2A1d8d95caE355D15b3b9f8E5c2511874dd", 16232873),
        Deployment("venus", "optimism", "0x147780799840d541C1d7c998F0cbA996d11D62bb", 126048098),
        Deployment("venus", "optimism", "0x5593FF68bE84C966821eEf5F0a988C285D5B7CeC", 126048098),
        Deployment("venus", "unichain", "0x0C52403E16BcB8007C1e54887E1dFC1eC9765D7C", 8199043),
        Deployment("venus", "unichain", "0xe22af1e6b78318e1Fe1053Edbd7209b8Fc62c4Fe", 8199043),
        Deployment("venus", "zksync", "0xFD96B926298034aed9bBe0Cca4b651E41eB87Bc4", 43551507),
        Deployment("venus", "zksync", "0xddE4D098D9995B659724ae6d5E3FB9681Ac941B1", 43551507),
    ),
)
