"""Configuration of rules, objectives, channels and incident policy; contradictions are refused."""

from __future__ import annotations

from datetime import time
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.settings import Section

Severity = Literal["info", "warning", "critical"]
NoData = Literal["keep", "clear", "alert"]
ChannelKind = Literal[
    "log", "webhook", "slack", "pagerduty", "email", "alertmanager", "teams", "notify"
]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Hours(Section):
    """When a channel may be used; what comes outside waits. Critical messages never wait."""

    days: tuple[str, ...] = Field(_WEEK[:5], description="mon to sun")
    start: time = time(9)
    end: time = time(18)
    time_zone: str = "UTC"

    @model_validator(mode="after")
    def _sensible(self) -> Hours:
        if unknown := [day for day in self.days if day not in _WEEK]:
            raise ValueError(f"{', '.join(unknown)} is no day: write {', '.join(_WEEK)}")
        if not self.days or self.start >= self.end:
            raise ValueError("hours need at least one day, and start before end")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{self.time_zone} is no time zone") from None
        return self

    def open_on(self, weekday: int) -> bool:
        return _WEEK[weekday] in self.days


class Channel(Section):
    """Where messages go. Addresses and keys come from the environment variables named here."""

    name: str = Field(min_length=1, max_length=64)
    kind: ChannelKind
    url_env: str = Field("", description="variable that holds the address (e-mail: smtp[s]://…)")
    secret_env: str = Field("", description="variable that holds the signing or routing key")
    severities: tuple[Severity, ...] = SEVERITIES
    to: tuple[str, ...] = Field((), description="e-mail recipients")
    sender: str = Field("", description="e-mail sender")
    hours: Hours | None = None
    digest: bool = Field(False, description="also the verdict of each day's report, once")
    allow_private: bool = Field(
        False, description="the address may be inside the network (loopback, private ranges)"
    )

    @model_validator(mode="after")
    def _complete(self) -> Channel:
        if self.kind == "pagerduty":
            needed = ["secret_env"]
        elif self.kind == "email":
            needed = ["url_env", "to", "sender"]
        else:
            needed = [] if self.kind == "log" else ["url_env"]
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"channel {self.name}: {self.kind} needs {' and '.join(missing)}")
        if not self.severities:
            raise ValueError(f"channel {self.name}: severities is empty, nothing would be sent")
        if self.digest and self.kind in ("pagerduty", "alertmanager"):
            raise ValueError(f"channel {self.name}: {self.kind} is for incidents, not for a digest")
        return self


class _Told(Section):
    """What rules and objectives share: where they look, and who hears of it."""

    name: str = Field(min_length=1)
    metric: str
    by: tuple[str, ...] = Field((), description="one result for every value of these dimensions")
    where: dict[str, str] = Field({}, description="dimension: value; all must match")
    channels: tuple[str, ...] | None = Field(None, description="names of channels; all when absent")
    owner: str = ""
    runbook: str = Field("", description="address of what to do")
    cooldown_days: int = Field(0, ge=0, description="days after a resolution without a new message")

    @model_validator(mode="after")
    def _slices(self) -> _Told:
        if unknown := [name for name in (*self.by, *self.where) if name not in DIMENSIONS]:
            raise ValueError(
                f"{self.name}: {', '.join(unknown)} is no dimension; "
                f"there are {', '.join(DIMENSIONS)}"
            )
        if both := set(self.by) & set(self.where):
            raise ValueError(f"{self.name}: {', '.join(sorted(both))} is in both by and where")
        from llmops_jobs.alerts.metrics import NO_DIMENSION, ONE_DIMENSION

        most = 0 if self.metric in NO_DIMENSION else 1 if self.metric in ONE_DIMENSION else 99
        if len(self.by) + len(self.where) > most:
            raise ValueError(
                f"{self.name}: {self.metric} is kept by "
                + ("one dimension at a time" if most else "day alone")
            )
        return self

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        from llmops_jobs.alerts.metrics import METRICS

        if value not in METRICS:
            raise ValueError(f"unknown metric {value}: there are {', '.join(sorted(METRICS))}")
        return value


