"""The report: every picture says what it found or what is missing, and the page needs nothing but itself."""

import datetime as dt
import re
import subprocess
import sys
import types
from html.parser import HTMLParser

import polars as pl
import pytest
from command_line import indexer
from fixture_store import at, empty_store, example_store, insert

from indexer import store
from indexer.errors import UnknownParameter, UserError
from indexer.report import actors, context, draw, overview, write
from indexer.report.ask import desk
from indexer.report.page import About, opening
from indexer.report.pictures import PICTURES

NAMES = [
    "scoreboard", "hours", "side_by_side", "cascade", "price_map", "venues", "assets", "whales", "flows", "liquidators",
    "feedback", "leverage", "past_events", "coverage",
]  # fmt: skip
LOW = {"floor_usd": "1000", "min_accounts": "2", "lookback_days": "1"}
TEXT_COLOURS = ("ink", "muted", "link", "long", "short", "perp", "lending", "cdp", "cefi", "good", "bad")
VOID = {"meta", "link", "br", "hr", "img", "input", "line", "rect", "path"}


class Outline(HTMLParser):
    "What a page is made of: its tags in order with their attributes, and tags that are closed in the wrong order."

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.wrong, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        "A tag opens."
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        "A tag that closes itself."
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        "A tag closes."
        if tag in VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        "Text."
        self.words.append(data)

    def all(self, tag):
        "Attributes of every such tag."
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def shown():
    "The pictures of the example night, and the desk they were asked at."
    asked = desk(example_store(), None, None, LOW)
    return asked, write.shown(asked)


@pytest.fixture(scope="module")
def night(shown):
    "The drawn pictures by name."
    return {one.name: one for one in shown[1] if one.name != "headline"}


@pytest.fixture(scope="module")
def page(shown):
    "The page of the example night."
    return write.html(*shown)


def of(connection, *names, **window):
    "Pictures of a store by name, these only."
    asked = desk(connection, window.get("since"), window.get("until"), LOW)
    return {make.__name__: make(asked) for make in PICTURES if make.__name__ in names}


def test_pictures_in_order(night):
    "Every picture is there, asked of a question whose SQL and parameters it carries, with a coverage line."
    assert list(night) == NAMES
    for one in night.values():
        assert one.sql.startswith("-- ")
        assert one.question.endswith("?")
        assert one.coverage
        assert bool(one.missing) != bool(one.alt and one.table.height), one.name


def test_numbers_of_the_example_night(night):
    "Totals are those of tests/fixtures, added by hand: DeFi 6,000 perp longs, ...; CeFi apart."
    liquidations = pl.DataFrame(
        example_store()
        .execute("SELECT venue_kind, side, forced_usd FROM liquidations WHERE is_headline ORDER BY event_id")
        .fetchall(),
        ["venue_kind", "side", "forced_usd"],
        orient="row",
    )
    facts = night["scoreboard"].facts
    defi = liquidations.filter(pl.col("venue_kind") == "defi")
    longs = liquidations.filter(pl.col("side") == "long")["forced_usd"].sum()
    shorts = liquidations.filter(pl.col("side") == "short")["forced_usd"].sum()

    assert facts["total_usd"] == pytest.approx(liquidations["forced_usd"].sum())
    assert facts["defi_usd"] == pytest.approx(defi["forced_usd"].sum())
    assert facts["long_share"] == pytest.approx(longs / (longs + shorts))
    assert facts["largest_usd"] == liquidations["forced_usd"].max()


def test_reported_range(night):
    "The two desks of the fixture state 28,000 and 27,100 dollars; the scoreboard names both and what we hold."
    facts = night["scoreboard"].facts

    assert (facts["n_reported"], facts["reported_low_usd"], facts["reported_high_usd"]) == (2, 27100, 28000)
    assert "Third parties reported $27.1k to $28k" in night["scoreboard"].caption


