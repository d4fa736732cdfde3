r"""How sharp the bounds of capacity are: bound against measurement, and when one is vacuous (B2).

The *ratio* of a bound is bound/measured ≥ 1; the truth lies between the two, the Lipschitz
constant being at least the largest Jacobian at the data.

A bound L of the Lipschitz constant is **vacuous** on a set of inputs when
:math:`L \min \|x - y\| \ge \max \|f(x) - f(y)\|`, over pairs of different inputs: it then allows
every pair, even the closest, a change as large as the largest that any pair shows, and so tells
nothing about any of them that the range of the outputs does not. On balls of radius R about the
inputs the closest distance is R. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from expansion.bounds.capacity import (
    METHODS,
    CapacityBound,
    CapacityTerm,
    capacity_bounds,
    capacity_terms,
)
from expansion.bounds.geometric_complexity import (
    complexity_orders,
    geometric_complexity,
    jacobians,
    measured_lipschitz,
)
from expansion.bounds.local_capacity import local_lipschitz
from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.towers.activations import activation
from expansion.towers.arrays import as_array
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.tower import Tower

__all__ = ["Capacity", "Ratios", "capacity", "random_families", "random_tower", "sharpness_ratios"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """A network's capacity: bounds from its weights beside what its data shows.

    Parameters
    ----------
    bounds : tuple of CapacityBound
        Method by method.
    terms : tuple of CapacityTerm
        Part by part.
    lipschitz : float
        Measured: the largest spectral norm of a Jacobian at the data.
    complexity : float
        Measured: the geometric complexity.
    complexity_orders : tuple of float
        Its expansion to second order in the scale, whose sum approximates it.
    nearest : float
        The smallest distance between two different inputs; infinite if there are none.
    spread : float
        The largest distance between two outputs.
    radius : float
        Of the balls about the inputs.
    local : float
        The largest of the bounds on these balls.
    """

    bounds: tuple[CapacityBound, ...]
    terms: tuple[CapacityTerm, ...]
    lipschitz: float
    complexity: float
    complexity_orders: tuple[float, float, float]
    nearest: float
    spread: float
    radius: float
    local: float

    @property
    def sharpest(self) -> CapacityBound:
        """The bound with the smallest Lipschitz constant."""
        return min(self.bounds, key=lambda bound: bound.log_lipschitz)

    @property
    def local_vacuous(self) -> bool:
        """Whether the bound on balls tells nothing that the range of the outputs does not."""
        return self.local * self.radius >= self.spread

    def vacuous(self, bound: CapacityBound) -> bool:
        """Whether a bound tells nothing that the range of the outputs does not."""
        if self.spread == 0:
            return bound.log_lipschitz > -math.inf
        return bound.log_lipschitz + math.log(self.nearest) >= math.log(self.spread)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; what no float can hold is null beside its log10."""
        best = self.sharpest
        return {
            "vacuous": self.vacuous(best),
            "method": best.method,
            "lipschitz": _finite(best.lipschitz),
            "complexity": _finite(min(bound.complexity for bound in self.bounds)),
            "bounds": [self._bound_dict(bound) for bound in self.bounds],
            "terms": [term.to_dict() for term in self.terms],
            "measured": {
                "lipschitz": self.lipschitz,
                "complexity": self.complexity,
                "complexity_orders": list(self.complexity_orders),
                "nearest_inputs": _finite(self.nearest),
                "output_spread": self.spread,
            },
            "local": {
                "radius": self.radius,
                "lipschitz": _finite(self.local),
                "vacuous": self.local_vacuous,
            },
        }

    def _bound_dict(self, bound: CapacityBound) -> dict[str, Any]:
        return {
            "method": bound.method,
            "lipschitz": _finite(bound.lipschitz),
            "log10_lipschitz": _finite(bound.log_lipschitz / math.log(10)),
            "lipschitz_ratio": _ratio(bound.lipschitz, self.lipschitz),
            "complexity": _finite(bound.complexity),
            "log10_complexity": _finite(bound.log_complexity / math.log(10)),
            "complexity_ratio": _ratio(bound.complexity, self.complexity),
            "vacuous": self.vacuous(bound),
        }


def capacity(tower: Tower, inputs: Any, *, radius: float = 0.1) -> Capacity:
    """Bound and measure a network's capacity.

    Parameters
    ----------
    tower : Tower
        With affine or one-hidden-layer branches; encoder and decoder affine or none.
    inputs : array_like, shape (samples, inputs)
        At least one; with no two that differ there is nothing to tell, and every bound is
        vacuous.
    radius : float
        R ≥ 0 of the balls about the inputs on which the local bound holds.

    Raises
    ------
    InputError
        For a branch without a Lipschitz constant, no inputs, a negative radius, or outputs or
        derivatives that no float can hold.

    Examples
    --------
    >>> tower = Tower.tied(MLPBranch([[1.0]], activation="tanh"), depth=2, rule="1/n")
    >>> found = capacity(tower, [[0.0], [1.0]])
    >>> round(found.sharpest.lipschitz, 3), round(found.lipschitz, 3)
    (2.25, 2.25)
    """
    if check_finite(radius, "the radius") < 0:  # the measured capacity takes a while
        raise InputError("a radius of at least 0", radius, "give its size")
    places = as_array(inputs, "inputs", dimensions=2).astype(np.float64)
    distances = pdist(places)
    with np.errstate(all="ignore"):  # what overflows is refused below
        orders = complexity_orders(tower, places)
        complexity = float(geometric_complexity(tower, places))
        spread = float(pdist(tower(places)).max(initial=0.0))
    if not np.isfinite([*orders, complexity, spread]).all():
        came = f"the rule {tower.rule} with these weights"
        raise InputError("outputs and derivatives that floats can hold", came, "lower the scales")
    return Capacity(
        capacity_bounds(tower),
        capacity_terms(tower),
        measured_lipschitz(tower, places),
        complexity,
        (float(orders[0]), float(orders[1]), float(orders[2])),
        float(distances[distances > 0].min(initial=math.inf)),
        spread,
        float(radius),
        float(local_lipschitz(tower, places, radius).max()),
    )


