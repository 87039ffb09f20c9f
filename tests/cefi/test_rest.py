"""History over REST: replayed answers, paging, and one line for every way a source says no."""

import dataclasses
import http.server
import io
import json
import threading
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
import vcr

from indexer import venues
from indexer.cefi import provider_rest, providers, rest, series_rest
from indexer.errors import NoEndpoint, RateLimited, Retryable, UserError
from indexer.sources.rest import Client

CASSETTES = Path(__file__).parents[2] / "cassettes" / "cefi"
DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 10, 9, 18, 0, 0)


def asked(since, until, *markets, said=None, client=None, now=NOW):
    "A window that is asked without waiting."
    make = client or (lambda name, **options: Client(name, sleep=lambda _: None, **options))
    narrate = (lambda _: None) if said is None else said.append
    return rest.Window(
        datetime.fromisoformat(since), datetime.fromisoformat(until), markets, narrate, client=make, now=now
    )


@pytest.fixture
def replayed():
    "Replays a cassette; anything else that is asked fails."
    recorder = vcr.VCR(record_mode="none", match_on=("method", "scheme", "host", "path", "query"))
    return lambda name: recorder.use_cassette(str(CASSETTES / f"{name}.yaml"))


KRAKEN = ("PI_XRPUSD", "long", 12000 / 0.1736, 12000.0)


@pytest.mark.parametrize(
    ("name", "since", "until", "market", "row"),
    [
        ("bitfinex", "2020-07-06T11:00", "2020-07-06T12:00", (), ("tETHF0:USTF0", "short", 8.6007, None)),
        ("dydx", "2026-09-15T20:00", "2026-09-15T21:00", ("ATOM-USD",), ("ATOM-USD", "long", 660.0, 842.16)),
        ("gate", "2023-10-08T03:00", "2023-10-08T05:00", (), ("BTC_USDT", "short", 0.0165, 463.155)),
        ("okx", "2026-10-09T17:00", "2026-10-09T18:00", ("BTC-USDT",), ("BTC-USDT-SWAP", "long", 0.0855, 7067.06235)),
        ("deribit", "2020-03-13T00:00", "2020-03-13T01:00", ("BTC",), ("BTC-PERPETUAL", "long", 1120 / 4469.5, 1120.0)),
        ("htx", "2026-09-17T18:00", "2026-09-17T19:00", ("ETH-USDT",), ("ETH-USDT", "short", 5.0, 12231.3)),
        ("kraken_futures", "2020-07-01T00:00", "2020-07-01T00:10", ("PI_XRPUSD",), KRAKEN),
    ],
)
def test_venue(connection, replayed, name, since, until, market, row):
    "A window of a venue's history: the rows, the whole window covered, and nothing asked again the second time."
    window = asked(since, until, *market)

    with replayed(name):
        code = rest.load(connection, venues.get(name), window)
    with replayed(name) as cassette:
        again = rest.load(connection, dataclasses.replace(venues.get(name), instruments=None), window)

    assert (code, again, cassette.play_count) == (0, 0, 0)
    found = connection.sql("SELECT market, side, size, forced_usd FROM liquidations").fetchall()
    assert found == [(*row[:2], pytest.approx(row[2]), None if row[3] is None else pytest.approx(row[3]))]
    assert connection.sql("SELECT min(from_at), max(to_at), sum(n_rows)::INTEGER FROM coverage").fetchall() == [
        (window.since, window.until, 1)
    ]


def test_inverse_swaps_have_their_own_path(connection, replayed):
    "A market is asked where the venue has it: 173 contracts of 100 dollars."
    window = asked("2020-11-26T09:00", "2020-11-26T10:00", "BTC-USD", now=datetime(2020, 11, 27))

    with replayed("htx"):
        code = rest.load(connection, venues.get("htx"), window)

    assert code == 0
    assert connection.sql("SELECT market, side, size, forced_usd, price_source FROM liquidations").fetchall() == [
        ("BTC-USD", "short", pytest.approx(17300 / 17102.9), 17300.0, "contract_value")
    ]


def test_market_that_no_history_has(connection):
    "A market that none of the venue's endpoints has is refused before anything is asked."
    with pytest.raises(
        UserError, match="htx has no history of BTCUSDT; pass a --market as the venue writes it: BTC-USDT"
    ):
        rest.load(connection, venues.get("htx"), asked("2026-09-17", "2026-09-18", "BTCUSDT"))


