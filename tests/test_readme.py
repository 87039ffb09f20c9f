"""The README is true: its tables are those of the code, its commands run, nothing is left out."""

import re
import shlex
import subprocess
import sys

import click
import pytest

from indexer import demo, query
from indexer.cli import cli
from tests.readme import README, filled

TEXT = README.read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
LINES = [line.removeprefix("$ ") for block in CONSOLE for line in block.splitlines() if line.startswith("$ ")]
# Set-up, a node on the internet and another program: named here, run by hand.
OUTSIDE = ("make ", "pip ", "duckdb ", "jupyter ")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    "The demo's database."
    folder = tmp_path_factory.mktemp("readme")
    demo.fill(folder / "demo", lambda *_, **__: None)
    return folder / "demo" / "demo.duckdb"


def test_tables_are_fresh():
    "`python -m tests.readme` would change nothing."
    assert filled(TEXT) == TEXT


def commands(group, before="indexer"):
    "Every command as one types it."
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


def test_every_command_is_named():
    "No command of the CLI is missing from the README."
    assert [name for name in commands(cli) if name not in TEXT] == []


def test_every_question_is_named():
    "No question of the pack is missing from the README."
    assert [name for name in query.find() if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize(
    "line", [line for line in LINES if not line.startswith(OUTSIDE) and "backfill" not in line and "follow" not in line]
)
def test_commands_run(line, database, tmp_path):
    "Each command of a console block runs on the demo's database, without an error."
    words = shlex.split(line.split("    #")[0])
    ran = subprocess.run(
        [sys.executable, "-m", "indexer.cli", *words[1:]],
        cwd=tmp_path, env={"INDEXER_DB": str(database), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(README.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert words[0] == "indexer"
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr


def test_length():
    "Without its generated tables the README stays short."
    own = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", TEXT, flags=re.DOTALL)

    assert len(own.splitlines()) <= 175
