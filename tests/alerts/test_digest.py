"""The digest of a report: from the asset through the outbox to the channels."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import dagster as dg
import jsonschema
import pytest

from llmops_jobs.alerts import digest, outbox
from llmops_jobs.alerts.channels import email, slack, teams
from llmops_jobs.alerts.delivery import deliver
from llmops_jobs.alerts.settings import AlertSettings, Channel, Hours
from llmops_jobs.report.build import build
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.tell import tell
from llmops_jobs.store import Database
from tests.alerts.receiver import receiving
from tests.report.marts import LAST, PROJECT, fill

HOOK = Channel(name="hook", kind="webhook", url_env="HOOK", allow_private=True, digest=True)
SETTINGS = AlertSettings(channels=(Channel(name="log", kind="log"), HOOK))
MORNING = datetime(LAST.year, LAST.month, LAST.day, 2, tzinfo=UTC) + timedelta(days=1)
URL = "https://reports.example/p/day.html"


def _tell(database: Database, now: datetime = MORNING) -> int:
    report = build(database, ReportSettings(), PROJECT, "day", LAST)
    return tell(database, SETTINGS, report, URL, now=now)


def test_a_digest_is_sent_once_to_the_channels_that_ask_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, days=40, only=("usage_daily", "project"), tenants=("acme",))
    assert [_tell(database) for _ in range(3)] == [1, 0, 0]  # the night is run again
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        assert deliver(database, SETTINGS, clock=lambda: MORNING).sent == 1
    (body,) = receiver.bodies
    assert (body["kind"], body["event_key"]) == ("digest", f"{PROJECT}:digest:{LAST}")
    assert body["report"] == URL
    assert len(body["also"]) >= 1
    assert "faces" not in body


def test_a_day_long_past_has_no_digest(database: Database) -> None:
    fill(database, days=10, only=("usage_daily", "project"), tenants=("acme",))
    assert _tell(database, MORNING + timedelta(days=1)) == 0
    assert outbox.counts(database, MORNING) == (0, 0, 0)


def test_every_channel_shows_the_digest_in_its_own_form(database: Database) -> None:
    from tests.alerts.test_channels import SLACK

    fill(database, days=40, only=("usage_daily", "project"), tenants=("acme",))
    assert _tell(database) == 1
    message = json.loads(database.table("notification")["payload"].iloc[0])
    blocks = slack.payload(message)
    jsonschema.validate(blocks, SLACK)
    assert URL in json.dumps(blocks)
    channel = Channel(
        name="m", kind="email", url_env="X", to=("a@example.org",), sender="l@example.org"
    )
    mail = email.compose(channel, "k", message, MORNING)
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert read["Subject"] == message["summary"]
    assert read["In-Reply-To"] is None
    assert URL in read.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert URL in json.dumps(teams.payload(message))


def test_a_digest_waits_for_business_hours(database: Database) -> None:
    channel = HOOK.model_copy(update={"hours": Hours()})
    settings = AlertSettings(channels=(channel,))
    day = date(2026, 3, 20)  # a Friday; its report is made on Saturday
    now = datetime(2026, 3, 21, 2, tzinfo=UTC)
    queued = digest.queue_digest(
        *(database, settings, "p", day, "a quiet day", []), faces={}, address="", now=now
    )
    assert queued == 1
    assert database.table("notification")["due_at"].iloc[0] == datetime(2026, 3, 23, 9, tzinfo=UTC)


def test_a_pager_is_not_for_digests() -> None:
    with pytest.raises(ValueError, match="is for incidents"):
        Channel(name="p", kind="pagerduty", secret_env="K", digest=True)


def test_a_night_s_report_reaches_the_channel_by_the_sensor_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_langfuse: None
) -> None:
    from llmops_jobs.definitions import build_defs
    from llmops_jobs.launch import materialize
    from llmops_jobs.resources import DeploymentResource
    from llmops_jobs.sensors import deliver_alerts

    hook = "{name: hook, kind: webhook, url_env: HOOK, allow_private: true, digest: true}"
    config = tmp_path / "llmops.yaml"
    config.write_text(f"projects: [{{id: {PROJECT}}}]\nalerts: {{channels: [{hook}]}}\n")
    monkeypatch.setenv("LLMOPS_CONFIG", str(config))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_DATABASE_URL", raising=False)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    database = DeploymentResource().open().database
    only = ("usage_daily", "project")
    fill(database, last=yesterday, days=40, only=only, tenants=("acme",))
    with receiving() as receiver, dg.instance_for_test() as instance:
        monkeypatch.setenv("HOOK", receiver.url)
        for _ in range(2):  # the night, and the night again
            outcome = materialize(yesterday, yesterday, instance=instance, select="report")
            assert outcome.success, outcome.error
            context = dg.build_sensor_context(instance=instance)
            asked = deliver_alerts(context, deployment=DeploymentResource())
            if isinstance(asked, dg.SensorResult):
                job = build_defs().resolve_job_def("delivery")
                assert job.execute_in_process(instance=instance).success
        assert str(asked.skip_message) == "no message is due"
    (body,) = receiver.bodies
    assert (body["kind"], body["day"]) == ("digest", str(yesterday))
    assert body["report"] == ""  # a page that is not on the web is no link
    assert body["summary"] and body["also"]
