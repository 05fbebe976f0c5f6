"""The configuration: one YAML file and a few environment variables, typed.

`LLMOPS_CONFIG` names the file (`llmops.yaml` in the working directory when it is there; without a
file the defaults hold). Unknown keys are refused with the nearest valid name. Secrets are never in
the file: it names the environment variables that hold them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.forecast.settings import Budget, ForecastSettings
from llmops_jobs.langfuse.settings import DimensionRules, IngestSettings, Project
from llmops_jobs.ledger.settings import LedgerSettings
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.settings import Section
from llmops_jobs.signals.settings import SignalSettings
from llmops_jobs.versions.settings import VersionSettings

DEFAULT_FILE = "llmops.yaml"


class Settings(Section):
    """Everything that can be set. The first five come from the environment."""

    home: str = ".llmops"
    database_url: str = ""
    lake_url: str = ""
    reports_url: str = ""
    engine: Literal["duckdb", "spark"] = "duckdb"

    projects: tuple[Project, ...] = (Project(),)
    dimensions: DimensionRules = DimensionRules()
    ingest: IngestSettings = IngestSettings()
    ledger: LedgerSettings = LedgerSettings()
    signals: SignalSettings = SignalSettings()
    evals: EvalSettings = EvalSettings()
    forecast: ForecastSettings = ForecastSettings()
    budgets: tuple[Budget, ...] = Field((), description="see forecast.settings.Budget")
    versions: VersionSettings = VersionSettings()
    alerts: AlertSettings = AlertSettings()
    report: ReportSettings = ReportSettings()


_ENVIRONMENT = {
    "home": "LLMOPS_HOME",
    "database_url": "LLMOPS_DATABASE_URL",
    "lake_url": "LLMOPS_LAKE_URL",
    "reports_url": "LLMOPS_REPORTS_URL",
    "engine": "LLMOPS_ENGINE",
}
_ONLY_PROJECT = "LLMOPS_PROJECT"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises ConfigError that names the file, the key and what to write.
    """
    path = Path(environ.get("LLMOPS_CONFIG") or DEFAULT_FILE)
    if not path.exists():
        if environ.get("LLMOPS_CONFIG"):
            raise ConfigError(f"LLMOPS_CONFIG names {path}, which does not exist")
        content: dict[str, Any] = {}
    else:
        content = _read(path)
    for key in _ENVIRONMENT:
        if key in content:
            raise ConfigError(f"{path}: {key} is set by the environment: use {_ENVIRONMENT[key]}")
    content |= {k: environ[name] for k, name in _ENVIRONMENT.items() if environ.get(name)}
    try:
        settings = Settings.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path))) from None
    settings = _narrowed(settings, environ.get(_ONLY_PROJECT, ""), str(path))
    home = Path(settings.home).expanduser().resolve()
    return settings.model_copy(
        update={
            "home": str(home),
            "database_url": settings.database_url or f"sqlite:///{home}/llmops.db",
            "lake_url": settings.lake_url or str(home / "lake"),
            "reports_url": settings.reports_url or str(home / "reports"),
        }
    )


def only_project(name: str) -> None:
    """Narrows this process, and those it starts, to one configured project."""
    os.environ[_ONLY_PROJECT] = name


def _narrowed(settings: Settings, name: str, place: str) -> Settings:
    if not name:
        return settings
    chosen = tuple(p for p in settings.projects if name in (p.name, p.id))
    if not chosen:
        names = ", ".join(p.name for p in settings.projects)
        raise ConfigError(f"there is no project {name} in {place}: there are {names}")
    return settings.model_copy(update={"projects": chosen})


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, not {type(content).__name__}")
    return content


def _explain(error: ValidationError, place: str) -> str:
    """One line per mistake, each with its key and, for an unknown key, the nearest valid one."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            names = _names_at(Settings, item["loc"][:-1])
            near = difflib.get_close_matches(str(item["loc"][-1]), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(sorted(names))}"
            lines.append(f"{place}: unknown key {where}: {hint}")
        elif _from_environment(item["loc"]):
            name = _ENVIRONMENT[str(item["loc"][0])]
            lines.append(f"{name}={item['input']!r}: {item['msg']}")
        else:
            lines.append(f"{place}: {where}: {item['msg']} (found {item['input']!r})")
    return "\n".join(lines)


def _from_environment(location: tuple[int | str, ...]) -> bool:
    return len(location) == 1 and location[0] in _ENVIRONMENT


def _names_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if _is_model(model) else None
        if field is None:
            return []
        model = next(
            (arg for arg in [field.annotation, *_arguments(field.annotation)] if _is_model(arg)),
            None,
        )
    return list(model.model_fields) if _is_model(model) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _arguments(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for argument in getattr(annotation, "__args__", ()):
        found += [argument, *_arguments(argument)]
    return found
