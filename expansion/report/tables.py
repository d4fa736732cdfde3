"""What each table shows: growth, counts, trees, a network's spectrum, checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from expansion.growth.energy import log_energy
from expansion.growth.spectrum import Spectrum
from expansion.growth.table import GrowthTable
from expansion.report.grid import Grid
from expansion.report.numbers import energy_text, number_text, simulation_text
from expansion.series.ensembles import Ensemble
from expansion.trees.order_polynomials import (
    factored,
    modified_weight,
    order_polynomial,
    to_fraction,
)
from expansion.trees.tree import Tree

__all__ = [
    "checks_grid",
    "counts_grid",
    "ensembles_grid",
    "growth_grid",
    "spectrum_grid",
    "spectrum_lists",
    "tree_row",
    "trees_grid",
]


def growth_grid(table: GrowthTable) -> Grid:
    """Signal growth, predicted beside simulated."""
    simulated = any(row.simulated is not None for row in table)
    headings = ["rule", "depth", "energy", "mean order", "worst case"]
    note = (
        "energy: E‖H_n(x)‖²/‖x‖² for independent energy-preserving branches; mean order: branches "
        "that this energy went through; worst case: largest ‖H_n(x)‖/‖x‖ of branches with "
        "Lipschitz constant 1"
    )
    if simulated:
        headings.append("simulated energy")
        trials = {row.simulated.trials for row in table if row.simulated is not None}
        drawn = "V relu(U x)" if table.branch == "relu" else "A x"
        note += f"; simulated: ± standard error, {max(trials)} draws of {drawn}, 64 units wide"
    rows = []
    for row in table:
        cells = [
            row.rule.text,
            str(row.depth),
            energy_text(row.log_energy),
            number_text(row.mean_order),
            energy_text(row.log_worst_case),
        ]
        if row.simulated is not None:
            cells.append(simulation_text(row.simulated))
        rows.append(tuple(cells))
    return Grid("Signal growth", tuple(headings), tuple(rows), note + ".")


def counts_grid(columns: Mapping[str, Sequence[int | Fraction]], title: str) -> Grid:
    """Exact counts by order, one column for each kind."""
    rows = tuple(
        (str(k), *(_count_text(value) for value in values))
        for k, values in enumerate(zip(*columns.values(), strict=True))
    )
    return Grid(title, ("order", *columns), rows, text_columns=0)


def _count_text(value: int | Fraction) -> str:
    whole = isinstance(value, int) or value.denominator == 1
    return f"{int(value):,}" if whole else str(value)


def tree_row(tree: Tree) -> dict[str, Any]:
    """A rooted tree and its numbers as JSON-ready values; exact numbers are text."""
    coefficients = [str(to_fraction(c)) for c in order_polynomial(tree).coeffs()]
    return {
        "order": tree.order,
        "tree": str(tree),
        "symmetry": str(tree.symmetry),
        "factorial": str(tree.factorial),
        "order_polynomial": str(factored(order_polynomial(tree))),
        "order_polynomial_coefficients": coefficients,
        "omega": str(modified_weight(tree)),
    }


def trees_grid(rows: Sequence[Mapping[str, Any]]) -> Grid:
    """Rooted trees with σ, τ!, Ω° and ω."""
    keys = ("tree", "order_polynomial", "order", "symmetry", "factorial", "omega")
    headings = ("tree", "order polynomial Ω°(n)", "order", "symmetry σ", "tree factorial τ!", "ω")
    cells = tuple(tuple(str(row[key]) for key in keys) for row in rows)
    note = "Ω°: strict labellings by 1..n; ω: its coefficient of n, the modified equation's weight."
    return Grid("Rooted trees", headings, cells, note, text_columns=2)


def spectrum_lists(found: Spectrum) -> dict[str, list[float | None]]:
    """Energies and their log10 as JSON-ready lists; what no float can hold is null."""
    logs = [float(value) if value > -math.inf else None for value in found.log10_energy]
    energies = [float(value) if value < math.inf else None for value in found.energy]
    return {"energy": energies, "log10_energy": logs}


def spectrum_grid(found: Spectrum) -> Grid:
    """The energy of each order and its share of the whole."""
    total = log_energy(found.rule, found.depth)
    rows = tuple(
        (str(k), energy_text(value), f"{math.exp(value - total):.4%}")
        for k, value in enumerate(found.log_energy)
    )
    title = f"Order spectrum, n = {found.depth}, rule {found.rule}"
    note = "energy: E‖P_k‖² for an input of energy 1; share: of the energy of all orders."
    return Grid(title, ("order", "energy", "share"), rows, note, text_columns=0)


def ensembles_grid(frozen: Ensemble, series: Ensemble, title: str) -> Grid:
    """A network's order spectrum and the errors of its partial sums, both ensembles."""
    headings = (
        "order",
        "size, frozen gates",
        "error of partial sum",
        "same class",
        "size, λ-series",
        "error of partial sum",
        "same class",
    )
    count = max(len(frozen.sizes), len(series.sizes))
    rows = []
    for k in range(count):
        cells = [str(k)]
        for ensemble in (frozen, series):
            if k < len(ensemble.sizes):
                cells += [
                    f"{ensemble.sizes[k]:.2e}",
                    f"{ensemble.errors[k]:.2e}",
                    f"{ensemble.agreement[k]:.0%}",
                ]
            else:
                cells += ["", "", ""]
        rows.append(tuple(cells))
    note = (
        "sizes and errors: root mean squares over the inputs, relative to the output. Frozen "
        "gates are exact when all orders are summed. "
    )
    return Grid(title, headings, tuple(rows), note + _radius_sentence(series), text_columns=0)


def _radius_sentence(series: Ensemble) -> str:
    if series.radius == float("inf"):
        return "The λ-series ends by itself."
    inside = "inside, so it converges" if series.reaches_output else "outside, so it diverges"
    return (
        f"The λ-series' estimated radius of convergence is {series.radius:.2g} times the network's "
        f"own scales: they lie {inside}."
    )


def checks_grid(results: Sequence[Mapping[str, Any]]) -> Grid:
    """Verdicts of the checks, with what became of their saboteurs."""
    rows = tuple(
        (
            str(result["id"]),
            str(result.get("check", "")),
            str(result["verdict"]),
            str(result["saboteur"]),
            str(result["reach"]),
            f"{result['cases']:,}",
            f"{result['seconds']:.2f}",
        )
        for result in results
    )
    headings = ("claim", "check", "verdict", "saboteurs", "reach", "cases", "seconds")
    return Grid("Checks", headings, rows, text_columns=5)
