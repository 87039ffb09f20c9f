"""A headless Chromium that opens one page and tells what it saw: requests, errors, layout."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--remote-debugging-port=0",
)  # fmt: skip
PATIENCE_SECONDS = 60


def binary() -> str | None:
    "The browser of this machine, or None."
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Tab(NamedTuple):
    "A tab under DevTools: `ask` gives a command's result, everything else that happened stands in `events`."

    socket: Any
    numbers: Iterator[int]
    events: list[dict[str, Any]]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        "The result of a DevTools command."
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_SECONDS))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def value(self, script: str) -> Any:
        "What a script in the page gives."
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"]["value"]

    def open(self, path: Path) -> None:
        "Load a file and wait until it is there."
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv(timeout=PATIENCE_SECONDS)))

    def seen(self, method: str) -> list[dict[str, Any]]:
        "What events of a kind carried."
        return [event["params"] for event in self.events if event["method"] == method]


@contextlib.contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    "A fresh browser with one empty tab."
    process = subprocess.Popen(
        [str(binary()), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = written(profile / "DevToolsActivePort").splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_SECONDS) as reply:
            pages = [one for one in json.load(reply) if one["type"] == "page"]
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Tab(socket, itertools.count(1), [])
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def written(path: Path) -> str:
    "The text of a file that another process is about to write."
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if path.exists() and "\n" in (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise TimeoutError(f"{path} was not written")
