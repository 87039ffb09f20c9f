"""Abracadabra v4: a cauldron emits LogLiquidation; collateral is counted in shares of the BentoBox."""

from indexer.abi import event
from indexer.declare import Mapping, Protocol, Read, col, lit

PROTOCOL = Protocol(
    name="abracadabra_v4",
    sector="lending",
    methodology="MIM repaid as emitted; collateral in shares of the BentoBox, without a value.",
    mappings=(
        Mapping(
            event=event("abracadabra_v4", "LogLiquidation"),
            kind="call",
            liquidation={
                "account": col("user"),
                "liquidator": col("from"),
                "collateral_raw": col("collateralShare"),
                "debt_symbol": lit("MIM"),
                "debt_raw": col("borrowAmount"),
            },
            values={"debt_decimals": lit(18)},
        ),
    ),
    # The collateral is no `collateral_token`: its raw amount is shares, which its price must not value.
    reads=(Read("collateral()", into="share_of"), Read("bentoBox()", into="bento_box")),
    notes=("Shares are not turned into tokens. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
