r"""How large each order can be, and what is left out after order K: bounds that hold (claim B1).

**Theorem (Cauchy's estimate).** Let the branches be analytic, with :math:`\|f_l\| \le B_l` on the
complex ball of radius ρ about x, and :math:`q = \sum_l |\lambda_l| B_l / \rho`. Then

.. math::

   \|P_k(x)\| \le \rho\, q^k \quad (k \ge 1), \qquad
   \Big\| H_n(x) - \sum_{k \le K} P_k(x) \Big\| \le \frac{\rho\, q^{K+1}}{1 - q} \quad (q < 1).

*Proof.* Give block l the scale :math:`z \lambda_l`. If :math:`|z| < 1/q` then by induction
:math:`\|u_l - x\| \le |z| \sum_{i \le l} |\lambda_i| B_i < \rho`, so no state leaves the ball,
:math:`u_n(z)` is analytic in that disc, and :math:`\|u_n(z) - x\| \le \rho` there. Cauchy's
estimate on circles :math:`|z| = r \to 1/q` bounds its coefficients, which are the :math:`P_k`; the
tail is a geometric series. With an analytic decoder replace ρ by a bound of
:math:`\|D(u) - D(x)\|` on the ball. ∎

Real balls would not do: on them tanh is bounded for every ρ, yet the series diverges. ρ is chosen
to make the tail least, by a search that may be as bad as it likes: the bound is certified at the ρ
that it returns. At λ = c/n and equal branches q does not depend on n.

**The sharper bound** is the majorant tower (:mod:`expansion.bounds.tower_majorant`, with proof):
order by order instead of one ball for all. Both are computed; the smaller is the answer.

All numbers are balls of FLINT's ``arb``: the truth lies in them, and their upper ends are bounds.
Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flint import arb, ctx

from expansion.bounds.ball_series import encoded, orders_in_balls
from expansion.bounds.balls import PRECISION, ball, downwards, norm, upwards
from expansion.bounds.branch_majorants import branch_majorant, direct_bound
from expansion.bounds.complex_range import Majorant
from expansion.bounds.tower_majorant import TowerMajorant
from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.tower import Tower

__all__ = ["CauchyBound", "CertifiedTruncation", "cauchy_bounds", "certified_truncation"]

Direct = Callable[[arb], arb] | None

_TERMS = 40  # orders bounded one by one, at least
_MOST_ORDERS = 10**7
_MOST_BITS = 2048
_ENOUGH_BITS = 50  # of the output that the balls must settle


def cauchy_bounds(rho: arb, q: arb, order: int) -> tuple[list[arb], arb]:
    """ρ q^k for k = 1..K, and ρ q^(K+1)/(1 − q); infinite unless q < 1.

    Examples
    --------
    >>> orders, tail = cauchy_bounds(arb(2), arb(1) / 2, 2)
    >>> [float(b) for b in orders], float(tail)
    ([1.0, 0.5], 0.5)
    """
    orders = [rho * q**k for k in range(1, order + 1)]
    return orders, rho * q ** (order + 1) / (1 - q) if q < 1 else arb("inf")


@dataclass(frozen=True, slots=True)
class CauchyBound:
    """The theorem at one radius.

    Parameters
    ----------
    rho : arb
        ρ, radius of the complex ball about x.
    q : arb
        Σ |λ_l| B_l / ρ; the series converges at least up to 1/q times the scales.
    reach : arb
        Bound of the output's displacement on that ball: ρ itself without a decoder.

    Examples
    --------
    >>> float(CauchyBound(arb(1), arb(1) / 4, arb(1)).order(2))
    0.0625
    """

    rho: arb
    q: arb
    reach: arb

    def order(self, k: int) -> arb:
        """A bound of order k ≥ 1."""
        return self.reach * self.q**k

    def tail(self, order: int) -> arb:
        """A bound of everything beyond order K; infinite unless q < 1."""
        return cauchy_bounds(self.reach, self.q, order)[1]


@dataclass(frozen=True, slots=True)
class CertifiedTruncation:
    """A tower at an input: every order, what lies beyond order K, and the output, in balls.

    Parameters
    ----------
    order : int
        K.
    orders : tuple of arb
        Balls that hold ‖P_0‖, …, ‖P_K‖.
    tail : arb
        A ball that holds ‖D(H_n(x)) − Σ_{k≤K} P_k‖.
    output : tuple of arb
        Balls that hold the coordinates of the tower's output.
    cauchy : CauchyBound
        The theorem at the chosen ρ.
    majorant : TowerMajorant
        The sharper bound.

    Examples
    --------
    >>> from expansion.towers.branches.layered import MLPBranch
    >>> tower = Tower.tied(MLPBranch([[0.25]], [[1.0]]), depth=4, rule="1/n")
    >>> found = certified_truncation(tower, [1.0], 3)
    >>> found.tail <= found.tail_bound(), found.is_vacuous, found.orders_needed(1e-6)
    (True, False, 5)
    """

    order: int
    orders: tuple[arb, ...]
    tail: arb
    output: tuple[arb, ...]
    cauchy: CauchyBound
    majorant: TowerMajorant = field(repr=False)

    def bound(self, k: int) -> arb:
        """The sharper bound of order k: 0 ≤ k ≤ K."""
        if not 0 <= check_count(k, "order", least=0) <= self.order:
            raise InputError(f"an order up to {self.order}", k, "ask for a larger order at first")
        if k == 0:
            return self.orders[0]
        return _least(self.majorant.orders[k], self.cauchy.order(k))

    def tail_bound(self, order: int | None = None) -> arb:
        """The sharper bound of what lies beyond an order (K by default); may be infinite."""
        chosen = self.order if order is None else check_count(order, "order", least=0)
        with ctx.workprec(PRECISION):
            return _least(self.majorant.tail(chosen), self.cauchy.tail(chosen))

    @property
    def is_vacuous(self) -> bool:
        """Whether the tail's bound says nothing: not below the norm of the output itself."""
        return not self.tail_bound() < norm(self.output)

    def orders_needed(self, accuracy: float) -> int | None:
        """The least K whose tail is certified to be at most ``accuracy``.

        Parameters
        ----------
        accuracy : float
            ε in (0, ∞), absolute.

        Returns
        -------
        int or None
            None when no order (up to ten million) can be certified to do it: the series is not
            known to converge.

        Raises
        ------
        InputError
            For an accuracy outside (0, ∞).
        """
        if not 0 < accuracy < math.inf:
            raise InputError("an accuracy above zero", accuracy, "give e.g. 1e-6")
        wanted = arb(float(accuracy))

        def enough(order: int) -> bool:
            return bool(self.tail_bound(order) <= wanted)

        above = 1
        while not enough(above):
            if above > _MOST_ORDERS or not self.tail_bound(above).is_finite():
                return None
            above *= 2
        below = -1
        while above - below > 1:
            middle = (above + below) // 2
            below, above = (below, middle) if enough(middle) else (middle, above)
        return above

    def to_dict(self, accuracy: float | None = None) -> dict[str, Any]:
        """JSON-ready values; what is infinite is None, and bounds also come as log10.

        Parameters
        ----------
        accuracy : float, optional
            ε, for the orders needed.
        """
        rows = [
            {"order": k, **_measured(self.bound(k), truth)}
            | {"cauchy": _number(self.cauchy.order(k))}
            for k, truth in enumerate(self.orders)
        ]
        rows[0]["cauchy"] = rows[0]["bound"]  # order 0 is the start itself
        tail = _measured(self.tail_bound(), self.tail)
        found = {
            "order": self.order,
            "orders": rows,
            "tail": tail | {"cauchy": _number(self.cauchy.tail(self.order))},
            "rho": _number(self.cauchy.rho),
            "q": _number(self.cauchy.q),
            "radius": float(self.majorant.radius.lower()),
            "output": [[_finite(downwards(y)), _finite(upwards(y))] for y in self.output],
            "vacuous": self.is_vacuous,
        }
        if accuracy is not None:
            found |= {"accuracy": accuracy, "orders_needed": self.orders_needed(accuracy)}
        return found

    def ratios(self) -> list[float | None]:
        """How sharp: bound/truth of orders 0..K and of the tail; None where the truth is 0."""
        pairs = [(self.bound(k), truth) for k, truth in enumerate(self.orders)]
        pairs.append((self.tail_bound(), self.tail))
        return [upwards(bound / truth) if truth > 0 else None for bound, truth in pairs]


