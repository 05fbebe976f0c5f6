"""Rubrics: YAML files with a question and what passes and fails it, versioned by their content."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.settings import is_rubric_file
from llmops_jobs.evals.versions import content_version
from llmops_jobs.settings import Section


class Rubric(Section):
    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    question: str = Field(min_length=10)
    pass_when: tuple[str, ...] = Field(min_length=1)
    fail_when: tuple[str, ...] = Field(min_length=1)
    needs_context: bool = False

    @cached_property
    def version(self) -> str:
        return content_version(self.model_dump(mode="json"))

    @property
    def scorer(self) -> str:
        return f"judge:{self.name}"


def load(name_or_path: str) -> Rubric:
    """A bundled rubric by its name, or one's own by its path.

    Raises ConfigError that names the file and what is wrong with it.
    """
    try:
        if is_rubric_file(name_or_path):
            text = Path(name_or_path).read_text(encoding="utf-8")
        else:
            bundled = files("llmops_jobs.evals").joinpath("rubrics", f"{name_or_path}.yaml")
            text = bundled.read_text(encoding="utf-8")
        return Rubric.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise ConfigError(
            f"evals.judge.rubrics: {name_or_path} is no bundled rubric and no readable file"
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"evals.judge.rubrics: {name_or_path}: {error}") from error
