"""Tables of capacity: a network's bounds beside its measurements, and how sharp each method is."""

from __future__ import annotations

from collections.abc import Sequence

from expansion.bounds.sharpness import Capacity, Ratios
from expansion.report.grid import Grid
from expansion.report.numbers import energy_text, number_text

__all__ = ["capacity_grid", "ratios_grid", "terms_grid"]


def capacity_grid(found: Capacity, title: str) -> Grid:
    """Bounds of the Lipschitz constant and of the geometric complexity, sharpest first."""
    ordered = sorted(found.bounds, key=lambda bound: bound.log_lipschitz)
    rows = [
        (
            bound.method,
            energy_text(bound.log_lipschitz),
            _ratio(bound.lipschitz, found.lipschitz),
            energy_text(bound.log_complexity),
            _ratio(bound.complexity, found.complexity),
            "yes" if found.vacuous(bound) else "no",
        )
        for bound in ordered
    ]
    rows.append(
        (
            "measured",
            number_text(found.lipschitz),
            "1",
            number_text(found.complexity),
            "1",
            "",
        )
    )
    headings = ("method", "Lipschitz", "× measured", "complexity", "× measured", "vacuous")
    orders = " + ".join(number_text(value) for value in found.complexity_orders)
    note = (
        "Upper bounds of the network's Lipschitz constant and of its geometric complexity. "
        "product: 1 + |λ|s‖V‖‖U‖ a block V φ(Ux + b), s the largest slope of φ; exponential: e to "
        "the sum of |λ|s‖V‖‖U‖; Frobenius, sums, absolute: by other norms of V and U; balanced: "
        "‖VS‖‖S⁻¹U‖ with the best diagonal S; centred: the identity joined to the branch at its "
        "mean slope; consecutive: blocks multiplied before they are measured. "
        f"measured: largest Jacobian at the data, and mean ‖∇f‖², which to second order in the "
        f"scale is {orders}. On balls of radius {number_text(found.radius)} about the data the "
        f"Lipschitz constant is at most {number_text(found.local)}. Vacuous: allows the closest "
        f"inputs ({number_text(found.nearest)} apart) the largest change between any outputs "
        f"({number_text(found.spread)})."
    )
    return Grid(title, headings, tuple(rows), note)


def terms_grid(found: Capacity, title: str) -> Grid:
    """What each part of the network contributes."""
    rows = tuple(
        (
            term.part,
            "" if term.scale is None else number_text(term.scale),
            number_text(term.product),
            number_text(term.balanced),
            number_text(term.factor),
            number_text(term.centred),
        )
        for term in found.terms
    )
    headings = ("part", "scale λ", "𝓛, product", "𝓛, balanced", "1 + |λ|𝓛", "centred")
    note = "𝓛: Lipschitz constants of the branch; the last two columns bound the whole block."
    return Grid(title, headings, rows, note)


def ratios_grid(ratios: Sequence[Ratios], title: str) -> Grid:
    """Bound/measured by family and method."""
    rows = tuple(
        (
            one.family,
            one.method,
            number_text(one.least),
            number_text(one.median),
            number_text(one.largest),
            number_text(one.complexity),
        )
        for one in ratios
    )
    headings = ("towers", "method", "least", "median", "largest", "median, complexity")
    note = "Bound/measured for the Lipschitz constant and, last, for the geometric complexity."
    return Grid(title, headings, rows, note, text_columns=2)


def _ratio(bound: float, measured: float) -> str:
    return number_text(bound / measured) if measured > 0 else "–"
