"""The sensors, asked by Dagster's own context."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from llmops_jobs.resources import DeploymentResource
from llmops_jobs.sensors import deliver_alerts, failed_runs, heartbeat
from llmops_jobs.store import Database
from tests.alerts.kills import message


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    for name in ("LLMOPS_CONFIG", "LLMOPS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return DeploymentResource().open().database


def _failing_job() -> dg.JobDefinition:
    @dg.op
    def breaks() -> None:
        raise ValueError("words of a user")

    @dg.job
    def breaking() -> None:
        breaks()

    return breaking


def test_a_failed_run_becomes_an_incident_without_the_errors_words(home: Database) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        _failing_job().execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_sensor_context(instance=instance, cursor=before)
        answer = failed_runs(context, deployment=DeploymentResource())
        assert isinstance(answer, dg.SensorResult)
        assert answer.skip_reason is not None
        assert answer.skip_reason.skip_message == "1 runs ended; open breaking"
        assert answer.cursor is not None
        assert answer.cursor > before
        # Asked again, by a tick that began before this one ended: nothing new.
        again = dg.build_sensor_context(instance=instance, cursor=before)
        repeated = failed_runs(again, deployment=DeploymentResource())
        assert isinstance(repeated, dg.SensorResult)
        assert "nothing to tell" in str(repeated.skip_reason)
    row = home.table("incident").iloc[0]
    assert "breaks, ValueError" in row["summary"]
    assert "words of a user" not in row["summary"] + row["detail"]
    assert home.table("notification")["kind"].tolist() == ["open"]


def test_delivery_is_requested_when_messages_are_due_and_the_tick_says_what_waits(
    home: Database,
) -> None:
    from llmops_jobs.alerts import outbox
    from llmops_jobs.alerts.settings import AlertSettings

    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        quiet = deliver_alerts(context, deployment=DeploymentResource())
        assert str(quiet.skip_message) == "no message is due"
        now = datetime.now(UTC)
        with home.engine.begin() as connection:
            for number, due in ((0, now), (1, now + timedelta(hours=1))):
                outbox.queue_plain(
                    *(home, connection, AlertSettings(), f"m{number}", message(number)),
                    now=due,
                    channels=["log"],
                )
        asked = deliver_alerts(context, deployment=DeploymentResource())
        assert len(asked.run_requests) == 1
        home.replace("notification", {"event_key": "m0"}, home.table("notification").head(0))
        waiting = deliver_alerts(context, deployment=DeploymentResource())
        assert "1 will be tried again later" in str(waiting.skip_message)


def test_the_heartbeat_says_when_it_cannot_watch(
    home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        answer = heartbeat(context, deployment=DeploymentResource())
    assert str(answer.skip_message).startswith("not watched: project")
