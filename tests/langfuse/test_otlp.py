"""OpenTelemetry GenAI spans, as the collector writes them, land as observations and scores."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.errors import SourceError
from llmops_jobs.evals.sampling import choose_texts
from llmops_jobs.langfuse.otlp import Otlp
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.pull import pull_observations, pull_scores
from llmops_jobs.langfuse.settings import SourceSettings
from llmops_jobs.langfuse.texts import pull_texts
from tests.langfuse.wire_rows import DAY, deployed

START = datetime(2026, 3, 4, 10, tzinfo=UTC)


def value(content: Any) -> dict[str, Any]:
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    if isinstance(content, float):
        return {"doubleValue": content}
    if isinstance(content, list):
        return {"arrayValue": {"values": [value(item) for item in content]}}
    return {"stringValue": content}


def attributes(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(item)} for key, item in content.items()]


def nano(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000) * 1_000_000 + 123_456)


def span(
    name: str, number: int, parent: int = 0, start: datetime = START, **more: Any
) -> dict[str, Any]:
    given = more.pop("attributes", {})
    return {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": f"{number:016X}",
        "parentSpanId": f"{parent:016X}" if parent else "",
        "name": name,
        "startTimeUnixNano": nano(start),
        "endTimeUnixNano": nano(start + timedelta(seconds=2)),
        "attributes": attributes(given),
        **more,
    }


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.4,
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 800,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.reasoning.output_tokens": 30,
    "gen_ai.conversation.id": "talk",
    "user.id": "u1",
    "gen_ai.input.messages": '[{"role":"user","content":"hello"}]',
    "gen_ai.output.messages": '[{"role":"assistant","content":"hi"}]',
    "tenant": "acme",
}
RESULT = {
    "name": "gen_ai.evaluation.result",
    "timeUnixNano": nano(START + timedelta(seconds=3)),
    "attributes": attributes(
        {
            "gen_ai.evaluation.name": "relevance",
            "gen_ai.evaluation.score.value": 0.75,
            "gen_ai.evaluation.score.label": "relevant",
        }
    ),
}
SPANS = [
    span("answer question", 1, attributes={"gen_ai.operation.name": "invoke_agent"}),
    span("chat gpt-4o", 2, 1, attributes=CHAT, events=[RESULT]),
    span(
        "chat gpt-4o", 3, 1, attributes={"gen_ai.request.model": "gpt-4o"},
        status={"code": 2, "message": "429 slow down"},
    ),
    span("lookup", 4, 1, attributes={"gen_ai.operation.name": "execute_tool"}),
    span("GET /", 5),
    span("chat gpt-4o", 6, start=START + timedelta(days=1), attributes=CHAT),
]  # fmt: skip


def line(spans: list[dict[str, Any]]) -> str:
    resource = {
        "attributes": attributes({"service.version": "r7", "deployment.environment.name": "prod"})
    }
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "otlp"
    (place / "older").mkdir(parents=True)
    (place / "traces.jsonl").write_text(line(SPANS[:2]) + "\n\n" + line(SPANS[2:]) + "\n")
    (place / "older" / "traces-1.json.gz").write_bytes(gzip.compress(line(SPANS[:1]).encode()))
    return place


def opened(folder: Path, tmp_path: Path) -> Any:
    class Nowhere:
        url = public_key = secret_key = ""

    deployment, _ = deployed(Nowhere(), tmp_path / "home")  # type: ignore[arg-type]
    source = SourceSettings(kind="otlp", url=str(folder))
    return deployment, ProjectKeys("otel", "test", "", "", "", source=source)


def landed(folder: Path, tmp_path: Path, day: date = DAY) -> dict[str, dict[str, Any]]:
    deployment, project = opened(folder, tmp_path)
    list(pull_observations(deployment, project, [day]))
    rows = deployment.lake.read_day("observations", "otel", day).to_pylist()
    return {row["observation_id"][-1]: row for row in rows}


def test_a_genai_span_becomes_a_model_call_with_inclusive_counts(
    folder: Path, tmp_path: Path
) -> None:
    row = landed(folder, tmp_path)["2"]
    expected = {
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "observation_id": "0000000000000002",
        "parent_observation_id": "0000000000000001",
        "type": "GENERATION",
        "is_model_call": True,
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "request_model": "gpt-4o",
        "finish_reason": "stop",
        "model_parameters": '{"temperature": 0.2}',
        "input_tokens": 1000,
        "cache_read_tokens": 800,
        "output_tokens": 50,
        "reasoning_tokens": 30,
        "usage_issue": "",
        "reported_cost_usd": None,
        "latency_s": 2.0,
        "time_to_first_token_s": 0.4,
        "user_id": "u1",
        "session_id": "talk",
        "environment": "prod",
        "release": "r7",
        "tenant": "acme",
        "feature": "answer question",
        "start_time": START,
    }
    assert {name: row[name] for name in expected} == expected


def test_types_levels_and_labels_follow_the_conventions(folder: Path, tmp_path: Path) -> None:
    rows = landed(folder, tmp_path)
    assert {key: row["type"] for key, row in rows.items()} == {
        "1": "AGENT", "2": "GENERATION", "3": "GENERATION", "4": "TOOL", "5": "SPAN",
    }  # fmt: skip
    assert (rows["3"]["level"], rows["3"]["status_message"]) == ("ERROR", "429 slow down")
    assert rows["4"]["user_id"] == "u1"
    assert rows["5"]["feature"] == "GET /"
    assert list(landed(folder, tmp_path, DAY + timedelta(days=1))) == ["6"]


def test_langfuses_own_attributes_win(tmp_path: Path) -> None:
    own = {
        "langfuse.observation.type": "embedding",
        "langfuse.observation.usage_details": '{"input":7}',
        "langfuse.observation.cost_details": '{"total":0.25}',
        "langfuse.trace.name": "indexer",
        "langfuse.trace.tags": ["tenant:blue"],
        "langfuse.observation.prompt.name": "p",
        "langfuse.observation.prompt.version": 3,
        "langfuse.environment": "sdk-experiment",
    }
    (tmp_path / "otlp").mkdir()
    (tmp_path / "otlp" / "a.jsonl").write_text(line([span("x", 1, attributes={**CHAT, **own})]))
    row = landed(tmp_path / "otlp", tmp_path)["1"]
    assert (row["type"], row["input_tokens"], row["reported_cost_usd"]) == (
        "EMBEDDING", 7, Decimal("0.25"),
    )  # fmt: skip
    assert (row["feature"], row["tenant"], row["is_evaluation"]) == ("indexer", "blue", True)
    assert (row["prompt_name"], row["prompt_version"]) == ("p", 3)


def test_evaluation_results_are_scores_of_their_span(folder: Path, tmp_path: Path) -> None:
    deployment, project = opened(folder, tmp_path)
    list(pull_scores(deployment, project, [DAY]))
    (row,) = deployment.lake.read_day("scores", "otel", DAY).to_pylist()
    assert (row["name"], row["value"], row["string_value"]) == ("relevance", 0.75, "relevant")
    assert (row["subject_kind"], row["observation_id"]) == ("observation", "0000000000000002")


def test_text_is_fetched_apart_and_is_in_no_metrics_column(folder: Path, tmp_path: Path) -> None:
    deployment, project = opened(folder, tmp_path)
    list(pull_observations(deployment, project, [DAY]))
    list(pull_scores(deployment, project, [DAY]))
    list(pull_texts(deployment, project, [DAY], choose_texts))
    texts = deployment.lake.read_day("observation_text", "otel", DAY).to_pylist()
    found = {row["observation_id"][-1]: row for row in texts}
    assert json.loads(found["2"]["input"]) == [{"role": "user", "content": "hello"}]
    assert "hello" not in found["2"]["metadata"]
    rows = deployment.lake.read_day("observations", "otel", DAY).to_pylist()
    assert "hello" not in json.dumps(rows, default=str)


def test_bad_lines_and_spans_are_refused_by_their_place(folder: Path, tmp_path: Path) -> None:
    broken = span("no time", 9) | {"startTimeUnixNano": "soon"}
    (folder / "bad.jsonl").write_text("{not json\n" + line([broken]) + "\n" + line([span("ok", 8)]))
    deployment, project = opened(folder, tmp_path)
    (done,) = pull_observations(deployment, project, [DAY])
    assert {key: reject.reason[:12] for key, reject in done.rejects.items()} == {
        "bad.jsonl:1": "no OTLP/JSON",
        "0000000000000009": "no usable st",
    }
    assert done.rows == 6


def test_a_file_that_ends_in_the_middle_is_named(folder: Path, tmp_path: Path) -> None:
    path = folder / "older" / "traces-1.json.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"traces-1.json.gz ends in the middle"):
        landed(folder, tmp_path)
    with pytest.raises(SourceError, match=r"set `source.url`"):
        Otlp(str(tmp_path / "nowhere"), "otel")
