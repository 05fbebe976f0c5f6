"""Rows of `raw` -> rows of the lake's observations, one row at a time: nothing here looks at a
second row. What a trace's rows have to say together is `traces`'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs import days
from llmops_jobs.lake import schema
from llmops_jobs.langfuse import usage
from llmops_jobs.langfuse.metadata import Reader, with_tier
from llmops_jobs.langfuse.providers import provider_of_model, short_model
from llmops_jobs.langfuse.raw import Reject, row_key
from llmops_jobs.langfuse.settings import DimensionRules

GENERATIONS: Final = ("GENERATION", "EMBEDDING")
# Longest that a value which becomes a key of the database may be; see `clip`.
LONGEST: Final = 200
_CLIPPED: Final = (
    "name", "environment", "release", "version", "user_id", "session_id", "feature", "tenant",
    "provider", "model", "request_model", "prompt_name", "finish_reason", "type", "level",
)  # fmt: skip
# An end further from its start than this is a broken clock, not a long agent.
LONGEST_RUN: Final = timedelta(days=31)

DRAFT: Final = pa.schema(
    [field for field in schema.OBSERVATIONS if field.name not in schema.PARTITION]
)

#: Where our own judge traces its calls: Langfuse keeps names that start with `langfuse` to itself.
JUDGE_ENVIRONMENT: Final = "llmops-evaluation"


class Normaliser:
    """Turns raw rows of a project into lake rows, by the project's dimension rules."""

    def __init__(self, rules: DimensionRules, project_id: str = "") -> None:
        self._project_id = project_id
        self._rules = [rule.partition(":")[::2] for rule in rules.tenant]
        self._reader = Reader([key for kind, key in self._rules if kind == "metadata" and key])

    def rows(self, raw: pa.Table, day: date | None = None) -> tuple[pa.Table, list[Reject]]:
        """(rows of DRAFT, rows refused). With `day`, rows that start on another day are refused.

        `is_model_call` is still every generation, and the coalesced columns hold the row's own
        values: see `traces.finish`.
        """
        raw, rejects = self._refuse(raw, day)
        blank = {
            field.name: pc.fill_null(raw[field.name], "")
            for field in raw.schema
            if pa.types.is_string(field.type)
        }
        provider, request_model, finish_reason, tools, tier, tenant = self._read_metadata(
            blank, raw
        )
        counts = usage.normalise(blank["usage_details"].to_pylist())
        end = _sane_end(raw)
        root = pc.fill_null(raw["is_root"], pc.equal(blank["parent_observation_id"], ""))
        model = _by_value(blank["model"], short_model)
        kind = pc.utf8_upper(blank["type"])
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            **{name: blank.get(name, raw[name]) for name in raw.column_names},
            **{name: counts[name] for name in counts.column_names},
            "type": kind,
            "level": _filled(pc.utf8_upper(blank["level"]), "DEFAULT"),
            "environment": _filled(blank["environment"], "default"),
            "end_time": end,
            "latency_s": _latency(raw, end),
            "time_to_first_token_s": _first_token(raw),
            "tags": pc.if_else(
                pc.is_valid(raw["tags"]), raw["tags"], pa.scalar([], pa.list_(pa.string()))
            ),
            "is_root": root,
            # As the server has it: a trace without a name has its root's.
            "feature": pc.if_else(
                pc.and_(root, pc.equal(blank["trace_name"], "")), blank["name"], blank["trace_name"]
            ),
            "tenant": tenant,
            "provider": pc.if_else(
                pc.equal(provider, ""), _by_value(blank["model"], provider_of_model), provider
            ),
            "model": model,
            "request_model": pc.if_else(pc.equal(request_model, ""), model, request_model),
            "model_parameters": with_tier(_json(blank["model_parameters"]), tier),
            "usage_details": _json(blank["usage_details"]),
            "cost_details": _json(blank["cost_details"]),
            "finish_reason": finish_reason,
            "tool_names": tools,
            "prompt_version": raw["prompt_version"].cast(pa.int32()),
            "is_model_call": pc.is_in(kind, pa.array(GENERATIONS)),
            "is_evaluation": is_evaluation(blank["environment"]),
            "reported_cost_usd": _cost(blank["cost_details"]),
        }
        for name in _CLIPPED:
            columns[name] = clip(columns[name])
        columns["status_message"] = _no_nul(columns["status_message"])
        return pa.table([columns[field.name] for field in DRAFT], schema=DRAFT), rejects

    def _refuse(self, raw: pa.Table, day: date | None) -> tuple[pa.Table, list[Reject]]:
        """Rows without what every later stage needs, or that belong elsewhere."""
        faults: list[tuple[str, str, pa.ChunkedArray]] = []
        for name in ("observation_id", "trace_id"):
            faults.append((f"no {name}", name, pc.equal(pc.fill_null(raw[name], ""), "")))
        faults.append(("no start_time", "start_time", pc.is_null(raw["start_time"])))
        if day is not None:
            first, end = (pa.scalar(t, raw["start_time"].type) for t in _bounds(day))
            outside = pc.or_(
                pc.less(raw["start_time"], first), pc.greater_equal(raw["start_time"], end)
            )
            faults.append((f"starts outside {day}", "start_time", pc.fill_null(outside, False)))
        if self._project_id:
            other = pc.not_equal(_filled(raw["project_id"], self._project_id), self._project_id)
            faults.append(("belongs to another project", "project_id", other))
        wide = pc.greater(pc.abs(pc.fill_null(raw["prompt_version"], 0)), 2**31 - 1)
        faults.append(("prompt_version is not a version", "prompt_version", wide))
        bad = np.zeros(raw.num_rows, dtype=bool)
        rejects = []
        for reason, column, mask in faults:
            fresh = mask.to_numpy(zero_copy_only=False).astype(bool) & ~bad
            bad |= fresh
            for row in raw.filter(pa.array(fresh)).to_pylist() if fresh.any() else []:
                key = row_key(row["observation_id"] or row["trace_id"] or str(row["start_time"]))
                rejects.append(Reject(key, reason, f"{column}={row[column]}"[:120]))
        return (raw.filter(pa.array(~bad)) if rejects else raw), rejects

    def _read_metadata(
        self, blank: dict[str, pa.ChunkedArray], raw: pa.Table
    ) -> tuple[pa.Array, ...]:
        """Provider, request model, finish reason, tools, service tier, tenant. Metadata repeats
        itself from row to row: each different one is read once."""
        coded = _coded(blank["metadata"])
        read = [self._reader.read(text) for text in coded.dictionary.to_pylist()]
        named = list(zip(*read, strict=True)) if read else [()] * 6
        columns = [pa.array(found, pa.string()).take(coded.indices) for found in named[:5]]
        keyed = [named[5][code] for code in coded.indices.to_pylist()]
        tags, users = raw["tags"].to_pylist(), blank["user_id"].to_pylist()
        tenants = [self._tenant(*row) for row in zip(tags, keyed, users, strict=True)]
        return (*columns, pa.array(tenants, pa.string()))

    def _tenant(self, tags: list[str] | None, keyed: dict[str, str], user: str) -> str:
        for kind, key in self._rules:
            if kind == "tag":
                found = next((t[len(key) :] for t in tags or () if t and t.startswith(key)), "")
            elif kind == "metadata":
                found = keyed.get(key, "")
            else:
                found = user
            if found:
                return found
        return ""


