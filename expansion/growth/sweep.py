r"""Sweeps: many cells of a growth table in parallel, each kept on disk as soon as it is done.

A finished cell is one small file, written whole by the worker that computed it before that worker
is handed the next: killed at any moment, a sweep loses only what was being computed, and the next
call with the same folder computes the rest. The file's name is a digest of the whole question
(depth, scales, setting, width, trials, seed) and of the version of this package, so that a
changed question is never answered by an old file. A cell's random numbers depend on the cell
alone: the table is the same on any number of workers, in any order, resumed or not.

Work is handed out through joblib. Inside ``joblib.parallel_config(backend="dask")``, with a
``distributed.Client`` open, the same call runs on a Dask cluster; workers then need the folder
(a shared file system), or none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import joblib

from expansion import __version__
from expansion.checking import check_jobs
from expansion.errors import InputError
from expansion.growth.simulate import Simulation
from expansion.growth.table import Cell, GrowthRow, GrowthTable, growth_row
from expansion.writing import write_whole

__all__ = ["cell_path", "joined_cluster", "sweep"]


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
        Processes; by default joblib's own choice (one, or what ``parallel_config`` says), −1 for
        one per core.
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
    done = len(set(cells)) - len(rest)
    for number in range(done):
        if on_cell is not None:
            on_cell(number + 1)
    parallel = _Reporting(jobs, done, on_cell)
    found = parallel(joblib.delayed(_answer)(cell, folder) for cell in rest) if rest else []
    known |= dict(zip(rest, found, strict=True))
    branches = ",".join(dict.fromkeys(cell.setting.branch for cell in cells))
    return GrowthTable(tuple(known[cell] for cell in cells), branches)


class _Reporting(joblib.Parallel):  # type: ignore[misc]
    """joblib's pool with a callback instead of its printed progress, on every backend."""

    def __init__(self, jobs: int | None, done: int, report: Callable[[int], None] | None) -> None:
        # One cell a batch, or a worker would be handed several before the first is on disk.
        super().__init__(n_jobs=jobs, batch_size=1)
        self._done, self._told, self._report = done, 0, report

    def print_progress(self) -> None:
        while self._told < self.n_completed_tasks:
            self._told += 1
            if self._report is not None:
                self._report(self._done + self._told)


@contextmanager
def joined_cluster(address: str | None) -> Iterator[None]:
    """Send what joblib is handed inside to the Dask scheduler at ``address``; without one, nothing.

    Raises
    ------
    InputError
        When Dask is not installed or nothing answers at the address.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        mend = "pip install 'residual-expansion[cluster]'"
        raise InputError("Dask, for a cluster", "no module distributed", mend) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        came = f"{address} ({type(error).__name__})"
        raise InputError("the address of a Dask scheduler", came, "give tcp://host:port") from None
    with client, joblib.parallel_config(backend="dask"):
        yield


def _answer(cell: Cell, folder: Path | None) -> GrowthRow:
    row = growth_row(cell)
    if folder is not None:
        write_whole(cell_path(folder, cell), json.dumps(_record(row)).encode())
    return row


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
