"""Abracadabra v1 to v3: no liquidation event; collateral leaves and debt is repaid in one transaction, by another than the user."""

from indexer.abi import event
from indexer.declare import Join, Mapping, Protocol, Read, col, lit

REPAID = event("abracadabra_v1_v3", "LogRepay")

PROTOCOL = Protocol(
    name="abracadabra_v1_v3",
    sector="lending",
    methodology="A repayment and a removal of collateral in one transaction whose payer and receiver are not the user.",
    mappings=(
        Mapping(
            event=event("abracadabra_v1_v3", "LogRemoveCollateral"),
            kind="call",
            joins=(Join(REPAID, (("emitter", "emitter"), ("from", "to")), where=col("from") != col("to")),),
            where=(col("to") != col("from")) & col("LogRepay.emitter").is_not_null(),
            liquidation={
                "account": col("from"),
                "liquidator": col("LogRepay.from"),
                "collateral_raw": col("share"),
                "debt_symbol": lit("MIM"),
                "debt_raw": col("LogRepay.amount"),
            },
            values={"debt_decimals": lit(18)},
        ),
    ),
    supporting=(REPAID,),
    # The collateral is no `collateral_token`: its raw amount is shares, which its price must not value.
    reads=(Read("collateral()", into="share_of"), Read("bentoBox()", into="bento_box")),
    notes=("Shares are not turned into tokens. No contract is built in: a deployments file names them.",),
    is_synthetic="no public source quotes a log of it",
)