def test_trades_that_a_restart_forgot(connection):
    "Where a venue may have forgotten, only what its oldest trade shows is proven; the rest is a gap."
    trade = {"time": "2026-10-09T17:30:00.250Z", "side": "buy", "type": "fill", "size": 1, "price": 2, "uid": "a"}
    client = Scripted(lambda *_: json.dumps({"result": "success", "history": [trade]}).encode())
    window = asked("2026-10-09T17:00", "2026-10-09T18:00", "PF_XBTUSD", client=client)

    code = rest.load(connection, venues.get("kraken_futures"), window)

    assert code == 1
    assert connection.sql("SELECT from_at, to_at FROM coverage").fetchall() == [
        (datetime(2026, 10, 9, 17, 30, 0, 250000), NOW)
    ]
    assert connection.sql("SELECT from_at, to_at FROM gaps").fetchall() == [
        (datetime(2026, 10, 9, 17), datetime(2026, 10, 9, 17, 30, 0, 250000))
    ]
    client.answer = lambda *_: b'{"result": "success", "history": []}'
    assert (
        rest.load(
            connection, venues.get("kraken_futures"), asked("2026-10-08", "2026-10-09", "PF_XBTUSD", client=client)
        )
        == 1
    )
    client.answer = lambda *_: b'{"result": "error", "error": "invalidArgument: symbol"}'
    with pytest.raises(UserError, match="kraken_futures refuses the request: invalidArgument: symbol"):
        rest.load(connection, venues.get("kraken_futures"), asked("2026-10-07", "2026-10-08", "PF_X", client=client))


def test_provider(connection, replayed):
    "Buckets with their width and the class of the venue's feed; the key goes in a header."
    window = asked("2026-07-24T04:00", "2026-07-24T06:00", "BTCUSDT_PERP.A")

    with replayed("coinalyze"):
        code = provider_rest.load(connection, providers.PROVIDERS["coinalyze"], window, api_key="secret")

    assert code == 0
    assert connection.sql("SELECT venue, interval_seconds, long_usd, short_usd FROM cefi_totals").fetchall() == [
        ("binance", 3600, 281390.06, 1587451.09)
    ]
    assert "secret" not in str(connection.sql("FROM coverage").fetchall())


def test_coinglass(connection, replayed):
    "A pair of one exchange; a refusal with status 200 is an error in the provider's words."
    pair = asked("2022-07-27T00:00", "2022-07-27T04:00", "Binance:BTCUSDT")
    total = asked("2022-07-27T00:00", "2022-07-27T04:00", "ETH")
    coinglass = providers.PROVIDERS["coinglass"]

    with replayed("coinglass"):
        provider_rest.load(connection, coinglass, pair, api_key="secret")
        with pytest.raises(UserError, match="coinglass refuses the request: Invalid API key; check COINGLASS_API_KEY"):
            provider_rest.load(connection, coinglass, total, api_key="secret")

    assert connection.sql("SELECT venue, asset, interval_seconds, long_usd FROM cefi_totals").fetchall() == [
        ("binance", "BTC", 14400, 2369935.19562)
    ]


def test_coinglass_order_lists(connection):
    "Single orders of the seven days that are kept, a full answer in halves; what is older is a gap."
    hour = rest.milliseconds(NOW) - 3600_000

    def answer(_url, params):
        first, last = int(params["start_time"]), int(params["end_time"])
        times = [hour + 1000 * second for second in range(300) if first <= hour + 1000 * second <= last]
        rows = [
            {"exchange_name": "BINANCE", "symbol": "BTCUSDT", "price": 100, "usd_value": 50, "side": 1, "time": time}
            for time in times
        ]
        return json.dumps({"code": "0", "msg": "success", "data": rows[:200]}).encode()

    client = Scripted(answer)
    window = asked("2026-10-01T18:00", "2026-10-09T18:00", "orders:Binance:BTC", client=client)

    code = provider_rest.load(connection, providers.PROVIDERS["coinglass"], window, api_key="secret")

    assert code == 1
    assert connection.sql("SELECT count(*), min(side), sum(forced_usd) FROM liquidations").fetchall() == [
        (300, "short", 15000.0)
    ]
    assert connection.sql("SELECT from_at, to_at, reason FROM gaps").fetchall() == [
        (datetime(2026, 10, 1, 18), datetime(2026, 10, 2, 18), "coinglass keeps seven days of orders")
    ]
    assert client.asked[0][1] | {"start_time": "", "end_time": ""} == {
        "exchange": "Binance",
        "symbol": "BTC",
        "min_liquidation_amount": "0",
        "start_time": "",
        "end_time": "",
    }
    with pytest.raises(UserError, match="pass --market orders:Binance:BTC"):
        provider_rest.load(
            connection,
            providers.PROVIDERS["coinglass"],
            asked("2026-10-01T18:00", "2026-10-09T18:00", "orders:BTC", client=client),
            api_key="secret",
        )


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"message": "Invalid API key"}', "coinalyze refuses the request: Invalid API key; check COINALYZE_API_KEY"),
        (None, r"coinalyze has no BTCUSDT_PERP.A \(404\); pass a --market as it writes it"),
    ],
)
def test_provider_refusals(connection, body, line):
    "An error with status 200 and a market that is not there are one line each."
    window = asked("2026-07-24T04:00", "2026-07-24T06:00", client=Scripted(lambda *_: body))

    with pytest.raises(UserError, match=line):
        provider_rest.load(connection, providers.PROVIDERS["coinalyze"], window, api_key="secret")


