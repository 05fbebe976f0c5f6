"""Today's rows of a project, read from Langfuse as they come in.

Each look reads what is new since the last one, and again the minutes before it, in which rows may
still have been under way. Requests per look are bounded, and nothing is waited for: a server that
asks for patience is looked at again a few minutes later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.alerts.watch.rows import Rows, rows_of
from llmops_jobs.days import start_of

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.langfuse.api import Api
    from llmops_jobs.langfuse.project import ProjectKeys

#: The longest window that a rule looks at.
LONGEST = timedelta(hours=6)
_AGAIN = timedelta(minutes=20)
_FIRST = timedelta(minutes=40)  # what one request of an ordinary look covers
_MOST = 300_000  # calls kept; of more, the newest
_FEW = 3  # pages: a stretch of so few rows is followed by one twice as long


def begin_of(now: datetime) -> datetime:
    """From where rows are needed: the whole of today, and the longest window."""
    return min(start_of(now.date()), now - LONGEST)


class Live:
    """The rows of one project, kept between looks. Not safe across threads.

    requests: the most that one look sends, about; a day of more rows is looked at from later on.
    """

    def __init__(self, deployment: Deployment, project: ProjectKeys, requests: int) -> None:
        self._deployment, self._project, self._requests = deployment, project, requests
        self._rows: Rows | None = None
        self._reached: datetime | None = None
        self._api = _open(deployment, project, requests)

    def read(self, now: datetime) -> Rows:
        """What is known at `now`. Raises SourceError when Langfuse cannot be read just now; what
        was read before is kept, and the next call reads the rest."""
        begin = begin_of(now)
        first = begin
        if self._reached is not None and self._rows is not None:
            first = max(begin, min(self._reached, now) - _AGAIN)
        fresh = self._fetch(first, now)
        # A gap (a look that was cut short) is not counted as silence: rows begin after it.
        whole = self._rows is not None and fresh.since <= first and first > begin
        rows = self._rows.joined(fresh) if whole and self._rows is not None else fresh
        if len(rows.calls) > _MOST:
            begin = max(begin, rows.calls["at"].nlargest(_MOST).iloc[-1].to_pydatetime())
        self._rows, self._reached = rows.at(now, begin), now
        return self._rows

    def close(self) -> None:
        self._api.close()

    def _fetch(self, first: datetime, now: datetime) -> Rows:
        """The rows that start in [first, now), stretch by stretch, the newest first."""
        import pyarrow as pa

        from llmops_jobs.langfuse.api import OBSERVATION_KIND
        from llmops_jobs.langfuse.rows import DRAFT, Normaliser
        from llmops_jobs.langfuse.traces import finish
        from llmops_jobs.ledger.book import load_book

        settings = self._deployment.settings
        normaliser = Normaliser(settings.dimensions, self._project.id)
        drafts: list[pa.Table] = [DRAFT.empty_table()]
        pages, reached, span = 0, now, _FIRST
        while reached > first and pages < self._requests:
            begin, before = max(first, reached - span), pages
            for batch in self._api.window(OBSERVATION_KIND, begin, reached):
                pages += batch.pages
                drafts.append(normaliser.rows(batch.rows)[0])
            reached = begin
            span = span * 2 if pages - before <= _FEW else span
        rows, _ = finish(pa.concat_tables(drafts))
        return rows_of(rows, load_book(settings.ledger), reached)


def _open(deployment: Deployment, project: ProjectKeys, requests: int) -> Api:
    from llmops_jobs.langfuse.api import Api
    from llmops_jobs.langfuse.client import Client, Patience
    from llmops_jobs.langfuse.limits import RateLimit

    allowed = deployment.settings.ingest.requests_per_minute
    limit = RateLimit(min(requests * 2, allowed or requests * 2) + 1, sleep=_no_patience)
    patience = Patience(tries=2, longest_wait=2, connect=5, read=15, whole=25)
    return Api(Client(project, limit, patience, parallel=2), parallel=2)


def _no_patience(seconds: float) -> None:
    from llmops_jobs.langfuse.answers import UnavailableError

    raise UnavailableError(f"the budget of requests is used up for {seconds:.0f} s")
