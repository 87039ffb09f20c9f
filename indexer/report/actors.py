"""Who lost, who moved before, who earned: whales, flows, liquidators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from indexer import finish
from indexer.report import words
from indexer.report.ask import nothing, picture
from indexer.report.cascade import largest, none_found

if TYPE_CHECKING:
    from indexer.report.ask import Desk
    from indexer.report.picture import Picture

N_WHALES = "12"
MOST_EPISODES = 200_000
PHASES = {
    "before_24h": "day before", "before_1h": "hour before", "during": "during", "after_1h": "hour after", "after_24h": "day after",
}  # fmt: skip
# One row an episode: the seizures of one position within ten minutes are not independent.
EPISODES = """
SELECT coalesce(entities.entity, liquidator), sum(seized_usd) FROM selected()
LEFT JOIN entities ON entities.address = liquidator
WHERE liquidator IS NOT NULL AND seized_usd > 0 AND sector IN ('lending', 'cdp')
GROUP BY coalesce(entities.entity, liquidator), venue, account, asset, bucket_of(600, liquidated_at) ORDER BY ALL
"""


def whales(desk: Desk) -> Picture:
    "The accounts that lost the most, and the way their money took."
    main = desk.ask("whales/largest_liquidated", top=N_WHALES)
    paths = desk.ask("whales/path", top=N_WHALES)
    rows = main.table.filter(pl.col("forced_usd").is_not_null()).to_dicts()
    said = ""
    if rows:
        together = sum(row["total_share"] or 0 for row in rows)
        said = (
            f"{words.account(rows[0]['account'])} lost the most, {words.money(rows[0]['forced_usd'])},"
            f" {words.share(rows[0]['total_share'])} of all; the {words.several(len(rows), 'account')} shown make"
            f" {words.share(together)}."
        )
    led = leads(paths.table, [row["account"] for row in rows])
    return picture(
        main, "whales", "Who lost the most, and where it went",
        caption=words.sentences(said, led),
        alt=f"Bars of the value liquidated by account, largest first, with the path that money took. {said}",
        missing="" if rows else nothing("no account with a priced liquidation is stored in this window"),
        more=(paths,),
        notes=("Positions liquidated, not money lost: margin_lost_usd is that, where known.", "A path shows that value moved, not why."),
    )  # fmt: skip


def leads(paths: pl.DataFrame, accounts: list[str]) -> str:
    "How many of the accounts have a path to a labelled place."
    ends = paths.filter(pl.col("account").is_in(accounts))
    if not ends.height:
        return "No transfer of theirs to a labelled place is stored (flows are indexed on request)."
    labels = sorted({str(label) for label in ends["end_label"].drop_nulls().to_list()})
    return f"Of {words.several(ends['account'].n_unique(), 'account')} the money is followed to {words.listed(labels)}."


def flows(desk: Desk) -> Picture:
    "Value moved to exchanges in the phases around the largest cascade, against the days before."
    found = largest(desk)
    if found is None:
        main = desk.ask("whales/flows")
        return picture(main, "flows", "Did money move to exchanges first", caption="", alt="", missing=none_found(desk))
    chosen = {"cascade_id": found["cascade_id"]}
    main, before = desk.ask("whales/flows", **chosen), desk.ask("whales/catalysts", **chosen)
    moved = words.tally(main.table, "n_flows")
    if not moved:
        why = nothing("no flow is stored around the cascade; index them with --dataset flows")
        return picture(
            main, "flows", "Did money move to exchanges first", caption="", alt="", missing=why, more=(before,)
        )
    by_phase = {row["phase"]: row for row in main.table.to_dicts()}
    return picture(
        main, "flows", "Did money move to exchanges first",
        caption=words.sentences(compared(by_phase.get("before_1h")), suspect(before.table)),
        alt="Bars of value sent to exchanges an hour, for each phase around the cascade, with the usual level of earlier days"
        f" as a tick. {compared(by_phase.get('before_1h'))}",
        more=(before,), facts={**found, **seen(desk, main.table)},
        notes=("To move before is not to cause: a label tells the place, not the purpose.",),
    )  # fmt: skip


def seen(desk: Desk, phases: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    "The phases of which flows cover nothing (`unseen`) or not all (`partly`): a sum of 0 there is no zero."
    rows = desk.connection.execute(
        "SELECT min(from_at), max(to_at) FROM coverage WHERE dataset LIKE 'flows:%'"
    ).fetchall()
    first, last = rows[0]
    if first is None:
        return {}
    spans = {row["phase"]: (row["phase_start_at"], row["phase_end_at"]) for row in phases.to_dicts()}
    unseen = tuple(phase for phase, (start, end) in spans.items() if end <= first or start >= last)
    partly = tuple(
        phase for phase, (start, end) in spans.items() if phase not in unseen and (start < first or end > last)
    )
    return {"unseen": unseen, "partly": partly}


def compared(row: dict[str, Any] | None) -> str:
    "The hour before against its usual level."
    if row is None or row["to_exchange_usd_per_hour"] is None:
        return ""
    text = f"In the hour before, {words.money(row['to_exchange_usd_per_hour'])} moved to exchanges"
    if row["baseline_ratio"] is None:
        return f"{text}; too few earlier days are stored to say what is usual."
    return f"{text}, {row['baseline_ratio']:.1f} times what earlier days show."


def suspect(catalysts: pl.DataFrame) -> str:
    "The largest move just before, and how unusual such a half hour was."
    rows = catalysts.sort("rank").head(1).to_dicts()
    if not rows:
        return "No single large move to an exchange and no large loan stands in the last half hour before it."
    row = rows[0]
    text = (
        f"The largest move just before: {words.account(row['account'])}, {words.money(row['usd'])} of {row['asset']},"
        f" {words.lasting(row['before_start_seconds'])} before the start"
    )
    if row["placebo_p"] is None or not row["n_placebo"]:
        return f"{text}; nothing earlier to compare it with."
    return f"{text}; as much moved in {words.share(row['placebo_p'])} of {words.several(row['n_placebo'], 'earlier half hour')}."


def liquidators(desk: Desk) -> Picture:
    "How few liquidators took how much of the collateral."
    main = desk.ask("structure/liquidator_concentration")
    bonus = desk.ask("structure/bonus_paid")
    overall = main.table.filter(pl.col("venue") == "all").sort("month_at")
    said, facts = "", banded(desk)
    for row in overall.tail(1).to_dicts():
        said = (
            f"{words.several(row['n_liquidators'], 'liquidator')} seized {words.money(row['seized_usd'])}; the largest took"
            f" {words.share(row['top1_share'])}, as concentrated as {words.three(row['effective_n'])} of equal size"
            f" (HHI {words.count(row['hhi'])}"
            + (
                f", 95% band {words.count(float(facts['hhi_low']))} to {words.count(float(facts['hhi_high']))})."
                if facts
                else ")."
            )
        )
    paid = words.tally(bonus.table, "bonus_usd")
    earned = f"Borrowers paid {words.money(paid)} more than their debt." if paid is not None else ""
    return picture(
        main, "liquidators", "Who earned from it",
        caption=words.sentences(said, earned),
        alt=f"For all and each venue, the share of seized collateral of the largest and of the five largest liquidators. {said}",
        missing="" if main.table.height else nothing("no liquidation names its liquidator (perps and exchanges do not)"),
        more=(bonus,), facts=facts,
        notes=(f"Band: episodes resampled {finish.N_SURROGATES} times, seed {finish.SEED}.",) if facts else (),
    )  # fmt: skip


def banded(desk: Desk) -> dict[str, Any]:
    "The 95 % band of the HHI over the whole window, by resampling episodes; empty where there are too few or too many."
    events = words.tally(desk.ask("structure/market_split", split="side", venue_kind="defi").table, "n_events") or 0
    if events > 3 * MOST_EPISODES:
        return {}
    rows = desk.step("structure/liquidator_concentration", EPISODES)
    if not 1 < len(rows) <= MOST_EPISODES:
        return {}
    names, usd = zip(*rows, strict=True)
    _, hhi = finish.bootstrap_bands(np.array(names, dtype=str), np.array(usd, dtype=float))
    return {"hhi": hhi.value, "hhi_low": hhi.low, "hhi_high": hhi.high}
