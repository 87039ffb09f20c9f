"""Where money went before and after: flows, catalysts, paths, re-entries and inventories, by hand."""

import datetime as dt

import pytest
from fixture_store import address, ask, at, empty_store, example_store, insert, unlike

KRAKEN = "0x000000000000000000000000000000000000ee01"
CASCADE = {"floor_usd": 1000}


@pytest.fixture(scope="module")
def example():
    "The example night, shared: queries only read it."
    return example_store()


def flow(number, when, sender, receiver, usd, **more):
    "A transfer on ethereum of the sender's."
    row = {"flow_id": f"g{number}", "flowed_at": when, "chain": "ethereum", "kind": "transfer", "account": sender}
    return (
        row | {"from_address": sender, "to_address": receiver, "usd": usd, "asset": "ETH", "direction": "other"} | more
    )


def test_flows(example):
    "An hour before 310,000 went to an exchange, during 29,000 came back; fewer than 7 earlier days give no baseline."
    rows = ask(example, "flows", **CASCADE)
    zero = dict.fromkeys(("to_exchange_usd", "from_exchange_usd", "net_to_exchange_usd", "to_bridge_usd"), 0.0)

    assert [row["phase"] for row in rows] == ["before_24h", "before_1h", "during", "after_1h", "after_24h"]
    assert [row["n_flows"] for row in rows] == [0, 3, 1, 0, 0]
    assert unlike(rows[1], {"to_exchange_usd": 310000.0, "net_to_exchange_usd": 310000.0}) == {}
    assert unlike(rows[1], {"phase_start_at": at("08:00:00"), "phase_end_at": at("09:00:00")}) == {}
    assert unlike(rows[1], {"to_exchange_usd_per_hour": 310000.0, "baseline_usd_per_hour": None}) == {}
    assert unlike(rows[2], zero | {"from_exchange_usd": 29000.0, "net_to_exchange_usd": -29000.0}) == {}
    assert all(unlike(row, zero | {"baseline_ratio": None}) == {} for row in (rows[0], rows[3], rows[4]))


def test_flows_baseline():
    """Eight earlier days have 10,000 to 80,000 in the hour before and the ninth nothing: the median is 40,000.

    The first stored flow, ten days back at the end of the hour, decides which days count; small flows, mints and what
    moves at the hour's end, excluded, do not.
    """
    connection = example_store()
    start = at("09:00:00")
    earlier = [
        flow(day, start - dt.timedelta(days=day, minutes=1), "0x1", KRAKEN, 10000.0 * day, direction="to_exchange")
        for day in range(1, 9)
    ]
    rows = [
        *earlier,
        flow("first", start - dt.timedelta(days=10), "0x1", "0x2", 1.0),
        flow("edge", start - dt.timedelta(days=3), "0x1", KRAKEN, 5e6, direction="to_exchange"),
        flow("mint", start - dt.timedelta(days=2, minutes=5), address("0"), KRAKEN, 5e6, direction="to_exchange"),
    ]
    insert(connection, "flows", rows)
    before = ask(connection, "flows", **CASCADE)[1]

    assert unlike(before, {"baseline_usd_per_hour": 40000.0, "baseline_ratio": 310000 / 40000}) == {}


def test_flows_of_the_edges():
    "Phases are half-open, and hours and minutes of a long phase add up whatever the minute of the start."
    connection = example_store()
    connection.execute("DELETE FROM flow_rows")
    times = ["09:03:00", "09:59:59.999", "10:02:59", "10:03:00", "10:59:00", "11:00:00", "23:59:59"]
    rows = [flow(n, at(when), "0x1", KRAKEN, 10000.0 * 2**n, direction="to_exchange") for n, when in enumerate(times)]
    insert(
        connection, "flows", [*rows, flow("end", at("2026-03-15T09:02:59"), "0x1", "0x2", 5e6, direction="to_bridge")]
    )
    insert(connection, "flows", [flow("late", at("2026-03-15T09:03:00"), "0x1", KRAKEN, 5e6, direction="to_exchange")])
    rows = ask(connection, "flows", **CASCADE)

    assert [row["to_exchange_usd"] for row in rows] == [0, 0, 0, 70000.0, 1200000.0]
    assert rows[4]["to_bridge_usd"] == 5e6


