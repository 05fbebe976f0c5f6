"""Scores written back to Langfuse, so that a run that is repeated changes nothing and nothing is
lost without a word.

- A score's id is made of what was scored and by what, its timestamp is that of what was scored:
  Langfuse knows a score by id, name and UTC date, so that the same result lands on the same row.
- The server's version decides how: from 4.59 `POST /scores` takes a list, before that only
  `/ingestion` keeps the timestamp.
- Every item must be acknowledged; one that is not, or is refused, is an error that names it. The
  SDK's own queue drops refused scores with a log line, which is why it is not used here.
- An acknowledgement is not a row: `missing` asks for the scores again, a while later.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.api import SCORES
from llmops_jobs.langfuse.client import Client, server_version
from llmops_jobs.langfuse.score_rows import MARK
from llmops_jobs.langfuse.wire import instant

log = logging.getLogger(__name__)

ARRAYS_SINCE: Final = (4, 59)
_BATCH: Final = 500
_BYTES: Final = 3_000_000  # the ingestion route takes 4.5 MB
_READ_AT_ONCE: Final = 50
_NAMESPACE: Final = uuid.UUID("5f0f6a4e-6a55-5a0e-9d53-0d6c1f6f4d6b")


@dataclass(frozen=True)
class Score:
    """One score of one observation or, without `observation_id`, of a trace."""

    name: str
    value: float | bool | str
    trace_id: str
    timestamp: datetime  # of what was scored, aware; never now
    scorer: str
    scorer_version: str
    observation_id: str = ""
    comment: str = ""
    environment: str = "default"
    config_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        parts = (self.scorer, self.scorer_version, self.name, self.trace_id, self.observation_id)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]

    def body(self) -> dict[str, Any]:
        """As the API takes it: booleans are 0 and 1 with their type beside them."""
        value = self.value
        kind = "BOOLEAN" if isinstance(value, bool) else "NUMERIC"
        optional = {
            "observationId": self.observation_id,
            "comment": self.comment,
            "configId": self.config_id,
            "metadata": {**self.metadata, MARK: self.scorer_version},
        }
        return {
            "id": self.id,
            "name": self.name,
            "traceId": self.trace_id,
            "value": value if isinstance(value, str) else float(value),
            "dataType": "CATEGORICAL" if isinstance(value, str) else kind,
            "environment": self.environment,
            **{key: content for key, content in optional.items() if content},
        }


class RefusedError(SourceError):
    """Scores that the server refused or did not acknowledge; `names` are theirs, with the reason.

    The others of the same call were acknowledged.
    """

    def __init__(self, names: dict[str, str], sent: int, place: str) -> None:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(names.items())[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        super().__init__(f"{place} took {sent - len(names)} of {sent} scores; not: {shown}{more}")
        self.names = names


class ScoreWriter:
    """Writes scores to one project's server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._arrays = takes_arrays(server_version(client))

    def write(self, scores: Sequence[Score]) -> int:
        """Sends scores in batches; returns how many were acknowledged: all.

        Raises RefusedError after the last batch when any was not; ValueError for a score that no
        server would take.
        """
        for score in scores:
            _check(score)
        unique = {score.id: score for score in scores}
        if len(unique) != len(scores):
            raise ValueError(f"{len(scores) - len(unique)} scores have the id of another one")
        refused: dict[str, str] = {}
        for batch in _batches(list(unique.values())):
            refused |= self._send(batch)
        if refused:
            names = {_label(unique[key]): reason for key, reason in refused.items()}
            raise RefusedError(names, len(unique), self._client.keys.base_url)
        return len(unique)

    def missing(
        self,
        scores: Sequence[Score],
        *,
        within: float = 60,
        sleep: Callable[[float], None] = time.sleep,
    ) -> list[Score]:
        """The scores that cannot be read back, with the value that was sent, after at most
        `within` seconds. Langfuse takes some 15 to 30 seconds; a score with an unknown or
        contradicting `config_id` is acknowledged and never appears."""
        left, waited, pause = list(scores), 0.0, 1.0
        while True:
            left = [score for part in _parts(left) for score in self._unread(part)]
            if not left or waited >= within:
                return left
            sleep(pause)
            waited += pause
            pause = min(pause * 2, 15)

    def _unread(self, scores: Sequence[Score]) -> list[Score]:
        query = [("limit", "100"), ("id", ",".join(score.id for score in scores))]
        found = {row["id"]: row["value"] for row in self._client.json(SCORES, query)["data"]}
        return [
            score
            for score in scores
            if score.id not in found or not _same(found[score.id], score.value)
        ]

    def _send(self, batch: Sequence[Score]) -> dict[str, str]:
        """Id -> reason of the scores that were not taken."""
        if not self._arrays:
            return self._ingest(batch)
        body = [{**score.body(), "timestamp": instant(score.timestamp)} for score in batch]
        answer = self._client.post("/api/public/scores", orjson.dumps(body), orjson.loads)
        return _unacknowledged_list(batch, answer)

    def _ingest(self, batch: Sequence[Score]) -> dict[str, str]:
        events = [
            {
                # The same score is the same event, so that a repeated request is one event.
                "id": str(uuid.uuid5(_NAMESPACE, f"{score.id}:{score.value!r}")),
                "type": "score-create",
                "timestamp": instant(score.timestamp),
                "body": score.body(),
            }
            for score in batch
        ]
        body = orjson.dumps({"batch": events})
        answer = self._client.post("/api/public/ingestion", body, orjson.loads)
        if not isinstance(answer, dict):
            return {score.id: "the answer acknowledges nothing" for score in batch}
        taken = {item.get("id") for item in answer.get("successes") or []}
        reasons = {item.get("id"): _reason(item) for item in answer.get("errors") or []}
        return {
            score.id: reasons.get(event["id"], "not acknowledged")
            for score, event in zip(batch, events, strict=True)
            if event["id"] not in taken
        }


