r"""Whole towers with every matrix drawn: signals, orders and gradients, in plain NumPy.

Slower than :mod:`~expansion.growth.simulate` and independent of it: here a matrix is a matrix,
activations are those of the towers, and nothing is assumed about laws. It measures what needs
the matrices themselves: the gradient, which meets each of them a second time, and the orders
P_0…P_n of the frozen-gate expansion, which each meets together (claims G2, G7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from expansion.checking import check_count
from expansion.growth.setting import Setting
from expansion.growth.simulate import inputs_of
from expansion.growth.units import LEAKY_SLOPE
from expansion.towers.activations import ACTIVATIONS
from expansion.towers.scaling import ScalingRule

__all__ = ["Drawn", "drawn_towers", "gradient_and_order"]

_Array = NDArray[np.float64]
_KEPT = 2**25  # matrix entries held for the way back
_DRAWN = 2**27  # matrix entries drawn for one row of a table, some seconds


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What drawn towers did, trial by trial.

    Parameters
    ----------
    energies : array, shape (trials,)
        ‖x_n‖²/‖x_0‖².
    backward : array, shape (trials, n)
        ‖g_{l−1}‖²/‖g_l‖² of the gradients, for a random readout g_n; it has no part along the
        mean of branches that have one.
    correlations : array, shape (trials,)
        c_n; nan for a single input.
    mean_orders : array, shape (trials,)
        Σ k ⟨P_k, x_n⟩/‖x_n‖².
    grams : array, shape (trials, n + 1, n + 1), optional
        ⟨P_j, P_k⟩/‖x_0‖² of the orders.
    """

    energies: _Array
    backward: _Array
    correlations: _Array
    mean_orders: _Array
    grams: _Array | None

    @property
    def gradients(self) -> _Array:
        """‖g_0‖²/‖g_n‖², shape (trials,)."""
        return np.asarray(self.backward.prod(axis=1))


def _value(branch: str, u: _Array) -> _Array:
    if branch == "leaky-relu":
        return np.where(u > 0, u, LEAKY_SLOPE * u)
    if branch == "silu":
        return np.asarray(u * special.expit(u))
    return np.asarray(ACTIVATIONS[branch].value(u))


def _slope(branch: str, u: _Array) -> _Array:
    if branch == "leaky-relu":
        return np.where(u > 0, 1.0, LEAKY_SLOPE)
    if branch == "silu":
        s = special.expit(u)
        return np.asarray(s + u * s * (1 - s))
    return np.asarray(ACTIVATIONS[branch].derivative(u, 1)) * 1.0


