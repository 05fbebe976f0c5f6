"""Every kind of channel against a real receiver or its documented form."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from llmops_jobs.alerts.channels import (
    RefusedError,
    RetryLaterError,
    alertmanager,
    pagerduty,
    send,
    slack,
    teams,
)
from llmops_jobs.alerts.channels.webhook import signature
from llmops_jobs.alerts.settings import Channel
from llmops_jobs.errors import ConfigError
from tests.alerts.receiver import receiving

NOW = datetime(2026, 3, 5, 2, tzinfo=UTC)
HOSTILE = "<!channel> <script>alert(1)</script> [x](http://evil) & co"
MESSAGE: dict[str, Any] = {
    "kind": "open",
    "dedup_key": "abc:1",
    "fingerprint": "abcdef0123456789",
    "episode": 1,
    "project_id": "p",
    "rule": "error-rate",
    "labels": {"model": HOSTILE},
    "severity": "critical",
    "summary": f"model {HOSTILE}: failed model calls 20 %",
    "owner": "search",
    "runbook": "https://example.org/runbook",
    "traces": ["https://example.org/project/p/traces/t?observation=o", "javascript:alert(1)"],
    "contributions": [{"slice": "tenant=acme", "share": 0.8}],
    "also": ["feature chat: failed model calls 9 %"],
    "first_day": "2026-03-04",
    "day": "2026-03-04",
}
RESOLVED = {**MESSAGE, "kind": "resolve", "why": "back to usual"}

# https://developer.pagerduty.com/docs/send-alert-event: required members and limits.
PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": {"type": "string"},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "maxLength": 1024},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "custom_details": {"type": "object"},
            },
        },
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {"href": {"type": "string", "pattern": "^https?://"}},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "additionalProperties": False,
}
_TEXT: dict[str, Any] = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"enum": ["mrkdwn", "plain_text"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 3000},
        "emoji": {"type": "boolean"},  # of plain text only
    },
    "additionalProperties": False,
    "if": {"properties": {"type": {"const": "mrkdwn"}}},
    "then": {"not": {"required": ["emoji"]}},
}
_FIELD = {
    **_TEXT,
    "properties": {
        **_TEXT["properties"],
        "text": {"type": "string", "minLength": 1, "maxLength": 2000},
    },
}
# https://docs.slack.dev/reference/block-kit/blocks: the blocks in use and their limits.
SLACK = {
    "type": "object",
    "required": ["text", "blocks"],
    "properties": {
        "text": {"type": "string", "minLength": 1},
        "blocks": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {
                            "type": {"const": "header"},
                            "text": {
                                **_TEXT,
                                "properties": {
                                    **_TEXT["properties"],
                                    "type": {"const": "plain_text"},
                                    "text": {"type": "string", "minLength": 1, "maxLength": 150},
                                },
                            },
                        },
                        "additionalProperties": False,
                    },
                    {
                        "type": "object",
                        "required": ["type"],
                        "properties": {
                            "type": {"const": "section"},
                            "text": _TEXT,
                            "fields": {"type": "array", "maxItems": 10, "items": _FIELD},
                        },
                        "anyOf": [{"required": ["text"]}, {"required": ["fields"]}],
                        "additionalProperties": False,
                    },
                    {
                        "type": "object",
                        "required": ["type", "elements"],
                        "properties": {
                            "type": {"const": "context"},
                            "elements": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 10,
                                "items": _TEXT,
                            },
                        },
                        "additionalProperties": False,
                    },
                ]
            },
        },
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("kind", ["open", "reminder", "escalate", "acknowledge", "resolve"])
def test_payloads_keep_to_the_documented_schemas(kind: str) -> None:
    message = {**MESSAGE, "kind": kind, "summary": MESSAGE["summary"] + " long" * 500}
    jsonschema.validate(pagerduty.payload(message, "k" * 32), PAGERDUTY)
    jsonschema.validate(slack.payload(message), SLACK)


def test_pagerduty_triggers_acknowledges_and_resolves_one_alert() -> None:
    events = [
        pagerduty.payload({**MESSAGE, "kind": kind}, "k" * 32)
        for kind in ("open", "acknowledge", "resolve")
    ]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {"abc:1"}


def test_hostile_text_stays_text() -> None:
    in_slack = json.dumps(slack.payload(MESSAGE))
    assert "<!channel>" not in in_slack
    assert "<script" not in in_slack
    assert "javascript:" not in in_slack
    in_teams = json.dumps(teams.payload(MESSAGE))
    assert "[x](http" not in in_teams
    assert "javascript:" not in in_teams


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from aiosmtpd.controller import Controller

    class Handler:
        def __init__(self) -> None:
            self.mails: list[Any] = []
            self.answer = "250 accepted"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            if self.answer.startswith("250"):
                self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return self.answer

    handler = Handler()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setenv("SMTP", f"smtp://127.0.0.1:{port}")
    try:
        yield handler
    finally:
        controller.stop()


MAIL = Channel(
    name="mail", kind="email", url_env="SMTP", to=("a@example.org",), sender="llmops@example.org"
)


def test_an_e_mail_has_text_html_and_one_thread(mailbox: Any) -> None:
    send(MAIL, "abc:1:open", MESSAGE, NOW)
    send(MAIL, "abc:1:resolve", RESOLVED, NOW)
    first, second = mailbox.mails
    assert first["Subject"].startswith("New (critical): model")
    assert second["In-Reply-To"] == first["Message-ID"]
    html = first.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "javascript:" not in html
    assert 'href="https://example.org/project/p/traces/t?observation=o"' in html
    assert "llmops alerts ack abcdef012345" in first.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("answer", "expected"), [("451 later", RetryLaterError), ("554 no", RefusedError)]
)
def test_smtp_answers_decide_about_another_try(
    mailbox: Any, answer: str, expected: type[Exception]
) -> None:
    mailbox.answer = answer
    with pytest.raises(expected, match=r"^mail: SMTP \d+$"):
        send(MAIL, "k", MESSAGE, NOW)


def test_no_password_of_an_address_is_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP", "smtp://user:hunter2@127.0.0.1:1")
    with pytest.raises(RetryLaterError) as error:
        send(MAIL, "k", MESSAGE, NOW)
    assert "hunter2" not in str(error.value)


def _hook(**more: Any) -> Channel:
    return Channel(name="hook", kind="webhook", url_env="HOOK", **more)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
    ],
)
def test_metadata_and_link_local_addresses_are_never_spoken_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", address)
    with pytest.raises(RefusedError, match="link-local or metadata"):
        send(_hook(allow_private=True), "k", MESSAGE, NOW)


def test_private_addresses_need_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        with pytest.raises(RefusedError, match="allow_private"):
            send(_hook(), "k", MESSAGE, NOW)
        send(_hook(allow_private=True), "k", MESSAGE, NOW)
        assert len(receiver.bodies) == 1


def test_redirects_are_refused_and_retry_after_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        receiver.answers = [307, 429]
        with pytest.raises(RefusedError, match="redirects are not followed"):
            send(_hook(allow_private=True), "k", MESSAGE, NOW)
        receiver.retry_after = "17"
        with pytest.raises(RetryLaterError) as error:
            send(_hook(allow_private=True), "k", MESSAGE, NOW)
        assert error.value.after == 17


def test_a_dropped_connection_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        receiver.answers = [0]  # closes without an answer
        with pytest.raises(RetryLaterError, match="RemoteProtocolError"):
            send(_hook(allow_private=True), "k", MESSAGE, NOW)


def test_a_standard_webhooks_secret_is_decoded() -> None:
    # The example of the specification's own reference libraries.
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_channel_without_its_variable_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK", raising=False)
    with pytest.raises(ConfigError, match="set SLACK in the environment"):
        send(Channel(name="s", kind="slack", url_env="SLACK"), "k", MESSAGE, NOW)


@pytest.fixture
def real_alertmanager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("no Alertmanager is installed (Debian: prometheus-alertmanager)")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("AM", url)
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/-/ready", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


def test_the_real_alertmanager_keeps_one_alert_and_forgets_it_when_resolved(
    real_alertmanager: str,
) -> None:
    channel = Channel(name="am", kind="alertmanager", url_env="AM", allow_private=True)
    now = datetime.now(UTC)
    message = {**MESSAGE, "first_day": (now - timedelta(days=3)).date().isoformat()}

    def active() -> list[Any]:
        found = httpx.get(f"{real_alertmanager}/api/v2/alerts").json()
        return [alert for alert in found if alert["status"]["state"] == "active"]

    for kind in ("open", "refresh", "refresh"):
        send(channel, "k", {**message, "kind": kind}, now)
    (alert,) = active()
    assert alert["labels"]["alertname"] == "error-rate"
    assert alert["startsAt"].startswith(message["first_day"])
    assert datetime.fromisoformat(alert["endsAt"]) > now + timedelta(hours=25)
    send(channel, "k", {**message, "kind": "resolve"}, now)
    assert active() == []


def test_an_alert_that_begins_after_it_ends_is_never_made() -> None:
    early = datetime(2026, 3, 3, tzinfo=UTC)
    made = alertmanager.alert(RESOLVED, early)
    assert made["startsAt"] <= made["endsAt"]
