"""Grids: many cells answered in parallel, each on disk before its worker takes the next.

A finished cell is one small file, written whole by the worker that answered it. Killed at any
moment, a grid loses only what was being computed; asked again with ``resume``, it computes the
rest, and gives bit for bit the answers of an uninterrupted run on the same machine, because an
answer depends on its cell alone. What an answer took in seconds does not: it is kept beside the
answer and never mixed into it.

Inside :func:`~expansion.parallel.joined_cluster` a grid runs on a Dask cluster. A worker that does
not have the folder sends its answer, and it is written on arrival.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from expansion.checking import check_jobs
from expansion.errors import InputError
from expansion.parallel import as_finished
from expansion.writing import write_whole
from torch_bridge.experiments.grids.cells import (
    Answer,
    cell_file,
    digest,
    finite,
    read_answer,
    settings_of,
)

__all__ = ["run_grid", "seconds_taken"]

C = TypeVar("C")


def run_grid(
    cells: Sequence[C],
    answer: Callable[[C], Answer],
    *,
    folder: Path,
    resume: bool = False,
    jobs: int | None = None,
    on_cell: Callable[[C], None] | None = None,
) -> list[Answer]:
    """Answer all cells, in parallel, keeping each on disk.

    Parameters
    ----------
    cells : sequence of frozen dataclasses
        The questions; a repeated one is answered once.
    answer : callable
        From a cell to a dictionary of JSON values, depending on the cell alone. A function of a
        module, so that other processes find it.
    folder : path
        Where finished cells are kept; made if missing.
    resume : bool
        Whether cells that the folder has already are taken from there; without it they are
        refused.
    jobs : int, optional
        Processes, as in :func:`~expansion.parallel.as_finished`.
    on_cell : callable, optional
        Called with every finished cell, those found on disk first.

    Returns
    -------
    list of dict
        The answers in the order of the cells, read back from disk.

    Raises
    ------
    InputError
        For a folder that cannot be made, that has finished cells and no ``resume``, or that has
        a file that no grid wrote.

    Examples
    --------
    >>> import tempfile
    >>> from dataclasses import make_dataclass
    >>> Cell = make_dataclass("Cell", [("depth", int)], frozen=True)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run_grid([Cell(2), Cell(3)], lambda c: {"square": c.depth**2}, folder=Path(place))
    [{'square': 4}, {'square': 9}]
    """
    if jobs is not None:
        check_jobs(jobs)
    folder = folder.absolute()  # workers may stand elsewhere
    _make(folder)
    different = list(dict.fromkeys(cells))
    known = {cell: found for cell in different if (found := read_answer(folder, cell)) is not None}
    if known and not resume:
        came = f"{folder} with {len(known)} finished cells of this grid"
        raise InputError("a folder for a new run", came, "add --resume, or give another folder")
    for cell in known:
        if on_cell is not None:
            on_cell(cell)
    rest = [cell for cell in different if cell not in known]
    for number, record in as_finished(partial(_kept, answer, folder), rest, jobs=jobs):
        if not cell_file(folder, rest[number]).exists():
            _write(folder, rest[number], record)
        if on_cell is not None:
            on_cell(rest[number])
    return [dict(read_answer(folder, cell) or {}) for cell in cells]


def seconds_taken(folder: Path, cell: Any) -> float:
    """How long a finished cell took, in seconds: of the run that left it, and no other's."""
    record = json.loads(cell_file(folder, cell).read_text(encoding="utf-8"))
    return float(record["seconds"])


def _kept(answer: Callable[[Any], Answer], folder: Path, cell: Any) -> dict[str, Any]:
    start = time.perf_counter()
    found = finite(answer(cell))
    seconds = round(time.perf_counter() - start, 3)
    record = {
        "cell": settings_of(cell),
        "answer": found,
        "digest": digest(found),
        "seconds": seconds,
    }
    if folder.is_dir():  # a worker elsewhere may not have it
        _write(folder, cell, record)
    return record


def _write(folder: Path, cell: Any, record: dict[str, Any]) -> None:
    write_whole(cell_file(folder, cell), json.dumps(record, allow_nan=False).encode())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        came = f"{folder} ({error.strerror})"
        raise InputError("a folder for finished cells", came, "give another") from None