def drawn_towers(
    setting: Setting,
    rule: ScalingRule | str,
    depth: int,
    *,
    dimension: int = 64,
    width: int = 64,
    trials: int = 100,
    seed: int | Sequence[int] = 0,
    correlation: float | None = None,
    orders: bool = False,
) -> Drawn:
    """Draw towers, one or two inputs, and a readout; carry all of it through.

    Parameters
    ----------
    setting : Setting
        What a block is.
    rule : ScalingRule or str
        The scales.
    depth : int
        n ≥ 1; all matrices of a trial are kept for the way back, 8 bytes an entry.
    dimension, width, trials : int
        Sizes and independent draws.
    seed : int or sequence of int
        The same seed gives the same towers.
    correlation : float, optional
        c_0 of a second input.
    orders : bool
        Whether to carry all orders of the first input too; the mean order comes anyway.

    Examples
    --------
    >>> drawn = drawn_towers(Setting("relu"), "1/n", 4, dimension=8, width=8, trials=50)
    >>> bool(abs(drawn.energies.mean() - 1.27) < 0.3)
    True
    """
    chosen = ScalingRule.of(rule)
    trials = check_count(trials, "trials", least=2)
    words = [seed] if isinstance(seed, int) else list(seed)
    scales = np.ones(depth) if chosen.normalised else chosen.floats(depth)
    entries = len(scales) * (setting.layers or 1) * max(dimension, width) ** 2
    chunk = max(1, _KEPT // entries)
    parts = []
    for first in range(0, trials, chunk):
        count = min(chunk, trials - first)
        source = [*words, 4, first]
        parts.append(
            _draw(setting, chosen, scales, dimension, width, count, source, correlation, orders)
        )
    return Drawn(*(_joined([getattr(part, one.name) for part in parts]) for one in fields(Drawn)))


def gradient_and_order(
    setting: Setting,
    rule: ScalingRule,
    depth: int,
    *,
    width: int,
    trials: int,
    seed: Sequence[int],
) -> dict[str, Any]:
    """What only whole matrices show of a tower, as fields of a :class:`Simulation`.

    As many of the trials as some seconds allow; nothing where they allow fewer than eight, or
    where the signal leaves the floats, which whole towers cannot hold as logarithms. The
    gradient is estimated as the energy is: by the product of mean gains where these do not
    depend on the signal, else by the mean of its logarithm.

    Examples
    --------
    >>> found = gradient_and_order(
    ...     Setting("relu"), ScalingRule.parse("1"), 4, width=16, trials=100, seed=[1]
    ... )
    >>> abs(found["mean_order"] - 2) < 4 * found["mean_order_error"]
    True
    """
    entries = depth * (setting.layers or 1) * width**2
    count = min(trials, _DRAWN // entries)
    if count < min(trials, 8):
        return {}
    with np.errstate(all="ignore"):
        found = drawn_towers(
            setting, rule, depth, dimension=width, width=width, trials=count, seed=seed
        )
    if not np.isfinite(found.backward).all() or not np.isfinite(found.mean_orders).all():
        return {}
    normalised = setting.normalises_input or rule.normalised or setting.block == "post-norm"
    if setting.homogeneous and setting.opens and setting.closes and not normalised:
        means = found.backward.mean(axis=0)
        log_gradient = float(np.log(means).sum())
        error = float(np.sqrt((found.backward.var(axis=0, ddof=1) / means**2).sum() / count))
    else:
        logs = np.log(found.backward).sum(axis=1)
        log_gradient, error = float(logs.mean()), float(logs.std(ddof=1)) / count**0.5
    return {
        "log_gradient": log_gradient,
        "log_gradient_error": error,
        "mean_order": float(found.mean_orders.mean()),
        "mean_order_error": float(found.mean_orders.std(ddof=1)) / count**0.5,
    }


def _joined(arrays: list[_Array]) -> Any:
    return None if arrays[0] is None else np.concatenate(arrays)


def _draw(
    setting: Setting,
    rule: ScalingRule,
    scales: _Array,
    dimension: int,
    width: int,
    trials: int,
    seed: Sequence[int],
    correlation: float | None,
    orders: bool,
) -> Drawn:
    generator = np.random.default_rng(seed)
    x = inputs_of(setting, correlation, trials, dimension, seed) * setting.input_energy**0.5
    # Σ k P_k first: the orders' derivative at z = 1; then, if asked for, P_0, P_1, …
    parts = np.zeros((trials, 2 + len(scales) if orders else 1, dimension))
    if orders:
        parts[:, 1] = x[:, 0]
    factor = float(np.exp(rule.log_block_factor))
    norm_in = setting.normalises_input or rule.normalised
    tape: list[tuple[list[tuple[str, _Array]], _Array, _Array]] = []
    for scale in scales:
        before = np.sqrt((x**2).mean(axis=2, keepdims=True)) if norm_in else np.ones((trials, 1, 1))
        stages, moved, moved_parts = _branch(
            setting, x / before, parts / before[:, :1], dimension, width, generator
        )
        seen = x[:, 0] / before[:, 0]
        x = factor * (x + scale * moved)
        parts[:, 0] += scale * (moved_parts[:, 0] + moved[:, 0])
        parts[:, 2:] += scale * moved_parts[:, 1:-1]
        parts *= factor
        after = np.ones((trials, 1, 1))
        if setting.block == "post-norm":
            after = np.sqrt((x**2).mean(axis=2, keepdims=True))
            x, parts = x / after, parts / after[:, :1]
        tape.append(
            (stages, np.stack([before[:, 0, 0], after[:, 0, 0]]), np.stack([seen, x[:, 0]]))
        )
    gradient = generator.normal(size=(trials, dimension))
    if not setting.closes:
        gradient -= gradient.mean(axis=1, keepdims=True)
    backward = np.empty((trials, len(scales)))
    for place in reversed(range(len(scales))):
        stages, norms, signals = tape[place]
        end = (gradient**2).sum(axis=1)
        normed_in, normed_out = signals
        if setting.block == "post-norm":
            gradient = _through_norm(gradient, normed_out) / norms[1][:, None]
        back = gradient
        for kind, array in reversed(stages):
            back = np.einsum("tij,ti->tj", array, back) if kind == "matrix" else array * back
        if norm_in:
            back = _through_norm(back, normed_in) / norms[0][:, None]
        gradient = factor * (gradient + scales[place] * back)
        backward[:, place] = (gradient**2).sum(axis=1) / end
        gradient /= np.sqrt((gradient**2).mean(axis=1, keepdims=True))
    start = dimension * setting.input_energy
    energies = (x[:, 0] ** 2).sum(axis=1)
    correlations = np.full(trials, np.nan)
    if correlation is not None:
        correlations = (x[:, 0] * x[:, 1]).sum(axis=1) / np.sqrt((x**2).sum(axis=2).prod(axis=1))
    return Drawn(
        energies / start,
        backward,
        correlations,
        (parts[:, 0] * x[:, 0]).sum(axis=1) / energies,
        np.einsum("tji,tki->tjk", parts[:, 1:], parts[:, 1:]) / start if orders else None,
    )


def _through_norm(gradient: _Array, normed: _Array) -> _Array:
    """Gradient before x/rms(x), up to 1/rms: the part along x is lost."""
    along = (gradient * normed).mean(axis=1, keepdims=True)
    return np.asarray(gradient - along * normed)


def _branch(
    setting: Setting,
    x: _Array,
    parts: _Array,
    dimension: int,
    width: int,
    generator: np.random.Generator,
) -> tuple[list[tuple[str, _Array]], _Array, _Array]:
    """Stages of one branch with the first input's slopes; its value; its value on the orders."""
    stages: list[tuple[str, _Array]] = []
    layers = setting.layers or 1
    trials = x.shape[0]
    for layer in range(layers):
        if layer > 0 or not setting.opens:
            x, parts = _activate(setting.branch, x, parts, stages)
        unit = setting.unit_closing and layer == layers - 1
        rows = dimension if layer == layers - 1 else width
        variance = 1.0 if unit else float(setting.weight_variance or 0.0)
        spread = np.sqrt(variance / x.shape[2])
        matrix = spread * generator.normal(size=(trials, rows, x.shape[2]))
        bias = np.sqrt(0.0 if unit else setting.bias_variance)
        stages.append(("matrix", matrix))
        shift = bias * generator.normal(size=(trials, 1, rows))
        x = np.einsum("tij,taj->tai", matrix, x) + shift
        parts = np.einsum("tij,taj->tai", matrix, parts)
        parts[:, 1:2] += shift  # what a bias starts has the branch's own order
    if not setting.closes:
        x, parts = _activate(setting.branch, x, parts, stages)
    return stages, x, parts


def _activate(
    branch: str, x: _Array, parts: _Array, stages: list[tuple[str, _Array]]
) -> tuple[_Array, _Array]:
    stages.append(("slopes", _slope(branch, x[:, 0])))
    value = _value(branch, x)
    gate = value[:, :1] / np.where(x[:, :1] == 0, 1, x[:, :1])
    return value, parts * gate
