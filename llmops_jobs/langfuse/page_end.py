"""Where a page of observations ends: never between two versions of one row.

The server serves every version of a row, one after the other, and its cursor stands *behind an id*:
versions that did not fit on the page are never served, and the newest may be among them. The cursor
is base64 of JSON with the last row's instant and ids, so that the one of the row before can be
written as the server would have: the last id is then left to the next page, with all its versions.
"""

from __future__ import annotations

import base64
import binascii
from itertools import takewhile

import msgspec

from llmops_jobs.langfuse import wire


class _Position(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    last_start_time_to: str
    last_trace_id: str
    last_id: str


def with_all_versions(page: wire.Decoded[wire.Observation]) -> wire.Decoded[wire.Observation]:
    """The page up to its last id but one, and the cursor of that place.

    The page itself where it is the last one, holds one id only, has rows that could not be read
    (they would be counted twice), or where its cursor is not of the known form.
    """
    if page.cursor is None or page.rejects or not page.rows:
        return page
    last = _key(page.rows[-1])
    split = sum(1 for _ in takewhile(lambda row: _key(row) == last, reversed(page.rows)))
    whole = page.rows[:-split]
    if not whole or _ids(page.cursor) != last:
        return page
    return msgspec.structs.replace(page, rows=whole, cursor=_cursor(whole[-1]))


def _key(row: wire.Observation) -> tuple[str, str]:
    return row.trace_id or "", row.id


def _ids(cursor: str) -> tuple[str, str] | None:
    try:
        position = msgspec.json.decode(base64.b64decode(cursor), type=_Position)
    except (binascii.Error, ValueError):  # msgspec's errors are ValueErrors
        return None
    return position.last_trace_id, position.last_id


def _cursor(row: wire.Observation) -> str:
    position = _Position(wire.instant(row.start_time), *_key(row))
    return base64.b64encode(msgspec.json.encode(position)).decode()
