"""Morpho Blue: one singleton a chain emits Liquidate with the bad debt inside; tokens come from CreateMarket."""

from indexer.abi import event
from indexer.declare import Deployment, Mapping, Protocol, col, json, lit

PROTOCOL = Protocol(
    name="morpho_blue",
    sector="lending",
    methodology="Collateral seized and debt repaid as emitted; socialised bad debt on the same row, not part of the debt repaid.",
    mappings=(
        Mapping(
            event=event("morpho_blue", "Liquidate"),
            kind="call",
            liquidation={
                "market": col("id"),
                "account": col("borrower"),
                "liquidator": col("caller"),
                "collateral_raw": col("seizedAssets"),
                "debt_raw": col("repaidAssets"),
                "protocol_fee_usd": lit(0.0),
            },
            values={"bad_debt_raw": col("badDebtAssets")},
        ),
        Mapping(
            event=event("morpho_blue", "CreateMarket"),
            markets={
                "market": col("id"),
                "collateral_token": col("marketParams.collateralToken"),
                "debt_token": col("marketParams.loanToken"),
                "params": json(
                    oracle=col("marketParams.oracle"),
                    irm=col("marketParams.irm"),
                    lltv=col("marketParams.lltv").cast(str),
                ),
            },
        ),
    ),
    market_read=("idToMarketParams(bytes32)", ("debt_token", "collateral_token", "oracle", "irm", "lltv")),
    deployments=(
        Deployment("morpho_blue", "ethereum", "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb", 18883124),
        Deployment("morpho_blue", "abstract", "0xc85CE8ffdA27b646D269516B8d0Fa6ec2E958B55", 13947713),
        Deployment("morpho_blue", "arbitrum", "0x6c247b1F6182318877311737BaC0844bAa518F5e", 296446593),
        Deployment("morpho_blue", "base", "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb", 13977148),
        Deployment("lista_moolah", "bnb", "0x8F73b65B4caAf64FBA2aF91cC5D4a2A1318E5D8C"),
        Deployment("morpho_blue", "celo", "0xd24ECdD8C1e0E57a4E26B1a7bbeAa3e95466A569", 40249329),
        Deployment("morpho_blue", "citrea", "0x99D31FEcc885204b4136ea5D2ef2a37F36E3AeB8", 2528230),
        Deployment("morpho_blue", "corn", "0xc2B1E031540e3F3271C5F3819F0cC7479a8DdD90", 251401),
        Deployment("morpho_blue", "etherlink", "0xbCE7364E63C3B13C73E9977a83c9704E2aCa876e", 21047448),
        Deployment("morpho_blue", "flare", "0xF4346F5132e810f80a28487a79c7559d9797E8B0", 52378788),
        Deployment("morpho_blue", "fraxtal", "0xa6030627d724bA78a59aCf43Be7550b4C5a0653b", 15317931),
        Deployment("morpho_blue", "hemi", "0xa4Ca2c2e25b97DA19879201bA49422bc6f181f42", 1188872),
        Deployment("morpho_blue", "hyperevm", "0x68e37dE8d93d3496ae143F2E900490f6280C57cD", 1988429),
        Deployment("morpho_blue", "ink", "0x857f3EefE8cbda3Bc49367C996cd664A880d3042", 4078776),
        Deployment("morpho_blue", "katana", "0xD50F2DffFd62f94Ee4AEd9ca05C61d0753268aBc", 2741069),
        Deployment("morpho_blue", "mode", "0xd85cE6BD68487E0AaFb0858FDE1Cd18c76840564", 19983370),
        Deployment("morpho_blue", "monad", "0xD5D960E8C380B724a48AC59E2DfF1b2CB4a1eAee", 31907457),
        Deployment("morpho_blue", "morph", "0xAd10d07901Dc3195c3cb5e78E061F4EA8D9B4905", 23180020),
        Deployment("morpho_blue", "optimism", "0xce95AfbB8EA029495c66020883F87aaE8864AF92", 130770075),
        Deployment("morpho_blue", "pharos", "0x18573fA18fd17dDfD790B4a5B5b2977aad3b4Efb", 4202147),
        Deployment("morpho_blue", "plume", "0x42b18785CE0Aed7BF7Ca43a39471ED4C0A3e0bB5", 765994),
        Deployment("morpho_blue", "polygon", "0x1bF0c2541F820E775182832f06c0B7Fc27A25f67", 66931042),
        Deployment("morpho_blue", "robinhood", "0x9D53d5E3bd5E8d4Cbfa6DB1ca238AEA02E651010", 286),
        Deployment("morpho_blue", "scroll", "0x2d012EdbAdc37eDc2BC62791B666f9193FDF5a55", 12842868),
        Deployment("morpho_blue", "sei", "0xc9cDAc20FCeAAF616f7EB0bb6Cd2c69dcfa9094c", 166036723),
        Deployment("morpho_blue", "soneium", "0xE75Fc5eA6e74B824954349Ca351eb4e671ADA53a", 6440817),
        Deployment("morpho_blue", "sonic", "0xd6c916eB7542D0Ad3f18AEd0FCBD50C582cfa95f", 9100931),
        Deployment("morpho_blue", "stable", "0xa40103088A899514E3fe474cD3cc5bf811b1102e"),
        Deployment("morpho_blue", "tac", "0x918B9F2E4B44E20c6423105BB6cCEB71473aD35c", 853025),
        Deployment("morpho_blue", "tempo", "0x10EE9AAC980A180dd4DcFc96C746d60B0EA88f97"),
        Deployment("morpho_blue", "unichain", "0x8f5ae9CddB9f68de460C77730b018Ae7E04a140A", 9139027),
        Deployment("morpho_blue", "worldchain", "0xE741BC7c34758b4caE05062794E8Ae24978AF432"),
        Deployment("morpho_blue", "zircuit", "0xA902A365Fe10B4a94339B5A2Dc64F60c1486a5c8", 14640172),
    ),
)
