"""What logs do not say and a contract read does: markets of a registry, their tokens, metadata, exchange rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from indexer import builtin, store
from indexer.abi import selector
from indexer.answers import DECODERS, WORD, as_address, as_addresses, as_integer, as_text
from indexer.deployments import EMITTERS, FEEDS, MARKETS, NAMED_TOKENS, TOKENS
from indexer.protocols import all_protocols

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from indexer.declare import Protocol, Read
    from indexer.rpc import Pool

MOST_LISTED = 5000  # items of a registry that are asked one by one
Calls = list[tuple[str, str, int | str]]
RATES = pl.Schema({
    "chain": pl.String(), "base": pl.String(), "quote": pl.String(), "rate": pl.Float64(), "rated_at": pl.Datetime("us"),
    "block_number": pl.Int64(), "kind": pl.String(), "source": pl.String(),
})  # fmt: skip


# Names of columns of valuation_inputs that hold a market instead of a token.
TOKEN_KEYS = ("collateral_market", "debt_market")


class Found(NamedTuple):
    "An emitter and what its reads said: `None` where nothing came back."

    emitter: dict[str, Any]
    values: dict[str, str | None]


def registries(pool: Pool, chain: str, emitters: pl.DataFrame) -> tuple[pl.DataFrame, set[str]]:
    """Rows of `emitters` that registries name when asked (getAllMarkets(), or a count and one call an item).

    Also the addresses whose announcements need not be searched in old logs: they answered, or are a single market.
    """
    found: list[dict[str, Any]] = []
    settled = set()
    for row in emitters.filter(pl.col("parent").is_null() & pl.col("market").is_null()).to_dicts():
        for listing in all_protocols()[row["protocol"]].lists:
            addresses = listed(pool, row["address"], listing)
            if addresses or as_address(pool.eth_calls([(row["address"], selector("comptroller()"), "latest")])[0]):
                settled.add(row["address"])
            found += [
                {"chain": chain, "address": address, "protocol": row["protocol"], "venue": row["venue"], "market": None,
                 "first_block": row["first_block"], "parent": row["address"], "source": "call"}
                for address in addresses
            ]  # fmt: skip
    for name, protocol in all_protocols().items():
        own = emitters.filter(pl.col("protocol") == name)["address"].to_list()
        if protocol.id_read and own:
            first: Calls = [(one, selector(protocol.id_read) + f"{0:064x}", "latest") for one in own]
            settled |= set(own) if any(as_address(answer) for answer in pool.eth_calls(first)) else set()
    return pl.DataFrame(found, schema=EMITTERS, orient="row"), settled


def listed(pool: Pool, registry: str, listing: str) -> list[str]:
    "The addresses that one call, or `count()->item(uint256)`, gives; +1 behind it: items count from 1."
    counting, _, item = listing.partition("->")
    item, plus, _ = item.partition("+")
    answer = pool.eth_calls([(registry, selector(counting), "latest")])[0]
    if not item:
        return as_addresses(answer)
    n_items = as_integer(answer) or 0
    places = range(len(plus), len(plus) + min(n_items, MOST_LISTED))
    calls: Calls = [(registry, selector(item) + f"{place:064x}", "latest") for place in places]
    return [address for one in pool.eth_calls(calls) if (address := as_address(one))]


def read_emitters(pool: Pool, protocol: Protocol, rows: Sequence[dict[str, Any]]) -> list[Found]:
    "Every declared read of each emitter; a read `of` another address waits for it."
    found = [Found(row, {}) for row in rows]
    for read in protocol.reads:
        targets = [one.emitter["address"] if read.of == "emitter" else one.values.get(read.of) for one in found]
        asked = [(place, target) for place, target in enumerate(targets) if target]
        argument = "" if read.argument is None else f"{read.argument:064x}"
        calls: Calls = [(target, selector(read.signature) + argument, "latest") for _, target in asked]
        for (place, _), answer in zip(asked, pool.eth_calls(calls), strict=True):
            if value := DECODERS[read.type](answered(read, answer)):
                found[place].values[read.into] = value
    for one in found:
        if one.values.get("debt_token") is None and is_native(protocol.reads, one, pool):
            one.values["debt_token"] = builtin.NATIVE_ADDRESS
    return found


def answered(read: Read, answer: bytes | None) -> bytes | None:
    "The part of an answer that `read` declares; None where the answer has another length than the contract's."
    if answer is None or (read.n_words is not None and len(answer) != WORD * read.n_words):
        return None
    return answer[WORD * read.word :]


def is_native(reads: Sequence[Read], one: Found, pool: Pool) -> bool:
    "Whether a market without underlying() holds the chain's own coin: it answers symbol(), as cETH and vBNB do."
    if not any(read.signature == "underlying()" for read in reads):
        return False
    return as_text(pool.eth_calls([(one.emitter["address"], selector("symbol()"), "latest")])[0]) is not None


def market_rows(chain: str, found: Sequence[Found]) -> pl.DataFrame:
    "Rows of `markets` from reads; an emitter of which nothing came back gives none and is asked again next time."
    rows = []
    for one in found:
        known = {name: value for name, value in one.values.items() if value is not None}
        if known:
            params = {name: value for name, value in known.items() if name not in ("collateral_token", "debt_token")}
            rows.append((
                chain, one.emitter["venue"], one.emitter["address"], known.get("collateral_token"), known.get("debt_token"),
                orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode(), "call",
            ))  # fmt: skip
    return pl.DataFrame(rows, schema=MARKETS, orient="row")


def enrich(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str = "liquidations", *, is_new: bool = True
) -> None:
    """Fetch what the rows of `table` (liquidations, or staged ones) and its flows need and no other table has.

    Without anything new among their markets and tokens, only what each block has its own of.
    """
    protocols = present(connection, chain, table)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS tried (what VARCHAR)")
    if is_new:
        read_markets(connection, pool, chain, table, protocols)
        read_market_ids(connection, pool, chain, table, protocols)
        read_ids(connection, pool, chain, table, protocols)
        read_tokens(connection, pool, chain, table)
    read_share_rates(connection, pool, chain, table, protocols)


def has_share_rates(rows: pl.DataFrame) -> bool:
    "Whether some of `rows` (liquidations) are of a protocol whose seized shares have a rate of their own each block."
    protocols = all_protocols()
    return any(protocols[name].share_rate for name in rows["protocol"].unique() if name in protocols)


def flows_of(table: str) -> str:
    "The table of flows beside a table of liquidations."
    return "flow_rows" if table == "liquidations" else "staged_flows"


def inputs_of(table: str) -> str:
    "The table of valuation inputs beside a table of liquidations."
    return "valuation_inputs" if table == "liquidations" else "staged_inputs"


def present(connection: duckdb.DuckDBPyConnection, chain: str, table: str) -> dict[str, Protocol]:
    "The protocols that rows of `table` or its flows are of: only their contracts have something to say."
    names = connection.execute(
        f"SELECT DISTINCT protocol FROM {table} WHERE chain = $1 AND protocol IS NOT NULL"
        f" UNION SELECT DISTINCT e.protocol FROM (SELECT DISTINCT market FROM {flows_of(table)} WHERE chain = $1) f"
        " JOIN emitters e ON e.chain = $1 AND e.address = f.market",
        [chain],
    ).fetchall()
    return {name: all_protocols()[name] for (name,) in sorted(names) if name in all_protocols()}


def tried(connection: duckdb.DuckDBPyConnection, what: Sequence[str]) -> None:
    "Remember for this run that the chain was asked, so that what it cannot answer is not asked at every commit."
    if what:
        connection.execute("INSERT INTO tried SELECT unnest(?::VARCHAR[])", [list(what)])


def read_markets(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str, protocols: dict[str, Protocol]
) -> None:
    "Markets that liquidations name and `markets` lacks, by the reads of their protocol."
    for name, protocol in protocols.items():
        if not protocol.reads:
            continue
        column = ["market"] + (["collateral_token"] if protocol.share_rate else [])
        column += sorted({key for mapping in protocol.mappings for key in mapping.values if key in TOKEN_KEYS})
        union = " UNION ".join(
            f"SELECT venue, {one} AS market FROM {table} LEFT JOIN {inputs_of(table)} v USING (event_id)"
            f" WHERE {table}.chain = $1 AND protocol = $2"
            for one in column
        )
        moved = (
            f" UNION SELECT f.venue, f.market FROM {flows_of(table)} f"
            " JOIN emitters e ON e.chain = f.chain AND e.address = f.market"
            " WHERE f.chain = $1 AND e.protocol = $2 AND f.token IS NULL"
        )
        missing = connection.execute(
            f"SELECT DISTINCT venue, market FROM ({union}{moved}) l WHERE market LIKE '0x%' AND NOT contains(market, ':') AND NOT EXISTS"
            " (SELECT 1 FROM markets m WHERE m.chain = $1 AND m.venue = l.venue AND m.market = l.market)"
            " AND market NOT IN (SELECT what FROM tried) ORDER BY ALL",
            [chain, name],
        ).fetchall()
        if missing:
            tried(connection, [market for _, market in missing])
            rows = [{"venue": venue, "address": market} for venue, market in missing]
            store.upsert(connection, "markets", market_rows(chain, read_emitters(pool, protocol, rows)))


def read_market_ids(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str, protocols: dict[str, Protocol]
) -> None:
    "Markets behind an id that liquidations name and no stored CreateMarket log announced."
    for name, protocol in protocols.items():
        if protocol.market_read is None:
            continue
        signature, names = protocol.market_read
        missing = connection.execute(
            "SELECT DISTINCT l.venue, l.market, e.address"
            f" FROM (SELECT chain, venue, market FROM {table} WHERE protocol = $2 UNION"
            f"   SELECT chain, venue, market FROM {flows_of(table)} WHERE token IS NULL AND market IS NOT NULL) l"
            " JOIN emitters e ON e.chain = l.chain AND e.protocol = $2 AND e.venue = l.venue"
            " WHERE l.chain = $1 AND NOT EXISTS"
            " (SELECT 1 FROM markets m WHERE m.chain = l.chain AND m.venue = l.venue AND m.market = l.market)"
            " AND l.market NOT IN (SELECT what FROM tried) ORDER BY ALL",
            [chain, name],
        ).fetchall()
        tried(connection, [market for _, market, _ in missing])
        calls: Calls = [(address, selector(signature) + market[2:], "latest") for _, market, address in missing]
        rows = []
        for (venue, market, _), answer in zip(missing, pool.eth_calls(calls) if calls else [], strict=True):
            if answer is None or len(answer) < WORD * len(names) or not any(answer):
                continue
            words = {one: answer[WORD * place : WORD * (place + 1)] for place, one in enumerate(names)}
            params = {
                one: str(as_integer(word)) if one == "lltv" else as_address(word)
                for one, word in words.items()
                if one not in ("collateral_token", "debt_token")
            }
            rows.append((
                chain, venue, market, as_address(words["collateral_token"]), as_address(words["debt_token"]),
                orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode(), "call",
            ))  # fmt: skip
        store.upsert(connection, "markets", pl.DataFrame(rows, schema=MARKETS, orient="row"))


def read_ids(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str, protocols: dict[str, Protocol]
) -> None:
    "Tokens of `{emitter}:{id}` markets that rows name and no stored log announced."
    for name, protocol in protocols.items():
        if protocol.id_read is None:
            continue
        missing = connection.execute(
            "SELECT DISTINCT k.venue, k.market, coalesce(m.params ->> 'same_token_as', k.market) FROM ("
            f" SELECT venue, unnest([collateral_market, debt_market]) AS market FROM {table} l"
            f"  JOIN {inputs_of(table)} v USING (event_id) WHERE l.chain = $1 AND l.protocol = $2) k"
            " LEFT JOIN markets m ON m.chain = $1 AND m.venue = k.venue AND m.market = k.market"
            f" LEFT JOIN ({NAMED_TOKENS}) n ON n.chain = $1 AND n.venue = k.venue AND n.market = k.market"
            " WHERE contains(k.market, ':') AND n.token IS NULL AND k.market NOT IN (SELECT what FROM tried) ORDER BY ALL",
            [chain, name],
        ).fetchall()
        tried(connection, [market for _, market, _ in missing])
        keys = [market.split(":") for _, market, _ in missing]
        calls: Calls = [(address, selector(protocol.id_read) + f"{int(one):064x}", "latest") for address, one in keys]
        rows = [
            (chain, venue, target, None, token, "{}", "call")
            for (venue, _, target), answer in zip(missing, pool.eth_calls(calls) if calls else [], strict=True)
            if (token := as_address(answer))
        ]
        store.upsert(connection, "markets", pl.DataFrame(rows, schema=MARKETS, orient="row"))


def read_tokens(connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str) -> None:
    "Symbol and decimals of tokens that rows name and `tokens` lacks, once a token; an unanswering node leaves them for later."
    missing = [
        address
        for (address,) in connection.execute(
            "SELECT DISTINCT address FROM ("
            f" SELECT collateral_token AS address FROM {table} WHERE chain = $1"
            f" UNION ALL SELECT debt_token FROM {table} WHERE chain = $1"
            f" UNION ALL SELECT m.debt_token FROM markets m JOIN {table} l ON l.chain = m.chain AND l.venue = m.venue"
            "   AND (l.market = m.market OR l.collateral_token = m.market) WHERE m.chain = $1"
            f" UNION ALL SELECT m.collateral_token FROM markets m JOIN {table} l ON l.chain = m.chain"
            "   AND l.venue = m.venue AND l.market = m.market WHERE m.chain = $1"
            " UNION ALL SELECT m.params ->> 'index_token' FROM markets m WHERE m.chain = $1"
            f" UNION ALL SELECT n.token FROM ({NAMED_TOKENS}) n JOIN {inputs_of(table)} v"
            "   ON v.chain = n.chain AND n.market IN (v.collateral_market, v.debt_market)"
            f"   JOIN {table} l ON l.event_id = v.event_id AND l.venue = n.venue WHERE n.chain = $1"
            f" UNION ALL SELECT token FROM {flows_of(table)} WHERE chain = $1"
            " UNION ALL SELECT CASE f.token_of WHEN 'collateral_token' THEN m.collateral_token ELSE m.debt_token END"
            f"   FROM {flows_of(table)} f JOIN markets m ON m.chain = f.chain AND m.venue = f.venue AND m.market = f.market"
            "   WHERE f.chain = $1"
            ") a WHERE address IS NOT NULL AND address <> $2"
            " AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.chain = $1 AND t.address = a.address)"
            " AND address NOT IN (SELECT what FROM tried) ORDER BY address",
            [chain, builtin.NATIVE_ADDRESS],
        ).fetchall()
    ]
    if not missing:
        return
    tried(connection, missing)
    store.upsert(connection, "tokens", token_rows(pool, chain, missing))


def token_rows(pool: Pool, chain: str, addresses: Sequence[str]) -> pl.DataFrame:
    "Rows of `tokens` read from the contracts; none at all when not one call was answered."
    calls: Calls = [(one, selector(name), "latest") for one in addresses for name in ("symbol()", "decimals()")]
    answers = pool.eth_calls(calls)
    if all(answer is None for answer in answers):
        return pl.DataFrame(schema=TOKENS)
    rows = []
    for address, symbol, decimals in zip(addresses, answers[::2], answers[1::2], strict=True):
        text, number = as_text(symbol), as_integer(decimals)
        places = number if number is not None and number < 256 else None  # noqa: PLR2004 - decimals() is a uint8
        rows.append((chain, address, text, places, text.upper() if text else None, None, "rpc"))
    return pl.DataFrame(rows, schema=TOKENS, orient="row")


def read_share_rates(
    connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, table: str, protocols: dict[str, Protocol]
) -> None:
    "Exchange rates of seized market shares at the block of each liquidation; a node without that state leaves them unknown."
    for name, protocol in protocols.items():
        if protocol.share_rate is None:
            continue
        missing = connection.execute(
            f"SELECT DISTINCT l.collateral_token, m.debt_token, l.block_number, l.liquidated_at FROM {table} l"
            " JOIN markets m ON m.chain = l.chain AND m.venue = l.venue AND m.market = l.collateral_token"
            " WHERE l.chain = ? AND l.protocol = ? AND NOT EXISTS (SELECT 1 FROM rates r WHERE r.chain = l.chain"
            " AND r.base = l.collateral_token AND r.block_number = l.block_number AND r.kind = 'call')"
            " AND l.collateral_token || l.block_number NOT IN (SELECT what FROM tried) ORDER BY ALL",
            [chain, name],
        ).fetchall()
        tried(connection, [f"{share}{block}" for share, _, block, _ in missing])
        calls: Calls = [(share, share_call(protocol), block) for share, _, block, _ in missing]
        rows = [
            (
                chain,
                share,
                underlying,
                rate / 10**18,
                at,
                block,
                "call",
                "call:" + (protocol.share_rate or "").partition("(")[0],
            )
            for (share, underlying, block, at), answer in zip(
                missing, pool.eth_calls(calls) if calls else [], strict=True
            )
            if underlying and (rate := as_integer(answer))
        ]
        store.append(connection, "rates", pl.DataFrame(rows, schema=RATES, orient="row"))


def share_call(protocol: Protocol) -> str:
    "Call data of the protocol's share rate: with one share, 10^18 units, where the function takes an amount."
    signature = protocol.share_rate or ""
    return selector(signature) + ("" if signature.endswith("()") else f"{10**18:064x}")


def feed_phases(connection: duckdb.DuckDBPyConnection, pool: Pool, chain: str, proxies: Sequence[str]) -> None:
    "Aggregators that the proxies of price feeds have stood on, as rows of `feeds`; asked once a run, phases once for ever."
    calls: Calls = [(proxy, selector("phaseId()"), "latest") for proxy in proxies]
    known = dict(connection.execute("SELECT name, value FROM facts WHERE name LIKE ?", [f"phase:{chain}:%"]).fetchall())
    wanted: list[tuple[str, int]] = []
    for proxy, answer in zip(proxies, pool.eth_calls(calls) if calls else [], strict=True):
        last = as_integer(answer) or 0
        first = int(known.get(f"phase:{chain}:{proxy}", 0)) + 1
        wanted += [(proxy, phase) for phase in range(first, min(last, 200) + 1)]
    asked: Calls = [
        (proxy, selector("phaseAggregators(uint16)") + f"{phase:064x}", "latest") for proxy, phase in wanted
    ]
    rows = []
    described = {row["proxy"]: row for row in builtin.feeds(chain).to_dicts()}
    for (proxy, phase), answer in zip(wanted, pool.eth_calls(asked) if asked else [], strict=True):
        aggregator, feed = as_address(answer), described[proxy]
        if aggregator:
            asset = feed["base"] if feed["quote"] == "USD" else f"{feed['base']}/{feed['quote']}"
            rows.append((chain, aggregator, asset, feed["decimals"], None, None, feed["heartbeat_seconds"], "rpc"))
            connection.execute("DELETE FROM facts WHERE name = ?", [f"phase:{chain}:{proxy}"])
            connection.execute("INSERT INTO facts VALUES (?, ?)", [f"phase:{chain}:{proxy}", str(phase)])
    store.upsert(connection, "feeds", pl.DataFrame(rows, schema=FEEDS, orient="row"))
