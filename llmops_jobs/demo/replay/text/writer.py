"""Writes input and output of every kind of row of one plan."""

from __future__ import annotations

from typing import Any, Final

import orjson

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.failures import Failure
from llmops_jobs.demo.replay.observations import Role
from llmops_jobs.demo.replay.plan import Plan
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text import extraction, prompts, tools
from llmops_jobs.demo.replay.text.compact import dumps
from llmops_jobs.demo.replay.text.conversation import Conversation, converse

_HALF_HOUR_MS: Final = 1_800_000


class Writer:
    """Texts, and who asked; both remembered per request, because a trace's rows share them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._people: dict[int, dict[str, Any]] = {}
        self._talks: dict[int, Conversation] = {}
        self._scopes: dict[str, dict[str, Any]] = {}
        requests = plan.requests
        self._columns = {
            name: getattr(requests, name).tolist()
            for name in (
                "feature",
                "tenant",
                "user",
                "start_ms",
                "environment",
                "language",
                "topic",
                "prompt_version",
                "defect",
                "target",
            )
        }
        self._draws: list[list[int]] = plan.text_draws.tolist()
        self._release = app.release(plan.day)

    def who(self, request: int) -> dict[str, Any]:
        """Feature, user, session and the like of a request."""
        found = self._people.get(request)
        if found is not None:
            return found
        columns = self._columns
        feature = app.FEATURES[columns["feature"][request]]
        judged = columns["environment"][request] == app.JUDGING
        tenant = "" if judged else app.TENANTS[columns["tenant"][request]]
        user, slot = columns["user"][request], columns["start_ms"][request] // _HALF_HOUR_MS
        found = {
            "feature": feature,
            "tenant": tenant,
            "user": f"{tenant}-user-{user:03d}" if user >= 0 else "",
            "session": f"{self.plan.day:%m%d}-{tenant}-{user:03d}-{slot:02d}" if user >= 0 else "",
            "environment": app.ENVIRONMENTS[columns["environment"][request]],
            "release": "" if judged else self._release,
            "tags": () if judged else (f"tenant:{tenant}", f"lang:{self.language(request)}"),
            "version": columns["prompt_version"][request],
            "draws": self._draws[request],
        }
        self._people[request] = found
        return found

    def language(self, request: int) -> str:
        return app.LANGUAGES[self._columns["language"][request]]

    def scope(self, environment: str) -> dict[str, Any]:
        """What an exporter writes into the metadata of every row."""
        found = self._scopes.get(environment)
        if found is None:
            found = {
                "scope.name": "langfuse-sdk",
                "scope.version": "5.0.4",
                "resourceAttributes.service.name": app.SERVICE,
                "resourceAttributes.langfuse.environment": environment,
                "resourceAttributes.langfuse.release": self._release,
                "resourceAttributes.telemetry.sdk.language": "python",
                "resourceAttributes.telemetry.sdk.name": "opentelemetry",
            }
            self._scopes[environment] = found
        return found

    def talk(self, request: int) -> Conversation:
        found = self._talks.get(request)
        if found is None:
            columns = self._columns
            defect = columns["defect"][request]
            draws = self._draws[request]
            if columns["feature"][request] == app.EXTRACT:
                mail, answer = extraction.extraction(defect, draws)
                found = Conversation(mail, (), answer)
            else:
                found = converse(self.language(request), columns["topic"][request], defect, draws)
            self._talks[request] = found
        return found

    def finish(self, request: int, role: int, failure: int, last: bool) -> str:
        """Finish reason of one row, '' for none."""
        feature = self._columns["feature"][request]
        if role != Role.CALL or feature == app.EMBED:
            return ""
        if failure:
            return "stop" if failure == Failure.SCHEMA else ""
        if feature == app.JUDGE:
            return "stop"
        if feature == app.AGENT and not last:
            return "tool_calls"
        return "length" if self._columns["defect"][request] == Defect.TRUNCATED else "stop"

    def io(
        self, request: int, role: int, step: int, failure: int, last: bool, tool: str
    ) -> tuple[str | None, str | None]:
        """Input and output of one row."""
        feature = self._columns["feature"][request]
        talk = self.talk(request)
        draws = self._draws[request]
        if role == Role.CALL:
            asked = self._call_input(request, feature, step, talk)
            if failure == Failure.SCHEMA:
                return asked, extraction.extraction(Defect.MISSING_FIELD, draws)[1]
            if failure:
                return asked, None
            return asked, self._call_output(request, feature, step, last, talk)
        if role in (Role.ROOT, Role.AGENT):
            return talk.question, None if failure else self._final(feature, talk)
        if role == Role.RETRIEVE:
            found = [{"id": f"doc-{i}", "content": text} for i, text in enumerate(talk.documents)]
            return talk.question, dumps(found)
        if role == Role.TOOL:
            given = dumps(tools.arguments(tool, draws, step))
            return given, None if failure else tools.result(tool, draws, step)
        if role == Role.CHECK:
            return talk.answer, None if failure else '{"valid": true}'
        return talk.question, None  # an embedding's vector is not kept

    def _call_input(self, request: int, feature: int, step: int, talk: Conversation) -> str:
        version = self._columns["prompt_version"][request]
        messages: list[dict[str, Any]] = []
        if feature == app.EMBED:
            return dumps([talk.question, *talk.documents])
        if feature == app.JUDGE:
            judged = self.talk(self._columns["target"][request])
            return prompts.judge(judged.question, judged.answer)
        system = prompts.system(app.FEATURES[feature].prompt, version)
        messages.append({"role": "system", "content": system})
        if feature == app.RAG:
            user = prompts.with_context(talk.documents, talk.question)
        elif feature == app.SUMMARISE:
            user = prompts.document(talk.documents)
        else:
            user = talk.question
        messages.append({"role": "user", "content": user})
        if feature == app.AGENT and step:
            draws = self._draws[request]
            before = tools.tool_of(draws, step - 1)
            messages.append(orjson.loads(tools.call(draws, step - 1, False)))
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": f"call_{draws[3] + step - 1:08x}",
                    "content": tools.result(before, draws, step - 1),
                }
            )
        # The agents' integration writes what it sent: the messages and the tools on offer.
        sent = {"messages": messages, "tools": tools.DEFINITIONS} if feature == app.AGENT else None
        return dumps(sent or messages)

    def _call_output(
        self, request: int, feature: int, step: int, last: bool, talk: Conversation
    ) -> str | None:
        if feature == app.JUDGE:
            target = self._columns["target"][request]
            defect = self._columns["defect"][target]
            return prompts.verdict(defect, self._draws[request][6])
        if feature == app.AGENT and not last:
            misused = self._columns["defect"][request] == Defect.TOOL_MISUSE and step == 0
            return tools.call(self._draws[request], step, misused)
        return self._final(feature, talk)

    @staticmethod
    def _final(feature: int, talk: Conversation) -> str | None:
        return None if feature in (app.EMBED, app.JUDGE) else talk.answer
