r"""Compiled bodies for jets: matrix times a few vectors, and activations of power series.

Floats only. A series is an array of shape (coefficients, lanes), one row per power of z, every
lane a series of its own. The recurrences are those of :mod:`expansion.towers.power_series`,

.. math:: k\,y_k = \sum_{j=1}^{k} j\,u_j\,g_{k-j} \quad\text{for } y' = g(u)\,u',

run along the lanes so that they vectorise.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from expansion.compiling import compiled

__all__ = ["CODES", "activate", "multiply", "run_blocks"]

Floats = NDArray[np.float64]

CODES = {"linear": 0, "relu": 1, "tanh": 2, "sin": 3, "erf": 4, "gelu": 5}
_BLOCK = 512  # lanes worked on together: a few rows of them stay in the first-level cache


@compiled(fastmath={"reassoc", "contract"})
def multiply(matrix: Floats, vectors: Floats, out: Floats) -> None:
    """``out[k, i] = Σ_j matrix[i, j] vectors[k, j]`` for every row k of ``out``.

    Every weight comes from memory once. Four rows of the matrix meet two vectors at a time:
    eight sums in registers for six loads.
    """
    rows, columns = matrix.shape
    count = len(out)
    i = 0
    while i + 4 <= rows:
        k = 0
        while k < count:
            # An odd last vector is taken twice.
            u, v = vectors[k], vectors[min(k + 1, count - 1)]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
            for j in range(columns):
                s, t = u[j], v[j]
                w0, w1, w2, w3 = matrix[i, j], matrix[i + 1, j], matrix[i + 2, j], matrix[i + 3, j]
                a0 += w0 * s
                a1 += w1 * s
                a2 += w2 * s
                a3 += w3 * s
                b0 += w0 * t
                b1 += w1 * t
                b2 += w2 * t
                b3 += w3 * t
            x, y = out[k], out[min(k + 1, count - 1)]
            x[i], x[i + 1], x[i + 2], x[i + 3] = a0, a1, a2, a3
            y[i], y[i + 1], y[i + 2], y[i + 3] = b0, b1, b2, b3
            k += 2
        i += 4
    for row in range(i, rows):
        for k in range(count):
            total = 0.0
            for j in range(columns):
                total += matrix[row, j] * vectors[k, j]
            out[k, row] = total


@compiled(fastmath={"contract"})
def _accumulate(y: Floats, a: Floats, b: Floats, factor: float) -> None:
    """One term of a recurrence, along the lanes."""
    for i in range(y.size):
        y[i] += factor * a[i] * b[i]


@compiled()
def _next(y: Floats, k: int, u: Floats, g: Floats, factor: float, start: int, stop: int) -> None:
    """y_k = factor · Σ_j j u_j g_{k−j} / k."""
    row = y[k, start:stop]
    row[:] = 0.0
    for j in range(1, k + 1):
        _accumulate(row, u[j, start:stop], g[k - j, start:stop], factor * j / k)


@compiled()
def _convolve(
    y: Floats, k: int, a: Floats, b: Floats, factor: float, start: int, stop: int
) -> None:
    """y_k = factor · Σ_j a_j b_{k−j}."""
    row = y[k, start:stop]
    row[:] = 0.0
    for j in range(k + 1):
        _accumulate(row, a[j, start:stop], b[k - j, start:stop], factor)


@compiled()
def _tanh(u: Floats, y: Floats, slope: Floats, start: int, stop: int) -> None:
    for i in range(start, stop):
        y[0, i] = math.tanh(u[0, i])
        slope[0, i] = 1.0 - y[0, i] * y[0, i]
    for k in range(1, len(u)):
        _next(y, k, u, slope, 1.0, start, stop)
        _convolve(slope, k, y, y, -1.0, start, stop)


@compiled()
def _sin(u: Floats, y: Floats, cosine: Floats, start: int, stop: int) -> None:
    for i in range(start, stop):
        y[0, i] = math.sin(u[0, i])
        cosine[0, i] = math.cos(u[0, i])
    for k in range(1, len(u)):
        _next(y, k, u, cosine, 1.0, start, stop)
        _next(cosine, k, u, y, -1.0, start, stop)


@compiled()
def _erf(u: Floats, y: Floats, work: Floats, scale: float, start: int, stop: int) -> None:
    """erf(scale · u)."""
    square, gaussian = work[0], work[1]
    for k in range(len(u)):
        _convolve(square, k, u, u, -scale * scale, start, stop)
    for i in range(start, stop):
        y[0, i] = math.erf(scale * u[0, i])
        gaussian[0, i] = math.exp(square[0, i])
    for k in range(1, len(u)):
        _next(gaussian, k, square, gaussian, 1.0, start, stop)
    for k in range(1, len(u)):
        _next(y, k, u, gaussian, scale * 2.0 / math.sqrt(math.pi), start, stop)


@compiled()
def _gelu(u: Floats, y: Floats, work: Floats, start: int, stop: int) -> None:
    """u (1 + erf(u/√2)) / 2."""
    normal = work[2]
    _erf(u, normal, work, math.sqrt(0.5), start, stop)
    for i in range(start, stop):
        normal[0, i] += 1.0
    for k in range(len(u)):
        _convolve(y, k, u, normal, 0.5, start, stop)


@compiled()
def _relu(u: Floats, y: Floats, start: int, stop: int) -> None:
    """On a kink the first coefficient that moves decides."""
    for i in range(start, stop):
        leading = 0
        while leading < len(u) - 1 and u[leading, i] == 0.0:
            leading += 1
        is_open = u[leading, i] > 0.0
        for k in range(len(u)):
            y[k, i] = u[k, i] if is_open else 0.0


@compiled()
def activate(code: int, u: Floats, y: Floats, work: Floats) -> None:
    """Activation of every lane's series.

    Parameters
    ----------
    code : int
        A value of :data:`CODES`.
    u, y : array, shape (coefficients, lanes)
        Input, and output (overwritten).
    work : array, shape (3, coefficients, lanes)
        Overwritten.
    """
    lanes = u.shape[1]
    for start in range(0, lanes, _BLOCK):
        stop = min(start + _BLOCK, lanes)
        if code == 1:
            _relu(u, y, start, stop)
        elif code == 2:
            _tanh(u, y, work[0], start, stop)
        elif code == 3:
            _sin(u, y, work[0], start, stop)
        elif code == 4:
            _erf(u, y, work, 1.0, start, stop)
        elif code == 5:
            _gelu(u, y, work, start, stop)
        else:
            _copy(y[:, start:stop], u[:, start:stop])


@compiled()
def _copy(out: Floats, vectors: Floats) -> None:
    for k in range(len(out)):
        for i in range(out.shape[1]):
            out[k, i] = vectors[k, i]


@compiled()
def _add(out: Floats, vectors: Floats, scale: float) -> None:
    for k in range(len(out)):
        for i in range(out.shape[1]):
            out[k, i] += scale * vectors[k, i]


@compiled()
def _shift(out: Floats, bias: Floats, batch: int) -> None:
    """Add a bias to the rows of coefficient 0."""
    for k in range(batch):
        for i in range(len(bias)):
            out[k, i] += bias[i]


@intrinsic  # type: ignore[untyped-decorator]
def _at(_: Any, address: Any) -> Any:
    """The floats that lie at an address: what lets one compiled loop see all blocks' weights."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


