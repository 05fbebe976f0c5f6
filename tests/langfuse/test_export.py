"""The blob export in every format lands as the same rows as the API, once, on its own day."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmops_jobs.demo.server import MemorySource
from llmops_jobs.errors import SourceError
from llmops_jobs.evals.sampling import choose_texts
from llmops_jobs.langfuse.export import Export
from llmops_jobs.langfuse.late import mark_stale
from llmops_jobs.langfuse.pull import pull_observations, pull_scores
from llmops_jobs.langfuse.settings import SourceSettings
from llmops_jobs.langfuse.texts import pull_texts
from tests.langfuse.wire_rows import DAY, observation, score, standing

PROJECT = "local-project"
_NAMES = {
    "model": "provided_model_name",
    "isRootObservation": "is_root_observation",
}
FORMATS = ["parquet", "jsonl", "jsonl.gz", "json", "json.gz", "csv", "csv.gz"]


def snake(name: str) -> str:
    return _NAMES.get(name) or "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def exported(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the wire as the export has it: snake case, times in UTC without a zone."""
    out: dict[str, Any] = {
        "project_id": PROJECT, "parent_observation_id": "", "level": "DEFAULT", "user_id": "",
        "metadata": {"scope.name": "sdk"}, "tags": ["tenant:acme"], "trace_name": "chat",
        "environment": "production", "input": "question", "output": "answer",
        "prompt_version": None,
    }  # fmt: skip
    for name, value in row.items():
        if name in ("startTime", "endTime", "createdAt", "updatedAt", "timestamp"):
            value = value.replace("T", " ").replace("Z", "000")
        out[snake(name)] = value
    return out


def write(folder: Path, table: str, window: str, rows: list[dict[str, Any]], kind: str) -> Path:
    path = folder / PROJECT / table / f"{window}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        pq.write_table(_arrow(rows), path)
        return path
    if kind.startswith("jsonl"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif kind.startswith("json"):
        text = json.dumps(rows, ensure_ascii=False)
    else:
        text = _csv(rows)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if kind.endswith(".gz") else content)
    return path


def _csv(rows: list[dict[str, Any]]) -> str:
    import io

    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    key: json.dumps(value) if isinstance(value, dict | list) else value
                    for key, value in row.items()
                }
            )
    return out.getvalue()


def _arrow(rows: list[dict[str, Any]]) -> pa.Table:
    """With the types of a real export: maps, decimals, unsigned integers."""
    kinds = {
        "usage_details": pa.map_(pa.string(), pa.uint64()),
        "cost_details": pa.map_(pa.string(), pa.decimal128(18, 12)),
        "metadata": pa.map_(pa.string(), pa.string()),
        "total_cost": pa.decimal128(18, 12),
        "prompt_version": pa.uint16(),
    }
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        kind = kinds.get(name)
        if kind is not None and pa.types.is_map(kind):
            money = name == "cost_details"
            values = [
                [(k, Decimal(str(v)) if money else v) for k, v in value.items()] for value in values
            ]
        elif name == "total_cost":
            values = [Decimal(str(value)) for value in values]
        elif isinstance(values[0], str) and values[0].startswith("2026-") and ":" in values[0]:
            values = [datetime.fromisoformat(value).replace(tzinfo=UTC) for value in values]
            kind = pa.timestamp("us", tz="UTC")
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def rows(count: int = 6) -> list[dict[str, Any]]:
    wanted = [observation(n * 3600, traceId=f"t{n}") for n in range(count)]
    wanted[1] |= {"usageDetails": {"input": 5, "input_cached_tokens": 95, "output": 1}}
    wanted[2] |= {"costDetails": {}, "name": 'quote " comma , line\nbreak'}
    return wanted


def landed(folder: Path, tmp_path: Path, day: date = DAY) -> pa.Table:
    """What lands of an export, without any server."""
    from llmops_jobs.langfuse.project import ProjectKeys
    from tests.langfuse.wire_rows import deployed

    class Nowhere:
        url = public_key = secret_key = ""

    deployment, _ = deployed(Nowhere(), tmp_path / "home")  # type: ignore[arg-type]
    source = SourceSettings(kind="export", url=str(folder), top_up=False)
    project = ProjectKeys(PROJECT, "test", "", "", "", source=source)
    list(pull_observations(deployment, project, [day]))
    return deployment.lake.read_day("observations", PROJECT, day)