@pytest.mark.parametrize("name", ["coinalyze", "coinglass"])
def test_no_key(connection, monkeypatch, name):
    "Without a key nothing is asked; the line says where to get one."
    monkeypatch.delenv(f"{name.upper()}_API_KEY", raising=False)

    with pytest.raises(UserError, match=f"{name} needs a key: set {name.upper()}_API_KEY"):
        provider_rest.load(connection, providers.PROVIDERS[name], asked("2022-07-27", "2022-07-28"))


def test_venue_without_history(connection):
    "A venue that keeps no history is refused with what can be done instead."
    with pytest.raises(
        UserError, match=r"bybit has no free history: record it with `indexer follow cefi --venue bybit`"
    ):
        rest.load(connection, venues.get("bybit"), asked("2022-07-27", "2022-07-28"))


class Scripted:
    "A client that answers from a function of the parameters and remembers what it was asked."

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def __call__(self, *_args, **_options):
        "Stands for the class too."
        return self

    def get(self, url, params=None):
        "The scripted answer."
        self.asked.append((url, params))
        return self.answer(url, params)

    def placed(self, url):
        "The URL itself."
        return url

    def close(self):
        "Nothing to let go of."


def trades(count):
    "A dYdX market with one liquidation a second from midnight, as pages of two, newest first."

    def answer(_url, params):
        until = datetime.fromisoformat(params["createdBeforeOrAt"].rstrip("Z"))
        seconds = [one for one in reversed(range(count)) if datetime(2026, 1, 1, 0, 0, one) <= until][:2]
        rows = [
            {
                "id": f"{second:024x}",
                "side": "SELL",
                "size": "1",
                "price": "2",
                "type": "LIQUIDATED",
                "createdAt": f"2026-01-01T00:00:{second:02d}.000Z",
                "createdAtHeight": str(second),
            }
            for second in seconds
        ]
        return json.dumps({"trades": rows}).encode()

    return answer


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_pages_newest_first(connection, count):
    "Page after page from the end of the window to its start: every record once, the window covered without a hole."
    dydx = venues.get("dydx")
    small = dataclasses.replace(dydx, histories=(dataclasses.replace(dydx.histories[0], limit=2),))
    window = asked("2026-01-01T00:00", "2026-01-01T00:01", "BTC-USD", client=Scripted(trades(count)))

    code = rest.load(connection, small, window)

    assert code == 0
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(count,)]
    assert connection.sql("SELECT count(*) FROM rejected").fetchall() == [(0,)]
    assert rest.uncovered(connection, "dydx_rest", "dydx:v4_trades:BTC-USD", window) == []


def test_pages_oldest_first(connection):
    "A full page leads on from its last record, which is asked again and simply known."

    def answer(_url, params):
        stamps = [one for one in range(1577836800000, 1577836807000, 1000) if int(params["start"]) <= one][:2]
        return json.dumps(
            [[["pos", one, one, None, "tBTCF0:USTF0", 1.5, 1, None, 0, 1, None, 7000]] for one in stamps]
        ).encode()

    bitfinex = venues.get("bitfinex")
    small = dataclasses.replace(bitfinex, histories=(dataclasses.replace(bitfinex.histories[0], limit=2),))
    client = Scripted(answer)

    code = rest.load(connection, small, asked("2020-01-01T00:00", "2020-01-01T00:01", client=client))

    assert code == 0
    assert connection.sql("SELECT count(*), sum(forced_usd) FROM liquidations").fetchall() == [(7, 73500.0)]
    assert len(client.asked) == 7


