"""A stand-in for Langfuse's public API (v4, events_only), to try everything on without a server.

It answers as a real 4.16 server was recorded to answer: status, headers, bodies, and its quirks.
Belongs here: the API's behaviour and its misbehaviour (`faults`). Does not: what the traffic
is (`llmops_jobs.demo.replay`), or how it is read (`llmops_jobs.langfuse`).

`with running(source) as server:` serves a `Source` in a thread; `python -m
llmops_jobs.demo.server` serves the replay as a process.
"""

from __future__ import annotations

from llmops_jobs.demo.rows import DayRows
from llmops_jobs.demo.server.serving import Running, running, serve
from llmops_jobs.demo.server.source import MemorySource, Source

__all__ = ["DayRows", "MemorySource", "Running", "Source", "running", "serve"]
