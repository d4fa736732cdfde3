r"""The Lipschitz constant of a chain of blocks from products of consecutive matrices (claim B2).

Let every factor of a chain be :math:`M_k + X_k T_k Y_k` with :math:`\|T_k\| \le 1`
(:mod:`expansion.bounds.factors`), and write :math:`M_{k \leftarrow j} = M_k \cdots M_j`. Then

.. math::

   \|J_n \cdots J_1\| \le L_n := \|M_{n \leftarrow 1}\| + \sum_j \|M_{n \leftarrow j+1} X_j\| q_j,
   \qquad
   q_k = \|Y_k M_{k-1 \leftarrow 1}\| + \sum_{j<k} \|Y_k M_{k-1 \leftarrow j+1} X_j\| q_j .

*Proof.* Order the terms of the expanded product by the last factor from which X T Y is taken:
:math:`J_n \cdots J_1 = M_{n \leftarrow 1} + \sum_j M_{n \leftarrow j+1} X_j T_j Y_j J_{j-1} \cdots
J_1`. By the same expansion of :math:`J_{k-1} \cdots J_1`, :math:`\|Y_k J_{k-1} \cdots J_1\| \le
q_k` by induction. ∎ With one norm in each product a Frobenius norm, as in :math:`\|A B\|_F \le
\|A\| \|B\|_F`, the same recursion bounds :math:`\|J_n \cdots J_1\|_F`.

It is never above :math:`\prod (\|M_k\| + \|X_k\| \|Y_k\|)`, and exact for affine towers, where
there is no X: products of matrices are multiplied before they are measured. Segments of
:data:`SEGMENT` factors are chained by the product of their bounds, so that the work grows as the
depth and not as its square. Source: derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.factors import Factor
from expansion.bounds.rounded import Rounded

__all__ = ["SEGMENT", "Chain", "chain_bounds"]

_Array = NDArray[np.float64]

SEGMENT = 32
_UP = 1 + 2.0**-40


class Chain:
    """A growing chain of factors, and the bound of their product's norms.

    Examples
    --------
    >>> chain = Chain()
    >>> half = Rounded(np.eye(2) / 2, np.zeros(()))
    >>> for _ in range(3):
    ...     chain.append(Factor(half, None, None))
    >>> float(chain.norms()[0])  # doctest: +ELLIPSIS
    0.125000000...
    """

    def __init__(self) -> None:
        self._middle: Rounded | None = None
        # M_{k←j+1} X_j with q_j and its Frobenius twin.
        self._open: list[tuple[Rounded, Any, Any]] = []

    def append(self, factor: Factor) -> None:
        """Put a factor in front: J_k J_{k−1} … J_1."""
        entering = None
        if factor.left is not None and factor.right is not None:
            entering = (factor.left, *self._sizes(factor.right))
        self._open = [(factor.middle @ product, *sizes) for product, *sizes in self._open]
        if entering is not None:
            self._open.append(entering)
        self._middle = factor.middle if self._middle is None else factor.middle @ self._middle

    def norms(self) -> tuple[_Array, _Array]:
        """Bounds of the spectral and of the Frobenius norm of the product so far."""
        return self._sizes(None)

    def _sizes(self, front: Rounded | None) -> tuple[Any, Any]:
        def placed(product: Rounded) -> Rounded:
            return product if front is None else front @ product

        if self._middle is None:
            assert front is not None
            return front.norm(), front.frobenius()
        first = placed(self._middle)
        spectral, frobenius = first.norm(), first.frobenius()
        for product, size, wide in self._open:
            moved = placed(product)
            norm = moved.norm()
            spectral = (spectral + norm * size) * _UP
            frobenius = (frobenius + np.minimum(norm * wide, moved.frobenius() * size)) * _UP
        return spectral, frobenius


def chain_bounds(factors: Sequence[Factor]) -> tuple[float, float]:
    """ln of bounds of ‖J_n ⋯ J_1‖ and ‖J_n ⋯ J_1‖_F, in segments.

    Parameters
    ----------
    factors : sequence of Factor
        In the order in which they act; at least one.

    Examples
    --------
    >>> turn = Factor(Rounded(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(())), None, None)
    >>> spectral, frobenius = chain_bounds([turn] * 100)
    >>> abs(spectral) < 1e-9, bool(abs(frobenius - np.log(2) / 2) < 1e-9)
    (True, True)
    """
    logs = []
    for start in range(0, len(factors), SEGMENT):
        chain = Chain()
        for factor in factors[start : start + SEGMENT]:
            chain.append(factor)
        with np.errstate(divide="ignore"):
            logs.append([float(np.log(size)) for size in chain.norms()])
    whole = sum(spectral for spectral, _ in logs)
    # One segment is measured by its Frobenius norm, the others by their spectral norms.
    wide = min(whole - spectral + frobenius for spectral, frobenius in logs)
    return whole, wide