def takes_arrays(version: str) -> bool:
    """Whether a server of this version takes a list of scores. Unknown versions are new ones."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is None or (int(found[1]), int(found[2])) >= ARRAYS_SINCE


def _unacknowledged_list(batch: Sequence[Score], answer: Any) -> dict[str, str]:
    if not isinstance(answer, dict):
        return {score.id: "the answer acknowledges nothing" for score in batch}
    errors = answer.get("errors") or []
    if "accepted" not in answer and not errors:
        return {}  # 202: all of them
    refused: dict[str, str] = {}
    for item in errors:
        place = item.get("index")
        known = isinstance(place, int) and 0 <= place < len(batch)
        key = batch[place].id if known else item.get("id")
        if key in {score.id for score in batch}:
            refused[str(key)] = _reason(item)
    if int(answer.get("accepted", 0)) + len(refused) != len(batch):
        # The counts do not add up: nobody knows which ones are meant.
        left = "not acknowledged: the server's counts do not add up"
        return {score.id: refused.get(score.id, left) for score in batch}
    return refused


def _reason(item: dict[str, Any]) -> str:
    detail = item.get("error")
    text = detail if isinstance(detail, str) else json.dumps(detail) if detail else ""
    return f"{item.get('message', '')} {text}".strip()[:200] or "refused"


def _check(score: Score) -> None:
    if score.timestamp.tzinfo is None:
        raise ValueError(f"{_label(score)}: the timestamp has no time zone")
    if score.environment.startswith("langfuse"):
        raise ValueError(f"{_label(score)}: environments that begin with langfuse are reserved")
    if isinstance(score.value, float) and not abs(score.value) < float("inf"):
        raise ValueError(f"{_label(score)}: {score.value} is not a number")
    if not score.name or not score.trace_id:
        raise ValueError(f"{_label(score)}: a score needs a name and a trace")


def _label(score: Score) -> str:
    subject = f"{score.trace_id}/{score.observation_id}".rstrip("/")
    return f"{score.name} of {subject} ({score.id})"


def _same(found: Any, sent: float | bool | str) -> bool:
    if isinstance(sent, str):
        return bool(found == sent)
    try:
        return abs(float(found) - float(sent)) < 1e-9
    except (TypeError, ValueError):
        return False


def _batches(scores: Sequence[Score]) -> Iterator[list[Score]]:
    batch: list[Score] = []
    size = 0
    for score in scores:
        length = len(orjson.dumps(score.body())) + 200
        if batch and (len(batch) >= _BATCH or size + length > _BYTES):
            yield batch
            batch, size = [], 0
        batch.append(score)
        size += length
    if batch:
        yield batch


def _parts(scores: Sequence[Score]) -> Iterator[Sequence[Score]]:
    for at in range(0, len(scores), _READ_AT_ONCE):
        yield scores[at : at + _READ_AT_ONCE]
