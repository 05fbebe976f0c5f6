"""Whole nights: marts in, incidents and messages out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from llmops_jobs.alerts import outbox, silences, slo
from llmops_jobs.alerts.act import acknowledge
from llmops_jobs.alerts.delivery import deliver
from llmops_jobs.alerts.evaluate import evaluate_day, evaluate_days
from llmops_jobs.alerts.replay import compare, replay_days
from llmops_jobs.alerts.settings import AlertSettings, Channel, Escalation, Hours, Rule, Slo
from llmops_jobs.alerts.system import nights_missed, run_ended
from llmops_jobs.errors import UserError
from llmops_jobs.store import Database
from tests.alerts.traffic import usage
from tests.facts import DAY, PROJECT

NOW = datetime(2026, 3, 20, 2, tzinfo=UTC)
TENANTS = [f"t{i}" for i in range(8)]


def _calm(database: Database, days: int, last: date = DAY) -> None:
    for ago in range(1, days + 1):
        _night(database, last - timedelta(days=ago), {})


def _night(database: Database, day: date, errors: dict[str, int], **more: object) -> None:
    """Every tenant calls both providers; `errors` by provider."""
    usage(
        database,
        day,
        [
            {"provider": provider, "tenant": tenant, "requests": 300}
            | {"errors": errors.get(provider, 6), **more}
            for provider in ("a", "b")
            for tenant in TENANTS
        ],
    )


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)


def _evaluate(database: Database, settings: AlertSettings, day: date = DAY) -> None:
    evaluate_day(database, settings, PROJECT, day, now=_at(day))


def _incidents(database: Database) -> list[dict[str, object]]:
    return database.table("incident").to_dict("records")  # type: ignore[no-any-return]


def test_a_fault_of_one_provider_is_one_incident_that_names_it(database: Database) -> None:
    _calm(database, 10)
    _night(database, DAY, {"a": 120})
    _evaluate(database, AlertSettings())
    (found,) = _incidents(database)
    assert json.loads(str(found["labels"])) == {"provider": "a"}
    detail = json.loads(str(found["detail"]))
    assert len(detail["members"]) > len(TENANTS)  # the whole and every tenant are part of it
    assert found["severity"] == "critical"  # the whole is


def test_a_fault_everywhere_is_one_incident_of_everything(database: Database) -> None:
    _calm(database, 10)
    _night(database, DAY, {"a": 120, "b": 120})
    _evaluate(database, AlertSettings())
    (found,) = _incidents(database)
    assert found["labels"] == "{}"


def test_calm_nights_raise_nothing_and_need_no_history(database: Database) -> None:
    _calm(database, 20)
    first = DAY - timedelta(days=20)
    done = list(
        evaluate_days(
            *(database, AlertSettings(), PROJECT, first, DAY - timedelta(days=1)), now=NOW
        )
    )
    assert sum(day.firing for day in done) == 0
    assert sum(day.looked for day in done) > 100


def test_two_projects_with_the_same_fault_are_both_told(database: Database) -> None:
    rule = Rule(name="errors", metric="error_rate", above=0.05)
    settings = AlertSettings(built_in=False, rules=(rule,))
    _night(database, DAY, {"a": 120, "b": 120})
    rows = database.table("usage_daily")
    database.replace_day("usage_daily", "other", DAY, rows.assign(project_id="other"))
    for project in (PROJECT, "other"):
        evaluate_day(database, settings, project, DAY, now=_at(DAY))
    told = database.table("notification")
    assert set(told["project_id"]) == {PROJECT, "other"}
    assert len({json.loads(payload)["dedup_key"] for payload in told["payload"]}) == 2


def test_a_backfilled_fault_is_told_only_when_it_still_lasts(database: Database) -> None:
    _calm(database, 10)
    _night(database, DAY, {"a": 120})
    _night(database, DAY + timedelta(days=1), {"a": 120})
    settings = AlertSettings()
    late = datetime(2026, 3, 30, tzinfo=UTC)
    evaluate_day(database, settings, PROJECT, DAY, now=late)
    assert outbox.pending(database, late) == 0
    _evaluate(database, settings, DAY + timedelta(days=1))
    assert database.table("notification")["kind"].tolist() == ["open"]


def test_a_silence_hides_until_it_ends(database: Database) -> None:
    _calm(database, 10)
    settings = AlertSettings()
    for day in (DAY, DAY + timedelta(days=1)):
        _night(database, day, {"a": 120})
    until = _at(DAY) + timedelta(hours=5)
    silences.add(
        *(database, {"rule": "error-*"}), until=until, now=_at(DAY), reason="known", by="me"
    )
    _evaluate(database, settings)
    assert _incidents(database)[0]["state"] == "silenced"
    assert len(database.table("notification")) == 0
    _evaluate(database, settings, DAY + timedelta(days=1))
    assert _incidents(database)[0]["state"] == "open"
    assert database.table("notification")["kind"].tolist() == ["open"]


def test_a_silence_made_after_queueing_stops_the_message(database: Database) -> None:
    _calm(database, 10)
    _night(database, DAY, {"a": 120})
    _evaluate(database, AlertSettings())
    now = _at(DAY)
    silences.add(
        *(database, {"provider": "a"}), until=now + timedelta(days=1), now=now, reason="", by=""
    )
    assert deliver(database, AlertSettings(), clock=lambda: now).silenced == 1
    with pytest.raises(UserError, match="at least one"):
        silences.add(database, {}, until=now + timedelta(days=1), now=now, reason="", by="")


def test_an_acknowledged_incident_reminds_nobody_and_tells_who_took_it(
    database: Database,
) -> None:
    settings = AlertSettings(reminder_days=1)
    _calm(database, 10)
    for ahead in range(3):
        _night(database, DAY + timedelta(days=ahead), {"a": 120})
    _evaluate(database, settings)
    fingerprint = str(_incidents(database)[0]["fingerprint"])
    done = acknowledge(database, settings, fingerprint[:8], by="kim", now=_at(DAY))
    assert done["acknowledged_by"] == "kim"
    _evaluate(database, settings, DAY + timedelta(days=1))
    _evaluate(database, settings, DAY + timedelta(days=2))
    assert sorted(database.table("notification")["kind"]) == ["acknowledge", "open"]
    assert _incidents(database)[0]["state"] == "acknowledged"
    with pytest.raises(UserError, match="no incident"):
        acknowledge(database, settings, "ffff", by="kim", now=_at(DAY))


def test_nobody_acknowledging_escalates_once_to_others(database: Database) -> None:
    settings = AlertSettings(
        channels=(
            Channel(name="log", kind="log"),
            Channel(name="boss", kind="log", severities=("info",)),
        ),
        escalation=Escalation(after_days=2, channels=("boss",)),
    )
    _calm(database, 10)
    for ahead in range(4):
        _night(database, DAY + timedelta(days=ahead), {"a": 120})
        _evaluate(database, settings, DAY + timedelta(days=ahead))
    told = database.table("notification")
    assert sorted(told.loc[told["channel"] == "boss", "kind"]) == ["escalate"]


def test_a_cooldown_holds_back_what_comes_again_too_soon(database: Database) -> None:
    rule = Rule(name="errors", metric="error_rate", above=0.05, cooldown_days=3)
    settings = AlertSettings(built_in=False, rules=(rule,))
    for ahead, errors in enumerate((120, 6, 120, 6)):
        _night(database, DAY + timedelta(days=ahead), {"a": errors, "b": errors})
        _evaluate(database, settings, DAY + timedelta(days=ahead))
    assert sorted(database.table("notification")["kind"]) == ["open", "resolve"]
    assert database.table("incident")["state"].tolist() == ["resolved", "resolved"]


def test_missing_data_is_a_finding_where_a_rule_asks(database: Database) -> None:
    rule = Rule(name="calls", metric="error_rate", by=("provider",), above=0.5, no_data="alert")
    settings = AlertSettings(built_in=False, rules=(rule,))
    _calm(database, 10)
    usage(database, DAY, [{"provider": "a"}])
    _evaluate(database, settings)
    (found,) = _incidents(database)
    assert json.loads(str(found["labels"])) == {"provider": "b"}
    assert "no data" in str(found["summary"])


def test_an_incident_without_data_ends_after_some_days(database: Database) -> None:
    rule = Rule(name="errors", metric="error_rate", by=("provider",), above=0.05)
    settings = AlertSettings(built_in=False, rules=(rule,), no_data_days=2)
    _night(database, DAY, {"a": 120})
    _evaluate(database, settings)
    for ahead in range(1, 4):
        _evaluate(database, settings, DAY + timedelta(days=ahead))
    assert _incidents(database)[0]["state"] == "resolved"


def test_a_message_outside_business_hours_waits_unless_critical(database: Database) -> None:
    channel = Channel(name="log", kind="log", hours=Hours(time_zone="Europe/Berlin"))
    rule = Rule(name="errors", metric="error_rate", above=0.05, severity="warning")
    settings = AlertSettings(built_in=False, rules=(rule,), channels=(channel,))
    _night(database, DAY, {"a": 120, "b": 120})
    _evaluate(database, settings)
    due = database.table("notification")["due_at"].iloc[0]
    assert due == datetime(2026, 3, 5, 8, tzinfo=UTC)  # nine in Berlin; the 5th is a Thursday


def test_an_objective_burns_only_when_the_wilson_bound_does(database: Database) -> None:
    objective = Slo(name="available", metric="error_rate", objective=0.99)
    settings = AlertSettings(built_in=False, slos=(objective,))
    _night(database, DAY, {"a": 15, "b": 15})  # 5 % of 4,800: five times the budget
    _evaluate(database, settings)
    (found,) = _incidents(database)
    assert found["severity"] == "warning"
    assert "of the budget spent" in str(found["summary"])
    few = slo.burning([1], [20], width=86400, objective=0.99)  # five times, of 20 calls
    assert few is None


def test_the_burn_rate_table_is_googles() -> None:
    def fired(bad: list[float], width: int) -> str | None:
        burn = slo.burning(bad, [1000.0] * len(bad), width=width, objective=0.999)
        return burn.window.severity if burn else None

    steady = [0.0] * 700
    assert fired([*steady, *[30.0] * 12], 300) == "critical"  # an hour at 30 times
    assert fired([*steady, *[12.0] * 72], 300) == "critical"  # six hours at 12 times
    assert fired([*steady, *[30.0] * 12, *[0.0] * 12], 300) is None  # over, and short says so
    assert fired([*steady, *[6.0] * 288], 300) == "warning"  # a day at 6 times
    assert fired(steady, 300) is None


def test_a_failed_job_is_told_once_and_resolved_by_its_success(database: Database) -> None:
    settings = AlertSettings()

    def ended(run: str, failed: bool) -> str:
        return run_ended(
            *(database, settings, "nightly"), run_id=run, failed=failed, error="costs", now=NOW
        )

    assert [ended("r1", True), ended("r2", True), ended("r3", False)] == ["open", "", "resolve"]
    assert ended("r4", True) == "open"
    keys = database.table("notification")["event_key"]
    assert keys.is_unique
    assert len(keys) == 3


def test_a_night_that_did_not_happen_is_an_incident(database: Database) -> None:
    _night(database, DAY, {})
    _evaluate(database, AlertSettings())
    soon, late = _at(DAY) + timedelta(hours=20), _at(DAY) + timedelta(hours=40)
    assert nights_missed(database, AlertSettings(), [PROJECT], now=soon) == {}
    assert nights_missed(database, AlertSettings(), [PROJECT], now=late) == {PROJECT: "open"}
    assert nights_missed(database, AlertSettings(), [PROJECT], now=late) == {}
    evaluate_day(database, AlertSettings(), PROJECT, DAY + timedelta(days=1), now=late)
    assert nights_missed(database, AlertSettings(), [PROJECT], now=late) == {PROJECT: "resolve"}


def test_a_replay_stores_nothing_and_is_held_against_known_events(database: Database) -> None:
    _calm(database, 10)
    _night(database, DAY, {"a": 120})
    _night(database, DAY + timedelta(days=1), {})
    first, last = DAY - timedelta(days=10), DAY + timedelta(days=1)
    sent = replay_days(database, AlertSettings(), first, last)
    assert [row["day"] for row in sent] == [DAY.isoformat()]
    assert sent[0]["resolved_day"] == last.isoformat()
    day = DAY.isoformat()
    known = {"id": "outage", "first_day": day, "last_day": day, "scope": "provider=a"}
    quiet = known | {"id": "wording", "direction": "none"}
    answer = compare(sent, [known, quiet], first, last)
    assert (answer["precision"], answer["recall"], answer["missed"]) == (1.0, 1.0, [])
    assert compare(sent, [], first, last)["precision"] == 0.0
    of_budget = [sent[0] | {"rule": "budget"}]
    answer = compare(of_budget, [], first, last)
    assert (answer["false"], answer["budgets"], answer["precision"]) == (0, 1, None)
    assert _incidents(database) == []


def test_the_command_line_lists_shows_acknowledges_and_silences(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmops_jobs.cli.alerts import command

    _calm(database, 10)
    _night(database, DAY, {"a": 120})
    _evaluate(database, AlertSettings())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    monkeypatch.delenv("LLMOPS_DATABASE_URL", raising=False)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    (row,) = json.loads(run("list", "--json"))
    assert row["labels"] == {"provider": "a"}
    shown = json.loads(run("show", row["id"][:8], "--json"))
    assert [m["kind"] for m in shown["messages"]] == ["open"]
    assert "part of it" in run("show", row["id"])
    assert "acknowledged by kim" in run("ack", row["id"][:8], "--by", "kim")
    assert json.loads(run("list", "--json"))[0]["state"] == "acknowledged"
    made = run("silence", "rule=error-*", "--hours", "2", "--by", "kim")
    assert json.loads(run("silence", "--json"))[0]["matcher"] == {"rule": "error-*"}
    assert "ended" in run("silence", "--end", made.partition(":")[0])
    assert "ok      log" in run("test")
    day = DAY.isoformat()
    assert "1 incidents" in run("replay", "--from", day, "--to", day)
    event = {"id": "outage", "first_day": day, "last_day": day, "scope": "provider=a"}
    (tmp_path / "events.json").write_text(json.dumps({"events": [event]}))
    known = ("--from", day, "--to", day, "--events", "events.json", "--json")
    answer = json.loads(run("replay", *known))
    assert (answer["precision"], answer["recall"]) == (1.0, 1.0)
    assert json.loads(run("replay", *known, "--rule", "late-data"))["missed"] == ["outage"]
    assert "no message was given up" in run("list", "--dead")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"rules": [{"name": "r", "metric": "eror_rate", "above": 1}]}, "unknown metric"),
        ({"rules": [{"name": "r", "metric": "error_rate"}]}, "exactly one of"),
        (
            {"rules": [{"name": "r", "metric": "error_rate", "above": 1, "channels": ["x"]}]},
            "no channel x",
        ),
        (
            {"rules": [{"name": "r", "metric": "error_rate", "above": 1, "by": ["modle"]}]},
            "no dimension",
        ),
        (
            {
                "channels": [{"name": "c", "kind": "log", "severities": ["critical"]}],
                "rules": [{"name": "r", "metric": "error_rate", "above": 1, "channels": ["c"]}],
            },
            "nobody would be told",
        ),
        ({"channels": [{"name": "c", "kind": "email", "url_env": "X"}]}, "needs to and sender"),
        ({"channels": [{"name": "c", "kind": "log"}] * 2}, "two channels are called c"),
        (
            {"slos": [{"name": "s", "metric": "cost_usd", "objective": 0.9}]},
            "does not count good and bad",
        ),
        ({"slos": [{"name": "s", "metric": "latency", "objective": 0.9}]}, "within"),
        ({"disable": ["nothing"]}, "no built-in rule"),
        (
            {"rules": [{"name": "budget", "metric": "error_rate", "above": 1}]},
            "name of a built-in",
        ),
        (
            {
                "rules": [
                    {"name": "r", "metric": "pass_rate", "falls_by": 0.1, "by": ["model", "tenant"]}
                ]
            },
            "one dimension at a time",
        ),
    ],
)
def test_a_contradiction_is_refused_at_load(section: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AlertSettings.model_validate(section)


def test_incidents_are_the_same_on_both_databases(any_database: Database) -> None:
    _calm(any_database, 8)
    _night(any_database, DAY, {"a": 120})
    for _ in range(2):
        _evaluate(any_database, AlertSettings())
    with any_database.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT state FROM incident")).all()
    assert [tuple(row) for row in rows] == [("open",)]
