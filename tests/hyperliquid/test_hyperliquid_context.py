"""Context over the info API: markets now, funding, candles, vaults: by command, as rows, and what is out of reach."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import vcr
from forced import HLP, HOUR, address
from info_server import serving

from indexer import store
from indexer.errors import NoEndpoint, UserError
from indexer.hyperliquid import accounts, info
from indexer.hyperliquid.context import NOW_ONLY, OLDER, context
from indexer.hyperliquid.info import Info
from indexer.hyperliquid.watch import PARENT
from tests.command_line import indexer as run

USER, CHILD = address(1), address(8)
CASSETTE = Path(__file__).parents[2] / "cassettes" / "hyperliquid" / "context.yaml"
WINDOW = (datetime(2025, 11, 22, 4), datetime(2025, 11, 22, 7))
# Shapes as the documentation of the info endpoint shows them.
META = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}, {"name": "kPEPE", "szDecimals": 0}]}
CONTEXTS = [
    {
        "dayNtlVlm": "1169046.29406",
        "funding": "0.0000125",
        "impactPxs": ["14.3047", "14.3444"],
        "markPx": "27001.0",
        "midPx": "27001.5",
        "openInterest": "100.5",
        "oraclePx": "27000.5",
        "premium": "0.00031774",
        "prevDayPx": "15.322",
    },
    {"funding": "-0.00002", "openInterest": "1000", "oraclePx": "0.0016", "markPx": "0.0017", "midPx": None},
]
HISTORY = [
    {"coin": "BTC", "fundingRate": "0.0000125", "premium": "0.0001", "time": HOUR + n * 3_600_000 + 39}
    for n in range(3)
]


def candle(number, coin="kPEPE"):
    "The hourly candle of an hour."
    start = HOUR + number * 3_600_000
    end = start + 3_599_999
    return {
        "T": end,
        "c": f"0.0{number + 9}",
        "h": "1",
        "i": "1h",
        "l": "1",
        "n": 9,
        "o": "1",
        "s": coin,
        "t": start,
        "v": "1",
    }


ANSWERS = {
    "metaAndAssetCtxs": [META, CONTEXTS],
    "candleSnapshot": [candle(n) for n in range(3)],
    "fundingHistory": HISTORY,
    "vaultDetails": {
        "name": "Hyperliquidity Provider (HLP)",
        "vaultAddress": PARENT,
        "leader": address(77),
        "relationship": {"type": "parent", "data": {"childAddresses": [HLP, CHILD]}},
    },
    "clearinghouseState": {
        "assetPositions": [{"position": {"coin": "kPEPE", "szi": "-3.5", "entryPx": "1"}, "type": "oneWay"}],
        "marginSummary": {"accountValue": "13109.48"},
        "time": HOUR,
    },
}


@pytest.fixture
def server():
    "An info API that answers everything the commands ask."
    with serving() as one:
        one.answers = {kind: answer for kind, answer in ANSWERS.items() if kind != "fundingHistory"}
        yield one


def ask(tmp_path, sql):
    "The rows of a query on the database."
    with store.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def fetch(tmp_path, kind, server, **options):
    "(exit code, narration) of one kind of context."
    said = []
    return context(tmp_path / "x.duckdb", kind, said.append, base_url=server.url, **options), said


def test_present(tmp_path, server):
    "Open interest, marks, oracle prices and the funding rate of every market, at the time they were asked for."
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
    code, _ = fetch(tmp_path, "open_interest", server)

    assert code == 0
    assert ask(tmp_path, "SELECT market, asset, units, usd, sides, source FROM open_interest ORDER BY 1") == [
        ("BTC", "BTC", 100.5, 2713600.5, 1, "hyperliquid_api"),
        ("kPEPE", "PEPE", 1_000_000.0, 1.7, 1, "hyperliquid_api"),
    ]
    assert ask(tmp_path, "SELECT asset, kind, price_usd FROM prices ORDER BY ALL") == [
        ("BTC", "mark", 27001.0),
        ("BTC", "oracle", 27000.5),
        ("PEPE", "mark", 0.0000017),
        ("PEPE", "oracle", 0.0000016),
    ]
    assert ask(tmp_path, "SELECT market, rate FROM funding ORDER BY 1") == [("BTC", 0.0000125), ("kPEPE", -0.00002)]
    ((at,),) = ask(tmp_path, "SELECT DISTINCT observed_at FROM open_interest")
    assert before < at < datetime.now(UTC).replace(tzinfo=None)


def test_present_of_one_market(tmp_path, server):
    "One market of a builder dex is asked of that dex; one that is not there is the user's mistake."
    server.answers["metaAndAssetCtxs"] = [{"universe": [{"name": "TSLA"}, {"name": "xyz:GOLD"}]}, CONTEXTS]
    code, _ = fetch(tmp_path, "open_interest", server, markets=("xyz:TSLA",))

    assert (code, ask(tmp_path, "SELECT market, asset FROM open_interest")) == (0, [("xyz:TSLA", "TSLA")])
    assert server.asked == [{"type": "metaAndAssetCtxs", "dex": "xyz"}]
    with pytest.raises(UserError, match="xyz:NVDA"):
        fetch(tmp_path, "open_interest", server, markets=("xyz:NVDA",))


def test_past_open_interest(tmp_path, server):
    "The API has no history of open interest: a window in the past is left, with the place where it is."
    code, said = fetch(tmp_path, "open_interest", server, window=WINDOW)

    assert (code, server.asked) == (1, [])
    assert NOW_ONLY in said[0]


def test_candles(tmp_path, server):
    "The closes of the window's candles are prices per unit of the asset; the window is covered."
    code, _ = fetch(tmp_path, "klines", server, markets=("kPEPE",), window=(WINDOW[0], WINDOW[0] + timedelta(hours=2)))

    rows = ask(tmp_path, "SELECT asset, priced_at, price_usd, kind, source FROM prices ORDER BY 2")
    assert (code, rows) == (
        0,
        [
            ("PEPE", datetime(2025, 11, 22, hour, 59, 59, 999_000), price, "kline", "hyperliquid")
            for hour, price in ((4, 0.00009), (5, 0.00001))
        ],
    )
    assert ask(tmp_path, "SELECT dataset, from_at, to_at, n_rows FROM coverage") == [
        ("prices:hyperliquid:kPEPE", WINDOW[0], WINDOW[0] + timedelta(hours=2), 2)
    ]
    assert server.asked[0]["req"] == {"coin": "kPEPE", "interval": "1h", "startTime": HOUR, "endTime": HOUR + 7_199_999}


def test_candles_out_of_reach(tmp_path, server, monkeypatch):
    "Only the latest candles can be had: what is older is a gap and exit code 1."
    monkeypatch.setattr("indexer.hyperliquid.context.CANDLES", 3)
    long = (WINDOW[0] - timedelta(hours=5), WINDOW[1])
    code, said = fetch(tmp_path, "klines", server, markets=("kPEPE",), window=long)

    assert code == 1
    assert OLDER in said[0]
    assert ask(tmp_path, "SELECT from_at, to_at, reason FROM gaps") == [(long[0], WINDOW[0], OLDER)]
    assert ask(tmp_path, "SELECT from_at FROM coverage") == [(WINDOW[0],)]


def test_funding(tmp_path):
    "The rates of a window, page by page, each once."
    with serving() as server:
        paged = dict.fromkeys(["fundingHistory"])
        server.answer = lambda body: [rate for rate in HISTORY if body["startTime"] <= rate["time"] <= body["endTime"]][
            : 2 if body["type"] in paged else 0
        ]
        code, _ = fetch(tmp_path, "funding", server, markets=("BTC",), window=WINDOW)

    assert (code, len(server.asked)) == (0, 3)
    assert ask(tmp_path, "SELECT market, asset, observed_at, rate, interval_seconds FROM funding ORDER BY 3") == [
        ("BTC", "BTC", datetime(2025, 11, 22, hour, 0, 0, 39_000), 0.0000125, 3600) for hour in (4, 5, 6)
    ]


def test_vaults(tmp_path, server):
    "The children of HLP become labels, those known keep theirs, and a second time changes nothing."
    code, said = fetch(tmp_path, "vaults", server)
    again, more = fetch(tmp_path, "vaults", server)

    assert (code, again) == (0, 0)
    assert "3 addresses, 1 new; run `indexer redecode`" in said[0]
    assert "0 new" in more[0]
    assert ask(tmp_path, f"SELECT entity, kind, chain, from_at FROM labels WHERE address = '{CHILD}'") == [
        ("hlp", "vault", "hyperliquid", None)
    ]
    assert ask(tmp_path, f"SELECT count(*) FROM labels WHERE address = '{HLP}'") == [(1,)]


def test_another_vault(tmp_path, server):
    "The vault of somebody else is a vault under its own name, and never HLP."
    server.answers["vaultDetails"] = {"name": "Growi HF", "vaultAddress": USER, "relationship": {"type": "normal"}}
    fetch(tmp_path, "vaults", server, markets=(USER,))

    assert ask(tmp_path, f"SELECT entity, kind FROM labels WHERE address = '{USER}'") == [("growi_hf", "vault")]
    with pytest.raises(UserError, match="no address"):
        fetch(tmp_path, "vaults", server, markets=("HLP",))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("rates", {}, "is not there"),
        ("klines", {}, "window"),
        ("funding", {"window": (WINDOW[0], None)}, "window"),
        ("klines", {"window": WINDOW[::-1]}, "not after"),
    ],
)
def test_refused(tmp_path, server, kind, options, said):
    "What the API does not have, or a window that makes no sense, is one line."
    with pytest.raises(UserError, match=said):
        fetch(tmp_path, kind, server, **options)


def test_no_candles(tmp_path, server):
    "An answer that is no candles is no empty answer."
    server.answers["candleSnapshot"] = [{"t": 1}]
    with pytest.raises(NoEndpoint, match="no candles"):
        fetch(tmp_path, "klines", server, window=WINDOW)


def test_command(tmp_path, server):
    "The command takes the venue's markets and its own base URL."
    arguments = [
        "backfill",
        "context",
        "klines",
        "--venue",
        "hyperliquid",
        "--market",
        "kPEPE",
        "--base-url",
        server.url,
    ]
    arguments += ["--since", "2025-11-22T04:00", "--until", "2025-11-22T07:00", "--db", str(tmp_path / "x.duckdb")]
    done = run(*arguments)

    assert (done.code, len(ask(tmp_path, "FROM prices"))) == (0, 3), done.err


# -- positions of accounts --


def test_positions_of_accounts(tmp_path, server):
    "What accounts hold now is stored where the window has the present, once while nothing changes; else not asked."
    listed = tmp_path / "accounts.txt"
    listed.write_text(USER)
    server.answers["clearinghouseState"] |= {"time": int(time.time() * 1000)}
    base = [
        "backfill",
        "hyperliquid",
        "--accounts",
        str(listed),
        "--base-url",
        server.url,
        "--db",
        str(tmp_path / "x.duckdb"),
    ]
    past = run(*base, "--since", "2025-11-22T04:00", "--until", "2025-11-22T07:00")
    kinds = [body["type"] for body in server.asked]
    for _ in range(2):
        present = run(*base, "--since", "2025-11-22T04:00", "--until", "2200-01-01")

    assert (past.code, present.code) == (0, 0), past.err + present.err
    assert "clearinghouseState" not in kinds
    assert ask(tmp_path, "SELECT account, market, asset, size, source FROM positions") == [
        (USER, "kPEPE", "PEPE", -3500.0, "hyperliquid_api")
    ]


def test_weights():
    "UserRole weighs 60, a history 20 and one for every twenty items."
    with serving() as server:
        server.answers = {
            "userRole": {},
            "fundingHistory": HISTORY * 20,
            "candleSnapshot": [candle(n) for n in range(120)],
        }
        client = Info(server.url)
        for kind in server.answers:
            client.ask(kind)
        client.close()

    assert [weight for _, weight in client.spent] == [60, 20, 3, 20, 2]


def same_body(one, other):
    "Two requests ask the same if their bodies do, at whatever address."
    assert json.loads(one.body) == json.loads(other.body)


def test_recorded(tmp_path, request):
    "Recorded conversations give the rows that their answers state."
    recorder = vcr.VCR(record_mode="none")
    recorder.register_matcher("body", same_body)
    replay = {"match_on": ["body"], "allow_playback_repeats": True}

    def talk(url, path):
        with store.connect(path) as connection:
            client = info.Info(url)
            accounts.observe(connection, client, USER)
            client.close()
        for kind, markets in (("open_interest", ()), ("klines", ("kPEPE",)), ("funding", ("BTC",)), ("vaults", ())):
            window = (None, None) if kind in {"open_interest", "vaults"} else WINDOW
            context(path, kind, lambda _: None, window=window, markets=markets, base_url=url)

    if request.config.getoption("--update-golden"):
        CASSETTE.unlink(missing_ok=True)
        recorder.record_mode = "once"
        with serving() as server, recorder.use_cassette(str(CASSETTE), match_on=["body"]):
            server.answer = lambda body: (
                [one for one in ANSWERS[body["type"]] if one["time"] >= body["startTime"]]
                if body["type"] == "fundingHistory"
                else ANSWERS[body["type"]]
            )
            talk(server.url, tmp_path / "recorded.duckdb")
        recorder.record_mode = "none"
    with recorder.use_cassette(str(CASSETTE), **replay):
        talk("http://127.0.0.1:1", tmp_path / "x.duckdb")

    counted = {
        table: ask(tmp_path, f"SELECT count(*) FROM {table}") for table in ("open_interest", "positions", "funding")
    }
    assert counted == {"open_interest": [(2,)], "positions": [(1,)], "funding": [(5,)]}
    assert ask(tmp_path, "SELECT kind, count(*) FROM prices GROUP BY ALL ORDER BY 1") == [
        ("kline", 3),
        ("mark", 2),
        ("oracle", 2),
    ]
    assert ask(tmp_path, f"SELECT entity FROM labels WHERE address = '{CHILD}'") == [("hlp",)]
