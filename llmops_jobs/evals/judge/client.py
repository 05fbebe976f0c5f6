"""One request to a judge behind an OpenAI-compatible endpoint, with retries and one repair.

Two hundred lines on the HTTP library that is here already, instead of a vendor's SDK with a second
HTTP stack (decision 0061).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.evals.judge.prompt import Verdict, read_verdict
from llmops_jobs.evals.judge.request import REFUSED, Form

if TYPE_CHECKING:
    import httpx

#: Problems of what was not sent, or not once more: the row is skipped, not failed.
BUDGET, SILENT = "budget", "the judge does not answer"
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 30.0
_LARGEST = 1_000_000  # bytes of an answer; a verdict has a few hundred
_MOST_TOKENS = 10_000_000  # that an answer may claim to have taken
_MILLION = Decimal(1_000_000)
#: Requests in a row that nothing came back from, until the judge is given up for the night.
_GIVE_UP = 12


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
    timeout_s: float = 60.0

    def most(self, messages: list[dict[str, str]]) -> Decimal:
        """The most that a request can cost: a token is at least one byte of UTF-8."""
        size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        return self.cost(size + 300, self.max_output_tokens)  # the schema and roles are tokens too

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


@dataclass
class Line:
    """A night's connection to the judge: what its requests share."""

    http: httpx.AsyncClient
    endpoint: Endpoint
    form: Form
    budget: Budget
    unanswered: int = 0

    async def ask(self, messages: list[dict[str, str]], mark: str) -> Answer:
        """One verdict. A reply that is none is sent back once with what is wrong with it."""
        first = await self._complete(messages)
        if first.problem:
            return first.answer(None)
        try:
            return first.answer(read_verdict(first.text, mark))
        except ValueError as error:
            complaint = {"role": "user", "content": f"Your reply is {error}. Reply again as told."}
            said = {"role": "assistant", "content": first.text[:2000] or "(nothing)"}
        second = await self._complete([*messages, said, complaint])
        both = first.and_then(second)
        if second.problem:
            return both.answer(None, f"garbage, then {second.problem}")
        try:
            return both.answer(read_verdict(second.text, mark))
        except ValueError:
            return both.answer(None, "garbage twice")

    async def _complete(self, messages: list[dict[str, str]]) -> _Reply:
        """One completion, tried again on errors that pass; every try counts against the budget."""
        most = self.endpoint.most(messages)
        problem, lost, attempt = "", Decimal(0), 0
        while attempt <= self.endpoint.retries:
            if self.unanswered >= _GIVE_UP:
                return _Reply(problem=problem or SILENT, cost_usd=lost)
            if not self.budget.reserve(most):
                return _Reply(problem=problem or BUDGET, cost_usd=lost)
            body = self.form.body(messages)
            tried = await self._send(body, most)
            self.budget.settle(most, tried.cost)
            self.unanswered = 0 if tried.status else self.unanswered + 1
            if tried.reply is not None:
                return _Reply(cost_usd=lost).and_then(tried.reply)
            problem, lost = tried.problem, lost + tried.cost
            if tried.status in REFUSED and self.form.adapt(body, tried.said):
                continue
            if tried.status and tried.status not in _RETRIED:
                break
            if attempt < self.endpoint.retries:
                backoff = min(_LONGEST_WAIT, 0.5 * 2**attempt) * (0.5 + random.random() / 2)
                await asyncio.sleep(_retry_after(tried.retry_after, backoff))
            attempt += 1
        return _Reply(problem=problem, cost_usd=lost)

    async def _send(self, body: dict[str, Any], most: Decimal) -> _Try:
        """One request. What may have been billed though nothing came back costs the most."""
        import httpx

        content = json.dumps(body).encode()
        try:
            # Of the whole: a judge that sends a byte now and then never times out by itself.
            async with asyncio.timeout(self.endpoint.timeout_s):
                async with self.http.stream("POST", "chat/completions", content=content) as got:
                    read, too_long = await _read_up_to(got, _LARGEST)
        except (TimeoutError, httpx.TimeoutException) as error:
            sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
            return _Try("timeout", most if sent else Decimal(0))
        except httpx.ConnectError as error:
            return _Try(f"connection: {type(error).__name__}")
        except httpx.HTTPError as error:
            return _Try(f"connection: {type(error).__name__}", most)
        if got.status_code != 200:
            said = read[:4000].decode("utf-8", "replace")
            after = got.headers.get("retry-after", "")
            return _Try(f"http {got.status_code}", Decimal(0), got.status_code, said, after)
        reply = _Reply(cost_usd=most) if too_long else _reply(read, self.endpoint, most)
        return _Try("", reply.cost_usd, 200, reply=reply)


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


@dataclass(frozen=True)
class _Try:
    """What came of one request; `status` is 0 when nothing came back."""

    problem: str
    cost: Decimal = Decimal(0)
    status: int = 0
    said: str = ""
    retry_after: str = ""
    reply: _Reply | None = None


async def _read_up_to(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """A body, and whether it is longer than what is read of it."""
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > limit:
            return bytes(read[:limit]), True
    return bytes(read), False


def _reply(read: bytes, endpoint: Endpoint, most: Decimal) -> _Reply:
    """The text and the usage of a completion. A body of another shape is an empty reply, and one
    that does not say what it took has taken the most."""
    try:
        body: Any = json.loads(read)
        message = body["choices"][0]["message"]
        text = _text(message.get("content")) or _text(message.get("refusal"))
        model = body.get("model")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return _Reply(cost_usd=most)
    model = model[:200] if isinstance(model, str) else ""
    usage = body.get("usage")
    tokens_in, tokens_out = (
        _tokens(usage, name) for name in ("prompt_tokens", "completion_tokens")
    )
    if tokens_in is None or tokens_out is None:
        return _Reply(text, model=model, cost_usd=most)
    return _Reply(text, "", model, tokens_in, tokens_out, endpoint.cost(tokens_in, tokens_out))


def _text(content: Any) -> str:
    """A string, or the texts of its parts; of anything else nothing."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not count >= 0:
        return None
    return int(min(count, _MOST_TOKENS))


def _retry_after(header: str, otherwise: float) -> float:
    """Seconds to wait: what the header says, in seconds or as a date, within reason."""
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return otherwise
    return min(_LONGEST_WAIT, max(0.0, wait))