@compiled()
def run_blocks(
    addresses: NDArray[np.uintp],
    widths: NDArray[np.intp],
    codes: NDArray[np.intp],
    scales: Floats,
    series: Floats,
    batch: int,
) -> None:
    """Carry a series through all blocks, ``u ← u + z λ f(u)``.

    Parameters
    ----------
    addresses : array of int, shape (blocks, 4)
        Where U, b, V, c of every block lie, 0 for a missing one. Matrices are C-contiguous.
    widths, codes : array of int, shape (blocks,)
        Hidden units, and the activation's code.
    scales : array, shape (blocks,)
        λ.
    series : array, shape ((K + 1) * batch, dimension)
        Coefficient by coefficient; overwritten.
    batch : int
        Number of inputs.
    """
    dimension = series.shape[1]
    rows = len(series) - batch  # z·λ f(u) needs one coefficient less than u has
    order = rows // batch
    widest = max(widths.max(), dimension)
    first, second = np.empty(rows * widest), np.empty(rows * widest)
    work, moved = np.empty(3 * rows * widest), np.empty((rows, dimension))
    for block in range(len(scales)):
        width = widths[block]
        lanes = batch * width
        hidden = first[: rows * width].reshape(rows, width)
        active = second[: rows * width].reshape(rows, width)
        inner, before, outer, after = addresses[block]
        if inner:
            multiply(numba.carray(_at(inner), (width, dimension), np.float64), series, hidden)
        else:
            _copy(hidden, series)
        if before:
            _shift(hidden, numba.carray(_at(before), (width,), np.float64), batch)
        activate(
            codes[block],
            hidden.reshape(order, lanes),
            active.reshape(order, lanes),
            work[: 3 * rows * width].reshape(3, order, lanes),
        )
        if outer:
            multiply(numba.carray(_at(outer), (dimension, width), np.float64), active, moved)
        else:
            _copy(moved, active)
        if after:
            _shift(moved, numba.carray(_at(after), (dimension,), np.float64), batch)
        _add(series[batch:], moved, scales[block])