def test_catalysts(example):
    "Only d1's deposit lies in the half hour before; the one window that fits before it is not whole."
    (row,) = ask(example, "catalysts", **CASCADE)
    wanted = {
        "rank": 1,
        "kind": "exchange_inflow",
        "account": address("d1"),
        "asset": "ETH",
        "usd": 70000.0,
        "n_flows": 1,
        "first_at": at("08:50:00"),
        "before_start_seconds": 600,
        "window_usd": 70000.0,
        "percentile": None,
        "placebo_p": None,
        "n_placebo": 0,
    }

    assert unlike(row, wanted) == {}


def test_catalysts_placebo():
    "Four whole half hours before: 70,000 (equal: at least as much), 20,000, 0 and 90,000; a borrow has its own."
    connection = example_store()
    connection.execute("DELETE FROM flow_rows WHERE flow_id = 'f1'")
    moved = {"08:00:00": 70000.0, "07:59:59": 20000.0, "06:45:00": 60000.0, "06:59:59.9": 30000.0, "06:30:00": 10.0}
    rows = [
        flow(n, at(when), "0x1", KRAKEN, usd, direction="to_exchange") for n, (when, usd) in enumerate(moved.items())
    ]
    borrow = flow("b", at("08:30:00"), "0x9", "0x9", 50000.0, kind="borrow", direction="from_lending")
    insert(connection, "flows", [*rows, borrow])
    inflow, borrowed = ask(connection, "catalysts", **CASCADE)

    assert unlike(inflow, {"n_placebo": 4, "percentile": 0.5, "placebo_p": 3 / 5}) == {}
    assert (
        unlike(borrowed, {"kind": "borrow", "before_start_seconds": 1800, "percentile": 1.0, "placebo_p": 1 / 5}) == {}
    )
    assert [row["rank"] for row in ask(connection, "catalysts", **CASCADE, top=1)] == [1]


def test_path(example):
    "Straight to the exchange, and by way of d1; without an account the largest accounts are walked."
    rows = ask(example, "path", account=address("a5").upper().replace("0X", "0x"), since="2026-03-14")
    direct = {"n_hops": 1, "path": f"{address('a5')} > {KRAKEN}", "path_usd": 240000.0, "kept_share": 1.0}
    by_way = {
        "account": address("a5"),
        "n_hops": 2,
        "path": f"{address('a5')} > {address('d1')} > {KRAKEN}",
        "started_at": at("08:45:00"),
        "ended_at": at("08:50:00"),
        "first_usd": 90000.0,
        "path_usd": 70000.0,
        "kept_share": 7 / 9,
        "end_address": KRAKEN,
        "end_label": "kraken",
    }

    assert len(rows) == 2
    assert unlike(rows[0], direct) == {}
    assert unlike(rows[1], by_way) == {}
    assert ask(example, "path") == rows
    assert ask(example, "path", account=address("a5"), since="2026-03-14T08:30:00", max_hops=1) == []
    assert len(ask(example, "path", account=address("a5"), min_kept_share=0.8)) == 1


WALK = {"account": "0xa", "min_transfer_usd": 10}


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ({}, 1),
        ({"flowed_at": at("09:00:00")}, 0),  # not strictly later
        ({"flowed_at": at("2026-03-15T09:00:00")}, 1),  # within the horizon of the first hop
        ({"flowed_at": at("2026-03-15T09:00:01")}, 0),
        ({"chain": "base"}, 0),
        ({"usd": 49.0}, 0),
        ({"usd": 50.0}, 1),
        ({"kind": "supply"}, 0),
        ({"to_address": "0xa", "to_label": "home"}, 0),  # no address twice
        ({"to_label": None}, 0),
    ],
)
def test_path_conditions(second, found):
    "When a second hop follows the first."
    connection = empty_store()
    hops = [
        flow(1, at("09:00:00"), "0xa", "0xb", 100.0),
        flow(2, at("10:00:00"), "0xb", "0xc", 90.0, to_label="okx") | second,
    ]
    insert(connection, "flows", hops)

    assert len(ask(connection, "path", **WALK)) == found


