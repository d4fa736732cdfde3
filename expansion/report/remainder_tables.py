"""The table of certified truncation: every order's bound beside its truth, and the tail."""

from __future__ import annotations

from flint import arb

from expansion.bounds.remainder import CertifiedTruncation
from expansion.report.grid import Grid
from expansion.report.numbers import energy_text

__all__ = ["remainder_grid"]


def remainder_grid(found: CertifiedTruncation, title: str, accuracy: float | None = None) -> Grid:
    """Orders 0..K and the tail: truth, bounds, how sharp; ρ, q and orders needed in the note.

    Parameters
    ----------
    found : CertifiedTruncation
        What to show.
    title : str
        Above the table.
    accuracy : float, optional
        ε, for the orders needed.
    """
    truths = [*found.orders, found.tail]
    bounds = [*(found.bound(k) for k in range(found.order + 1)), found.tail_bound()]
    cauchy = [found.orders[0], *(found.cauchy.order(k) for k in range(1, found.order + 1))]
    cauchy.append(found.cauchy.tail(found.order))
    names = [*map(str, range(found.order + 1)), f"> {found.order}"]
    ratios = ["" if r is None else _text(arb(r)) for r in found.ratios()]
    rows = zip(
        names, map(_text, truths), map(_text, bounds), ratios, map(_text, cauchy), strict=True
    )
    headings = ("order", "truth", "bound", "bound/truth", "Cauchy's bound")
    return Grid(title, headings, tuple(rows), _note(found, accuracy))


def _note(found: CertifiedTruncation, accuracy: float | None) -> str:
    radius = found.majorant.radius
    told = [
        "Euclidean norms, in the output: of each order at this input, and of all beyond the last. "
        "bound: the smaller of the majorant tower's, order by order, and Cauchy's, ρqᵏ for ‖f_l‖ "
        "≤ B_l within ρ of the input and q = Σ|λ_l|B_l/ρ (a decoder multiplies it); here "
        f"ρ = {_text(found.cauchy.rho)}, q = {_text(found.cauchy.q)}.",
        f"The expansion is certified to converge up to {_text(radius)} times these scales.",
    ]
    if found.is_vacuous:
        told.append("At these scales the bound of the tail is vacuous.")
    if accuracy is not None:
        needed = found.orders_needed(accuracy)
        told.append(
            f"No order is certified to leave at most {accuracy:g}."
            if needed is None
            else f"To leave at most {accuracy:g}, order {needed} is certified to be enough."
        )
    return " ".join(told)


def _text(bound: arb) -> str:
    """An upper end, read as a number."""
    if not bound.is_finite():
        return "none"
    high = bound.upper()
    return energy_text(float(high.log())) if high > 0 else "0"
