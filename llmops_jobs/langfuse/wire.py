"""The bytes of an API page -> rows of `raw`, and the rows that had to be refused.

A good page is decoded in one pass into typed structs. A page with a bad row is read row by row:
the good ones are kept and each bad one is refused with the decoder's own reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pyarrow as pa

from llmops_jobs.langfuse.raw import RAW_OBSERVATIONS, RAW_SCORES, Reject, row_key

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_NOTHING = msgspec.Raw(b"{}")

OBSERVATION_FIELDS = "core,basic,time,metadata,model,usage,prompt,metrics,trace_context"
SCORE_FIELDS = "details,subject,annotation"


class Observation(msgspec.Struct, gc=False, rename="camel"):
    """The keys that are kept, in the order of RAW_OBSERVATIONS."""

    id: str
    trace_id: str
    start_time: Instant
    project_id: str | None = None
    end_time: Instant | None = None
    parent_observation_id: str | None = None
    type: str | None = None
    name: str | None = None
    level: str | None = None
    status_message: str | None = None
    version: str | None = None
    environment: str | None = None
    completion_start_time: Instant | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    metadata: msgspec.Raw = _NOTHING
    # The row API says `model`; an older description of it says `providedModelName`.
    model: str | None = None
    model_parameters: msgspec.Raw = _NOTHING
    usage_details: msgspec.Raw = _NOTHING
    cost_details: msgspec.Raw = _NOTHING
    prompt_name: str | None = None
    prompt_version: int | None = None
    latency: float | None = None
    time_to_first_token: float | None = None
    user_id: str | None = None
    session_id: str | None = None
    is_root_observation: bool | None = None
    trace_name: str | None = None
    release: str | None = None
    tags: list[str] | None = None
    provided_model_name: str | None = None


class Subject(msgspec.Struct, gc=False, rename="camel"):
    kind: str
    id: str
    trace_id: str | None = None


class Score(msgspec.Struct, gc=False, rename="camel"):
    id: str
    name: str
    timestamp: Instant
    value: float | bool | str | None = None
    project_id: str | None = None
    source: str | None = None
    data_type: str | None = None
    comment: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    environment: str | None = None
    config_id: str | None = None
    author_user_id: str | None = None
    queue_id: str | None = None
    subject: Subject | None = None
    metadata: msgspec.Raw = _NOTHING


class Text(msgspec.Struct, gc=False, rename="camel"):
    """What the second tier reads: the text of one observation."""

    id: str
    trace_id: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    output: msgspec.Raw = msgspec.Raw(b"null")
    metadata: msgspec.Raw = _NOTHING


def instant(value: datetime) -> str:
    """ISO 8601 with `Z`: the API refuses times without an offset, and reads milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Meta(msgspec.Struct):
    cursor: str | None = None


RowT = TypeVar("RowT", bound=msgspec.Struct)


class Page(msgspec.Struct, Generic[RowT]):
    data: list[RowT]
    meta: Meta


class _Rows(msgspec.Struct):
    data: list[msgspec.Raw]
    meta: Meta


class Decoded(msgspec.Struct, Generic[RowT]):
    """A page's rows, the refused ones, and where the next page begins (None at the end)."""

    rows: list[RowT]
    rejects: list[Reject]
    cursor: str | None
    bytes: int


class Decoder(Generic[RowT]):
    """Decodes pages of one kind of row."""

    def __init__(self, row: type[RowT]) -> None:
        self._page = msgspec.json.Decoder(Page[row])  # type: ignore[valid-type]
        self._row = msgspec.json.Decoder(row)

    def decode(self, body: bytes) -> Decoded[RowT]:
        """Raises ValueError for a body that is no page at all."""
        try:
            page = self._page.decode(body)
            return Decoded(page.data, [], page.meta.cursor, len(body))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._row_by_row(body)

    def _row_by_row(self, body: bytes) -> Decoded[RowT]:
        raws, cursor = _split(body)
        rows, rejects = [], []
        for raw in raws:
            try:
                rows.append(self._row.decode(raw))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                try:
                    rows.append(self._row.decode(_without_blanks(bytes(raw))))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    rejects.append(_reject(bytes(raw), error))
        return Decoded(rows, rejects, cursor, len(body))


def _without_blanks(raw: bytes) -> bytes:
    """The row without its empty strings: the source writes `""` where it means null."""
    row = msgspec.json.decode(raw)
    if not isinstance(row, dict):
        return raw
    return msgspec.json.encode({key: value for key, value in row.items() if value != ""})


