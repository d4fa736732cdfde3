r"""Random towers against the constants of claim B3: how near they come, and that none gets past.

Every trial draws a depth, a dimension, an activation and a radius over four decades, two weight
sequences W and W' and an input, from one of four families:

* *normal*: independent normal entries;
* *smooth*: a few waves in depth, as for networks near a neural ODE;
* *aligned*: one entry, the same in all blocks, W' shorter by a factor: attains both constants
  where σ(x) = x there;
* *sparse*: one entry per block, of random place and sign.

The ratios measured/bound are then at most 1, up to the rounding of the towers themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.covering import path_centre
from expansion.bounds.slopes import slope_range
from expansion.checking import check_count
from expansion.towers.activations import ACTIVATIONS

__all__ = ["NeuralODETrials", "neural_ode_trials"]

_Array = NDArray[np.float64]
_TOGETHER = 50  # towers of one shape
_NAMES = ("linear", "relu", "tanh", "erf", "sin", "gelu")


@dataclass(frozen=True, slots=True, eq=False)
class NeuralODETrials:
    """What the towers did, one entry per trial, all arrays of shape (trials,).

    Parameters
    ----------
    depth, radius, activation, activation_slope : arrays
        L, R = max(‖W‖, ‖W'‖), M and K_σ.
    input_norm, output_norm : arrays
        ‖x‖ and ‖F_W(x)‖.
    apart, moved : arrays
        ‖W − W'‖_{1,1,∞} and ‖F_W(x) − F_W'(x)‖.
    path_error : array
        Largest distance of an entry's path from its centre, over η.
    """

    depth: _Array
    radius: _Array
    activation: _Array
    activation_slope: _Array
    input_norm: _Array
    output_norm: _Array
    apart: _Array
    moved: _Array
    path_error: _Array

    def output_ratios(self) -> _Array:
        """‖F_W(x)‖ over its bound at the tower's depth."""
        grown = np.expm1(self.depth * np.log1p(self.activation_slope * self.radius / self.depth))
        moved = self.activation / self.activation_slope * grown
        return _ratio(self.output_norm, self.input_norm + moved)

    def lipschitz_ratios(self) -> _Array:
        """‖F_W(x) − F_W'(x)‖ over K_F ‖W − W'‖ at the tower's depth."""
        gain = np.log1p(self.activation_slope * self.radius / self.depth)
        return _ratio(self.moved, self.activation * np.exp((self.depth - 1) * gain) * self.apart)


def _ratio(measured: _Array, bound: _Array) -> _Array:
    """Quotients; where the bound is 0 what was measured must be 0 too."""
    safe = np.where(bound > 0, bound, 1.0)
    return np.where(bound > 0, measured / safe, np.where(measured > 0, np.inf, 0.0))


def neural_ode_trials(trials: int = 1000, seed: int = 0) -> NeuralODETrials:
    """Draw towers and measure what claim B3 bounds.

    Parameters
    ----------
    trials : int
        At least 1; rounded up to whole batches of 50.
    seed : int
        The same seed gives the same towers.

    Examples
    --------
    >>> drawn = neural_ode_trials(100)
    >>> bool(0.9 < drawn.lipschitz_ratios().max() < 1 + 1e-9)
    True
    """
    batches = -(-check_count(trials, "trials", least=1) // _TOGETHER)
    generator = np.random.default_rng(check_count(seed, "seed", least=0))
    parts = [_batch(generator, number) for number in range(batches)]
    return NeuralODETrials(*map(np.concatenate, zip(*parts, strict=True)))


def _batch(generator: np.random.Generator, number: int) -> tuple[_Array, ...]:
    depth, dimension = int(generator.integers(1, 25)), int(generator.integers(1, 5))
    name = _NAMES[number % len(_NAMES)]
    value = ACTIVATIONS[name].value
    slope = max(map(abs, slope_range(ACTIVATIONS[name])))
    shape = (_TOGETHER, depth, dimension, dimension)
    family = (_normal, _smooth, _aligned, _sparse)[generator.integers(4)]
    first, second = family(generator, shape)
    radius = 10 ** generator.uniform(-3, 1, size=_TOGETHER)
    factor = (radius / _norms(first).max(axis=1))[:, None, None, None]
    first, second = factor * first, factor * second
    shorter = _norms(first).max(axis=1) / np.maximum(_norms(second).max(axis=1), 1e-300)
    second *= np.minimum(1.0, shorter)[:, None, None, None]
    x = generator.normal(size=(_TOGETHER, dimension)) * generator.uniform(0.1, 3)
    if family is _aligned:
        x = np.abs(x).max(axis=1, keepdims=True) * np.eye(dimension)[0]
    states = [_run(weights, x, value) for weights in (first, second)]
    full = np.ones(_TOGETHER)
    return (
        depth * full,
        np.maximum(_norms(first).max(axis=1), _norms(second).max(axis=1)),
        np.abs(value(x)).max(axis=1),
        slope * full,
        np.linalg.norm(x, axis=1),
        np.linalg.norm(states[0], axis=1),
        _norms(first - second).max(axis=1),
        np.linalg.norm(states[0] - states[1], axis=1),
        np.array([_path_error(generator, path) for path in first[:, :, 0, 0]]),
    )


def _run(weights: _Array, x: _Array, value: object) -> _Array:
    assert callable(value)
    state, depth = x, weights.shape[1]
    for block in range(depth):
        state = state + np.einsum("tij,tj->ti", weights[:, block], value(state)) / depth
    return state


def _norms(weights: _Array) -> _Array:
    """‖W_k‖_{1,1} of every block."""
    return np.asarray(np.abs(weights).sum(axis=(2, 3)))


def _path_error(generator: np.random.Generator, path: _Array) -> float:
    """How far a path is from its centre at the layers, over η."""
    radius = float(np.abs(path).max()) * 1.0000001
    slope = len(path) * float(np.abs(np.diff(path)).max(initial=0.0)) * 1.0000001
    error = max(radius, slope / 50, 1e-6) * 10 ** generator.uniform(-1.5, 0)
    centre = path_centre(list(path), radius, slope, error)
    return float(np.abs(path - np.array(centre.values)).max()) / error


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> list[_Array]:
    first = generator.normal(size=shape)
    return [first, first + 10 ** generator.uniform(-3, 0) * generator.normal(size=shape)]


def _smooth(generator: np.random.Generator, shape: tuple[int, ...]) -> list[_Array]:
    times = np.arange(shape[1]) / shape[1]
    waves = np.stack([np.cos(np.pi * k * times) / (1 + k) for k in range(5)])
    drawn = generator.normal(size=(2, 5, shape[0], shape[2], shape[3]))
    first, second = np.einsum("wk,swtij->stkij", waves, drawn)
    return [first, first + 10 ** generator.uniform(-3, 0) * second]


def _aligned(generator: np.random.Generator, shape: tuple[int, ...]) -> list[_Array]:
    first = np.zeros(shape)
    first[..., 0, 0] = 1.0
    return [first, first * generator.uniform(0.9, 1, size=(shape[0], 1, 1, 1))]


def _sparse(generator: np.random.Generator, shape: tuple[int, ...]) -> list[_Array]:
    both = []
    for _ in range(2):
        drawn = np.zeros((shape[0] * shape[1], shape[2] * shape[3]))
        places = generator.integers(shape[2] * shape[3], size=len(drawn))
        drawn[np.arange(len(drawn)), places] = generator.choice([-1.0, 1.0], size=len(drawn))
        both.append(drawn.reshape(shape))
    both[1] *= generator.uniform(0.5, 1, size=(shape[0], 1, 1, 1))
    return both
