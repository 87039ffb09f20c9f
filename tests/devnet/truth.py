"""What an index of the test chain must hold: from transaction inputs, receipts and contract reads, not our decoder."""

from __future__ import annotations

import collections
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import eth_abi

from tests.devnet import lending
from tests.devnet.contracts import topic
from tests.devnet.deploy import AAVE, BY_SYMBOL, FEED_DECIMALS, HUGE, RAY, ZERO, decimals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.devnet.contracts import Contract
    from tests.devnet.deploy import Market, World

MORPHO = "morpho_blue"
TRANSFER = topic("Transfer(address,address,uint256)")
ANSWER_UPDATED = topic("AnswerUpdated(int256,uint256,uint256)")
LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
LIQUIDATE = topic("Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)")


class Call(NamedTuple):
    "A successful call of a known contract, from a transaction's input or from inside the bot's; `logs` are its own."

    sender: str
    contract: Contract
    name: str
    arguments: tuple[Any, ...]
    logs: list[dict[str, Any]]
    tx_hash: str


class Move(NamedTuple):
    "Tokens that changed hands."

    token: str
    giver: str
    taker: str
    amount: int


class Truth(NamedTuple):
    "Expected rows; raw amounts are integers, addresses lower-case hex."

    liquidations: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    lending: list[dict[str, Any]]
    moves: list[Move]
    failed: list[str]


def collect(world: World, first_block: int) -> Truth:
    "The truth of the blocks from `first_block` to the head."
    found = Truth([], [], [], [], [])
    prices = answers_of(world)
    for block, receipts in blocks(world, first_block):
        stamp = {"block_number": int(block["number"], 16), "block_hash": block["hash"]}
        for transaction, receipt in zip(block["transactions"], receipts, strict=True):
            if receipt["status"] == "0x0":
                found.failed.append(transaction["hash"])
                continue
            for call in calls(world, transaction, receipt):
                add(world, found, call, stamp, prices)
    add_what_is_left(world, found.liquidations)
    return found


def add_what_is_left(world: World, rows: list[dict[str, Any]]) -> None:
    "Adds to the rows of Aave what the account had at the end of the block, in the pool's base currency."
    pool, node = world.pool, world.node
    mine = [row for row in rows if row["venue"] == AAVE]
    answers = node.batch(pool.call("getUserAccountData", row["account"], block=row["block_number"]) for row in mine)
    for row, answer in zip(mine, answers, strict=True):
        collateral, debt, *_ = pool.result("getUserAccountData", answer, 1)
        row |= {"account_collateral_base_after": collateral, "account_debt_base_after": debt}


