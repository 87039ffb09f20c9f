"""Contracts and node from the npm registry: installed and compiled once into the build folder, never committed."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "devnet"  # ignored by git
INPUTS = ("package.json", "package-lock.json", "compile.js", "solidity/Props.sol")
AAVE = "node_modules/@aave/core-v3/artifacts/contracts"
ANVIL = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
NPM_SECONDS = 60


class Unavailable(Exception):
    "The test chain cannot be built on this machine; the message says why."


def install() -> Path:
    "The build folder with the packages of package-lock.json and the compiled contracts; raises Unavailable."
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unavailable(f"the pinned anvil is built for Linux x86_64, not {platform.system()} {platform.machine()}")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in INPUTS)).hexdigest()
    stamp = BUILD / "installed"
    if stamp.exists() and stamp.read_text() == digest:
        return BUILD
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise Unavailable("npm is not installed, and the protocols' contracts come from its registry")
    stamp.unlink(missing_ok=True)
    for name in INPUTS:
        (BUILD / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, BUILD / name)
    fetch = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
    try:
        fetched = subprocess.run(fetch, cwd=BUILD, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"npm ci did not end within {NPM_SECONDS} s: no registry?") from error
    if fetched.returncode:
        raise Unavailable(f"npm ci failed: {(fetched.stderr.splitlines() or ['no message'])[0]}")
    subprocess.run([node, "compile.js", "compiled.json"], cwd=BUILD, check=True)
    stamp.write_text(digest)
    return BUILD


def artifact(name: str, folder: str | None = None) -> dict[str, Any]:
    "ABI, bytecode and link references of one contract: of Aave from `folder` of its package, else as compiled."
    if folder is None:
        return json.loads((BUILD / "compiled.json").read_text())[name]
    return json.loads((BUILD / AAVE / folder / f"{name}.sol" / f"{name}.json").read_text())
