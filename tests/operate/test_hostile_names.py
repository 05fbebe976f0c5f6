"""Names come from traces and from a server: none leads out of the folders meant for them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from llmops_jobs.errors import SourceError
from llmops_jobs.lake import Lake
from llmops_jobs.lake.engine import engine_for
from llmops_jobs.langfuse.checks import held
from llmops_jobs.langfuse.export import Export
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.report.links import Links
from llmops_jobs.report.site import stem
from llmops_jobs.versions.configuration import template
from tests.facts import facts

HOSTILE = [
    *("../../etc", "..", ".", "a/b", "a\\b", "/root", "day=2026-01-01", "%2e%2e", "%2F"),
    *("é '\"", "a' OR '1'='1", "a*?[b]", "${HOME}", "a\nb", "C:\\x", "a\u202eb"),
]
DAY = date(2026, 3, 4)


@pytest.mark.parametrize("project", HOSTILE)
def test_a_project_id_stays_within_the_lake_and_is_found_again(
    project: str, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "deep" / "er" / "lake"))
    lake.replace_day("observations", "other", DAY, facts("observations", [{"trace_id": "kept"}]))
    lake.replace_day("observations", project, DAY, facts("observations", [{}, {"trace_id": "t2"}]))
    assert lake.read_day("observations", project, DAY)["project_id"].to_pylist() == [project] * 2
    (row,) = engine_for("duckdb").run(held, lake, project, [DAY]).to_pylist()
    assert row["rows"] == 2
    assert lake.read_day("observations", "other", DAY)["trace_id"].to_pylist() == ["kept"]
    outside = [p for p in tmp_path.rglob("*.parquet") if lake.url not in str(p.resolve())]
    assert outside == []


@pytest.mark.parametrize("project", HOSTILE)
def test_a_project_id_stays_within_the_reports(project: str, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    path = (reports / f"{stem(project, 'day', '2026-03-04')}.html").resolve()
    assert path.is_relative_to(reports)
    assert len(path.relative_to(reports).parts) == 3


@pytest.mark.parametrize("project", ["../other", "..", "a/b", "a\\b", "*", ""])
def test_a_project_id_does_not_lead_out_of_an_export(project: str, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(SourceError, match="is no project id"):
        Export(str(tmp_path / "export"), project)


@pytest.mark.parametrize("name", [*HOSTILE, "x?api=1&y", "x#y", "@evil.example/", "javascript:1"])
def test_names_and_ids_do_not_lead_to_another_address(name: str) -> None:
    links = Links("https://langfuse.example", name)
    for address in (links.trace(name, name), links.prompt(name, name)):
        assert address is not None
        found = urlsplit(address)
        assert (found.scheme, found.netloc) == ("https", "langfuse.example")
        _, word, project, kind, own = found.path.split("/")
        assert (word, kind in ("traces", "prompts")) == ("project", True)
        assert unquote(project) == unquote(own) == name
        assert [value for _, value in parse_qsl(found.query)] == [name]
        assert found.fragment == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_prompts_name_is_one_part_of_the_path_that_is_asked_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Client:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

        def json(self, path: str, *_: object) -> dict[str, object]:
            asked.append(path)
            return {"prompt": "Hello"}

    monkeypatch.setattr("llmops_jobs.langfuse.client.Client", Client)
    template(ProjectKeys("p", "p", "https://langfuse.example", "pk", "sk"), name, 1)
    (path,) = asked
    assert path.startswith("/api/public/v2/prompts/")
    assert "/" not in path.removeprefix("/api/public/v2/prompts/")
    assert unquote(path.rsplit("/", 1)[1]) == name


def test_different_projects_have_different_folders() -> None:
    assert len({stem(project, "day", "2026-03-04") for project in HOSTILE}) == len(HOSTILE)
