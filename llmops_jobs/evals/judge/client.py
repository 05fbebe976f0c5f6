"""One request to a judge behind an OpenAI-compatible endpoint, with retries and one repair.

A hundred lines on the HTTP library that is here already, instead of a vendor's SDK with a second
HTTP stack (decision 0061).
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.evals.judge.prompt import SCHEMA, Verdict, read_verdict

if TYPE_CHECKING:
    import httpx

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 30.0
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Endpoint:
    """Where the judge is and what it costs. The key is kept out of repr and logs."""

    base_url: str
    model: str
    usd_per_million_input: Decimal
    usd_per_million_output: Decimal
    max_output_tokens: int
    retries: int
    seed: int

    def most(self, messages: list[dict[str, str]]) -> Decimal:
        """The most that a request can cost: a token is at least one byte of UTF-8."""
        size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        return self.cost(size + 50, self.max_output_tokens)

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        return (
            input_tokens * self.usd_per_million_input + output_tokens * self.usd_per_million_output
        ) / _MILLION


@dataclass(frozen=True)
class Answer:
    """What came of one call: a verdict, or why there is none. Costs count either way."""

    verdict: Verdict | None
    problem: str = ""  # budget, timeout, http 400, garbage, ...
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)


async def ask(
    http: httpx.AsyncClient,
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    mark: str,
    budget: Budget,
) -> Answer:
    """One verdict. A reply that is none is sent back once with what is wrong with it."""
    first = await _complete(http, endpoint, messages, budget)
    if first.problem:
        return first.answer(None)
    try:
        return first.answer(read_verdict(first.text, mark))
    except ValueError as error:
        complaint = {"role": "user", "content": f"Your reply is {error}. Reply again as told."}
        said = {"role": "assistant", "content": first.text[:2000]}
    second = await _complete(http, endpoint, [*messages, said, complaint], budget)
    both = first.and_then(second)
    if second.problem:
        return both.answer(None, f"garbage, then {second.problem}")
    try:
        return both.answer(read_verdict(second.text, mark))
    except ValueError:
        return both.answer(None, "garbage twice")


@dataclass(frozen=True)
class _Reply:
    text: str = ""
    problem: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def and_then(self, later: _Reply) -> _Reply:
        return _Reply(
            later.text,
            later.problem,
            later.model or self.model,
            self.input_tokens + later.input_tokens,
            self.output_tokens + later.output_tokens,
            self.cost_usd + later.cost_usd,
        )

    def answer(self, verdict: Verdict | None, problem: str = "") -> Answer:
        return Answer(
            verdict,
            problem or self.problem,
            self.model,
            self.input_tokens,
            self.output_tokens,
            self.cost_usd,
        )


async def _complete(
    http: httpx.AsyncClient, endpoint: Endpoint, messages: list[dict[str, str]], budget: Budget
) -> _Reply:
    """One completion, tried again on errors that pass; every try counts against the budget."""
    import httpx

    most = endpoint.most(messages)
    body = {
        "model": endpoint.model,
        "messages": messages,
        "temperature": 0,
        "seed": endpoint.seed,
        "max_tokens": endpoint.max_output_tokens,
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }
    problem, lost = "", Decimal(0)
    for attempt in range(endpoint.retries + 1):
        if not budget.reserve(most):
            return _Reply(problem=problem or "budget", cost_usd=lost)
        wait = min(_LONGEST_WAIT, 0.5 * 2**attempt) * (0.5 + random.random() / 2)
        try:
            response = await http.post("chat/completions", json=body)
        except httpx.TimeoutException:
            problem, lost = "timeout", lost + most  # the judge may have answered, and billed
            budget.settle(most, most)
        except httpx.HTTPError as error:
            problem = f"connection: {type(error).__name__}"
            budget.settle(most, Decimal(0))
        else:
            if response.status_code < 400:
                reply = _read(response, endpoint)
                budget.settle(most, reply.cost_usd)
                return _Reply(cost_usd=lost).and_then(reply)
            budget.settle(most, Decimal(0))
            problem = f"http {response.status_code}"
            if response.status_code not in _RETRIED:
                break
            wait = _retry_after(response.headers.get("retry-after"), wait)
        if attempt < endpoint.retries:
            await asyncio.sleep(wait)
    return _Reply(problem=problem, cost_usd=lost)


def _read(response: httpx.Response, endpoint: Endpoint) -> _Reply:
    """The text and the usage of a completion; a body of another shape is an empty reply."""
    try:
        body: Any = response.json()
        message = body["choices"][0]["message"]
        text = message.get("content") or message.get("refusal") or ""
        usage = body.get("usage") or {}
        tokens_in = max(0, int(usage.get("prompt_tokens") or 0))
        tokens_out = max(0, int(usage.get("completion_tokens") or 0))
        model = str(body.get("model") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return _Reply(text="", cost_usd=endpoint.cost(0, endpoint.max_output_tokens))
    cost = endpoint.cost(tokens_in, tokens_out)
    return _Reply(str(text), "", model, tokens_in, tokens_out, cost)


def _retry_after(header: str | None, otherwise: float) -> float:
    try:
        return min(_LONGEST_WAIT, max(0.0, float(header or "")))
    except ValueError:
        return otherwise
