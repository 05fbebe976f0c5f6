"""`gate.yaml`: what must hold."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from llmops_jobs.errors import ConfigError
from llmops_jobs.settings import Section


class MetricRule(Section):
    """What one metric must keep. `margin` is the loss that is accepted, in the metric's unit or,
    with `relative`, as a share of the baseline's mean."""

    margin: float = Field(0.0, ge=0)
    relative: bool = False
    higher_is_better: bool | None = Field(None, description="absent: told from the metric's name")
    minimum: float | None = Field(None, description="the candidate's mean must not be below this")
    maximum: float | None = Field(None, description="nor above this")
    required: bool = Field(True, description="a metric that is absent could not run")


class ProductionRules(Section):
    """Which production traffic a candidate is held against with `--baseline production`."""

    days: int = Field(14, ge=1, le=90, description="up to the newest day that was copied")
    prompt: str = Field("", description="calls of this Langfuse prompt only")
    version: int | None = Field(None, description="of its versions only this one")
    label: str = Field("", description="or the version that carries this label")
    feature: str = Field("", description="calls of this feature only")
    metrics: dict[str, str] = Field(
        default_factory=dict, description="metric of the candidate -> score name in production"
    )


class GateRules(Section):
    """`default` holds for every metric of the files that `metrics` does not name."""

    metrics: dict[str, MetricRule] = Field(default_factory=dict)
    default: MetricRule | None = MetricRule(margin=0.02)
    alpha: float = Field(0.05, gt=0, lt=0.5, description="chance of a false fail, all metrics")
    allow_missing: float = Field(0.0, ge=0, lt=1, description="share of items one run may lack")
    minimum_items: int = Field(5, ge=2)
    production: ProductionRules = Field(default_factory=ProductionRules)

    def rule(self, metric: str) -> MetricRule | None:
        return self.metrics.get(metric, self.default)


def load_rules(path: Path | None) -> GateRules:
    """The rules of a file, or the defaults. Raises ConfigError that names key and place."""
    if path is None:
        return GateRules()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return GateRules.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"{path}: {said}") from None
