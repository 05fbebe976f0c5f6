"""`llmops gate`: compare a candidate with a baseline, for a pull request or a release job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

_EXIT = {"pass": 0, "fail": 1, "inconclusive": 2}
_COULD_NOT_RUN = 3
_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--baseline", required=True, help="A result file, or a Langfuse experiment run.")
@click.option("--candidate", required=True, help="A result file, or a Langfuse experiment run.")
@click.option("--config", type=_PATH, help="Rules (gate.yaml); defaults without it.")
@click.option("--junit", type=_PATH, help="Write JUnit XML here.")
@click.option("--markdown", type=_PATH, help="Write Markdown for a pull request here.")
@click.option("--json", "json_file", type=_PATH, help="Write the whole verdict here.")
def command(
    baseline: str,
    candidate: str,
    config: Path | None,
    junit: Path | None,
    markdown: Path | None,
    json_file: Path | None,
) -> None:
    """Does CANDIDATE hold against BASELINE?

    Exit 0 pass, 1 fail, 2 inconclusive (with the number of items that would decide), 3 could not
    run. A file is read as plain JSON lines, promptfoo, DeepEval, JUnit XML or CSV.
    """
    from llmops_jobs.errors import UserError
    from llmops_jobs.versions.gate import faces
    from llmops_jobs.versions.gate.compare import compare
    from llmops_jobs.versions.gate.rules import load_rules

    try:
        rules = load_rules(config)
        gate = compare(_results(baseline), _results(candidate), rules, (baseline, candidate))
        for path, text in (
            (junit, faces.junit(gate)),
            (markdown, faces.markdown(gate)),
            (json_file, faces.as_json(gate)),
        ):
            if path is not None:
                path.write_text(text, encoding="utf-8")
    except (UserError, OSError) as error:
        click.echo(f"llmops gate: could not run: {error}", err=True)
        sys.exit(_COULD_NOT_RUN)
    click.echo(faces.terminal(gate))
    sys.exit(_EXIT[gate.verdict])


def _results(name: str) -> pd.DataFrame:
    path = Path(name)
    if path.exists():
        from llmops_jobs.versions.gate.files import read_results

        return read_results(path)
    from llmops_jobs.config import load
    from llmops_jobs.errors import ConfigError
    from llmops_jobs.langfuse.project import keys_of
    from llmops_jobs.versions.gate.compare import NotComparableError
    from llmops_jobs.versions.gate.experiments import read_experiment

    try:
        keys = keys_of(load().projects[0])
    except ConfigError as error:
        raise NotComparableError(
            f"{name} is not a file; to read an experiment of that name: {error}"
        ) from None
    return read_experiment(keys, name)
