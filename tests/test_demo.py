"""The demo: recorded traffic in, the main job out, offline."""

import httpx
import pytest

from indexer import demo
from indexer.abi import folder
from indexer.replay import Replay


def test_demo(tmp_path, capsys):
    "Everything the demo promises is there: rows, answers, Parquet, and that it is a simulation."
    notes = []
    code = demo.run(tmp_path / "demo", lambda line, **_: notes.append(line))
    printed = capsys.readouterr().out

    assert code == 0
    assert "simulation" in notes[0]
    assert "0x9df7d09b567fce3f2ac0bcea45369fdd0e74aeb6" in printed
    assert (tmp_path / "demo" / "parquet" / "manifest.json").exists()
    assert demo.run(tmp_path / "demo", lambda *_, **__: None) == 0


def test_unrecorded_call():
    "A call that was not recorded is an error of the endpoint, never a made-up answer."
    client = httpx.Client(transport=Replay(folder("cassettes") / demo.CASSETTE))
    reply = client.post("http://recorded.invalid", json={"id": 7, "method": "eth_getLogs", "params": [{}]}).json()
    client.close()

    assert reply["id"] == 7
    assert "not recorded" in reply["error"]["message"]


@pytest.mark.parametrize("name", [demo.CASSETTE, demo.DEPLOYMENTS])
def test_recording_is_small(name):
    "What the demo needs is in the project, below 200 kB a file."
    assert 0 < (folder("cassettes") / name).stat().st_size < 200_000
