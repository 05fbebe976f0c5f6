"""The base of every configuration model: frozen, and strict about unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of `llmops.yaml`. Each room defines its own in its `settings` module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
