r"""What scale does which bound ask for: the synthesis of the four papers.

For every quantity of :mod:`expansion.synthesis.quantities` and every rule, how it grows with depth,
in closed form and as measured; and for every quantity the *critical exponent* β, the smallest
with which :math:`\lambda = n^{-\beta}` keeps it bounded: the largest scale that it allows.

The critical exponent is measured by asking each quantity for its scale: at each of two depths one
λ for all blocks is sought with which Q is e times what it is at λ = 0, or 1 if it is 0 there (so
for the series λ is its radius of convergence). β is the slope of −ln λ against ln n.

Signals of independent branches ask for 1/√n. Everything that must hold for all inputs, all
weights or all alignments asks for 1/n. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from scipy import optimize

from expansion.errors import InputError
from expansion.synthesis.laws import Law, fitted_law
from expansion.synthesis.quantities import QUANTITIES, Quantity
from expansion.towers.scaling import ScalingRule

__all__ = [
    "DEFAULT_RULES",
    "Demand",
    "SynthesisTable",
    "allowed_scale",
    "measured_exponent",
    "measured_law",
    "synthesis_table",
]

DEFAULT_RULES = ("1", "1/sqrt(n)", "n^-0.75", "1/n", "batchnorm")


@dataclass(frozen=True, slots=True)
class Demand:
    """What one quantity asks of the scale.

    Parameters
    ----------
    quantity : Quantity
        Which.
    closed, measured : tuple of Law
        Its growth under each rule of the table.
    critical : float
        The measured critical exponent; ``quantity.critical`` is the closed form.
    """

    quantity: Quantity
    closed: tuple[Law, ...]
    measured: tuple[Law, ...]
    critical: float

    @property
    def scale(self) -> str:
        """The largest scale that keeps it bounded, as a rule.

        Examples
        --------
        >>> Demand(QUANTITIES[0], (), (), 0.5).scale
        '1/√n'
        """
        return {0.5: "1/√n", 1.0: "1/n"}.get(self.quantity.critical, "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the rules."""
        return {
            "quantity": self.quantity.name,
            "claim": self.quantity.claim,
            "asked_by": self.quantity.asked_by,
            "largest_scale": self.scale,
            "critical_exponent": self.quantity.critical,
            "measured_critical_exponent": self.critical,
        }


@dataclass(frozen=True, slots=True)
class SynthesisTable:
    """Every quantity under every rule.

    Parameters
    ----------
    rules : tuple of ScalingRule
        The columns.
    demands : tuple of Demand
        The rows.
    """

    rules: tuple[ScalingRule, ...]
    demands: tuple[Demand, ...]

    def __iter__(self) -> Iterator[Demand]:
        return iter(self.demands)

    @property
    def sentence(self) -> str:
        """What the table says, in plain words."""
        signals = [d.quantity.name for d in self if d.quantity.critical < 1]
        others = [d.quantity.name for d in self if d.quantity.critical == 1]
        off = max(abs(d.critical - d.quantity.critical) for d in self)
        return (
            f"Signals ask for 1/√n, capacity for 1/n. At the scale 1/√n stays bounded: "
            f"{', '.join(signals) or 'nothing'}. Only at 1/n do: {', '.join(others) or 'nothing'}; "
            "at 1/√n the series' radius of convergence shrinks like 1/√n, and the others grow like "
            "e to a multiple of √n. So a network scaled by 1/√n passes its signals on at any "
            "depth, yet no bound that must hold for all inputs, weights or alignments is free of "
            "its depth. It is the bound, not the network, that asks for 1/n: at random "
            "initialisation the mean geometric complexity grows only as the signals' energy does. "
            "Batch normalisation, as the scales 1/√l, is at the edge for signals (energy n + 1) "
            "and beyond it for the rest. Measured exponents differ from the closed forms by at "
            f"most {off:.3f}."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        rows = []
        for demand in self:
            cells = zip(self.rules, demand.closed, demand.measured, strict=True)
            growth = [
                {"rule": r.text, "closed_form": c.to_dict(), "measured": m.to_dict()}
                for r, c, m in cells
            ]
            rows.append({**demand.to_dict(), "growth": growth})
        return {"summary": self.sentence, "quantities": rows}


def synthesis_table(
    rules: Iterable[ScalingRule | str] = DEFAULT_RULES,
    quantities: Sequence[Quantity] = QUANTITIES,
    *,
    on_quantity: Callable[[Quantity], object] | None = None,
) -> SynthesisTable:
    """Compute the table: closed forms, and fits to values that the bounds' own code computes.

    Parameters
    ----------
    rules : iterable of ScalingRule or str
        λ_l = c·n^(−β) or c·l^(−β), β ≥ 0.
    quantities : sequence of Quantity
        The rows.
    on_quantity : callable, optional
        Called after each row.

    Raises
    ------
    InputError
        For a rule without a closed form.

    Examples
    --------
    >>> table = synthesis_table(["1/n"], QUANTITIES[:2])
    >>> [(str(demand.closed[0]), str(demand.measured[0])) for demand in table]
    [('→ 1', '→ 1'), ('→ 7.389', '→ 7.389')]
    """
    chosen = tuple(ScalingRule.of(rule) for rule in rules)
    if not chosen:
        raise InputError("at least one rule", "none", "give e.g. 1/n")
    demands = []
    for quantity in quantities:
        closed = tuple(quantity.law(rule) for rule in chosen)
        measured = tuple(measured_law(quantity, rule) for rule in chosen)
        demands.append(Demand(quantity, closed, measured, measured_exponent(quantity)))
        if on_quantity is not None:
            on_quantity(quantity)
    return SynthesisTable(chosen, tuple(demands))


def measured_law(quantity: Quantity, rule: ScalingRule) -> Law:
    """The law that a quantity's values show."""
    logs = [quantity.measure(rule, depth) for depth in quantity.depths]
    return fitted_law(quantity.depths, logs)


def measured_exponent(quantity: Quantity) -> float:
    """The slope of −ln λ(n) against ln n, where λ(n) brings Q to a fixed level."""
    pair = quantity.depths[:2]
    logs = [math.log(allowed_scale(quantity, depth)) for depth in pair]
    return (logs[0] - logs[1]) / math.log(pair[1] / pair[0])


def allowed_scale(quantity: Quantity, depth: int) -> float:
    """The scale λ of all blocks with which Q is e times what it is at λ = 0, or 1 if that is 0.

    Examples
    --------
    >>> scale = allowed_scale(QUANTITIES[0], 2048)
    >>> abs(2048 * math.log(1 + scale**2) - 1) < 1e-5
    True
    """
    start = quantity.measure(ScalingRule("0", Fraction(0)), depth)
    level = start + 1 if start > -math.inf else 0.0

    def excess(log_scale: float) -> float:
        scale = Fraction(math.exp(log_scale))
        return quantity.measure(ScalingRule(str(scale), scale), depth) - level

    found = optimize.brentq(excess, -2.5 * math.log(depth), math.log(2), xtol=1e-6)
    return math.exp(found)
