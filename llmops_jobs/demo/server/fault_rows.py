"""Pages whose rows or cursor are wrong."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.faults import Fault

HUGE = 5 * 2**20
NOT_A_NUMBER = "@@NaN@@"  # becomes a bare NaN in the text
NEVER_EMPTY = ("id", "traceId", "startTime", "timestamp", "projectId")


def spoil(page: Row, fault: Fault, previous: Row | None, following: list[Row]) -> Row:
    """The page as the fault makes it; `previous` is the page that was given before, `following`
    the first rows of the next."""
    if fault.kind == "repeated_cursor":
        return _with_cursor(page, (previous or page)["meta"].get("cursor"))
    rows = page["data"]
    if fault.kind == "rows_behind":  # rows that were passed already, once more
        passed = copy.deepcopy((previous or {"data": []})["data"][-3:])
        return {**page, "data": [*passed, *rows]}
    if fault.kind == "rows_ahead":  # rows of the next page, which come again in their turn
        return {**page, "data": [*rows, *following]}
    spoiled: list[Row] = []
    for place, row in enumerate(rows):
        if place % fault.every:
            spoiled.append(row)
        elif fault.kind == "duplicates":
            spoiled += [row, _dearer(row)]
        else:
            spoiled.append(ROWS[fault.kind](copy.deepcopy(row)))
    return {**page, "data": spoiled}


def _with_cursor(page: Row, cursor: str | None) -> Row:
    return {**page, "meta": {**page["meta"], "cursor": cursor}} if cursor else page


def _dearer(row: Row) -> Row:
    """The same row sent again later, with another cost."""
    again = copy.deepcopy(row)
    for key in ("totalCost", "inputCost", "outputCost"):
        if again.get(key):
            again[key] = again[key] * 2
    for key, value in (again.get("costDetails") or {}).items():
        again["costDetails"][key] = value * 2
    if again.get("updatedAt"):
        again["updatedAt"] = again["updatedAt"][:-1].rstrip("0123456789") + "999Z"
    return again


def _nulls(row: Row) -> Row:
    return {key: value if key in NEVER_EMPTY else None for key, value in row.items()}


def _empty_strings(row: Row) -> Row:
    empty = ("id", "name", "type", "level", "model", "environment", "endTime", "createdAt")
    return {**row, **{key: "" for key in empty if key in row and key != "id"}}


def _at(year: str) -> Callable[[Row], Row]:
    def move(row: Row) -> Row:
        for key in ("startTime", "endTime", "timestamp"):
            if row.get(key):
                row[key] = year
        return row

    return move


def _huge_input(row: Row) -> Row:
    return {**row, "input": "x" * HUGE}


def _unicode(row: Row) -> Row:
    """Characters of every plane, the controls and the non-characters among them."""
    draw = random.Random(row.get("id"))
    points = [
        point
        for plane in range(17)
        for point in (plane << 16, (plane << 16) + 0xFFFF, (plane << 16) + draw.randrange(0xD800))
    ]
    text = "".join(chr(point) for point in points) + "\u202e\u0000\r\n\t'\"`<b>|"
    for key in ("name", "userId", "statusMessage", "input", "output", "comment"):
        if key in row:
            row[key] = text
    return row


def _tokens(value: Any) -> Callable[[Row], Row]:
    def change(row: Row) -> Row:
        for key in ("usageDetails", "costDetails"):
            row[key] = dict.fromkeys(row.get(key) or {"input": 1, "total": 1}, value)
        for key in ("inputUsage", "outputUsage", "totalUsage", "totalCost"):
            if key in row:
                row[key] = value
        if "timestamp" in row:
            row["value"] = value
        return row

    return change


def _unknown_enums(row: Row) -> Row:
    changes = {"type": "HOLOGRAM", "level": "CATASTROPHE", "dataType": "VECTOR", "source": "MOON"}
    return {**row, **{key: value for key, value in changes.items() if key in row}}


def _unknown_fields(row: Row) -> Row:
    return {**row, "carbonGrams": 1.5, "reviewers": [{"id": 1}], "Input": "another case"}


ROWS: dict[str, Callable[[Row], Row]] = {
    "nulls": _nulls,
    "empty_strings": _empty_strings,
    "epoch_zero": _at("1970-01-01T00:00:00.000Z"),
    "year_2200": _at("2200-01-01T00:00:00.000Z"),
    "huge_input": _huge_input,
    "unicode": _unicode,
    "nan_tokens": _tokens(NOT_A_NUMBER),
    "negative_tokens": _tokens(-7),
    "unknown_enums": _unknown_enums,
    "unknown_fields": _unknown_fields,
}
