"""Whole days over real HTTP: every fault ends in all good rows or an untouched day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.demo.server import MemorySource, Running
from llmops_jobs.demo.server.faults import KINDS, Fault
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.evals.sampling import choose_texts
from llmops_jobs.langfuse import api, client, landing
from llmops_jobs.langfuse.checks import broken_days
from llmops_jobs.langfuse.client import Patience
from llmops_jobs.langfuse.landing import Landed
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.pull import Progress, pull_observations, pull_scores
from llmops_jobs.langfuse.texts import pull_texts
from tests.langfuse.wire_rows import DAY, observation, score, standing

ROWS = 60


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of milliseconds, pages of a few rows: what is tested is not how long things take."""
    quick = Patience(tries=3, first_wait=0.001, longest_wait=0.002, connect=2, read=0.5, whole=0.8)
    monkeypatch.setattr(client, "Patience", lambda **_: quick)
    monkeypatch.setattr(api.OBSERVATION_KIND.__class__, "__setattr__", object.__setattr__)
    monkeypatch.setattr(api.OBSERVATION_KIND, "limit", 10)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(
        [observation(n * 1400) for n in range(ROWS)], [score(n) for n in range(250)]
    )


@pytest.fixture
def night(
    source: MemorySource, tmp_path: Path
) -> Iterator[tuple[Deployment, ProjectKeys, Running]]:
    with standing(source, tmp_path) as opened:
        yield opened


def pull(night: tuple[Deployment, ProjectKeys, Running], day: date = DAY) -> Landed:
    deployment, project, _ = night
    return next(iter(pull_observations(deployment, project, [day])))


def ids(night: tuple[Deployment, ProjectKeys, Running], day: date = DAY) -> list[str]:
    deployment, project, _ = night
    rows = deployment.lake.read_day("observations", project.id, day)
    return sorted(rows["observation_id"].to_pylist())


ALL = sorted(f"o{n * 1400}" for n in range(ROWS))


def test_a_day_is_landed_whole_and_recorded(night: Any) -> None:
    done = pull(night)
    assert ids(night) == ALL
    assert (done.rows, done.duplicates, done.quarantined) == (ROWS, 0, 0)
    assert done.pages == 6 or done.pages == 7
    (record,) = night[0].database.table("pull").to_dict("records")
    assert record["rows"] == ROWS
    assert record["pages"] == done.pages
    assert not record["stale"]
    assert record["first_pulled_at"] == record["pulled_at"]


# Every kind that the stand-in knows stands in one of these, or in a test of its own below.
PASSING = (
    "timeout_422", "rate_limited", "server_error", "bad_gateway", "unavailable", "truncated_gzip",
    "half_page", "cut_json", "dropped_connection", "rows_behind", "rows_ahead", "duplicates",
    "repeated_cursor", "looping_cursor", "slow_drip",
)  # fmt: skip
LASTING = (
    "unauthorized", "forbidden", "old_server", "server_error", "bad_gateway", "unavailable",
    "html_page", "truncated_gzip", "half_page", "cut_json", "dropped_connection", "timeout_422",
)  # fmt: skip
ODD = ("nulls", "empty_strings", "huge_input", "unicode")
IMPOSSIBLE_TIMES = ("epoch_zero", "year_2200")
IMPOSSIBLE_COUNTS = {"nan_tokens": "not_a_number", "negative_tokens": "negative"}


def test_no_fault_of_the_stand_in_is_left_out() -> None:
    tried = {*PASSING, *LASTING, *ODD, *IMPOSSIBLE_TIMES, *IMPOSSIBLE_COUNTS}
    elsewhere = {"unknown_enums", "unknown_fields", "lost_write"}  # the last is the score writer's
    assert tried | elsewhere == set(KINDS)


@pytest.mark.parametrize("kind", PASSING)
def test_after_a_passing_fault_every_row_is_there_once(night: Any, kind: str) -> None:
    night[2].state.faults.set(
        [Fault(kind, first=2, last=3, seconds=0.01 if kind != "slow_drip" else 9)]
    )
    pull(night)
    found = [row for row in ids(night) if row in ALL]
    assert found == ALL
    assert broken_days_of(night) == []


