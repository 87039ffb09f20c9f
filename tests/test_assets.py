"""Symbols of venues to canonical assets."""

import pytest

from indexer import assets


@pytest.mark.parametrize(
    ("symbol", "asset", "quote", "kind", "multiplier"),
    [
        ("BTCUSDT", "BTC", "USDT", "perpetual", 1),
        ("1000PEPEUSDT", "PEPE", "USDT", "perpetual", 1_000),
        ("10000LADYSUSDT", "LADYS", "USDT", "perpetual", 10_000),
        ("1000000MOGUSDT", "MOG", "USDT", "perpetual", 1_000_000),
        ("1MBABYDOGEUSDT", "BABYDOGE", "USDT", "perpetual", 1_000_000),
        ("SHIB1000USDT", "SHIB", "USDT", "perpetual", 1_000),
        ("1INCHUSDT", "1INCH", "USDT", "perpetual", 1),
        ("BTCUSD_PERP", "BTC", "USD", "perpetual", 1),
        ("BNBUSD_PERP", "BNB", "USD", "perpetual", 1),
        ("BTCBUSD", "BTC", "BUSD", "perpetual", 1),
        ("DOTUSD", "DOT", "USD", "perpetual", 1),
        ("BTCUSDT_240628", "BTC", "USDT", "future", 1),
        ("ETHBTC", "ETH", "BTC", "perpetual", 1),
        ("BTC-USDT-SWAP", "BTC", "USDT", "perpetual", 1),
        ("BTC-USD-220624", "BTC", "USD", "future", 1),
        ("BTC-USD-240628-50000-C", "BTC", "USD", "option", 1),
        ("BTC200703", "BTC", "USD", "future", 1),
        ("ETH-USDT", "ETH", "USDT", "perpetual", 1),
        ("BTC_USDT", "BTC", "USDT", "perpetual", 1),
        ("PI_XRPUSD", "XRP", "USD", "perpetual", 1),
        ("PF_XBTUSD", "BTC", "USD", "perpetual", 1),
        ("FI_XBTUSD_240628", "BTC", "USD", "future", 1),
        ("BTC-PERPETUAL", "BTC", "USD", "perpetual", 1),
        ("SOL_USDC-PERPETUAL", "SOL", "USDC", "perpetual", 1),
        ("BTC-27DEC24", "BTC", "USD", "future", 1),
        ("BTC-PERP", "BTC", "USD", "perpetual", 1),
        ("BTC-1230", "BTC", "USD", "future", 1),
        ("BTC/USD", "BTC", "USD", "spot", 1),
        ("XBTUSD", "BTC", "USD", "perpetual", 1),
        ("XBTH21", "BTC", "USD", "future", 1),
        ("XBTUSDTM", "BTC", "USDT", "perpetual", 1),
        ("BTCUSDH25", "BTC", "USD", "future", 1),
        ("BTCUSDT-27DEC24", "BTC", "USDT", "future", 1),
        ("BTCPERP", "BTC", "USD", "perpetual", 1),
        ("tETHF0:USTF0", "ETH", "USDT", "perpetual", 1),
        ("tIOTF0:USTF0", "IOTA", "USDT", "perpetual", 1),
        ("币安人生USDT", "币安人生", "USDT", "perpetual", 1),
    ],
)
def test_symbol(symbol, asset, quote, kind, multiplier):
    "Prefixes, suffixes, dates and multipliers come off; what is left is the asset."
    parsed = assets.parse(symbol, "bitfinex" if symbol.startswith("t") else "")

    assert (parsed.asset, parsed.quote, parsed.kind, parsed.multiplier) == (asset, quote, kind, multiplier)
    assert parsed.is_known


@pytest.mark.parametrize(
    ("base", "asset", "multiplier"), [("kBONK", "BONK", 1000), ("BTC", "BTC", 1), ("XBT", "BTC", 1)]
)
def test_base(base, asset, multiplier):
    "A bare coin name, as perp exchanges on a chain of their own write it."
    assert assets.asset(base) == (asset, multiplier)


def test_unknown_symbol():
    "A symbol that no pattern fits keeps its own name, has no quote and says so."
    parsed = assets.parse("WHAT?EVER")

    assert (parsed.asset, parsed.quote, parsed.is_known, parsed.is_par) == ("WHAT?EVER", None, False, False)
