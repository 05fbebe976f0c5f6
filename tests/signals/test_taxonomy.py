"""The taxonomy on labelled messages: made up, of public threads, and of other people's code.

Every message was labelled before the rules saw it. The rules have since been extended with all of
them but those of `errors_unseen.tsv`, which say what to expect of messages that are new.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from llmops_jobs.signals.taxonomy import ERROR_TYPES, error_type

HERE = Path(__file__).parent / "data"


def labelled(name: str) -> list[tuple[str, str]]:
    with (HERE / name).open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row[0], row[2]) for row in rows]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("provider_errors.tsv", 0.99),
        ("provider_errors_held_out.tsv", 0.99),
        ("errors_of_threads.tsv", 0.99),
        ("errors_unseen.tsv", 0.88),
    ],
)
def test_labelled_messages_get_their_class(name: str, share: float) -> None:
    rows = labelled(name)
    wrong = [(label, error_type(text), text) for label, text in rows if error_type(text) != label]
    assert len(wrong) <= (1 - share) * len(rows), wrong


def test_every_label_is_a_class_and_every_class_is_labelled() -> None:
    labels = {label for label, _ in labelled("provider_errors_held_out.tsv")}
    assert labels == set(ERROR_TYPES)


@pytest.mark.parametrize(
    ("finish_reason", "expected"),
    [("content_filter", "content_filter"), ("SAFETY", "content_filter"), ("stop", "unknown")],
)
def test_without_a_message_the_finish_reason_speaks(finish_reason: str, expected: str) -> None:
    assert error_type("", finish_reason) == expected


def test_a_number_that_looks_like_a_status_is_none() -> None:
    assert error_type("gave up: only 500 of 503 rows were there") == "unknown"
    assert error_type("Error code: 503 - no message") == "provider_5xx"
    assert error_type("HTTP 418 teapot") == "bad_request"


def test_hostile_messages_are_read_in_no_time() -> None:
    for text in ("a" * 1_000_000, "(" * 100_000, "error '" * 50_000, "\x00\ud800" * 5_000):
        assert error_type(text) in ERROR_TYPES
