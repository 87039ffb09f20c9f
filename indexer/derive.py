"""Logs become rows of every table: route, decode, join, select. Pure: frames in, frames out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import polars as pl

from indexer.abi import arguments, selector
from indexer.decode import LOG_SCHEMA, RAW, TOPICS, column, floating, hexadecimal, n_topics, rejected, word
from indexer.protocols import all_protocols
from indexer.typed import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexer.abi import Event
    from indexer.declare import Call, Group, Join, Mapping, Protocol

# One row an emitter: `address` 20 bytes, `decimals` only of price feeds.
ROUTE_SCHEMA = pl.Schema({
    "address": pl.Binary(),
    "protocol": pl.String(),
    "venue": pl.String(),
    "market": pl.String(),
    "decimals": pl.Int32(),
    "parent": pl.String(),
})  # fmt: skip
BLOCK_LOGS = 1_000_000  # more than a block holds
# What transactions called that are known: the log's emitter it was for, and the call's bytes.
CALL_SCHEMA = pl.Schema({"tx_hash": pl.Binary(), "address": pl.Binary(), "call": pl.Binary()})
POSITION = ("block_number", "block_hash", "tx_hash", "log_index")
ROUTED = ("venue", "market", "decimals", "parent")
AMOUNTS = {"collateral_raw": "collateral_float", "debt_raw": "debt_float"}
TABLES = ("liquidations", "valuation_inputs", "markets", "rates", "prices", "flows", "owners", "emitters", "rejected")


def derive(
    chain: str, logs: pl.DataFrame, routes: pl.DataFrame, earlier: pl.DataFrame | None = None,
    calls: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Rows of each table from the logs of one stretch of blocks, and `raw_logs`: the logs that found their event.

    `logs` has LOG_SCHEMA and holds whole transactions; `routes` has ROUTE_SCHEMA. A log whose emitter is no route, or
    whose topic0 is no event of the emitter's protocol, gives nothing. `earlier`: stored logs before this stretch that
    joins across transactions may look back to (see `looked_back`); they give no row. `calls` (CALL_SCHEMA): what
    transactions are known to have called. Columns of the frames are those of schema.sql.
    """
    parts: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    kept = []
    routed = logs.join(routes, on="address", how="inner", maintain_order="left").with_columns(n_topics=n_topics())
    protocols = all_protocols()
    for name in routed["protocol"].unique(maintain_order=True).sort():
        protocol = protocols[name]
        own = routed.filter(pl.col("protocol") == name)
        before = None if earlier is None else earlier.join(routes.filter(protocol=name), on="address", how="inner")
        for table, frame in protocol_rows(chain, protocol, own, before, calls).items():
            parts[table].append(frame)
        wanted = [event.topic0 for event in protocol.events]
        kept.append(own.filter(pl.col("topic0").is_in(wanted)).select(LOG_SCHEMA.names()))
    tables = {table: pl.concat(frames, how="diagonal_relaxed") for table, frames in parts.items() if frames}
    if "flows" in tables:
        tables["flows"] = arrivals(tables["flows"], routes)
    stored = pl.concat(kept) if kept else pl.DataFrame(schema=LOG_SCHEMA)
    if len(kept) > 1 or routed.height > logs.height:
        stored = stored.unique(["block_number", "log_index"]).sort("block_number", "log_index")
    tables["raw_logs"] = stored.with_columns(chain=pl.lit(chain))
    return tables


def looked_back(logs: pl.DataFrame) -> list[bytes]:
    "Topic0 of the events that some of `logs` may join in an earlier transaction."
    wanted = across()
    found: list[bytes] = logs.filter(pl.col("topic0").is_in(list(wanted)))["topic0"].unique().to_list()
    return sorted({topic0 for name in found for topic0 in wanted[name]})


@functools.cache
def across() -> dict[bytes, set[bytes]]:
    "Topic0 of every event that is joined across transactions, with those of what it joins."
    found: dict[bytes, set[bytes]] = {}
    for protocol in all_protocols().values():
        for mapping in protocol.mappings:
            targets = {join.event.topic0 for join in mapping.joins if join.is_across}
            if targets:
                found.setdefault(mapping.event.topic0, set()).update(targets)
    return found