def by_api(tmp_path: Path) -> pa.Table:
    whole = [
        {
            **row,
            "metadata": {"scope.name": "sdk"},
            "tags": ["tenant:acme"],
            "traceName": "chat",
            "environment": "production",
        }
        for row in rows()
    ]
    with standing(MemorySource(whole), tmp_path / "api") as (deployment, project, _):
        list(pull_observations(deployment, project, [DAY]))
        return deployment.lake.read_day("observations", project.id, DAY)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_lands_as_the_api_does(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder, "observations_v2", "2026-03-05T00-00-00", [exported(r) for r in rows()], kind)
    found, expected = landed(folder, tmp_path), by_api(tmp_path)
    # Spelling of the same JSON differs by format; a completed row has an empty cost or usage.
    audit = ["usage_details", "cost_details", "model_parameters"]
    assert found.drop_columns(audit).to_pylist() == expected.drop_columns(audit).to_pylist()
    for ours, theirs in zip(
        found["usage_details"].to_pylist(), expected["usage_details"].to_pylist(), strict=True
    ):
        assert json.loads(ours) == json.loads(theirs)


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz", "csv"])
def test_an_export_in_an_object_store_is_read_by_its_url(kind: str, tmp_path: Path) -> None:
    """fsspec's store in memory stands for S3, GCS and Azure: other paths, the same interface."""
    import fsspec

    path = write(
        tmp_path, "observations_v2", "2026-03-05T00-00-00", [exported(r) for r in rows()], kind
    )
    store = fsspec.filesystem("memory")
    store.pipe_file(f"/bucket/lf/{PROJECT}/observations_v2/{path.name}", path.read_bytes())
    try:
        export = Export("memory://bucket/lf", PROJECT)
        found = [batch.rows for batch in export.observations(DAY)]
        assert pa.concat_tables(found).num_rows == len(rows())
        pairs = pa.table(
            {
                "trace_id": ["t1"],
                "observation_id": ["o3600"],
                "start_time": pa.array([datetime(2026, 3, 4, 1, tzinfo=UTC)]),
            }
        )
        assert export.texts(pairs)["output"].to_pylist() == ["answer"]
    finally:
        store.rm("/bucket", recursive=True)