def test_page_is_whole(page):
    "Tags close in order, ids are there once, links lead to them, headings step down, tables and languages are named."
    outline = Outline(page)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]

    assert outline.wrong == []
    assert outline.stack == []
    assert len(ids) == len(set(ids))
    assert {attributes["href"].removeprefix("#") for attributes in outline.all("a")} <= set(ids)
    assert outline.all("html") == [{"lang": "en"}]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert all(attributes.get("scope") in {"col", "row"} for attributes in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table"))


def test_page_has_every_picture(page, night):
    "A section a picture: drawn twice (page and phone) with a text for who cannot see it, or why it is not; data; SQL."
    outline = Outline(page)
    sections = [attributes["id"] for attributes in outline.all("section")]
    drawn = [one for one in night.values() if not one.missing]
    spoken = [attributes for attributes in outline.all("div") if attributes.get("role") == "img"]

    assert sections == ["scoreboard", "headline", *NAMES[1:]]
    assert [one["class"] for one in spoken] == ["wide", "narrow"] * len(drawn)
    assert all(len(one["aria-label"]) > 40 for one in spoken)
    assert [one["aria-hidden"] for one in outline.all("svg")] == ["true"] * (2 * len(drawn) + 1)
    assert len(outline.all("details")) == 2 * len(sections)
    for one in drawn:
        assert f"SQL and parameters: {one.title}" in page
    words = " ".join(outline.words)
    assert words.count("Coverage:") == len(sections)
    for one in night.values():
        assert (one.missing or one.caption) in words


def test_page_asks_for_nothing(page):
    "No script, no address, no file but itself."
    for forbidden in (
        "<script",
        "<link",
        "<iframe",
        "<object",
        "@import",
        "http-equiv",
        "srcset",
        " src=",
        "<image",
        "<base",
    ):
        assert forbidden not in page, forbidden
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#{one}" for one in re.findall(r'id="([^"]*)"', page)}
    assert re.findall(r'(?:href|src|action|data)="(?!#)[^"]*"', page) == []
    assert "://" not in re.sub(r"<(td|pre)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def luminance(colour):
    "Relative luminance of #rrggbb (WCAG 2.2)."
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(page, theme):
    "Text has a contrast of 4.5 with the paper and the panel, marks have 3: black on white is 21."
    block = re.findall(r":root \{ (--paper[^}]*)\}", page)[theme]
    colours = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6});", block))

    def contrast(one, other):
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name in TEXT_COLOURS:
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("ink", "muted", "link"):
        assert contrast(colours[name], colours["panel"]) >= 4.5, name
        assert contrast(colours["ink"], colours["wave"]) >= 4.5
    assert contrast(colours["unsided"], colours["paper"]) >= 3


def test_empty_store(tmp_path):
    "Nothing stored: every picture says what is missing, nothing is drawn, no figure is 0."
    out = tmp_path / "deep" / "empty.html"
    notes = []
    write.report(empty_store(), out, lambda line, **_: notes.append(line))
    page = out.read_text(encoding="utf-8")
    words = " ".join(Outline(page).words)

    assert 'role="img"' not in page
    assert page.count('class="missing"') == len(NAMES) + 1
    assert len(notes) == len(NAMES) + 2
    assert "No liquidation is stored in this window." in words
    assert not re.search(r"\$0\b", words)
    assert "unknown" in words


def test_unpriced_night():
    "Rows without any price: counted, their value unknown, never 0."
    connection = empty_store()
    row = {"liquidated_at": at("09:00"), "account": "0x1", "forced_usd": None}
    beside = row | {"event_id": "adl", "kind": "adl", "forced_usd": 7.0}  # never in totals
    insert(connection, "liquidations", [beside, *(row | {"event_id": f"u{i}"} for i in range(3))])
    asked = desk(connection, None, None, {})
    pictures = write.shown(asked)
    words = " ".join(Outline(write.html(asked, pictures)).words)

    assert "3 liquidations are stored, none of them with a price: their value is unknown." in words
    assert {"scoreboard", "hours", "side_by_side", "venues", "price_map", "whales"} <= {
        one.name for one in pictures if one.missing
    }
    assert not re.search(r"\$0\b", words)


def test_half_covered_window():
    "A stretch without proof is hatched, in the bars and in the calendar, and the coverage line names it."
    connection = example_store()
    connection.execute(
        "INSERT INTO coverage BY NAME SELECT 'rpc' AS source, 'ethereum' AS chain, 'liquidations:aave_v3' AS dataset,"
        " TIMESTAMP '2026-03-14 08:00' AS from_at, TIMESTAMP '2026-03-14 09:20' AS to_at, 'header_in_batch' AS proof"
    )
    found = of(connection, "hours", "coverage", since=at("08:00"), until=at("10:00"))

    assert set(found) == {"hours", "coverage"}
    for one in found.values():
        assert all('fill="url(#hatch_gap)"' in svg for svg in draw.svgs(one).values())
        assert "66.7 % covered; not covered: 2026-03-14 09:20:00 .. 2026-03-14 10:00:00" in one.coverage


