"""A day's observations as bytes: a sixth of the memory of dictionaries, and ready to be sent.

Each row is two pieces of JSON. The `line` is the row as a page shows it that asks for every group
but `io`, which is what a reader of all rows asks for; the `rest` is the text, unless the source
writes it when it is asked for, and metadata that is cut in the line. A page of lines is joined, not
encoded; what a condition reads of a row beyond its ids and its start is decoded when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, overload

import orjson

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.shapes import OBSERVATION_KEYS, cut_all

#: The keys of a line, in their order.
LINE_KEYS = tuple(key for key in OBSERVATION_KEYS if key not in ("input", "output"))
_POSITION = ("id", "traceId", "startTime")

Columns = tuple[list[str], list[str], list[str], list[bytes], list[bytes]]
#: The id of an observation -> its input and output.
Text = Callable[[str], tuple[str | None, str | None]]


class PackedRow(dict[str, Any]):
    """A row that has its position and is decoded when anything else of it is read."""

    __slots__ = ("line", "rest", "text")
    line: bytes
    rest: bytes
    text: Text | None

    def __missing__(self, key: str) -> Any:
        self.whole()
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        self.whole()
        return super().get(key, default)

    def whole(self) -> Row:
        """The row itself, complete and in the order of the wire."""
        if len(self) == len(_POSITION):
            decoded = orjson.loads(self.line) | orjson.loads(self.rest)
            if self.text:
                decoded["input"], decoded["output"] = self.text(self["id"])
            self.update({key: decoded[key] for key in OBSERVATION_KEYS})
        return self


class Packed(Sequence[Row]):
    """Rows in the order in which they were packed."""

    def __init__(self, columns: Columns, text: Text | None = None) -> None:
        self.columns = columns
        self.text = text

    @property
    def times(self) -> list[str]:
        return self.columns[2]

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Packed: ...
    def __getitem__(self, at: int | slice) -> Row | Packed:
        if isinstance(at, slice):
            ids, traces, times, lines, rests = self.columns
            return Packed((ids[at], traces[at], times[at], lines[at], rests[at]), self.text)
        return next(iter(self[at : at + 1]))

    def __iter__(self) -> Iterator[Row]:
        for ident, trace, time, line, rest in zip(*self.columns, strict=True):
            row = PackedRow(id=ident, traceId=trace, startTime=time)
            row.line, row.rest, row.text = line, rest, self.text
            yield row


def pack(rows: Iterable[Row], text: Text | None = None) -> Packed:
    """Complete rows, packed; their own objects are not kept. With `text`, input and output are
    asked of it instead."""
    columns: Columns = ([], [], [], [], [])
    ids, traces, times, lines, rests = columns
    values, position = itemgetter(*LINE_KEYS), itemgetter(*_POSITION)
    for row in rows:
        rest = {} if text else {"input": row["input"], "output": row["output"]}
        line = dict(zip(LINE_KEYS, values(row), strict=True))
        shown = cut_all(line["metadata"])
        if shown is not line["metadata"]:
            line["metadata"], rest["metadata"] = shown, row["metadata"]
        ident, trace, time = position(row)
        times.append(time)
        traces.append(trace)
        ids.append(ident)
        lines.append(orjson.dumps(line))
        rests.append(orjson.dumps(rest) if rest else b"{}")
    return Packed(columns, text)


def lines(rows: Sequence[Row], keys: tuple[str, ...]) -> list[bytes] | None:
    """The rows as pieces of a page with these keys, where they are there already."""
    if keys != LINE_KEYS:
        return None
    found = [row.line for row in rows if isinstance(row, PackedRow)]
    return found if len(found) == len(rows) else None
