"""A day scored a slice at a time: memory is that of a slice, and large days use two cores.

A slice is scored by itself, and slices are cut alike however many processes there are, so that a
day has the same scores on every machine.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from multiprocessing import connection, get_context, parent_process

import pandas as pd
import pyarrow as pa

from llmops_jobs.errors import UserError
from llmops_jobs.evals import scorer as scoring
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.model.fit import Model
from llmops_jobs.evals.model.weekly import predicted_rows
from llmops_jobs.evals.reading import read_calls, slices_of_day
from llmops_jobs.evals.rows import score_calls
from llmops_jobs.evals.scorer import Scorer
from llmops_jobs.evals.scorers.formats import format_scorers
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake

SLICE = 2_500
#: Fewer slices are scored before other processes have started.
_FEW = 3

Models = Mapping[str, tuple[str, Model]]
Slice = tuple[int, list[pd.DataFrame]]


@dataclass(frozen=True)
class Cheap:
    """What scores every call: rules, small models, and what people's labels taught."""

    scorers: list[Scorer]
    models: Models

    def score(self, text: pa.Table, about: pa.Table) -> Slice:
        """How many calls a slice has, and their rows of `score`."""
        batch = Batch(read_calls(text, about))
        rows = score_calls(batch, self.scorers)
        return len(batch.calls), [rows, predicted_rows(self.models, batch, rows)]


def active(settings: EvalSettings) -> list[Scorer]:
    """The scorers of this deployment: installed ones, and one per format rule."""
    return [*scoring.installed(settings.scorers), *format_scorers(settings.formats)]


def scored_slices(
    lake: Lake, project: str, day: date, settings: EvalSettings, cheap: Cheap
) -> Iterator[Slice]:
    """The slices of a day, scored, in their order.

    Raises UserError when a process that scores them dies.
    """
    slices = slices_of_day(lake, project, day, SLICE)
    processes = min(settings.processes, cores())
    if processes < 2 or lake.count("observation_text", project, day) <= _FEW * SLICE:
        yield from (cheap.score(*each) for each in slices)
        return
    with ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),  # this process has threads, which a fork would break
        initializer=_begin,
        initargs=(settings, cheap.models),
    ) as pool:
        waiting: deque[Future[Slice]] = deque()
        try:
            for text, about in slices:
                waiting.append(pool.submit(_score, _packed(text), _packed(about)))
                if len(waiting) > processes + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                f"a process that scored the calls of {day} was ended from outside, most likely "
                "for want of memory: nothing of the day was changed; with evals.processes: 1 it "
                "is scored in one process"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


_cheap: Cheap  # of a scoring process


def _begin(settings: EvalSettings, models: Models) -> None:
    global _cheap
    pa.set_cpu_count(1)
    _cheap = Cheap(active(settings), models)
    # A slice is thousands of texts and no cycles: looked for once after each, not all the while.
    gc.freeze()
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its children to end."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _score(text: pa.Buffer, about: pa.Buffer) -> Slice:
    found = _cheap.score(pa.ipc.open_stream(text).read_all(), pa.ipc.open_stream(about).read_all())
    gc.collect()
    return found


def _packed(table: pa.Table) -> pa.Buffer:
    """A table's own rows: to pickle a slice would send all that it was cut from."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()
