from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from llmops_jobs.cli import main
from llmops_jobs.report.publish import publish
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import Site
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES
from tests.report.marts import LAST, PROJECT, fill


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _publish(database: Database, folder: Path, first: date, last: date, **settings: int) -> list:
    made = ReportSettings(**settings)
    return list(publish(database, made, Site(str(folder)), [PROJECT], first, last))


def test_every_day_and_the_weeks_and_months_it_touches_are_written(
    own: Database, tmp_path: Path
) -> None:
    _publish(own, tmp_path / "site", date(2026, 3, 1), date(2026, 3, 3))
    names = {name for name in _files(tmp_path / "site") if name.endswith(".html")}
    assert names == {
        "index.html",
        "latest.html",
        f"{PROJECT}/day/2026-03-01.html",
        f"{PROJECT}/day/2026-03-02.html",
        f"{PROJECT}/day/2026-03-03.html",
        f"{PROJECT}/week/2026-03-01.html",
        f"{PROJECT}/week/2026-03-08.html",
        f"{PROJECT}/month/2026-03-31.html",
    }


def test_reports_of_the_same_marts_are_the_same_bytes_and_are_not_written_again(
    own: Database, tmp_path: Path
) -> None:
    first = LAST - timedelta(days=1)
    assert all(done.changed for done in _publish(own, tmp_path / "a", first, LAST))
    before = own.table("report").set_index(["period", "day"])["written_at"].to_dict()
    assert not any(done.changed for done in _publish(own, tmp_path / "a", first, LAST))
    after = own.table("report").set_index(["period", "day"])["written_at"].to_dict()
    assert before == after
    _publish(own, tmp_path / "b", first, LAST)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_a_backfill_of_the_past_gives_the_reports_that_were_written_then(
    own: Database, tmp_path: Path
) -> None:
    """What came later is not in it: no row, no incident's end, no forecast."""
    earlier = LAST - timedelta(days=5)
    name = f"{PROJECT}/day/{earlier}.json"
    _publish(own, tmp_path / "late", earlier, earlier)
    with own.engine.begin() as connection:
        for table in TABLES.values():
            if table.name == "latency_histogram":
                continue  # a view
            for column in ("day", "as_of", "first_day", "detected_on", "proposed_on"):
                if column in table.c and table.name != "report":
                    connection.execute(sa.delete(table).where(table.c[column] > earlier))
    _publish(own, tmp_path / "then", earlier, earlier)
    assert (tmp_path / "late" / name).read_text() == (tmp_path / "then" / name).read_text()


def test_later_nights_change_no_page_of_a_past_day(own: Database, tmp_path: Path) -> None:
    """An incident goes on: it is worded anew, graver, acknowledged, told of, and clears."""
    earlier = LAST - timedelta(days=2)
    _publish(own, tmp_path / "then", earlier, earlier)
    before = _files(tmp_path / "then")
    page = before[f"{PROJECT}/day/{earlier}.html"].decode()
    assert "quality" in page
    later = datetime(2026, 3, 25, 9, tzinfo=UTC)
    with own.engine.begin() as connection:
        incident, told = TABLES["incident"], TABLES["notification"]
        changed = {"summary": "worse by far", "severity": "critical", "value": 9.0, "fired": 9}
        changed |= {"acknowledged_at": later, "acknowledged_by": "ada", "last_day": later.date()}
        changed |= {"state": "resolved", "resolved_at": later, "detail": '{"impact_usd": 99}'}
        connection.execute(sa.update(incident).where(incident.c.rule == "quality").values(changed))
        delivered = sa.update(told).where(told.c.status == "dead")
        connection.execute(delivered.values(status="sent", sent_at=later))
        rollback = TABLES["rollback"]
        connection.execute(sa.update(rollback).values(status="applied", applied_at=later))
    _publish(own, tmp_path / "now", earlier, earlier)
    after = _files(tmp_path / "now")
    names = [name for name in before if "/day/" in name]
    assert len(names) == 3
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


def test_an_incident_that_cleared_by_then_is_resolved_and_before_it_is_open(
    own: Database, tmp_path: Path
) -> None:
    """The second of the test marts': open on 9 March, clear on the 10th."""
    states = {}
    for day in (date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 10)):
        _publish(own, tmp_path, day, day)
        report = json.loads((tmp_path / f"{PROJECT}/day/{day}.json").read_text())
        section = next(one for one in report["sections"] if one["id"] == "incidents")
        rows = [row for block in section["blocks"] for row in block.get("rows", [])]
        states[day.day] = [row[0]["text"] for row in rows if "errors" in str(row[1])]
    assert states == {8: [], 9: ["Open"], 10: ["Resolved"]}


def test_old_day_reports_are_removed_when_a_retention_is_set(own: Database, tmp_path: Path) -> None:
    _publish(own, tmp_path / "site", LAST - timedelta(days=4), LAST, keep_days=2)
    days = {Path(name).stem for name in _files(tmp_path / "site") if "/day/" in name}
    assert days == {str(LAST - timedelta(days=back)) for back in range(3)}
    assert len(own.table("report", period="day")) == 3


def test_latest_is_the_newest_day_and_its_links_lead_into_the_site(
    own: Database, tmp_path: Path
) -> None:
    _publish(own, tmp_path, LAST - timedelta(days=1), LAST)
    latest = json.loads((tmp_path / "latest.json").read_text())
    assert latest["period"]["last"] == str(LAST)
    page = (tmp_path / "latest.html").read_text()
    assert 'href="latest.json"' in page
    assert 'href="index.html"' in page


def test_several_projects_get_an_edition_over_all_of_them(
    database: Database, tmp_path: Path
) -> None:
    fill(database, days=10)
    fill(database, days=10, project="second", seed=3, only=("usage_daily", "project"))
    site = Site(str(tmp_path))
    done = list(publish(database, ReportSettings(), site, [PROJECT, "second"], LAST, LAST))
    spend = {
        one.report.project.id: one.report.summary.spend_usd
        for one in done
        if one.report.period.kind == "day"
    }
    assert spend["all"] == pytest.approx(spend[PROJECT] + spend["second"])
    tables = {
        block.id
        for one in done
        if one.report.project.id == "all"
        for section in one.report.sections
        for block in section.blocks
        if block.kind == "table"
    }
    assert "cost-by-project_id" in tables
    assert json.loads((tmp_path / "latest.json").read_text())["project"]["id"] == "all"


def test_the_command_prints_where_the_report_is(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(database, days=10)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMOPS_DATABASE_URL", f"sqlite:///{tmp_path}/llmops.db")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--period", "week", "--format", "md,json", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out.split()
    assert [Path(path).suffix for path in printed] == [".md", ".json"]
    assert all(Path(path).exists() for path in printed)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--format", "pdf"], 64, "html, md, json"),
        (["--project", "nobody"], 1, "project nobody"),
        (["--date", "last friday"], 64, "YYYY-MM-DD"),
        ([], 1, "llmops run"),
    ],
)
def test_a_report_that_cannot_be_made_is_explained_in_one_line(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["report", *arguments])
    told = capsys.readouterr().err
    assert stopped.value.code == code
    assert said in told
    assert len(told.strip().splitlines()) == 1
