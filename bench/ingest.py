"""Copying Langfuse: page bytes to landed Parquet, a large day by API and by export, a re-pull.

Rivals, in the same run: `orjson.loads` of the same bytes (the floor: nothing is kept), and the
Langfuse SDK's own models. A large day is read from a server that answers from memory, once by us
and once by a client that throws the bytes away, so that what is ours and what is the server's can
be told apart. LLMOPS_BENCH_ROWS sets the rows of a large day (300,000 unless set).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = date(2026, 3, 4)
PROJECT = "bench"
PAGE = 1000
LARGE = int(os.environ.get("LLMOPS_BENCH_ROWS", "300000"))
_FEATURES = ("chat", "search", "summary", "agent")


def run() -> None:
    pages = [page_bytes(number, 40) for number in range(40)]
    parsing(pages)
    for title, work in (("by API", large_by_api), ("by export", large_by_export)):
        # Each in a process of its own: its peak memory is told.
        process = multiprocessing.get_context("spawn").Process(target=work, args=(title,))
        process.start()
        process.join()


def parsing(pages: list[bytes]) -> None:
    import orjson

    size = sum(map(len, pages)) / 1e6
    floor = cpu(lambda: [orjson.loads(page) for page in pages])
    with tempfile.TemporaryDirectory() as folder:
        landed = cpu(lambda: land(pages, Path(folder)))
    sdk = cpu(lambda: sdk_models(pages[:2]), times=1) * len(pages) / 2
    print(f"   {len(pages)} pages of {PAGE} rows, {size:.0f} MB, CPU seconds")
    print(f"   orjson.loads, nothing kept   {floor:6.2f} s   1")
    print(f"   pages to landed Parquet      {landed:6.2f} s   {floor / landed:.2f} of its rate")
    print(f"   SDK models, nothing kept     {sdk:6.2f} s   {floor / sdk:.3f}")
    print(f"   landed is {sdk / landed:.0f} times as fast as the SDK's models")


def land(pages: list[bytes], folder: Path) -> None:
    """What a pull does with the bytes of a day."""
    import pyarrow as pa

    from llmops_jobs.lake import Lake
    from llmops_jobs.langfuse import landing, traces
    from llmops_jobs.langfuse.rows import Normaliser
    from llmops_jobs.langfuse.settings import DimensionRules
    from llmops_jobs.langfuse.wire import Decoder, Observation, observation_table

    decoder, normaliser = Decoder(Observation), Normaliser(DimensionRules(), PROJECT)
    drafts = []
    for at in range(0, len(pages), 20):
        raw = [observation_table(decoder.decode(page).rows) for page in pages[at : at + 20]]
        drafts.append(normaliser.rows(pa.concat_tables(raw), DAY)[0])
    rows, duplicates = traces.finish(pa.concat_tables(drafts))
    landing.digest_rows(hashlib.blake2b(digest_size=16), rows)
    assert (rows.num_rows, duplicates) == (PAGE * len(pages), 0)
    Lake(str(folder)).replace_day("observations", PROJECT, DAY, rows)


def sdk_models(pages: list[bytes]) -> None:
    from langfuse.api import ObservationsV2Response
    from langfuse.api.core.pydantic_utilities import parse_obj_as

    for page in pages:
        parsed = parse_obj_as(type_=ObservationsV2Response, object_=json.loads(page))
        assert len(parsed.data) == PAGE


def large_by_api(title: str) -> None:
    from llmops_jobs.langfuse.api import Api
    from llmops_jobs.langfuse.client import Client
    from llmops_jobs.langfuse.pull import pull_observations

    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(LARGE, port := free_port())
    )
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            deployment, project = deployed(Path(folder), f"http://127.0.0.1:{port}")
            wait_for(port)
            started = time.perf_counter()
            with closing(Api(Client(project, parallel=4), 4)) as api:
                read = sum(batch.pages for batch in discarding(api))
            floor = time.perf_counter() - started
            assert server.pid
            started, before = time.perf_counter(), time.process_time()
            theirs = cpu_of(server.pid)
            (done,) = pull_observations(deployment, project, [DAY])
            ours = time.perf_counter() - started
            spent, theirs = time.process_time() - before, cpu_of(server.pid) - theirs
            print(f"   {title}: {done.rows:,} rows, {read:,} pages, {done.bytes / 1e6:,.0f} MB")
            print(
                f"     read and thrown away {floor:.1f} s, landed {ours:.1f} s ({ours / floor:.2f})"
            )
            print(
                f"     {done.rows / ours:,.0f} rows/s; CPU: {spent:.1f} s here "
                f"({spent / ours:.0%} of a core), {theirs:.1f} s in the server; peak {peak()} MiB"
            )
            version = deployment.lake.delta("observations").version()
            started = time.perf_counter()
            (again,) = pull_observations(deployment, project, [DAY])
            same = deployment.lake.delta("observations").version() == version
            print(
                f"     pulled again, nothing new: {time.perf_counter() - started:.1f} s, "
                f"rewritten: {again.changed or not same}"
            )
    finally:
        server.kill()
        server.join()


def discarding(api: Any) -> Any:
    """Every page, decoded to its cursor and no further."""
    import dataclasses

    import msgspec

    from llmops_jobs.langfuse.api import OBSERVATION_KIND
    from llmops_jobs.langfuse.raw import RAW_OBSERVATIONS
    from llmops_jobs.langfuse.wire import Instant

    start = msgspec.defstruct("Start", [("start_time", Instant)], rename="camel")
    kind = dataclasses.replace(
        OBSERVATION_KIND, row=start, table=lambda rows: RAW_OBSERVATIONS.empty_table()
    )
    day = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    return api.window(kind, day, day + timedelta(days=1))


def large_by_export(title: str) -> None:
    from llmops_jobs.langfuse.pull import pull_observations
    from llmops_jobs.langfuse.settings import SourceSettings

    with tempfile.TemporaryDirectory() as folder:
        writing = multiprocessing.get_context("spawn").Process(
            target=write_export, args=(folder, LARGE)
        )
        writing.start()
        writing.join()
        source = SourceSettings(kind="export", url=f"{folder}/export", top_up=False)
        deployment, project = deployed(Path(folder), "", source)
        started, before = time.perf_counter(), time.process_time()
        (done,) = pull_observations(deployment, project, [DAY])
        spent, cpu_spent = time.perf_counter() - started, time.process_time() - before
        size = sum(f.stat().st_size for f in Path(folder, "export").rglob("*.parquet")) / 1e6
        print(f"   {title} (Parquet): {done.rows:,} rows, {size:,.0f} MB of files")
        print(
            f"     landed {spent:.1f} s, {done.rows / spent:,.0f} rows/s; "
            f"{cpu_spent:.1f} s of CPU here; peak {peak()} MiB"
        )


def write_export(folder: str, rows: int) -> None:
    import duckdb

    target = Path(folder) / "export" / PROJECT / "observations_v2"
    target.mkdir(parents=True)
    per_file = 500_000
    for number in range(-(-rows // per_file)):
        first = number * per_file
        last = min(rows, first + per_file)
        duckdb.sql(f"""
            COPY (
              SELECT printf('%016x', i) AS id, printf('%032x', i // 3) AS trace_id,
                TIMESTAMPTZ '{DAY} 00:00:00+00' + to_milliseconds(i * 86000000 // {rows})
                  AS start_time,
                start_time + INTERVAL 2 SECOND AS end_time, '{PROJECT}' AS project_id,
                CASE WHEN i % 3 = 0 THEN '' ELSE printf('%016x', i // 3 * 3) END
                  AS parent_observation_id,
                CASE WHEN i % 3 = 0 THEN 'SPAN' ELSE 'GENERATION' END AS type,
                'step-' || (i % 7) AS name, 'DEFAULT' AS level, '' AS status_message,
                'production' AS environment, 'user-' || (i % 5000) AS user_id,
                i % 3 = 0 AS is_root_observation, 'chat-' || (i // 3 % 20) AS trace_name,
                'gpt-4o-mini' AS provided_model_name,
                MAP {{'input': (i % 4000)::UBIGINT, 'output': (i % 700)::UBIGINT}} AS usage_details,
                MAP {{'total': (i % 1000)::DECIMAL(18,12) / 1000}} AS cost_details,
                MAP {{'attributes.gen_ai.system': 'openai'}} AS metadata,
                ['tenant:t' || (i % 30)] AS tags, end_time AS created_at, end_time AS updated_at
              FROM range({first}, {last}) t(i)
            ) TO '{target}/{DAY + timedelta(days=1)}T{number // 60:02}-{number % 60:02}-00.parquet'
            (FORMAT parquet, COMPRESSION zstd)
        """)


def page_bytes(number: int, of: int) -> bytes:
    """A page as the API sends it, without text: about 1.3 MB."""
    return json.dumps(
        {"data": [wire_row(number * PAGE + n, of * PAGE) for n in range(PAGE)], "meta": {}}
    ).encode()


def wire_row(n: int, of: int) -> dict[str, Any]:
    seconds = 86_000 * n / of
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(seconds=seconds)
    at = start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    end = (start + timedelta(seconds=2)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    call = n % 3 > 0
    return {
        "id": f"{n:016x}", "traceId": f"{n // 3:032x}", "startTime": at, "endTime": end,
        "projectId": PROJECT, "parentObservationId": f"{n // 3 * 3:016x}" if call else None,
        "type": "GENERATION" if call else "SPAN", "name": f"step-{n % 7}", "level": "DEFAULT",
        "statusMessage": "", "version": "", "environment": "production", "bookmarked": False,
        "public": False, "userId": f"user-{n % 5000}", "sessionId": "",
        "isRootObservation": not call, "completionStartTime": at if call else None,
        "createdAt": end, "updatedAt": end,
        "metadata": {
            "attributes.gen_ai.system": "openai", "attributes.gen_ai.request.model": "gpt-4o-mini",
            "attributes.gen_ai.response.finish_reasons": '["stop"]', "scope.name": "langfuse-sdk",
            "resourceAttributes.service.name": "api", "tenant": f"t{n % 30}",
            "request_id": f"req-{n}",  # no two rows have the same metadata: the dearer case
        },
        "model": "gpt-4o-mini" if call else "", "internalModelId": "clyrjp56f0000t0mzapoocd7u",
        "modelParameters": {"temperature": 0.2} if call else {},
        "usageDetails": {"input": n % 4000, "input_cached_tokens": n % 900, "output": n % 700,
                         "total": n % 4000 + n % 900 + n % 700} if call else {},
        "inputUsage": n % 4000, "outputUsage": n % 700, "totalUsage": n % 4700,
        "costDetails": {"input": 1e-5, "output": 2e-5, "total": 3e-5} if call else {},
        "inputCost": 1e-5, "outputCost": 2e-5, "totalCost": 3e-5,
        "promptId": "", "promptName": _FEATURES[n % 4], "promptVersion": n % 9 + 1,
        "usagePricingTierId": "clyrjp56f0000t0mzapoocd7u_tier_default",
        "usagePricingTierName": "Standard", "latency": 2.0, "timeToFirstToken": 0.3,
        "traceName": _FEATURES[n // 3 % 4], "tags": ["a", "b"], "release": "r1",
        "modelId": "clyrjp56f0000t0mzapoocd7u", "inputPrice": "1.5e-7", "outputPrice": "6e-7",
        "totalPrice": None,
    }  # fmt: skip


def serve(rows: int, port: int) -> None:
    """Answers `v2/observations` for a day of `rows`, from a page made once: its ids and times are
    put in by their place in the bytes. Serves any window of the day, newest first."""
    from urllib.parse import parse_qs, urlsplit

    template = page_bytes(0, 1)
    body = json.loads(template)
    step = 86_000_000 / rows  # milliseconds between rows
    about = json.dumps({"version": "4.16.0", "data": [{"id": PROJECT, "name": "bench"}]}).encode()

    def answer(path: str) -> bytes:
        if not path.startswith("/api/public/v2/observations"):
            return about  # the server's version, and whose keys these are
        query = {key: value[0] for key, value in parse_qs(urlsplit(path).query).items()}
        first = place(query["fromStartTime"], step)
        end = int(query["cursor"]) if "cursor" in query else place(query["toStartTime"], step)
        end = min(end, rows)
        low = max(first, end - PAGE, 0)
        data = []
        for n in range(end - 1, low - 1, -1):
            at = moment(n, step)
            row = cached[(n - low) % PAGE]
            data.append(
                row.replace(b"@id", b"%016x" % n)
                .replace(b"@trace", b"%032x" % (n // 3))
                .replace(b"@at", at)
            )
        meta = b'{"cursor":"%d"}' % low if low > max(first, 0) else b"{}"
        return b'{"data":[' + b",".join(data) + b'],"meta":' + meta + b"}"

    cached = [
        json.dumps(
            row | {"id": "@id", "traceId": "@trace", "startTime": "@at", "endTime": "@at"}
        ).encode()
        for row in body["data"]
    ]
    with socket.create_server(("127.0.0.1", port), backlog=64) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=talk, args=(connection, answer), daemon=True).start()


def talk(connection: socket.socket, answer: Callable[[str], bytes]) -> None:
    with connection, connection.makefile("rb") as reading:
        while line := reading.readline():
            path = line.split()[1].decode()
            while reading.readline().strip():
                pass
            body = answer(path)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % len(body)
            )
            connection.sendall(body)


def place(instant: str, step: float) -> int:
    """The number of the first row at or after an instant."""
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    since = (datetime.fromisoformat(instant) - start) / timedelta(milliseconds=1)
    return max(0, -int(-since // step))


def moment(n: int, step: float) -> bytes:
    since = -int(-n * step // 1)
    seconds, ms = divmod(since, 1000)
    return b"%s T%02d:%02d:%02d.%03dZ".replace(b" ", b"") % (
        str(DAY).encode(), seconds // 3600, seconds // 60 % 60, seconds % 60, ms,
    )  # fmt: skip


def deployed(folder: Path, url: str, source: Any = None) -> tuple[Any, Any]:
    from llmops_jobs.config import Settings
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.langfuse.project import ProjectKeys
    from llmops_jobs.langfuse.settings import SourceSettings

    settings = Settings.model_validate(
        {"database_url": f"sqlite:///{folder}/b.db", "lake_url": str(folder / "lake")}
    )
    given = source or SourceSettings()
    secret = "sk" if url else ""  # an export needs no server
    return Deployment(settings), ProjectKeys(PROJECT, "bench", url, "pk", secret, source=given)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server of the benchmark did not start")


def cpu(work: Callable[[], object], times: int = 3) -> float:
    """The fewest CPU seconds of several runs."""
    fewest = float("inf")
    for _ in range(times):
        before = time.process_time()
        work()
        fewest = min(fewest, time.process_time() - before)
    return fewest


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used, by Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"


if __name__ == "__main__":
    run()
