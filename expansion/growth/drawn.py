r"""Whole towers with every matrix drawn: signals, orders and gradients, in plain NumPy.

Slower than :mod:`~expansion.growth.simulate` and independent of it: here a matrix is a matrix,
activations are those of the towers, and nothing is assumed about laws. It measures what needs
the matrices themselves: the gradient, which meets each of them a second time, and the orders
P_0…P_n of the frozen-gate expansion, which each meets together (claims G2, G7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.growth.setting import Setting
from expansion.growth.simulate import inputs_of
from expansion.growth.units import LEAKY_SLOPE
from expansion.towers.activations import ACTIVATIONS
from expansion.towers.scaling import ScalingRule

__all__ = ["Drawn", "drawn_towers"]

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What drawn towers did, trial by trial.

    Parameters
    ----------
    energies : array, shape (trials,)
        ‖x_n‖²/‖x_0‖².
    gradients : array, shape (trials,)
        ‖g_0‖²/‖g_n‖² for a random readout g_n.
    correlations : array, shape (trials,)
        c_n; nan for a single input.
    grams : array, shape (trials, n + 1, n + 1), optional
        ⟨P_j, P_k⟩/‖x_0‖² of the orders.
    """

    energies: _Array
    gradients: _Array
    correlations: _Array
    grams: _Array | None


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
        n ≥ 1; all matrices of a trial are kept for the way back.
    dimension, width, trials : int
        Sizes and independent draws.
    seed : int or sequence of int
        The same seed gives the same towers.
    correlation : float, optional
        c_0 of a second input.
    orders : bool
        Whether to carry the orders of the first input too: branches without bias that end in a
        matrix only.

    Examples
    --------
    >>> drawn = drawn_towers(Setting("relu"), "1/n", 4, dimension=8, width=8, trials=50)
    >>> bool(abs(drawn.energies.mean() - 1.27) < 0.3)
    True
    """
    chosen = ScalingRule.of(rule)
    trials = check_count(trials, "trials", least=2)
    if orders and (setting.bias_variance or not setting.closes):
        came = f"{setting.block} with bias variance {setting.bias_variance:g}"
        raise InputError("branches without bias that end in a matrix, for orders", came, "drop it")
    words = [seed] if isinstance(seed, int) else list(seed)
    generator = np.random.default_rng([*words, 4])
    x = inputs_of(setting, correlation, trials, dimension, words) * setting.input_energy**0.5
    parts = np.zeros((trials, depth + 1 if orders else 0, dimension))
    if orders:
        parts[:, 0] = x[:, 0]
    scales = np.ones(depth) if chosen.normalised else chosen.floats(depth)
    factor = float(np.exp(chosen.log_block_factor))
    tape: list[tuple[list[tuple[str, _Array]], _Array, _Array]] = []
    for scale in scales:
        norm_in = setting.normalises_input or chosen.normalised
        before = np.sqrt((x**2).mean(axis=2, keepdims=True)) if norm_in else np.ones((trials, 1, 1))
        stages, moved, moved_parts = _branch(
            setting, x / before, parts / before[:, :1], dimension, width, generator
        )
        seen = x[:, 0] / before[:, 0]
        x = factor * (x + scale * moved)
        if orders:
            parts[:, 1:] += scale * moved_parts[:, :-1]
            parts *= factor
        after = np.ones((trials, 1, 1))
        if setting.block == "post-norm":
            after = np.sqrt((x**2).mean(axis=2, keepdims=True))
            x, parts = x / after, parts / after[:, :1]
        tape.append(
            (stages, np.stack([before[:, 0, 0], after[:, 0, 0]]), np.stack([seen, x[:, 0]]))
        )
    gradient = generator.normal(size=(trials, dimension))
    end = (gradient**2).sum(axis=1)
    for (stages, norms, signals), scale in zip(reversed(tape), scales[::-1], strict=True):
        normed_in, normed_out = signals
        if setting.block == "post-norm":
            gradient = _through_norm(gradient, normed_out) / norms[1][:, None]
        back = gradient
        for kind, array in reversed(stages):
            back = np.einsum("tij,ti->tj", array, back) if kind == "matrix" else array * back
        if setting.normalises_input or chosen.normalised:
            back = _through_norm(back, normed_in) / norms[0][:, None]
        gradient = factor * (gradient + scale * back)
    start = dimension * setting.input_energy
    correlations = np.full(trials, np.nan)
    if correlation is not None:
        sizes = np.sqrt((x**2).sum(axis=2).prod(axis=1))
        correlations = (x[:, 0] * x[:, 1]).sum(axis=1) / sizes
    return Drawn(
        (x[:, 0] ** 2).sum(axis=1) / start,
        (gradient**2).sum(axis=1) / end,
        correlations,
        np.einsum("tji,tki->tjk", parts, parts) / start if orders else None,
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
        x = np.einsum("tij,taj->tai", matrix, x) + bias * generator.normal(size=(trials, 1, rows))
        parts = np.einsum("tij,taj->tai", matrix, parts)
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
