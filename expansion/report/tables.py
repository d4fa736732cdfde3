"""What each table shows: growth, counts, trees, a network's spectrum, checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.growth.advice import Advice
from expansion.growth.correlated import CriticalExponent
from expansion.growth.energy import log_energy
from expansion.growth.frozen import FrozenSpectrum
from expansion.growth.setting import Setting
from expansion.growth.simulate import Simulation
from expansion.growth.spectrum import Spectrum
from expansion.growth.table import GrowthRow, GrowthTable
from expansion.report.grid import Grid
from expansion.report.numbers import energy_text, estimate_text, exact_text, number_text
from expansion.series.ensembles import Ensemble
from expansion.series.notation import unicode_symbols
from expansion.trees.order_polynomials import (
    factored,
    modified_weight,
    order_polynomial,
    to_fraction,
)
from expansion.trees.tree import Tree

__all__ = [
    "advice_grid",
    "checks_grid",
    "counts_grid",
    "critical_grid",
    "ensembles_grid",
    "frozen_grid",
    "growth_grid",
    "spectrum_grid",
    "spectrum_lists",
    "tree_row",
    "trees_grid",
]


def growth_grid(table: GrowthTable) -> Grid:
    """Signal growth, predicted beside simulated; what is the same in every row has no column."""
    rows = list(table)
    simulated = [row.simulated for row in rows if row.simulated is not None]
    words: list[tuple[str, Callable[[GrowthRow], str]]] = [("rule", lambda row: row.rule.text)]
    if len({row.setting.branch for row in rows}) > 1:
        words.insert(0, ("branch", lambda row: row.setting.branch))
    columns: list[tuple[str, Callable[[GrowthRow], str]]] = [
        ("depth", lambda row: str(row.depth)),
        ("energy", lambda row: energy_text(row.log_energy)),
        ("simulated energy", lambda row: _energy_twin(row.simulated)),
        ("mean order", lambda row: number_text(row.mean_order)),
        ("simulated order", lambda row: _order_twin(row.simulated)),
        ("worst case", lambda row: energy_text(row.log_worst_case)),
        ("gradient", lambda row: energy_text(row.log_gradient)),
        ("simulated gradient", lambda row: _gradient_twin(row.simulated)),
        ("correlation", lambda row: _optional_text(row.correlation)),
        ("simulated correlation", lambda row: _cosine_twin(row.simulated)),
    ]
    left_out = {
        "simulated energy": not simulated,
        "simulated order": all(twin.mean_order is None for twin in simulated),
        "gradient": all(row.log_gradient == row.log_energy or _plain(row) for row in rows),
        "simulated gradient": all(twin.log_gradient is None for twin in simulated),
        "correlation": all(row.correlation is None for row in rows),
        "simulated correlation": all(twin.correlation is None for twin in simulated),
    }
    columns = [column for column in columns if not left_out.get(column[0], False)]
    if len({row.width for row in rows}) > 1:
        columns.insert(0, ("width", lambda row: str(row.width)))
    cells = tuple(tuple(text(row) for _, text in words + columns) for row in rows)
    headings = tuple(name for name, _ in words + columns)
    return Grid("Signal growth", headings, cells, _growth_note(rows, headings), len(words))


def _plain(row: GrowthRow) -> bool:
    return row.setting.preserves_energy


def _optional_text(value: float | None) -> str:
    return "–" if value is None else number_text(value)


def _energy_twin(twin: Simulation | None) -> str:
    return "" if twin is None else estimate_text(twin.log_energy, twin.standard_error)


def _order_twin(twin: Simulation | None) -> str:
    if twin is None or twin.mean_order is None:
        return "–"
    return f"{twin.mean_order:.3g} ± {twin.mean_order_error:.2g}"


def _gradient_twin(twin: Simulation | None) -> str:
    if twin is None or twin.log_gradient is None or twin.log_gradient_error is None:
        return "–"
    return estimate_text(twin.log_gradient, twin.log_gradient_error)


def _cosine_twin(twin: Simulation | None) -> str:
    if twin is None or twin.correlation is None:
        return ""
    return f"{twin.correlation:.3f} ± {twin.correlation_error:.3f}"


def _growth_note(rows: Sequence[GrowthRow], headings: Sequence[str]) -> str:
    plain = all(_plain(row) for row in rows)
    exact = all(row.setting.exact_at_every_width for row in rows)
    blocks = ", ".join(dict.fromkeys(row.setting.block for row in rows))
    what = "independent energy-preserving branches" if plain else f"{blocks} blocks"
    note = f"energy: E‖H_n(x)‖²/‖x‖² for {what}"
    if not exact:
        note += ", in the limit of infinite width"
    note += (
        "; mean order: branches that this energy went through; worst case: largest "
        "‖H_n(x)‖/‖x‖ of branches with Lipschitz constant 1"
    )
    if "gradient" in headings or "simulated gradient" in headings:
        note += "; gradient: E‖gradient at the input‖²/‖at the output‖²"
        if "gradient" not in headings:
            note += ", predicted to be the energy's growth"
    if "correlation" in headings:
        note += "; correlation: cosine of two inputs after n blocks"
    twins = [row for row in rows if row.simulated is not None]
    if twins:
        trials = max(row.simulated.trials for row in twins if row.simulated is not None)
        widths = ", ".join(dict.fromkeys(str(row.width) for row in twins))
        drawn = {"relu": "V relu(U x)", "linear": "A x"}.get(twins[0].setting.branch, "the blocks")
        drawn = drawn if plain and len({row.setting.branch for row in rows}) == 1 else "the blocks"
        note += f"; simulated: ± standard error, {trials} draws of {drawn}, {widths} units wide"
        if not exact:
            note += "; simulated energies of limits are geometric means over the draws"
        if "simulated order" in headings:
            note += "; simulated order: equal to the mean order in the limit of infinite width"
    return note + "."


def advice_grid(setting: Setting, advice: Advice) -> Grid:
    """The largest scale, and the depth at which each rule leaves the numbers of a machine."""
    headings = ("rule", *(f"{quantity}, {name}" for name, quantity, _ in advice.breaks[0].depths))
    rows = tuple(
        (one.rule.text, *("never" if depth is None else str(depth) for *_, depth in one.depths))
        for one in advice.breaks
    )
    named = f"λ = {advice.rule}" if math.isfinite(advice.coefficient) else "any scale"
    title = (
        f"Advice for {setting.branch}, {setting.block}: {named} is the largest scale that keeps "
        f"the energy within a factor of {number_text(advice.factor)}"
    )
    note = (
        f"Why: {advice.reason}. Columns: first depth at which ‖x‖² (energy) or a typical "
        "coordinate (amplitude) is out of the float's range; never: not up to a million blocks."
    )
    return Grid(title, headings, rows, note)


def counts_grid(columns: Mapping[str, Sequence[int | Fraction]], title: str) -> Grid:
    """Exact counts by order, one column for each kind."""
    rows = tuple(
        (str(k), *(_count_text(value) for value in values))
        for k, values in enumerate(zip(*columns.values(), strict=True))
    )
    return Grid(title, ("order", *columns), rows, text_columns=0)


def _count_text(value: int | Fraction) -> str:
    text = exact_text(value)
    return f"{int(text):,}" if text.isdigit() and len(text) <= 30 else text


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
    cells = tuple(tuple(unicode_symbols(str(row[key])) for key in keys) for row in rows)
    note = "Ω°: strict labellings by 1..n; ω: its coefficient of n, the modified equation's weight."
    return Grid("Rooted trees", headings, cells, note, text_columns=2)


def spectrum_lists(log_energies: NDArray[np.float64]) -> dict[str, list[float | None]]:
    """Energies and their log10 as JSON-ready lists; what no float can hold is null."""
    logs = [float(value) if value > -math.inf else None for value in log_energies / math.log(10)]
    with np.errstate(over="ignore"):
        energies = [float(value) if value < math.inf else None for value in np.exp(log_energies)]
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


def frozen_grid(found: FrozenSpectrum, setting: Setting, depth: int, rule: str) -> Grid:
    """The energy of each order of any block kind, and its share along the signal."""
    rows = tuple(
        (str(k), energy_text(value), f"{share:.4%}")
        for k, (value, share) in enumerate(zip(found.log_energies, found.along, strict=True))
    )
    title = f"Order spectrum of {setting.branch}, {setting.block}, n = {depth}, rule {rule}"
    note = (
        "energy: E‖P_k‖² of the frozen-gate orders for an input of energy 1, at infinite width; "
        "share: E⟨P_k, x_n⟩/E‖x_n‖², which adds up to 1 over all orders also where orders are "
        "correlated."
    )
    return Grid(title, ("order", "energy", "share"), rows, note, text_columns=0)


def critical_grid(lines: Sequence[CriticalExponent]) -> Grid:
    """The exponents β at which λ = n^−β keeps towers bounded, by correlation in depth."""
    rows = tuple(
        (
            line.covariance,
            number_text(line.parameter),
            *(f"{value:.3f}" for value in (line.first_order, line.fitted, line.predicted)),
        )
        for line in lines
    )
    note = (
        "β: the smallest with bounded energy at λ = n^−β. order 1: from Σ ρ_ij alone, exact at "
        "every width; fitted: from the whole energy at the two depths, infinite width; predicted: "
        "½ for short memory, 1 for smooth or tied blocks, max(H, ¼) for fractional noise. "
        "parameter: how far blocks stay correlated, in blocks or, if smooth, as a part of the "
        "depth; Hurst index H of fractional noise."
    )
    headings = ("covariance", "parameter", "order 1", "fitted", "predicted")
    return Grid("Critical exponents of correlated blocks", headings, rows, note)


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
