"""The demo's traffic: measured numbers, the project's own texts, marked events.

Belongs here: what happens on a day and how Langfuse would return it. Does not: serving it over
HTTP (`demo.server`), or anything that reads it.
"""

from llmops_jobs.demo.replay.events import Event
from llmops_jobs.demo.replay.replay import Replay

__all__ = ["Event", "Replay"]
