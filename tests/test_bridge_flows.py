"""Bridges and newer loan events as flows: logs that an independent encoder wrote, and the transfers that are their legs."""

from datetime import datetime

import polars as pl
import pytest
from eth_abi import encode
from eth_utils import keccak

from indexer import flow_values, store
from indexer.declare import NATIVE
from indexer.decode import LOG_SCHEMA
from indexer.derive import ROUTE_SCHEMA, derive
from indexer.protocols import all_protocols

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
ROUTER, MARKET, STRANGER = "0x" + "c0" * 20, "0x" + "d0" * 20, "0x" + "e0" * 20
NOBODY = "0x" + "00" * 20
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
ARBITRUM_USDC = "0xff970a61a04b1ca14834a43f5de4533ebddb5cc8"
ON_BASE = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
L1_BRIDGE, L2_BRIDGE = "0x3154cf16ccdb4c6d922629664174b904d80f2c35", "0x4200000000000000000000000000000000000010"
GATEWAY, WETH_GATEWAY = "0xa3a7b6f88361f48403514059f1f16c8e78d60eec", "0xd92023e9d9911199a6711321d1277285e6d4e2db"
L2_GATEWAY, ARBITRUM = "0x09e9222e96e7b4ae2a407b98d48e330053351eee", "0x8315177ab297ba92a06054ce80a67ed4dbd7ed3a"
TOKENS_LOCKED, COINS_LOCKED = (
    "0x40ec5b33f54e0e8a33a975908c5ba1c14e5bbbdf",
    "0x8484ef722627bf18ca5ae6bcf031c23e6e922b30",
)
MESSENGER = "0x28b5a0e9c621a5badaa536219b3a228c8168cf5d"
AMOUNT = 1_500_000_007


def log(emitter, signature, *values):
    "Address, topics and data of an event; in `signature` an indexed argument has a star."
    name, kinds = signature.rstrip(")").split("(")
    kinds = kinds.split(",")
    topics = [
        keccak(text=f"{name}({','.join(kind.removesuffix('*') for kind in kinds)})"),
        *(encode([kind[:-1]], [value]) for kind, value in zip(kinds, values, strict=True) if kind.endswith("*")),
    ]
    plain = [(kind, value) for kind, value in zip(kinds, values, strict=True) if not kind.endswith("*")]
    return bytes.fromhex(emitter[2:]), topics, encode([kind for kind, _ in plain], [value for _, value in plain])


def transfer(token, sender, receiver, amount=AMOUNT):
    "The log of a token transfer."
    return log(token, "Transfer(address*,address*,uint256)", sender, receiver, amount)


@pytest.fixture(scope="module")
def connection():
    "A store."
    with store.connect(":memory:") as connection:
        yield connection


@pytest.fixture
def flows(connection):
    "What gives the stored flows of the logs of one transaction, which `protocol` reads; of `tokens` the transfers as well."

    def stored(protocol, chain, *logs, tokens=()):
        rows = [
            (100, b"\1" * 32, datetime(2024, 1, 1), b"\2" * 32, place, address, *(topics + [None] * 4)[:4], data)
            for place, (address, topics, data) in enumerate(logs)
        ]
        emitters = {address for address, _, _ in logs} - {bytes.fromhex(token[2:]) for token in tokens}
        routes = [(address, protocol, "here", None, None, None) for address in emitters]
        routes += [(bytes.fromhex(token[2:]), "erc20", "erc20", None, None, None) for token in tokens]
        frame = pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row")
        tables = derive(chain, frame, pl.DataFrame(routes, schema=ROUTE_SCHEMA, orient="row"))
        assert tables["rejected"].is_empty()
        connection.execute("DELETE FROM flow_rows")
        store.write(connection, {"flows": tables["flows"]})
        flow_values.insert(connection, chain, ())
        flow_values.mark_legs(connection, chain)
        names = "kind, account, from_address, to_address, token, amount_raw, direction"
        return connection.execute(f"SELECT {names} FROM flows ORDER BY log_index").fetchall()

    return stored


