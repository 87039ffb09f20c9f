"""The demo: recorded traffic in, the main job out, offline."""

import json

import httpx
import pytest

from indexer import demo, query, store
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
    assert demo.fill(tmp_path / "demo", lambda *_, **__: None) == 0


def test_simulated_night(tmp_path, capsys):
    "DeFi and a CeFi floor stand side by side with the completeness of each, and each part says that it is simulated."
    demo.run(tmp_path, lambda *_, **__: None)
    printed = capsys.readouterr().out
    with store.connect(tmp_path / demo.DATABASE, read_only=True) as connection:
        steps = query.run(connection, query.named("cefi/side_by_side"), {"step_seconds": "600"}).pl()
        venues = connection.sql(
            "SELECT venue, source, completeness, count(forced_usd) > 400, sum(forced_usd) > 1e7 FROM liquidations"
            " WHERE venue_kind = 'cefi' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        compared = query.run(connection, query.named("cefi/reported_agreement"), {"match_hours": "48"}).pl()
    manifest = json.loads((tmp_path / "parquet" / "manifest.json").read_text())

    assert venues == [
        ("binance", "binance_simulated", "throttled_latest_1s", True, True),
        ("bybit", "bybit_simulated", "full", True, True),
    ]
    assert steps["cefi_floor_usd"].null_count() == steps["defi_lending_usd"].null_count() == 0
    assert steps["cefi_completeness"].unique().to_list() == ["full,throttled_latest_1s"]
    assert steps["cefi_covered_share"].to_list() == steps["defi_covered_share"].to_list()
    assert "simulated on both sides: devnet is a simulated chain; binance_simulated is a simulated source" in printed
    assert "10/10 record" in printed
    assert manifest["simulated_sources"] == ["binance_simulated", "bybit_simulated"]
    assert compared["ours_usd"].null_count() == compared.height


def test_unrecorded_call():
    "A call that was not recorded is an error of the endpoint, never a made-up answer."
    client = httpx.Client(transport=Replay(folder("cassettes") / next(iter(demo.CASSETTES))))
    reply = client.post("http://recorded.invalid", json={"id": 7, "method": "eth_getLogs", "params": [{}]}).json()
    client.close()

    assert reply["id"] == 7
    assert "not recorded" in reply["error"]["message"]


@pytest.mark.parametrize("name", [*demo.CASSETTES, demo.DEPLOYMENTS, *demo.EXCHANGES.values()])
def test_recording_is_small(name):
    "What the demo needs is in the project, below 200 kB a file."
    assert 0 < (folder("cassettes") / name).stat().st_size < 200_000