def _split(body: bytes) -> tuple[Sequence[bytes | msgspec.Raw], str | None]:
    try:
        page = msgspec.json.decode(body, type=_Rows)
        return page.data, page.meta.cursor
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    # Not JSON by the letter: bare NaN, half a surrogate pair, bytes that are not UTF-8. The
    # standard library reads those; each row is written again as JSON and judged by itself.
    loose = json.loads(_LONE.sub(rb"\\ufffd", body).decode("utf-8", "replace"))
    if not isinstance(loose, dict) or not isinstance(loose.get("data"), list):
        raise ValueError("no page")
    meta = loose.get("meta")
    cursor = meta.get("cursor") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(cursor, str | None):
        raise ValueError("no page")
    return [msgspec.json.encode(_sayable(row)) for row in loose["data"]], cursor


# A high surrogate's escape without its low one behind it, or a low one without its high one.
_LONE = re.compile(
    rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})(?<!\\)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _sayable(value: Any) -> Any:
    """NaN and the infinities as text, so that the judge of the field sees them."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sayable(item) for item in value]
    return value


_PRIVATE = ("input", "output", "metadata", "comment", "statusMessage")


def _reject(raw: bytes, error: Exception) -> Reject:
    reason = str(error)
    try:
        row = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Reject(row_key(raw), reason)
    if not isinstance(row, dict):
        return Reject(row_key(row), reason)
    field = re.search(r"`\$\.(\w+)", reason)
    excerpt = ""
    if field and field[1] not in _PRIVATE:
        excerpt = f"{field[1]}={json.dumps(row.get(field[1]))}"[:120]
    return Reject(row_key(row.get("id")), reason, excerpt)


def observation_table(rows: Sequence[Observation]) -> pa.Table:
    """Rows of RAW_OBSERVATIONS."""
    columns = dict(zip(Observation.__struct_fields__, _columns(rows, Observation), strict=True))
    columns["model"] = [
        model or other
        for model, other in zip(columns["model"], columns.pop("provided_model_name"), strict=True)
    ]
    for name in ("metadata", "model_parameters", "usage_details", "cost_details"):
        columns[name] = _objects(columns[name])
    for wire, ours in (
        ("id", "observation_id"),
        ("latency", "latency_s"),
        ("time_to_first_token", "time_to_first_token_s"),
        ("is_root_observation", "is_root"),
    ):
        columns[ours] = columns.pop(wire)
    return pa.table(
        {field.name: pa.array(columns[field.name], field.type) for field in RAW_OBSERVATIONS},
        schema=RAW_OBSERVATIONS,
    )


def score_table(rows: Sequence[Score]) -> pa.Table:
    """Rows of RAW_SCORES. The subject's id goes to the column of its kind."""
    columns = dict(zip(Score.__struct_fields__, _columns(rows, Score), strict=True))
    subjects = columns.pop("subject")
    values = columns.pop("value")
    columns["metadata"] = [bytes(raw) for raw in columns["metadata"]]
    columns["score_id"] = columns.pop("id")
    columns["value"] = [None if isinstance(v, str) else v for v in values]
    columns["value"] = [None if v is None else float(v) for v in columns["value"]]
    columns["string_value"] = [_spelled(value) for value in values]
    columns["subject_kind"] = [s.kind if s else "" for s in subjects]
    columns["trace_id"] = [_subject_id(s, "trace") for s in subjects]
    columns["observation_id"] = [_subject_id(s, "observation") for s in subjects]
    columns["session_id"] = [_subject_id(s, "session") for s in subjects]
    return pa.table(
        {field.name: pa.array(columns[field.name], field.type) for field in RAW_SCORES},
        schema=RAW_SCORES,
    )


def text_of(raw: msgspec.Raw) -> str:
    """An input or output as text: the string itself, or any other JSON as JSON."""
    content = bytes(raw)
    if content == b"null" or not content:
        return ""
    return msgspec.json.decode(content, type=str) if content[:1] == b'"' else content.decode()


def _objects(raws: Sequence[msgspec.Raw]) -> list[bytes | str]:
    """JSON of objects; exports and older servers send it as JSON inside a string."""
    contents: list[bytes | str] = list(map(bytes, raws))
    for at, content in enumerate(contents):
        if content[:1] == b'"':
            contents[at] = msgspec.json.decode(content, type=str)
    return contents


def _subject_id(subject: Subject | None, kind: str) -> str:
    if subject is None:
        return ""
    if subject.kind == kind:
        return subject.id
    return subject.trace_id or "" if kind == "trace" else ""


def _spelled(value: float | bool | str | None) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return value if isinstance(value, str) else ""


def _columns(rows: Sequence[Any], kind: type[msgspec.Struct]) -> list[list[Any]]:
    if not rows:
        return [[] for _ in kind.__struct_fields__]
    return [list(column) for column in zip(*map(msgspec.structs.astuple, rows), strict=True)]
