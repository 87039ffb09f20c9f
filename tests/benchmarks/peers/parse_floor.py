"""The floor: fetch, orjson.loads, throw away."""

from __future__ import annotations

import httpx
import orjson

from tests.benchmarks.peers import common


def main() -> None:
    "Read the chain."
    options = common.options(__doc__)
    with httpx.Client() as client:
        for first, last in common.ranges(options):
            answer = client.post(options.rpc, content=orjson.dumps(common.get_logs(first, last)), headers=common.JSON)
            orjson.loads(answer.content)


main()
