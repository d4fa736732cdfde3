"""What an experiment leaves in its folder: tables as CSV and Parquet, plots, a page, seconds.

Everything but the seconds is the same byte for byte for the same cells on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from expansion.errors import InputError
from expansion.report.plots import svg_text
from expansion.writing import write_whole
from torch_bridge.experiments.grids.cells import settings_of
from torch_bridge.experiments.grids.grid import seconds_taken
from torch_bridge.experiments.grids.rows import Row, parquet_bytes, table_csv

__all__ = ["write_folder"]


def write_folder(
    folder: Path,
    *,
    tables: Mapping[str, Sequence[Row]],
    figures: Mapping[str, Figure],
    page: str,
    cells: Sequence[Any],
    kept: Path,
    settings: Callable[[Any], Row] = settings_of,
) -> None:
    """Write every file whole.

    Parameters
    ----------
    folder : path
        Where to; made if missing.
    tables : mapping from name to rows
        NAME.csv and NAME.parquet.
    figures : mapping from name to Figure
        NAME.svg.
    page : str
        README.md.
    cells : sequence of cells
        Their settings and seconds make seconds.csv.
    kept : path
        The folder of finished cells.
    settings : callable
        From a cell to its settings as the tables have them.

    Raises
    ------
    InputError
        For a folder that cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        came = f"{folder} ({error.strerror})"
        raise InputError("a folder for results", came, "give another") from None
    for name, rows in tables.items():
        write_whole(folder / f"{name}.csv", table_csv(rows))
        write_whole(folder / f"{name}.parquet", parquet_bytes(list(rows)))
    timed = [settings(cell) | {"seconds": seconds_taken(kept, cell)} for cell in cells]
    write_whole(folder / "seconds.csv", table_csv(timed))
    for name, figure in figures.items():
        write_whole(folder / f"{name}.svg", svg_text(figure).encode())
    write_whole(folder / "README.md", page.encode())
