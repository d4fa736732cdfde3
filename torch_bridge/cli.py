"""The ``torch-bridge`` command: parse, call, report.

PyTorch is imported by the commands that need it, so that an installation without it can say how
to get it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json, progress_bar, run
from expansion.errors import InputError
from torch_bridge.commands import frei as frei_command
from torch_bridge.commands import marion as marion_command
from torch_bridge.commands import train as training
from torch_bridge.commands.inspect import inspect
from torch_bridge.commands.rescale import rescale
from torch_bridge.commands.spectrum import spectrum

if TYPE_CHECKING:
    from expansion.report.grid import Grid
    from torch_bridge.checks.comparison import Comparison

__all__ = ["main"]

app = typer.Typer(
    help="Residual networks in PyTorch, held against what their expansion predicts.",
    add_completion=False,
    rich_markup_mode=None,
)

app.command()(inspect)
app.command()(spectrum)
app.command()(rescale)
app.command()(training.train)
app.command()(marion_command.marion)
app.command()(frei_command.frei)

# Options that take several values in a row.
SEVERAL = ("--block", *training.SEVERAL, *marion_command.SEVERAL, *frei_command.SEVERAL)

Format = Annotated[str, typer.Option("--format", help="text or json.")]


def main() -> None:
    """Run the command line of this process and exit with its code."""
    if find_spec("torch") is None:
        mend = "pip install 'residual-expansion[torch]'"
        missing = InputError("PyTorch for torch-bridge", "an environment without it", mend)
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(2)
    sys.exit(run(app, sys.argv[1:] or ["--help"], SEVERAL))


@app.command()
def digits(
    output: Annotated[Path, typer.Option(help="File to write (safetensors).")],
    format: Format = "text",
) -> int:
    """Train the shipped network on handwritten digits and export its tower."""
    from torch_bridge.networks.digits import PLAN, write_digits

    check_format(format, ("text", "json"))
    if not output.parent.is_dir():
        raise InputError("a folder that exists for the file", output.parent, "make it first")
    with progress_bar("epochs", PLAN.epochs) as advance:
        result = write_digits(output, lambda _, loss: advance(f"epochs, loss {loss:.3f}"))
    if format == "json":
        print_json(
            {
                "file": str(output),
                "epochs": len(result.losses),
                "losses": result.losses,
                "train_loss": result.train.loss,
                "train_accuracy": result.train.accuracy,
                "test_loss": result.test.loss,
                "test_accuracy": result.test.accuracy,
            }
        )
    else:
        print(
            f"{output}: {len(result.losses)} epochs, training loss {result.train.loss:.3f}, "
            f"test accuracy {result.test.accuracy:.1%}"
        )
    return 0


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A tower with inputs; by default the shipped network.")
    ] = None,
    draws: Annotated[str, typer.Option(help="Fresh networks for each growth claim.")] = "100",
    seed: Annotated[str, typer.Option(help="Of the fresh networks.")] = "0",
    format: Format = "text",
) -> int:
    """Hold predictions against real forward passes; exits with 1 if one fails."""
    check_format(format, ("text", "json"))
    number = check_count(draws, "draws", least=100)
    source = check_count(seed, "seed", least=0)

    from torch_bridge.checks.check import GROUPS, check_all, load_saved

    saved = load_saved(file)
    with progress_bar("checks", GROUPS) as advance:
        results = check_all(
            saved, draws=number, seed=source, on_group=lambda claim: advance(f"checks, {claim}")
        )
    passed = all(result.within for result in results)
    if format == "json":
        print_json({"passed": passed, "results": [result.to_dict() for result in results]})
    else:
        from expansion.report.grid import print_table

        print_table(_grid(results))
        print("All predictions hold." if passed else "A prediction FAILED.")
    return 0 if passed else 1


def _grid(results: Sequence[Comparison]) -> Grid:
    from expansion.report.grid import Grid

    headings = ("claim", "compared", "holds", "predicted", "measured", "standard error", "allowed")
    rows = tuple(
        (
            result.claim,
            result.subject,
            "yes" if result.within else "NO",
            f"{result.prediction:.5g}",
            f"{result.measurement:.5g}",
            "" if result.standard_error is None else f"{result.standard_error:.2g}",
            f"{result.allowed:.2g}",
        )
        for result in results
    )
    note = (
        "Allowed: the largest difference; four standard errors where networks are drawn at random."
    )
    return Grid("Predictions against real forward passes", headings, rows, note, text_columns=3)
