from __future__ import annotations

import subprocess
import sys

import pytest

from llmops_jobs.cli import _COMMANDS, main


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr()
    return int(str(stop.value.code)), said.out, said.err


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run([name, "--help"], capsys)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: llmops {name} ")


@pytest.mark.parametrize("arguments", [[], ["alerts"], ["prompts"]])
def test_a_group_without_a_command_shows_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run(arguments, capsys)
    assert (code, err) == (64, "")
    assert "Commands:" in out


def test_an_unknown_command_is_one_line_and_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = _run(["nightly"], capsys)
    assert (code, out) == (64, "")
    assert err == "llmops: No such command 'nightly' (see llmops --help)\n"


def test_the_help_loads_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys; from llmops_jobs.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'dagster', 'pandas', 'duckdb', 'sqlalchemy', 'ibis'} & "
        "set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
