"""What errors say: one family per kind and provider, with ids and numbers that vary."""

from __future__ import annotations

from typing import Final

from llmops_jobs.demo.replay.failures import Failure

_OPENAI: Final = {
    Failure.RATE_LIMIT: "RateLimitError: Error code: 429 - Rate limit reached for {model} in "
    "organization org-{hex} on tokens per min (TPM): Limit {limit}, Used {used}, Requested {n}. "
    "Please try again in {ms}ms.",
    Failure.TIMEOUT: "APITimeoutError: Request timed out after {seconds}.0 seconds.",
    Failure.SERVER: "InternalServerError: Error code: 500 - The server had an error while "
    "processing your request (request id req_{hex})",
    Failure.CONTEXT_LENGTH: "BadRequestError: Error code: 400 - This model's maximum context "
    "length is {limit} tokens. However, your messages resulted in {used} tokens.",
    Failure.CONTENT_FILTER: "BadRequestError: Error code: 400 - content_filter: the prompt was "
    "flagged by policy {hex}",
    Failure.AUTH: "AuthenticationError: Error code: 401 - Incorrect API key provided",
    Failure.BAD_REQUEST: "BadRequestError: Error code: 400 - Invalid value for 'messages[{n}]."
    "content': expected a string, got null",
}
_ANTHROPIC: Final = {
    Failure.RATE_LIMIT: "anthropic.RateLimitError: 429 rate_limit_error: This request would exceed "
    "the rate limit of {limit} input tokens per minute (request_id req_{hex})",
    Failure.TIMEOUT: "anthropic.APITimeoutError: Request timed out.",
    Failure.SERVER: "anthropic.InternalServerError: 529 overloaded_error: Overloaded (request_id "
    "req_{hex})",
    Failure.CONTEXT_LENGTH: "anthropic.BadRequestError: 400 invalid_request_error: prompt is too "
    "long: {used} tokens > {limit} maximum",
    Failure.CONTENT_FILTER: "anthropic.BadRequestError: 400 invalid_request_error: Output blocked "
    "by content filtering policy",
    Failure.AUTH: "anthropic.AuthenticationError: 401 authentication_error: invalid x-api-key",
    Failure.BAD_REQUEST: "anthropic.BadRequestError: 400 invalid_request_error: messages.{n}: all "
    "messages must have non-empty content",
}
_GOOGLE: Final = {
    Failure.RATE_LIMIT: "ClientError: 429 RESOURCE_EXHAUSTED. Quota exceeded for metric "
    "generate_content_requests, limit: {n}, retry in {seconds}s",
    Failure.TIMEOUT: "DeadlineExceeded: 504 DEADLINE_EXCEEDED after {seconds}s",
    Failure.SERVER: "ServerError: 503 UNAVAILABLE. The model is overloaded, try again later.",
    Failure.CONTEXT_LENGTH: "ClientError: 400 INVALID_ARGUMENT. The input token count ({used}) "
    "exceeds the maximum number of tokens allowed ({limit}).",
    Failure.CONTENT_FILTER: "PromptBlocked: response has no candidates, block_reason: SAFETY",
    Failure.AUTH: "ClientError: 403 PERMISSION_DENIED. API key not valid for project {n}",
    Failure.BAD_REQUEST: "ClientError: 400 INVALID_ARGUMENT. Unable to submit request: part {n} "
    "has no data field",
}
_OTHER: Final = {
    Failure.RATE_LIMIT: "HTTPStatusError: 429 Too Many Requests for {provider} (retry-after: "
    "{seconds})",
    Failure.TIMEOUT: "httpx.ReadTimeout: timed out waiting for {provider} after {seconds} s",
    Failure.SERVER: "HTTPStatusError: 502 Bad Gateway from {provider}, upstream pod-{hex} reset",
    Failure.CONTEXT_LENGTH: "HTTPStatusError: 400 Bad Request: reduce the length of the messages, "
    "{model} takes {limit} tokens and got {used}",
    Failure.CONTENT_FILTER: "HTTPStatusError: 400 Bad Request: content moderation refused input",
    Failure.AUTH: "HTTPStatusError: 401 Unauthorized for {provider}",
    Failure.BAD_REQUEST: "HTTPStatusError: 422 Unprocessable Entity: field required: messages.{n}",
}
_BY_PROVIDER: Final = {"openai": _OPENAI, "anthropic": _ANTHROPIC, "gcp.gemini": _GOOGLE}
_TOOL: Final = (
    "ToolError: {tool} failed: connection to orders-db-{n}.internal refused",
    "ToolError: {tool} returned HTTP 404: no record AK-{n:06d}",
    "TimeoutError: tool {tool} gave no answer within {ms} ms",
)
_REJECTED_TOOL: Final = (
    "ToolDefinitionError: {provider} refused the schema of tool crm_lookup: "
    "properties.account_tier: unknown type 'tier' (request {hex})"
)
_SCHEMA: Final = "ValidationError: 1 validation error for OrderMail: {field}: field required"
_NOT_JSON: Final = "JSONDecodeError: Expecting ',' delimiter: line 1 column {n} (char {n})"


def message(failure: int, provider: str, model: str, tool: str, tokens: int, number: int) -> str:
    """The status message of a failed observation."""
    values = {
        "model": model,
        "provider": provider,
        "tool": tool,
        "hex": f"{number * 2654435761 % 2**48:012x}",
        "limit": (128_000, 200_000, 400_000)[number % 3],
        "used": tokens or 128_000 + number % 90_000,
        "n": number % 900 + 12,
        "ms": number % 4000 + 120,
        "seconds": 30 if number % 2 else 60,
        "field": ("order_id", "amount_eur", "category", "quantity")[number % 4],
    }
    if failure == Failure.TOOL:
        return _TOOL[number % len(_TOOL)].format(**values)
    if failure == Failure.REJECTED_TOOL:
        return _REJECTED_TOOL.format(**values)
    if failure == Failure.SCHEMA:
        return _SCHEMA.format(**values)
    if failure == Failure.NOT_JSON:
        return _NOT_JSON.format(**values)
    return _BY_PROVIDER.get(provider, _OTHER)[Failure(failure)].format(**values)