def blocks(world: World, first_block: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    "Blocks with whole transactions, each with its receipts."
    numbers = range(first_block, world.node.head() + 1)
    full = world.node.batch(("eth_getBlockByNumber", [hex(number), True]) for number in numbers)
    receipts = world.node.batch(("eth_getBlockReceipts", [hex(number)]) for number in numbers)
    return zip(full, receipts, strict=True)


def answers_of(world: World) -> dict[str, list[tuple[int, int, int]]]:
    "Block, log index and raw answer of every feed, by symbol; the newest agrees with latestAnswer."
    node, found = world.node, {}
    for symbol, feed in world.feeds.items():
        wanted = {"fromBlock": "0x0", "toBlock": "latest", "address": feed.address, "topics": [ANSWER_UPDATED]}
        logs = node.rpc("eth_getLogs", wanted)
        found[symbol] = [(int(x["blockNumber"], 16), int(x["logIndex"], 16), int(x["topics"][1], 16)) for x in logs]
        assert found[symbol][-1][2] == feed.read(node, "latestAnswer")
    return found


def calls(world: World, transaction: dict[str, Any], receipt: dict[str, Any]) -> Iterator[Call]:
    "The calls that a transaction made; the bot's are cut apart at the log that ends each."
    known = {one.address: one for one in (world.pool, world.morpho, world.bot, *world.tokens.values())}
    contract = known.get(transaction["to"])
    parsed = contract.parse(transaction["input"]) if contract else None
    if contract is None or parsed is None:
        return
    name, arguments = parsed
    logs, tx_hash = receipt["logs"], transaction["hash"]
    if contract is not world.bot:
        yield Call(transaction["from"], contract, name, arguments, logs, tx_hash)
        return
    rest = logs
    for target, calldata in zip(*arguments, strict=True):
        inner = known[target.lower()]
        inner_name, inner_arguments = inner.parse("0x" + calldata.hex()) or ("", ())
        if inner_name == "liquidationCall":
            end = next(i for i, log in enumerate(rest) if log["topics"][0] == LIQUIDATION_CALL) + 1
            yield Call(contract.address, inner, inner_name, inner_arguments, rest[:end], tx_hash)
            rest = rest[end:]


def add(world: World, found: Truth, call: Call, stamp: dict[str, Any], prices: dict[str, Any]) -> None:
    "Adds what one call must leave in an index."
    if call.name == "liquidationCall":
        row, moves = aave_liquidation(world, call)
        found.liquidations.append(value(world, row | stamp, prices))
    elif call.name == "liquidate":
        row, moves = morpho_liquidation(world, call)
        found.liquidations.append(value(world, row | stamp, prices))
    elif call.contract in (world.pool, world.morpho):
        row, moves = lending.row(world, call)
        if row:
            found.lending.append(row | stamp)
    else:
        moves = [one for one in [direct_move(call)] if one]
        for one in moves:
            log = the_log(call, call.contract.address, TRANSFER)
            ends = {"from_address": one.giver, "to_address": one.taker, "token": one.token, "amount_raw": one.amount}
            found.transfers.append(place(call, log) | ends | stamp)
    found.moves.extend(moves)


def direct_move(call: Call) -> Move | None:
    "Tokens moved by a call of the token itself."
    token, sender = call.contract.address, call.sender
    match call.name, call.arguments:
        case "transfer", (taker, amount):
            return Move(token, sender, taker.lower(), amount)
        case "mint", (taker, amount):
            return Move(token, ZERO, taker.lower(), amount)
        case "burn", (amount,):
            return Move(token, sender, ZERO, amount)
    return None


def the_log(call: Call, emitter: str, topic0: str) -> dict[str, Any]:
    "The only log of that kind."
    (log,) = [one for one in call.logs if one["address"] == emitter and one["topics"][0] == topic0]
    return log


def place(call: Call, log: dict[str, Any]) -> dict[str, Any]:
    "Position of a log."
    return {"tx_hash": call.tx_hash, "log_index": int(log["logIndex"], 16)}


def transferred(call: Call, token: str, giver: str, taker: str) -> int:
    "Raw units of `token` that went from `giver` to `taker` in the call."
    return sum(
        int(log["data"], 16)
        for log in call.logs
        if log["address"] == token
        and log["topics"][0] == TRANSFER
        and ("0x" + log["topics"][1][26:], "0x" + log["topics"][2][26:]) == (giver, taker)
    )


def symbol_of(world: World, token: str) -> str:
    "Symbol of a token of the world."
    return next(symbol for symbol, one in world.tokens.items() if one.address == token.lower())


def aave_liquidation(world: World, call: Call) -> tuple[dict[str, Any], list[Move]]:
    "The row of one liquidationCall: who and which tokens from its arguments, how much from the tokens' own transfers."
    collateral, debt, account, _, receives_a_token = call.arguments
    collateral, debt = collateral.lower(), debt.lower()
    paid_into = world.a_tokens[symbol_of(world, debt)].address
    reserve = world.a_tokens[symbol_of(world, collateral)].address
    repaid = transferred(call, debt, call.sender, paid_into)
    moves = [Move(debt, call.sender, paid_into, repaid)]
    if receives_a_token:
        seized = transferred(call, reserve, account.lower(), call.sender)
    else:
        seized = transferred(call, collateral, reserve, call.sender)
        moves.append(Move(collateral, reserve, call.sender, seized))
    row = {
        "venue": AAVE,
        "market": world.pool.address,
        "account": account.lower(),
        "liquidator": call.sender,
        "collateral_token": collateral,
        "collateral_raw": seized,
        "debt_token": debt,
        "debt_raw": repaid,
        "receive_atoken": receives_a_token,
    }
    return row | place(call, the_log(call, world.pool.address, LIQUIDATION_CALL)), moves


def morpho_liquidation(world: World, call: Call) -> tuple[dict[str, Any], list[Move]]:
    "The row of one liquidate: seized and repaid from the tokens' own transfers, bad debt from the log's fourth word."
    params, account, *_ = call.arguments
    market = market_of(world, params)
    loan, collateral, morpho = params[0].lower(), params[1].lower(), world.morpho.address
    log = the_log(call, morpho, LIQUIDATE)
    seized = transferred(call, collateral, morpho, call.sender)
    repaid = transferred(call, loan, call.sender, morpho)
    row = {
        "venue": MORPHO,
        "market": market.market_id,
        "account": account.lower(),
        "liquidator": call.sender,
        "collateral_token": collateral,
        "collateral_raw": seized,
        "debt_token": loan,
        "debt_raw": repaid,
        "bad_debt_raw": eth_abi.decode(["uint256"] * 5, bytes.fromhex(log["data"][2:]))[3],
    }
    moves = [Move(collateral, morpho, call.sender, seized), Move(loan, call.sender, morpho, repaid)]
    return row | place(call, log), moves


def market_of(world: World, params: tuple[Any, ...]) -> Market:
    "The Morpho market of those parameters."
    oracle = params[2].lower()
    return next(one for one in world.markets.values() if one.params[2].lower() == oracle)


def value(world: World, row: dict[str, Any], prices: dict[str, list[tuple[int, int, int]]]) -> dict[str, Any]:
    "The row with symbols, side and dollars: amount times the last answer before the log."
    symbols = {name: symbol_of(world, row[f"{name}_token"]) for name in ("collateral", "debt")}
    usd = {
        name: dollars(symbol, row[f"{name}_raw"], last_answer(prices, symbol, row)) for name, symbol in symbols.items()
    }
    collateral_stable, debt_stable = (symbols[name] == "USDC" for name in ("collateral", "debt"))
    side = None if collateral_stable == debt_stable else "short" if collateral_stable else "long"
    exposed = symbols["debt" if collateral_stable else "collateral"]
    asset = (BY_SYMBOL[exposed].asset if exposed in BY_SYMBOL else exposed) if side else None
    return row | {
        "kind": "call",
        "collateral_symbol": symbols["collateral"],
        "debt_symbol": symbols["debt"],
        "side": side,
        "asset": asset,
        "forced_usd": usd["collateral"],
        "repaid_usd": usd["debt"],
        "bad_debt_usd": dollars(symbols["debt"], row["bad_debt_raw"], last_answer(prices, symbols["debt"], row))
        if "bad_debt_raw" in row
        else None,
    }


def last_answer(prices: dict[str, list[tuple[int, int, int]]], symbol: str, row: dict[str, Any]) -> int | None:
    "The newest answer before the row's log; None for a token without a feed."
    if symbol == HUGE.symbol:
        return None
    before = (row["block_number"], row["log_index"])
    return [raw for block, log_index, raw in prices[symbol] if (block, log_index) < before][-1]


def dollars(symbol: str, raw: int, answer: int | None) -> float | None:
    "US dollars of a raw amount at a raw answer."
    return None if answer is None else float(Fraction(raw * answer, 10 ** (decimals(symbol) + FEED_DECIMALS)))


def check(world: World, found: Truth, first_block: int) -> dict[str, int]:
    "How often the truth was confirmed by contract reads; an AssertionError names what disagrees."
    return {
        "balances of every account": check_balances(world, found.moves, first_block),
        "aTokens received": check_a_tokens(world, found.liquidations),
        "feeds at the block": check_feeds(world, found.liquidations),
        "bad debt of a market": check_bad_debt(world, found),
    }


def balances(world: World, accounts: list[str], block: int) -> dict[tuple[str, str], int]:
    "Balances by (token, account) at the end of a block."
    found = {}
    for token in world.tokens.values():
        values = token.read_many(world.node, "balanceOf", [(one,) for one in accounts], block)
        found.update({(token.address, account): raw for account, raw in zip(accounts, values, strict=True)})
    return found


def check_balances(world: World, moves: list[Move], first_block: int) -> int:
    "Every balance changed by exactly the moves, and the balances are the whole supply."
    accounts = sorted({end for one in moves for end in (one.giver, one.taker)} - {ZERO})
    before = balances(world, accounts, first_block - 1)
    after = balances(world, accounts, world.node.head())
    expected = net(moves)
    for key in after:
        assert after[key] - before[key] == expected[key], key
    for token in world.tokens.values():
        held = sum(raw for (address, _), raw in after.items() if address == token.address)
        assert held == token.read(world.node, "totalSupply"), token.address
    return len(after)


def net(moves: Iterable[Move]) -> collections.Counter[tuple[str, str]]:
    "What each (token, account) gained, in raw units."
    gained: collections.Counter[tuple[str, str]] = collections.Counter()
    for one in moves:
        gained[one.token, one.giver] -= one.amount
        gained[one.token, one.taker] += one.amount
    return gained


def check_a_tokens(world: World, rows: list[dict[str, Any]]) -> int:
    "The scaled aToken balance of a liquidator grew by the seized amount over the reserve's index."
    grown: collections.Counter[tuple[str, str, int]] = collections.Counter()
    for row in rows:
        if row.get("receive_atoken"):
            key = (row["collateral_token"], row["liquidator"], row["block_number"])
            index = world.pool.read(world.node, "getReserveNormalizedIncome", key[0], block=key[2])
            grown[key] += (row["collateral_raw"] * RAY + index // 2) // index
    for (token, account, block), scaled in grown.items():
        a_token = world.a_tokens[symbol_of(world, token)]
        at = [a_token.read(world.node, "scaledBalanceOf", account, block=number) for number in (block - 1, block)]
        assert at[1] - at[0] == scaled, (token, account, block)
    return len(grown)


def check_feeds(world: World, rows: list[dict[str, Any]]) -> int:
    "At the end of a liquidation's block the feed shows the last answer up to it."
    prices, numbers = answers_of(world), sorted({row["block_number"] for row in rows})
    for symbol, feed in world.feeds.items():
        for number in numbers:
            last = [raw for block, _, raw in prices[symbol] if block <= number][-1]
            assert feed.read(world.node, "latestAnswer", block=number) == last, (symbol, number)
    return len(numbers) * len(world.feeds)


def check_bad_debt(world: World, found: Truth) -> int:
    "What a market's lenders own changed by their moves minus its bad debt (the markets bear no interest)."
    expected: collections.Counter[tuple[str, int]] = collections.Counter()
    for row in found.liquidations:
        if row["venue"] == MORPHO:
            expected[row["market"], row["block_number"]] -= row["bad_debt_raw"]
    for row in found.lending:
        key = (row["market"], row["block_number"])
        if key in expected and row["event"] in ("Supply", "Withdraw"):
            expected[key] += row["amount_raw"] if row["event"] == "Supply" else -row["amount_raw"]
    for (market_id, block), change in expected.items():
        key = bytes.fromhex(market_id[2:])
        owned = [world.morpho.read(world.node, "market", key, block=number)[0] for number in (block - 1, block)]
        assert owned[1] - owned[0] == change, (market_id, block)
    return len(expected)
