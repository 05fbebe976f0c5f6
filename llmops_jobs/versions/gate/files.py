"""Reading results: the plain file form, and what the eval tools write.

Every reader gives item_id, metric, value, repeat. What a file is is told by its content, not by
its name alone. Text in such files is data of others: nothing in it is run or rendered.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from llmops_jobs.versions.gate.results import NotComparableError

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, str, object, int | None]
COLUMNS = ["item_id", "metric", "value", "repeat"]


def read_results(path: Path) -> pd.DataFrame:
    """One file's results. Raises NotComparableError that names the file and the trouble."""
    import pandas as pd

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotComparableError(f"{path} cannot be read: {error}") from None
    if not text.strip():
        raise NotComparableError(f"{path} is empty")
    try:
        rows = list(_reader(path, text)(text))
    except NotComparableError as error:
        raise NotComparableError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, ElementTree.ParseError, csv.Error) as error:
        raise NotComparableError(f"{path} is not in a form that the gate reads: {error}") from None
    return pd.DataFrame(_numbered(rows), columns=COLUMNS)


def _reader(path: Path, text: str) -> Callable[[str], Iterator[Row]]:
    start = text.lstrip()[:1]
    if start == "<":
        return _junit
    if path.suffix == ".csv":
        return _csv
    if start == "{" and "\n{" in text.strip():
        return _json_lines
    if start in "{[":
        return _json
    return _csv


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield _plain(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise NotComparableError(f"line {number}: {error}") from None


def _json(text: str) -> Iterator[Row]:
    content = json.loads(text)
    if isinstance(content, dict) and "item_id" in content:
        yield _plain(content)
    elif isinstance(content, dict) and "testCases" in content:
        yield from _deepeval(content["testCases"])
    elif isinstance(content, dict) and "test_results" in content:
        yield from _deepeval(content["test_results"])
    elif isinstance(content, dict) and "results" in content:
        yield from _promptfoo(content["results"])
    elif isinstance(content, list):
        yield from map(_plain, content)
    else:
        raise NotComparableError("this JSON is neither plain rows nor promptfoo's nor DeepEval's")


def _plain(row: dict[str, Any]) -> Row:
    if not isinstance(row, dict):
        raise TypeError("a row must be an object with item_id, metric and value")
    missing = [name for name in ("item_id", "metric", "value") if name not in row]
    if missing:
        raise KeyError(f"no {', '.join(missing)}")
    return str(row["item_id"]), str(row["metric"]), _number(row["value"]), row.get("repeat")


def _promptfoo(results: Any) -> Iterator[Row]:
    """promptfoo's `eval --output`: a result per test; trouble of the provider is not a result."""
    listed = results["results"] if isinstance(results, dict) else results
    for result in listed:
        item = result.get("testIdx", result.get("id"))
        case = result.get("testCase") or {}
        name = str(case.get("description") or item)
        # failureReason 2 is promptfoo's ERROR: the provider did not answer.
        if result.get("failureReason") == 2 or (
            result.get("error") and not result.get("gradingResult")
        ):
            raise NotComparableError(f"item {name} was not evaluated: the provider failed")
        yield name, "pass", _number(result["success"]), None
        if result.get("score") is not None:
            yield name, "score", _number(result["score"]), None
        for metric, value in (result.get("namedScores") or {}).items():
            yield name, str(metric), _number(value), None
        if result.get("latencyMs") is not None:
            yield name, "latency_s", float(result["latencyMs"]) / 1000, None
        if result.get("cost") is not None:
            yield name, "cost_usd", _number(result["cost"]), None


def _deepeval(cases: list[dict[str, Any]]) -> Iterator[Row]:
    for number, case in enumerate(cases):
        name = str(case.get("name") or number)
        if case.get("success") is not None:
            yield name, "pass", _number(case["success"]), None
        for metric in case.get("metricsData") or case.get("metrics_data") or []:
            if metric.get("error"):
                raise NotComparableError(f"item {name}: {metric['name']} failed to run")
            yield name, str(metric["name"]), _number(metric["score"]), None


def _junit(text: str) -> Iterator[Row]:
    """A test is an item; passed is 1, failed 0. An error is trouble of the run, not a result."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NotComparableError("a document type declaration is not accepted in JUnit XML")
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if case.find("skipped") is not None:
            continue
        if case.find("error") is not None:
            raise NotComparableError(f"item {name} ended in an error, not in a result")
        yield name, "pass", 0.0 if case.find("failure") is not None else 1.0, None


def _csv(text: str) -> Iterator[Row]:
    """Long form (item_id, metric, value[, repeat]) or wide form (item_id, then a column each)."""
    rows = csv.DictReader(text.splitlines())
    names = rows.fieldnames or []
    if "item_id" not in names:
        raise NotComparableError(f"a column item_id is needed; there are {', '.join(names)}")
    if {"metric", "value"} <= set(names):
        for row in rows:
            repeat = row.get("repeat")
            yield (
                row["item_id"],
                row["metric"],
                _number(row["value"]),
                int(repeat) if repeat else None,
            )
        return
    for row in rows:
        for name in names:
            if name not in ("item_id", "repeat") and row[name] not in (None, ""):
                repeat = row.get("repeat")
                yield row["item_id"], name, _number(row[name]), int(repeat) if repeat else None


def _number(value: Any) -> float:
    """A number from a number, a bool or its text; NaN, named later, from anything else."""
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("true", "pass", "passed", "yes"):
            return 1.0
        if text in ("false", "fail", "failed", "no"):
            return 0.0
        try:
            return float(text)
        except ValueError:
            return float("nan")
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _numbered(rows: list[Row]) -> list[Row]:
    """Repeats that were not numbered stay 0: a second one is then a duplicate, and said so."""
    return [(item, metric, value, repeat or 0) for item, metric, value, repeat in rows]