def broken_days_of(night: tuple[Deployment, ProjectKeys, Running]) -> list[str]:
    deployment, project, _ = night
    object.__setattr__(deployment, "projects", lambda: [project])
    return broken_days(deployment, [DAY])


@pytest.mark.parametrize("kind", ["repeated_cursor", "looping_cursor"])
def test_a_cursor_that_never_ends_is_got_past_or_told(
    night: Any, source: MemorySource, kind: str
) -> None:
    night[2].state.faults.set([kind])
    pull(night)
    assert ids(night) == ALL
    # All rows of one instant: there is nothing older to go on from.
    for row in source.observations:
        row["startTime"] = row["endTime"] = f"{DAY}T12:00:00.000Z"
    source.changed()
    night[2].state.faults.set([kind])
    # A cursor that is a page late still moves on; one that goes in circles does not.
    told = pytest.raises(SourceError, match="repeats its cursor")
    with told if kind == "looping_cursor" else nullcontext():
        pull(night)
    assert ids(night) == ALL


def test_versions_on_both_sides_of_a_pages_end_are_all_read(
    night: Any, source: MemorySource
) -> None:
    """Three to a row and ten to a page: the cursor behind an id would skip what is left of it."""
    for second in range(1, 3):
        source.add(
            [
                observation(n * 1400, updatedAt=f"{DAY}T23:59:0{second}.000Z", version=f"v{second}")
                for n in range(ROWS)
            ]
        )
    done = pull(night)
    assert (done.rows, done.duplicates) == (ROWS, 2 * ROWS)
    assert set(
        night[0].lake.read_day("observations", done.project, DAY)["version"].to_pylist()
    ) == {"v2"}


def test_of_duplicates_that_differ_the_newest_is_kept(night: Any, source: MemorySource) -> None:
    costs = {row["id"]: Decimal(str(row["costDetails"]["total"])) for row in source.observations}
    night[2].state.faults.set(["duplicates"])
    done = pull(night)
    rows = night[0].lake.read_day("observations", "local-project", DAY).to_pylist()
    times = [row["reported_cost_usd"] / costs[row["observation_id"]] for row in rows]
    # The stand-in's second version of a row is newer and costs twice as much.
    assert len(times) == ROWS
    assert sorted(set(times)) == [1, 2]
    assert times.count(2) == done.duplicates > 0


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("more", [None, "unknown_fields"])
def test_odd_but_good_rows_are_kept(night: Any, kind: str, more: str | None) -> None:
    night[2].state.faults.set([kind, *([more] if more else [])])
    done = pull(night)
    assert ids(night) == ALL
    assert done.quarantined == 0


@pytest.mark.parametrize("kind", IMPOSSIBLE_TIMES)
def test_rows_of_impossible_times_are_refused_with_the_reason(night: Any, kind: str) -> None:
    night[2].state.faults.set([kind])
    done = pull(night)
    refused = night[0].database.table("quarantine")
    assert done.quarantined == len(refused) > 0
    assert sorted([*ids(night), *refused["row_id"]]) == ALL
    assert refused["reason"].str.contains("starts outside 2026-03-04").all()


@pytest.mark.parametrize(("kind", "issue"), IMPOSSIBLE_COUNTS.items())
def test_impossible_token_counts_are_kept_marked_and_not_counted(
    night: Any, kind: str, issue: str
) -> None:
    night[2].state.faults.set([kind])
    done = pull(night)
    assert ids(night) == ALL
    rows = night[0].lake.read_day("observations", "local-project", DAY).to_pylist()
    marked = [row for row in rows if issue in row["usage_issue"]]
    assert marked
    assert done.doubtful == len(marked)
    assert all((row["input_tokens"] or 0) >= 0 for row in rows)


def test_unknown_enum_values_are_kept_as_they_are(night: Any) -> None:
    night[2].state.faults.set(["unknown_enums"])
    pull(night)
    assert ids(night) == ALL
    types = night[0].lake.read_day("observations", "local-project", DAY)["type"].to_pylist()
    assert set(types) - {"GENERATION"}


