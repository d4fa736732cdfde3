"""What the plots of all experiments share: colours, marks and rows of panels."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "MARKS", "panels"]

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "os^Dv"


def panels(
    count: int, size: tuple[float, float], *, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row; an empty figure where there is nothing to show.

    Parameters
    ----------
    count : int
        How many panels.
    size : tuple of float
        Width and height of the figure, in inches.
    columns : int, optional
        Panels in a row; all of them by default.

    Examples
    --------
    >>> figure, shown = panels(6, (9.0, 5.0), columns=3)
    >>> len(figure.axes), shown[5].get_subplotspec().rowspan.start
    (6, 1)
    """
    across = columns or max(1, count)
    figure = Figure(figsize=size, layout="constrained")
    down = -(-count // across)
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(count)]
