"""Euler v2: the debt vault emits Liquidate; the collateral is shares of another vault of the same factory."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, Read, col

PROTOCOL = Protocol(
    name="euler_v2",
    sector="lending",
    methodology="Debt repaid as emitted; seized vault shares turned into their assets by the vault at that block.",
    mappings=(
        Mapping(
            event=event("euler_v2", "Liquidate"),
            kind="call",
            liquidation={
                "account": col("violator"),
                "liquidator": col("liquidator"),
                "collateral_token": col("collateral"),
                "collateral_raw": col("yieldBalance"),
                "debt_raw": col("repayAssets"),
            },
        ),
        Mapping(
            event=event("euler_v2", "DebtSocialized"),
            kind="bad_debt",
            liquidation={"account": col("account"), "debt_raw": col("assets")},
            values={"bad_debt_raw": col("assets")},
        ),
        Mapping(event=event("euler_v2", "ProxyCreated"), emitters={"address": col("proxy")}),
    ),
    lists=("getProxyListLength()->proxyList(uint256)",),
    reads=(Read("asset()", into="debt_token"),),
    share_rate="convertToAssets(uint256)",
    notes=("An account is a sub-account: it differs from its owner in the last byte.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("euler_v2", "ethereum", "0x29a56a1b8214D9Cf7c5561811750D5cBDb45CC8e"),
        Deployment("euler_v2", "arbitrum", "0x78Df1CF5bf06a7f27f2ACc580B934238C1b80D50"),
        Deployment("euler_v2", "avalanche", "0xaf4B4c18B17F6a2B32F6c398a3910bdCD7f26181"),
        Deployment("euler_v2", "base", "0x7F321498A801A191a93C840750ed637149dDf8D0"),
        Deployment("euler_v2", "berachain", "0x5C13fb43ae9BAe8470f646ea647784534E9543AF"),
        Deployment("euler_v2", "bnb", "0x7F53E2755eB3c43824E162F7F6F087832B9C9Df6"),
        Deployment("euler_v2", "bob", "0x046a9837A61d6b6263f54F4E27EE072bA4bdC7e4"),
        Deployment("hypurrfi_markets", "hyperevm", "0xcF5552580fD364cdBBFcB5Ae345f75674c59273A"),
        Deployment("euler_v2", "linea", "0x84711986Fd3BF0bFe4a8e6d7f4E22E67f7f27F04"),
        Deployment("euler_v2", "mantle", "0x47Aaf2f062aa1D55AFa602f5C9597588f71E2d76"),
        Deployment("euler_v2", "monad", "0xba4Dd672062dE8FeeDb665DD4410658864483f1E"),
        Deployment("euler_v2", "plasma", "0x42388213C6F56D7E1477632b58Ae6Bba9adeEeA3"),
        Deployment("euler_v2", "sonic", "0xF075cC8660B51D0b8a4474e3f47eDAC5fA034cFB"),
        Deployment("euler_v2", "swellchain", "0x238bF86bb451ec3CA69BB855f91BDA001aB118b9"),
        Deployment("euler_v2", "tac", "0x2b21621b8Ef1406699a99071ce04ec14cCd50677"),
        Deployment("euler_v2", "unichain", "0xbAd8b5BDFB2bcbcd78Cc9f1573D3Aad6E865e752"),
    ),
)
