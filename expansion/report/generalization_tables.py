"""Tables of the generalisation bounds: terms, curves, trials, sweeps in depth, margins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from expansion.bounds.linearisation import LinearisationLaw
from expansion.bounds.margin import MarginEstimate
from expansion.bounds.neural_ode import NeuralODEBound, PublishedTerms
from expansion.bounds.neural_ode_trials import NeuralODETrials
from expansion.bounds.overparameterized import GapTerms
from expansion.bounds.overparameterized_sweep import DepthRow
from expansion.report.grid import Grid
from expansion.report.numbers import energy_text, number_text

__all__ = [
    "depth_grid",
    "exponents_grid",
    "gap_terms_grid",
    "laws_grid",
    "margins_grid",
    "neural_ode_grid",
    "neural_ode_row",
    "published_grid",
    "trials_grid",
    "trials_ratios",
    "verdict",
]

_LARGEST = math.log(1e300)


def neural_ode_row(bound: NeuralODEBound, terms: PublishedTerms | None) -> dict[str, Any]:
    """JSON-ready: the bound and each of its terms, by the better cover first."""
    towers = bound.towers
    covers = [
        {
            "cover": gap.cover,
            "epsilon": gap.epsilon,
            "levels": gap.levels,
            "log_count": gap.log_count,
            **_both("approximation", gap.log_approximation),
            **_both("deviation", gap.log_deviation),
            **_both("gap", gap.log_total),
        }
        for gap in bound.gaps
    ]
    shape = None
    if terms is not None:
        parts = ("parameters", "variation", "confidence", "applies")
        shape = {part: getattr(terms, part) for part in parts}
    return {
        "depth": towers.depth,
        "samples": bound.samples,
        "radius": towers.radius,
        "slope": towers.slope,
        "delta": bound.delta,
        **_both("gap", bound.log_gap),
        **_both("lipschitz", float(towers.log_lipschitz())),
        **_both("trivial", bound.log_trivial),
        "vacuous": bound.vacuous,
        "smallest_sample": bound.smallest_sample,
        "selection": bound.selection,
        "covers": covers,
        "published_shape_without_its_constant": shape,
    }


def neural_ode_grid(bounds: Sequence[NeuralODEBound]) -> Grid:
    """The certified bound, one row for each L, n, R and K."""
    rows = []
    for bound in bounds:
        towers, gap = bound.towers, bound.gaps[0]
        rows.append(
            (
                "every" if towers.depth is None else str(towers.depth),
                number_text(bound.samples),
                number_text(towers.radius),
                number_text(towers.slope),
                gap.cover,
                f"{gap.epsilon:.2g}",
                number_text(gap.log_count),
                energy_text(gap.log_approximation),
                energy_text(gap.log_deviation),
                energy_text(bound.log_gap),
                energy_text(bound.log_trivial),
                "yes" if bound.vacuous else "no",
                "none" if bound.smallest_sample is None else number_text(bound.smallest_sample),
            )
        )
    first = bounds[0].towers
    note = (
        "gap = 2K_ℓK_Fε + deviation; of one cover M̄√((log N + log 1/δ)/2n), of a chain of covers "
        f"the sum over them, ε and N of the last. δ = {bounds[0].delta:g}; d = "
        f"{first.dimension}, M = {number_text(first.activation)}, R_X = "
        f"{number_text(first.input_radius)}, R_Y = {number_text(first.target_radius)}, K_σ = "
        f"{number_text(first.activation_slope)}, K_ℓ = {number_text(first.loss_slope)}. "
        "Vacuous: at least M̄, which no loss exceeds. Holds for inputs and targets within M, R_X, "
        "R_Y; for L, R and K fixed before the sample was seen"
    )
    cost = max(bound.selection for bound in bounds)
    note += f", here by {cost:.2f} added to log 1/δ." if cost else "."
    headings = ("depth", "n", "R", "K", "cover", "ε", "log N", "2K_ℓK_Fε", "deviation", "gap", "M̄")
    title = "Certified gap between expected and mean loss"
    return Grid(title, (*headings, "vacuous", "not vacuous from n"), tuple(rows), note)


def verdict(bounds: Sequence[NeuralODEBound]) -> str:
    """In a sentence, whether the bounds say anything."""
    vacuous = [bound for bound in bounds if bound.vacuous]
    if not vacuous:
        return "The bound is below M̄, the largest loss that the class allows, in every row."
    least = vacuous[0].smallest_sample
    from_there = (
        "at no n that can be written" if least is None else f"from n = {least:,} samples on"
    )
    return (
        f"The bound is vacuous in {len(vacuous)} of {len(bounds)} rows: it says no more than that "
        f"the loss is at most M̄. In the first of these it says something {from_there}."
    )


def published_grid(bounds: Sequence[NeuralODEBound], terms: Sequence[PublishedTerms]) -> Grid:
    """The terms of the published shape."""
    rows = tuple(
        (
            number_text(bound.samples),
            number_text(one.parameters),
            number_text(one.variation),
            number_text(one.confidence),
            "yes" if one.applies else "no",
        )
        for bound, one in zip(bounds, terms, strict=True)
    )
    headings = ("n", "(d+1)√(log(Rdn)/n)", "d²√K/n^¼", "√(log(1/δ)/n)", "n large enough")
    note = (
        "Shape recalled from Marion 2023, each term without its factor C: C is exponential in R "
        "and could not be checked, so that these are no bound."
    )
    return Grid("Published shape", headings, rows, note, text_columns=0)


def trials_ratios(trials: NeuralODETrials) -> dict[str, dict[str, float]]:
    """Largest and median measured/bound, for each ingredient."""
    found = {
        "output": trials.output_ratios(),
        "lipschitz": trials.lipschitz_ratios(),
        "path centre": trials.path_error,
    }
    return {
        name: {"largest": float(ratios.max()), "median": float(sorted(ratios)[len(ratios) // 2])}
        for name, ratios in found.items()
    }


def trials_grid(trials: NeuralODETrials) -> Grid:
    """How near random towers come to what bounds them."""
    found = trials_ratios(trials)
    rows = tuple(
        (name, f"{one['largest']:.9f}", number_text(one["median"])) for name, one in found.items()
    )
    title = f"Measured/bound on {len(trials.depth):,} random towers"
    return Grid(title, ("ingredient", "largest", "median"), rows, "1 is the bound.")


def gap_terms_grid(rows: Sequence[tuple[float, int, GapTerms]], width: int) -> Grid:
    """The three published terms for each τ and n."""
    cells = tuple(
        (
            number_text(tau),
            number_text(samples),
            number_text(terms.complexity),
            number_text(terms.linearisation),
            number_text(terms.confidence),
        )
        for tau, samples, terms in rows
    )
    note = (
        "Test error ≤ 2E_S + a constant times each (Frei, Cao & Gu 2019): the constants are not "
        "known, and are not made up, so that these are no bound. None contains the depth."
    )
    headings = ("τ", "n", "τ√(m/n)", "τ^{4/3}√(m log m)", "√(log(1/δ)/n)")
    return Grid(f"Gap terms, m = {width}", headings, cells, note, text_columns=0)


def depth_grid(rows: Sequence[DepthRow], width: int, tau: float) -> Grid:
    """Certificate, Jacobian and growth by depth and rule."""
    cells = tuple(
        (
            row.rule,
            str(row.depth),
            number_text(row.theta),
            energy_text(row.log_certificate),
            energy_text(row.log_jacobian),
            energy_text(row.log_growth),
            "" if row.log_linearisation is None else energy_text(row.log_linearisation),
        )
        for row in rows
    )
    headings = ("rule", "depth", "θ", "certificate", "‖J‖", "‖x_L‖/‖x_1‖", "linearisation")
    note = (
        f"m = {width}, at the start. certificate: bound of the Jacobian between residual layers "
        f"for every activation pattern and all weights within τ = {number_text(tau)}; ‖J‖: at an "
        "input; linearisation: worst last-layer error at τ, over ‖x_1‖τ^{4/3}√m."
    )
    return Grid("Sweep in depth", headings, cells, note)


def exponents_grid(found: Mapping[str, Mapping[str, float]]) -> Grid:
    """The fitted p of log(quantity) ∝ L^p."""
    names = ("log_certificate", "log_jacobian", "log_growth")
    rows = tuple(
        (rule, *("" if name not in one else f"{one[name]:.2f}" for name in names))
        for rule, one in found.items()
    )
    note = "log(quantity) ∝ L^p: 0 is depth-free, ½ grows like e^(c√L), 1 like e^(cL)."
    title = "What depends on the depth: fitted exponents p"
    return Grid(title, ("rule", "certificate", "‖J‖", "‖x_L‖/‖x_1‖"), rows, note)


def laws_grid(laws: Sequence[LinearisationLaw]) -> Grid:
    """Linearisation errors against τ."""
    rows = tuple(
        (
            law.direction,
            number_text(law.taus[0]),
            number_text(law.errors[0]),
            number_text(law.taus[-1]),
            number_text(law.errors[-1]),
            f"{law.exponent:.3f} ± {law.exponent_error:.3f}",
        )
        for law in laws
    )
    headings = ("direction", "τ from", "error", "τ to", "error", "exponent")
    note = (
        "|f_Ŵ − f_W − ⟨∇f_W, Ŵ − W⟩| ∝ τ^exponent. worst: the last layer's worst change, exactly; "
        "for m^(−3/2) ≪ τ ≪ 1 its exponent is 4/3, as in the paper's second term."
    )
    return Grid("Linearisation error", headings, rows, note)


def margins_grid(found: Sequence[MarginEstimate], description: str) -> Grid:
    """The margin by random features, from both sides."""
    rows = tuple(
        (
            str(one.features),
            number_text(one.fitted),
            f"{one.lower:.4f} ± {one.lower_error:.4f}",
            f"{one.upper:.4f} ± {one.upper_error:.4f}",
            "" if one.held_out is None else number_text(one.held_out),
            "" if one.held_out_errors is None else f"{100 * one.held_out_errors:.1f}%",
            "yes" if one.separated else "not seen",
        )
        for one in found
    )
    headings = (
        *("features", "LP", "margin ≥", "margin ≤", "held out", "held-out errors", "separated"),
    )
    note = (
        f"{description} LP: best margin with that many features, below γ in expectation. margin ≥ "
        f"and ≤: on {found[0].fresh:,} fresh features, ± standard errors. held out: smallest "
        "margin on points that were not fitted."
    )
    return Grid("Margin γ over random features, |c| ≤ 1", headings, rows, note, text_columns=0)


def _both(name: str, log_value: float) -> dict[str, float | None]:
    """A number with its log10; null where a float would overflow, or is 0."""
    if log_value == -math.inf:
        return {name: 0.0, f"log10_{name}": None}
    value = math.exp(log_value) if log_value < _LARGEST else None
    return {name: value, f"log10_{name}": log_value / math.log(10)}
