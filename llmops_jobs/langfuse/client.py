"""HTTP to one project of a Langfuse server: authentication, retries, deadlines, rate limit.

Returns bytes; what they mean is `wire`'s. The SDK is not used for reading: its models parse some
sixty times slower than the bytes can be decoded (docs/ingestion.md).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse import answers
from llmops_jobs.langfuse.answers import TooMuchError, TryAgainError, UnavailableError
from llmops_jobs.langfuse.limits import RateLimit, shared_limit
from llmops_jobs.langfuse.project import ProjectKeys

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

Query = Sequence[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a request may take and how often it is tried. Seconds."""

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0
    connect: float = 10.0
    read: float = 65.0  # the server's own limit on a query is 30 to 60
    whole: float = 180.0  # against a body that drips


@dataclass
class Traffic:
    """What a client has done so far."""

    requests: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **amounts: float) -> None:
        with self.lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


class Client:
    """One project's server. Safe across threads; `close` it, or use it as a context."""

    def __init__(
        self,
        keys: ProjectKeys,
        limit: RateLimit | None = None,
        patience: Patience | None = None,
        *,
        parallel: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        self.keys = keys
        self.patience = patience or Patience()
        self.traffic = Traffic()
        # Whoever makes a client without thinking of it shares the organization's budget too.
        self._limit = limit or shared_limit(keys.base_url, keys.organization, None)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=keys.base_url,
            auth=(keys.public_key, keys.secret_key),
            timeout=httpx.Timeout(
                self.patience.read, connect=self.patience.connect, pool=self.patience.whole
            ),
            limits=httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel),
            headers={"accept": "application/json", "user-agent": "llmops-jobs"},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Query, decode: Callable[[bytes], T]) -> T:
        """One GET. `decode` turns the body into the result and raises ValueError for a body that
        is not what the API sends, which counts as a fault that may pass.

        Raises TooMuchError when the server says that too much was asked, SourceError otherwise.
        """
        return self._patiently("GET", path, decode, params=list(query))

    def post(self, path: str, content: bytes, decode: Callable[[bytes], T]) -> T:
        """One POST of JSON; tried again only where that cannot do a thing twice: every write of
        this project carries its own id."""
        headers = {"content-type": "application/json"}
        return self._patiently("POST", path, decode, content=content, headers=headers)

    def json(self, path: str, query: Query = ()) -> Any:
        """A small answer, as Python objects."""
        import orjson

        return self.get(path, query, orjson.loads)

    def _patiently(self, method: str, path: str, decode: Callable[[bytes], T], **request: Any) -> T:
        failures = 0
        while True:
            self.traffic.add(waited=self._limit.take())
            try:
                return self._once(method, path, decode, request)
            except TryAgainError as fault:
                if fault.wait is not None:
                    # The server knows when; that wait is obeyed, however long, and costs no try.
                    log.warning("%s: waiting %.0f s: %s", path, fault.wait, fault)
                    self._limit.close_for(fault.wait)
                    self.traffic.add(retries=1)
                    failures += fault.wait == 0
                    if failures < self.patience.tries:
                        continue
                failures += 1
                if fault.slow and failures >= 2 and method == "GET":
                    raise TooMuchError(
                        f"{self.keys.base_url}{path} is too slow: {fault}"
                    ) from fault
                if failures >= self.patience.tries:
                    raise UnavailableError(
                        f"{self.keys.base_url}{path} could not be read in {failures} tries: {fault}"
                    ) from None
                wait = _backoff(self.patience, failures)
                log.info("%s: try %d in %.1f s: %s", path, failures + 1, wait, fault)
                self.traffic.add(retries=1, waited=wait)
                self._sleep(wait)

    def _once(
        self, method: str, path: str, decode: Callable[[bytes], T], request: Mapping[str, Any]
    ) -> T:
        import httpx

        try:
            with self._http.stream(method, path, **request) as response:
                body = self._read(response)
        except httpx.ConnectError as error:
            raise TryAgainError(f"cannot connect ({error}); is the address right?") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            slow = isinstance(error, httpx.ReadTimeout)
            raise TryAgainError(f"{type(error).__name__} {error}".strip(), slow=slow) from error
        except httpx.InvalidURL as error:
            raise SourceError(f"{self.keys.base_url} is not an address: {error}") from error
        self.traffic.add(requests=1, bytes=len(body))
        answers.check(response, body, self.keys.base_url)
        try:
            return decode(body)
        except ValueError as error:
            if answers.looks_like_html(response, body):
                raise SourceError(answers.not_json(response, body, self.keys.base_url)) from error
            raise TryAgainError(answers.not_json(response, body, self.keys.base_url)) from error

    def _read(self, response: httpx.Response) -> bytes:
        """The body, within the deadline of the whole request."""
        end = time.monotonic() + self.patience.whole
        chunks = []
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            if time.monotonic() > end:
                reason = f"the body was not there after {self.patience.whole:.0f} s"
                raise TryAgainError(reason, slow=True)
        return b"".join(chunks)


def _backoff(patience: Patience, failures: int) -> float:
    """Exponential, with full jitter (so that parallel requests do not come back together)."""
    longest = min(patience.longest_wait, patience.first_wait * 2 ** (failures - 1))
    return longest * (0.5 + random.random() / 2)


def server_version(client: Client) -> str:
    """The server's version by its health page.

    Raises SourceError for a server before version 4, which has another API.
    """
    answer = client.json("/api/public/health")
    version = str(answer.get("version") or "") if isinstance(answer, dict) else ""
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < 4:
        raise SourceError(
            f"{client.keys.base_url} is Langfuse {version}: version 4 or newer is needed (its v2 "
            "observations, v3 scores and v2 metrics); a version 3 server cannot be read"
        )
    return version


def probe(keys: ProjectKeys) -> str:
    """Tries server, keys and the API that is read; a sentence with what was found.

    Raises SourceError with what is wrong.
    """
    with Client(keys, patience=Patience(tries=2)) as client:
        version = server_version(client)
        projects = client.json("/api/public/projects")
        client.json("/api/public/v2/observations", [("limit", "1")])
    names = [str(p.get("name") or p.get("id")) for p in projects.get("data", [])]
    return f"Langfuse {version or 'of unknown version'}, project {', '.join(names)}"
