"""Plots of a Marion grid: the two figures of the paper in kind, and the bound beside the gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from torch_bridge.experiments.grids.pictures import COLOURS, panels
from torch_bridge.experiments.marion.statistics import Group, ordering

__all__ = ["FIGURES"]


def gap_against_step_figure(groups: Sequence[Group]) -> Figure:
    """Gap against sup‖ΔW‖ at μ = 0: every epoch of every seed, ends large."""
    shown = [group for group in groups if group.with_penalty(0.0)]
    figure, places = panels(len(shown), _size(len(shown)))
    for axes, group in zip(places, shown, strict=True):
        for colour, (_, answer) in zip(COLOURS * 9, group.with_penalty(0.0), strict=False):
            axes.plot(answer["sup_step"][1:], answer["gap"][1:], "o", ms=2.5, color=colour)
            axes.plot(answer["sup_step"][-1:], answer["gap"][-1:], "o", ms=7, color=colour)
        axes.set(title=group.name, xlabel="sup ‖W_{k+1} − W_k‖, largest entry", ylabel="gap")
    return figure


def gap_by_penalty_figure(groups: Sequence[Group]) -> Figure:
    """Gap at the end by penalty: every seed, its box, and the mean."""
    shown = [group for group in groups if ordering(group.runs) is not None]
    figure, places = panels(len(shown), _size(len(shown)))
    for axes, group in zip(places, shown, strict=True):
        found = ordering(group.runs)
        parts = () if found is None else found.penalties
        axes.boxplot([one.gaps for one in parts], widths=0.5, showfliers=False)
        for place, one in enumerate(parts, 1):
            axes.plot([place] * len(one.gaps), one.gaps, "o", ms=3, color=COLOURS[0], alpha=0.6)
            axes.plot(place, one.mean, "D", ms=6, color=COLOURS[1])
        names = ["∞" if one.penalty is None else f"{one.penalty:g}" for one in parts]
        axes.set_xticks(range(1, len(parts) + 1), names)
        axes.set(title=group.name, xlabel="penalty μ", ylabel="gap at the end")
    return figure


def bound_figure(groups: Sequence[Group]) -> Figure:
    """The bound at the end against R (discs), beside the measured gap (crosses, where positive)."""
    figure, (axes,) = panels(1, _size(1))
    for colour, group in zip(COLOURS * 9, groups, strict=False):
        bounded = [answer for _, answer in group.runs if answer["bound_log10_gap"] is not None]
        radii = [answer["bound_radius"] for answer in bounded]
        axes.plot(radii, [a["bound_log10_gap"] for a in bounded], "o", ms=4, color=colour,
                  label=group.name if bounded else None)  # fmt: skip
        gaps = [(r, a["gap"][-1]) for r, a in zip(radii, bounded, strict=True)]
        axes.plot([r for r, gap in gaps if gap > 0], [math.log10(g) for _, g in gaps if g > 0],
                  "x", ms=4, color=colour)  # fmt: skip
    axes.set(xlabel="R = ‖W‖₁,₁,∞ at the end", ylabel="log10 of bound (o) and gap (x)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7)
    return figure


FIGURES: dict[str, Callable[[Sequence[Group]], Figure]] = {
    "gap_against_step": gap_against_step_figure,
    "gap_by_penalty": gap_by_penalty_figure,
    "bound": bound_figure,
}


def _size(count: int) -> tuple[float, float]:
    return 4.4 * max(1, count), 3.8
