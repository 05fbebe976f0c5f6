"""The base of every configuration model: frozen, and strict about unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo


class Section(BaseModel):
    """One section of `llmops.yaml`. Each room defines its own in its `settings` module."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def beside_the_file(path: str, info: ValidationInfo) -> str:
    """A path as it is to be opened: a relative one starts at the configuration's folder, which the
    validation's context names, wherever a command is run."""
    if not path:
        return path
    folder = (info.context or {}).get("folder", "")
    return str(Path(folder, Path(path).expanduser()))


#: The path of a file, in a setting.
FilePath = Annotated[str, AfterValidator(beside_the_file)]
