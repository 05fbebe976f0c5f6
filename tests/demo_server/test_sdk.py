"""Langfuse's own Python SDK reads and writes the stand-in through its generated models."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.prompts import prompt_version
from tests.demo_server.conftest import call, thumb

ALL = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"


@pytest.fixture
def sdk() -> Callable[[Running], Any]:
    from langfuse.api import LangfuseAPI

    def connect(server: Running) -> Any:
        keys = {"username": server.public_key, "password": server.secret_key}
        return LangfuseAPI(base_url=server.url, **keys)

    return connect


def source() -> MemorySource:
    return MemorySource([call(n) for n in range(3)], [thumb(n) for n in range(3)])


def test_the_sdk_reads_rows_scores_and_metrics(sdk: Callable[[Running], Any]) -> None:
    with running(source()) as server:
        api = sdk(server)
        assert api.health.health().version == "4.16.0"
        assert api.projects.get().data[0].id == "local-project"
        page = api.observations.get_many(fields=ALL, limit=2)
        assert [row.id for row in page.data] == ["obs-0002", "obs-0001"]
        assert page.data[0].usage_details == {"input": 100, "output": 20, "total": 120}
        rest = api.observations.get_many(limit=2, cursor=page.meta.cursor)
        assert ([row.id for row in rest.data], rest.meta.cursor) == (["obs-0000"], None)
        scores = api.scores.get_many(fields="details,subject,annotation")
        assert [score.value for score in scores.data] == [True, False, True]
        query = {
            "view": "observations",
            "metrics": [{"measure": "totalCost", "aggregation": "sum"}],
            "fromTimestamp": "2026-11-20T00:00:00Z",
            "toTimestamp": "2026-11-20T23:59:59.999Z",
        }
        assert api.metrics.metrics(query=json.dumps(query)).data == [{"sum_totalCost": 2.25}]


def test_the_sdk_reads_a_projects_own_data_and_moves_a_label(sdk: Callable[[Running], Any]) -> None:
    versions = [
        prompt_version("answer", 2, "Shorter.", labels=["latest"]),
        prompt_version("answer", 1, [{"role": "user", "content": "{{q}}"}], labels=["production"]),
    ]
    item = {
        "id": "i", "traceId": "t", "startTime": "2026-11-20T00:00:00.000Z", "endTime": None,
        "experimentId": "run", "experimentName": "run", "experimentItemId": "x",
    }  # fmt: skip
    things = {"prompts": versions, "experiment-items": [item]}
    with running(source(), things=things) as server:
        api = sdk(server)
        assert api.prompts.get("answer").prompt[0].content == "{{q}}"
        assert api.prompts.list().data[0].versions == [1, 2]
        api.prompt_version.update(name="answer", version=2, new_labels=["production"])
        assert api.prompts.get("answer").version == 2
        assert len(api.models.list().data) == 3
        config = api.score_configs.create(name="correct", data_type="BOOLEAN")
        queue = api.annotation_queues.create_queue(name="q", score_config_ids=[config.id])
        added = api.annotation_queues.create_queue_item(
            queue.id, object_id="obs-0001", object_type="OBSERVATION"
        )
        assert api.annotation_queues.list_queue_items(queue.id).data == [added]
        api.datasets.create(name="golden")
        api.dataset_items.create(dataset_name="golden", input={"q": 1})
        assert api.dataset_items.list(dataset_name="golden").data[0].input == {"q": 1}
        api.comments.create(
            project_id="local-project", object_type="TRACE", object_id="t", content="look"
        )
        assert api.comments.get().data[0].content == "look"
        start = datetime(2026, 11, 1, tzinfo=UTC)
        assert api.experiments.list(from_start_time=start).data[0].item_count == 1
        assert api.experiments.list_items(from_start_time=start).data[0].experiment_id == "run"


def test_the_sdk_writes_scores_to_a_new_server_and_is_refused_by_an_old_one(
    sdk: Callable[[Running], Any],
) -> None:
    from langfuse.api import CreateScoreRequest
    from langfuse.api.core import ApiError

    score = CreateScoreRequest(id="s", name="judge", value=0.5, trace_id="t")
    with running(source(), version="4.59.0") as server:
        api = sdk(server)
        api.scores.create(request=[score])
        assert api.scores.get_many(id="s").data[0].value == 0.5
    with running(source(), version="4.16.0") as server:
        with pytest.raises(ApiError) as refused:
            sdk(server).scores.create(request=[score])
        assert refused.value.status_code == 400