def test_simulated_chain():
    "A simulated night says so on top and is compared with no real report."
    connection = example_store()
    connection.execute("INSERT INTO facts VALUES ('simulated:ethereum', 'true')")
    asked = desk(connection, None, None, {})
    scoreboard, nights = overview.scoreboard(asked), context.past_events(asked)
    opened = opening([scoreboard], About(asked.since, asked.until, "the chain ethereum"), "A night")

    assert scoreboard.facts["n_reported"] == 0
    assert "never compared" in scoreboard.caption
    assert "A simulated night." in opened
    assert "not compared" in opened
    assert nights.facts["this_event"] is None


def test_feedback_has_its_null(night):
    "The curve stands beside what 200 surrogates give, with the seed that draws them again."
    curve = night["feedback"]

    if not curve.missing:
        band = curve.other("finish.pair_z")
        assert band.filter(pl.col("null_low") > 1).height == 0
        assert any("seed 20251010" in note for note in curve.notes)
    else:
        assert "too few" in curve.missing


def test_uncovered_estimate_is_never_solid(page):
    "An estimate is drawn hatched or not at all: no bar has its plain colour."
    assert '"#c99ab4"' not in page
    assert '"#cfc8b8"' not in page


def test_parameters_reach_every_question():
    "A value set for the report holds in each question that has it; a name that none has is refused."
    asked = desk(example_store(), None, None, {"assets": "ETH"}).ask("structure/market_split", split="asset")

    assert asked.table["key"].to_list() == ["ETH"]
    with pytest.raises(UnknownParameter, match="no parameter floor"):
        desk(example_store(), None, None, {"floor": "1"})
    with pytest.raises(UserError, match="is empty"):
        desk(example_store(), at("09:00"), at("09:00"), {})


def test_png(night, tmp_path, monkeypatch):
    "Each drawn picture as a PNG file of its name."
    monkeypatch.setattr(write, "shown", lambda _: [night["assets"], night["flows"]])
    write.report(example_store(), None, lambda *_, **__: None, png=tmp_path / "png")
    files = sorted((tmp_path / "png").iterdir())

    assert [one.name for one in files] == [f"{one}.png" for one in ("assets", "flows") if not night[one].missing]
    assert all(one.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for one in files)


def test_without_the_extra(tmp_path, monkeypatch):
    "Without what draws, one line names the extra and how to install it."
    monkeypatch.setattr(write, "NEEDED", ("altair_that_is_not_there",))

    with pytest.raises(UserError, match=r'pip install "liquidation-indexer\[report\]"'):
        write.report(example_store(), tmp_path / "no.html", lambda *_, **__: None)
    assert not (tmp_path / "no.html").exists()


def test_command(tmp_path):
    "`indexer report` writes the page; without a place it says what to give; a place that cannot be is one line."
    db = tmp_path / "night.duckdb"
    store.connect(db).close()
    nowhere = indexer("report", "--db", db)
    printed = indexer("report", "--terminal", "--db", db)
    blocked = indexer("report", db / "night.html", "--db", db)

    assert (nowhere.code, printed.code, blocked.code) == (2, 0, 2)
    assert "The night in numbers" in printed.out
    assert "give FILE.html, --png DIR or --terminal" in nowhere.err
    assert "choose another place" in blocked.err


def test_help_loads_no_altair():
    "Help is quick: what draws loads when something is drawn."
    script = (
        "import sys; from indexer import cli\n"
        "try: cli.cli.main(['report', '--help'], standalone_mode=False)\n"
        "finally: print(sorted({'altair', 'vl_convert', 'polars', 'duckdb', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip().splitlines()[-1] == "[]"


def test_no_pandas(page):
    "The page is made without pandas."
    assert page
    assert "pandas" not in sys.modules


def test_what_no_flow_covers_is_no_zero():
    "A phase outside the covered time is unseen, one that reaches beyond it is seen in part; files alone claim nothing."
    hours = [dt.datetime(2025, 10, 9, hour) for hour in range(6)]
    phases = pl.DataFrame({"phase": list("abcd"), "phase_start_at": hours[:4], "phase_end_at": hours[1:5]})
    with store.connect(":memory:") as connection:
        asking = types.SimpleNamespace(connection=connection)
        before = actors.seen(asking, phases)
        connection.execute(
            "INSERT INTO coverage (source, dataset, from_at, to_at) VALUES ('rpc', 'flows:transfers', ?, ?)",
            [hours[1], hours[2] + dt.timedelta(minutes=30)],
        )
        told = actors.seen(asking, phases)

    assert before == {}
    assert told == {"unseen": ("a", "d"), "partly": ("c",)}
