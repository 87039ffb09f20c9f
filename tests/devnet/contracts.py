"""Contracts of the test chain: deploy, encode a call, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import eth_abi
from eth_utils import keccak
from eth_utils.abi import collapse_if_tuple

from tests.devnet import packages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.devnet.anvil import Node

DEPLOY_GAS = 12_000_000


class Function(NamedTuple):
    "One function of an ABI."

    name: str
    selector: bytes
    inputs: list[str]
    outputs: list[str]


class Contract(NamedTuple):
    "An address with its functions."

    address: str
    functions: tuple[Function, ...]

    def find(self, name: str, n_arguments: int) -> Function:
        "The function of that name that takes so many arguments."
        return next(one for one in self.functions if one.name == name and len(one.inputs) == n_arguments)

    def data(self, name: str, *arguments: Any) -> str:
        "Calldata, as hex."
        function = self.find(name, len(arguments))
        return "0x" + (function.selector + eth_abi.encode(function.inputs, arguments)).hex()

    def call(self, name: str, *arguments: Any, block: int | str = "latest") -> tuple[str, list[Any]]:
        "The JSON-RPC call that reads `name` at `block`."
        tag = block if isinstance(block, str) else hex(block)
        return "eth_call", [{"to": self.address, "data": self.data(name, *arguments)}, tag]

    def result(self, name: str, answer: str, n_arguments: int) -> Any:
        "What an answer to `call` says: one value, or a tuple."
        values = eth_abi.decode(self.find(name, n_arguments).outputs, bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def read(self, node: Node, name: str, *arguments: Any, block: int | str = "latest") -> Any:
        "What `name` returns at `block`."
        method, params = self.call(name, *arguments, block=block)
        return self.result(name, node.rpc(method, *params), len(arguments))

    def read_many(self, node: Node, name: str, arguments: Sequence[tuple[Any, ...]], block: int | str) -> list[Any]:
        "What `name` returns at `block` for each of `arguments`."
        answers = node.batch(self.call(name, *one, block=block) for one in arguments)
        return [self.result(name, answer, len(one)) for answer, one in zip(answers, arguments, strict=True)]

    def parse(self, calldata: str) -> tuple[str, tuple[Any, ...]] | None:
        "Name and arguments of the call that `calldata` makes; None for an unknown selector."
        sent = bytes.fromhex(calldata[2:])
        for one in self.functions:
            if one.selector == sent[:4]:
                return one.name, eth_abi.decode(one.inputs, sent[4:])
        return None


def functions(abi: list[dict[str, Any]]) -> tuple[Function, ...]:
    "The functions that an ABI lists."
    found = []
    for entry in abi:
        if entry["type"] == "function":
            inputs = [collapse_if_tuple(one) for one in entry["inputs"]]
            selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
            found.append(Function(entry["name"], selector, inputs, [collapse_if_tuple(o) for o in entry["outputs"]]))
    return tuple(found)


def topic(signature: str) -> str:
    "topic0 of an event, from its signature."
    return "0x" + keccak(text=signature).hex()


def address(label: str) -> str:
    "An account of the test chain, from a text."
    return "0x" + keccak(text=label)[12:].hex()


class Deployer(NamedTuple):
    "Deploys and wires contracts as one account, a block each; libraries are linked as they are met."

    node: Node
    account: str
    libraries: dict[str, str]

    def new(self, name: str, *arguments: Any, folder: str | None = None) -> Contract:
        "A new contract; `folder` is its place in Aave's package."
        found = packages.artifact(name, folder)
        abi = found["abi"]
        types = [collapse_if_tuple(i) for one in abi if one["type"] == "constructor" for i in one["inputs"]]
        code = self.link(found) + eth_abi.encode(types, arguments).hex()
        receipt = self.mined(self.node.send(self.account, None, code, DEPLOY_GAS), name)
        return Contract(receipt["contractAddress"], functions(abi))

    def link(self, found: dict[str, Any]) -> str:
        "Bytecode with the addresses of its libraries, which are deployed on first use."
        code = found["bytecode"]
        for source, names in found["linkReferences"].items():
            for name, places in names.items():
                if name not in self.libraries:
                    folder = source.removeprefix("contracts/").rsplit("/", 1)[0]
                    self.libraries[name] = self.new(name, folder=folder).address
                for place in places:
                    start = 2 + 2 * place["start"]
                    code = code[:start] + self.libraries[name][2:] + code[start + 40 :]
        return code

    def do(self, contract: Contract, name: str, *arguments: Any) -> dict[str, Any]:
        "Receipt of a successful call."
        return self.mined(
            self.node.send(self.account, contract.address, contract.data(name, *arguments), DEPLOY_GAS), name
        )

    def mined(self, tx_hash: str, what: str) -> dict[str, Any]:
        "Receipt of a transaction that must succeed."
        self.node.mine()
        (receipt,) = self.node.receipts([tx_hash])
        if receipt["status"] != "0x1":
            raise AssertionError(f"{what} failed in block {int(receipt['blockNumber'], 16)}")
        return receipt
