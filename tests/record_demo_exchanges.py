"""Make up the demo's exchange records: two venues that follow the recorded chain's prices, in the venues' own frames.

Run it with `python -m tests.record_demo_exchanges` after tests.record_demo. Nothing in the files is real: each line says so.
"""

import json
import math
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer import demo, store

CASSETTES = Path(__file__).parent.parent / "cassettes"
SEED = 20251009
HEARD = (datetime(2025, 10, 9, 6, 6, 40), datetime(2025, 10, 9, 7, 57, 28, 999000))  # as long as the chain, to the end
FIRST, LAST = datetime(2025, 10, 9, 7, 5), datetime(2025, 10, 9, 7, 57, 29)  # of the orders
LOST = (datetime(2025, 10, 9, 7, 40), datetime(2025, 10, 9, 7, 44))  # the second venue's connection is down
ALIVE_SECONDS = 29  # below the silence that ends an interval
STEP_SECONDS = 2
MARKETS = {"BTCUSDT": ("BTC", 0.45), "ETHUSDT": ("ETH", 0.4), "AVAXUSDT": ("AVAX", 0.15), "BTCUSD": ("BTC", 0.1)}
DECIMALS = {"BTCUSDT": 3, "ETHUSDT": 2, "AVAXUSDT": 0, "BTCUSD": 0}


def path_of_prices():
    "Oracle answers of the recorded chain by asset: [(instant, price)]."
    with tempfile.TemporaryDirectory() as folder:
        demo.chain(Path(folder), lambda *_, **__: None)
        with store.connect(Path(folder) / demo.DATABASE, read_only=True) as connection:
            rows = connection.sql("SELECT asset, priced_at, price_usd FROM prices ORDER BY ALL").fetchall()
    return {asset: [(at, price) for name, at, price in rows if name == asset] for asset in ("BTC", "ETH", "AVAX")}


def price_at(answers, instant):
    "The last answer until `instant`, before the first one the first."
    return [answers[0][1], *(price for at, price in answers if at <= instant)][-1]


def orders(prices, markets, weight, chance):
    "Forced orders of one venue: (instant, symbol, is_long, size, price), many while the price moves fast."
    instant = FIRST
    while instant < LAST:
        for symbol in markets:
            asset, share = MARKETS[symbol]
            now, before = price_at(prices[asset], instant), price_at(prices[asset], instant - timedelta(seconds=90))
            move = now / before - 1
            for _ in range(poisson(chance, share * weight * (0.05 + 45 * abs(move)))):
                at = instant + timedelta(milliseconds=chance.randrange(STEP_SECONDS * 1000))
                is_long = chance.random() < (0.93 if move <= 0 else 0.3)
                usd = min(chance.lognormvariate(9.6, 1.7), 4e6)
                price = now * (1 + (-1 if is_long else 1) * chance.random() * 0.004)
                size = round(usd if symbol == "BTCUSD" else usd / price, DECIMALS[symbol])
                if size > 0:
                    yield at, symbol, is_long, size, price
        instant += timedelta(seconds=STEP_SECONDS)


def poisson(chance, mean):
    "A Poisson number (Knuth's product of uniforms)."
    n, product, bound = 0, chance.random(), math.exp(-mean)
    while product > bound:
        n, product = n + 1, product * chance.random()
    return n


def milliseconds(instant):
    "Milliseconds since 1970 of a naive UTC instant."
    return int(instant.replace(tzinfo=UTC).timestamp() * 1000)


def line(received, frame):
    "One line of a capture."
    stamp = received.isoformat(timespec="milliseconds") + "Z"
    return json.dumps({"received_at": stamp, "simulated": True, "frame": frame}, separators=(",", ":"))


def binance(prices, chance):
    "One forced order a symbol and second, the latest: what Binance showed at the time."
    latest = {}
    for order in sorted(orders(prices, ("BTCUSDT", "ETHUSDT", "AVAXUSDT"), 0.65, chance)):
        latest[order[1], order[0].replace(microsecond=0)] = order
    for at, symbol, is_long, size, price in latest.values():
        text = f"{size:.{DECIMALS[symbol]}f}"
        order = {
            "s": symbol, "S": "SELL" if is_long else "BUY", "o": "LIMIT", "f": "IOC", "q": text,
            "p": f"{price * (0.995 if is_long else 1.005):.2f}", "ap": f"{price:.2f}", "X": "FILLED", "l": text, "z": text,
            "T": milliseconds(at),
        }  # fmt: skip
        pushed = at + timedelta(milliseconds=4)
        frame = {"stream": "!forceOrder@arr", "data": {"e": "forceOrder", "E": milliseconds(pushed), "o": order}}
        yield pushed + timedelta(milliseconds=60), frame
    for instant in alive():
        mark = {"e": "markPriceUpdate", "s": "BTCUSDT", "p": f"{price_at(prices['BTC'], instant):.2f}"}
        yield instant, {"stream": "btcusdt@markPrice@1s", "data": mark}


def bybit(prices, chance):
    "Every order, collected for half a second: what Bybit has shown since 2025-02-20."
    frames = {}
    for at, symbol, is_long, size, price in orders(prices, ("BTCUSDT", "ETHUSDT", "AVAXUSDT", "BTCUSD"), 0.75, chance):
        pushed = at + timedelta(milliseconds=500 - at.microsecond // 1000 % 500)
        text = f"{size:.{DECIMALS[symbol]}f}"
        one = {"T": milliseconds(at), "s": symbol, "S": "Buy" if is_long else "Sell", "v": text, "p": f"{price:.2f}"}
        frames.setdefault((pushed, symbol), []).append(one)
    for (pushed, symbol), several in frames.items():
        topic = {"topic": f"allLiquidation.{symbol}", "type": "snapshot", "ts": milliseconds(pushed)}
        yield pushed + timedelta(milliseconds=45), topic | {"data": sorted(several, key=lambda one: one["T"])}
    for instant in alive():
        price = f"{price_at(prices['BTC'], instant):.2f}"
        yield instant, {"topic": "tickers.BTCUSDT", "type": "delta", "data": {"symbol": "BTCUSDT", "markPrice": price}}


def alive():
    "The instants of a chatty stream that proves the connection."
    n_seconds = int((HEARD[1] - HEARD[0]).total_seconds())
    yield from (HEARD[0] + timedelta(seconds=second) for second in range(0, n_seconds, ALIVE_SECONDS))
    yield HEARD[1]


def main():
    "Write the captures beside the demo's cassette."
    prices = path_of_prices()
    for venue, frames in (("binance", binance), ("bybit", bybit)):
        made = sorted(frames(prices, random.Random(f"{SEED} {venue}")), key=lambda timed: (timed[0], str(timed[1])))
        kept = [timed for timed in made if venue == "binance" or not LOST[0] <= timed[0] < LOST[1]]
        text = "\n".join(line(*timed) for timed in kept if timed[0] <= HEARD[1])
        (CASSETTES / f"demo.{venue}.jsonl").write_text(text + "\n")


if __name__ == "__main__":
    main()
