"""Tables of an architecture's paths: counts by order, and what lesions leave of them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from expansion.growth.path_polynomials import PathPolynomial
from expansion.report.grid import Grid
from expansion.report.numbers import exact_text
from expansion.towers.architectures.edge import Weight

__all__ = ["lesions_grid", "paths_dict", "paths_grid", "shown_text"]


def shown_text(value: Weight) -> str:
    """An exact number for people: whole when it is short, else its beginning and its length.

    Examples
    --------
    >>> shown_text(2**12), shown_text(Fraction(5, 2)), shown_text(2**200)
    ('4,096', '5/2', '160693804425…(61 digits)')
    """
    if isinstance(value, Fraction) and value.denominator == 1:
        value = value.numerator
    text = exact_text(value)
    if len(text) <= 30:
        return f"{value:,}" if isinstance(value, int) else text
    if isinstance(value, Fraction):
        return f"about {float(value):.6g}"
    return f"{text[:12]}…({len(text.lstrip('-'))} digits)"


def paths_grid(whole: PathPolynomial, left: PathPolynomial | None, title: str) -> Grid:
    """Paths of each order, their share, and how many of them a lesion leaves."""
    headings = ["order", "paths", "share"] + (["left by the lesion"] if left else [])
    rows = []
    for order, (count, share) in enumerate(zip(whole.counts, whole.distribution, strict=True)):
        cells = [str(order), shown_text(count), f"{float(share):.4%}"]
        rows.append((*cells, shown_text(left.at(order))) if left else tuple(cells))
    note = f"paths in all: {shown_text(whole.total)}; mean length {shown_text(whole.mean)}"
    if left:
        share = Fraction(left.total) / whole.total
        note += f"; the lesion leaves {shown_text(left.total)}, a share of {shown_text(share)}"
    return Grid(title, tuple(headings), tuple(rows), note + ".", text_columns=0)


def lesions_grid(shares: Mapping[str, Fraction]) -> Grid:
    """The share of paths that survives the removal of each block."""
    rows = tuple((name, shown_text(s), f"{float(s):.4%}") for name, s in shares.items())
    note = "each block removed alone; exact share of the paths that remain."
    return Grid("Lesions", ("block", "surviving share", ""), rows, note)


def paths_dict(whole: PathPolynomial, left: PathPolynomial | None) -> dict[str, Any]:
    """The same as JSON-ready values; exact numbers are text."""
    found: dict[str, Any] = {
        "counts": [exact_text(count) for count in whole.counts],
        "total": exact_text(whole.total),
        "mean_length": exact_text(whole.mean),
    }
    if left:
        found["left"] = [exact_text(left.at(k)) for k in range(len(whole.counts))]
        found["surviving_share"] = exact_text(Fraction(left.total) / whole.total)
    return found