def test_path_ends_at_a_label():
    "Nothing is followed beyond a labelled address."
    connection = empty_store()
    hops = [flow(1, at("09:00:00"), "0xa", "0xb", 100.0), flow(2, at("10:00:00"), "0xb", "0xc", 90.0, to_label="okx")]
    insert(connection, "flows", hops)
    insert(connection, "labels", [{"address": "0xb", "entity": "router"}])

    assert [row["path"] for row in ask(connection, "path", **WALK)] == ["0xa > 0xb"]


@pytest.mark.parametrize(
    ("arrival", "found"),
    [
        ({}, True),
        ({"usd": 98.9}, False),
        ({"flowed_at": at("11:10:00")}, True),
        ({"flowed_at": at("11:10:01")}, False),
        ({"chain": "ethereum"}, False),
        ({"account": "0xz"}, False),
    ],
)
def test_path_across_a_bridge(arrival, found):
    "What leaves a chain and arrives within two hours and one per cent continues there; crossing is no hop."
    connection = empty_store()
    rows = [
        flow(1, at("09:00:00"), "0xa", "0xb", 100.0),
        flow(2, at("09:10:00"), "0xb", None, 100.0, kind="bridge_out"),
        flow(3, at("09:20:00"), None, "0xb", 99.0, kind="bridge_in", chain="base") | {"account": "0xb"} | arrival,
        flow(4, at("12:00:00"), "0xb", "0xc", 95.0, to_label="okx", chain="base"),
    ]
    insert(connection, "flows", rows)
    paths = ask(connection, "path", **WALK, max_hops=2)

    assert [(row["path"], row["n_hops"], row["path_usd"]) for row in paths] == (
        [("0xa > 0xb > 0xb@base > 0xc", 2, 95.0)] if found else []
    )


def test_path_stops_at_a_hub():
    "Value that passes an address with more than 10,000 counterparties cannot be followed."
    for n_others, found in ((9998, 1), (9999, 0)):
        connection = empty_store()
        hops = [
            flow(1, at("09:00:00"), "0xa", "0xb", 100.0),
            flow(2, at("10:00:00"), "0xb", "0xc", 90.0, to_label="okx"),
        ]
        insert(connection, "flows", hops)
        connection.execute(
            "INSERT INTO flow_rows (flow_id, flowed_at, kind, from_address, to_address) "
            f"SELECT 'n' || i, '2020-01-01', 'transfer', 'x' || i, '0xb' FROM range({n_others}) AS numbers(i)"
        )

        assert len(ask(connection, "path", **WALK)) == found


def test_reentry(example):
    "a1 held 1.75, lost all, and held 1.4 again twenty minutes later, 250 bps cheaper; nobody else is seen again."
    rows = ask(example, "reentry")
    (back,) = [row for row in rows if row["reentered_at"] is not None]
    wanted = {
        "account": address("a1"),
        "venue": "hyperliquid",
        "side": "long",
        "liquidated_usd": 3500.0,
        "liquidation_price": 2000.0,
        "ended_at": at("09:00:20"),
        "reentered_at": at("09:20:00"),
        "delay_seconds": 1180,
        "is_same_side": True,
        "reentry_price": 1950.0,
        "discount_bps": -250.0,
        "reentry_usd": 2730.0,
        "size_ratio": 0.78,
    }

    assert unlike(back, wanted) == {}
    assert len(rows) == 8


def test_reentry_on_the_other_side():
    "Of 3 a liquidation of 1 leaves 2: a later 2 is no re-entry, a short of 0.5 is, and a higher price is better for it."
    connection = example_store()
    for table in ("liquidations", "positions"):
        connection.execute(f"DELETE FROM {table}")
    row = {"event_id": "1", "account": "0x1", "asset": "ETH", "side": "long", "size": 1.0, "price": 2000.0}
    insert(connection, "liquidations", [row | {"forced_usd": 2000.0, "liquidated_at": at("09:00:00")}])
    sizes = {"08:00:00": 3.0, "09:10:00": 2.0, "09:15:00": 0.0, "09:20:00": -0.5, "09:21:00": 5.0}
    shared = {"account": "0x1", "venue": "hyperliquid", "market": "ETH", "asset": "ETH"}
    insert(connection, "positions", [shared | {"observed_at": at(when), "size": size} for when, size in sizes.items()])
    (back,) = ask(connection, "reentry")

    wanted = {"reentered_at": at("09:20:00"), "is_same_side": False, "discount_bps": 250.0, "reentry_usd": 975.0}
    assert unlike(back, wanted) == {}


