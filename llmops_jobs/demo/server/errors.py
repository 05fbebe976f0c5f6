"""Errors as the server words them, and the validation issues inside a 400."""

from __future__ import annotations

from typing import Any

EVENTS_ONLY = (
    "This endpoint is not available on deployments running in Langfuse v4 events_only mode. "
    "Learn more about Langfuse v4 at: https://langfuse.com/docs/v4"
)
NO_PREVIEW = (
    "The observations v2 API is only available in a Langfuse v4 write mode. "
    "Learn more at: https://langfuse.com/docs/v4"
)


class ApiError(Exception):
    """An answer that is not the handler's: raised anywhere, turned into a response by the app."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def unauthorized(message: str) -> ApiError:
    return ApiError(401, {"message": message})


def forbidden() -> ApiError:
    return ApiError(403, {"message": "Access denied - insufficient permissions for this endpoint"})


def not_found(message: str) -> ApiError:
    return ApiError(404, {"message": message, "error": "LangfuseNotFoundError"})


def refused(message: str) -> ApiError:
    """400 with one sentence."""
    return ApiError(400, {"message": message, "error": "InvalidRequestError"})


def invalid(*issues: dict[str, Any]) -> ApiError:
    """400 with the list of what is wrong with the request's data."""
    return ApiError(400, {"message": "Invalid request data", "error": list(issues)})


def method_not_allowed() -> ApiError:
    return ApiError(405, {"message": "Method not allowed", "error": "MethodNotAllowedError"})


def custom(path: list[Any], message: str) -> dict[str, Any]:
    return {"code": "custom", "path": path, "message": message}


def wrong_type(path: list[Any], expected: str, received: Any) -> dict[str, Any]:
    return {
        "expected": expected,
        "code": "invalid_type",
        "path": path,
        "message": f"Invalid input: expected {expected}, received {received}",
    }


def too_big(path: list[Any], maximum: float) -> dict[str, Any]:
    return {
        "origin": "number",
        "code": "too_big",
        "maximum": maximum,
        "inclusive": True,
        "path": path,
        "message": f"Too big: expected number to be <={maximum}",
    }


def too_small(path: list[Any], minimum: float) -> dict[str, Any]:
    return {
        "origin": "number",
        "code": "too_small",
        "minimum": minimum,
        "inclusive": True,
        "path": path,
        "message": f"Too small: expected number to be >={minimum}",
    }


def bad_option(path: list[Any], values: Any) -> dict[str, Any]:
    options = "|".join(f'"{value}"' for value in values)
    return {
        "code": "invalid_value",
        "values": list(values),
        "path": path,
        "message": f"Invalid option: expected one of {options}",
    }


def bad_time(path: list[Any]) -> dict[str, Any]:
    from llmops_jobs.demo.server.times import ZOD_DATETIME

    return {
        "origin": "string",
        "code": "invalid_format",
        "format": "datetime",
        "pattern": ZOD_DATETIME,
        "path": path,
        "message": "Invalid ISO datetime",
    }


def kind_of(value: Any) -> str:
    """JavaScript's name of a JSON value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
