"""Text of users is in no report unless the configuration says so, and then it is masked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.lake import Lake
from llmops_jobs.report.masking import WITHHELD, masked
from llmops_jobs.report.publish import publish
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import Site
from llmops_jobs.store import Database
from tests.facts import facts
from tests.report.marts import LAST, PROJECT

QUESTION = "Where is the blue bicycle? Write to jane.doe@example.org or call +1 415 555 0133."
ANSWER = "The blue bicycle is in the shed, says jane.doe@example.org."
MESSAGE = "invalid request from 203.0.113.77: the blue bicycle is not a tool"
SECRET = "sk-proj-" + "a1B2" * 10


@pytest.fixture
def told(own: Database, lake: Lake) -> tuple[Database, Lake]:
    """A failing answer with its text in the lake, and a failing call with its message."""
    at = datetime(LAST.year, LAST.month, LAST.day, 9, tzinfo=UTC)
    shared = {"project_id": PROJECT, "day": LAST, "trace_id": "t1"}
    rows = [
        shared | {"observation_id": "o1", "start_time": at, "is_model_call": True},
        shared
        | {"observation_id": "o2", "start_time": at, "is_model_call": True}
        | {"level": "ERROR", "status_message": MESSAGE},
    ]
    lake.replace_day("observations", PROJECT, LAST, facts("observations", rows))
    text = [shared | {"observation_id": "o1", "input": QUESTION, "output": ANSWER}]
    lake.replace_day("observation_text", PROJECT, LAST, facts("observation_text", text))
    score = {"observation_id": "o1", "scorer": "relevance", "scorer_version": "1"}
    frame = pd.DataFrame(
        [shared | score | {"value": 0.1, "passed": False, "status": "ok", "cost_usd": 0.0}]
    )
    own.upsert("score", frame)
    return own, lake


def _all(database: Database, lake: Lake | None, folder: Path, **settings: bool) -> str:
    site = Site(str(folder))
    made = ReportSettings(**settings)
    list(publish(database, made, site, [PROJECT], LAST, LAST, lake=lake))
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.*")) if path.is_file())


def test_no_text_of_users_is_in_a_report_by_default(
    told: tuple[Database, Lake], tmp_path: Path
) -> None:
    written = _all(*told, tmp_path / "site")
    assert "By feature" in written
    assert "bicycle" not in written
    assert "jane.doe" not in written


def test_snippets_are_shown_masked_where_the_configuration_allows(
    told: tuple[Database, Lake], tmp_path: Path
) -> None:
    written = _all(*told, tmp_path / "site", include_text=True)
    assert "Where is the blue bicycle? Write to [email]" in written
    assert "The blue bicycle is in the shed, says [email]." in written
    assert "invalid request from [ip]: the blue bicycle is not a tool" in written
    for private in ("jane.doe", "555 0133", "203.0.113.77"):
        assert private not in written


def test_without_the_lake_there_is_no_text_to_show(
    told: tuple[Database, Lake], tmp_path: Path
) -> None:
    assert "bicycle" not in _all(told[0], None, tmp_path / "site", include_text=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail jane@example.org now", "mail [email] now"),
        ("mail jane\u200b@exam\u00adple.org now", "mail [email] now"),
        (f"the key is {SECRET}", WITHHELD),
        ("x" * 50, "x" * 19 + "…"),
        ("aaaaaaaaaaaa jane@example.org", "aaaaaaaaaaaa [email]"),
    ],
)
def test_what_is_private_is_masked_before_the_text_is_cut(text: str, shown: str) -> None:
    limit = 60 if shown == WITHHELD else 20 if "x" in text[:2] else 40
    assert masked(text, limit) == shown


def test_an_address_as_a_users_id_is_masked_without_being_asked(
    own: Database, tmp_path: Path
) -> None:
    rows = [
        {"project_id": PROJECT, "day": LAST, "kind": "user", "rank": 1, "subject": "jane@doe.org"}
        | {"requests": 9, "cost_usd": 1.5, "share": 0.1},
        {"project_id": PROJECT, "day": LAST, "kind": "user", "rank": 2, "subject": "u-17"}
        | {"requests": 5, "cost_usd": 0.5, "share": 0.03},
    ]
    own.upsert("top_spender", pd.DataFrame(rows))
    written = _all(own, None, tmp_path / "site")
    assert "[email]" in written
    assert "u-17" in written
    assert "jane" not in written
