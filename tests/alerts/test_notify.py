"""The extra `notify`, really sending through Apprise; skipped where it is not installed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llmops_jobs.alerts.channels import RefusedError, RetryLaterError, send
from llmops_jobs.alerts.settings import Channel
from tests.alerts.receiver import receiving
from tests.alerts.test_channels import MESSAGE, RESOLVED

pytest.importorskip("apprise", reason="the extra is not installed: llmops-jobs[notify]")

NOW = datetime(2026, 3, 5, 2, tzinfo=UTC)
CHANNEL = Channel(name="all", kind="notify", url_env="ANY")


def _address(url: str) -> str:
    return url.replace("http://", "json://")


def test_a_message_arrives_as_title_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("ANY", _address(receiver.url))
        send(CHANNEL, "abc:1:open", MESSAGE, NOW)
        send(CHANNEL, "abc:1:resolve", RESOLVED, NOW)
    first, second = receiver.bodies
    assert first["title"].startswith("New (critical): model")
    assert "https://example.org/project/p/traces/t?observation=o" in first["message"]
    assert "tenant=acme (80%)" in first["message"]
    assert "llmops alerts ack abcdef012345" in first["message"]
    assert first["type"] == "failure"
    assert second["title"].startswith("Resolved: model")
    assert second["type"] == "success"


def test_a_service_that_does_not_answer_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("ANY", _address(receiver.url))
        receiver.answers = [503]
        with pytest.raises(RetryLaterError, match=r"^all: the service did not accept it$"):
            send(CHANNEL, "k", MESSAGE, NOW)
    assert receiver.bodies == []


def test_an_address_that_apprise_does_not_know_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANY", "nonsense://hunter2@example")
    with pytest.raises(RefusedError, match="ANY is no address that Apprise knows") as error:
        send(CHANNEL, "k", MESSAGE, NOW)
    assert "hunter2" not in str(error.value)
