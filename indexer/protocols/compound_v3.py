"""Compound v3: a Comet absorbs an account (AbsorbCollateral per asset, then AbsorbDebt) and later sells what it took."""

from indexer.abi import event
from indexer.declare import NOBODY, Deployment, Group, Join, Mapping, Protocol, Read, col, emitter, moved, scaled, when

COLLATERAL = event("compound_v3", "AbsorbCollateral")
DEBT = event("compound_v3", "AbsorbDebt")
BORROWER = (("emitter", "emitter"), ("borrower", "borrower"))
IS_FIRST = col("group.place") == 0
COLLATERAL_VALUE = scaled("usdValue", 8).sum().over("group.id")
DEBT_VALUE = scaled("AbsorbDebt.usdValue", 8)

PROTOCOL = Protocol(
    name="compound_v3",
    sector="lending",
    methodology="Collateral absorbed at the event's own value; the debt stands on the act's first row; bad debt is a lower bound.",
    mappings=(
        Mapping(
            event=COLLATERAL,
            kind="absorb",
            groups=(Group(DEBT, BORROWER),),
            liquidation={
                "account": col("borrower"),
                "liquidator": col("absorber"),
                "collateral_token": col("asset"),
                "collateral_raw": col("collateralAbsorbed"),
                "debt_raw": when(IS_FIRST).then(col("AbsorbDebt.basePaidOut")),
            },
            values={
                "event_value": scaled("usdValue", 8),
                "event_debt_value": when(IS_FIRST).then(DEBT_VALUE),
                "event_bad_debt_value": when(IS_FIRST).then((DEBT_VALUE - COLLATERAL_VALUE).clip(lower_bound=0.0)),
                "event_quote": emitter,
            },
        ),
        Mapping(
            event=DEBT,
            kind="bad_debt",
            joins=(Join(COLLATERAL, BORROWER, "any"),),
            where=col("AbsorbCollateral.emitter").is_null(),
            liquidation={
                "account": col("borrower"),
                "liquidator": col("absorber"),
                "debt_raw": col("basePaidOut"),
            },
            values={"event_bad_debt_value": scaled("usdValue", 8), "event_quote": emitter},
        ),
        Mapping(
            event=event("compound_v3", "BuyCollateral"),
            kind="resale",
            liquidation={
                "account": NOBODY,
                "liquidator": col("buyer"),
                "collateral_token": col("asset"),
                "collateral_raw": col("collateralAmount"),
                "debt_raw": col("baseAmount"),
            },
        ),
        # A Withdraw beyond the balance is a borrow and a Supply may repay: the event does not say.
        moved(event("compound_v3", "Supply"), "supply", "dst", "from", "amount"),
        moved(event("compound_v3", "Withdraw"), "withdraw", "src", "to", "amount"),
        moved(event("compound_v3", "SupplyCollateral"), "supply", "dst", "from", "amount", "asset"),
        moved(event("compound_v3", "WithdrawCollateral"), "withdraw", "src", "to", "amount", "asset"),
    ),
    reads=(
        Read("baseToken()", into="debt_token"),
        Read("baseTokenPriceFeed()", into="base_feed"),
        Read("description()", into="base_feed_description", type="string", of="base_feed"),
    ),
    deployments=(
        Deployment("compound_v3", "ethereum", "0xc3d688B66703497DAA19211EEdff47f25384cdc3", 15331586),
        Deployment("compound_v3", "ethereum", "0x5D409e56D886231aDAf00c8775665AD0f9897b56", 15331590),
        Deployment("compound_v3", "ethereum", "0x3Afdc9BCA9213A35503b077a6072F3D0d5AB0840", 15331590),
        Deployment("compound_v3", "ethereum", "0xe85Dc543813B8c2CFEaAc371517b925a166a9293", 15331590),
        Deployment("compound_v3", "ethereum", "0xA17581A9E3356d9A858b789D68B4d866e593aE94", 15331590),
        Deployment("compound_v3", "ethereum", "0x3D0bb1ccaB520A66e607822fC55BC921738fAFE3", 15331590),
        Deployment("compound_v3", "arbitrum", "0x9c4ec768c28520B50860ea7a15bd7213a9fF58bf", 87335242),
        Deployment("compound_v3", "arbitrum", "0xA5EDBDD9646f8dFF606d7448e414884C7d905dCA", 87335242),
        Deployment("compound_v3", "arbitrum", "0xd98Be00b5D27fc98112BdE293e487f8D4cA57d07", 87335242),
        Deployment("compound_v3", "arbitrum", "0x6f7D514bbD4aFf3BcD1140B7344b32f063dEe486", 87335242),
        Deployment("compound_v3", "base", "0x784efeB622244d2348d4F2522f8860B96fbEcE89", 2197594),
        Deployment("compound_v3", "base", "0x9c4ec768c28520B50860ea7a15bd7213a9fF58bf", 2197594),
        Deployment("compound_v3", "base", "0xb125E6687d4313864e53df431d5425969c15Eb2F", 2197594),
        Deployment("compound_v3", "base", "0x2c776041CCFe903071AF44aa147368a9c8EEA518", 2197594),
        Deployment("compound_v3", "base", "0x46e6b214b524310239732D51387075E0e70970bf", 2197594),
        Deployment("compound_v3", "linea", "0x8D38A3d6B3c3B7d96D6536DA7Eef94A9d7dbC991"),
        Deployment("compound_v3", "linea", "0x60F2058379716A64a7A5d29219397e79bC552194"),
        Deployment("compound_v3", "mantle", "0x606174f62cd968d8e684c645080fa694c1D7786E"),
        Deployment("compound_v3", "optimism", "0x2e44e174f7D53F0212823acC11C01A11d58c5bCB"),
        Deployment("compound_v3", "optimism", "0x995E394b8B2437aC8Ce61Ee0bC610D617962B214"),
        Deployment("compound_v3", "optimism", "0xE36A30D249f7761327fd973001A32010b521b6Fd"),
        Deployment("compound_v3", "polygon", "0xF25212E676D1F7F89Cd72fFEe66158f541246445", 39412378),
        Deployment("compound_v3", "polygon", "0xaeB318360f27748Acb200CE616E389A6C9409a07", 39412378),
        Deployment("compound_v3", "ronin", "0x4006eD4097Ee51c09A04c3B0951D28CCf19e6DFE"),
        Deployment("compound_v3", "ronin", "0xc0Afdbd1cEB621Ef576BA969ce9D4ceF78Dbc0c0"),
        Deployment("compound_v3", "scroll", "0xB2f97c1Bd3bf02f5e74d13f02E3e26F93D77CE44"),
        Deployment("compound_v3", "unichain", "0x2c7118c4C88B9841FCF839074c26Ae8f035f2921"),
        Deployment("compound_v3", "unichain", "0x6C987dDE50dB1dcDd32Cd4175778C2a291978E2a"),
    ),
)
