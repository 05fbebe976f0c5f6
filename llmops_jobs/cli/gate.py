"""`llmops gate`: compare a candidate with a baseline, for a pull request or a release job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.versions.gate.compare import Gate
    from llmops_jobs.versions.gate.rules import GateRules

_EXIT = {"pass": 0, "fail": 1, "inconclusive": 2}
_COULD_NOT_RUN = 3
_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--baseline",
    required=True,
    help="A result file, a Langfuse experiment run, or production[:PROMPT[@VERSION or LABEL]].",
)
@click.option("--candidate", required=True, help="A result file, or a Langfuse experiment run.")
@click.option("--days", type=click.IntRange(1, 90), help="How much of production; else gate.yaml.")
@click.option("--config", type=_PATH, help="Rules (gate.yaml); defaults without it.")
@click.option("--junit", type=_PATH, help="Write JUnit XML here.")
@click.option("--markdown", type=_PATH, help="Write Markdown for a pull request here.")
@click.option("--json", "json_file", type=_PATH, help="Write the whole verdict here.")
def command(
    baseline: str,
    candidate: str,
    days: int | None,
    config: Path | None,
    junit: Path | None,
    markdown: Path | None,
    json_file: Path | None,
) -> None:
    """Does CANDIDATE hold against BASELINE?

    Exit 0 pass, 1 fail, 2 inconclusive (with the number of items that would decide), 3 could not
    run. A file is read as plain JSON lines, promptfoo, DeepEval, JUnit XML or CSV. Two runs are
    compared item by item; production's calls are other items, so the comparison is unpaired.
    """
    from llmops_jobs.errors import UserError
    from llmops_jobs.versions.gate import faces
    from llmops_jobs.versions.gate.rules import load_rules

    try:
        rules = load_rules(config)
        if days is not None:
            production = rules.production.model_copy(update={"days": days})
            rules = rules.model_copy(update={"production": production})
        gate = _compared(baseline, candidate, rules)
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


def _compared(baseline: str, candidate: str, rules: GateRules) -> Gate:
    from llmops_jobs.versions.gate.compare import compare, compare_with_production
    from llmops_jobs.versions.gate.production import named, read_production
    from llmops_jobs.versions.gate.results import NotComparableError

    names = (baseline, candidate)
    if not Path(candidate).exists() and named(candidate, rules.production):
        raise NotComparableError("production can be the baseline only")
    chosen = None if Path(baseline).exists() else named(baseline, rules.production)
    if chosen is None:
        return compare(_results(baseline, rules), _results(candidate, rules), rules, names)
    from llmops_jobs.deployment import Deployment

    home = Deployment.from_environment()
    known = home.database.table("project", name=home.settings.projects[0].name)
    if known.empty:
        raise NotComparableError("nothing of production was copied yet: llmops run --from … --to …")
    production = read_production(home, str(known["project_id"].iloc[0]), chosen)
    return compare_with_production(production, _results(candidate, rules), rules, names)


def _results(name: str, rules: GateRules) -> pd.DataFrame:
    path = Path(name)
    if path.exists():
        from llmops_jobs.versions.gate.files import read_results

        return read_results(path)
    from llmops_jobs.config import load
    from llmops_jobs.errors import ConfigError
    from llmops_jobs.langfuse.project import keys_of
    from llmops_jobs.versions.gate.experiments import read_experiment
    from llmops_jobs.versions.gate.results import NotComparableError

    try:
        keys = keys_of(load().projects[0])
    except ConfigError as error:
        raise NotComparableError(
            f"{name} is not a file; to read an experiment of that name: {error}"
        ) from None
    return read_experiment(keys, name, rules.allow_missing)