def is_evaluation(environment: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether an environment is one of judges and experiments, Langfuse's or ours, not the
    product's."""
    own = pc.starts_with(environment, "langfuse-")
    return pc.or_(own, pc.is_in(environment, pa.array(["sdk-experiment", JUDGE_ENVIRONMENT])))


def clip(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Values cut to LONGEST characters, a hash of the whole behind those that were cut, and
    without NUL characters, which databases refuse."""
    values = _no_nul(values)
    long = pc.greater(pc.utf8_length(values), LONGEST)
    if not pc.any(long, min_count=0).as_py():
        return values
    return pa.array([_clipped(value) for value in values.to_pylist()], pa.string())


def _clipped(value: str) -> str:
    if len(value) <= LONGEST:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{value[: LONGEST - 9]}~{digest}"


def _no_nul(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.replace_substring(values, "\x00", "\ufffd")


def _filled(values: pa.ChunkedArray, blank: str) -> pa.ChunkedArray:
    values = pc.fill_null(values, "")
    return pc.if_else(pc.equal(values, ""), blank, values)


def _json(values: pa.ChunkedArray) -> pa.ChunkedArray:
    empty = pc.is_in(values, pa.array(["", "null"]))
    return pc.if_else(empty, "{}", values)


def _by_value(values: pa.ChunkedArray, function: Callable[[str], str]) -> pa.Array:
    """A function of each value, called once for each different one."""
    coded = _coded(values)
    return pa.array(map(function, coded.dictionary.to_pylist()), pa.string()).take(coded.indices)


def _coded(values: pa.ChunkedArray) -> pa.DictionaryArray:
    return pa.concat_arrays(values.chunks or [pa.array([], pa.string())]).dictionary_encode()


def _bounds(day: date) -> tuple[object, object]:
    return days.start_of(day), days.end_of(day)


def _seconds(later: pa.ChunkedArray, earlier: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(pc.subtract(later, earlier).cast(pa.int64()).cast(pa.float64()), 1e6)


def _sane_end(raw: pa.Table) -> pa.ChunkedArray:
    end = raw["end_time"]
    if not end.null_count < len(end):
        return end
    run = _seconds(end, raw["start_time"])
    broken = pc.or_(pc.less(run, 0), pc.greater(run, LONGEST_RUN.total_seconds()))
    return pc.if_else(pc.fill_null(broken, True), pa.scalar(None, end.type), end)


def _latency(raw: pa.Table, end: pa.ChunkedArray) -> pa.ChunkedArray:
    """Seconds from start to end. Equal times are a span still open, unless the source gave 0.

    The source's own figure is not used: older exports have milliseconds there.
    """
    run = _seconds(end, raw["start_time"])
    opened = pc.and_(pc.equal(run, 0), pc.is_null(raw["latency_s"]))
    return pc.if_else(pc.fill_null(opened, True), pa.scalar(None, pa.float64()), run)


def _first_token(raw: pa.Table) -> pa.ChunkedArray:
    own = _seconds(raw["completion_start_time"], raw["start_time"])
    value = pc.coalesce(own, raw["time_to_first_token_s"])
    return pc.if_else(pc.fill_null(pc.less(value, 0), True), pa.scalar(None, pa.float64()), value)


def _cost(details: pa.ChunkedArray) -> pa.Array:
    """USD by `costDetails`: its total, or the sum of the other keys; null when there are none.

    The row's own `totalCost` is 0 where nothing is known, and also where details without a total
    were given: it is not read.
    """
    import msgspec

    decode = msgspec.json.Decoder(dict[str, float | None] | None).decode
    costs: list[float | None] = []
    for text in details.to_pylist():
        if text in ("{}", "", "null"):
            costs.append(None)
            continue
        try:
            parts = decode(text) or {}
        except msgspec.MsgspecError:
            costs.append(None)
            continue
        known = {key: value for key, value in parts.items() if value is not None}
        total = known.get("total")
        cost = total if total is not None else (sum(known.values()) if known else None)
        costs.append(cost if cost is None or 0 <= cost < 1e9 else None)
    return pa.array(costs, pa.float64()).cast(schema.USD)
