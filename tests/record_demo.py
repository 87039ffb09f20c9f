"""Record the demo's cassette with vcrpy from our own engine against a node that serves the recorded chain.

Run it with `python -m tests.record_demo` when the engine asks something new; tests/test_demo.py fails until then.
"""

import gzip
import json
import shutil
import tempfile
import threading
from pathlib import Path

import vcr
from vcr.serialize import serialize

from indexer import demo
from indexer.backfill import evm
from tests.node import rpc_node

CASSETTES = Path(__file__).parent.parent / "cassettes"
RECORDING = Path(__file__).parent / "devnet_recording"


class Gzipped:
    "A vcrpy persister: JSON, compressed without a time stamp, so that the same traffic is the same file."

    @classmethod
    def load_cassette(cls, *_, **__):
        "Nothing is replayed here."
        raise vcr.persisters.filesystem.CassetteNotFoundError

    @staticmethod
    def save_cassette(path, cassette, serializer):
        "Write what was recorded, each question once, in an order of its own."
        document = json.loads(serialize(cassette, serializer))
        once = {one["request"]["body"]: one for one in document["interactions"]}
        for one in once.values():
            one["request"]["uri"] = "http://recorded.invalid/"
            one["request"]["headers"] = {}
            one["response"]["headers"] = {"content-type": ["application/json"]}
        document["interactions"] = [once[body] for body in sorted(once)]
        Path(path).write_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0))


def main():
    "Write the cassettes of the demo and the deployments beside them."
    options = rpc_node.parser().parse_args([str(RECORDING / "chain.json.gz"), "--port", "0"])
    server, _ = rpc_node.serve(options)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shutil.copy(RECORDING / "deployments.json", CASSETTES / demo.DEPLOYMENTS)
    recorder = vcr.VCR(serializer="json", record_mode="all", decode_compressed_response=True)
    recorder.register_persister(Gzipped)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as folder:
        for name, datasets in demo.CASSETTES.items():
            with recorder.use_cassette(str(CASSETTES / name)):
                evm(Path(folder) / "a.duckdb", demo.options(CASSETTES, url, datasets), lambda *_, **__: None)
    server.shutdown()


if __name__ == "__main__":
    main()
