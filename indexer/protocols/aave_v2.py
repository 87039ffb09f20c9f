"""Aave v2: a LendingPool emits LiquidationCall once per seized collateral."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, moved

PROTOCOL = Protocol(
    name="aave_v2",
    sector="lending",
    methodology="Debt repaid and collateral the liquidator receives, as emitted; bad debt leaves no event and is not measured.",
    mappings=(
        Mapping(
            event=event("aave_v2", "LiquidationCall"),
            kind="call",
            liquidation={
                "account": col("user"),
                "liquidator": col("liquidator"),
                "collateral_token": col("collateralAsset"),
                "collateral_raw": col("liquidatedCollateralAmount"),
                "debt_token": col("debtAsset"),
                "debt_raw": col("debtToCover"),
            },
        ),
        moved(event("aave_v2", "Deposit"), "supply", "onBehalfOf", "user", "amount", "reserve"),
        moved(event("aave_v2", "Withdraw"), "withdraw", "user", "to", "amount", "reserve"),
        moved(event("aave_v2", "Borrow"), "borrow", "onBehalfOf", "user", "amount", "reserve"),
        moved(event("aave_v2", "Repay"), "repay", "user", "repayer", "amount", "reserve"),
    ),
    deployments=(
        Deployment("aave_v2", "ethereum", "0x7d2768dE32b0b80b7a3454c06BdAc94A69DDc7A9", 11362579),
        Deployment("aave_v2", "ethereum", "0x7937D4799803FbBe595ed57278Bc4cA21f3bFfCB", 11998773),
        Deployment("aave_v2", "ethereum", "0x37D7306019a38Af123e4b245Eb6C28AF552e0bB0", 13431462),
        Deployment("aave_v2", "ethereum", "0xA1a8c33C9a9a9DE231b13a2271a7C09c11C849F1", 13770777),
        Deployment("uwu", "ethereum", "0x2409aF0251DCB89EE3Dee572629291f9B087c668", 15568883),
        Deployment("lava", "arbitrum", "0x3Ff516B89ea72585af520B64285ECa5E4a0A8986"),
        Deployment("radiant_v1", "arbitrum", "0x2032b9A8e9F7e76768CA9271003d3e43E1616B1F", 18465941),
        Deployment("radiant_v2", "arbitrum", "0xF4B1486DD74D07706052A33d31d7c0AAFD0659E1", 71246774),
        Deployment("aave_v2", "avalanche", "0x4F01AeD16D97E3aB5ab2B501154DC9bb0F1A5A2C", 4607005),
        Deployment("primefi", "base", "0x8a619D8E3BfAb54F7C30Ef39Ce16c53429c739C3"),
        Deployment("radiant_v2", "bnb", "0xd50Cf00b6e600Dd036Ba8eF475677d816d6c4281", 26831959),
        Deployment("geist", "fantom", "0x9FAD24f572045c7869117160A571B2e50b10d068", 18424497),
        Deployment("realt_rmm", "gnosis", "0x5B8D36De471880Ee21936f328AAB2383a280CB2A"),
        Deployment("primefi", "hyperevm", "0xb339448E13E273f6F46e3390e0932Ab7fF9F113F"),
        Deployment("lendle", "mantle", "0xCFa5aE7c2CE8Fadc6426C1ff872cA45378Fb7cF3"),
        Deployment("aave_v2", "polygon", "0x8dFf5E27EA6b7AC08EbFdf9eB090F32ee9a30fcf", 12687245),
        Deployment("primefi", "xdc", "0x8a619D8E3BfAb54F7C30Ef39Ce16c53429c739C3"),
    ),
)