OP_TOKEN = "(address*,address*,address*,address,uint256,bytes)"
OP_COIN = "(address*,address*,uint256,bytes)"
NOTE = b"a note of more than thirty-two bytes beside the value"
NULL_WORD = b"\0" * 32


@pytest.mark.parametrize(
    ("protocol", "chain", "event", "expected"),
    [
        ("op_standard_bridge", "ethereum",
         log(L1_BRIDGE, "ERC20DepositInitiated" + OP_TOKEN, USDC, ON_BASE, ALICE, BOB, AMOUNT, NOTE),
         ("bridge_out", ALICE, ALICE, L1_BRIDGE, USDC)),
        ("op_standard_bridge", "ethereum",
         log(L1_BRIDGE, "ERC20WithdrawalFinalized" + OP_TOKEN, USDC, ON_BASE, BOB, ALICE, AMOUNT, b""),
         ("bridge_in", ALICE, L1_BRIDGE, ALICE, USDC)),
        ("op_standard_bridge", "ethereum", log(L1_BRIDGE, "ETHDepositInitiated" + OP_COIN, ALICE, BOB, AMOUNT, NOTE),
         ("bridge_out", ALICE, ALICE, L1_BRIDGE, NATIVE)),
        ("op_standard_bridge", "ethereum", log(L1_BRIDGE, "ETHWithdrawalFinalized" + OP_COIN, BOB, ALICE, AMOUNT, b""),
         ("bridge_in", ALICE, L1_BRIDGE, ALICE, NATIVE)),
        ("op_standard_bridge", "base",
         log(L2_BRIDGE, "WithdrawalInitiated" + OP_TOKEN, USDC, ON_BASE, ALICE, BOB, AMOUNT, NOTE),
         ("bridge_out", ALICE, ALICE, L2_BRIDGE, ON_BASE)),
        ("op_standard_bridge", "base",
         log(L2_BRIDGE, "DepositFinalized" + OP_TOKEN, NOBODY, "0x" + "deaddead" * 4 + "dead0000", BOB, ALICE, AMOUNT, b""),
         ("bridge_in", ALICE, L2_BRIDGE, ALICE, NATIVE)),
        ("arbitrum_gateway", "ethereum",
         log(GATEWAY, "DepositInitiated(address,address*,address*,uint256*,uint256)", USDC, ALICE, BOB, 7, AMOUNT),
         ("bridge_out", ALICE, ALICE, GATEWAY, USDC)),
        ("arbitrum_gateway", "ethereum",
         log(GATEWAY, "WithdrawalFinalized(address,address*,address*,uint256*,uint256)", USDC, BOB, ALICE, 7, AMOUNT),
         ("bridge_in", ALICE, GATEWAY, ALICE, USDC)),
        ("arbitrum_gateway", "arbitrum",
         log(L2_GATEWAY, "WithdrawalInitiated(address,address*,address*,uint256*,uint256,uint256)", USDC, ALICE, BOB, 7, 8, AMOUNT),
         ("bridge_out", ALICE, ALICE, L2_GATEWAY, ARBITRUM_USDC)),
        ("arbitrum_gateway", "arbitrum",
         log(L2_GATEWAY, "DepositFinalized(address*,address*,address*,uint256)", STRANGER, BOB, ALICE, AMOUNT),
         ("bridge_in", ALICE, L2_GATEWAY, ALICE, None)),
        ("arbitrum_gateway", "ethereum",
         log(ARBITRUM, "BridgeCallTriggered(address*,address*,uint256,bytes)", STRANGER, ALICE, AMOUNT, b""),
         ("bridge_in", ALICE, ARBITRUM, ALICE, NATIVE)),
        ("polygon_pos", "ethereum",
         log(TOKENS_LOCKED, "LockedERC20(address*,address*,address*,uint256)", ALICE, BOB, USDC, AMOUNT),
         ("bridge_out", ALICE, ALICE, TOKENS_LOCKED, USDC)),
        ("polygon_pos", "ethereum", log(TOKENS_LOCKED, "ExitedERC20(address*,address*,uint256)", ALICE, USDC, AMOUNT),
         ("bridge_in", ALICE, TOKENS_LOCKED, ALICE, USDC)),
        ("polygon_pos", "ethereum", log(COINS_LOCKED, "LockedEther(address*,address*,uint256)", ALICE, BOB, AMOUNT),
         ("bridge_out", ALICE, ALICE, COINS_LOCKED, NATIVE)),
        ("polygon_pos", "ethereum", log(COINS_LOCKED, "ExitedEther(address*,uint256)", ALICE, AMOUNT),
         ("bridge_in", ALICE, COINS_LOCKED, ALICE, NATIVE)),
        ("cctp", "ethereum",
         log(MESSENGER, "DepositForBurn(uint64*,address*,uint256,address*,bytes32,uint32,bytes32,bytes32)",
             7, USDC, AMOUNT, ALICE, NULL_WORD, 3, NULL_WORD, NULL_WORD),
         ("bridge_out", ALICE, ALICE, MESSENGER, USDC)),
        ("cctp", "ethereum",
         log(MESSENGER, "DepositForBurn(address*,uint256,address*,bytes32,uint32,bytes32,bytes32,uint256,uint32*,bytes)",
             USDC, AMOUNT, ALICE, NULL_WORD, 3, NULL_WORD, NULL_WORD, 50, 1000, NOTE),
         ("bridge_out", ALICE, ALICE, MESSENGER, USDC)),
        ("cctp", "ethereum", log(MESSENGER, "MintAndWithdraw(address*,uint256,address*)", ALICE, AMOUNT, USDC),
         ("bridge_in", ALICE, MESSENGER, ALICE, USDC)),
        ("cctp", "ethereum", log(MESSENGER, "MintAndWithdraw(address*,uint256,address*,uint256)", ALICE, AMOUNT, USDC, 50),
         ("bridge_in", ALICE, MESSENGER, ALICE, USDC)),
    ],
)  # fmt: skip
def test_bridges(flows, protocol, chain, event, expected):
    "What leaves is the sender's, what arrives the receiver's, each side once."
    kind = expected[0]
    direction = {"bridge_out": "to_bridge", "bridge_in": "from_bridge"}[kind]

    assert flows(protocol, chain, event) == [(*expected, AMOUNT, direction)]


