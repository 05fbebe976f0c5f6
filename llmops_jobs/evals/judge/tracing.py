"""The judge's own calls in Langfuse: one generation each, in an environment of their own.

What was judged is named, not repeated: its text is in Langfuse already, and once is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.rows import JUDGE_ENVIRONMENT

if TYPE_CHECKING:
    from llmops_jobs.evals.judge.task import Task

log = logging.getLogger(__name__)


def trace(keys: ProjectKeys, tasks: Sequence[Task], day: date) -> None:
    """Sends one trace per judged call. A server that does not take them is a warning: the verdicts
    stand without."""
    if not tasks:
        return
    from langfuse import Langfuse
    from opentelemetry.sdk.trace import TracerProvider

    try:
        client = Langfuse(
            public_key=keys.public_key,
            secret_key=keys.secret_key,
            base_url=keys.base_url,
            environment=JUDGE_ENVIRONMENT,
            tracer_provider=TracerProvider(),  # of its own: the process may trace elsewhere
        )
        for task in tasks:
            _send(client, task, day)
        client.flush()
        client.shutdown()
    except Exception as error:
        log.warning("judge calls were not traced to Langfuse: %s", type(error).__name__)


def _send(client: object, task: Task, day: date) -> None:
    from langfuse import Langfuse

    assert isinstance(client, Langfuse) and task.answer is not None
    answer = task.answer
    name = f"judge:{task.rubric.name}"
    seed = f"{name}:{task.key}:{day}:{task.canary}"
    generation = client.start_observation(
        trace_context={"trace_id": Langfuse.create_trace_id(seed=seed)},
        name=name,
        as_type="generation",
        model=answer.model or None,
        input={
            "rubric": task.rubric.question,
            "rubric_version": task.rubric.version,
            "judged_trace_id": task.call.trace_id,
            "judged_observation_id": task.call.observation_id,
        },
        output={"verdict": answer.verdict.verdict} if answer.verdict else None,
        metadata={"canary": task.canary, "judged_day": day.isoformat()},
        usage_details={"input": answer.input_tokens, "output": answer.output_tokens},
        cost_details={"total": float(answer.cost_usd)},
        level="DEFAULT" if answer.verdict else "WARNING",
        status_message=answer.problem or None,
    )
    generation.end()
