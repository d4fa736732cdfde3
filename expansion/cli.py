"""The ``expansion`` command: its commands by name.

Each imports what it needs when it is called, so that ``expansion --help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from expansion.commands import bound
from expansion.commands.count import count, trees
from expansion.commands.critical import critical
from expansion.commands.expand import expand
from expansion.commands.growth import growth
from expansion.commands.paths import paths
from expansion.commands.report import report
from expansion.commands.spectrum import spectrum
from expansion.console import run

__all__ = ["SEVERAL", "app", "main"]

SEVERAL = (
    "--depth",
    "--rule",
    "--branch",
    "--width",
    "--hurst",
    "--samples",
    "--radius",
    "--slope",
    "--distance",
)  # options that take values in a row

app = typer.Typer(
    help="Expand deep residual networks, count their paths, see how their signal grows.",
    add_completion=False,
    rich_markup_mode=None,
)

for command in (report, expand, count, trees, growth, spectrum, critical, paths):
    app.command()(command)
app.add_typer(bound.app, name="bound")


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(app, sys.argv[1:] or ["--help"], SEVERAL))