def protocol_rows(
    chain: str, protocol: Protocol, logs: pl.DataFrame, earlier: pl.DataFrame | None = None,
    calls: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    "Rows by table of one protocol's logs."
    frames, misfits = decoded(protocol.name, logs)
    before: dict[Event, pl.DataFrame] = {}
    if earlier is not None and not earlier.is_empty():
        before, _ = decoded(protocol.name, earlier.with_columns(n_topics=n_topics()))
    parts: dict[str, list[pl.DataFrame]] = {"rejected": [rejected(chain, frame) for frame in misfits]}
    for mapping in protocol.mappings:
        frame = frames[mapping.event]
        if frame.is_empty():
            continue
        frame = bounded(frame, mapping)
        if mapping.call is not None:
            frame = called(frame, calls, mapping.call)
        for join in mapping.joins:
            others = frames[join.event]
            if join.is_across and join.event in before:
                others = pl.concat([before[join.event], others.select(before[join.event].columns)])
            frame = joined(frame, others, join)
        for group in mapping.groups:
            frame = grouped(frame, frames, group)
        if mapping.where is not None:
            frame = frame.filter(mapping.where)
        for table, rows in mapped(chain, protocol, mapping, frame).items():
            parts.setdefault(table, []).append(rows)
    return {table: pl.concat(rows, how="diagonal_relaxed") for table, rows in parts.items() if rows}


def bounded(frame: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    "The logs of `frame` in the blocks for which the mapping holds."
    if mapping.first_block is not None:
        frame = frame.filter(pl.col("block_number") >= mapping.first_block)
    if mapping.last_block is not None:
        frame = frame.filter(pl.col("block_number") <= mapping.last_block)
    return frame


def joined(frame: pl.DataFrame, others: pl.DataFrame, join: Join) -> pl.DataFrame:
    "`frame` with the columns of the log that `join` finds, named {event}.{column}."
    prefix = join.event.name
    there = pl.col("block_number") * BLOCK_LOGS + pl.col("log_index") if join.is_across else pl.col("log_index")
    added = [field.name for field in join.event.fields if field.name in others.columns]
    added += ["emitter", "log_index", "data", *TOPICS]
    known = {*added, *LOG_SCHEMA.names(), *ROUTED, "protocol", "n_topics"}
    added += [name for name in others.columns if name not in known]
    right = others.select(
        "block_number", "tx_hash", there.alias("there"),
        *(pl.col(there).alias(f"on{place}") for place, (_, there) in enumerate(join.on)),
        *(pl.col(name).alias(f"{prefix}.{name}") for name in added),
    )  # fmt: skip
    left = frame.with_columns(
        there.alias("there"),
        *(pl.col(here).alias(f"on{place}") for place, (here, _) in enumerate(join.on)),
    )
    right = right if join.where is None else right.filter(others.select(join.where).to_series())
    if right.is_empty():
        missing = {name: kind for name, kind in right.schema.items() if name.startswith(f"{prefix}.")}
        return frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in missing.items())
    keys = [f"on{place}" for place in range(len(join.on))]
    if join.is_across:
        right = right.drop("block_number", "tx_hash")
    else:
        keys = ["block_number", "tx_hash", *keys]
    if join.direction == "any":
        first = right.sort("there").unique(keys, keep="first").drop("there")
        return left.join(first, on=keys, how="left").drop("there", *keys[2:]).sort("block_number", "log_index")
    is_forward = join.direction == "forward" and not join.is_across
    strategy: Literal["forward", "backward"] = "forward" if is_forward else "backward"
    result = left.sort("there").join_asof(
        right.sort("there"), on="there", by=keys, strategy=strategy, allow_exact_matches=False, check_sortedness=False
    )
    return result.drop("there", *(f"on{place}" for place in range(len(join.on)))).sort("block_number", "log_index")


def called(frame: pl.DataFrame, calls: pl.DataFrame | None, call: Call) -> pl.DataFrame:
    "The logs of `frame` whose transaction made the call, with its arguments as {function}.{argument}."
    known = pl.DataFrame(schema=CALL_SCHEMA) if calls is None else calls
    fields = arguments(call.signature, call.names)
    known = known.filter(
        pl.col("call").bin.starts_with(bytes.fromhex(selector(call.signature)[2:]))
        & (pl.col("call").bin.size() >= fields[-1].offset + 32)
    )
    words = known.select("tx_hash", "address", data="call").with_columns(
        column(field).alias(f"{call.name}.{field.name}") for field in fields
    )
    return frame.join(words.drop("data"), on=["tx_hash", "address"], how="inner", maintain_order="left")


def uncalled(logs: pl.DataFrame, routes: pl.DataFrame) -> pl.DataFrame:
    "Transactions of `logs` whose call decides what their logs are: tx_hash, address (the emitter), selector and `of`."
    found = [pl.DataFrame(schema={**CALL_SCHEMA, "of": pl.String})]
    for name, protocol in all_protocols().items():
        for call in {mapping.call for mapping in protocol.mappings if mapping.call is not None}:
            own = logs.filter(pl.col("topic0").is_in([one.topic0 for one in (*call.given, *call.unless)]))
            own = own.join(routes.filter(protocol=name), on="address", how="semi")
            held = own.group_by("tx_hash", maintain_order=True).agg("topic0", "address")
            needed = [pl.col("topic0").list.contains(one.topic0) for one in call.given]
            excluded = [~pl.col("topic0").list.contains(one.topic0) for one in call.unless]
            some = held.filter(*needed, *excluded).explode("topic0", "address")
            some = some.filter(topic0=call.given[0].topic0).select("tx_hash", "address").unique(maintain_order=True)
            head = bytes.fromhex(selector(call.signature)[2:])
            found.append(some.with_columns(call=pl.lit(head, dtype=pl.Binary), of=pl.lit(call.of)))
    return pl.concat(found)


def grouped(frame: pl.DataFrame, frames: dict[Event, pl.DataFrame], group: Group) -> pl.DataFrame:
    "`frame` with the log that closes each row's act, the row's place in it and the sums of what it closes as well."
    from indexer.declare import Join  # noqa: PLC0415 - a value, where the rest of the module needs only types

    closing = Join(group.closed_by, group.on)
    closer = f"{group.closed_by.name}.log_index"
    result = joined(frame, frames[group.closed_by], closing).with_columns(
        pl.struct("block_number", pl.coalesce(closer, -1 - pl.col("log_index"))).alias("group.id")
    )
    result = result.with_columns((pl.col("log_index").rank("ordinal").over("group.id") - 1).alias("group.place"))
    for total in group.sums:
        others = frames[total.event]
        if total.where is not None:
            others = others.filter(total.where)
        sums = (
            joined(others, frames[group.closed_by], Join(group.closed_by))
            .group_by("block_number", pl.col(closer))
            .agg(pl.col(total.column).sum().alias(total.name))
        )
        result = result.join(sums, on=["block_number", closer], how="left")
    return result.sort("block_number", "log_index")


def mapped(chain: str, protocol: Protocol, mapping: Mapping, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    "Rows by table of one mapping's decoded and joined logs."
    rows: dict[str, pl.DataFrame] = {}
    place = {
        "chain": pl.lit(chain),
        "block_number": pl.col("block_number"),
        "log_index": pl.col("log_index"),
    }
    if mapping.liquidation is not None:
        rows["liquidations"] = frame.select(**liquidation_columns(chain, protocol, mapping)).with_columns(
            **account_kind(chain, mapping)
        )
        rows["valuation_inputs"] = inputs(chain, mapping, frame)
    if mapping.prices is not None:
        rows["prices"] = frame.select(**{
            "priced_at": pl.col("logged_at"), "kind": pl.lit("oracle"), **place,
            "source": pl.lit("chainlink:") + pl.col("emitter"), **mapping.prices,
        }).filter(pl.col("price_usd").is_finite() & (pl.col("price_usd") > 0))  # fmt: skip
    if mapping.rates is not None:
        rows["rates"] = frame.select(**{
            "rated_at": pl.col("logged_at"), "kind": pl.lit("exchange_rate"), **place,
            "source": pl.lit("event:") + pl.col("emitter"), **mapping.rates,
        }).filter(pl.col("rate").is_finite() & (pl.col("rate") > 0))  # fmt: skip
    if mapping.markets is not None:
        rows["markets"] = frame.select(**{
            "chain": pl.lit(chain), "venue": pl.col("venue"), "market": pl.col("emitter"),
            "from_at": pl.col("logged_at"), "source": pl.lit("event"), **mapping.markets,
        })  # fmt: skip
    if mapping.emitters is not None:
        rows["emitters"] = frame.select(**{
            "chain": pl.lit(chain), "protocol": pl.lit(protocol.name), "venue": pl.col("venue"),
            "market": pl.lit(None, dtype=pl.String), "first_block": pl.col("block_number"),
            "parent": pl.col("emitter"), "source": pl.lit("event"), **mapping.emitters,
        })  # fmt: skip
    if mapping.owners is not None:
        rows["owners"] = frame.select(**{"chain": pl.lit(chain), "source": pl.lit("event"), **mapping.owners})
    if mapping.flow is not None:
        rows["flows"] = frame.select(**{
            "flow_id": event_id(chain), "flowed_at": pl.col("logged_at"), **place,
            "tx_hash": hexadecimal(pl.col("tx_hash")), "venue": pl.col("venue"), "source": pl.lit("rpc"), **mapping.flow,
            **wide(mapping.event, mapping.flow["amount_raw"], "amount_float"),
        })  # fmt: skip
    return rows


def arrivals(flows: pl.DataFrame, routes: pl.DataFrame) -> pl.DataFrame:
    "Token transfers to a contract whose protocol declares `inflow` are that kind of flow, of the sender, at its venue."
    kinds = {name: protocol.inflow for name, protocol in all_protocols().items() if protocol.inflow}
    places = routes.filter(pl.col("protocol").is_in(list(kinds))).select(
        to_address=hexadecimal(pl.col("address")),
        inflow=pl.col("protocol").replace_strict(kinds, return_dtype=pl.String),
        inflow_venue="venue",
    )
    is_arrival = (pl.col("kind") == "transfer") & pl.col("inflow").is_not_null()
    return (
        flows.join(places.unique("to_address"), on="to_address", how="left", maintain_order="left")
        .with_columns(
            kind=pl.when(is_arrival).then("inflow").otherwise("kind"),
            account=pl.when(is_arrival).then("from_address").otherwise("account"),
            venue=pl.when(is_arrival).then("inflow_venue").otherwise("venue"),
        )
        .drop("inflow", "inflow_venue")
    )


def event_id(chain: str) -> pl.Expr:
    "{chain}:{block_number}:{log_index}: the identity of a log on the canonical chain."
    return pl.format(chain + ":{}:{}", pl.col("block_number"), pl.col("log_index"))


def liquidation_columns(chain: str, protocol: Protocol, mapping: Mapping) -> dict[str, pl.Expr]:
    "Expressions for the columns of `liquidations`; is_headline follows from kind when the rows are written."
    declared = mapping.liquidation or {}
    kind = mapping.kind if isinstance(mapping.kind, pl.Expr) else pl.lit(mapping.kind)
    return {
        "event_id": event_id(chain),
        "venue": pl.col("venue"),
        "venue_kind": pl.lit("defi"),
        "sector": pl.lit(protocol.sector),
        "protocol": pl.lit(protocol.name),
        "chain": pl.lit(chain),
        "market": pl.coalesce("market", "emitter"),
        "kind": kind,
        "liquidated_at": pl.col("logged_at"),
        "block_number": pl.col("block_number"),
        "block_hash": hexadecimal(pl.col("block_hash")),
        "tx_hash": hexadecimal(pl.col("tx_hash")),
        "log_index": pl.col("log_index"),
        "completeness": pl.lit("full"),
        "source": pl.lit("rpc"),
        **declared,
    }


def account_kind(chain: str, mapping: Mapping) -> dict[str, pl.Expr]:
    "The column account_kind of rows that have an account: `protocol` where a protocol holds the position of its users."
    declared = mapping.liquidation or {}
    if "account" not in declared or "account_kind" in declared:
        return {}
    is_protocol = pl.col("account").is_in(position_holders(chain))
    named = pl.when(is_protocol).then(pl.lit("protocol")).when(pl.col("account").is_not_null()).then(pl.lit("user"))
    return {"account_kind": named}


@functools.cache
def position_holders(chain: str) -> list[str]:
    "Contracts of protocols that hold their users' positions in another protocol's pool."
    holders = [protocol for protocol in all_protocols().values() if protocol.holds_positions]
    return [one.address.lower() for protocol in holders for one in protocol.deployments if one.chain == chain]


def inputs(chain: str, mapping: Mapping, frame: pl.DataFrame) -> pl.DataFrame:
    "Rows of `valuation_inputs`: what the mapping declares, and amounts of 39 digits and more as Float64."
    declared: dict[str, pl.Expr] = {}
    for raw, name in AMOUNTS.items():
        expression = (mapping.liquidation or {}).get(raw)
        own = None if expression is None else plain_name(expression)
        if expression is not None and own in frame.columns and frame[own].null_count():
            declared |= wide(mapping.event, expression, name)
    declared |= mapping.values
    if not declared:
        return pl.DataFrame()
    rows = frame.select(event_id=event_id(chain), chain=pl.lit(chain), block_number=pl.col("block_number"), **declared)
    return rows.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in declared))


def wide(event: Event, amount: pl.Expr, name: str) -> dict[str, pl.Expr]:
    "Column `name`: the field that `amount` is as Float64 where it does not fit 38 digits; none where it computes something."
    fields = {field.name: field for field in event.fields}
    own = plain_name(amount)
    if own not in fields:
        return {}
    return {name: pl.when(pl.col(own).is_null()).then(floating(word(fields[own])))}


def plain_name(expression: pl.Expr) -> str | None:
    "The column that `expression` is, or None where it computes something."
    names = expression.meta.root_names()
    return names[0] if len(names) == 1 and expression.meta.eq(pl.col(names[0])) else None


def raw_decimal(expression: pl.Expr) -> pl.Expr:
    "An expression as Decimal(38,0)."
    return expression.cast(RAW)


def events_by_topic(protocols: Iterable[str]) -> dict[str, list[str]]:
    "Topic0 of every event of `protocols`, as 0x and digits, with the protocols that use it."
    found: dict[str, list[str]] = {}
    for name in protocols:
        for event in all_protocols()[name].events:
            found.setdefault("0x" + event.topic0.hex(), []).append(name)
    return found