def test_overlapping_windows_and_other_days_are_cut_and_deduplicated(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    before = exported(observation(1, id="before", startTime="2026-03-03T23:59:59.999Z"))
    edge = exported(observation(0, id="edge", startTime="2026-03-04T00:00:00.000Z"))
    after = exported(observation(2, id="after", startTime="2026-03-05T00:00:00.000Z"))
    write(folder, "observations_v2", "2026-03-04T00-00-00", [before, edge], "jsonl")
    write(folder, "observations_v2", "2026-03-05T00-00-00", [edge, after], "parquet")
    assert landed(folder, tmp_path)["observation_id"].to_pylist() == ["edge"]


def test_empty_files_are_windows_without_rows(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for window, kind in enumerate(["jsonl", "csv", "json"]):
        write(folder, "observations_v2", f"2026-03-05T0{window}-00-00", [], kind)
    write(folder, "observations_v2", "2026-03-05T09-00-00", [exported(observation(1))], "jsonl")
    assert landed(folder, tmp_path).num_rows == 1


def test_with_manifests_only_what_they_list_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    listed = write(
        folder, "observations_v2", "2026-03-05T00-00-00", [exported(observation(1))], "jsonl"
    )
    write(folder, "observations_v2", "2026-03-05T01-00-00", [exported(observation(2))], "jsonl")
    manifest = {
        "version": 1,
        "projectId": PROJECT,
        "somethingNew": True,
        "files": [
            {
                "key": f"anything/{PROJECT}/observations_v2/{listed.name}",
                "table": "observations_v2",
                "sizeBytes": listed.stat().st_size,
            }
        ],
    }
    place = folder / PROJECT / "manifests" / "2026-03-05T00-00-00.json"
    place.parent.mkdir()
    place.write_text(json.dumps(manifest))
    assert landed(folder, tmp_path)["observation_id"].to_pylist() == ["o1"]
    listed.unlink()
    with pytest.raises(
        SourceError, match=r"manifests list are not there.*2026-03-05T00-00-00.jsonl"
    ):
        landed(folder, tmp_path)
    place.write_text("{")
    with pytest.raises(SourceError, match="no manifest of an export"):
        landed(folder, tmp_path)


def test_a_day_that_is_not_exported_to_its_end_is_an_error_and_not_half_a_day(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "export"
    write(folder, "observations_v2", "2026-03-04T12-00-00", [exported(observation(1))], "jsonl")
    with pytest.raises(SourceError, match="2026-03-04 is not whole yet"):
        landed(folder, tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz"])
def test_a_file_that_is_cut_is_named(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    path = write(
        folder, "observations_v2", "2026-03-05T00-00-00", [exported(r) for r in rows()], kind
    )
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(SourceError, match=rf"2026-03-05T00-00-00.{kind}.* cannot be read"):
        landed(folder, tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no folder local-project: set `source.url`"):
        Export(str(tmp_path), PROJECT)


def test_rows_without_a_time_are_refused_on_the_files_own_day(tmp_path: Path) -> None:
    from llmops_jobs.langfuse.rows import Normaliser
    from llmops_jobs.langfuse.settings import DimensionRules

    folder = tmp_path / "export"
    bad = exported(observation(1)) | {"start_time": "soon", "prompt_version": "three"}
    good = exported(observation(2)) | {"prompt_version": "three"}
    write(folder, "observations_v2", "2026-03-05T00-00-00", [bad, good], "jsonl")
    export, normaliser = Export(str(folder), PROJECT), Normaliser(DimensionRules(), PROJECT)
    for day, refused in ((DAY, ["no start_time"]), (DAY - timedelta(days=1), [])):
        (raw,) = [b.rows for b in export.observations(day)] or [None]
        if raw is None:
            assert refused == []
            continue
        kept, rejects = normaliser.rows(raw, day)
        assert [r.reason for r in rejects] == refused
        assert kept["observation_id"].to_pylist() == (["o2"] if day == DAY else [])


def test_what_an_export_misses_is_fetched_by_the_api(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    long = observation(3, id="long", endTime=f"{DAY}T02:00:00.000Z", latency=7197.0)
    late = observation(4, id="late")
    write(folder, "observations_v2", "2026-03-05T00-00-00", [exported(observation(1))], "jsonl")
    write(folder, "scores", "2026-03-05T00-00-00", [], "jsonl")
    held = [observation(1), long, late]
    with standing(MemorySource(held, [score(1)]), tmp_path / "home") as (deployment, keys, _):
        from dataclasses import replace

        project = replace(keys, source=SourceSettings(kind="export", url=str(folder)))

        def ids() -> list[str]:
            table = deployment.lake.read_day("observations", project.id, DAY)
            return sorted(table["observation_id"].to_pylist())

        list(pull_observations(deployment, project, [DAY]))
        assert ids() == ["long", "o1"]
        mark_stale(deployment.database, project.id, "observations", [DAY])
        list(pull_observations(deployment, project, [DAY]))
        assert ids() == ["late", "long", "o1"]
        list(pull_scores(deployment, project, [DAY]))
        assert deployment.lake.read_day("scores", project.id, DAY).num_rows == 1
        (texts,) = pull_texts(deployment, project, [DAY], choose_texts)
        assert (texts.fetched, texts.missing) == (3, 0)
        table = deployment.lake.read_day("observation_text", project.id, DAY)
        assert "answer" in table["output"].to_pylist()


@pytest.mark.parametrize("kind", ["parquet", "csv.gz", "jsonl"])
def test_scores_of_an_export_have_value_text_and_subject(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    base = {
        "project_id": PROJECT, "timestamp": f"{DAY} 10:00:00.000000", "name": "x",
        "environment": "production", "observation_id": "", "session_id": "", "dataset_run_id": "",
        "source": "API", "comment": "", "trace_id": "t",
        "created_at": f"{DAY} 10:00:00.000000", "updated_at": f"{DAY} 10:00:00.000000",
    }  # fmt: skip
    given = [
        {**base, "id": "a", "data_type": "BOOLEAN", "value": 1.0, "string_value": "True"},
        {**base, "id": "b", "data_type": "CATEGORICAL", "value": None, "string_value": "billing"},
        {
            **base,
            "id": "c",
            "data_type": "NUMERIC",
            "value": 0.25,
            "string_value": "",
            "observation_id": "o",
        },
        {
            **base,
            "id": "d",
            "data_type": "NUMERIC",
            "value": 1.0,
            "string_value": "",
            "trace_id": "",
            "session_id": "s",
        },
    ]
    write(folder, "scores", "2026-03-05T00-00-00", given, kind)
    from llmops_jobs.langfuse.score_rows import score_rows

    (batch,) = Export(str(folder), PROJECT).scores(DAY)
    kept, rejects = score_rows(batch.rows, DAY, PROJECT)
    found = {row["score_id"]: row for row in kept.to_pylist()}
    assert rejects == []
    assert (found["a"]["value"], found["a"]["string_value"]) == (1.0, "True")
    assert (found["b"]["value"], found["b"]["string_value"]) == (None, "billing")
    assert [found[k]["subject_kind"] for k in "acd"] == ["trace", "observation", "session"]
