"""Files of exchange records: captures, archives of the venues, archives of a vendor, and files that are none."""

import gzip
import json
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from indexer import cefi, store, venues
from indexer.cefi import files
from indexer.errors import BadRecord

DATA = Path(__file__).parent / "data"
VECTORS = Path(__file__).parents[1] / "venues"
SNAPSHOT = DATA / "liquidationSnapshot_BTCUSD_PERP_2023-06-25.csv"
TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"


def vector(venue, number=0):
    "The text of a payload."
    return json.loads((VECTORS / f"{venue}.jsonl").read_text().splitlines()[number])["raw"]


@pytest.fixture
def load(tmp_path, connection):
    "Imports text or bytes under a file name; gives the database; what was narrated is in `load.said`."

    def load(venue, contents, markets=()):
        paths = []
        for name, content in contents.items():
            path = tmp_path / name
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths.append(path)
        files.load(connection, venues.get(venue), paths, load.said.append, markets)
        return connection

    load.said = []
    return load


def rows(connection, sql):
    "All rows of a query."
    return connection.sql(sql).fetchall()


def test_archive_file(load):
    "A day of the archive: the repeated row is counted once and put aside once, the day is covered."
    connection = load("binance", {SNAPSHOT.name: SNAPSHOT.read_bytes()})

    found = connection.sql(
        "SELECT market, asset, side, size, price, forced_usd, liquidated_at, source FROM liquidations"
    )
    assert found.fetchall() == [
        (
            "BTCUSD_PERP",
            "BTC",
            "short",
            pytest.approx(700 / 30631.6),
            30631.6,
            700.0,
            datetime(2023, 6, 25, 1, 27, 51, 926000),
            "binance_archive",
        )
    ]
    assert connection.sql("SELECT reason, raw FROM rejected").fetchall() == [
        ("duplicate", "1687656471926,BUY,LIMIT,IOC,7,30741.3,30631.6,FILLED,6,7")
    ]
    assert rows(connection, "SELECT dataset, from_at, to_at, n_rows, n_rejected, proof FROM coverage") == [
        (
            "binance:liquidationSnapshot:BTCUSD_PERP",
            datetime(2023, 6, 25),
            datetime(2023, 6, 26),
            1,
            1,
            "archive_file",
        )
    ]
    assert load.said == [f"{SNAPSHOT.name}: 1 new, 1 rejected (1 duplicate)"]


@pytest.mark.parametrize("packed", ["zip", "gz", "csv", "no_header"])
def test_archive_packing(load, tmp_path, packed):
    "Plain, zipped, gzipped and without its header, an archive file gives the same row."
    text = SNAPSHOT.read_bytes()
    name = "BTCUSD_PERP-liquidationSnapshot-2023-06-25"
    if packed == "zip":
        with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
            archive.writestr(f"{name}.csv", text)
        contents = {f"{name}.zip": (tmp_path / "made.zip").read_bytes()}
    elif packed == "gz":
        contents = {f"{name}.csv.gz": gzip.compress(text)}
    else:
        contents = {f"{name}.csv": text if packed == "csv" else text.partition(b"\n")[2]}

    connection = load("binance", contents)

    assert rows(connection, "SELECT event_id, forced_usd FROM liquidations") == [
        ("binance:BTCUSD_PERP:1687656471926:BUY:7:30631.6", 700.0)
    ]


def test_twice_is_once(load):
    "The same files again change nothing: rows, rejected, coverage and raw records stay as they are."
    contents = {SNAPSHOT.name: SNAPSHOT.read_bytes(), "capture.jsonl": vector("binance", 2)}
    tables = ("liquidations", "rejected", "raw_frames")

    first = [rows(load("binance", contents), f"FROM {table} ORDER BY ALL") for table in tables]
    again = [rows(load("binance", contents), f"FROM {table} ORDER BY ALL") for table in tables]

    assert first == again
    assert [len(found) for found in first] == [2, 1, 2]
    assert "0 new, 1 known" in load.said[-1]


