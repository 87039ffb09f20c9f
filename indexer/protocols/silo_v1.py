"""Silo v1: a silo emits Liquidate once an asset: with the collateral seized, or without any for the debt repaid."""

from indexer.abi import event
from indexer.declare import Deployment, Join, Mapping, Protocol, col, when

LEG = event("silo_v1", "Liquidate")
IS_FIRST = col("log_index") == col("log_index").min().over("block_number", "tx_hash", "emitter", "user")

PROTOCOL = Protocol(
    name="silo_v1",
    sector="lending",
    methodology="Collateral seized as emitted, a row an asset; the debt asked of the liquidator, in tokens, on the act's first row.",
    mappings=(
        Mapping(
            event=LEG,
            kind="call",
            joins=(Join(LEG, (("emitter", "emitter"), ("user", "user")), "any", where=col("seizedCollateral") == 0),),
            where=col("seizedCollateral").is_null() | (col("seizedCollateral") > 0),
            liquidation={
                "account": col("user"),
                "collateral_token": col("asset"),
                "collateral_raw": col("seizedCollateral"),
                "debt_token": when(IS_FIRST).then(col("Liquidate.asset")),
                "debt_raw": when(IS_FIRST).then(col("Liquidate.shareAmountRepaid")),
            },
        ),
        Mapping(event=event("silo_v1", "NewSiloCreated"), emitters={"address": col("silo")}),
    ),
    # `shareAmountRepaid` is what the liquidator's callback is told to repay, and repayFor takes tokens: interfaces
    # IFlashLiquidationReceiver and ISilo of silo-finance/silo-core-v1.
    notes=("No liquidator is named.",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("silo_v1", "ethereum", "0x4D919CEcfD4793c0D47866C8d0a02a0950737589", 15307294),
        Deployment("silo_v1", "ethereum", "0x6d4A256695586F61b77B09bc3D28333A91114d5a", 17391885),
        Deployment("silo_v1", "ethereum", "0x2c0fA05281730EFd3ef71172d8992500B36b56eA", 17782576),
        Deployment("silo_v1", "arbitrum", "0x4166487056A922D784b073d4d928a516B074b719", 51894508),
        Deployment("silo_v1", "base", "0x408822E4E8682413666809b0655161093cd36f2b", 16262586),
        Deployment("silo_v1", "optimism", "0x6B14c4450a29Dd9562c20259eBFF67a577b540b9", 120480601),
    ),
)
