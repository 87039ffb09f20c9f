"""What is known of chains."""

import re

import pytest

from indexer.chains import CHAINS, UNKNOWN, chain, log_range, urls, variable

# The chains of the catalogue of deployments, tokens and feeds with their ids where those lists state one.
LISTED = """
abstract 2741, apechain 33139, arbitrum 42161, arc 5042, aurora 1313161554, avalanche 43114, base 8453, berachain 80094,
bitlayer 200901, blast 81457, bnb 56, bob 60808, botanix 3637, bsquared 223, canto 7700, celo 42220, citrea 4114,
core 1116, corn 21000000, cronos 25, duckchain, ethereum 1, etherlink 42793, fantom 250, flare 14, flow 747, fluent,
fraxtal 252, gnosis 100, harmony 1666600000, hedera 295, hemi 43111, hyperevm 999, igra, ink 57073, iota_evm 8822,
iotex 4689, kaia 8217, katana 747474, kava 2222, linea 59144, manta 169, mantle 5000, megaeth 4326, merlin 4200,
meter 82, metis 1088, mode 34443, monad 143, moonbeam 1284, moonriver 1285, morph 2818, opbnb 204, optimism 10,
pharos 1672, plasma 9745, plume 98866, polygon 137, polygon_zkevm 1101, pulsechain 369, qie, robinhood, ronin 2020,
scroll 534352, sei 1329, shimmer_evm 148, somnia 5031, soneium 1868, sonic 146, stable 988, story 1514, swellchain 1923,
tac 239, taiko 167000, tempo 4217, unichain 130, worldchain 480, xdc 50, xlayer 196, zeta 7000, zircuit 48900,
zklink 810180, zksync 324
"""


def test_every_listed_chain():
    "Each chain of the lists is known, by the id that they state."
    listed = [entry.split() for entry in LISTED.replace("\n", " ").split(",")]
    differing = [entry for entry in listed if len(entry) == 2 and CHAINS[entry[0]].chain_id != int(entry[1])]

    assert (len(listed), differing) == (83, [])
    assert {entry[0] for entry in listed} == CHAINS.keys()


def test_ids_are_unique():
    "Two chains never share an id."
    ids = [one.chain_id for one in CHAINS.values()]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("one", CHAINS.values(), ids=lambda one: one.slug)
def test_chain_is_plausible(one):
    "Slugs are lower case, depths have a reason and an order, endpoints are https and hold no key."
    assert re.fullmatch(r"[a-z0-9_]+", one.slug)
    assert 0 < one.safe_depth <= one.finality_depth <= 200
    assert one.finality.reason
    assert 0 < one.block_seconds <= 15
    assert all(re.fullmatch(r"https://[a-z0-9.-]+(/[A-Za-z0-9/?=]*)?", url) for url in one.public_endpoints)
    assert all(not re.search(r"[0-9a-f]{20}", url) for url in one.public_endpoints)


def test_unknown_chain():
    "A chain that only a deployments file knows gets cautious defaults, and so does a known slug under another id."
    devnet, fork = chain("devnet", 31337), chain("ethereum", 31337)

    assert (devnet.chain_id, devnet.finality, devnet.public_endpoints) == (31337, UNKNOWN, ())
    assert (fork.chain_id, fork.finality, fork.public_endpoints) == (31337, UNKNOWN, ())


def test_urls():
    "Given endpoints win over the environment's, those over the public ones."
    ethereum = CHAINS["ethereum"]
    environment = {"ETHEREUM_RPC_URL": " http://a.example , http://b.example,"}

    assert urls(ethereum, ["http://c.example"], environment) == ["http://c.example"]
    assert urls(ethereum, [], environment) == ["http://a.example", "http://b.example"]
    assert urls(ethereum, [], {}) == list(ethereum.public_endpoints)
    assert urls(chain("devnet", 31337), [], {}) == []


def test_variable():
    "The variable's name is the slug in capitals; what cannot stand in a name is an underscore."
    assert (variable("polygon_zkevm"), variable("my-chain.2")) == ("POLYGON_ZKEVM_RPC_URL", "MY_CHAIN_2_RPC_URL")


def test_published_caps():
    "Known caps hold for the host and its subdomains, with or without a port, and for no look-alike."
    hyperevm, ethereum = CHAINS["hyperevm"], CHAINS["ethereum"]

    assert log_range(hyperevm, "rpc.hyperliquid.xyz") == 50
    assert log_range(ethereum, "eth-mainnet.g.alchemy.com:443") == 2000
    assert log_range(ethereum, "notalchemy.com") is None
    assert log_range(ethereum, "127.0.0.1:8545") is None
