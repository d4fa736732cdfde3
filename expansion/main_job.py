"""The main job: everything that ``expansion report`` shows, computed once.

The verdicts come from packages that offer checks through the entry point group
``expansion.checks``: this package must not import them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from expansion import __version__
from expansion.bounds.sharpness import Capacity, capacity
from expansion.errors import InputError
from expansion.growth.table import DEFAULT_DEPTHS, DEFAULT_RULES, GrowthTable, growth_table
from expansion.report.capacity_tables import capacity_grid
from expansion.report.grid import Grid
from expansion.report.page import Section, page_html
from expansion.report.plots import growth_figure, spectrum_figure, svg_text
from expansion.report.synthesis_tables import demands_grid, growth_laws_grid
from expansion.report.tables import checks_grid, counts_grid, ensembles_grid, growth_grid
from expansion.series.ensembles import Ensemble, frozen_gate_ensemble, lambda_series
from expansion.series.notation import indexed_sum
from expansion.synthesis.exponents import SynthesisTable, synthesis_table
from expansion.synthesis.quantities import QUANTITIES
from expansion.towers.files import SavedTower, embedded_tower, load_tower
from expansion.trees.counting import path_counts, rooted_tree_counts, tree_counts
from expansion.trees.generate import rooted_trees

__all__ = ["MainJob", "Progress", "run_main_job"]

Progress = Callable[[str, int], Callable[..., None]]
_ORDER = 3
_COUNTED_ORDERS = 6
_SERIES_ORDER = 10
_TRIALS = 100
_CURVE = sorted({round(10 ** (k / 12)) for k in range(37)})  # depths 1..1000, twelve a decade


@dataclass(frozen=True, slots=True)
class MainJob:
    """The results of the main job.

    Parameters
    ----------
    terms : tuple of str
        The expansion to order 3 for every depth, a line for each order.
    counts : mapping
        Exact counts by order.
    growth : GrowthTable
        Predicted and simulated.
    saved : SavedTower
        The network looked at.
    frozen, series : Ensemble
        Its order spectrum.
    synthesis : SynthesisTable
        What scale each bound asks for.
    capacity : Capacity
        The network's capacity, bounded and measured.
    checks : mapping or None
        The report of the checks; None where none are installed.
    """

    terms: tuple[str, ...]
    counts: Mapping[str, Sequence[int | Fraction]]
    growth: GrowthTable
    saved: SavedTower
    frozen: Ensemble
    series: Ensemble
    synthesis: SynthesisTable
    capacity: Capacity
    checks: Mapping[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return self.checks is None or bool(self.checks["passed"])

    def sections(self, growth: str = "", spectrum: str = "") -> list[Section]:
        """The tables in reading order, each with what it says in words.

        Parameters
        ----------
        growth, spectrum : str
            Figures as SVG, if there is a page to put them on.
        """
        depth, laws = self.saved.tower.depth, self.synthesis.to_dict()
        results = self.checks["results"] if self.checks is not None else ()
        spectra = f"Order spectrum of the network, n = {depth}"
        capacity = f"Capacity of the network, n = {depth}, rule {self.saved.tower.rule}"
        mood = "passed" if self.passed else "failed"
        return [
            Section(counts_grid(self.counts, "Terms of each order")),
            Section(growth_grid(self.growth), figure=growth),
            Section(demands_grid(laws), self.synthesis.sentence),
            Section(growth_laws_grid(laws)),
            Section(
                ensembles_grid(self.frozen, self.series, spectra),
                self.saved.description,
                spectrum,
            ),
            Section(capacity_grid(self.capacity, capacity)),
            Section(checks_grid(results), self.verdict(), mood=mood),
        ]

    def grids(self) -> list[Grid]:
        """The tables in reading order."""
        return [section.grid for section in self.sections()]

    def verdict(self) -> str:
        """The checks in a sentence."""
        if self.checks is None:
            return "No checks are installed."
        results = self.checks["results"]
        failed = [result["id"] for result in results if not result["passed"]]
        if failed:
            return f"FAILED: {', '.join(failed)}."
        claims = len({result["id"] for result in results})
        return (
            f"All {len(results)} checks of {claims} claims pass, and every saboteur, a wrong "
            "formula put in a right one's place, is refuted."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; exact numbers are text."""
        return {
            "terms": list(self.terms),
            "counts": {name: [str(v) for v in column] for name, column in self.counts.items()},
            "growth": self.growth.to_dicts(),
            "network": {
                "description": self.saved.description,
                "depth": self.saved.tower.depth,
                "rule": self.saved.tower.rule.text,
                "ensembles": [_ensemble_dict(e) for e in (self.frozen, self.series)],
                "capacity": self.capacity.to_dict(),
            },
            "synthesis": self.synthesis.to_dict(),
            "checks": self.checks,
        }

    def to_html(self) -> str:
        """The report as one self-contained page."""
        rules = {row.rule.text: row.rule for row in self.growth}
        curves = growth_table(_CURVE, rules.values())
        growth = svg_text(growth_figure(curves, self.growth))
        sections = self.sections(growth, svg_text(spectrum_figure(self.frozen, self.series)))
        return page_html(f"residual-expansion {__version__}", self.terms, sections)


