r"""The class of towers of claim B3, and its constants read off a network and a data set.

Growth and the Lipschitz constant in the weights are derived in
:mod:`~expansion.bounds.neural_ode`; here they are computed, as logarithms, for they are
exponential in the radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.slopes import slope_range
from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.towers.activations import activation as activation_of
from expansion.towers.arrays import as_array
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.tower import Tower

__all__ = ["TowerClass", "class_of_tower", "class_of_weights"]

_LARGEST, _LARGEST_GAIN = 1e100, 1e9
_UPWARDS = 1 + 1e-12  # what the rounding of sums and norms of floats may take away


@dataclass(frozen=True, slots=True)
class TowerClass:
    """What the bound depends on: a class of towers, its inputs and a loss.

    Parameters
    ----------
    dimension : int
        d ≥ 1.
    radius, slope : float
        R and K, at least 0.
    activation : float
        M ≥ 0, with |σ(x_j)| ≤ M for every input x.
    input_radius, target_radius : float
        R_X and R_Y, at least 0, in the Euclidean norm.
    activation_slope : float
        K_σ > 0.
    loss_slope : float
        K_ℓ > 0.
    loss_at_target : float
        ℓ_0 ≥ 0.
    loss_bound : float, optional
        A bound of the loss known otherwise, such as 1 for a ramp; M̄ is at most that.
    depth : int, optional
        L ≥ 1; by default one bound serves every depth. It holds for each depth that was chosen
        before the sample was seen, not for all of them together.

    Raises
    ------
    InputError
        For a negative, non-finite or enormous constant.

    Examples
    --------
    >>> of_two = TowerClass(2, radius=0.5, slope=0.5, activation=1, input_radius=1, target_radius=1)
    >>> round(math.exp(of_two.log_lipschitz()), 4), round(math.exp(of_two.log_output()), 4)
    (1.6487, 1.6487)
    """

    dimension: int
    radius: float
    slope: float
    activation: float
    input_radius: float
    target_radius: float
    activation_slope: float = 1.0
    loss_slope: float = 1.0
    loss_at_target: float = 0.0
    loss_bound: float | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        check_count(self.dimension, "dimension", least=1)
        if self.depth is not None:
            check_count(self.depth, "depth", least=1)
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name in ("dimension", "depth") or value is None:
                continue
            name = part.name.replace("_", " ")
            positive = part.name in ("activation_slope", "loss_slope", "loss_bound")
            if check_finite(value, name) < 0 or (positive and value == 0):
                required = f"{name} must be {'above' if positive else 'at least'} 0"
                raise InputError(required, value, "give a norm or a bound")
            if value > _LARGEST:
                raise InputError(f"{name} of at most {_LARGEST:g}", value, "use other units")
        if 0 < self.radius < 1 / _LARGEST:
            required = f"a radius of 0, or of at least {1 / _LARGEST:g}"
            raise InputError(required, self.radius, "round it up")
        if self.activation_slope * self.radius > _LARGEST_GAIN:
            came = f"{self.activation_slope * self.radius:g}"
            required = f"K_σ R of at most {_LARGEST_GAIN:g}: the bound is exponential in it"
            raise InputError(required, came, "give smaller ones")
        if self.log_loss() == -math.inf:
            raise InputError("a loss that can be above 0", "R_X, R_Y, M of 0", "give their sizes")

    def log_lipschitz(self, excess: Any = 0.0) -> Any:
        """Log K_F, the Lipschitz constant of the output in the weights, at radius R + excess."""
        if not self.activation:
            return np.full_like(np.asarray(excess, dtype=float), -np.inf)[()]
        gain = self.activation_slope * (self.radius + np.asarray(excess, dtype=float))
        grown = gain if self.depth is None else (self.depth - 1) * np.log1p(gain / self.depth)
        return (math.log(self.activation) + grown)[()]

    def log_output(self, excess: Any = 0.0) -> Any:
        """Log of the largest ‖F_W(x)‖ at radius R + excess; −inf if that is 0."""
        gain = self.activation_slope * (self.radius + np.asarray(excess, dtype=float))
        grown = gain if self.depth is None else self.depth * np.log1p(gain / self.depth)
        with np.errstate(divide="ignore", over="ignore"):
            # log(e^g − 1), without overflow and without cancellation
            moved = np.where(grown > 30, grown + np.log1p(-np.exp(-grown)), np.log(np.expm1(grown)))
        moved = moved + (_log(self.activation) - math.log(self.activation_slope))
        return np.logaddexp(_log(self.input_radius), moved)[()]

    def log_loss(self, excess: Any = 0.0) -> Any:
        """Log M̄, the largest loss, at radius R + excess."""
        reached = np.logaddexp(self.log_output(excess), _log(self.target_radius))
        most = np.logaddexp(_log(self.loss_at_target), math.log(self.loss_slope) + reached)
        limit = math.inf if self.loss_bound is None else math.log(self.loss_bound)
        return np.minimum(most, limit)[()]

    def rounded_up(self) -> tuple[TowerClass, float]:
        """The class of the grid that contains this one, and −log of its probability there.

        Examples
        --------
        >>> of_two = TowerClass(2, 0.49, 0.5, activation=1, input_radius=1, target_radius=1)
        >>> grid, cost = of_two.rounded_up()
        >>> grid.radius, grid.slope, round(cost, 3)
        (0.5, 0.5, 8.776)
        """
        step = 1 / (16 * self.activation_slope)
        number = max(1, math.ceil(self.radius / step))
        cost = math.log(number) + math.log(number + 1)
        slope = 0.0
        if self.slope:
            power = math.ceil(4 * math.log2(self.slope))
            slope = max(2.0 ** (power / 4), self.slope)
            cost += math.log(3 * (abs(power) + 1) * (abs(power) + 2))
        else:
            cost += math.log(2)
        return replace(self, radius=max(number * step, self.radius), slope=slope), cost


def class_of_weights(
    weights: Any,
    inputs: Any,
    targets: Any = None,
    *,
    activation: str = "relu",
    every_depth: bool = True,
    **loss: float | None,
) -> TowerClass:
    """Read the constants off a network's weights and a data set.

    Parameters
    ----------
    weights : array_like, shape (L, d, d)
        W_1 … W_L, without the factor 1/L.
    inputs : array_like, shape (samples, d)
        What enters the first block (after a fixed encoder).
    targets : array_like, shape (samples, d), optional
        For losses that are distances; R_Y is 0 without them.
    activation : str
        σ.
    every_depth : bool
        Whether the bound shall hold at every depth, or at this L only.
    **loss
        ``loss_slope``, ``loss_at_target``, ``loss_bound`` of :class:`TowerClass`.

    Raises
    ------
    InputError
        For weights or data that are empty, not finite or do not fit, or an unknown activation.

    Examples
    --------
    >>> found = class_of_weights(np.eye(2)[None] * [[[1.0]], [[0.5]]], [[0.6, -0.8]])
    >>> sizes = found.radius, found.slope, found.activation, found.input_radius
    >>> [round(size, 9) for size in sizes]
    [2.0, 1.0, 0.6, 1.0]
    """
    stack, points = _finite(weights, "weights", 3), _finite(inputs, "inputs", 2)
    depth, rows, columns = stack.shape
    if rows != columns or points.shape[1] != rows:
        came = f"weights of shape {stack.shape}, inputs of shape {points.shape}"
        raise InputError("square weights (L, d, d) and inputs (samples, d)", came, "make them fit")
    sigma = activation_of(activation)
    reach = 0.0
    if targets is not None:
        goals = _finite(targets, "targets", 2)
        if goals.shape != points.shape:
            came = f"targets of shape {goals.shape} for inputs of shape {points.shape}"
            raise InputError("one target in d dimensions per input", came, "make them fit")
        reach = float(np.linalg.norm(goals, axis=1).max()) * _UPWARDS
    steps = np.abs(np.diff(stack, axis=0))
    return TowerClass(
        rows,
        float(np.abs(stack).sum(axis=(1, 2)).max()) * _UPWARDS,
        depth * float(steps.max(initial=0.0)) * _UPWARDS,
        float(np.abs(sigma.value(points)).max()) * _UPWARDS,
        float(np.linalg.norm(points, axis=1).max()) * _UPWARDS,
        reach,
        max(map(abs, slope_range(sigma))),
        depth=None if every_depth else depth,
        **loss,  # type: ignore[arg-type]
    )


def class_of_tower(
    tower: Tower,
    inputs: Any,
    targets: Any = None,
    *,
    every_depth: bool = True,
    **loss: float | None,
) -> TowerClass:
    """Read the constants off a tower of branches V σ(x), with W_k = L λ_k V_k.

    Parameters
    ----------
    tower : Tower
        Of branches with an outer matrix only and one activation; its encoder must not depend on
        the sample, for the bound to hold.
    inputs : array_like, shape (samples, inputs)
        Inputs of the network.
    targets, every_depth, **loss
        As for :func:`class_of_weights`.

    Raises
    ------
    InputError
        For other branches: they are not in the class.

    Examples
    --------
    >>> from expansion.towers.branches.layered import MLPBranch
    >>> tower = Tower.tied(MLPBranch(outer=[[0.5]], activation="tanh"), 4, "1/n")
    >>> found = class_of_tower(tower, [[1.0]])
    >>> round(found.radius, 9), found.slope, round(found.activation, 4)
    (0.5, 0.0, 0.7616)
    """
    names, scaled = set(), []
    scales = tower.rule.floats(tower.depth)
    for number, (branch, scale) in enumerate(zip(tower.branches, scales, strict=True), 1):
        plain = isinstance(branch, MLPBranch) and all(
            part is None for part in (branch.inner, branch.inner_bias, branch.outer_bias)
        )
        if not isinstance(branch, MLPBranch) or not plain:
            came = f"{type(branch).__name__} in block {number}"
            required = "branches V σ(x), with an outer matrix and no biases"
            raise InputError(required, came, "this bound is for that class only")
        names.add(branch.activation.name)
        scaled.append(tower.depth * scale * np.asarray(branch.outer, dtype=np.float64))
    if len(names) != 1:
        raise InputError("one activation in all blocks", ", ".join(sorted(names)), "make it one")
    points = np.asarray(tower.encode(as_array(inputs, "inputs", dimensions=2)), dtype=np.float64)
    name = names.pop()
    return class_of_weights(
        scaled, points, targets, activation=name, every_depth=every_depth, **loss
    )


def _finite(values: Any, name: str, dimensions: int) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != dimensions or not found.size:
        mend = f"give {dimensions} axes, none of length 0"
        raise InputError(f"{name} with {dimensions} axes", f"shape {found.shape}", mend)
    if not np.isfinite(found).all():
        raise InputError(f"finite {name}", "an infinite or missing entry", "remove it")
    return found


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
