"""The command line, `llmops`: one module per command, imported only when it is called.

Exit codes: 0 done, 1 not (a UserError is one line on stderr, no stack trace), 64 usage error;
`gate` has more (see there).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from llmops_jobs import __version__, logs
from llmops_jobs.errors import UserError

USAGE_EXIT = 64

# Command -> (module, short help). The help is here so that `llmops --help` imports nothing.
_COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("llmops_jobs.cli.demo", "A stand-in Langfuse, 60 days of traffic, the whole job."),
    "run": ("llmops_jobs.cli.run", "Run the job for a range of days."),
    "backfill": ("llmops_jobs.cli.backfill", "A range of days, spread over Dagster's workers."),
    "up": ("llmops_jobs.cli.up", "The Dagster UI on http://localhost:3000."),
    "doctor": ("llmops_jobs.cli.doctor", "Check configuration, stores, Langfuse and channels."),
    "metrics": ("llmops_jobs.cli.metrics", "Figures of the pipeline itself, for a collector."),
    "report": ("llmops_jobs.cli.report", "Render a report again from the marts."),
    "forecast": ("llmops_jobs.cli.forecast", "The spend forecast."),
    "budgets": ("llmops_jobs.cli.budgets", "Budgets, and the probability of overrun."),
    "gate": ("llmops_jobs.cli.gate", "Compare a candidate with a baseline: pass, fail or unknown."),
    "alerts": ("llmops_jobs.cli.alerts", "Incidents and channels."),
    "prompts": ("llmops_jobs.cli.prompts", "Propose or roll back a prompt label."),
    "replay": ("llmops_jobs.cli.replay", "What is needed to run a past request again."),
    "label": ("llmops_jobs.cli.label", "Put the most informative rows into an annotation queue."),
    "prices": ("llmops_jobs.cli.prices", "What a model costs; which models have no price."),
    "spenders": ("llmops_jobs.cli.spenders", "Users, tenants, sessions that spent most."),
    "export": ("llmops_jobs.cli.export", "FOCUS or Parquet files from the marts."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llmops")
def llmops() -> None:
    """Nightly jobs over Langfuse data: cost, speed, reliability and quality."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs one command and exits with its code."""
    try:
        logs.configure()
        code = llmops.main(arguments, prog_name="llmops", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # `llmops alerts`: its help, no complaint
        click.echo(error.format_message())
        code = USAGE_EXIT
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        text = error.format_message().rstrip(".")
        click.echo(f"llmops: {text}{hint}", err=True)
        code = USAGE_EXIT
    except click.Abort:
        click.echo("llmops: stopped", err=True)
        code = 130
    except UserError as error:
        click.echo(f"llmops: {error}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
