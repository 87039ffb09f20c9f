"""Liquity v2: a branch's TroveManager emits TroveOperation a trove (5 is a liquidation) and Liquidation once a call."""

from indexer.abi import event
from indexer.declare import NOBODY, Deployment, Group, Mapping, Protocol, col, emitter, lit, scaled, when

TROVE = event("liquity_v2", "TroveOperation")
CALL = event("liquity_v2", "Liquidation")
LIQUIDATE = 5  # enum Operation of ITroveEvents.sol; 6 is a redemption
DEBT = -col("_debtChangeFromOperation")
BEFORE = DEBT.cum_sum().over("group.id", order_by="log_index") - DEBT
OFFSET = (col("Liquidation._debtOffsetBySP").fill_null(0) - BEFORE).clip(lower_bound=0)

PROTOCOL = Protocol(
    name="liquity_v2",
    sector="cdp",
    methodology="The trove's change as emitted, at the price the call states; a surplus the owner can claim is not subtracted.",
    mappings=(
        Mapping(
            event=TROVE,
            where=col("_operation") == LIQUIDATE,
            groups=(Group(CALL, (("emitter", "emitter"),)),),
            kind=when(OFFSET.cast(float) * 2 >= DEBT.cast(float))
            .then(lit("stability_pool"))
            .otherwise(lit("redistribution")),
            liquidation={
                "market": emitter,
                "account": NOBODY,
                "collateral_symbol": col("market"),
                "collateral_raw": -col("_collChangeFromOperation"),
                "debt_raw": DEBT,
                "debt_symbol": when(col("venue") == "felix").then(lit("feUSD")).otherwise(lit("BOLD")),
            },
            values={"event_price": scaled("Liquidation._price", 18), "collateral_decimals": lit(18)},
        ),
    ),
    supporting=(CALL,),
    lists=("totalCollaterals()->getTroveManager(uint256)",),
    is_synthetic="no public source quotes a log of it",
    deployments=(
        Deployment("liquity_v2", "ethereum", "0x7bcb64B2c9206a5B699eD43363f6F98D4776Cf5A"),
        Deployment("liquity_v2", "ethereum", "0xb2B2ABEb5C357a234363FF5D180912D319e3e19e"),
        Deployment("liquity_v2", "ethereum", "0xA2895d6A3bf110561Dfe4b71cA539d84e1928B22"),
        Deployment("felix", "hyperevm", "0x9De1e57049c475736289Cb006212F3E1DCe4711B"),
        Deployment("felix", "hyperevm", "0x3100F4e7BDA2ED2452d9A57EB30260ab071BBe62"),
    ),
)
