"""Recorded JSON-RPC traffic as an HTTP transport: the same questions get the recorded answers, in any order and batch."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import httpx
import orjson

if TYPE_CHECKING:
    from pathlib import Path


class Replay(httpx.BaseTransport):
    "Answers of a vcrpy cassette (JSON serializer, gzip), found by method and parameters alone."

    def __init__(self, cassette: Path) -> None:
        document = orjson.loads(gzip.decompress(cassette.read_bytes()))
        self.answers: dict[bytes, dict[str, Any]] = {}
        for interaction in document["interactions"]:
            asked = orjson.loads(interaction["request"]["body"])
            body = orjson.loads(interaction["response"]["body"]["string"])
            calls = asked if isinstance(asked, list) else [asked]
            replies = {reply["id"]: reply for reply in (body if isinstance(body, list) else [body])}
            self.answers |= {key(call): replies[call["id"]] for call in calls}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        "The recorded answers to one request or batch; a call that was not recorded is an error of the endpoint."
        asked = orjson.loads(request.read())
        replies = [self.reply(call) for call in (asked if isinstance(asked, list) else [asked])]
        return httpx.Response(200, content=orjson.dumps(replies if isinstance(asked, list) else replies[0]))

    def reply(self, call: dict[str, Any]) -> dict[str, Any]:
        "The recorded answer under the id that was sent."
        error = {"code": -32601, "message": "required historical state unavailable (not recorded)"}
        return self.answers.get(key(call), {"jsonrpc": "2.0", "error": error}) | {"id": call["id"]}


def key(call: dict[str, Any]) -> bytes:
    "What identifies a call: its method and parameters."
    return orjson.dumps([call["method"], call.get("params", [])], option=orjson.OPT_SORT_KEYS)