def test_events_behind_the_legacy_ones_are_no_second_flow(flows):
    "Since Bedrock an OP bridge says the same twice; value that the bridge pays to Arbitrum's own gateway goes on."
    both = [
        log(L1_BRIDGE, name + OP_TOKEN, USDC, ON_BASE, ALICE, BOB, AMOUNT, b"")
        for name in ("ERC20DepositInitiated", "ERC20BridgeInitiated")
    ]
    paid = log(ARBITRUM, "BridgeCallTriggered(address*,address*,uint256,bytes)", STRANGER, WETH_GATEWAY, AMOUNT, NOTE)
    called = log(ARBITRUM, "BridgeCallTriggered(address*,address*,uint256,bytes)", STRANGER, GATEWAY, 0, NOTE)

    assert len(flows("op_standard_bridge", "ethereum", *both)) == 1
    assert flows("arbitrum_gateway", "ethereum", paid, called) == []


def test_deposit_through_a_router(flows):
    "The transfer into the bridge is its leg; what the user sent to the router before is a transfer of its own."
    found = flows(
        "arbitrum_gateway", "ethereum",
        transfer(USDC, ALICE, ROUTER),
        transfer(USDC, ROUTER, GATEWAY),
        log(GATEWAY, "DepositInitiated(address,address*,address*,uint256*,uint256)", USDC, ROUTER, ALICE, 7, AMOUNT),
        tokens=[USDC],
    )  # fmt: skip

    assert [(row[0], row[1], row[-1]) for row in found] == [
        ("transfer", ALICE, "other"), ("transfer", ROUTER, "other"), ("bridge_out", ROUTER, "to_bridge"),
    ]  # fmt: skip


