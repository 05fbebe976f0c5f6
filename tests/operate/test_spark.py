"""Every definition that the nightly job runs, on Spark as on DuckDB: the same answers."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from bench.faults import Site, differences, site
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.evals import on_spark, slices
from llmops_jobs.lake import Lake
from llmops_jobs.lake.engine import Definition, DuckDB, engine_for
from llmops_jobs.langfuse.checks import held
from llmops_jobs.langfuse.pull import pull_observations
from llmops_jobs.langfuse.settings import SourceSettings
from llmops_jobs.launch import materialize, open_instance
from llmops_jobs.ledger.marts import top_spenders
from llmops_jobs.signals.cells import tails
from llmops_jobs.signals.sessions import on_traces
from tests.conftest import ROOT
from tests.facts import facts
from tests.langfuse.test_export import exported

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None,
        reason="PySpark is not installed (pip install 'llmops-jobs[spark]')",
    ),
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java runtime"),
    pytest.mark.filterwarnings("ignore"),
]

DAYS = [date(2026, 9, 1), date(2026, 9, 2)]
# Two workers as processes of their own, one core each: what is not shared is found.
MASTER = os.environ.get("LLMOPS_TEST_SPARK_MASTER", "local-cluster[2,1,1024]")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    settings = "spark.ui.enabled=false", "spark.sql.shuffle.partitions=2"
    options = " ".join(f"--conf {each}" for each in settings)
    patch.setenv("PYSPARK_SUBMIT_ARGS", f"--master {MASTER} {options} pyspark-shell")
    patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    yield
    from llmops_jobs.lake.spark import _session, _started

    _session().stop()
    _started.cache_clear()
    patch.undo()


class Both:
    """Runs each definition on both engines and keeps what differed."""

    def __init__(self) -> None:
        self.duckdb, self.spark = DuckDB(), engine_for("spark")
        self.names: set[str] = set()
        self.differences: list[str] = []

    def run(
        self,
        definition: Definition,
        lake: Lake,
        project: str,
        days: Sequence[date],
        extra: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        here = self.duckdb.run(definition, lake, project, days, extra)
        there = self.spark.run(definition, lake, project, days, extra)
        name = f"{definition.__module__}.{definition.__qualname__}"
        self.names.add(name)
        self.differences += [f"{name}: {each}" for each in unequal(here, there)]
        return here


def unequal(here: pa.Table, there: pa.Table) -> list[str]:
    """Sentences about what differs: floats by more than 1e-9 of their size, the rest at all."""
    if here.column_names != there.column_names:
        return [f"columns {here.column_names} and {there.column_names}"]
    if here.num_rows != there.num_rows:
        return [f"{here.num_rows} rows and {there.num_rows}"]
    floats = [f.name for f in here.schema if _holds_floats(f.type)]
    exact = [name for name in here.column_names if name not in floats]
    found = []
    rows = [_sorted(table, exact, floats) for table in (here, there)]
    for one, other in zip(*rows, strict=True):
        wrong = [name for name in exact if one[name] != other[name]]
        wrong += [name for name in floats if not _close(one[name], other[name])]
        if wrong:
            found.append(", ".join(f"{name} {one[name]!r} and {other[name]!r}" for name in wrong))
    return found[:3]


def _holds_floats(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind)


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == other or math.isclose(one, other, rel_tol=1e-9) or (one != one and other != other)


def _sorted(table: pa.Table, exact: list[str], floats: list[str]) -> list[dict[str, Any]]:
    def key(row: dict[str, Any]) -> tuple[str, ...]:
        rounded = (f"{row[name]:.6g}" if isinstance(row[name], float) else "" for name in floats)
        return (*(repr(row[name]) for name in exact), *rounded)

    rows = [{name: _as_a_set(value) for name, value in row.items()} for row in table.to_pylist()]
    return sorted(rows, key=key)


def _as_a_set(value: Any) -> Any:
    """A list of structs is collected in whatever order; lists of numbers have one."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(value, key=repr)
    return value


@pytest.fixture(scope="module")
def both() -> Both:
    return Both()


