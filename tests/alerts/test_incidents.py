"""The life of an incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from llmops_jobs.alerts.causes import Cause
from llmops_jobs.alerts.findings import Finding, Night
from llmops_jobs.alerts.incidents import Event, Incident, Policy, advance

DAY = date(2026, 3, 4)
FIRING = Finding("errors", {"model": "m"}, True, "warning", "it fails")
QUIET = replace(FIRING, firing=False)


def _night(
    known: dict[str, Incident], finding: Finding, day: date, policy: Policy | None = None
) -> tuple[list[Incident], list[Event]]:
    causes = [Cause(finding)] if finding.firing else []
    return advance(known, causes, Night(day, [finding], {finding.rule}), policy or Policy())


def _nights(
    findings: list[Finding], known: dict[str, Incident] | None = None
) -> tuple[dict[str, Incident], list[Event]]:
    known = dict(known or {})
    events: list[Event] = []
    for offset, finding in enumerate(findings):
        day = DAY + timedelta(days=offset)
        changed, told = _night(known, finding, day)
        known |= {item.finding.fingerprint: item for item in changed}
        events += [event for event in told if event.kind != "refresh"]
    return known, events


def test_an_incident_opens_once_and_resolves_once() -> None:
    known, events = _nights([QUIET, FIRING, FIRING, FIRING, QUIET, QUIET])
    assert [event.kind for event in events] == ["open", "resolve"]
    assert known[FIRING.fingerprint].state == "resolved"
    assert known[FIRING.fingerprint].first_day == DAY + timedelta(days=1)


def test_a_second_time_is_a_new_episode_with_its_own_key() -> None:
    _, events = _nights([FIRING, QUIET, FIRING, QUIET])
    assert [event.kind for event in events] == ["open", "resolve", "open", "resolve"]
    assert len({event.key for event in events}) == 4


def test_two_days_are_asked_for_before_it_opens() -> None:
    slow = replace(FIRING, for_days=2)
    calm = replace(QUIET, for_days=2)
    assert _nights([slow, calm, slow, calm])[1] == []
    assert [event.kind for event in _nights([slow, slow, calm])[1]] == ["open", "resolve"]


def test_a_rise_in_severity_is_told_at_once() -> None:
    _, events = _nights([FIRING, replace(FIRING, severity="critical"), FIRING])
    assert [event.kind for event in events] == ["open", "escalate"]


def test_a_reminder_comes_after_a_week_not_before() -> None:
    _, events = _nights([FIRING] * 16)
    assert [(event.kind, (event.day - DAY).days) for event in events] == [
        ("open", 0),
        ("reminder", 7),
        ("reminder", 14),
    ]


@given(st.lists(st.booleans(), max_size=30), st.lists(st.integers(0, 29), max_size=10))
def test_nights_run_again_change_nothing(firing: list[bool], again: list[int]) -> None:
    nights = [FIRING if fires else QUIET for fires in firing]
    known, events = _nights(nights)
    opened = sum(event.kind == "open" for event in events)
    resolved = sum(event.kind == "resolve" for event in events)
    assert opened - resolved in (0, 1)
    for number in again:
        if number < len(nights):
            day = DAY + timedelta(days=number)
            assert _night(known, nights[number], day) == ([], [])


def test_a_night_run_after_the_next_one_leaves_the_same_incident() -> None:
    in_order, _ = _nights([FIRING, FIRING, FIRING])
    known: dict[str, Incident] = {}
    told = []
    for offset in (1, 2, 0):
        changed, events = _night(known, FIRING, DAY + timedelta(days=offset))
        known |= {item.finding.fingerprint: item for item in changed}
        told += [event.kind for event in events if event.kind != "refresh"]
    assert known == in_order | {
        key: replace(item, notified_day=known[key].notified_day) for key, item in in_order.items()
    }
    assert told == ["open"]