def test_overlapping_files(load):
    "A record seen again in another file is known, not a duplicate."
    day = "BTCUSD_PERP-liquidationSnapshot-2023-06-25.csv"
    head = SNAPSHOT.read_text().splitlines()
    text = "\n".join(head[:2]) + "\n"

    connection = load("binance", {day: text, "copy_" + day: text})

    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(1,)]
    assert rows(connection, "SELECT count(*) FROM rejected") == [(0,)]


def test_many_duplicates(load):
    "A file of one row repeated ten thousand times is one row and 9,999 counted duplicates."
    header, row = SNAPSHOT.read_text().splitlines()[:2]

    connection = load("binance", {SNAPSHOT.name: "\n".join([header] + [row] * 10_000)})

    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(1,)]
    assert rows(connection, "SELECT reason, count(*) FROM rejected GROUP BY reason") == [("duplicate", 9_999)]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "time,who\n1,me\n", "row 1: the columns are time,who; expected time,side,order_type"),
        ("a.csv", "", "the file is empty"),
        (
            "a.csv",
            SNAPSHOT.read_text().encode("utf-16"),
            "row 1: the first line is not UTF-8 text; save the file as UTF-8",
        ),
        ("a.txt", "hello\nworld\n", "no line is JSON; pass the --venue the file was recorded from"),
        ("snapshot.csv", SNAPSHOT.read_text(), "the file name does not say the market"),
        ("a.zip", b"PK\x03\x04 cut", "the archive is cut short or damaged"),
        ("a.csv.gz", gzip.compress(SNAPSHOT.read_bytes())[:40], "the archive is cut short or damaged"),
        ("a.jsonl.gz", gzip.compress(b'{"a":1}\n' * 99)[:25], "the gzip file is cut short"),
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", "\x00\x01\x02\n", "no line is JSON"),
        ("a.jsonl", '{"hello": "world"}\n', r"no frame of binance \(forceOrder, allForceOrders\)"),
        ("a.jsonl", vector("bybit"), "row 1: a frame of bybit in a file read as binance"),
        ("a.jsonl", vector("binance") + "\n" + vector("okx", 3), "row 2: a frame of okx in a file read as binance"),
        ("a.jsonl", json.dumps({"venue": "aster", "raw": vector("aster")}), "row 1: a record of aster in a file"),
        ("a.csv", TARDIS + "bybit,BTCUSDT,1600000000000000,1600000000000001,,sell,1,1\n", "records of bybit in a file"),
    ],
)
def test_refused_file(load, connection, name, content, reason):
    "A file that cannot be what it is given as is refused in one line, and nothing of it is stored."
    with pytest.raises(BadRecord, match=reason) as refused:
        load("binance", {name: content})

    assert "\n" not in str(refused.value)
    tables = ("liquidations", "rejected", "raw_frames", "coverage")
    assert [rows(connection, f"FROM {table}") for table in tables] == [[], [], [], []]


def test_zip_without_csv(load, tmp_path):
    "A zip that holds no CSV is refused."
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")

    with pytest.raises(BadRecord, match="no CSV file inside"):
        load("binance", {"a.zip": (tmp_path / "made.zip").read_bytes()})


def test_broken_lines(load):
    "Lines of a CSV that do not fit are put aside with their reason, the others stay."
    header, row = SNAPSHOT.read_text().splitlines()[:2]
    late = row.replace("1687656471926", "4887656471926")
    lines = [header, row, "1687656471927,BUY", b"168765647192\xff,BUY,LIMIT,IOC,7,3,3,FILLED,6,7", late]
    content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)

    connection = load("binance", {SNAPSHOT.name: content})

    assert connection.sql("SELECT count(*) FROM liquidations").fetchall() == [(1,)]
    assert rows(connection, "SELECT DISTINCT split_part(reason, ':', 1) FROM rejected ORDER BY ALL") == [
        ("clock in the future",),
        ("invalid encoding",),
        ("missing columns",),
    ]
    assert load.said == [
        f"{SNAPSHOT.name}: 1 new, 3 rejected (1 clock in the future, 1 invalid encoding, 1 missing columns)"
    ]


