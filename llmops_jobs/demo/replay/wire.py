"""A plan's observations as Langfuse returns them: full rows, every field group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any, Final

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import money
from llmops_jobs.demo.replay.catalogue import Model, models_on
from llmops_jobs.demo.replay.failures import ANSWERED, Failure
from llmops_jobs.demo.replay.observations import Role
from llmops_jobs.demo.replay.plan import Plan
from llmops_jobs.demo.replay.text import errors, tools
from llmops_jobs.demo.replay.text.writer import Writer
from llmops_jobs.demo.rows import Row

TYPES: Final = {
    Role.AGENT: "AGENT",
    Role.EMBED: "EMBEDDING",
    Role.RETRIEVE: "RETRIEVER",
    Role.CALL: "GENERATION",
    Role.TOOL: "TOOL",
    Role.CHECK: "GUARDRAIL",
}
NAMES: Final = {
    Role.AGENT: "support-agent",
    Role.EMBED: "embed-question",
    Role.RETRIEVE: "search-handbook",
    Role.CHECK: "check-schema",
}


def stamps(day: Any, offsets_ms: np.ndarray) -> list[str]:
    """Wire times from milliseconds into a day."""
    instants = np.datetime64(str(day), "ms") + offsets_ms.astype("timedelta64[ms]")
    return [f"{text}Z" for text in np.datetime_as_string(instants, unit="ms")]


class Rows:
    """Writes the rows of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.models = models_on(plan.event)
        self.writer = Writer(plan)
        self._releases = {"": "", app.SERVICE: app.release(plan.day)}

    @cached_property
    def _columns(self) -> dict[str, list[int]]:
        table = self.plan.observations
        names = [f.name for f in fields(table) if f.name != "tokens"]
        return {name: getattr(table, name).tolist() for name in names}

    def text(self, observation_id: str) -> tuple[str | None, str | None] | None:
        """Input and output of one row; None when it is not of this plan."""
        at = self._places.get(observation_id)
        return None if at is None else self._io(at)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {ident: at for at, ident in enumerate(self.plan.observation_ids)}

    def _io(self, at: int) -> tuple[str | None, str | None]:
        request, role, step, failure, last = (
            self._columns[name][at] for name in ("request", "role", "step", "failure", "last_step")
        )
        tool = tools.tool_of(self._who(request)["draws"], step) if role == Role.TOOL else ""
        return self.writer.io(request, role, step, failure, last == 1, tool)

    def write(self, at: np.ndarray, created_ms: np.ndarray, texts: bool = True) -> Iterator[Row]:
        """The rows at these places of the plan, in that order.

        created_ms: when each was ingested, in milliseconds into the plan's day. texts: without
        them input and output are null, and a row takes half the time.
        """
        table = self.plan.observations
        start, end = (
            stamps(self.plan.day, table.start_ms[at]),
            stamps(self.plan.day, table.end_ms[at]),
        )
        first = stamps(self.plan.day, np.maximum(table.first_token_ms[at], 0))
        created = stamps(self.plan.day, created_ms)
        tokens = np.stack([getattr(table.tokens, f.name)[at] for f in fields(table.tokens)], axis=1)
        draws = self.plan.row_draws[at].tolist()
        places = at.tolist()
        counts = tokens.tolist()
        for number, place in enumerate(places):
            yield self._row(
                place,
                (start[number], end[number], first[number], created[number]),
                tuple(counts[number]),
                draws[number],
                texts,
            )

    def _row(
        self,
        at: int,
        times: tuple[str, str, str, str],
        tokens: tuple[int, ...],
        draw: int,
        texts: bool,
    ) -> Row:
        plan, columns = self.plan, self._columns
        request, role, failure = (columns[n][at] for n in ("request", "role", "failure"))
        who = self._who(request)
        feature = who["feature"]
        parent = columns["parent"][at]
        root = parent < 0
        model = self.models[columns["model"][at]] if columns["model"][at] >= 0 else None
        if role == Role.AGENT:
            model, tokens = self._rolled_up(request)
        step = columns["step"][at]
        tool = tools.tool_of(who["draws"], step) if role == Role.TOOL else ""
        start, end, first, created = times
        start_ms, end_ms = columns["start_ms"][at], columns["end_ms"][at]
        first_ms = columns["first_token_ms"][at]
        message = self._message(request, role, failure, model, tool, draw) if failure else ""
        text_in, text_out = self._io(at) if texts else (None, None)
        finish = self.writer.finish(request, role, failure, columns["last_step"][at] == 1)
        known = root or feature.propagates
        is_call = role == Role.CALL and feature.prompt != ""
        return {
            "id": plan.observation_ids[at],
            "traceId": plan.trace_ids[request],
            "startTime": start,
            "endTime": end,
            "projectId": app.PROJECT_ID,
            "parentObservationId": None if root else plan.observation_ids[parent],
            "type": self._type(feature, role),
            "name": self._name(feature, role, tool),
            "level": "ERROR" if failure else "DEFAULT",
            "statusMessage": message,
            "version": "",
            "environment": who["environment"],
            "completionStartTime": first if first_ms >= 0 else None,
            "createdAt": created,
            "updatedAt": created,
            "input": text_in,
            "output": text_out,
            "metadata": self._metadata(who, feature, role, model, failure, finish, known),
            **money.fields(feature, model, tokens, failure, draw),
            "promptId": f"prompt-{feature.prompt}-v{who['version']}" if is_call else "",
            "promptName": feature.prompt if is_call else "",
            "promptVersion": who["version"] if is_call else None,
            "latency": (end_ms - start_ms) / 1000 if end_ms > start_ms else None,
            "timeToFirstToken": (first_ms - start_ms) / 1000 if first_ms >= 0 else None,
            "userId": who["user"] if known else "",
            "sessionId": who["session"] if known else "",
            "isRootObservation": root,
            "traceName": feature.name if known else None,
            "release": who["release"] if known else "",
            "tags": list(who["tags"]) if known else [],
            "bookmarked": False,
            "public": False,
        }

    @cached_property
    def _sums(self) -> list[list[int]]:
        """Tokens of each request's calls together."""
        table = self.plan.observations
        counts = np.stack([getattr(table.tokens, f.name) for f in fields(table.tokens)], axis=1)
        sums = np.zeros((len(self.plan.requests), counts.shape[1]), np.int64)
        np.add.at(sums, table.request, counts)
        listed: list[list[int]] = sums.tolist()
        return listed

    def _rolled_up(self, request: int) -> tuple[Model | None, tuple[int, ...]]:
        """Model and tokens that an agent's own row repeats: one framework reports the sum of its
        calls again, which counts them twice."""
        model = self.models[self.plan.requests.model[request]]
        return (model if model.usage == "openai" else None), tuple(self._sums[request])

    def _who(self, request: int) -> dict[str, Any]:
        return self.writer.who(request)

    @staticmethod
    def _type(feature: app.Feature, role: int) -> str:
        if role == Role.ROOT:
            return feature.root
        if role == Role.CALL and feature.name == "embed-batch":
            return "EMBEDDING"
        return TYPES[Role(role)]

    @staticmethod
    def _name(feature: app.Feature, role: int, tool: str) -> str:
        if role == Role.ROOT or not feature.root:
            return feature.name
        if role == Role.CALL:
            return feature.call
        return tool or NAMES[Role(role)]

    def _message(
        self, request: int, role: int, failure: int, model: Model | None, tool: str, draw: int
    ) -> str:
        asked = model or self.models[self.plan.requests.model[request]]
        draws = self.writer.who(request)["draws"]
        shared = role not in (Role.CALL, Role.TOOL) or failure == Failure.SCHEMA
        number = draws[7] if shared else draw
        return errors.message(failure, asked.provider, asked.request, tool, 0, number)

    def _metadata(
        self,
        who: dict[str, Any],
        feature: app.Feature,
        role: int,
        model: Model | None,
        failure: int,
        finish: str,
        known: bool,
    ) -> dict[str, Any]:
        metadata: dict[str, Any] = dict(self.writer.scope(who["environment"]))
        if who["tenant"] and known:
            metadata["tenant"] = who["tenant"]
        if model is None:
            return metadata
        operation = "embeddings" if model.usage == "embedding" else "chat"
        if role == Role.AGENT:
            operation = "invoke_agent"
        metadata["attributes.gen_ai.operation.name"] = operation
        metadata["attributes.gen_ai.provider.name"] = model.provider
        metadata["attributes.gen_ai.request.model"] = model.request
        if failure in ANSWERED:
            metadata["attributes.gen_ai.response.model"] = model.response
        if finish:
            metadata["attributes.gen_ai.response.finish_reasons"] = [finish]
        if feature.name == "agent-tools" and role == Role.CALL:
            metadata["tool_names"] = list(tools.NAMES)
        return metadata


def stored_cost(plan: Plan) -> float:
    """USD that Langfuse stores for a plan's calls, without writing the rows."""
    table, models = plan.observations, models_on(plan.event)
    at = np.flatnonzero(table.model >= 0)
    counts = np.stack([getattr(table.tokens, f.name)[at] for f in fields(table.tokens)], axis=1)
    columns = (
        plan.requests.feature[table.request[at]].tolist(),
        table.model[at].tolist(),
        counts.tolist(),
        table.failure[at].tolist(),
        plan.row_draws[at].tolist(),
    )
    total = 0.0
    for feature, model, tokens, failure, draw in zip(*columns, strict=True):
        row = money.fields(app.FEATURES[feature], models[model], tuple(tokens), failure, draw)
        total += row["totalCost"]
    return total
