r"""Spectral norms that are bounds.

**Upper bound.** Let :math:`U S V^\top` be any three matrices of floats, such as a singular value
decomposition with its rounding errors, and :math:`E = A - U S V^\top`. Then

.. math::

   \|A\|_2 \le \|U\|_2\, \max_i S_{ii}\, \|V\|_2 + \|E\|_F, \qquad
   \|U\|_2^2 = \|U^\top U\|_2 \le 1 + \|U^\top U - I\|_F .

Everything on the right is computed in ball arithmetic from the floats as they are, so that nothing
is trusted of the decomposition but its sharpness: about thirteen digits.

**Lower bound.** :math:`\|A\|_2 \ge \|A v\| / \|v\|` with v the first column of V.
Source: derived (claims B1 and B2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from expansion.bounds.balls import PRECISION, ball_matrix, column, norm, upwards
from expansion.towers.arrays import Array, as_array

__all__ = ["certified_spectral_norm", "frobenius_norm", "spectral_norm"]


def certified_spectral_norm(matrix: Any) -> float:
    """A float at or above ‖A‖₂, larger by about 10⁻¹³ of it.

    Parameters
    ----------
    matrix : array_like, shape (rows, columns)
        A: floats, Fractions, or balls (``arb_mat``), for which every member is covered.

    Raises
    ------
    InputError
        When A is not a matrix of finite numbers.

    Examples
    --------
    >>> certified_spectral_norm([[3.0, 0.0], [4.0, 0.0]]) - 5.0 < 1e-12
    True
    """
    return upwards(spectral_norm(matrix))


def spectral_norm(matrix: Any) -> arb:
    """A ball that holds ‖A‖₂.

    Parameters
    ----------
    matrix : array_like, shape (rows, columns)
        As for :func:`certified_spectral_norm`.

    Examples
    --------
    >>> spectral_norm([[3.0, 0.0], [4.0, 0.0]]).contains(5)
    True
    """
    with ctx.workprec(PRECISION):
        if not isinstance(matrix, arb_mat):
            matrix = ball_matrix(as_array(matrix, "a matrix", dimensions=2))
        highest = frobenius_norm(matrix)
        parts = _decomposed(matrix)
        if parts is None:
            return arb(0).union(highest.upper())
        left, values, right = parts
        top = max(map(abs, values))
        spread = (_orthonormal(left) * _orthonormal(right)).sqrt()
        scaled = ball_matrix(np.asarray(left * values))
        rest = frobenius_norm(matrix - scaled * ball_matrix(np.ascontiguousarray(right.T)))
        above = (spread * arb(top) + rest).min(highest)
        direction = column(arb(float(entry)) for entry in right[:, 0])
        moved = norm((matrix * direction).entries()) / norm(direction.entries())
        return moved.lower().union(above.upper())


def frobenius_norm(matrix: arb_mat) -> arb:
    """A ball that holds ‖A‖_F.

    Examples
    --------
    >>> frobenius_norm(arb_mat([[3], [4]]))
    5.00000000000000
    """
    return norm(matrix.entries())


def _orthonormal(matrix: Array) -> arb:
    """A bound of ‖U‖₂² from U^T U."""
    gram = ball_matrix(np.ascontiguousarray(matrix.T)) * ball_matrix(matrix)
    unit = arb_mat(gram.nrows(), gram.ncols(), 1)  # ones on the diagonal
    return 1 + frobenius_norm(gram - unit)


def _decomposed(matrix: arb_mat) -> tuple[Array, Array, Array] | None:
    """A singular value decomposition in floats, or None where floats cannot hold it."""
    shape = matrix.nrows(), matrix.ncols()
    floats = np.array([float(entry.mid()) for entry in matrix.entries()]).reshape(shape)
    if not floats.size or not np.isfinite(floats).all() or not floats.any():
        return None
    try:
        left, values, right = np.linalg.svd(floats, full_matrices=False)
    except np.linalg.LinAlgError:  # did not converge
        return None
    scaled = left * values
    return (left, values, right.T) if np.isfinite(scaled).all() else None