def test_a_row_that_cannot_be_read_is_refused_by_itself(night: Any, source: MemorySource) -> None:
    source.observations[0]["promptVersion"] = "three"
    source.observations[1]["traceId"] = ""
    source.observations[2]["startTime"] = f"{DAY}T01:00:00"
    source.changed()
    done = pull(night)
    refused = night[0].database.table("quarantine").set_index("row_id")
    assert done.quarantined == 3
    assert "promptVersion" in refused.loc["o0", "reason"]
    assert 'promptVersion="three"' in refused.loc["o0", "excerpt"]
    assert "trace" in refused.loc["o1400", "reason"]
    assert "timezone" in refused.loc["o2800", "reason"]
    assert len(ids(night)) == ROWS - 3


@pytest.mark.parametrize("kind", LASTING)
def test_a_lasting_fault_leaves_the_old_day_untouched(
    night: Any, source: MemorySource, kind: str
) -> None:
    pull(night)
    before = night[0].lake.read_day("observations", "local-project", DAY)
    source.remove("o0", "o1400")
    night[2].state.faults.set([Fault(kind, first=3)])
    with pytest.raises(SourceError):
        pull(night)
    assert night[0].lake.read_day("observations", "local-project", DAY).equals(before)
    assert night[0].database.table("pull")["rows"].tolist() == [ROWS]


def test_a_pull_that_finds_nothing_new_rewrites_nothing(night: Any, source: MemorySource) -> None:
    pull(night)
    version = night[0].lake.delta("observations").version()
    for row in source.observations:
        row["updatedAt"] = f"{DAY + timedelta(days=1)}T01:00:00.000Z"
    source.observations.reverse()
    source.changed()
    again = pull(night)
    assert not again.changed
    assert night[0].lake.delta("observations").version() == version
    record = night[0].database.table("pull").iloc[0]
    assert record["pulled_at"] > record["first_pulled_at"]


def test_changed_late_and_deleted_rows_are_seen_on_the_next_pull(
    night: Any, source: MemorySource
) -> None:
    pull(night)
    source.remove("o0")
    source.add([observation(5, id="late", createdAt="2026-03-06T09:00:00.000Z")])
    source.add([observation(1400, costDetails={"total": 9}, updatedAt="2026-03-05T00:00:00.000Z")])
    done = pull(night)
    rows = night[0].lake.read_day("observations", "local-project", DAY).to_pylist()
    held = {row["observation_id"]: row for row in rows}
    assert "o0" not in held
    assert "late" in held
    assert held["o1400"]["reported_cost_usd"] == Decimal(9)
    assert (done.duplicates, done.late_rows, done.changed) == (1, 1, True)


