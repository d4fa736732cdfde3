r"""The majorant tower: one scalar tower above all the orders of a tower.

With majorants :math:`b_l` of the branches at x (:mod:`expansion.bounds.branch_majorants`) let

.. math:: v_0 = 0, \qquad v_l = v_{l-1} + z\, |\lambda_l|\, b_l(v_{l-1}), \qquad
   w = b_D(v_n) - b_D(0) \quad (w = v_n \text{ without a decoder}).

**Theorem.** :math:`\|P_k\| \le w_k = [z^k]\, w(z)` for every k ≥ 1, and if :math:`w(r) < \infty`
for some r ≥ 1 then the expansion converges and, for every N ≥ K,

.. math::

   \Big\| H_n(x) - \sum_{k \le K} P_k(x) \Big\| \le \sum_{k = K+1}^{N} w_k
   + r^{-(N+1)} \Big( w(r) - \sum_{k \le N} w_k r^k \Big).

*Proof.* Let :math:`u_l(z) = x + \sum_{k \ge 1} u_{lk} z^k` be the tower at scales zλ, and suppose
:math:`\|u_{l-1,k}\| \le v_{l-1,k}`. The coefficient of z^k in :math:`f_l(u_{l-1}(z))` is a sum of
:math:`\frac{1}{m!} f_l^{(m)}(x)[u_{l-1,j_1}, \ldots, u_{l-1,j_m}]` over m and
:math:`j_1 + \cdots + j_m = k`; it is at most the same sum of :math:`b_{lm} v_{l-1,j_1} \cdots
v_{l-1,j_m}`, which is the coefficient in :math:`b_l(v_{l-1}(z))`. Multiply by z |λ_l| and add: the
supposition holds for l, and so for the decoder. All coefficients are ≥ 0, so that the sum of those
beyond N is at most :math:`r^{-(N+1)}` times what w(r) leaves over. Where w(1) is finite every
:math:`u_l(z)`, |z| ≤ 1, stays where the branches' series converge, so :math:`H_n(x)` is the sum. ∎

**It is never worse than Cauchy's estimate with the same b**: if :math:`q = \sum |\lambda_l|
b_l(\rho)/\rho` then :math:`v_n(1/q) \le \rho`, hence :math:`v_k \le \rho q^k`. It is attained where
the branches are their own majorants. Source: derived (claim B1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flint import arb, arb_series

from expansion.bounds.ball_series import composed
from expansion.bounds.balls import cut_at
from expansion.bounds.complex_range import Majorant

__all__ = ["TowerMajorant"]

_INFINITE = arb("inf")
_TOO_LARGE = arb(2) ** 2000  # no bound that anybody wants
_LARGEST_RADIUS = arb(2) ** 64  # beyond it nobody asks
_STEPS = 12


@dataclass(frozen=True, slots=True)
class TowerMajorant:
    """The majorant tower of a tower at an input.

    Parameters
    ----------
    scales : tuple of arb
        |λ_1|..|λ_n|.
    branches : tuple of Majorant
        b_1..b_n, with coefficients up to M.
    decoder : Majorant or None
        b_D.
    order : int
        N ≤ M: how many orders are bounded term by term.

    Attributes
    ----------
    orders : tuple of arb
        w_0 = 0, w_1, …, w_N.
    degree : int or None
        Degree of w in z, if it is a polynomial of degree at most N.
    radius : arb
        About the largest r at which w(r) is certified to be finite; 2^64 for any larger.

    Examples
    --------
    >>> line = Majorant((arb(1), arb(1)), arb(0), arb(0))  # f(x) = x at x = 1
    >>> tower = TowerMajorant((arb(1),) * 3, (line,) * 3, None, 4)
    >>> [float(w) for w in tower.orders], float(tower.tail(1))
    ([0.0, 3.0, 3.0, 1.0, 0.0], 4.0)
    """

    scales: tuple[arb, ...]
    branches: tuple[Majorant, ...]
    decoder: Majorant | None
    order: int
    orders: tuple[arb, ...] = field(init=False, repr=False)
    degree: int | None = field(init=False)
    radius: arb = field(init=False)
    _left_over: tuple[tuple[arb, arb], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "orders", self._orders())
        object.__setattr__(self, "degree", self._degree())
        object.__setattr__(self, "radius", self._radius())
        object.__setattr__(self, "_left_over", self._rests())

    def reach(self, radius: arb) -> arb:
        """w(r): how far the output can be from its value at scale 0, for all |z| ≤ r."""
        state = self.state_reach(radius)
        if self.decoder is None or not state.is_finite():
            return state
        return self.decoder(state) - self.decoder.coefficients[0]

    def state_reach(self, radius: arb) -> arb:
        """v_n(r): the ball about x that holds every state, for all |z| ≤ r."""
        state = arb(0)
        for scale, branch in zip(self.scales, self.branches, strict=True):
            state = state + radius * scale * branch(state)
            if not (state.is_finite() and state < _TOO_LARGE):
                return _INFINITE
        return state

    def tail(self, order: int) -> arb:
        """A bound of everything beyond order K; infinite where none is known.

        Parameters
        ----------
        order : int
            K ≥ 0.
        """
        if self.degree is not None:
            return sum(self.orders[order + 1 : self.degree + 1], arb(0))
        beyond = _INFINITE
        for radius, rest in self._left_over:
            beyond = beyond.min(rest * radius ** -(max(order, self.order) + 1))
        return sum(self.orders[order + 1 :], arb(0)) + beyond

    def _orders(self) -> tuple[arb, ...]:
        length = self.order + 1
        with cut_at(length):
            state = arb_series([0], prec=length)
            variable = arb_series([0, 1], prec=length)
            for scale, branch in zip(self.scales, self.branches, strict=True):
                moved = composed(branch.coefficients, state)
                state = state + variable * moved * scale
            if self.decoder is not None:
                state = composed((arb(0), *self.decoder.coefficients[1:]), state)
        found = state.coeffs()[:length]
        return tuple(found + [arb(0)] * (length - len(found)))

    def _degree(self) -> int | None:
        degree = 0
        for branch in self.branches:
            if branch.degree is None or 1 + branch.degree * degree > self.order:
                return None
            degree = max(degree, 1 + branch.degree * degree)
        if self.decoder is None:
            return degree
        last = self.decoder.degree
        return None if last is None or last * degree > self.order else last * degree

    def _radius(self) -> arb:
        found = arb(1)
        if self._converges(found):
            while found < _LARGEST_RADIUS and self._converges(2 * found):
                found = 2 * found
            if not found < _LARGEST_RADIUS:
                return found
        else:
            while not self._converges(found):
                found = found / 2
                if found < 1 / _LARGEST_RADIUS:
                    return arb(0)
        for step in range(1, _STEPS + 1):
            larger = (found * arb(2) ** (arb(2) ** -step)).mid()
            if self._converges(larger):
                found = larger
        return found

    def _converges(self, radius: arb) -> bool:
        return bool(self.reach(radius).is_finite())

    def _rests(self) -> tuple[tuple[arb, arb], ...]:
        """Radii r ≥ 1 with bounds of the sum of all w_k r^k beyond order N."""
        found = []
        for step in range(_STEPS + 1 if self.radius >= 1 else 0):
            radius = (self.radius ** (arb(step) / _STEPS)).mid().min(self.radius)
            total = arb(0)
            for coefficient in reversed(self.orders):
                total = total * radius + coefficient
            rest = (self.reach(radius) - total).upper()
            if radius >= 1 and rest.is_finite():
                found.append((radius, rest.max(arb(0))))
        return tuple(found)
