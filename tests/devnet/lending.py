"""Supply, withdraw, borrow and repay on the test chain: what an index must hold of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.devnet import truth
from tests.devnet.contracts import topic
from tests.devnet.deploy import AAVE

if TYPE_CHECKING:
    from tests.devnet.deploy import World
    from tests.devnet.truth import Call, Move


class Act(NamedTuple):
    "A function: the event it emits, what kind of flow it is, and whether tokens go into the protocol."

    event: str
    kind: str
    is_inflow: bool


AAVE_ACTS = {
    "supply": Act("Supply(address,address,address,uint256,uint16)", "supply", is_inflow=True),
    "deposit": Act("Supply(address,address,address,uint256,uint16)", "supply", is_inflow=True),
    "withdraw": Act("Withdraw(address,address,address,uint256)", "withdraw", is_inflow=False),
    "borrow": Act("Borrow(address,address,address,uint256,uint8,uint256,uint16)", "borrow", is_inflow=False),
    "repay": Act("Repay(address,address,address,uint256,bool)", "repay", is_inflow=True),
    "repayWithATokens": Act("Repay(address,address,address,uint256,bool)", "repay", is_inflow=True),
}
MORPHO_ACTS = {
    "supply": Act("Supply(bytes32,address,address,uint256,uint256)", "supply", is_inflow=True),
    "supplyCollateral": Act("SupplyCollateral(bytes32,address,address,uint256)", "supply", is_inflow=True),
    "withdraw": Act("Withdraw(bytes32,address,address,address,uint256,uint256)", "withdraw", is_inflow=False),
    "borrow": Act("Borrow(bytes32,address,address,address,uint256,uint256)", "borrow", is_inflow=False),
}


def row(world: World, call: Call) -> tuple[dict[str, Any] | None, list[Move]]:
    "Expected row and moved tokens of a call of the pool or of Morpho; no row for an act that moves nothing."
    if call.contract is world.pool:
        return aave(world, call) if call.name in AAVE_ACTS else (None, [])
    return morpho(world, call) if call.name in MORPHO_ACTS else (None, [])


def aave(world: World, call: Call) -> tuple[dict[str, Any], list[Move]]:
    "A row of the pool: `account` is whose position it is, `caller` who sent the call."
    act, (token, amount, *rest) = AAVE_ACTS[call.name], call.arguments
    token = token.lower()
    reserve = world.a_tokens[truth.symbol_of(world, token)].address
    match call.name, rest:
        case (("supply" | "deposit"), (account, _)):
            other = call.sender
        case "withdraw", (to,):
            account, other = call.sender, to.lower()
        case ("borrow", (_, _, account)) | ("repay", (_, account)):
            other = call.sender
        case _:
            account, other = call.sender, None
    moves = []
    if other is not None:
        ends = (other, reserve) if act.is_inflow else (reserve, other)
        amount = truth.transferred(call, token, *ends)
        moves = [truth.Move(token, *ends, amount)]
    market = world.pool.address
    return describe(call, act, {"venue": AAVE, "market": market, "token": token}, account, amount), moves


def morpho(world: World, call: Call) -> tuple[dict[str, Any], list[Move]]:
    "A row of a Morpho market; collateral is its own token."
    act, (params, amount, *rest) = MORPHO_ACTS[call.name], call.arguments
    token = params[1 if call.name == "supplyCollateral" else 0].lower()
    addresses = [one.lower() for one in rest if isinstance(one, str)]
    account, morpho_address = addresses[0], world.morpho.address
    ends = (call.sender, morpho_address) if act.is_inflow else (morpho_address, addresses[1])
    market = truth.market_of(world, params).market_id
    described = {"venue": truth.MORPHO, "market": market, "token": token}
    return describe(call, act, described, account, amount), [truth.Move(token, *ends, amount)]


def describe(call: Call, act: Act, described: dict[str, Any], account: str, amount: int) -> dict[str, Any]:
    "The row of an act at the place of its log."
    log = truth.the_log(call, call.contract.address, topic(act.event))
    event = act.event.split("(")[0]
    who = {"kind": act.kind, "event": event, "account": account.lower(), "caller": call.sender, "amount_raw": amount}
    return described | who | truth.place(call, log)