def certified_truncation(tower: Tower, x: Any, order: int) -> CertifiedTruncation:
    """Bound every order, the tail after K and the output of a tower at an input.

    Parameters
    ----------
    tower : Tower
        With affine, polynomial or formula branches, or one hidden layer with linear, tanh, sin,
        erf or gelu units (sigmoid: :func:`~expansion.towers.branches.layered.sigmoid_branch`);
        encoder and decoder likewise; any rule with values.
    x : array_like, shape (inputs,)
        A real input; floats are taken exactly.
    order : int
        K ≥ 0.

    Raises
    ------
    InputError
        For a branch with no analytic bound (which and why), symbolic scales, or an input that is
        not a finite real vector of the tower's dimension.

    Notes
    -----
    Source: derived (claim B1).

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> found = certified_truncation(Tower.tied(AffineBranch([[1]]), depth=3), [1], 2)
    >>> [float(ball) for ball in found.orders], float(found.tail), float(found.tail_bound())
    ([1.0, 3.0, 3.0], 1.0, 1.0)
    """
    order = check_count(order, "order", least=0)
    if not tower.rule.has_values:
        raise InputError("scales with values", tower.rule, "give numbers, or a rule such as 1/n")
    with ctx.workprec(PRECISION):
        start = encoded(tower, x)
        terms = max(order, _TERMS)
        scales = tuple(abs(ball(scale)) for scale in tower.scales)
        branches, direct = _majorants(tower, start, terms)
        decoder = tower.decoder
        last = None if decoder is None else branch_majorant(decoder, start, terms, "the decoder")
        majorant = TowerMajorant(scales, tuple(branches), last, terms)
        cauchy = _best_radius(majorant, direct, order)
    truth = _truth(tower, x, order)
    *parts, output = truth
    with ctx.workprec(_MOST_BITS):
        beyond = [y - sum(p, arb(0)) for y, *p in zip(output, *parts, strict=True)]
        sizes = tuple(norm(part) for part in parts)
        return CertifiedTruncation(order, sizes, norm(beyond), tuple(output), cauchy, majorant)


