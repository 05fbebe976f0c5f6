"""Basic authentication with a project's keys."""

from __future__ import annotations

import base64

from starlette.requests import Request

from llmops_jobs.demo.server.errors import forbidden, unauthorized
from llmops_jobs.demo.server.state import State

WRONG_HOST = "Confirm that you've configured the correct host."


def check(state: State, request: Request) -> None:
    """Raises ApiError: 401 without the right keys, 403 for the public key as a bearer token,
    which is good for scores only."""
    header = request.headers.get("authorization")
    if not header:
        raise unauthorized("No authorization header")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        if value != state.public_key:
            raise unauthorized(f"Invalid public key. {WRONG_HOST}")
        if request.url.path == "/api/public/scores" and request.method == "POST":
            return
        raise forbidden()
    if scheme.lower() != "basic":
        raise unauthorized("Invalid authorization header")
    try:
        public, _, secret = base64.b64decode(value).decode().partition(":")
    except ValueError:
        raise unauthorized("Invalid authorization header") from None
    if (public, secret) != (state.public_key, state.secret_key):
        raise unauthorized(f"Invalid credentials. {WRONG_HOST}")
