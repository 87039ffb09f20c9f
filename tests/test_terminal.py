"""The pictures of a night in a terminal: exact text of small tables, and what holds for all of them."""

import datetime as dt
import re

import polars as pl
import pytest
from fixture_store import empty_store, example_store
from rich.cells import cell_len

from indexer.report import headline, pictures, terminal
from indexer.report.ink import Ink
from indexer.report.picture import Answer, Picture

DAY = dt.datetime(2026, 3, 14, 9)
COLOUR = re.compile(r"\x1b\[\d+m")


def answer(name, **columns):
    "An answer with these rows."
    return Answer(name, "", "", "", {}, pl.DataFrame(columns), "")


def picture(name, table, *more, **said):
    "A picture with these rows."
    return Picture(
        **{"name": name, "title": name.capitalize(), "question": "", "query": "", "sql": "", "params": {}, "table": table,
           "coverage": "all covered", "caption": "A finding.", "alt": "", "more": more, **said}
    )  # fmt: skip


def minutes(*offsets):
    "Times of the night, minutes after nine."
    return [DAY + dt.timedelta(minutes=offset) for offset in offsets]


PICTURE_SCOREBOARD = picture(
    "scoreboard", pl.DataFrame(),
    facts={
        "total_usd": 100e6, "total_long_usd": 80e6, "total_short_usd": 10e6, "defi_usd": 50e6, "defi_long_usd": 50e6,
        "defi_short_usd": None, "cefi_usd": None, "cefi_long_usd": None, "cefi_short_usd": None, "n_accounts": 1234, "n_orders": 0,
        "largest_account": "0x" + "a" * 40, "largest_account_usd": 9e6, "reported_low_usd": 120e6, "reported_high_usd": 200e6,
    },
)  # fmt: skip
PICTURE_HOURS = picture(
    "hours",
    pl.DataFrame({"bucket_at": minutes(0, 1, 3), "long_usd": [6e6, 3e6, 1e3], "short_usd": [0.0, 2e6, 0.0]}),
    answer("cefi/side_by_side", bucket_at=minutes(0, 1, 2, 3), reference_price=[2000.0, 1900.0, None, 1950.0]),
    facts={"step_seconds": 60, "asset": "ETH"},
)
PICTURE_SIDES = picture(
    "side_by_side",
    pl.DataFrame(
        {"bucket_at": minutes(0, 1, 2), "defi_perp_usd": [1e6, 0.0, 4e6], "defi_lending_usd": [None, 2e6, 0.0],
         "defi_cdp_usd": [None] * 3, "cefi_floor_usd": [1e6, None, 1e6], "cefi_provider_usd": [None] * 3},
        schema_overrides={"defi_cdp_usd": pl.Float64, "cefi_provider_usd": pl.Float64},
    ),
    facts={"step_seconds": 60},
)  # fmt: skip
PICTURE_CASCADE = picture(
    "cascade", pl.DataFrame(),
    answer("cascades/waves", wave=[1, 2], wave_start_at=minutes(0, 3), peak_at=minutes(1, 4), wave_end_at=minutes(3, 6),
           forced_usd=[15e3, 12e3]),
    answer("report/sides", bucket_at=minutes(0, 1, 2, 3, 4, 5), long_usd=[2e3, 9e3, 4e3, 1e3, 6e3, 5e3],
           short_usd=[0.0] * 6, unsided_usd=[0.0] * 6),
    facts={"start_at": DAY, "end_at": DAY + dt.timedelta(minutes=6), "step_seconds": 60},
)  # fmt: skip
PICTURE_MAP = picture(
    "price_map",
    pl.DataFrame({"bucket_at": minutes(0, 2, 2), "price_low": [1990.0, 1900.0, 1980.0], "price_high": [2000.0, 1910.0, 1990.0],
                  "forced_usd": [4e6, 1e6, 5e5]}),
    facts={"asset": "ETH", "step_seconds": 60},
)  # fmt: skip
PICTURE_VENUES = picture(
    "venues",
    pl.DataFrame({"floor_rank": [1, 2, 3, None], "venue": ["hyperliquid", "binance", "aave_v3", "spark"],
                  "low_usd": [10e6, 1e6, 1e5, None], "high_usd": [10e6, 100e6, 1e5, None], "best_rank": [1, 1, 3, None],
                  "worst_rank": [2, 2, 3, None], "completeness": ["full", "throttled_largest_1s", "full", "full"]}),
)  # fmt: skip
PICTURE_ASSETS = picture(
    "assets",
    pl.DataFrame({"dimension": ["asset", "asset", "asset", "venue"], "key": ["ETH", "BTC", "SOL", "spark"],
                  "forced_usd": [7600.0, 10_000.0, 10.0, 1.0], "t50_at": minutes(0, 1, 2, 0), "lag_seconds": [-20.0, 0.0, None, 0.0]}),
    facts={"reference": "BTC"},
)  # fmt: skip
PICTURE_WHALES = picture(
    "whales",
    pl.DataFrame({"account": ["0x" + "a" * 40, "0x" + "b" * 40], "forced_usd": [6e6, 1e6], "total_share": [0.6, 0.1],
                  "venues": ["aave_v3", "spark"], "entity": [None, "hlp"]}),
    answer("whales/path", account=["0x" + "a" * 40] * 2, path_usd=[5e6, 2e6], end_label=["kraken", None],
           end_address=["0x" + "c" * 40] * 2, n_hops=[1, 3]),
)  # fmt: skip
PICTURE_FLOWS = picture(
    "flows",
    pl.DataFrame({"phase": ["before_1h", "during"], "to_exchange_usd_per_hour": [4e6, 1e6], "baseline_usd_per_hour": [1e6, None]}),
)  # fmt: skip
PICTURE_LIQUIDATORS = picture(
    "liquidators",
    pl.DataFrame({"month_at": [DAY, DAY], "venue": ["all", "aave_v3"], "top1_share": [0.5, 1.0], "seized_usd": [4e6, 1e6]}),
)  # fmt: skip
PICTURE_FEEDBACK = picture(
    "feedback", pl.DataFrame(),
    answer("finish.pair_z", tau_seconds=[1.0, 10.0], pair_excess=[2.0, 1.0], null_low=[0.5, 0.9], null_high=[1.5, 1.1]),
)  # fmt: skip
PICTURE_LEVERAGE = picture(
    "leverage",
    pl.DataFrame({"oi_change": [0.15, -0.1], "price_change": [0.005, -0.05], "is_signal": [True, False]}),
)
PICTURE_PAST = picture(
    "past_events",
    pl.DataFrame({"event": ["record", "small"], "day": [DAY.date()] * 2, "reported_low_usd": [1e9, 1e8],
                  "reported_high_usd": [1e10, 1e8], "reported_median_usd": [1e10, 1e8]}),
    facts={"this_event": "small"},
)  # fmt: skip
PICTURE_COVERAGE = picture(
    "coverage",
    pl.DataFrame({"source": ["aave_v3"] * 3 + ["binance"] * 3, "chain": ["ethereum"] * 3 + [None] * 3,
                  "bucket_at": minutes(0, 1, 2) * 2, "covered_share": [1.0, 1.0, 1.0, 0.0, 0.3, 1.0]}),
    facts={"step_seconds": 60},
)  # fmt: skip
PICTURE_HEADLINE = picture(
    "headline",
    pl.DataFrame(
        {"claim": ["at least $1M liquidated in 24 h", "95% of it longs", "Binance was largest"],
         "verdict": ["confirmed", "contradicted", "cannot be tested"], "ours": [2e6, 0.5, None], "unit": ["usd", "share", "flag"],
         "reason": ["what is stored reaches it", "ours is another share", "nothing is covered"],
         "query": ["structure/market_split", "structure/market_split", None]}
    ),
)  # fmt: skip
EVERY = [value for name, value in sorted(globals().items()) if name.startswith("PICTURE_")]


