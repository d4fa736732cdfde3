"""What the commands that run grids of cells share: their options, and the run itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from expansion.checking import check_count, check_jobs
from expansion.console import progress_bar
from expansion.errors import InputError

if TYPE_CHECKING:
    from expansion.report.grid import Grid
    from torch_bridge.experiments.grids.cells import Answer

__all__ = [
    "Cluster",
    "Data",
    "Device",
    "Epochs",
    "Format",
    "Jobs",
    "Output",
    "Resume",
    "Seeds",
    "answer_all",
    "count",
    "counts",
    "data_place",
    "numbers",
    "print_found",
]

Data = Annotated[
    str,
    typer.Option(help="digits, clusters, a folder of arrays or CIFAR-10 .bin, FILE.py:callable."),
]
Output = Annotated[Path, typer.Option(help="Folder for cells, tables, plots.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")]
Jobs = Annotated[str | None, typer.Option(help="Processes; -1: one per core.")]
Cluster = Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Seeds = Annotated[str | None, typer.Option(help="How many seeds.")]
Epochs = Annotated[str | None, typer.Option(help="Passes over the training part.")]
Format = Annotated[str, typer.Option("--format", help="text or json.")]

C = TypeVar("C")


def count(text: str | None, name: str) -> int | None:
    """What the user gave as a whole number of at least 1, if anything."""
    return None if text is None else check_count(text, name, least=1)


def counts(texts: Sequence[str] | None, name: str, least: int = 1) -> list[int] | None:
    """What the user gave as whole numbers, if anything."""
    return None if texts is None else [check_count(text, name, least=least) for text in texts]


def numbers(
    texts: Sequence[str] | None, name: str, example: str, *, positive: bool = False
) -> list[float] | None:
    """What the user gave as numbers of at least 0, ``inf`` among them; or above 0 and finite."""
    if texts is None:
        return None
    found = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            raise InputError(f"a {name}", text, f"give e.g. {example}") from None
        if positive and not 0 < found[-1] < 1e6:
            raise InputError(f"a {name} above 0, below 1e6", text, f"give e.g. {example}")
        if not found[-1] >= 0:
            raise InputError(f"a {name} of at least 0", text, f"give e.g. {example}")
    return found


def data_place(data: str) -> str:
    """The spec of the data such that it means the same to every worker."""
    return Path(data).absolute().as_posix() if data and Path(data).is_dir() else data


def answer_all(
    cells: Sequence[C],
    answer: Callable[[C], Answer],
    size: Callable[[C], int],
    *,
    what: str,
    output: Path,
    resume: bool,
    jobs: str | None,
    cluster: str | None,
) -> list[Any]:
    """Answer all cells with a progress bar that counts what they cost.

    Parameters
    ----------
    cells : sequence
        The questions.
    answer : callable
        From a cell to its answer.
    size : callable
        From a cell to what it costs, in units of ``what``: so that the time promised is honest.
    what : str
        Those units, in words.
    output : path
        Cells are kept in its folder ``cells``.
    resume, jobs, cluster
        As the user gave them.
    """
    from expansion.parallel import joined_cluster
    from torch_bridge.experiments.grids.grid import run_grid

    workers = None if jobs is None else check_jobs(jobs)
    page = output / "README.md"
    if page.exists() and not (resume and (output / "cells").is_dir()):
        mend = "add --resume to go on with that run, or give another folder"
        raise InputError("a folder for a new run", f"{page}, which would be replaced", mend)
    with progress_bar(what, sum(map(size, cells))) as advance, joined_cluster(cluster):

        def on_cell(cell: C) -> None:
            for _ in range(size(cell)):
                advance()

        return run_grid(
            cells, answer, folder=output / "cells", resume=resume, jobs=workers, on_cell=on_cell
        )


def print_found(grids: Sequence[Grid], sentences: Sequence[str], output: Path, files: str) -> None:
    """Tell people what a run found: tables that are not empty, sentences, where the files are."""
    from expansion.report.grid import print_table

    for grid in grids:
        if grid.rows:
            print_table(grid)
    for sentence in sentences:
        print(sentence)
    print(f"Written to {output}: {files}.")