def test_the_whole_night_gives_the_same_answers_on_both_engines(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops_jobs.lake.engine.engine_for", lambda name: both)
    with site(tmp_path, days=2, requests=60) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        with open_instance(place.home) as instance:
            outcome = materialize(place.first, place.last, instance=instance)
    assert outcome.success, outcome.error
    assert both.differences == []


def test_the_largest_spenders_of_a_range_are_the_same(both: Both, lake: Lake) -> None:
    for day in DAYS:
        calls = [
            {"observation_id": f"o{i}", "trace_id": f"t{i}", "user_id": f"u{i % 7}"}
            for i in range(50)
        ]
        lake.replace_day("observations", "p", day, facts("observations", calls))
        costs = [
            {"observation_id": f"o{i}", "trace_id": f"t{i}", "cost_usd": Decimal(i + 1).scaleb(-12)}
            for i in range(50)
        ]
        lake.replace_day("costs", "p", day, facts("costs", costs))
    assert len(top_spenders(both, lake, "p", DAYS, 1000)) > 50
    assert both.differences == []


def test_traces_over_midnight_and_sessions_are_the_same(both: Both, lake: Lake) -> None:
    for day in DAYS:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        rows = [
            {
                "trace_id": f"t{i}",
                "session_id": "s",
                "is_root": day == DAYS[0],
                "start_time": at,
            }
            for i in range(3)
        ]
        lake.replace_day("observations", "p", day, facts("observations", rows))
    assert tails(both, lake, "p", DAYS)["trace_id"].to_pylist() == ["t0", "t1", "t2"]
    vote = {"subject_kind": "session", "session_id": "s", "trace_id": "", "timestamp": at}
    votes = facts("scores", [vote]).to_pandas()
    assert on_traces(both, lake, "p", DAYS, votes)["trace_id"].tolist() == ["t2"]
    assert both.differences == []


def test_every_definition_in_the_source_was_compared(both: Both) -> None:
    """Of this file's tests so far: a new one that none of them reaches is found."""
    left = [
        name
        for name in definitions()
        if not any(seen == name or seen.startswith(f"{name}.<locals>") for seen in both.names)
    ]
    assert left == []
    assert len(both.names) >= 25


def definitions() -> list[str]:
    """Of every call `….engine.run(definition, …)`: the definition's module and name."""
    found = set()
    for path in [*ROOT.glob("llmops_jobs/**/*.py"), *ROOT.glob("assets/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        here = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        attr="run", value=ast.Name(id="engine") | ast.Attribute(attr="engine")
                    ),
                    args=[ast.Name(id=name) | ast.Call(func=ast.Name(id=name)), *_],
                ):
                    found.add(f"{imported.get(name, here)}.{name}")
    return sorted(found)


def test_a_project_with_an_odd_name_is_read_and_an_empty_day_is_empty(lake: Lake) -> None:
    project, day = "a b/../é=%41'", DAYS[0]
    lake.replace_day("observations", project, day, facts("observations", [{}, {"trace_id": "t9"}]))
    spark = engine_for("spark")
    assert (
        unequal(DuckDB().run(held, lake, project, [day]), spark.run(held, lake, project, [day]))
        == []
    )
    assert spark.run(held, lake, "nobody", [day]).num_rows == 0


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """A night over an export's files (and what only the API has), with each engine."""
    from llmops_jobs.demo.replay import Replay

    folder = tmp_path_factory.mktemp("exports")
    with site(folder, days=3, requests=40) as place:
        replay = Replay(seed=3, days=3, end=place.last, requests_per_day=40)
        files = folder / "export" / replay.project_id / "observations_v2"
        files.mkdir(parents=True)
        for back in range(3):
            day = place.first + timedelta(days=back)
            rows = [json.dumps(exported(row)) for row in replay.day(day).observations]
            file = files / f"{day + timedelta(days=1)}T00-00-00.jsonl.gz"
            file.write_bytes(gzip.compress("\n".join(rows).encode()))
        config = Path(place.environment["LLMOPS_CONFIG"])
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        source = {"kind": "export", "url": str(folder / "export")}
        content["projects"] = [{"name": "default", "source": source}]
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        spark = place.again(folder / "spark")
        spark.environment["LLMOPS_ENGINE"] = "spark"
        place.finish()
        spark.finish()
        yield {"duckdb": place, "spark": spark}


def test_a_night_over_an_export_is_the_same_with_either_engine(exports: dict[str, Site]) -> None:
    """Landed and scored on Spark's workers too: reached by the variable alone."""
    assert differences(exports["duckdb"], exports["spark"], tolerance=1e-9) == []


def opened(place: Site, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return Deployment.from_environment()


def test_a_day_is_scored_alike_in_slices_on_workers(
    exports: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened(exports["spark"], monkeypatch)
    project, day = home.projects()[0].id, exports["spark"].last
    settings = home.settings.evals
    cheap = slices.Cheap(slices.active(settings), {})
    here = [cheap.score(*each) for each in slices.slices_of_day(home.lake, project, day, 7)]
    there = list(on_spark.scored_slices(home.lake, project, day, settings, cheap, 7))
    assert len(here) == len(there) > 3
    for (count, frames), (calls, others) in zip(here, there, strict=True):
        assert count == calls
        for one, other in zip(frames, others, strict=True):
            assert one.equals(other)


def test_a_day_that_is_not_exported_to_its_end_is_not_landed_on_spark(
    exports: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened(exports["spark"], monkeypatch)
    (project,) = home.projects()
    alone = SourceSettings(kind="export", url=project.source.url, top_up=False)
    later = exports["spark"].last + timedelta(days=1)
    with pytest.raises(SourceError, match=f"{later} is not whole yet"):
        list(pull_observations(home, replace(project, source=alone), [later]))
    assert home.lake.count("observations", project.id, later) == 0


def test_a_file_that_is_cut_is_named_from_a_worker(
    exports: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, last = opened(exports["spark"], monkeypatch), exports["spark"].last
    (project,) = home.projects()
    (path,) = Path(project.source.url).rglob(f"{last + timedelta(days=1)}*")
    content = path.read_bytes()
    path.write_bytes(content[:-60])
    try:
        with pytest.raises(SourceError, match=r"observations of .*jsonl.gz.* cannot be read"):
            list(pull_observations(home, project, [last]))
    finally:
        path.write_bytes(content)
