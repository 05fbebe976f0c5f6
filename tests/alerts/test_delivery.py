"""From a firing rule to a message at a real endpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pandas as pd
import pytest

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.delivery import MAX_ATTEMPTS, deliver
from llmops_jobs.alerts.evaluate import evaluate_day
from llmops_jobs.alerts.settings import AlertSettings, Channel, Rule
from llmops_jobs.store import Database
from tests.alerts.receiver import Receiver, receiving
from tests.facts import DAY, PROJECT

NOW = datetime(2026, 3, 5, 2, tzinfo=UTC)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> object:
    with receiving() as opened:
        monkeypatch.setenv("HOOK", opened.url)
        monkeypatch.setenv("HOOK_SECRET", "s3cret")
        yield opened


@pytest.fixture
def settings() -> AlertSettings:
    return AlertSettings(
        built_in=False,
        channels=(
            Channel(
                name="hook",
                kind="webhook",
                url_env="HOOK",
                secret_env="HOOK_SECRET",
                allow_private=True,
            ),
        ),
        rules=(Rule(name="errors", metric="error_rate", by=("model",), above=0.05),),
    )


def _usage(database: Database, errors: int, day: object = DAY) -> None:
    row = dict.fromkeys(("environment", "provider", "feature", "prompt_name"), "")
    row |= {"prompt_version": "", "tenant": "", "price_status": "list", "model": "m"}
    database.replace_day(
        "usage_daily",
        PROJECT,
        day,  # type: ignore[arg-type]
        pd.DataFrame(
            [
                {
                    **row,
                    "is_evaluation": False,
                    "requests": 1000,
                    "errors": errors,
                    "cost_usd": Decimal(1),
                    "reported_cost_usd": Decimal(1),
                }
            ]
        ),
    )


def test_a_breach_is_delivered_once_signed_and_resolved(
    database: Database, settings: AlertSettings, receiver: Receiver
) -> None:
    _usage(database, errors=200)
    for _ in range(3):  # the night is run again
        evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    assert deliver(database, settings, clock=lambda: NOW).sent == 1
    assert deliver(database, settings, clock=lambda: NOW).sent == 0

    body, headers = receiver.bodies[0], receiver.headers[0]
    assert body["kind"] == "open"
    assert body["labels"] == {"model": "m"}
    assert body["value"] == 0.2
    sent = json.dumps(body, sort_keys=True).encode()
    signed = f"{body['event_key']}.{int(NOW.timestamp())}.".encode() + sent
    expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["Idempotency-Key"] == body["event_key"]

    _usage(database, errors=1, day=DAY + timedelta(days=1))
    later = NOW + timedelta(days=1)
    evaluate_day(database, settings, PROJECT, DAY + timedelta(days=1), now=later)
    assert deliver(database, settings, clock=lambda: later).sent == 1
    assert receiver.bodies[1]["kind"] == "resolve"
    assert receiver.bodies[1]["dedup_key"] == body["dedup_key"]


def test_few_calls_do_not_fire(database: Database, settings: AlertSettings) -> None:
    _usage(database, errors=55)  # 5.5 %, and 5 % is inside its interval
    assert evaluate_day(database, settings, PROJECT, DAY, now=NOW).firing == 0


def test_a_backfill_of_the_past_is_recorded_and_pages_nobody(
    database: Database, settings: AlertSettings, receiver: Receiver
) -> None:
    _usage(database, errors=200)
    done = evaluate_day(database, settings, PROJECT, DAY, now=NOW + timedelta(days=30))
    assert (done.firing, done.queued) == (1, 0)
    assert deliver(database, settings, clock=lambda: NOW).sent == 0
    assert receiver.bodies == []
    assert database.table("incident")["state"].tolist() == ["open"]


def test_a_failing_endpoint_is_tried_again_later_and_then_given_up(
    database: Database, settings: AlertSettings, receiver: Receiver
) -> None:
    _usage(database, errors=200)
    evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    receiver.answers = [503] * MAX_ATTEMPTS
    for attempt in range(MAX_ATTEMPTS):
        now = NOW + attempt * timedelta(hours=7)
        done = deliver(
            database, settings, clock=partial(datetime.fromtimestamp, now.timestamp(), UTC)
        )
        assert (done.retried, done.dead) == ((1, 0) if attempt < MAX_ATTEMPTS - 1 else (0, 1))
        assert outbox.pending(database, now) == 0
    row = database.table("notification").iloc[0]
    assert row["status"] == "dead"
    assert row["last_error"] == "hook: HTTP 503, 8 times"


def test_a_refused_message_is_not_tried_again(
    database: Database, settings: AlertSettings, receiver: Receiver
) -> None:
    _usage(database, errors=200)
    evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    receiver.answers = [410]
    assert deliver(database, settings, clock=lambda: NOW).dead == 1


def test_a_worker_that_dies_loses_nothing(
    database: Database, settings: AlertSettings, receiver: Receiver
) -> None:
    _usage(database, errors=200)
    evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    assert outbox.lease(database, NOW) is not None  # and then it dies
    assert deliver(database, settings, clock=lambda: NOW).sent == 0
    later = NOW + outbox.LEASE
    assert deliver(database, settings, clock=lambda: later).sent == 1
    assert len(receiver.bodies) == 1


def test_a_missing_variable_is_named_and_no_address_is_kept(
    database: Database, settings: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    _usage(database, errors=200)
    evaluate_day(database, settings, PROJECT, DAY, now=NOW)
    assert deliver(database, settings, clock=lambda: NOW).dead == 1
    error = database.table("notification")["last_error"].iloc[0]
    assert error == "channel hook: set HOOK_SECRET in the environment"
