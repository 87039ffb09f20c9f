"""How large the night was, when, where: scoreboard, hours, DeFi beside CeFi, venues."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl

from indexer.report import words
from indexer.report.ask import nothing, picture, simulated

if TYPE_CHECKING:
    from indexer.report.ask import Desk
    from indexer.report.picture import Answer, Picture

DAY_HOURS = 24
FLOOR_NOTE = "Exchanges show only part of their forced orders: what is observed is a floor, never an estimate."


def scoreboard(desk: Desk) -> Picture:
    "Totals of both sides of the market beside what third parties reported."
    sides = {
        kind: desk.ask("structure/market_split", split="side", venue_kind=kind) for kind in ("all", "defi", "cefi")
    }
    venues = desk.ask("structure/market_split", split="venue", venue_kind="all")
    traders = desk.ask("structure/traders", venue_kind="all")
    largest = desk.ask("whales/largest_liquidated", top="1", venue_kind="all")
    reported = desk.ask("cefi/reported_agreement", until=(desk.until + dt.timedelta(hours=DAY_HOURS)).isoformat())
    chains = simulated(desk.connection)
    facts = {
        **totals(sides),
        **people(traders, largest),
        **compared(reported.table if not chains else reported.table.clear()),
        "largest_usd": sides["all"].table["largest_usd"].max() if sides["all"].table.height else None,
        "n_venues": venues.table.height,
    }
    facts["lead"] = sized(facts)
    main = sides["all"]
    return picture(
        main, "scoreboard", "The night in numbers",
        question="How large was it, on which side, and do the numbers agree with what was reported?",
        caption=words.sentences(divided(facts), agreed(facts, chains)),
        alt=f"Bars of the value liquidated on chain ({words.money(facts['defi_usd'])}) and on exchanges"
        f" ({words.money(facts['cefi_usd'])}), longs beside shorts, above the range of reported totals.",
        missing=unvalued(main.table.height, facts["total_usd"] is not None),
        more=(sides["defi"], sides["cefi"], traders, largest, venues, reported), facts=facts,
        notes=(FLOOR_NOTE, "Accounts and orders are counted apart: exchanges name no account."),
    )  # fmt: skip


def totals(sides: dict[str, Answer]) -> dict[str, Any]:
    "Value by side of each kind of venue; None where nothing priced is stored."
    facts: dict[str, Any] = {}
    for kind, answer in sides.items():
        by_side = dict(answer.table.select("key", "forced_usd").iter_rows())
        usd = words.tally(answer.table, "forced_usd")
        name = "total" if kind == "all" else kind
        facts |= {
            f"{name}_usd": usd,
            f"{name}_long_usd": by_side.get("long"),
            f"{name}_short_usd": by_side.get("short"),
        }
        if kind == "all":
            known = [value for value in (by_side.get("long"), by_side.get("short")) if value is not None]
            facts["long_share"] = (by_side.get("long") or 0) / sum(known) if known and sum(known) else None
            facts["n_events"] = words.tally(answer.table, "n_events")
            facts["n_unpriced"] = words.tally(answer.table, "n_unpriced")
    return facts


def people(traders: Answer, largest: Answer) -> dict[str, Any]:
    "Accounts, orders without account, and the account that lost the most."
    overall = traders.table.filter(pl.col("scope") == "all").to_dicts()
    first = largest.table.to_dicts()
    return {
        "n_accounts": overall[0]["n_accounts"] if overall else None,
        "n_orders": overall[0]["n_orders"] if overall else None,
        "largest_account": first[0]["account"] if first else None,
        "largest_account_usd": first[0]["forced_usd"] if first else None,
    }


def compared(table: pl.DataFrame) -> dict[str, Any]:
    "What sources stated for every venue and asset together, and how many of them our data holds."
    whole = table.filter((pl.col("metric") == "total") & (pl.col("venue") == "all") & (pl.col("asset") == "all"))
    return {
        "n_reported": whole.height,
        "reported_low_usd": whole["reported_usd"].min(),
        "reported_high_usd": whole["reported_usd"].max(),
        "n_inside": whole.filter(pl.col("verdict") == "inside").height,
        "n_above": whole.filter(pl.col("verdict") == "above_ours").height,
        "n_below": whole.filter(pl.col("verdict") == "below_floor").height,
        "ours_low_usd": whole["lowest_usd"].min(),
        "ours_high_usd": whole["highest_usd"].max(),
    }


def sized(facts: dict[str, Any]) -> str:
    "The size of the night in one sentence."
    if not facts["n_events"]:
        return ""
    if facts["total_usd"] is None:
        return f"{words.count(facts['n_events'])} liquidations are stored, none of them with a price: their value is unknown."
    longs = f", {words.share(facts['long_share'])} of it longs" if facts["long_share"] is not None else ""
    unpriced = int(facts["n_unpriced"] or 0)
    left_out = f"; {words.count(unpriced)} more without a price" if unpriced else ""
    return (
        f"{words.money(facts['total_usd'])} liquidated in {words.count(facts['n_events'])} records{longs},"
        f" on {words.several(facts['n_venues'], 'venue')}{left_out}."
    )


def divided(facts: dict[str, Any]) -> str:
    "Both kinds of venue in one sentence."
    defi, cefi = (
        words.money(facts[f"{kind}_usd"]) if facts[f"{kind}_usd"] is not None else None for kind in ("defi", "cefi")
    )
    on_chain = f"On chain {defi}" if defi else "Nothing priced is stored of on-chain venues"
    return f"{on_chain}; exchanges {f'showed {cefi}, a floor' if cefi else 'are not observed in this window'}."


def agreed(facts: dict[str, Any], chains: list[str]) -> str:
    "What of the reported range our data confirms."
    if chains:
        return "A simulated night is never compared with what was reported of real ones."
    if not facts["n_reported"]:
        return "No third party's total of this window is stored."
    reported = f"Third parties reported {words.spread(facts['reported_low_usd'], facts['reported_high_usd'])}"
    if facts["ours_high_usd"] is None:
        return f"{reported}; nothing priced is stored to compare it with."
    verdicts = (
        ("n_inside", "reached by our own sums"),
        ("n_above", "above all that is stored: our data is a floor and neither confirms nor refutes it"),
        ("n_below", "below what is stored: contradicted"),
    )
    told = [f"{words.several(int(facts[name] or 0), 'figure')} {what}" for name, what in verdicts if facts[name]]
    return f"{reported}: {'; '.join(told)}."


def hours(desk: Desk) -> Picture:
    "Longs down, shorts up, with the price of the asset that was hit hardest."
    step = str(desk.step_of(desk.since, desk.until))
    sides = desk.ask("report/sides", venue_kind="all", step_seconds=step)
    split = desk.ask("structure/market_split", split="asset", venue_kind="all")
    asset = hardest(split.table)
    beside = desk.ask("cefi/side_by_side", step_seconds=step, reference_asset=asset)
    prices = beside.table.filter(pl.col("reference_price").is_not_null())
    priced = sides.table.filter(pl.col("long_usd").is_not_null())
    peak = priced.with_columns(usd=pl.sum_horizontal("long_usd", "short_usd", "unsided_usd")).sort("usd").tail(1)
    said = ""
    for row in peak.to_dicts():
        sided = row["long_usd"] + row["short_usd"]
        longs = f", {words.share(row['long_usd'] / sided)} of it longs" if sided else ""
        said = f"The largest {words.step(float(step))} began at {words.at(row['bucket_at'])}: {words.money(row['usd'])}{longs}."
    moved = f"No price of {asset} is stored for this window."
    if prices.height:
        seen: list[float] = prices["reference_price"].to_list()
        first, last, low = seen[0], seen[-1], min(seen)
        moved = f"{asset} went from {words.price(first)} to {words.price(last)}, with {words.price(low)} as the lowest."
    return picture(
        sides, "hours", "When, and which side",
        caption=words.sentences(said, moved),
        alt=f"Bars for every {words.step(float(step))}: longs closed point down, shorts closed point up, with the price of"
        f" {asset} as a line above. {said}",
        missing=unvalued(sides.table.height, priced.height),
        more=(beside, split), facts={"step_seconds": int(step), "asset": asset},
        notes=("Rows without a known side stand on neither: they are in the table.",),
    )  # fmt: skip


def unvalued(n_steps: int, n_priced: int) -> str:
    "Why no bar can be drawn, or nothing."
    if n_priced:
        return ""
    return nothing(
        "liquidations are stored, but none has a price" if n_steps else "no liquidation is stored in this window"
    )


def hardest(split: pl.DataFrame) -> str:
    "The asset with the largest value in a split by asset; BTC where nothing says."
    named = split.filter(pl.col("key").is_not_null() & ~pl.col("key").is_in(["unknown", "none"]))
    return str(named.sort("forced_usd", descending=True, nulls_last=True)["key"][0]) if named.height else "BTC"


def side_by_side(desk: Desk) -> Picture:
    "DeFi by sector beside the observed floor of exchanges, and what the floor suggests."
    step = str(desk.step_of(desk.since, desk.until, 72))
    main = desk.ask("cefi/side_by_side", step_seconds=step)
    hidden = desk.ask("cefi/underreporting")
    split = desk.ask("structure/market_split", split="side", venue_kind="defi")
    ranking = desk.ask("cefi/venue_ranking", venue_kind="all")
    parts = {
        name: words.tally(main.table, f"{name}_usd")
        for name in ("defi_perp", "defi_lending", "defi_cdp", "cefi_floor", "cefi_provider")
    }
    known = [parts[name] for name in ("defi_perp", "defi_lending", "defi_cdp") if parts[name] is not None]
    low, high = estimated(hidden.table, parts["cefi_floor"])
    facts: dict[str, Any] = {
        **{f"{name}_usd": value for name, value in parts.items()},
        "defi_usd": words.tally(split.table, "forced_usd") if split.table.height else sum(known) if known else None,
        "estimate_low_usd": low,
        "estimate_high_usd": high,
        "defi_completeness": classes(ranking.table, "defi"),
        "cefi_completeness": classes(ranking.table, "cefi"),
        "step_seconds": int(step),
    }
    empty = facts["defi_usd"] is None and parts["cefi_floor"] is None and parts["cefi_provider"] is None
    return picture(
        main, "side_by_side", "DeFi beside the exchanges",
        caption=words.sentences(*against(facts)),
        alt=f"Stacked bars of perps, lending and CDPs on chain ({words.money(facts['defi_usd'])}) beside the floor that"
        f" exchanges showed ({words.money(parts['cefi_floor'])}); an estimate of what their feeds hide is hatched.",
        missing=nothing("neither side has a priced liquidation in this window") if empty else "",
        more=(hidden, ranking), facts=facts, notes=(FLOOR_NOTE,),
    )  # fmt: skip


def estimated(hidden: pl.DataFrame, floor: float | None) -> tuple[float | None, float | None]:
    "The floor of exchanges with the throttled part scaled up, low and high; None where no complete feed says how."
    throttled = hidden.filter(pl.col("estimate_low_usd").is_not_null())
    if floor is None or not throttled.height:
        return None, None
    observed = words.tally(throttled, "observed_usd") or 0
    low, high = words.tally(throttled, "estimate_low_usd"), words.tally(throttled, "estimate_high_usd")
    return floor - observed + (low or 0), floor - observed + (high or low or 0)


def classes(ranking: pl.DataFrame, kind: str) -> str:
    "The completeness classes of a kind of venue, each once."
    listed = ranking.filter(pl.col("venue_kind") == kind)["completeness"].drop_nulls().to_list()
    return ", ".join(sorted({name for names in listed for name in str(names).split(",") if name}))


def against(facts: dict[str, Any]) -> list[str]:
    "Both sides in words, and what is missing of either."
    defi, floor = facts["defi_usd"], facts["cefi_floor_usd"]
    said = [
        f"On chain {words.money(defi)} were liquidated." if defi is not None else "Nothing priced is stored of DeFi."
    ]
    if floor is None:
        said.append("No exchange's liquidations are stored for this window: its side is unknown, not zero.")
    else:
        said.append(
            f"Exchanges showed {words.money(floor)}, a floor ({facts['cefi_completeness'] or 'completeness unknown'})."
        )
        low, high = facts["estimate_low_usd"], facts["estimate_high_usd"]
        if low is None:
            said.append(
                "No complete feed of the window says how much the throttled ones hide, so there is no estimate."
            )
        else:
            said.append(f"Scaled by what complete feeds would have lost: {words.spread(low, high)}, an estimate.")
    if facts["cefi_provider_usd"] is not None:
        said.append(
            f"Data providers state {words.money(facts['cefi_provider_usd'])}; that is never mixed with the floor."
        )
    return said


def venues(desk: Desk) -> Picture:
    "Venues by observed value, each with the interval that its feed leaves open."
    main = desk.ask("cefi/venue_ranking", venue_kind="all")
    ranked = main.table.filter(pl.col("floor_rank").is_not_null()).to_dicts()
    said = ""
    if ranked:
        first = ranked[0]
        sure = (
            "for certain"
            if first["worst_rank"] == 1
            else f"though what feeds hide could place it as low as {first['worst_rank']}"
        )
        said = f"{words.venue(first['venue'])} was largest with {words.money(first['low_usd'])} observed, {sure}."
        unsure = [row for row in ranked if row["best_rank"] != row["worst_rank"]]
        said += (
            f" {words.several(len(unsure), 'venue')} could change place." if unsure else " No venue could change place."
        )
    unpriced = [row["venue"] for row in main.table.filter(pl.col("floor_rank").is_null()).to_dicts()]
    left = f"Without any price, so without a place: {words.listed(map(words.venue, unpriced))}." if unpriced else ""
    return picture(
        main, "venues", "Venues, and how sure their places are",
        caption=words.sentences(said, left),
        alt=f"One line a venue from its observed value to the highest its feed allows, largest first. {said}",
        missing="" if ranked else nothing("no venue has a priced liquidation in this window"),
        notes=("A complete feed is a point; an incomplete one an interval up to throttled_factor times what it showed.",),
    )  # fmt: skip
