"""What provider errors mean: every row of the catalogue, and wordings that no row quotes."""

import json
import re

import pytest

from indexer.rpc_errors import CATALOGUE, classify, from_error, one_line, rules

ROWS = json.loads(CATALOGUE.read_text())
CLASSES = {
    "range",
    "results",
    "response_size",
    "rate",
    "quota",
    "pruned",
    "head_lag",
    "state",
    "transient",
    "params",
    "spurious",
}


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['class']}-{row['message'] or row['http_status'] or row['code']}"
)
def test_row(row):
    "A row's own sample gets its class and its structure, and by no earlier row another class."
    verdict = classify(row["message"] or "", row["data"], code=row["code"], http_status=row["http_status"])

    assert (verdict.kind, verdict.is_structural) == (row["class"], row["structural"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["message"]], ids=lambda row: row["message"])
def test_text_alone(row):
    "The text decides without status and code, and against codes and statuses that say something else."
    alone = classify(row["message"], row["data"]).kind
    misleading = classify(row["message"], row["data"], code=-32005, http_status=503).kind

    assert (alone, misleading) == (row["class"], row["class"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["suggests"] != "none"], ids=lambda row: row["message"])
def test_suggestion(row):
    "A row that suggests a range or a cap yields numbers that stand in its sample."
    verdict = classify(row["message"], row["data"], code=row["code"], http_status=row["http_status"])
    text = f"{row['message']} {row['data']}".replace(",", "").lower()
    numbers = {
        int(found, 16) if found.startswith("0x") else int(found) for found in re.findall(r"0x[0-9a-f]+|\d+", text)
    }
    stated = verdict.suggested or (verdict.max_blocks,)

    assert set(stated) <= numbers | {number * 1000 for number in numbers}


def test_catalogue_is_well_formed():
    "Classes are known, rows of last resort stand last, and each names a status or a code."
    kinds = [rule.kind for rule in rules()]
    resorts = [rule for rule in rules() if rule.pattern is None]

    assert set(kinds) == CLASSES
    assert list(rules()[-len(resorts) :]) == resorts
    assert all((rule.http_status is None) != (rule.code is None) for rule in resorts)
    assert all(row["source"] for row in ROWS)


@pytest.mark.parametrize(
    ("message", "data", "code", "status", "expected"),
    [
        ("limit exceeded", None, -32005, None, ("quota", None, None)),
        ("Limit Exceeded for this project today", None, -32005, None, ("rate", None, None)),
        (
            "invalid params",
            {"payload": "range 9009594 is bigger than range limit 2000"},
            -32602,
            None,
            ("range", None, 2000),
        ),
        ("invalid params", None, -32602, None, ("unknown", None, None)),
        ("eth_getLogs is limited to a 10,000 range", None, -32614, 413, ("range", None, 10_000)),
        ("", None, None, 413, ("params", None, None)),
        ("Monthly capacity limit exceeded.", None, 429, 429, ("quota", None, None)),
        ("", None, 429, None, ("rate", None, None)),
        (
            "Query returned more than 10000 results. Try with this block range [0x1, 0x2].",
            None,
            None,
            None,
            ("results", (1, 2), None),
        ),
        ("You can make eth_getLogs requests with up to a 2K block range.", None, None, None, ("range", None, 2000)),
        ("<html><title>503 Service Unavailable</title></html>", None, None, None, ("transient", None, None)),
    ],
)
def test_order_of_evidence(message, data, code, status, expected):
    "Message and data before status, status before code; digit groups, letters of size and markup are read through."
    verdict = classify(message, data, code=code, http_status=status)

    assert (verdict.kind, verdict.suggested, verdict.max_blocks) == expected


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("range", "requested range exceeds maximum of 2,000 blocks"),
        ("range", "too many blocks requested, please narrow the range"),
        ("range", "query is limited to a span of 450 blocks"),
        ("results", "Exceeded max number of logs 10000"),
        ("results", "your query matches too many events"),
        ("response_size", "Response size exceeded the 100MB limit"),
        ("rate", "You are sending too many requests"),
        ("rate", "request throttled, slow down"),
        ("rate", "limit of 25 requests per second reached"),
        ("quota", "Invalid API key"),
        ("quota", "daily limit reached"),
        ("quota", "this method is not available for your tier"),
        ("pruned", "logs older than 128 blocks are not available"),
        ("state", "this call requires an archive node"),
        ("head_lag", "toBlock is higher than the latest block"),
        ("head_lag", "block 0x123 not found"),
        ("transient", "context deadline exceeded"),
        ("transient", "Connection reset by peer"),
        ("params", "batch size exceeds maximum of 10"),
        ("params", "batch requests are not supported"),
    ],
)
def test_other_wording(kind, message):
    "Wordings that no row quotes get the class of their meaning."
    assert classify(message).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("Too many requests", "rate"),
        ({"code": "-32601", "message": "the method eth_getLogs does not exist/is not available"}, "spurious"),
        ({"status": 429, "error": "rate limit hit"}, "rate"),
        ({"code": -32000, "message": {"text": "header not found"}}, "head_lag"),
        ([], "unknown"),
        (7, "unknown"),
    ],
)
def test_shape_of_error(error, kind):
    "Nodes send texts, lists and nested objects where an error object belongs: each is read, none raises."
    assert from_error(error).kind == kind


def test_messages_hold_no_keys():
    "A URL inside an error is shown as its host: paths and queries hold keys."
    shown = one_line("failed to fetch https://user:pw@node.example/v2/SECRET?key=SECRET\n please retry")

    assert shown == "failed to fetch https://node.example please retry"