def test_full_window_is_halved(connection):
    "Where the venue gives no cursor, a full answer may have cut something off: ask for the halves."

    def answer(_url, params):
        first, last = int(params["from"]), int(params["to"])
        seconds = [one for one in range(1696730400, 1696730404) if first <= one <= last]
        rows = [{"contract": "BTC_USDT", "size": 1, "fill_price": "1", "time": one} for one in seconds]
        return json.dumps(rows[:3]).encode()

    gate = venues.get("gate")
    small = dataclasses.replace(
        gate, instruments=None, histories=(dataclasses.replace(gate.histories[0], limit=3, window_seconds=8),)
    )

    code = rest.load(connection, small, asked("2023-10-08T02:00:00", "2023-10-08T02:00:08", client=Scripted(answer)))

    assert code == 0
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(4,)]


def test_window_longer_than_the_venue_keeps(connection):
    "What is older than the venue keeps is listed as a gap, exit code 1; only the rest is covered."
    said = []
    body = json.dumps({"code": "0", "data": []}).encode()
    window = asked("2026-10-07T18:00", "2026-10-09T18:00", "BTC-USDT", said=said, client=Scripted(lambda *_: body))

    code = rest.load(connection, dataclasses.replace(venues.get("okx"), instruments=None), window)

    assert code == 1
    assert connection.sql("SELECT from_at, to_at FROM coverage").fetchall() == [(datetime(2026, 10, 8, 19), NOW)]
    assert connection.sql("SELECT from_at, to_at, reason FROM gaps").fetchall() == [
        (datetime(2026, 10, 7, 18), datetime(2026, 10, 8, 19), "okx keeps no older records")
    ]
    assert "okx keeps no older records" in said[0]


@pytest.mark.parametrize(
    ("body", "error", "line"),
    [
        ({"code": "51000", "msg": "Parameter uly error"}, UserError, "okx refuses the request: Parameter uly error"),
        ("<html>", None, None),
        ({"code": "50011", "msg": "Too many requests"}, None, None),
    ],
)
def test_refusal_with_status_200(connection, body, error, line):
    "An error that comes with status 200 is an error; being too fast is a gap to be asked again."
    text = body if isinstance(body, str) else json.dumps(body)
    window = asked("2026-10-09T17:00", "2026-10-09T18:00", "BTC-USDT", client=Scripted(lambda *_: text.encode()))
    okx = dataclasses.replace(venues.get("okx"), instruments=None)

    if error:
        with pytest.raises(error, match=line):
            rest.load(connection, okx, window)
    else:
        assert rest.load(connection, okx, window) == 1
        assert connection.sql("SELECT count(*) FROM gaps").fetchall() == [(1,)]
    assert connection.sql("SELECT count(*) FROM coverage").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["okx", "gate", "deribit", "dydx", "bitfinex", "htx", "kraken_futures"])
@pytest.mark.parametrize("body", [b"<html>", b'{"hello": "world"}'])
def test_an_answer_that_is_no_page(connection, name, body):
    "What is no answer of the venue covers nothing, and nothing more is asked for now."
    said = []
    client = Scripted(lambda *_: body)
    window = asked("2026-10-09T10:00", "2026-10-09T18:00", said=said, client=client)

    try:
        code = rest.load(connection, dataclasses.replace(venues.get(name), instruments=None), window)
    except UserError as error:
        code, said = 1, [str(error)]

    assert (code, len(client.asked)) == (1, 1)
    assert "answers with something" in said[-1] or "refuses the request" in said[-1]
    assert connection.sql("SELECT count(*) FROM coverage").fetchall() == [(0,)]


def test_daily_archive(connection):
    "The days of a window are fetched as files; a day without one is a gap, and only the gap is asked again."
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        path = DATA / "liquidationSnapshot_BTCUSD_PERP_2023-06-25.csv"
        archive.writestr("BTCUSD_PERP-liquidationSnapshot-2023-06-25.csv", path.read_text())
    client = Scripted(lambda url, _: packed.getvalue() if "2023-06-25" in url else None)
    window = asked("2023-06-25", "2023-06-27", client=client)

    codes = [rest.load(connection, venues.get("binance"), window) for _ in range(2)]

    assert codes == [1, 1]
    assert [url.rpartition("-liquidationSnapshot-")[2] for url, _ in client.asked] == [
        "2023-06-25.zip",
        "2023-06-26.zip",
        "2023-06-26.zip",
    ]
    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(1,)]
    assert connection.sql("SELECT from_at, reason FROM gaps").fetchall() == [
        (datetime(2023, 6, 26), "the archive has no file of this day")
    ]