class Rule(_Told):
    """Fires for every value of `by` whose metric is beyond the bound on the evaluated day.

    A bound is a number (`above`, `below`) or a distance from the median of the days before
    (`rises_by`, `falls_by`: a share of it for amounts, 0.5 = half as much again; points for
    shares, 0.05 = five points).
    """

    above: float | None = None
    below: float | None = None
    rises_by: float | None = Field(None, gt=0)
    falls_by: float | None = Field(None, gt=0)
    baseline_days: int = Field(14, ge=7, le=56, description="days before that make the median")
    minimum_n: int = Field(50, ge=0, description="fewer observations never fire")
    severity: Severity = "warning"
    for_days: int = Field(1, ge=1, description="days in a row before it opens")
    clear_days: int = Field(1, ge=1, description="clear days in a row before it resolves")
    no_data: NoData = Field("keep", description="a slice without data: keep the state, clear it")
    fast: bool = Field(False, description="looked at through the day too, by the watch")

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        bounds = (self.above, self.below, self.rises_by, self.falls_by)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError(
                f"rule {self.name}: give exactly one of above, below, rises_by and falls_by"
            )
        return self

    @model_validator(mode="after")
    def _fast_enough(self) -> Rule:
        from llmops_jobs.alerts.metrics import METRICS

        if self.fast and (not METRICS[self.metric].live or self.for_days > 1 or not self.upwards):
            able = ", ".join(
                name for name, m in sorted(METRICS.items()) if m.live and not (m.timed)
            )
            raise ValueError(
                f"rule {self.name}: fast is for rises of {able}, and tells at once: no for_days"
            )
        return self

    @property
    def upwards(self) -> bool:
        return self.above is not None or self.rises_by is not None


class Slo(_Told):
    """An objective over 28 rolling days; alerts by how fast its error budget is spent."""

    objective: float = Field(gt=0, lt=1, description="share that must be good, 0.99")
    within: float | None = Field(None, gt=0, description="seconds, for objectives on latency")

    @model_validator(mode="after")
    def _counts(self) -> Slo:
        from llmops_jobs.alerts.metrics import METRICS

        metric = METRICS[self.metric]
        if not metric.countable:
            raise ValueError(
                f"objective {self.name}: {self.metric} does not count good and bad; use one of "
                + ", ".join(sorted(name for name, m in METRICS.items() if m.countable))
            )
        if (self.within is not None) != metric.timed:
            raise ValueError(
                f"objective {self.name}: `within` (seconds) is for objectives on latency, which "
                "need it"
            )
        return self


class Escalation(Section):
    """Who else is told when nobody has acknowledged."""

    after_days: int = Field(ge=1)
    channels: tuple[str, ...]


class Watch(Section):
    """Looking at today's rows every few minutes; see the sensor `watch_today`."""

    enabled: bool = True
    requests: int = Field(30, ge=2, description="about the most that one look sends to Langfuse")


class AlertSettings(Section):
    enabled: bool = True
    built_in: bool = Field(True, description="the rules that work without being written")
    disable: tuple[str, ...] = Field((), description="names of built-in rules to leave out")
    channels: tuple[Channel, ...] = (Channel(name="log", kind="log"),)
    rules: tuple[Rule, ...] = ()
    slos: tuple[Slo, ...] = ()
    page_within_days: int = Field(
        2, ge=0, description="days older than this are recorded but page nobody: a backfill"
    )
    reminder_days: int = Field(7, ge=1, description="days between reminders of an open incident")
    no_data_days: int = Field(3, ge=1, description="an open incident without data ends after these")
    escalation: Escalation | None = None
    watch: Watch = Watch()
    heartbeat_hours: int = Field(30, ge=1, description="a night later than this is an incident")

    @model_validator(mode="after")
    def _consistent(self) -> AlertSettings:
        names = [channel.name for channel in self.channels]
        _unique("channel", names)
        told: tuple[_Told, ...] = (*self.rules, *self.slos)
        _unique("rule", [item.name for item in told])
        for item in told:
            _known(f"rule {item.name}", item.channels or (), names)
            severities = {item.severity} if isinstance(item, Rule) else {"warning", "critical"}
            reached = [
                channel.name
                for channel in self.channels
                if (item.channels is None or channel.name in item.channels)
                and severities & set(channel.severities)
            ]
            if item.channels and not reached:
                raise ValueError(
                    f"rule {item.name}: none of its channels takes severity "
                    f"{' or '.join(sorted(severities))}, so nobody would be told"
                )
        if self.escalation is not None:
            _known("escalation", self.escalation.channels, names)
        from llmops_jobs.alerts.defaults import NAMES

        if unknown := [name for name in self.disable if name not in NAMES]:
            raise ValueError(
                f"disable: {', '.join(unknown)} is no built-in rule; there are {', '.join(NAMES)}"
            )
        if shadowed := [item.name for item in told if item.name in NAMES]:
            raise ValueError(
                f"rule {shadowed[0]} is the name of a built-in one: choose another, and disable "
                "the built-in one where yours replaces it"
            )
        return self


def _unique(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what}s are called {', '.join(twice)}")


def _known(what: str, wanted: tuple[str, ...], names: list[str]) -> None:
    if unknown := [name for name in wanted if name not in names]:
        raise ValueError(
            f"{what}: there is no channel {', '.join(unknown)}; there are {', '.join(names)}"
        )
