r"""Matrices in floats that know how far rounding may have taken them.

A :class:`Rounded` stack holds matrices :math:`\hat A` with numbers :math:`e \ge \|A - \hat A\|_F`,
A being what was meant. With :math:`\gamma_k = k u / (1 - k u)`, :math:`u = 2^{-53}`, any order of
summation, with or without fused multiplication, gives :math:`|\mathrm{fl}(\hat A \hat B) -
\hat A \hat B| \le \gamma_k |\hat A| |\hat B|` for k inner terms. Hence for products

.. math::

   e_{AB} = \gamma_k \|\hat A\|_F \|\hat B\|_F + \|A\| e_B + e_A \|\hat B\|,
   \qquad \|A\| \le \|\hat A\| + e_A ,

and for the spectral norm, from a decomposition :math:`\hat A \approx W V^\top` into computed
singular vectors (:math:`W = U S`) of which nothing is trusted,

.. math::

   \|A\| \le \max_i S_{ii} \sqrt{(1 + \|U^\top U - I\|_F)(1 + \|V^\top V - I\|_F)}
   + \|\hat A - W V^\top\|_F + e ,

with the rounding of the matrices on the right bounded in the same way. Numbers are rounded
upwards by the factor 1 + 2^-40, which covers the few roundings between two uses of it and sums
of up to 2^11 terms. It is the float twin of :mod:`expansion.bounds.norms`, a hundred times faster
on stacks; a test holds one against the other. Source: derived (claim B2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.errors import InputError
from expansion.towers.arrays import is_exact

__all__ = ["Rounded", "rounded_matrix"]

_Array = NDArray[np.float64]

_UNIT = 2.0**-53
_UP = 1 + 2.0**-40
_TINY = 1e-290  # what underflow may take from a sum of products
_LARGEST = 2**11


def _gamma(terms: int) -> float:
    return terms * _UNIT / (1 - terms * _UNIT)


def _frobenius(matrices: _Array) -> _Array:
    return np.asarray(np.sqrt((matrices * matrices).sum(axis=(-2, -1))) * _UP)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """A stack of matrices, each within a Frobenius distance of what was meant.

    Parameters
    ----------
    centre : array, shape (..., rows, columns)
        The matrices in floats.
    error : array, shape (...)
        e ≥ ‖A − centre‖_F.

    Examples
    --------
    >>> identity = Rounded(np.eye(2), np.array(0.0))
    >>> bool(1 <= (identity @ identity).norm() < 1 + 1e-11)
    True
    """

    centre: _Array
    error: _Array

    def __matmul__(self, other: Rounded) -> Rounded:
        """The products of two stacks, which broadcast."""
        with np.errstate(all="ignore"):
            centre = self.centre @ other.centre
            terms = self.centre.shape[-1] + 2
            sizes = _frobenius(self.centre), _frobenius(other.centre)
            error = _gamma(terms) * sizes[0] * sizes[1] + _TINY
            if np.any(other.error):
                error = error + self.norm() * other.error
            if np.any(self.error):
                error = error + self.error * Rounded(other.centre, np.zeros(())).norm()
            return Rounded(centre, np.asarray(error * _UP))

    def plus_identity(self) -> Rounded:
        """I + A."""
        size = self.centre.shape[-1]
        rounding = _UNIT * (_frobenius(self.centre) + np.sqrt(size))
        return Rounded(self.centre + np.eye(size), np.asarray((self.error + rounding) * _UP))

    def times(self, factors: Any) -> Rounded:
        """The matrices times one factor each; factors may be off by one rounding."""
        values = np.asarray(factors, dtype=np.float64)
        centre = self.centre * values[..., None, None]
        error = abs(values) * self.error + 3 * _UNIT * _frobenius(centre)
        return Rounded(centre, np.asarray(error * _UP + _TINY * (values != 0)))

    def columns_times(self, factors: Any) -> Rounded:
        """A diag(factors); factors may be off by one rounding."""
        values = np.asarray(factors, dtype=np.float64)
        centre = self.centre * values[..., None, :]
        largest = abs(values).max(axis=-1, initial=0.0)
        error = largest * self.error + 3 * _UNIT * _frobenius(centre)
        return Rounded(centre, np.asarray(error * _UP + _TINY))

    def rows_times(self, factors: Any) -> Rounded:
        """diag(factors) A; factors may be off by one rounding."""
        turned = self.transposed().columns_times(factors)
        return turned.transposed()

    def transposed(self) -> Rounded:
        """Aᵀ."""
        return Rounded(np.swapaxes(self.centre, -1, -2), self.error)

    def absolute(self) -> Rounded:
        """|A|, entry by entry."""
        return Rounded(abs(self.centre), self.error)

    def frobenius(self) -> _Array:
        """Numbers at or above ‖A‖_F, shape (...)."""
        with np.errstate(all="ignore"):
            return _finite((_frobenius(self.centre) + self.error) * _UP)

    def norm(self) -> _Array:
        """Numbers at or above the spectral norms ‖A‖, shape (...); infinite where floats fail."""
        shape = self.centre.shape
        if 0 in shape[-2:]:
            return self.error + np.zeros(shape[:-2])
        highest = self.frobenius()
        if min(shape[-2:]) == 1 or not np.isfinite(self.centre).all():
            return highest
        with np.errstate(all="ignore"):
            try:
                left, values, right = np.linalg.svd(self.centre, full_matrices=False)
            except np.linalg.LinAlgError:  # did not converge
                return highest
            spread = np.sqrt(_gram(np.swapaxes(left, -1, -2)) * _gram(right))
            scaled = left * values[..., None, :]
            rest = _frobenius(self.centre - scaled @ right)
            rounding = _gamma(shape[-1] + shape[-2] + 4) * (
                _frobenius(self.centre) + _frobenius(scaled) * _frobenius(right)
            )
            top = values.max(axis=-1) * spread + rest + rounding + self.error
            return np.minimum(highest, _finite(top * _UP + _TINY))


def _gram(rows: _Array) -> _Array:
    """A bound of ‖W Wᵀ‖ for rows that should be orthonormal."""
    size = rows.shape[-2]
    off = _frobenius(rows @ np.swapaxes(rows, -1, -2) - np.eye(size))
    return 1 + (off + _gamma(rows.shape[-1] + 2) * (_frobenius(rows) ** 2 + size)) * _UP


def _finite(values: _Array) -> _Array:
    return np.where(np.isnan(values), np.inf, values)


def rounded_matrix(matrix: Any) -> Rounded:
    """One matrix of floats or exact numbers.

    Raises
    ------
    InputError
        For a matrix with more than 2048 rows or columns, or entries that no float can hold.

    Examples
    --------
    >>> from fractions import Fraction
    >>> third = rounded_matrix(np.array([[Fraction(1, 3)]]))
    >>> float(third.error) > 0
    True
    """
    if max(matrix.shape) > _LARGEST:
        came = f"shape {matrix.shape}"
        raise InputError(f"matrices of at most {_LARGEST} rows and columns", came, "use less width")
    try:
        floats = matrix.astype(np.float64)
    except (OverflowError, TypeError):
        floats = np.full(matrix.shape, np.inf)
    if not np.isfinite(floats).all():
        raise InputError("weights that a float can hold", "larger ones", "scale them down")
    error = 2 * _UNIT * _frobenius(floats) + _TINY if is_exact(matrix) else np.zeros(())
    return Rounded(floats, np.asarray(error))