def test_reentry_of_lending():
    "A supply of the asset after a liquidated long, at its own price; not at the end itself, not after the horizon."
    connection = example_store()
    shared = {"chain": "ethereum", "kind": "supply", "account": address("a4"), "asset": "ETH"}
    supplies = [("a", "09:01:40", 1e6, 1.0), ("b", "2026-03-15T09:01:41", 1e6, 1.0), ("c", "09:11:40", 3800.0, 2.0)]
    rows = [
        shared | {"flow_id": name, "flowed_at": at(when), "usd": usd, "amount": amount}
        for name, when, usd, amount in supplies
    ]
    insert(connection, "flows", rows)
    (back,) = [row for row in ask(connection, "reentry") if row["account"] == address("a4")]

    wanted = {"reentered_at": at("09:11:40"), "delay_seconds": 600, "reentry_price": 1900.0, "reentry_usd": 3800.0}
    assert unlike(back, wanted | {"discount_bps": (1900 / 1920 - 1) * 1e4, "size_ratio": 3800 / 1080}) == {}


def test_liquidator_inventory(example):
    "b1 moved 1.2 of 1.531579: all of the first seizure at a loss of 66, a tenth of a token of the second at a gain of 4."
    first, second = ask(example, "liquidator_inventory")
    wanted = {
        "liquidator": address("b1"),
        "asset": "ETH",
        "n_seizures": 2,
        "seized_amount": 2200 / 2000 + 820 / 1900,
        "disposed_amount": 1.2,
        "open_amount": 2200 / 2000 + 820 / 1900 - 1.2,
        "hold_seconds": 540.0,
        "realised_pnl_usd": -62.0,
        "same_tx_share": 0.0,
    }

    assert unlike(first, wanted) == {}
    nothing = {"disposed_amount": 0.0, "open_amount": 0.5625, "hold_seconds": None, "realised_pnl_usd": None}
    assert unlike(second, {"liquidator": address("b2")} | nothing | {"same_tx_share": None}) == {}


def test_inventory_cuts_what_was_never_seized():
    """1 seized at 0 s, 3 moved at 10 s (2 were the liquidator's own), 1 seized at 20 s, 1 moved at 30 s.

    The second move disposes of the second seizure: both are held 10 s. A cut of what precedes the first seizure only
    would let the second seizure go 10 s before it was made.
    """
    connection = empty_store()
    seizure = {
        "venue": "aave_v3",
        "sector": "lending",
        "kind": "call",
        "liquidator": "0xb",
        "asset": "ETH",
        "side": "long",
    }
    seizures = [
        seizure
        | {"event_id": f"{n}", "liquidated_at": at(f"09:00:{n:02}"), "collateral_amount": 1.0, "seized_usd": usd}
        for n, usd in ((0, 100.0), (20, 200.0))
    ]
    insert(connection, "liquidations", [row | {"tx_hash": f"0x{row['event_id']}"} for row in seizures])
    moves = [
        flow(n, at(f"09:00:{n:02}"), "0xb", "0xe", amount * 150.0, amount=amount)
        for n, amount in ((10, 3.0), (30, 1.0))
    ]
    insert(connection, "flows", [moves[0], moves[1] | {"tx_hash": "0x20"}])
    (row,) = ask(connection, "liquidator_inventory")

    wanted = {
        "disposed_amount": 2.0,
        "open_amount": 0.0,
        "hold_seconds": 10.0,
        "realised_pnl_usd": 0.0,
        "same_tx_share": 0.5,
    }
    assert unlike(row, wanted) == {}
