from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llmops_jobs.launch import open_instance


def test_first_commands_started_at_once_leave_an_instance_that_opens_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for instance in list(pool.map(open_instance, [tmp_path] * 8)):
            instance.dispose()
    with open_instance(tmp_path) as again:
        assert again.get_runs() == []
