"""The built-in tokens and feeds: counts, keys and known rows."""

import polars as pl
import pytest

from indexer import builtin

ADDRESS = r"^0x[0-9a-f]{40}$"


def every(name):
    "All rows of a built-in table."
    return pl.concat(getattr(builtin, name)(chain) for chain in builtin.chains(name))


@pytest.mark.parametrize(("name", "schema"), [("tokens", builtin.TOKENS), ("feeds", builtin.FEEDS)])
def test_columns_of_the_file(name, schema):
    "The file lists the columns that the loader reads, in that order, and stays small."
    assert builtin.document(name)["columns"] == list(schema)
    assert (builtin.DATA / f"{name}.json").stat().st_size < 300_000


@pytest.mark.parametrize(("name", "n_rows", "n_chains"), [("tokens", 633, 29), ("feeds", 1311, 27)])
def test_counts(name, n_rows, n_chains):
    "No row is lost, and (chain, address) is a key."
    frame = every(name)

    assert (frame.height, frame["chain"].n_unique()) == (n_rows, n_chains)
    assert frame.select("chain", "address").n_unique() == n_rows
    assert frame["address"].str.contains(ADDRESS).all()


def test_unknown_chain_has_no_rows():
    "A chain that no list names gives empty frames with the same columns."
    assert builtin.tokens("nowhere").schema == builtin.tokens("ethereum").schema
    assert builtin.feeds("nowhere").height == 0


@pytest.mark.parametrize(
    ("chain", "address", "expected"),
    [
        ("ethereum", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", ("USDC", 6, "USDC", "stable", "USDC", None)),
        ("ethereum", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", ("WETH", 18, "ETH", "volatile", "ETH", None)),
        ("ethereum", "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", ("WBTC", 8, "BTC", "volatile", "BTC", None)),
        ("ethereum", "0x1abaea1f7c830bd89acc67ec4af516284b1bc33c", ("EURC", 6, "EUR", "volatile", "EURC", None)),
        ("arbitrum", "0x5979d7b546e38e414f7e9822514be443a4800529", ("wstETH", 18, "ETH", "staked", None, "WSTETH")),
        ("arbitrum", "0xaf88d065e77c8cc2239327c5edb3a432268e5831", ("USDC", 6, "USDC", "stable", "USDC", None)),
        ("avalanche", "0x50b7545627a5162f82a992c33b87adc75187b218", ("WBTC.e", 8, "BTC", "volatile", "WBTC", None)),
        ("polygon", "0x0d500b1d8e8ef31e21c99d1db9a6444d3adf1270", ("WPOL", 18, "POL", "volatile", "POL", None)),
    ],
)
def test_known_token(chain, address, expected):
    "Symbol, decimals, asset, kind and feeds of a token are those of the public lists."
    row = builtin.tokens(chain).filter(address=address)

    assert row.select("symbol", "decimals", "asset", "kind", "usd_base", "rate_base").row(0) == expected


@pytest.mark.parametrize(
    ("chain", "address", "expected"),
    [
        ("ethereum", "0x37bc7498f4ff12c19678ee8fe19d713b87f6a9e6", ("ETH", "USD", 8, 3600, 12453812, 17217055)),
        ("ethereum", "0xe62b71cf983019bff55bc83b48601ce8419650cc", ("ETH", "USD", 8, 3600, 16842888, None)),
        ("ethereum", "0x4a3411ac2948b33c69666b35cc6d055b27ea84f1", ("BTC", "USD", 8, 3600, None, None)),
        ("ethereum", "0xa674a0fd742f37bd5077afc90d1e82485c91989c", ("EURC", "USD", 8, 86400, None, None)),
        ("arbitrum", "0x2946220288dbbf77df0030fcecc2a8348cbbe32c", ("USDC", "USD", 8, 86400, None, None)),
        ("arbitrum", "0x2147745c6c7164e3124b4cc24cb903f1c0dfd47f", ("PEPE", "USD", 18, 3600, None, None)),
        ("polygon", "0x279108b32171d1d2ef2728d2aae19b4e314687cc", ("QUICK", "USD", 8, None, None, None)),
    ],
)
def test_known_feed(chain, address, expected):
    "Pair, decimals, heartbeat and era of an aggregator are those of the public lists."
    row = builtin.feeds(chain).filter(address=address)

    assert row.select("base", "quote", "decimals", "heartbeat_seconds", "first_block", "last_block").row(0) == expected


def test_feed_kinds():
    "A dollar feed is quoted in USD and no ratio is; both have decimals."
    frame = every("feeds")

    assert frame.filter((pl.col("kind") == "usd") != (pl.col("quote") == "USD")).height == 0
    assert frame["decimals"].null_count() == 0


def test_bases_have_feeds():
    "The feed a token names exists on its chain, but for three whose aggregator no list gives."
    feeds = every("feeds").select("chain", pl.col("base").alias("usd_base")).unique()
    without = every("tokens").drop_nulls("usd_base").join(feeds, on=["chain", "usd_base"], how="anti")

    assert set(without.select("chain", "symbol").rows()) == {
        ("arbitrum", "PYUSD"),
        ("avalanche", "sUSDe"),
        ("linea", "mUSD"),
    }


def test_labels():
    "Labels have known kinds and lower-case addresses, once an address and chain, each with its origin."
    frame = builtin.labels()

    assert frame["address"].str.contains(ADDRESS).all()
    assert set(frame["kind"]) == {"exchange", "bridge", "vault", "burn"}
    assert frame.select("address", "chain").n_unique() == frame.height
    assert frame["source"].null_count() == 0


@pytest.mark.parametrize(
    ("address", "chain", "entity", "kind"),
    [
        ("0x28c6c06298d514db089934071355e5743bf21d60", None, "binance", "exchange"),
        ("0x71660c4005ba85c37ccec55d0c4493e66fe775d3", None, "coinbase", "exchange"),
        ("0x2910543af39aba0cd09dbb2d50200b3e800a63d2", None, "kraken", "exchange"),
        ("0x2df1c51e09aecf9cacb7bc98cb1742757f163df7", "arbitrum", "hyperliquid_bridge", "bridge"),
        ("0x99c9fc46f92e8a1c0dec1b1747d010903e884be1", "ethereum", "optimism_bridge", "bridge"),
        ("0xdfc24b077bc1425ad1dea75bcb6f8158e10df303", "hyperliquid", "hlp", "vault"),
    ],
)
def test_known_label(address, chain, entity, kind):
    "A well-known address carries its public name."
    row = builtin.labels().filter(address=address)

    assert row.select("chain", "entity", "kind").rows() == [(chain, entity, kind)]
