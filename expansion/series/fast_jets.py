r"""Jets of floating-point towers, compiled: each weight is read once for all orders (claim E5).

The route of :func:`expansion.series.jets.jet_orders` for towers of affine and MLP branches on
float64. Few vectors (one input, or a small batch) go through all blocks in one compiled loop,
which is bound by reading the weights; many go through BLAS, with compiled activations.

Loading the compiled kernels costs half a second in a fresh process, and some seconds where they
were never compiled: as much as many jets in NumPy. So the first calls of a process run in NumPy,
and the kernels are loaded when the work done without them has reached what they cost, or at once
by :func:`load_kernels`. Both routes give the same numbers to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.towers.activations import ACTIVATIONS
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.tower import Tower

__all__ = ["compiled_series", "load_kernels"]

Floats = NDArray[np.float64]
_MOST_ROWS = 32  # vectors up to which the compiled product beats BLAS
_KEPT = 1 << 18  # weights per block up to which a tower's plan is kept for the next call
_WORTH_LOADING = 1e10  # multiply-adds in NumPy that take a few seconds, as loading may
_PER_BLOCK = 3e5  # what calling NumPy for one block costs, in multiply-adds


class _Kernels:
    """The compiled module once it is loaded, and the work done without it."""

    module: ModuleType | None = None
    work_without = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A tower's weights where the compiled loop finds them.

    ``parts[l]`` holds U, b, V, c of block l, and keeps them alive while addresses are in use.
    """

    parts: list[tuple[Floats | None, ...]]
    addresses: NDArray[np.uintp]
    widths: NDArray[np.intp]
    activations: list[str]
    weights: int


def load_kernels() -> ModuleType:
    """Load the compiled kernels now, so that no later call waits for them.

    Examples
    --------
    >>> sorted(load_kernels().CODES)
    ['erf', 'gelu', 'linear', 'relu', 'sin', 'tanh']
    """
    if _Kernels.module is None:
        from expansion.series import jet_kernels  # numba: a third of a second

        _Kernels.module = jet_kernels
    return _Kernels.module


def compiled_series(tower: Tower, state: NDArray[Any], order: int) -> Floats | None:
    """Orders 0..K after the last block, or None where the plain route has to be taken.

    Parameters
    ----------
    tower : Tower
        Any; only affine and MLP branches are compiled.
    state : array, shape (..., dimension)
        The encoded input.
    order : int
        K ≥ 0.

    Returns
    -------
    array, shape (K + 1, ..., dimension), or None
    """
    if state.dtype != np.float64 or not order or not state.size:
        return None
    dimension = state.shape[-1]
    small = dimension * dimension <= _KEPT
    plan = _kept_plan(tower, dimension) if small else _make_plan(tower, dimension)
    if plan is None:
        return None
    batch = state.size // dimension
    if _Kernels.module is None:
        _Kernels.work_without += plan.weights * order * batch + _PER_BLOCK * tower.depth
        if _Kernels.work_without < _WORTH_LOADING:
            return None
    kernels = load_kernels()
    series = np.zeros(((order + 1) * batch, dimension))
    series[:batch] = state.reshape(batch, dimension)
    scales = np.ascontiguousarray(tower.scales_for(state))
    if order * batch <= _MOST_ROWS:
        codes = np.array([kernels.CODES[name] for name in plan.activations])
        kernels.run_blocks(plan.addresses, plan.widths, codes, scales, series, batch)
    else:
        _through_blas(kernels, plan, scales, series, batch)
    return series.reshape(order + 1, *state.shape)


def _through_blas(
    kernels: ModuleType, plan: _Plan, scales: Floats, series: Floats, batch: int
) -> None:
    """The compiled loop's work for many vectors, in place."""
    known = series[:-batch]
    rows, dimension = known.shape
    widest = rows * max(dimension, *plan.widths)
    # Buffers for the widest block: fresh memory for every block would cost more than its sums.
    first, second = np.empty(widest), np.empty(widest)
    work, moved = np.empty(3 * widest), np.empty((rows, dimension))
    for (inner, before, outer, after), name, width, scale in zip(
        plan.parts, plan.activations, plan.widths, scales, strict=True
    ):
        hidden, active = (b[: rows * width].reshape(rows, width) for b in (first, second))
        np.copyto(hidden, known) if inner is None else np.matmul(known, inner.T, out=hidden)
        if before is not None:
            hidden[:batch] += before
        lanes = (rows // batch, batch * width)
        scratch = work[: 3 * rows * width].reshape(3, *lanes)
        code = kernels.CODES[name]
        kernels.activate(code, hidden.reshape(lanes), active.reshape(lanes), scratch)
        np.copyto(moved, active) if outer is None else np.matmul(active, outer.T, out=moved)
        if after is not None:
            moved[:batch] += after
        moved *= scale
        series[batch:] += moved


def _make_plan(tower: Tower, dimension: int) -> _Plan | None:
    """Where the weights are; None if a branch is of another kind."""
    parts: list[tuple[Floats | None, ...]] = []
    activations: list[str] = []
    for branch in tower.branches:
        if isinstance(branch, AffineBranch):
            found, name = (branch.matrix, branch.bias, None, None), "linear"
        elif isinstance(branch, MLPBranch):
            found = branch.inner, branch.inner_bias, branch.outer, branch.outer_bias
            name = branch.activation.name
            if ACTIVATIONS.get(name) is not branch.activation:
                return None
        else:
            return None
        if any(part is not None and part.dtype.kind == "c" for part in found):
            return None
        # No copy for weights that are contiguous floats already; exact ones are rounded once.
        parts.append(tuple(None if p is None else np.ascontiguousarray(p, float) for p in found))
        activations.append(name)
    addresses = [[0 if part is None else _address(part) for part in block] for block in parts]
    widths = [dimension if inner is None else len(inner) for inner, *_ in parts]
    weights = sum(part.size for block in parts for part in block if part is not None)
    return _Plan(
        parts, np.array(addresses, np.uintp), np.array(widths, np.intp), activations, weights
    )


_kept_plan = lru_cache(maxsize=8)(_make_plan)


def _address(array: Floats) -> int:
    return int(array.__array_interface__["data"][0])
