"""A server that answers `POST /info` in the format the API documents, with its page and reach limits, on loopback."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class InfoServer(ThreadingHTTPServer):
    "Accounts with their fills and ledger updates; `page` and `reach` are small, so that tests meet them."

    daemon_threads = True

    def __init__(self, fills=None, ledger=None, *, page=2000, reach=10_000, failures=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fills, self.ledger = fills or {}, ledger or {}
        self.page, self.reach, self.failures = page, reach, list(failures)
        self.answers = {}
        self.asked = []

    @property
    def url(self):
        "Base URL."
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body):
        "The reply to one request."
        if body["type"] in self.answers:
            return self.answers[body["type"]]
        stored = {"userFillsByTime": self.fills, "userNonFundingLedgerUpdates": self.ledger}[body["type"]]
        rows = sorted(stored.get(body["user"], []), key=lambda row: row["time"])[-self.reach :]
        until = body.get("endTime", 2**60)
        return [row for row in rows if body["startTime"] <= row["time"] <= until][: self.page]


class Handler(BaseHTTPRequestHandler):
    "One request."

    def do_POST(self):
        "Answer, or fail as told."
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        status = self.server.failures.pop(0) if self.server.failures else 200
        known = self.path == "/info" and status == 200
        reply = json.dumps(self.server.answer(body) if known else {"error": "told so"}).encode()
        self.send_response(status if self.path == "/info" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        "Quiet."


@contextlib.contextmanager
def serving(**options):
    "A running server."
    with InfoServer(**options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