def _measured(bound: arb, truth: arb) -> dict[str, Any]:
    """A bound beside the ball that holds the truth."""
    logarithm = (
        float(bound.upper().log()) / math.log(10) if bound.is_finite() and bound > 0 else None
    )
    return {
        "bound": _number(bound),
        "log10_bound": logarithm,
        "truth": _number(truth),
        "ratio": _number(bound / truth) if truth > 0 else None,
    }


def _number(bound: arb) -> float | None:
    return _finite(upwards(bound))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _majorants(tower: Tower, x: list[arb], order: int) -> tuple[list[Majorant], list[Direct]]:
    """A majorant and a direct bound of every block; tied branches once."""
    known: dict[int, tuple[Majorant, Direct]] = {}
    for number, branch in enumerate(tower.branches, 1):
        if id(branch) not in known:
            name = f"block {number}"
            found = branch_majorant(branch, x, order, name)
            known[id(branch)] = found, direct_bound(branch, x, name)
    pairs = [known[id(branch)] for branch in tower.branches]
    return [found for found, _ in pairs], [direct for _, direct in pairs]


def _best_radius(majorant: TowerMajorant, direct: Sequence[Direct], order: int) -> CauchyBound:
    """The theorem near the radius that makes the tail after K least, or q if none has one."""
    unit = sum(
        (s * b.coefficients[0] for s, b in zip(majorant.scales, majorant.branches, strict=True)),
        arb(0),
    ).mid()
    unit = unit if unit > 0 else arb(1)

    def at(exponent: float) -> CauchyBound:
        return _at_radius(majorant, direct, (unit * arb(2) ** arb(exponent)).mid())

    def cost(bound: CauchyBound) -> tuple[float, float]:
        return _log(bound.tail(order)), _log(bound.q) if bound.reach.is_finite() else math.inf

    place = float(min(range(-16, 14, 2), key=lambda exponent: cost(at(float(exponent)))))
    for step in (1, 0.5, 0.25, 0.125):
        place = min((place - step, place, place + step), key=lambda exponent: cost(at(exponent)))
    return at(place)


def _at_radius(majorant: TowerMajorant, direct: Sequence[Direct], rho: arb) -> CauchyBound:
    total = arb(0)
    known: dict[int, arb] = {}
    for scale, branch, own in zip(majorant.scales, majorant.branches, direct, strict=True):
        if id(branch) not in known:
            bound = branch(rho)
            known[id(branch)] = bound if own is None else _least(bound, own(rho))
        total = total + scale * known[id(branch)]
    decoder = majorant.decoder
    reach = rho if decoder is None else decoder(rho) - decoder.coefficients[0]
    return CauchyBound(rho, (total / rho).upper(), reach)


def _least(one: arb, other: arb) -> arb:
    if not (one.is_finite() and other.is_finite()):
        return one if one.is_finite() else other
    return one.min(other)


def _log(bound: arb) -> float:
    return float(bound.upper().log()) if bound.is_finite() and bound > 0 else math.inf


def _truth(tower: Tower, x: Any, order: int) -> list[list[arb]]:
    """Orders 0..K and the output, with as many bits as it takes to settle the output."""
    bits = PRECISION
    while True:
        with ctx.workprec(bits):
            found = orders_in_balls(tower, x, order)
            error = norm(arb(entry.rad()) for entry in found[-1])
            settled = error * arb(2) ** _ENOUGH_BITS <= norm(found[-1])
        if settled or bits >= _MOST_BITS:
            return found
        bits *= 2
