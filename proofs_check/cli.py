"""The ``proofs-check`` command: parse, run, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from expansion.checking import check_count, check_jobs
from expansion.console import check_format, print_json, progress_bar, run
from expansion.errors import InputError

__all__ = ["main"]

_DEFAULTS = ("0", "-1", "text")  # of the options

app = typer.Typer(
    help="Check the statements of the theory, and that every check can fail.",
    add_completion=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(app, sys.argv[1:], several=("--claim",)))


@app.callback(invoke_without_command=True)
def check(
    context: typer.Context,
    claim: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Claims such as E1; all by default.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Larger orders, ten times the ranges and samples.")
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="Folder of finished checks: to resume, give it again.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Of everything drawn.")] = "0",
    jobs: Annotated[str, typer.Option(help="Processes; -1 for all cores.")] = "-1",
    format: Annotated[str, typer.Option("--format", help="text, json or markdown.")] = "text",
    saboteurs: Annotated[
        bool, typer.Option("--saboteurs", help="Show each wrong version's counterexample.")
    ] = False,
) -> int:
    """Check claims; exit 0 only if all pass and every saboteur is refuted."""
    if context.invoked_subcommand is not None:
        if given := _given(context):
            required = f"options after the name {context.invoked_subcommand}"
            raise InputError(required, ", ".join(given), "move them there, or leave them out")
        return 0

    from proofs_check.claims import claim_ids

    check_format(format, ("text", "json", "markdown"))
    number = check_count(seed, "seed", least=0)
    claims = claim_ids(claim)
    processes = check_jobs(jobs)

    from proofs_check import runner
    from proofs_check.check import Effort
    from proofs_check.report import markdown, print_text

    with progress_bar("checks", len(runner.checks_of(claims))) as advance:
        report = runner.run(
            claims,
            Effort(deep=deep, seed=number),
            shrink_saboteurs=saboteurs or deep,
            on_result=lambda result: advance(f"checks, {result.claim}"),
            folder=state,
            jobs=processes,
        )
    if format == "json":
        print_json(report.to_dict())
    elif format == "markdown":
        print(markdown(report, saboteurs=saboteurs))
    else:
        print_text(report, saboteurs=saboteurs)
    return 0 if report.passed else 1


@app.command()
def formula(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A candidate, as TOML.")],
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> int:
    """Judge a formula of your own: proved, refuted with a counterexample, or inconclusive.

    Exit 0 only if every claim in the file is proved.
    """
    check_format(format, ("text", "json"))

    from proofs_check.formula.verdict import judge_file

    judgement = judge_file(file)
    if format == "json":
        print_json(judgement.to_dict())
    else:
        print(judgement.text())
    return 0 if judgement.proved else 1


def _given(context: typer.Context) -> list[str]:
    """The options of the checks that were set on the command line."""
    return [
        f"--{name}" for name, value in context.params.items() if value and value not in _DEFAULTS
    ]
