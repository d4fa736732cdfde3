"""Plots of a grid on Frei, Cao & Gu's network: its terms against depth, and along training."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from torch_bridge.experiments.frei.cell import Frei
from torch_bridge.experiments.grids.cells import Answer
from torch_bridge.experiments.grids.pictures import COLOURS, MARKS, panels

__all__ = ["FIGURES"]

_PANELS = (
    ("tau", "τ"),
    ("linearisation_term", "τ^{4/3}√(m log m)"),
    ("linearisation_error", "linearisation error"),
    ("train_surrogate", "E_S"),
    ("log_ball_certificate", "ln of the certificate on the τ-ball"),
    ("log_interlayer", "ln of the interlayer norm"),
)


def terms_against_depth_figure(cells: Sequence[Frei], answers: Sequence[Answer]) -> Figure:
    """Medians and ranges over seeds at the end, by rule and width."""
    rules, widths = (list(dict.fromkeys(getattr(c, name) for c in cells))
                     for name in ("rule", "width"))  # fmt: skip
    figure, places = panels(len(_PANELS), (12.0, 6.8), columns=3)
    for axes, (name, words) in zip(places, _PANELS, strict=True):
        if name.startswith("log_"):
            axes.set_yscale("symlog", linthresh=1.0)
        else:
            axes.set_yscale("log")
        for colour, rule in zip(COLOURS * 9, rules, strict=False):
            for mark, width in zip(MARKS * 9, widths, strict=False):
                points = _by_depth(cells, answers, rule, width, name)
                middles = [statistics.median(values) for _, values in points]
                pairs = list(zip(middles, points, strict=True))
                axes.errorbar(
                    [depth for depth, _ in points],
                    middles,
                    [[middle - min(values) for middle, (_, values) in pairs],
                     [max(values) - middle for middle, (_, values) in pairs]],
                    marker=mark, ms=4, color=colour, capsize=2, lw=1,
                    label=f"θ = {rule.replace('n', 'L')}, m = {width}",
                )  # fmt: skip
        axes.set(xscale="log", xlabel="depth L", title=words)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def along_training_figure(cells: Sequence[Frei], answers: Sequence[Answer]) -> Figure:
    """τ and E_S along training at the largest width, depth by depth, the first seed."""
    widest = max(cell.width for cell in cells)
    rules, depths = (list(dict.fromkeys(getattr(c, name) for c in cells))
                     for name in ("rule", "depth"))  # fmt: skip
    followed = (("tau", "τ"), ("train_surrogate", "E_S"))
    figure, places = panels(len(followed), (9.0, 3.8))
    for axes, (name, words) in zip(places, followed, strict=True):
        for cell, answer in zip(cells, answers, strict=True):
            if cell.width != widest or cell.seed != 0:
                continue
            axes.plot(
                answer["epoch"][1:], answer[name][1:], lw=1, ms=4,
                marker=MARKS[depths.index(cell.depth) % len(MARKS)],
                color=COLOURS[rules.index(cell.rule) % len(COLOURS)],
                label=f"θ = {cell.rule.replace('n', 'L')}, L = {cell.depth}",
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="epoch", title=f"{words}, m = {widest}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


FIGURES: dict[str, Callable[[Sequence[Frei], Sequence[Answer]], Figure]] = {
    "terms_against_depth": terms_against_depth_figure,
    "along_training": along_training_figure,
}


def _by_depth(
    cells: Sequence[Frei], answers: Sequence[Answer], rule: str, width: int, name: str
) -> list[tuple[int, list[float]]]:
    """A quantity at the end of the runs that finished, depth by depth."""
    found: dict[int, list[float]] = {}
    for cell, answer in zip(cells, answers, strict=True):
        wanted = (cell.rule, cell.width, answer["outcome"]) == (rule, width, "finished")
        if wanted and (value := answer[name][-1]) is not None:
            found.setdefault(cell.depth, []).append(value)
    return sorted(found.items())