@dataclass(frozen=True, slots=True)
class Ratios:
    """How far a method's bounds are above what was measured, over several towers.

    Parameters
    ----------
    family : str
        Which towers.
    method : str
        Which bound.
    least, median, largest : float
        Of bound/measured for the Lipschitz constant.
    complexity : float
        The median of bound/measured for the geometric complexity.
    """

    family: str
    method: str
    least: float
    median: float
    largest: float
    complexity: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "towers": self.family,
            "method": self.method,
            "least": self.least,
            "median": self.median,
            "largest": self.largest,
            "median_complexity": self.complexity,
        }


def sharpness_ratios(
    families: Iterable[tuple[str, Callable[[np.random.Generator], Tower]]],
    *,
    trials: int = 20,
    samples: int = 32,
    seed: int = 0,
    methods: Sequence[str] = METHODS,
) -> tuple[Ratios, ...]:
    """Compare the methods on random towers, measured at normal inputs.

    Parameters
    ----------
    families : iterable of (name, function)
        The function draws a tower from a generator.
    trials, samples, seed : int
        Towers of each family, inputs of each tower, and where the draws start.
    methods : sequence of str
        Among :data:`~expansion.bounds.capacity.METHODS`.

    Examples
    --------
    >>> families = [("linear", lambda g: random_tower(g, "linear", depth=4))]
    >>> found = {r.method: r.largest for r in sharpness_ratios(families, trials=2)}
    >>> round(found["consecutive"], 6), found["product"] > 1.5
    (1.0, True)
    """
    check_count(trials, "trials", least=1)
    check_count(samples, "samples", least=1)
    generator = np.random.default_rng([check_count(seed, "seed", least=0), 6])
    found = []
    for family, draw in families:
        ratios = np.empty((trials, len(methods), 2))
        for trial in range(trials):
            tower = draw(generator)
            width = int(tower.branches[0].inputs or 1)
            inputs = generator.normal(size=(samples, width))
            size = math.log(measured_lipschitz(tower, inputs))
            energy = math.log((jacobians(tower, inputs) ** 2).sum() / samples)
            for row, bound in enumerate(capacity_bounds(tower, methods)):
                ratios[trial, row] = bound.log_lipschitz - size, bound.log_complexity - energy
        for row, method in enumerate(methods):
            values = np.exp(np.minimum(ratios[:, row], 709.0))
            middle = np.median(values, axis=0)
            most = float(values[:, 0].max())
            found.append(
                Ratios(family, method, float(values[:, 0].min()), middle[0], most, middle[1])
            )
    return tuple(found)


def random_families(
    names: Sequence[str] = ("linear", "relu", "tanh"), rules: Sequence[str] = ("1/sqrt(n)", "1/n")
) -> list[tuple[str, Callable[[np.random.Generator], Tower]]]:
    """Random towers of eight blocks of each activation under each rule, for the ratios.

    Examples
    --------
    >>> [family for family, _ in random_families(["relu"])]
    ['relu, 1/sqrt(n)', 'relu, 1/n']
    """
    return [
        (f"{name}, {rule}", partial(random_tower, name=name, rule=rule))
        for name in names
        for rule in rules
    ]


def random_tower(
    generator: np.random.Generator,
    name: str,
    *,
    depth: int = 8,
    dimension: int = 8,
    width: int = 16,
    rule: Any = "1/sqrt(n)",
) -> Tower:
    """A tower of independent branches V φ(U x): U normal of variance 2/d, V of variance 1/width.

    Parameters
    ----------
    generator : numpy Generator
    name : str
        The activation.
    depth, dimension, width : int
        Of the tower.
    rule : ScalingRule or what makes one
        The scales.

    Examples
    --------
    >>> random_tower(np.random.default_rng(0), "relu", depth=3).depth
    3
    """
    chosen = activation(name)

    def branch() -> MLPBranch:
        inner = generator.normal(size=(width, dimension)) * math.sqrt(2 / dimension)
        outer = generator.normal(size=(dimension, width)) / math.sqrt(width)
        return MLPBranch(outer, inner, activation=chosen)

    return Tower(tuple(branch() for _ in range(depth)), rule)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ratio(bound: float, measured: float) -> float | None:
    return _finite(bound / measured) if measured > 0 else None
