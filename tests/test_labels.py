"""Who stands behind an address: precedence, dates, chains, and answers that follow the labels of today."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import builtin, imports, schema, store

DAY = datetime(2026, 3, 14)
SENDER, RECEIVER = "0x" + "a" * 40, "0x" + "b" * 40


@pytest.fixture
def connection():
    "An empty store."
    connection = store.connect(":memory:")
    yield connection
    connection.close()


def label(connection, address, entity, kind="exchange", chain=None, source="file", since=None, until=None):
    "Add one label."
    connection.execute(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", [address, chain, entity, kind, source, since, until]
    )


def move(connection, name="f", at=DAY, **values):
    "Add one transfer from SENDER to RECEIVER."
    row = {
        "flow_id": name,
        "flowed_at": at,
        "chain": "ethereum",
        "kind": "transfer",
        "from_address": SENDER,
        "to_address": RECEIVER,
    }
    row |= values
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO flow_rows ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def seen(connection, name="f"):
    "Account, labels and direction of a flow."
    sql = "SELECT account, from_label, to_label, direction FROM flows WHERE flow_id = ?"
    return connection.execute(sql, [name]).fetchone()


def test_built_in_labels_are_there(connection):
    "A new store knows every built-in label with its public origin, once, however often it is opened."
    schema.load_labels(connection)
    rows = connection.execute(
        "SELECT address, chain, entity, kind FROM labels WHERE source LIKE 'built_in: %'"
    ).fetchall()

    assert sorted(map(str, rows)) == sorted(str(row[:4]) for row in builtin.labels().iter_rows())
    assert connection.execute("SELECT count(*) FROM label_conflicts").fetchone() == (0,)


@pytest.mark.parametrize(
    ("sender", "receiver", "direction"),
    [
        (None, None, "other"),
        (None, "exchange", "to_exchange"),
        ("exchange", None, "from_exchange"),
        ("exchange", "exchange", "internal"),
        ("exchange", "bridge", "from_exchange"),
        ("bridge", "exchange", "to_exchange"),
        (None, "bridge", "to_bridge"),
        ("bridge", None, "from_bridge"),
        ("bridge", "lending", "from_bridge"),
        (None, "lending", "to_lending"),
        ("lending", None, "from_lending"),
        ("whale", "exchange", "to_exchange"),
        ("router", None, "other"),
    ],
)
def test_direction(connection, sender, receiver, direction):
    "Exchanges decide before bridges, bridges before lending; a label that is no place decides nothing."
    move(connection)
    for address, kind in ((SENDER, sender), (RECEIVER, receiver)):
        if kind:
            label(connection, address, f"{kind} of {address[2]}", kind)

    assert seen(connection)[3] == direction


def test_new_labels_change_old_answers(connection):
    "Account, names and direction of a stored transfer follow the labels."
    move(connection)
    before = seen(connection)
    label(connection, SENDER, "kraken")

    assert before == (SENDER, None, None, "other")
    assert seen(connection) == (RECEIVER, "kraken", None, "from_exchange")


def test_a_whale_is_an_account(connection):
    "A label of kind whale names an account and does not make the other side the one that moved."
    move(connection)
    label(connection, SENDER, "the whale", "whale")

    assert seen(connection) == (SENDER, "the whale", None, "other")


def test_imported_direction(connection):
    "A matching label decides; where none matches, what the file says stands."
    move(connection, "plain", direction="to_bridge", to_label="a bridge")
    move(connection, "known", direction="to_bridge", to_address="0x" + "c" * 40)
    label(connection, "0x" + "c" * 40, "kraken")

    assert seen(connection, "plain") == (SENDER, None, "a bridge", "to_bridge")
    assert seen(connection, "known")[3] == "to_exchange"


def test_kinds_of_their_own(connection):
    "A loan is lending whoever holds the position; a leg is other whoever is labelled."
    label(connection, SENDER, "kraken")
    move(connection, "loan", kind="supply")
    move(connection, "leg", is_leg=True)

    assert seen(connection, "loan")[3] == "to_lending"
    assert seen(connection, "leg")[3] == "other"


def test_one_owner(connection):
    "A move between accounts of one owner is internal, and so is one inside one entity."
    move(connection)
    connection.execute("INSERT INTO owners VALUES ('ethereum', ?, ?, 'proxy', 'event')", [SENDER, RECEIVER])

    assert seen(connection)[3] == "internal"


def test_owner_of_an_owner(connection):
    "A vault of a proxy and the proxy's owner are one, and so are two vaults of one proxy."
    proxy, other = "0x" + "c" * 40, "0x" + "d" * 40
    move(connection)
    move(connection, "between", to_address=other)
    connection.executemany(
        "INSERT INTO owners VALUES ('ethereum', ?, ?, 'cdp', 'file')",
        [[SENDER, proxy], [other, proxy], [proxy, RECEIVER]],
    )

    assert [seen(connection, name)[3] for name in ("f", "between")] == ["internal", "internal"]


def test_chain_and_dates(connection):
    "A label holds on its chain and in its half-open time; outside of it the label for every chain stands."
    label(connection, RECEIVER, "kraken")
    label(connection, RECEIVER, "okx", chain="ethereum", since=DAY, until=DAY + timedelta(days=1))
    for hours in (-1, 0, 23, 24):
        move(connection, str(hours), DAY + timedelta(hours=hours))
    move(connection, "base", chain="base")
    move(connection, "none", chain=None)

    assert [seen(connection, name)[2] for name in ("-1", "0", "23", "24", "base", "none")] == [
        "kraken", "okx", "okx", "kraken", "kraken", "kraken",
    ]  # fmt: skip


def test_conflicts_are_reported(connection):
    "A label that loses is named with the one that rules; another source of the same name is no conflict."
    label(connection, RECEIVER, "binance", source="built_in: a list")
    label(connection, RECEIVER, "okx", source="my list")
    label(connection, RECEIVER, "okx", source="another list")
    label(connection, SENDER, "kraken", until=DAY)
    label(connection, SENDER, "upbit", since=DAY)
    move(connection)

    assert seen(connection)[2] == "okx"
    assert (
        connection.execute(
            "SELECT address, ruling_entity, entity, source FROM label_conflicts ORDER BY ruling_source"
        ).fetchall()
        == [(RECEIVER, "okx", "binance", "built_in: a list")] * 2
    )


def test_import(connection, tmp_path):
    "A file of labels gives new answers at once; a file of flows is read by the labels that are there."
    flows, labels = tmp_path / "flows.csv", tmp_path / "labels.csv"
    flows.write_text(
        f"flow_id,flowed_at,kind,chain,from_address,to_address,usd\nx,2026-03-14,transfer,ethereum,{SENDER},{RECEIVER},5\n"
    )
    labels.write_text(f"address,entity,kind,source\n{RECEIVER},kraken,exchange,here\n")
    imports.load(connection, [flows], lambda *_, **__: None)
    before = seen(connection, "x")
    imports.load(connection, [labels], lambda *_, **__: None)

    assert (before[3], seen(connection, "x")[3]) == ("other", "to_exchange")


def test_imported_legs(connection, tmp_path):
    "A transfer inside an imported loan of the same transaction is its leg, in whatever order the files come."
    pool, token, tx = "0x" + "1" * 40, "0x" + "2" * 40, "0x" + "3" * 64
    header = (
        "flow_id,flowed_at,kind,chain,block_number,log_index,tx_hash,from_address,to_address,account,token,amount_raw\n"
    )
    place = f"2026-03-14,{{}},ethereum,7,{{}},{tx},{SENDER},{{}},{SENDER},{token},500\n"
    label(connection, RECEIVER, "a token of the pool", "lending")
    for name, kind, index, to in (("a", "transfer", 1, RECEIVER), ("b", "supply", 2, pool)):
        path = tmp_path / f"flows_{name}.csv"
        path.write_text(header + f"{name}," + place.format(kind, index, to))
        imports.load(connection, [path], lambda *_, **__: None)

    assert [seen(connection, name)[3] for name in "ab"] == ["other", "to_lending"]


times = st.one_of(st.none(), st.integers(0, 6))
rows = st.tuples(st.sampled_from([None, "ethereum", "base"]), st.sampled_from("xyz"), st.sampled_from(["exchange", "bridge"]),
                 st.sampled_from(["built_in: l", "file"]), times, times)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=5, unique=True), st.sampled_from([None, "ethereum", "base", "bnb"]), st.integers(-1, 7))
def test_the_first_label_rules(labels, chain, hour):
    "Of the labels that hold, the ruling one is the first by file, own chain, dates, later start, name, kind and source."
    connection = store.connect(":memory:")
    connection.execute("DELETE FROM labels")
    for on, entity, kind, source, since, until in labels:
        bounds = [None if one is None else DAY + timedelta(hours=one) for one in (since, until)]
        label(connection, RECEIVER, entity, kind, on, source, *bounds)
    move(connection, chain=chain, at=DAY + timedelta(hours=hour))
    holding = [
        (source != "file", on is None, since is None and until is None, since is None, -(since or 0), entity, kind)
        for on, entity, kind, source, since, until in labels
        if on in {None, chain} and (since is None or since <= hour) and (until is None or hour < until)
        and (since is None or until is None or since < until)
    ]  # fmt: skip
    found = seen(connection)
    connection.close()

    assert found[2:] == ((min(holding)[5], f"to_{min(holding)[6]}") if holding else (None, "other"))
