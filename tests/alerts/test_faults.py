"""What goes wrong around the messages, and that none is lost for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.channels import alertmanager, email, http, pagerduty, slack, teams, words
from llmops_jobs.alerts.delivery import deliver
from llmops_jobs.alerts.evaluate import evaluate_day
from llmops_jobs.alerts.settings import AlertSettings, Channel, Rule
from llmops_jobs.store import Database
from tests.alerts.kills import HOOK, NOW, message, queue
from tests.alerts.receiver import receiving
from tests.alerts.test_channels import MESSAGE
from tests.alerts.traffic import usage
from tests.alerts.watching import at
from tests.facts import DAY, PROJECT

SETTINGS = AlertSettings(channels=(HOOK,))


def test_an_endpoint_that_is_too_slow_is_tried_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(database, 1)
    monkeypatch.setattr(http, "TIMEOUT", 0.2)
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        receiver.delay = 0.6
        begun = time.monotonic()
        done = deliver(database, SETTINGS, clock=lambda: NOW)
        assert time.monotonic() - begun < 0.6
        assert (done.retried, done.sent) == (1, 0)
        receiver.delay = 0.0
        later = NOW + timedelta(minutes=5)
        assert deliver(database, SETTINGS, clock=lambda: later).sent == 1
    assert done.resting == {"hook"}


def test_an_answer_that_was_lost_repeats_the_message_with_its_key(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = queue(database, 1)
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        receiver.answers = [-1]  # taken, and the connection dropped before the answer
        assert deliver(database, SETTINGS, clock=lambda: NOW).retried == 1
        later = NOW + timedelta(minutes=5)
        assert deliver(database, SETTINGS, clock=lambda: later).sent == 1
    assert len(receiver.bodies) == 2
    assert receiver.keys_seen() == keys


def test_a_server_that_is_down_for_ten_minutes_gets_everything_afterwards(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = queue(database, 5)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/")
    for second in range(0, 600, 30):
        now = NOW + timedelta(seconds=second)
        deliver(database, SETTINGS, clock=at(now))
    assert outbox.counts(database, NOW)[2] == 0  # none was given up
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        for minute in range(10, 40, 5):
            now = NOW + timedelta(minutes=minute)
            deliver(database, SETTINGS, clock=at(now))
    assert sorted(body["event_key"] for body in receiver.bodies) == sorted(keys)


def test_a_night_whose_database_was_gone_tells_when_it_is_run_again(database: Database) -> None:
    settings = AlertSettings(
        built_in=False, rules=(Rule(name="errors", metric="error_rate", above=0.05),)
    )
    usage(database, DAY, [{"errors": 300}])
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE notification RENAME TO away"))
    with pytest.raises(sa.exc.OperationalError):
        evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    # The incident and its message are one transaction: neither is there.
    assert len(database.table("incident")) == 0
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO notification"))
    for _ in range(2):
        evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    assert database.table("notification")["kind"].tolist() == ["open"]


def test_a_message_that_cannot_be_written_is_given_up_and_holds_up_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL", "smtp://127.0.0.1:1")
    mail = Channel(name="mail", kind="slack", url_env="HOOK", allow_private=True)
    settings = AlertSettings(channels=(HOOK, mail))
    broken = {**message(1), "labels": "no mapping", "summary": "words of a user"}
    with database.engine.begin() as connection:
        for name, body in (("mail", broken), ("hook", message(2))):
            outbox.queue_plain(
                *(database, connection, settings, f"{name}:1:open", body), now=NOW, channels=[name]
            )
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        done = deliver(database, settings, clock=lambda: NOW)
    assert (done.sent, done.dead) == (1, 1)
    errors = database.table("notification").set_index("channel")["last_error"]
    assert errors["mail"] == "mail: AttributeError while writing it"


def test_a_clock_that_goes_back_neither_opens_nor_ends_anything(database: Database) -> None:
    settings = AlertSettings(
        built_in=False, rules=(Rule(name="errors", metric="error_rate", above=0.05),)
    )
    usage(database, DAY, [{"errors": 300}])
    for now in (NOW, NOW - timedelta(days=2), NOW - timedelta(hours=5)):
        evaluate_day(database, settings, PROJECT, DAY, now=now)
    assert database.table("incident")["state"].tolist() == ["open"]
    assert database.table("notification")["kind"].tolist() == ["open"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("rules: [{name: r, metric: eror_rate, above: 1}]", "unknown metric eror_rate"),
        ("rules: [{name: r, metric: error_rate, above: 1, channels: [pagr]}]", "no channel pagr"),
        ("rules: [{name: r, metric: error_rate, above: 1, severity: grave}]", "severity"),
        ("channels: [{name: c, kind: slack, url_env: NOT_SET}]", "NOT_SET not set"),
    ],
)
def test_the_doctor_finds_what_could_reach_nobody(
    section: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmops_jobs.cli.doctor import command

    (tmp_path / "llmops.yaml").write_text(f"alerts:\n  {section}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    for name in ("LLMOPS_CONFIG", "LLMOPS_DATABASE_URL", "LANGFUSE_BASE_URL", "NOT_SET"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 1
    assert says in " ".join(done.output.split())


def test_the_doctor_tells_of_messages_that_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmops_jobs.cli.doctor import command
    from llmops_jobs.deployment import Deployment

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    for name in ("LLMOPS_CONFIG", "LLMOPS_DATABASE_URL", "LANGFUSE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    database = Deployment.from_environment().database
    queue(database, 1)
    held = outbox.lease(database, NOW)
    assert held is not None
    outbox.mark(database, held, status="dead", now=NOW, last_error="hook: HTTP 410")
    output = CliRunner().invoke(command, []).output
    assert "llmops alerts list --dead" in output


_MAIL = Channel(name="m", kind="email", url_env="X", to=("a@b.org",), sender="l@b.org")
_FACES: dict[str, Callable[[dict[str, Any]], str]] = {
    "slack": lambda m: json.dumps(slack.payload(m)),
    "teams": lambda m: json.dumps(teams.payload(m)).replace("\\\\", ""),
    "pagerduty": lambda m: json.dumps(pagerduty.payload(m, "k" * 32)),
    "alertmanager": lambda m: json.dumps(alertmanager.alert(m, NOW)),
    "email, text": email.text,
    "email, html": email.page,
}


@pytest.mark.parametrize("face", sorted(_FACES))
def test_every_channel_names_the_slice_and_links_to_the_trace(face: str) -> None:
    shown = _FACES[face](MESSAGE)
    assert "https://example.org/project/p/traces/t?observation=o" in shown
    assert "tenant=acme" in shown
    assert "https://example.org/runbook" in shown
    assert words.also(MESSAGE)[0].split(":")[0] in shown


def test_what_is_back_in_its_interval_but_not_in_order_stays_open(database: Database) -> None:
    """Hysteresis: opened five points above the usual, it holds while half of that is left."""
    rule = Rule(name="errors", metric="error_rate", rises_by=0.05, baseline_days=7)
    settings = AlertSettings(built_in=False, rules=(rule,))
    for ago in range(1, 9):
        usage(database, DAY - timedelta(days=ago), [{"errors": 20}])
    states = []
    for ahead, errors in enumerate((100, 60, 30)):  # 10 %, 6 %, 3 % of usually 2 %
        day = DAY + timedelta(days=ahead)
        usage(database, day, [{"errors": errors}])
        evaluate_day(database, settings, PROJECT, day, now=NOW + timedelta(days=ahead))
        states += database.table("incident")["state"].tolist()
    assert states == ["open", "open", "resolved"]
