"""Owners of accounts, from what contracts answer."""

import pytest
import rlp
from Crypto.Hash import keccak
from hypothesis import given
from hypothesis import strategies as st

from indexer import store
from indexer.abi import selector
from indexer.ownership import CDP_MANAGERS, created, read_owners
from indexer.ranges import Range

MANAGER = CDP_MANAGERS["ethereum"]
USER, PROXY, PLAIN = "0x" + "a1" * 20, "0x" + "b2" * 20, "0x" + "c3" * 20
CONNECTOR, VAULT, SUB = "0x" + "e4" * 20, "0x" + "f5" * 20, "0x" + "a1" * 19 + "07"


class Node:
    "Answers by (contract, call data); anything else reverts."

    def __init__(self, answers):
        self.answers = answers
        self.n_calls = 0

    def eth_calls(self, calls):
        "One answer a call."
        self.n_calls += len(calls)
        return [self.answers.get((to, data)) for to, data, _ in calls]


def word(value):
    "An address or a number as a word."
    return bytes.fromhex(value[2:]).rjust(32, b"\0") if isinstance(value, str) else value.to_bytes(32)


def argument(value):
    "The same in hex."
    return word(value).hex()


def test_created_addresses_are_those_of_public_examples():
    "Addresses that 0x6ac7…dbf0 made with nonces 0 to 2, as stated where the rule is explained (ethereum.stackexchange 760)."
    maker = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"

    assert [created(maker, nonce) for nonce in range(3)] == [
        "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d",
        "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8",
        "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91",
    ]


@given(st.integers(0, 2**64 - 1))
def test_created_addresses_follow_rlp(nonce):
    "Any nonce encodes as the reference library of RLP does."
    encoded = rlp.encode([bytes.fromhex(MANAGER[2:]), nonce])

    assert created(MANAGER, nonce) == "0x" + keccak.new(digest_bits=256, data=encoded).digest()[12:].hex()


@pytest.fixture
def connection():
    "Liquidations of a vault, a sub-account, a proxy and a plain account, and of an urn that no manager made."
    connection = store.connect(":memory:")
    accounts = [
        ("maker", "ETH-A", created(MANAGER, 129)),
        ("maker", "ETH-A", "0x" + "99" * 20),
        ("euler_v2", VAULT, SUB),
        ("aave_v3", "0x" + "11" * 20, PROXY),
        ("aave_v3", "0x" + "11" * 20, PLAIN),
    ]
    for place, (protocol, market, account) in enumerate(accounts):
        connection.execute(
            "INSERT INTO liquidations (event_id, venue, venue_kind, sector, protocol, chain, market, kind, is_headline,"
            " liquidated_at, block_number, log_index, account, completeness, source) VALUES"
            " (?, ?, 'defi', 'lending', ?, 'ethereum', ?, 'call', true, '2024-01-01', ?, 0, ?, 'full', 'rpc')",
            [f"ethereum:{place}:0", protocol, protocol, market, place, account],
        )
    yield connection
    connection.close()


def answers():
    "What the contracts say: 200 vaults, number 129 held by a proxy."
    number = argument(129)
    return {
        (MANAGER, selector("cdpi()")): word(200),
        (MANAGER, selector("urns(uint256)") + number): word(created(MANAGER, 129)),
        (MANAGER, selector("owns(uint256)") + number): word(PROXY),
        (VAULT, selector("EVC()")): word(CONNECTOR),
        (CONNECTOR, selector("getAccountOwner(address)") + argument(SUB)): word(USER),
        (PROXY, selector("owner()")): word(USER),
        (PROXY, selector("cache()")): word("0x" + "ca" * 20),
        (PLAIN, selector("owner()")): word("0x" + "dd" * 20),  # a contract with an admin is no proxy of a user
    }


def owners(connection):
    "The stored owners by address."
    return connection.execute("SELECT address, owner, kind FROM owners ORDER BY kind").fetchall()


def test_owners_are_followed(connection):
    "A vault of a proxy belongs to the proxy's owner; a second look finds nothing new."
    n_found = read_owners(connection, Node(answers()), "ethereum", Range(0, 10))
    told = owners(connection)
    again = read_owners(connection, Node(answers()), "ethereum", Range(0, 10))

    assert told == [(created(MANAGER, 129), USER, "cdp"), (PROXY, USER, "proxy"), (SUB, USER, "sub_account")]
    assert (n_found, again) == (3, 0)
    assert owners(connection) == told


def test_only_accounts_of_the_range_are_asked(connection):
    "Blocks that were not asked for cost no call."
    node = Node(answers())
    n_found = read_owners(connection, node, "ethereum", Range(100, 200))

    assert (n_found, node.n_calls) == (0, 0)


def test_a_vault_must_be_confirmed(connection):
    "An urn whose manager names another urn under its number has no owner."
    said = answers()
    said[MANAGER, selector("urns(uint256)") + argument(129)] = word(PLAIN)
    read_owners(connection, Node(said), "ethereum", Range(0, 10))

    assert created(MANAGER, 129) not in {address for address, _, _ in owners(connection)}
