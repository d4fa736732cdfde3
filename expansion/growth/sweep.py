r"""Sweeps: many cells of a growth table in parallel, each kept on disk as soon as it is done.

A finished cell is one small file, written whole by the worker that computed it before that worker
is handed the next (or on its arrival, where the worker does not have the folder): killed at any
moment, a sweep loses only what was being computed, and the next call with the same folder computes
the rest. The file's name is a digest of the whole question
(depth, scales, setting, width, trials, seed) and of the version of this package, so that a
changed question is never answered by an old file. A cell's random numbers depend on the cell
alone: the table is the same on any number of workers, in any order, resumed or not.

Inside :func:`~expansion.parallel.joined_cluster` the same call runs on a Dask cluster, with or
without a file system that its workers share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from expansion import __version__
from expansion.checking import check_jobs
from expansion.errors import InputError
from expansion.growth.simulate import Simulation
from expansion.growth.table import Cell, GrowthRow, GrowthTable, growth_row
from expansion.parallel import as_finished
from expansion.writing import write_whole

__all__ = ["cell_path", "sweep"]


def cell_path(folder: Path, cell: Cell) -> Path:
    """Where a cell's answer is kept.

    Examples
    --------
    >>> from expansion.towers.scaling import ScalingRule
    >>> one, other = (Cell(n, ScalingRule.parse("1")) for n in (1, 2))
    >>> cell_path(Path("cells"), one) != cell_path(Path("cells"), other)
    True
    """
    question = f"{__version__} {cell!r}"
    return folder / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"


def sweep(
    cells: Sequence[Cell],
    *,
    folder: Path | None = None,
    jobs: int | None = None,
    on_cell: Callable[[int], None] | None = None,
) -> GrowthTable:
    """Answer all cells, in parallel, keeping each on disk.

    Parameters
    ----------
    cells : sequence of Cell
        Of :func:`~expansion.growth.table.grid`.
    folder : path, optional
        Where finished cells are kept; made if missing. Without it nothing is kept.
    jobs : int, optional
        Processes, as in :func:`~expansion.parallel.as_finished`.
    on_cell : callable, optional
        Called once for every finished cell, those found on disk included, with how many are
        finished.

    Returns
    -------
    GrowthTable
        Rows in the order of the cells.

    Raises
    ------
    InputError
        When the folder cannot be made, or a file in it is not what was written there.

    Examples
    --------
    >>> from expansion.growth.table import grid
    >>> [row.energy for row in sweep(grid([1, 2, 3], ["1"]))]
    [2.0, 4.0, 8.0]
    """
    if jobs is not None:
        check_jobs(jobs)
    known: dict[Cell, GrowthRow] = {}
    if folder is not None:
        folder = folder.absolute()  # workers may stand elsewhere
        _make(folder)
        known = {cell: row for cell in cells if (row := _read(folder, cell)) is not None}
    rest = [cell for cell in dict.fromkeys(cells) if cell not in known]
    for number in range(len(set(cells)) - len(rest)):
        if on_cell is not None:
            on_cell(number + 1)
    for place, row in as_finished(partial(_answer, folder=folder), rest, jobs=jobs):
        known[rest[place]] = row
        if folder is not None and not cell_path(folder, rest[place]).exists():
            _write(folder, rest[place], row)
        if on_cell is not None:
            on_cell(len(known))
    branches = ",".join(dict.fromkeys(cell.setting.branch for cell in cells))
    return GrowthTable(tuple(known[cell] for cell in cells), branches)


def _answer(cell: Cell, folder: Path | None) -> GrowthRow:
    row = growth_row(cell)
    if folder is not None and folder.is_dir():  # a worker elsewhere may not have it
        _write(folder, cell, row)
    return row


def _write(folder: Path, cell: Cell, row: GrowthRow) -> None:
    write_whole(cell_path(folder, cell), json.dumps(_record(row)).encode())


def _record(row: GrowthRow) -> dict[str, Any]:
    """The numbers of a row; JSON keeps every digit of a float, and infinities by name."""
    names = [name for name in GrowthRow.__slots__ if name not in ("rule", "setting", "simulated")]
    record = {name: getattr(row, name) for name in names}
    return record | {"simulated": None if row.simulated is None else asdict(row.simulated)}


def _read(folder: Path, cell: Cell) -> GrowthRow | None:
    path = cell_path(folder, cell)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        twin = record.pop("simulated")
        return GrowthRow(
            rule=cell.rule,
            setting=cell.setting,
            simulated=None if twin is None else Simulation(**twin),
            **record,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError("a cell as a sweep wrote it", path, "delete that file") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        came = f"{folder} ({error.strerror})"
        raise InputError("a folder for finished cells", came, "give another") from None
