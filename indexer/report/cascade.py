"""How the largest cascade ran: its waves, its prices, who fell first, whether it fed itself."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from indexer import finish
from indexer.report import words
from indexer.report.ask import nothing, picture
from indexer.report.overview import hardest
from indexer.report.picture import Answer

if TYPE_CHECKING:
    from indexer.report.ask import Desk
    from indexer.report.picture import Picture

LAGS_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300)
MOST_SIMULATED = 10_000  # events: 200 surrogates of each lag are sorted in a few seconds
MOST_REFINED = 3_000  # events: the finer grid evaluates the likelihood 525 times
CERTAIN = 1.96  # standard deviations that 95 % of the surrogates stay within
UNUSUAL = 0.05


def largest(desk: Desk) -> dict[str, Any] | None:
    "The cascade with the largest value of the window, or None."
    found = desk.ask("cascades/cascades").table.sort(
        "forced_usd", "cascade_id", descending=[True, False], nulls_last=True
    )
    return found.to_dicts()[0] if found.height else None


def none_found(desk: Desk) -> str:
    "Why there is no cascade."
    params = desk.ask("cascades/cascades").params
    floor = params.get("floor_usd") or desk.pack["cascades/cascades"].parameters["floor_usd"].default
    stored = desk.ask("structure/market_split", split="side").table
    if not stored.height:
        return nothing("no liquidation on chain is stored in this window")
    return nothing(
        f"no cascade was found: no minute stood out of its past and above {words.money(float(floor))} with enough accounts"
        " (a lower -p floor_usd=... finds smaller ones)",
    )


def waterfall(desk: Desk) -> Picture:
    "The largest cascade minute by minute, cut into waves."
    cascades = desk.ask("cascades/cascades")
    found = largest(desk)
    if found is None:
        return picture(cascades, "cascade", "The cascade and its waves", caption="", alt="", missing=none_found(desk))
    chosen = {"cascade_id": found["cascade_id"]}
    waves, impact = desk.ask("cascades/waves", **chosen), desk.ask("cascades/price_impact", **chosen)
    margin = dt.timedelta(seconds=max(300, found["duration_seconds"] // 10))
    since, until = found["start_at"] - margin, found["end_at"] + margin
    step = str(desk.step_of(since, until, 240))
    around = {"since": since.isoformat(), "until": until.isoformat(), "step_seconds": step}
    sides = desk.ask("report/sides", **around)
    prices = desk.ask("cefi/side_by_side", **around, reference_asset=str(found["largest_asset"] or "BTC"))
    lower = waves.table.filter(pl.col("is_lower_low").fill_null(value=False)).height
    said = (
        f"From {words.at(found['start_at'])}, {words.money(found['forced_usd'])} fell in {words.lasting(found['duration_seconds'])}"
        f" over {words.several(found['n_accounts'], 'account')}; half of it in the first {words.lasting(found['half_seconds'])}."
    )
    deeper = f", {lower} of them to a lower low of {found['largest_asset']}" if lower else ""
    waved = f"It came in {words.several(waves.table.height, 'wave')}{deeper}."
    others = cascades.table.height - 1
    smaller = f"{words.several(others, 'smaller cascade')} in the window." if others else ""
    return picture(
        cascades, "cascade", "The cascade and its waves",
        caption=words.sentences(said, waved, fallen(impact.table, found), smaller),
        alt=f"Value by {words.step(float(step))} of the cascade, shaded by wave, with the price of"
        f" {found['largest_asset']} as a line. {said}",
        more=(waves, impact, sides, prices),
        facts={**found, "step_seconds": int(step), "lead": words.sentences(said, waved)},
        notes=("Found on chain only, where every record is known. A wave is a peak between two troughs.",),
    )  # fmt: skip


def fallen(impact: pl.DataFrame, found: dict[str, Any]) -> str:
    "The fall of the cascade's largest asset, against windows as volatile without a cascade."
    rows = impact.filter((pl.col("asset") == found["largest_asset"]) & pl.col("drop_bps").is_not_null()).to_dicts()
    if not rows:
        return f"How far {found['largest_asset']} fell is unknown: no price is stored from just before the start."
    row = rows[0]
    text = f"{row['asset']} fell {abs(row['drop_bps']) / 100:.1f}% to {words.price(row['price_low'])}"
    if row["placebo_drop_p95_bps"] is not None:
        text += f"; of windows as long and as volatile, 95% stayed within {abs(row['placebo_drop_p95_bps']) / 100:.1f}%"
    return text + "."


def price_map(desk: Desk) -> Picture:
    "Where in time and price the positions of the hardest-hit asset were closed."
    split = desk.ask("structure/market_split", split="asset", venue_kind="all")
    asset = hardest(split.table)
    since, until = span(desk)
    step = str(desk.step_of(since, until, 60))
    window = {"since": since.isoformat(), "until": until.isoformat()}
    main = desk.ask("report/price_map", **window, venue_kind="all", reference_asset=asset, step_seconds=step)
    prices = desk.ask("cefi/side_by_side", **window, reference_asset=asset, step_seconds=step)
    clusters = desk.ask("cascades/price_clusters", venue_kind="all", assets=asset)
    told = ""
    for row in (
        main.table.group_by("price_low", "price_high")
        .agg(pl.col("forced_usd").sum())
        .sort("forced_usd")
        .tail(1)
        .to_dicts()
    ):
        whole = words.tally(main.table, "forced_usd") or 0
        told = (
            f"The heaviest level of {asset}, {words.price(row['price_low'])} to {words.price(row['price_high'])}, took"
            f" {words.money(row['forced_usd'])}, {words.share(row['forced_usd'] / whole)} of what has a price."
        )
    rounded, facts = near_round(desk, main.table, asset)
    return picture(
        main, "price_map", f"{asset}: time and price of what was closed",
        caption=words.sentences(told, rounded),
        alt=f"A grid of time and price of {asset}; the darker a cell, the more was liquidated there. {told}",
        missing="" if main.table.height else nothing(f"no liquidation of {asset} has a value and a price"),
        more=(clusters, prices), facts={"asset": asset, "step_seconds": int(step), **facts},
        notes=("Realised liquidations at their own prices: not a model of what might be liquidated.",),
    )  # fmt: skip


def span(desk: Desk) -> tuple[dt.datetime, dt.datetime]:
    "Where in the window something happened: a quiet margin would shrink the grid to a stripe."
    busy = desk.ask("report/sides", venue_kind="all", step_seconds=str(desk.step_of(desk.since, desk.until)))
    if not busy.table.height:
        return desk.since, desk.until
    step = dt.timedelta(seconds=int(busy.params["step_seconds"]))
    first, last = busy.table["bucket_at"][0], busy.table["bucket_at"][-1] + step
    return max(desk.since, first - step), min(desk.until, last + step)


def near_round(desk: Desk, cells: pl.DataFrame, asset: str) -> tuple[str, dict[str, Any]]:
    "Whether round prices took more than the same levels shifted at random."
    if not cells.height:
        return "", {}
    rows = desk.step(
        "cascades/price_clusters",
        "SELECT price_of(mark_price, price, seized_usd, collateral_amount), sum(forced_usd) FROM selected()"
        " WHERE price_of(mark_price, price, seized_usd, collateral_amount) > 0 AND forced_usd > 0 GROUP BY 1 ORDER BY 1",
        venue_kind="all",
        assets=asset,
    )
    if not rows:
        return "", {}
    prices, usd = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    p, band = finish.round_number_p(prices, usd)
    verdict = "no more than chance" if p > UNUSUAL else "more than chance"
    text = (
        f"Within 25 bps of round prices lay {words.share(band.value)}, {verdict} (shifted grids: {words.share(band.low)}"
        f" to {words.share(band.high)}, p = {p:.2f}, seed {finish.SEED})."
    )
    return text, {"round_p": p, "round_share": band.value, "round_low": band.low, "round_high": band.high}


def assets(desk: Desk) -> Picture:
    "Assets by the time at which half of their value had fallen."
    found = largest(desk)
    split = desk.ask("structure/market_split", split="asset")
    if found is None:
        main = desk.ask("cascades/contagion_order")
        return picture(
            main, "assets", "Which asset fell first", caption="", alt="", missing=none_found(desk), more=(split,)
        )
    order = desk.ask("cascades/contagion_order", cascade_id=found["cascade_id"])
    reference = order.params.get("reference_asset", "BTC")
    rows = order.table.filter((pl.col("dimension") == "asset") & pl.col("forced_usd").is_not_null())
    if reference not in rows["key"].to_list() and rows.height:
        reference = str(found["largest_asset"])
        order = desk.ask("cascades/contagion_order", cascade_id=found["cascade_id"], reference_asset=reference)
        rows = order.table.filter((pl.col("dimension") == "asset") & pl.col("forced_usd").is_not_null())
    first = rows.filter(pl.col("t50_at").is_not_null()).sort("t50_at").to_dicts()
    told = ""
    if first:
        names = [f"{row['key']} ({words.clock(row['t50_at'])})" for row in first[:3]]
        told = f"Half of its own value fell first in {', then '.join(names)}."
    return picture(
        order, "assets", "Which asset fell first",
        caption=words.sentences(told, "Differences below 12 s are no order: clocks of chains do not agree more closely."),
        alt=f"Bars of value by asset, ordered by when half of it had fallen, with the lag behind {reference}. {told}",
        missing="" if rows.height else nothing("no asset of the cascade has a price"),
        more=(split,), facts={"reference": reference},
    )  # fmt: skip


def feedback(desk: Desk) -> Picture:
    "How many more events follow each other closely than their own slow rate explains."
    window, told_window = simulable(desk)
    main = desk.ask("cascades/self_excitation", **window)
    row = main.table.to_dicts()[0] if main.table.height else {"n_events": 0}
    n_events = row["n_events"] or 0
    few = 10
    if n_events < few:
        why = nothing(f"{words.several(n_events, 'event')} with a known account: too few to tell feedback from chance")
        return picture(main, "feedback", "Did it feed itself", caption="", alt="", missing=why)
    if n_events > MOST_SIMULATED:
        why = (
            f"{words.count(n_events)} events: the null band is drawn for at most {words.count(MOST_SIMULATED)}; choose a shorter"
            f" window. Pairs over expected pairs: {row['pair_excess']:.3f}."
        )
        return picture(main, "feedback", "Did it feed itself", caption="", alt="", missing=why)
    step = "SELECT us, long_us FROM feedback_events() ORDER BY us"
    us, long_us = (
        np.array(column, dtype=float)
        for column in zip(*desk.step("cascades/self_excitation", step, **window), strict=True)
    )
    jitter = float(main.params.get("jitter_seconds", desk.pack[main.query].parameters["jitter_seconds"].default))
    tau = float(main.params.get("tau_seconds", desk.pack[main.query].parameters["tau_seconds"].default))
    curve = excess(us / 1e6, jitter)
    here = finish.pair_z(us / 1e6, tau, jitter)
    facts: dict[str, Any] = {**row, "z": here.z, "tau_seconds": tau, "seed": finish.SEED}
    refined = ""
    if n_events <= MOST_REFINED and row.get("mean_delay_seconds") and row["branching"] is not None:
        best = finish.refined_likelihood(us / 1e6, float(long_us[0]) / 1e6, row["branching"], row["mean_delay_seconds"])
        facts |= {"branching": best.branching, "mean_delay_seconds": best.delay_seconds}
        doubt = " (at the edge of what was tried: do not trust it)" if row["is_grid_edge"] else ""
        refined = (
            f"The most likely branching ratio is {best.branching:.2f} after {words.lasting(best.delay_seconds)}{doubt}."
        )
    ratio = here.n_pairs / here.mean if here.mean else math.nan
    above = here.z > CERTAIN if math.isfinite(here.z) else False
    verdict = "more than" if above else "no more than"
    told = (
        f"Within {words.lasting(tau)} of each other stood {words.count(here.n_pairs)} pairs, {ratio:.2f} times what the slow rate"
        f" alone gives: {verdict} chance explains (z = {here.z:.1f})."
    )
    answer = Answer(
        "finish.pair_z", "Pairs against surrogates", "How many pairs would the slow rate alone give?", step + "\n",
        {"jitter_seconds": f"{jitter:g}", "n_surrogates": str(finish.N_SURROGATES), "seed": str(finish.SEED)}, curve, main.coverage,
    )  # fmt: skip
    return picture(
        main, "feedback", "Did it feed itself",
        caption=words.sentences(told_window, told, refined),
        alt=f"Pairs of close events over what surrogates give, by distance, with the band that chance stays within. {told}",
        more=(answer,), facts=facts,
        notes=(
            f"Null: every event moves freely inside its {words.lasting(jitter)}; {finish.N_SURROGATES} surrogates, seed {finish.SEED}.",
            "Records of one block share its time: below the block time of their chain distances say nothing.",
        ),
    )  # fmt: skip


def simulable(desk: Desk) -> tuple[dict[str, str], str]:
    "The window itself, or where it holds too many rows to simulate the surroundings of its largest cascade, and its words."
    rows = words.tally(desk.ask("structure/market_split", split="side", venue_kind="defi").table, "n_events") or 0
    found = largest(desk) if rows > MOST_SIMULATED else None
    if found is None:
        return {}, ""
    around = dt.timedelta(seconds=max(3600, found["duration_seconds"]))
    since, until = max(desk.since, found["start_at"] - around), min(desk.until, found["end_at"] + around)
    return (
        {"since": since.isoformat(), "until": until.isoformat()},
        f"The window holds {words.count(rows)} records, so only {words.window(since, until)} is tested, around the largest cascade.",
    )


def excess(seconds: finish.Floats, jitter: float) -> pl.DataFrame:
    "Per distance: pairs over the mean of the surrogates, and the band of the surrogates themselves."
    found = {lag: finish.pair_z(seconds, lag, jitter) for lag in LAGS_SECONDS if lag < jitter}
    rows = [
        {
            "tau_seconds": float(lag),
            "n_pairs": one.n_pairs,
            "null_mean": one.mean,
            "null_sd": one.sd,
            "pair_excess": one.n_pairs / one.mean if one.mean else None,
            "null_low": max(0.0, 1 - CERTAIN * one.sd / one.mean) if one.mean else None,
            "null_high": 1 + CERTAIN * one.sd / one.mean if one.mean else None,
            "z": one.z if math.isfinite(one.z) else None,
        }
        for lag, one in found.items()
    ]
    return pl.DataFrame(
        rows, schema={name: pl.Int64 if name == "n_pairs" else pl.Float64 for name in rows[0]} if rows else None
    )