def test_lost_bytes_in_a_capture(load):
    "A line that is not UTF-8 is put aside, its neighbours are kept."
    broken = vector("binance", 2).encode().replace(b'"SELL"', b'"SE\xff"')

    connection = load("binance", {"a.jsonl": broken + b"\n" + vector("binance", 1).encode()})

    assert connection.sql("SELECT market FROM liquidations").fetchall() == [("XRPUSDT",)]
    assert rows(connection, "SELECT reason FROM rejected") == [("not UTF-8",)]


@pytest.mark.parametrize(
    "line",
    [
        {"received_at": "2026-10-09T17:06:43.100Z", "frame": json.loads(vector("binance", 2))},
        {"received_at": "2026-10-09T17:06:43.100", "raw": vector("binance", 2)},
        {"received_at": 1791565603.1, "frame": vector("binance", 2)},
        {"received_at": 1791565603100, "frame": vector("binance", 2)},
        {"received_at": 1791565603100000, "frame": vector("binance", 2)},
        {"received_at": 1791565603100000000, "frame": vector("binance", 2)},
        "2026-10-09T17:06:43.100Z " + vector("binance", 2),
    ],
)
def test_receive_time(load, line):
    "A frame beside its receive time, whatever the unit: the interval around it is covered."
    connection = load("binance", {"a.jsonl": line if isinstance(line, str) else json.dumps(line)})

    assert connection.sql("SELECT received_at FROM raw_frames").fetchall() == [
        (datetime(2026, 10, 9, 17, 6, 43, 100000),)
    ]
    assert rows(connection, "SELECT source, dataset, from_at, to_at, proof FROM coverage") == [
        (
            "binance_ws",
            "binance:forceOrder",
            datetime(2026, 10, 9, 17, 6, 43, 100000),
            datetime(2026, 10, 9, 17, 6, 43, 101000),
            "capture",
        )
    ]


def test_simulated_capture(load):
    "A capture that says it is simulated is a source of its own, marked as such, also after decoding again."
    frame = json.loads(vector("binance", 2))
    lines = [json.dumps({"received_at": 1791565603 + n, "simulated": True, "frame": frame}) for n in range(2)]

    connection = load("binance", {"a.jsonl": "\n".join(lines)})
    found = [rows(connection, f"SELECT DISTINCT source FROM {table}") for table in ("liquidations", "coverage")]
    cefi.redecode(connection, load.said.append)

    assert found == [[("binance_simulated",)], [("binance_simulated",)]]
    assert rows(connection, "SELECT source FROM liquidations") == [("binance_simulated",)]
    assert rows(connection, "FROM facts") == [("simulated:binance_simulated", "true")]
    with pytest.raises(BadRecord, match="row 1: a simulated frame among others; split the file"):
        load("binance", {"b.jsonl": lines[0] + "\n" + vector("binance", 2)})


def test_silence_ends_an_interval(load):
    "A connection without any frame for longer than the feed's bound is dead: two intervals, and no zero between them."
    seconds = (0, 10, 20, 400, 410)
    mark_price = {"stream": "btcusdt@markPrice@1s", "data": {"e": "markPriceUpdate"}}
    lines = [json.dumps({"received_at": 1791565603 + second, "frame": mark_price}) for second in seconds]
    lines.append(json.dumps({"received_at": 1791565604, "frame": json.loads(vector("binance", 2))}))

    connection = load("binance", {"a.jsonl": "\n".join(lines)})

    assert rows(connection, "SELECT from_at, to_at, n_rows FROM coverage ORDER BY ALL") == [
        (datetime(2026, 10, 9, 17, 6, 43), datetime(2026, 10, 9, 17, 7, 3, 1000), 0),
        (datetime(2026, 10, 9, 17, 13, 23), datetime(2026, 10, 9, 17, 13, 33, 1000), 0),
    ]


