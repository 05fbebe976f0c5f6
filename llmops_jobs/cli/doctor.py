"""`llmops doctor`: what is wrong with this installation."""

from __future__ import annotations

import json
import sys

import click

_MARK = {"ok": "ok", "warning": "!", "error": "x", "skipped": "-"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON on standard output.")
def command(as_json: bool) -> None:
    """Check configuration, database, lake, Langfuse (version and access), channels, freshness.

    Exits 0 when nothing is wrong (warnings do not count), 1 otherwise.
    """
    from llmops_jobs.doctor import examine, healthy

    findings = examine()
    fine = healthy(findings)
    if as_json:
        click.echo(json.dumps({"ok": fine, "findings": [f.as_dict() for f in findings]}, indent=1))
    else:
        for finding in findings:
            click.echo(f"{_MARK[finding.status]:>2}  {finding.name:<20} {finding.found}")
            if finding.todo:
                click.echo(f"    {'':<20} -> {finding.todo}")
    sys.exit(0 if fine else 1)