def test_series_of_an_archive(connection):
    "Daily and monthly files of a window, each fetched once; COIN-M has its own root."
    text = (DATA / "fundingRate_BTCUSD_PERP_2023-06.csv").read_text()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("BTCUSD_PERP-fundingRate-2023-06.csv", text)
    client = Scripted(lambda *_: packed.getvalue())
    window = asked("2023-06-05", "2023-06-20", "BTCUSD_PERP", client=client)

    codes = [series_rest.load(connection, "funding", "binance", window) for _ in range(2)]

    assert codes == [0, 0]
    assert [url for url, _ in client.asked] == [
        "https://data.binance.vision/data/futures/cm/monthly/fundingRate/BTCUSD_PERP/BTCUSD_PERP-fundingRate-2023-06.zip"
    ]
    assert connection.sql("SELECT count(*) FROM funding").fetchall() == [(2,)]


def test_fear_and_greed_index(connection):
    "One answer holds every day since the window's start."
    client = Scripted(lambda *_: (DATA / "feargreed.json").read_bytes())

    code = series_rest.load(connection, "fear_greed", "", asked("2026-10-01", "2026-10-09", client=client))

    assert code == 0
    assert client.asked == [("https://api.alternative.me/fng/", {"limit": "10", "format": "json"})]
    assert connection.sql("SELECT count(*) FROM series").fetchall() == [(2,)]


def test_rates_have_no_source(connection):
    "A rate comes from a file; asking for a window of it is refused with that."
    with pytest.raises(UserError, match="rates of binance has no free source here; give files to import"):
        series_rest.load(connection, "rates", "binance", asked("2026-10-01", "2026-10-09"))


@pytest.fixture
def server():
    "A local server that gives the scripted answers in order: (status, headers, body), or None to hang up."
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.pop(0)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    yield answers, f"http://127.0.0.1:{http_server.server_port}"
    http_server.shutdown()
    thread.join()
    http_server.server_close()


GOOD = (200, {}, b"[]")


@pytest.mark.parametrize(
    ("script", "waits"),
    [
        ([GOOD], []),
        ([(429, {"Retry-After": "7"}, b"slow down"), GOOD], [7.0]),
        ([(429, {}, b""), (418, {}, b""), GOOD], [1.0, 2.0]),
        ([(503, {}, b"later"), GOOD], [1.0]),
        ([(400, {}, b'{"error":{"message":"too_many_requests","code":10028}}'), GOOD], [1.0]),
        ([None, GOOD], [1.0]),
    ],
)
def test_retries(server, script, waits):
    "The client waits as long as it is told to, else longer each time, and asks again."
    answers, url = server
    answers += script
    slept = []
    client = Client("x", requests_per_minute=6e9, base_url=url, sleep=slept.append)

    body = client.get("https://example.test/path?a=1")
    client.close()

    assert body == b"[]"
    assert slept == waits


@pytest.mark.parametrize(
    ("script", "error", "line"),
    [
        ([(401, {}, b"no\nkey")], UserError, r"x refuses the request \(401\): no key; check X_KEY"),
        ([(403, {}, b"")], UserError, r"x refuses the request \(403\): Forbidden; check X_KEY"),
        ([(451, {}, b"")], NoEndpoint, r"x does not serve this region \(451\); ask from elsewhere or pass --base-url"),
        ([(400, {}, b"bad symbol")], UserError, r"x refuses the request \(400\): bad symbol"),
        ([(429, {"Retry-After": "900"}, b"")], RateLimited, r"x is asked too often \(429\); run again in 900 s"),
        ([(429, {}, b"")] * 5, RateLimited, "x is asked too often"),
        ([(500, {}, b"oops")] * 5, Retryable, r"x fails \(500\): oops; run again later"),
        ([None] * 5, Retryable, r"x does not answer \(RemoteProtocolError\); run again later"),
    ],
)
def test_refusals(server, script, error, line):
    "No key, wrong key, a blocked region, a wrong request, too fast, broken: one clear line each."
    answers, url = server
    answers += script
    client = Client("x", requests_per_minute=6e9, base_url=url, key_hint="; check X_KEY", sleep=lambda _: None)

    with pytest.raises(error, match=line) as raised:
        client.get("https://example.test/path")
    client.close()

    assert "\n" not in str(raised.value)
    assert answers == []


def test_missing(server):
    "What the source has not got is None, not an error."
    answers, url = server
    answers.append((404, {}, b""))
    client = Client("x", requests_per_minute=6e9, base_url=url)

    assert client.get("https://example.test/path") is None
    client.close()


def test_pace(server):
    "Requests keep the documented distance."
    answers, url = server
    answers += [GOOD, GOOD, GOOD]
    slept = []
    client = Client("x", requests_per_minute=3, base_url=url, sleep=slept.append)

    for _ in range(3):
        client.get("https://example.test/path")
    client.close()

    assert [round(wait) for wait in slept] == [20, 20]