def test_payout_from_an_escrow_is_a_leg(flows):
    "Value that another contract of the bridge pays out counts once, whoever is labelled."
    escrow = "0xa10c7ce4b876998858b1a9e12b10092229539400"
    dai, gateway = "0x6b175474e89094c44da98b954eedeac495271d0f", "0xd3b5b60020504bc3489d6949d545893982ba3011"
    event = log(
        gateway, "WithdrawalFinalized(address,address*,address*,uint256*,uint256)", dai, ALICE, ALICE, 7, AMOUNT
    )
    paid = transfer(dai, escrow, ALICE)

    assert [row[-1] for row in flows("arbitrum_gateway", "ethereum", paid, event, tokens=[dai])] == [
        "other",
        "from_bridge",
    ]
    assert [row[-1] for row in flows("arbitrum_gateway", "ethereum", paid, tokens=[dai])] == ["from_bridge"]


@pytest.mark.parametrize(
    ("protocol", "event", "expected"),
    [
        ("compound_v2", log(MARKET, "Mint(address,uint256,uint256,uint256)", ALICE, AMOUNT, 5, 6), ("supply", ALICE, ALICE)),
        ("compound_v2", log(MARKET, "Redeem(address,uint256,uint256,uint256)", ALICE, AMOUNT, 5, 6),
         ("withdraw", ALICE, ALICE)),
        ("compound_v2", log(MARKET, "MintBehalf(address,address,uint256,uint256,uint256)", ROUTER, ALICE, AMOUNT, 5, 6),
         ("supply", ALICE, ROUTER)),
        ("compound_v2", log(MARKET, "MintBehalf(address,address,uint256,uint256)", ROUTER, ALICE, AMOUNT, 5),
         ("supply", ALICE, ROUTER)),
        ("venus_isolated", log(MARKET, "Mint(address*,uint256,uint256,uint256)", ALICE, AMOUNT, 5, 6),
         ("supply", ALICE, ALICE)),
        ("venus_isolated", log(MARKET, "Redeem(address*,uint256,uint256,uint256)", ALICE, AMOUNT, 5, 6),
         ("withdraw", ALICE, ALICE)),
        ("venus_isolated", log(MARKET, "Borrow(address*,uint256,uint256,uint256)", ALICE, AMOUNT, 5, 6),
         ("borrow", ALICE, ALICE)),
        ("venus_isolated", log(MARKET, "RepayBorrow(address*,address*,uint256,uint256,uint256)", ROUTER, ALICE, AMOUNT, 5, 6),
         ("repay", ALICE, ROUTER)),
    ],
)  # fmt: skip
def test_loans_of_venus(flows, protocol, event, expected):
    "Mint, Redeem, Borrow and RepayBorrow in both newer layouts are flows of whose position it is, paid by who paid."
    (found,) = flows(protocol, "bnb", event)
    kind, account, other = expected
    ends = (other, MARKET) if kind in {"supply", "repay"} else (MARKET, other)

    assert found[:4] == (kind, account, *ends)
    assert found[5] == AMOUNT


def test_a_market_that_writes_off_moves_nothing(flows):
    "A market of Venus that repays in its own name writes the debt off."
    event = log(MARKET, "RepayBorrow(address*,address*,uint256,uint256,uint256)", MARKET, ALICE, AMOUNT, 0, 6)

    assert flows("venus_isolated", "bnb", event) == []


def test_every_bridge_is_asked_with_flows_only():
    "No event of a bridge is asked for with liquidations."
    bridges = [one for one in all_protocols().values() if one.sector == "bridge"]

    assert len(bridges) == 5
    assert [one.name for one in bridges if one.act_events or not one.deployments or not one.flow_events] == []
