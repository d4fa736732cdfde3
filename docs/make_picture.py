"""Make docs/picture.svg: a small tower unravelled into its paths, and the growth of the signal.

Run from the project's root: ``python docs/make_picture.py``.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from expansion import growth_table
from expansion.report.plots import draw_growth, svg_text
from expansion.writing import write_whole

DEPTH = 3
RULES = ("1", "1/sqrt(n)", "1/n", "batchnorm", "skipinit")
COLOURS = ("#888888", "#0072B2", "#D55E00", "#009E73")


def draw_paths(axes: Axes, depth: int) -> None:
    """Every path of a linear tower as a line of the blocks that it goes through, by order."""
    paths = [blocks for k in range(depth + 1) for blocks in combinations(range(1, depth + 1), k)]
    for row, blocks in enumerate(paths):
        height, colour = -row, COLOURS[len(blocks)]
        axes.plot([0, depth + 1], [height, height], color=colour, linewidth=1.3, zorder=1)
        for block in blocks:
            axes.scatter(block, height, s=330, color="white", edgecolor=colour, zorder=2)
            axes.text(block, height, f"$f_{block}$", ha="center", va="center", zorder=3)
        primed = "".join(f"f_{b}'" for b in reversed(blocks[1:]))
        term = primed + (f"f_{blocks[0]}" if blocks else "x")
        power = ("", r"\lambda", r"\lambda^2", r"\lambda^3")[len(blocks)]
        axes.text(depth + 1.15, height, f"${power} {term}$", va="center", color=colour)
    axes.text(-0.15, -(len(paths) - 1) / 2, "x", ha="right", va="center", style="italic")
    axes.set(xlim=(-0.5, depth + 2.6), ylim=(0.7 - len(paths), 0.7))
    axes.set_title(f"{depth} blocks, {2**depth} paths")
    axes.set_axis_off()


def main() -> None:
    """Draw and write the picture."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    draw_paths(left, DEPTH)
    curves = growth_table(sorted({round(10 ** (k / 12)) for k in range(37)}), RULES)
    draw_growth(right, curves, growth_table([1, 3, 10, 30, 100, 300, 1000], RULES, trials=200))
    write_whole(Path(__file__).parent / "picture.svg", svg_text(figure).encode())


if __name__ == "__main__":
    main()
