"""The ``proofs-check`` command: parse, run, report."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json, progress_bar, run

__all__ = ["main"]

app = typer.Typer(
    help="Check the statements of the theory, and that every check can fail.",
    add_completion=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(app, sys.argv[1:], several=("--claim",)))


@app.command()
def check(
    claim: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Claims such as E1; all by default.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Larger orders and ranges, ten times the samples.")
    ] = False,
    seed: Annotated[str, typer.Option(help="Of everything drawn.")] = "0",
    format: Annotated[str, typer.Option("--format", help="text, json or markdown.")] = "text",
    saboteurs: Annotated[
        bool, typer.Option("--saboteurs", help="Show each wrong version's counterexample.")
    ] = False,
) -> int:
    """Check claims; exit 0 only if all pass and every saboteur is refuted."""
    from proofs_check.claims import claim_ids

    check_format(format, ("text", "json", "markdown"))
    number = check_count(seed, "seed", least=0)
    claims = claim_ids(claim)

    from proofs_check import runner
    from proofs_check.check import Effort
    from proofs_check.report import markdown, print_text

    with progress_bar("checks", len(runner.checks_of(claims))) as advance:
        report = runner.run(
            claims,
            Effort(deep=deep, seed=number),
            shrink_saboteurs=saboteurs or deep,
            on_result=lambda result: advance(f"checks, {result.claim}"),
        )
    if format == "json":
        print_json(report.to_dict())
    elif format == "markdown":
        print(markdown(report, saboteurs=saboteurs))
    else:
        print_text(report, saboteurs=saboteurs)
    return 0 if report.passed else 1