def test_instruments_give_the_contract_value(load):
    "The venue's list of contracts makes the value known; before it was read there is none, and nothing was guessed."
    listing = {
        "code": "0",
        "data": [
            {
                "instId": "MINA-USDT-SWAP",
                "ctVal": "1",
                "ctMult": "1",
                "ctType": "linear",
                "ctValCcy": "MINA",
                "settleCcy": "USDT",
                "listTime": "1666000000000",
                "expTime": "",
            }
        ],
    }
    before = rows(load("okx", {"a.jsonl": vector("okx", 5)}), "SELECT size, forced_usd FROM liquidations")

    connection = load("okx", {"instruments.json": json.dumps(listing, indent=1), "a.jsonl": vector("okx", 5)})

    assert before == [(None, None)]
    assert connection.sql("SELECT size, forced_usd FROM liquidations").fetchall() == [
        (10975.0, pytest.approx(10975 * 0.09859))
    ]
    assert rows(connection, "SELECT venue, market, from_at, to_at, params ->> '$.value' FROM markets") == [
        ("okx", "MINA-USDT-SWAP", datetime(2022, 10, 17, 9, 46, 40), None, "1.0")
    ]


def test_vendor_file(load):
    "A vendor names the order's side and keeps amounts in the venue's unit; the row the venue itself gave goes before."
    lines = (
        "okex-swap,BTC-USDT-SWAP,1791565600771000,1791565601000000,,sell,82655.7,8.55\n"
        "okex-swap,BTC-USD-SWAP,1791565600772000,1791565601000000,,buy,50000,3\n"
    )
    name = "okex-swap_liquidations_2026-10-09_PERPETUALS.csv.gz"

    connection = load("okx", {"a.jsonl": vector("okx", 3), name: gzip.compress((TARDIS + lines).encode())})

    assert connection.sql(
        "SELECT market, side, size, forced_usd, source, completeness FROM liquidations ORDER BY ALL"
    ).fetchall() == [
        ("BTC-USD-SWAP", "short", pytest.approx(0.006), 300.0, "okx_tardis", "throttled_latest_1s"),
        ("BTC-USDT-SWAP", "long", pytest.approx(0.0855), pytest.approx(7067.06235), "okx_ws", "throttled_latest_1s"),
    ]
    assert rows(connection, "SELECT dataset, from_at, to_at FROM coverage WHERE source = 'okx_tardis'") == [
        ("okx:tardis:PERPETUALS", datetime(2026, 10, 9), datetime(2026, 10, 10))
    ]


def test_backfill(tmp_path):
    "The command's function opens the database, imports and closes it."
    database = tmp_path / "test.duckdb"
    said = []

    code = cefi.backfill(database, cefi.BackfillOptions("binance", (SNAPSHOT,)), said.append)

    assert code == 0
    assert said == [f"{SNAPSHOT.name}: 1 new, 1 rejected (1 duplicate)"]
    with store.connect(database, read_only=True) as connection:
        assert rows(connection, "SELECT count(*) FROM liquidations") == [(1,)]


def test_redecode(load):
    "From the records as received come the same rows, without the files."
    lines = "okex-swap,BTC-USD-SWAP,1791565600772000,1791565601000000,,buy,50000,3\n"
    name = "okex-swap_liquidations_2026-10-09_BTC-USD-SWAP.csv"
    load("binance", {SNAPSHOT.name: SNAPSHOT.read_bytes(), "capture.jsonl": vector("binance", 2)})
    connection = load("okx", {"a.jsonl": vector("okx", 3), name: TARDIS + lines})
    before = [rows(connection, f"FROM {table} ORDER BY ALL") for table in ("liquidations", "rejected", "raw_frames")]
    connection.execute("UPDATE liquidations SET side = 'wrong', forced_usd = 0")

    n_rows = cefi.redecode(connection, load.said.append)

    after = [rows(connection, f"FROM {table} ORDER BY ALL") for table in ("liquidations", "rejected", "raw_frames")]
    assert n_rows == 4
    assert after == before