def body(one, width=60, *, is_plain):
    "The drawing alone: what stands between the finding and the coverage, colours taken away."
    lines = COLOUR.sub("", terminal.render([one], width, is_plain=is_plain)).splitlines()
    assert lines[1] == "A finding."
    assert lines[-1] == "all covered"
    return "\n".join(lines[2:-1])


PLAIN = {
    "scoreboard": (PICTURE_SCOREBOARD, """\
all       ##################################====.... $100M
on chain  #####################                      $50M
exchanges                                            unknown
# longs  = shorts  . side unknown
1,234 accounts, 0 orders of exchanges; largest
0xaaaa...aaaa, $9M
reported                     [------------]   $120M to $200M
stored                    o                   $100M"""),
    "hours": (PICTURE_HOURS, """\
ETH $1,900.0 to $2,000.0
####....    ++++
    ####
    ####
----------------
########    ''''
########
########
####
####
####
2026-03-14 09:00 2026-03-14 09:04
shorts up, longs down; tallest $6M in 60 s"""),
    "side_by_side": (PICTURE_SIDES, """\
perps             ::::    #### $5M
lending           ????####     $2M
exchanges (floor) ####????#### $2M
each line has its own scale; ?: not observed"""),
    "cascade": (PICTURE_CASCADE, """\
usd ::::####====....++++====
1   ----oooo----                                  09:01 $15k
2               ----oooo----                      09:04 $12k
from 2026-03-14 09:00 to 2026-03-14 09:06; a wave from
trough to trough, its peak marked"""),
    "venues": (PICTURE_VENUES, """\
Hyperliquid            o       $10M #1-2 full
Binance           o----------] $1M #1-2 throttled_largest_1s
Aave v3     o                  $100k #3 full"""),
    "assets": (PICTURE_ASSETS, """\
ETH ##########################         $7.6k 20 s before BTC
BTC ################################## $10k reference
SOL #                                  $10 09:02"""),
    "whales": (PICTURE_WHALES, """\
0xaaaa...aaaa       ######################## $6M 60% aave_v3
  |- $5M to kraken in 1 transfer
  `- $2M to 0xcccc...cccc in 3 transfers
0xbbbb...bbbb (hlp) ####                     $1M 10% spark"""),
    "flows": (PICTURE_FLOWS, """\
hour before #######|###################### $4M/h usual $1M/h
during      ########                       $1M/h"""),
    "feedback": (PICTURE_FEEDBACK, """\
1 s        [------------]      o  2.00 (chance 0.50 to 1.50)
10 s             [o]              1.00 (chance 0.90 to 1.10)"""),
    "past_events": (PICTURE_PAST, """\
2026-03-14 record                   [----------------o $10B
> 2026-03-14 small o                                   $100M"""),
    "coverage": (PICTURE_COVERAGE, """\
Aave v3 (ethereum) ############ 100%
Binance            ....::::#### 43%
                   2026-03-14 09:00 2026-03-14 09:03"""),
    "headline": (PICTURE_HEADLINE, """\
+ at least $1M liquidated in 24 h: confirmed, ours $2M
    what is stored reaches it [structure/market_split]
x 95% of it longs: contradicted, ours 50%
    ours is another share [structure/market_split]
? Binance was largest: cannot be tested
    nothing is covered"""),
}  # fmt: skip
UNICODE = {
    "hours": (PICTURE_HOURS, """\
ETH $1,900.0 to $2,000.0
████▁▁▁▁    ▅▅▅▅
    ████
    ████
────────────────
████████    ▀▀▀▀
████████
████████
████
████
████
2026-03-14 09:00 2026-03-14 09:04
shorts up, longs down; tallest $6M in 60 s"""),
    "assets": (PICTURE_ASSETS, """\
ETH █████████████████████████▉         $7.6k 20 s before BTC
BTC ██████████████████████████████████ $10k reference
SOL ▏                                  $10 09:02"""),
    "venues": (PICTURE_VENUES, """\
Hyperliquid            ●       $10M #1-2 full
Binance           ●──────────┤ $1M #1-2 throttled_largest_1s
Aave v3     ●                  $100k #3 full"""),
    "coverage": (PICTURE_COVERAGE, """\
Aave v3 (ethereum) ████████████ 100%
Binance            ....▒▒▒▒████ 43%
                   2026-03-14 09:00 2026-03-14 09:03"""),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain(name):
    "In ASCII, sign by sign."
    one, expected = PLAIN[name]

    assert body(one, is_plain=True) == expected


@pytest.mark.parametrize("name", UNICODE)
def test_unicode(name):
    "With blocks of eighths, sign by sign."
    one, expected = UNICODE[name]

    assert body(one, is_plain=False) == expected


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
@pytest.mark.parametrize("width", [24, 40, 61, 200])
def test_width(one, width):
    "No line is wider than asked for, with or without colours; a plain page is ASCII alone."
    plain, coloured = (terminal.render([one], width, is_plain=is_plain) for is_plain in (True, False))

    assert [line for line in plain.splitlines() if len(line) > width] == []
    assert [line for line in COLOUR.sub("", coloured).splitlines() if cell_len(line) > width] == []
    assert plain.isascii()
    assert "\x1b[" in coloured


def test_every_picture_has_a_drawing():
    "The small tables above are of every picture there is a drawing for."
    assert {one.name for one in EVERY} == set(terminal.DRAWINGS)


def test_nothing_to_draw():
    "A picture without rows says why, and only that."
    empty = picture("hours", pl.DataFrame(), missing="No liquidation is stored in this window.")

    assert terminal.render([empty], 40, is_plain=True) == (
        "Hours ----------------------------------\nNo liquidation is stored in this window.\n"
    )


def test_coverage_is_told_once():
    "Pictures that rest on the same coverage do not repeat it."
    text = terminal.render([PICTURE_VENUES, PICTURE_ASSETS], 60, is_plain=True)

    assert text.count("all covered") == 1


def test_plain_unless_a_terminal(monkeypatch):
    "Standard output that is no terminal, or NO_COLOR, gets the plain form."
    assert terminal.render([PICTURE_VENUES], 60).isascii()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not terminal.render([PICTURE_VENUES], 60).isascii()
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.render([PICTURE_VENUES], 60).isascii()


def test_what_is_above_nothing_shows():
    "The smallest value leaves a sign; zero and the unknown leave none."
    for ink in (Ink(40, is_plain=True), Ink(40, is_plain=False)):
        assert ink.bar(1e-9, 10).strip()
        assert not ink.bar(0.0, 10)
        assert ink.spark([0.0, None, 1e-9, 1.0])[:2] == "  "
        assert " " not in ink.spark([1e-9, 1.0])
        assert ink.columns([1e-9], 1.0, 2, is_down=True)[0].strip()


def unpriced_store():
    "The example night without any price."
    connection = example_store()
    connection.execute("UPDATE liquidations SET forced_usd = NULL, seized_usd = NULL")
    return connection


@pytest.mark.parametrize("make", [example_store, empty_store, unpriced_store])
def test_of_a_database(make):
    "All pictures of the example night, priced or not, and of an empty database, fit and are ASCII."
    desk = pictures.ask.desk(make(), None, None, {"floor_usd": "1000"})
    every = [*pictures.made(desk), headline.story(desk)]
    text = terminal.render(every, 72, is_plain=True)

    assert all(line.isascii() and len(line) <= 72 for line in text.splitlines())
    assert [one.title for one in every if one.title not in text] == []