def run_main_job(weights: Path | None, progress: Progress) -> MainJob:
    """Compute everything.

    Parameters
    ----------
    weights : Path, optional
        A tower with inputs, as a safetensors file; the embedded network by default.
    progress : callable
        Given a description and a number of steps, returns what to call after each step.

    Raises
    ------
    InputError
        When the file cannot be read as a tower with inputs.
    """
    saved = embedded_tower() if weights is None else load_tower(weights)
    if saved.inputs is None:
        mend = "save the tower with inputs"
        raise InputError("a tower with inputs to look at it on", str(weights), mend)
    advance = progress("growth", len(DEFAULT_RULES) * len(DEFAULT_DEPTHS))
    growth = growth_table(trials=_TRIALS, on_row=lambda row: advance(f"growth, rule {row.rule}"))
    depth = saved.tower.depth
    advance = progress("exponents", len(QUANTITIES))
    synthesis = synthesis_table(on_quantity=lambda one: advance(f"exponents, {one.name}"))
    advance = progress("network", 3)
    frozen = frozen_gate_ensemble(saved.tower, saved.inputs)
    advance()
    series = lambda_series(saved.tower, saved.inputs, max(_SERIES_ORDER, depth))
    advance()
    found = capacity(saved.tower, saved.inputs)
    advance()
    counts: dict[str, Sequence[int | Fraction]] = {
        "tree shapes": [1, *rooted_tree_counts(_COUNTED_ORDERS)[1:]],
        f"paths, n = {depth}": path_counts(depth, _COUNTED_ORDERS),
        f"labelled trees, n = {depth}": tree_counts(depth, _COUNTED_ORDERS),
        "paths, n = 1000": path_counts(1000, _COUNTED_ORDERS),
        "labelled trees, n = 1000": tree_counts(1000, _COUNTED_ORDERS),
    }
    parts = saved, frozen, series, synthesis, found
    return MainJob(_terms(), counts, growth, *parts, _checks(progress))


def _terms() -> tuple[str, ...]:
    lines = ["Hₙ = (1 + λfₙ) ∘ … ∘ (1 + λf₁)", "Hₙ(x) = x"]
    for order, power in zip(range(1, _ORDER + 1), ("λ", "λ²", "λ³"), strict=True):
        sums = " + ".join(indexed_sum(tree) for tree in rooted_trees(order))
        lines.append(f"  + {power} [ {sums} ]")
    return (*lines, "  + O(λ⁴)")


def _checks(progress: Progress) -> Mapping[str, Any] | None:
    reports = [entry.load()(progress).to_dict() for entry in entry_points(group="expansion.checks")]
    if not reports:
        return None
    results = [result for report in reports for result in report["results"]]
    return {"passed": all(report["passed"] for report in reports), "results": results}


def _ensemble_dict(ensemble: Ensemble) -> dict[str, Any]:
    radius = ensemble.radius if ensemble.radius < float("inf") else None
    return {
        "name": ensemble.name,
        "size": ensemble.sizes.tolist(),
        "partial_sum_error": ensemble.errors.tolist(),
        "same_class": ensemble.agreement.tolist(),
        "estimated_radius": radius,
    }
