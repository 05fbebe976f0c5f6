"""`llmops` commands in processes that are forked from one that has imported everything already.

A third of a small run is imports: whoever kills two hundred runs does not want to pay for them each
time. A process is as real as any other: SIGKILL ends it with no chance to say anything.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

# What the rooms import inside functions.
_LAZY: Final = (
    *("deltalake", "duckdb", "genai_prices", "httpx", "jsonschema", "py3langid.langid", "upath"),
    *("ibis.backends.duckdb", "ibis.backends.sql.compilers.duckdb", "pyarrow.dataset"),
    *("scipy.optimize", "scipy.stats", "sklearn.cluster", "sklearn.decomposition"),
    *("sklearn.feature_extraction.text", "sklearn.isotonic", "sklearn.linear_model"),
    *("dagster._core.execution.execute_in_process", "statsmodels.api"),
)
_NOT_OURS: Final = ("spark", "pytest_plugin", "__main__", "migrations", "demo")


class Process:
    """A command as a process of its own; what it prints is added to folder/run.log."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench._imported"])
        folder.mkdir(parents=True, exist_ok=True)
        self._process = context.Process(
            target=_command, args=(list(arguments), dict(environment), folder)
        )
        self._process.start()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("llmops", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def import_all() -> None:
    """Every module that a run would import. Nothing is opened and no thread started: a fork
    leaves threads behind."""
    import llmops_jobs
    from llmops_jobs.definitions import defs

    for module in pkgutil.walk_packages(llmops_jobs.__path__, "llmops_jobs."):
        if not any(part in module.name for part in _NOT_OURS):
            importlib.import_module(module.name)
    for name in _LAZY:
        importlib.import_module(name)
    defs.resolve_job_def("nightly")


def _command(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("LANGFUSE", "LLMOPS"))]:
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(folder)
    log = os.open(folder / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from llmops_jobs.cli import main

    main(arguments)
