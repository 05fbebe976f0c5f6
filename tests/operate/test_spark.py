"""Every definition that the nightly job runs, on Spark as on DuckDB: the same answers."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llmops_jobs.lake import Lake
from llmops_jobs.lake.engine import Definition, DuckDB, engine_for
from tests.facts import facts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None,
        reason="PySpark is not installed (pip install 'llmops-jobs[spark]')",
    ),
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java runtime"),
    pytest.mark.filterwarnings("ignore"),
]

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


def test_the_whole_night_gives_the_same_answers_on_both_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.faults import site
    from llmops_jobs.launch import materialize, open_instance

    both = Both()
    monkeypatch.setattr("llmops_jobs.lake.engine.engine_for", lambda name: both)
    with site(tmp_path, days=2, requests=60) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        with open_instance(place.home) as instance:
            outcome = materialize(place.first, place.last, instance=instance)
    assert outcome.success, outcome.error
    assert both.differences == []
    assert len(both.names) >= 15, both.names


def test_the_largest_spenders_of_a_range_are_the_same(lake: Lake) -> None:
    from llmops_jobs.ledger.marts import spend_by_subject

    days = [date(2026, 9, 1), date(2026, 9, 2)]
    for day in days:
        calls = facts(
            "observations",
            [
                {"observation_id": f"o{i}", "trace_id": f"t{i}", "user_id": f"u{i % 7}"}
                for i in range(50)
            ],
        )
        lake.replace_day("observations", "p", day, calls)
        costs = [
            {"observation_id": f"o{i}", "trace_id": f"t{i}", "cost_usd": Decimal(i + 1).scaleb(-12)}
            for i in range(50)
        ]
        lake.replace_day("costs", "p", day, facts("costs", costs))
    here = DuckDB().run(spend_by_subject, lake, "p", days)
    assert here.num_rows > 50
    assert unequal(here, engine_for("spark").run(spend_by_subject, lake, "p", days)) == []


def test_a_project_with_an_odd_name_is_read_and_an_empty_day_is_empty(lake: Lake) -> None:
    from llmops_jobs.langfuse.checks import held

    project, day = "a b/../é=%41'", date(2026, 9, 1)
    lake.replace_day("observations", project, day, facts("observations", [{}, {"trace_id": "t9"}]))
    spark = engine_for("spark")
    assert (
        unequal(DuckDB().run(held, lake, project, [day]), spark.run(held, lake, project, [day]))
        == []
    )
    assert spark.run(held, lake, "nobody", [day]).num_rows == 0
