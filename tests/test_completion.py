"""Completion: what a shell offers after the tab key, and that it answers at once."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import indexer

from indexer import completion, pack
from indexer.cli import cli

ROOT = Path(__file__).parents[1]
ASK = """
eval "$(indexer completion bash)"
COMP_LINE=$1; COMP_POINT=${#COMP_LINE}
_indexer_completion indexer 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(line, monkeypatch):
    "What is offered for the last word of `line`."
    monkeypatch.setenv("COMP_WORDS", line)
    told = completion.Bash(cli, {}, "indexer", completion.VARIABLE).complete()
    return [item.removeprefix("plain,") for item in told.split()]


@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("indexer que", ["query"]),
        ("indexer backfill ", ["cefi", "context", "evm", "hyperliquid"]),
        ("indexer query whales/", [name for name in pack.find() if name.startswith("whales/")]),
        ("indexer query larg", ["largest_liquidated"]),
        ("indexer query waves -p s", ["since=", "scope=", "smooth_buckets="]),
        ("indexer query waves -p since=2025-10-10 -p s", ["scope=", "smooth_buckets="]),
        ("indexer query waves -p no_such=", []),
        ("indexer query no_such -p spl", ["split="]),
        ("indexer query market_split -p split=", [f"split={one}" for one in pack.CHOICES["split"]]),
        ("indexer query market_split -p venue_kind=c", ["venue_kind=cefi"]),
        ("indexer query market_split -p venues=aave_v3,spa", ["venues=aave_v3,spark"]),
        ("indexer query market_split -p venues=okx,ok", []),
        ("indexer query market_split -p assets=BT", ["assets=BTC"]),
        ("indexer query contagion_order -p reference_asset=BT", ["reference_asset=BTC"]),
        ("indexer query market_split --format=c", ["csv"]),
        ("indexer query market_split --db demo/", ["file,demo/"]),
        ("INDEXER_DB=x indexer backfill evm --chain arb", ["arbitrum"]),
        ("indexer backfill evm --protocol compound", ["compound_v2", "compound_v3"]),
        ("indexer backfill cefi --venue coin", ["coinalyze", "coinglass"]),
        ("indexer follow cefi --venue coin", []),
        ("indexer follow cefi --venue byb", ["bybit"]),
        ("indexer export parquet --dataset liq", ["liquidations"]),
        ("indexer completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_offers(line, items, monkeypatch):
    "Commands, questions, parameters and their values, chains, protocols, venues, tables, files."
    assert offered(line, monkeypatch) == items


def test_venues_are_those_that_rows_may_have():
    "Forks stand by their own name, beside Hyperliquid and the exchanges."
    names = completion.venue_names()

    assert {"aave_v3", "spark", "gmx_v2", "hyperliquid", "binance", "okx"} <= set(names)
    assert len(names) == len(set(names)) > 100


@pytest.fixture
def shell(tmp_path):
    "A bash with `indexer` on its path: a line in, what it would put in place of the last word out."
    program = tmp_path / "indexer"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m indexer.cli "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def ask(line):
        ran = subprocess.run(
            ["bash", "--norc", "-c", ASK, "bash", line], cwd=ROOT, env=os.environ | {"PATH": path},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stderr == ""
        return ran.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("indexer query cascades/wa", ["cascades/waves"]),
        ("indexer query waves -p tr", ["trough="]),
        ("indexer query market_split -p split=si", ["side"]),
        ("indexer query market_split -p venues=aave_v3,spa", ["aave_v3,spark"]),
    ],
)
def test_bash(shell, line, items):
    "Bash breaks words at `=`: what stands before it is not offered again."
    assert shell(line) == items


@pytest.mark.parametrize("name", completion.SHELLS)
def test_script(name):
    "Each shell gets a script that asks us back."
    told = indexer("completion", name)

    assert (told.code, told.err) == (0, "")
    assert f"{completion.VARIABLE}={name}_complete" in told.out


def test_an_unknown_shell():
    "Another shell is refused with those that are known."
    told = indexer("completion", "ksh")

    assert (told.code, told.out) == (2, "")
    assert "'bash', 'zsh', 'fish'" in told.err


def test_answers_at_once():
    "Completing loads neither duckdb, polars nor web3."
    code = (
        "import sys; from indexer.cli import main\n"
        "try: main()\n"
        "finally: print([name for name in ('web3', 'polars', 'duckdb', 'pyarrow', 'rich') if name in sys.modules])"
    )
    asked = {"COMP_WORDS": "indexer query market_split -p venues=", completion.VARIABLE: "bash_complete"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | asked, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"
    assert "plain,venues=spark" in ran.stdout