def test_a_crash_before_the_lake_is_written_leaves_the_old_day_and_no_false_peace(
    night: Any, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = night[0]
    pull(night)
    source.remove("o0")

    def crash(*_: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(deployment.lake), "replace_day", crash)
        with pytest.raises(OSError, match="disk"):
            pull(night)
    assert ids(night) == ALL
    # The source takes its change back: what is held must still be compared with it, not trusted.
    source.add([observation(0)])
    assert pull(night).rows == ROWS
    assert ids(night) == ALL


def test_a_crash_after_the_lake_was_written_is_made_good_by_the_next_pull(
    night: Any, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(night)
    source.remove("o0")
    real = landing._record

    def crash(database: Any, landed: Landed, digest: str, *rest: Any) -> None:
        if digest:
            raise KeyboardInterrupt
        real(database, landed, digest, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(landing, "_record", crash)
        with pytest.raises(KeyboardInterrupt):
            pull(night)
    source.add([observation(0)])
    assert pull(night).changed
    assert ids(night) == ALL


def test_a_large_day_goes_over_the_disk_and_gives_the_same_rows(
    night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(night)
    small = night[0].lake.read_day("observations", "local-project", DAY)
    monkeypatch.setattr("llmops_jobs.langfuse.gather.SPILL_ROWS", 7)
    monkeypatch.setattr("llmops_jobs.langfuse.pull.CHUNK", 5)
    done = pull(night)
    large = night[0].lake.read_day("observations", "local-project", DAY)
    by = [("trace_id", "ascending"), ("observation_id", "ascending")]
    assert done.rows == ROWS
    assert large.sort_by(by).equals(small.sort_by(by))


def test_a_long_window_is_divided_and_nothing_is_lost(
    night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_LONG", 2)
    done = pull(night)
    assert ids(night) == ALL
    asked = [line for line in night[2].state.requests if "v2/observations" in line]
    assert sum("cursor=" not in line for line in asked) > 1
    assert done.rows == ROWS


def test_an_empty_day_is_landed_as_empty(night: Any) -> None:
    day = DAY - timedelta(days=9)
    assert pull(night, day).rows == 0
    assert ids(night, day) == []
    assert len(night[0].database.table("pull")) == 1


def test_scores_are_landed_with_their_values_and_subjects(tmp_path: Path) -> None:
    rows = [
        score(0),
        score(1, name="rating", dataType="NUMERIC", value=4.5),
        score(2, name="topic", dataType="CATEGORICAL", value="billing"),
        score(3, subject={"kind": "observation", "id": "o9", "traceId": "t4"}, source="ANNOTATION"),
        score(4, subject={"kind": "session", "id": "se"}),
        score(5, dataType="NUMERIC", value=None),
        score(
            2,
            name="topic",
            dataType="CATEGORICAL",
            value="other",
            updatedAt="2026-03-09T00:00:00.000Z",
        ),
    ]
    with standing(MemorySource([], rows), tmp_path) as (deployment, project, _):
        (done,) = pull_scores(deployment, project, [DAY])
        held = deployment.lake.read_day("scores", project.id, DAY).to_pylist()
    found = {row["score_id"]: row for row in held}
    assert (found["s0"]["value"], found["s0"]["string_value"]) == (1.0, "True")
    assert (found["s1"]["value"], found["s1"]["string_value"]) == (4.5, "")
    assert (found["s2"]["value"], found["s2"]["string_value"]) == (None, "other")
    assert (found["s3"]["trace_id"], found["s3"]["observation_id"]) == ("t4", "o9")
    assert (found["s4"]["session_id"], found["s4"]["trace_id"]) == ("se", "")
    assert "s5" not in found
    assert list(done.rejects) == ["s5"]


def test_texts_are_fetched_for_the_chosen_rows_only_and_once(
    night: Any, source: MemorySource
) -> None:
    deployment, project, server = night
    for row in source.observations:
        row |= {"input": '[{"role":"user","content":"hi"}]', "output": f"answer {row['id']}"}
    source.changed()
    pull(night)
    (done,) = pull_texts(deployment, project, [DAY], choose_texts)
    texts = deployment.lake.read_day("observation_text", project.id, DAY).to_pylist()
    assert (done.chosen, done.fetched, done.missing) == (ROWS, ROWS, 0)
    assert {row["output"] for row in texts} == {f"answer {row}" for row in ALL}
    assert all(row["inclusion_probability"] == 1 for row in texts)
    asked = len(server.state.requests)
    version = deployment.lake.delta("observation_text").version()
    (again,) = pull_texts(deployment, project, [DAY], choose_texts)
    assert (again.held, again.fetched) == (ROWS, 0)
    assert len(server.state.requests) == asked
    assert deployment.lake.delta("observation_text").version() == version


def test_text_older_than_its_retention_is_not_fetched(source: MemorySource, tmp_path: Path) -> None:
    with standing(source, tmp_path, text_days=30) as (deployment, project, server):
        list(pull_observations(deployment, project, [DAY]))
        asked = len(server.state.requests)
        (done,) = pull_texts(deployment, project, [DAY], choose_texts)
        assert (done.chosen, done.fetched) == (0, 0)
        assert len(server.state.requests) == asked
        assert deployment.lake.read_day("observation_text", project.id, DAY).num_rows == 0


def test_several_days_are_landed_in_their_order(night: Any) -> None:
    deployment, project, _ = night
    wanted = [DAY + timedelta(days=n) for n in range(-5, 3)]
    assert [done.day for done in pull_observations(deployment, project, wanted)] == wanted
    assert ids(night) == ALL


def test_progress_tells_rows_pages_rate_and_time_left() -> None:
    now = [0.0]
    progress = Progress("observations", "shop", 365, clock=lambda: now[0])
    progress.add(Landed("p", DAY, "observations", rows=90_000, pages=90))
    assert progress.line(30.0) == (
        "shop: observations 1/365 days, 90,000 rows in 90 pages (3,000 rows/s), 3 h 02 min left"
    )
