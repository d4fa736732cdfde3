r"""The quantities that the four papers ask of a scale, each with its law and its measurement.

A quantity's *law* is a closed form of the rule; its *measurement* is ln Q at a depth, computed by
the code that users call, from actual blocks where it needs any. The two share no formula.

============================== ======================================= ===========================
quantity                       Q                                       law of
============================== ======================================= ===========================
energy of independent branches Π(1 + λ²)                         (G1)  itself
energy of aligned branches     Π(1 + λ)²                         (G3)  itself
energy of positive branches    infinite width, θ relu(W x)       (G6)  e^{2Σλ/√π} for small scales
worst-case displacement        𝓛 = M = 1                         (G8)  Π(1 + λ) − 1
scales over radius             1/r, r the certified radius of    (B1)  Σ λ/T
                               convergence in multiples of λ
Lipschitz constant             Π(1 + λ𝓛), from weights           (B2)  itself
geometric complexity           d Π(1 + λ𝓛)², from weights        (B2)  itself
gap of neural ODEs             bound at n = 10^6 samples         (B3)  e^{K_σ R n max λ}
interlayer certificate         e^{Σ λ‖W‖}, from weights          (B4)  itself
============================== ======================================= ===========================

For the neural ODE's class (written with the scale 1/n) a block λ_l W is (1/n)(n λ_l W): R becomes
R n max λ, and the slope of the weights in depth n max λ K + n² max\|λ_{l+1} − λ_l\| R. With a
scale of 1/n both stay as they are.

*Radius.* The majorant tower v ← v + r λ b(v) of many small equal steps follows v' = b(v), which
takes the time :math:`T = \int_0^\infty dv/b(v)` to infinity: r Σλ → T.

*Positive branches* at the constant scale c: with u the cosine of the state to the mean direction
and q its energy, one block maps q to q(1 + 2cu/√π + c²) and u to (u + c/√π)/√(1 + 2cu/√π + c²);
the fixed point of u gives the rate. For falling scales u → 1.

The rule ``batchnorm`` is taken as its scales 1/√l. (Normalised branches that are *aligned* add
amplitude 1 each, energy n²: their normalisation divides by the signal they have grown.)
Source: derived; for each quantity see its claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray
from scipy import integrate, optimize

from expansion.bounds.balls import PRECISION
from expansion.bounds.branch_majorants import branch_majorant
from expansion.bounds.capacity import CapacityBound, capacity_bounds
from expansion.bounds.complex_range import Majorant
from expansion.bounds.neural_ode import neural_ode_bound
from expansion.bounds.neural_ode_class import TowerClass
from expansion.bounds.overparameterized import interlayer_certificate
from expansion.bounds.tower_majorant import TowerMajorant
from expansion.growth.energy import log_coherent_amplitude, log_energy
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from expansion.growth.worst_case import worst_case
from expansion.synthesis.laws import Law, product_law, sum_law
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower

__all__ = ["QUANTITIES", "Quantity"]

_CYCLE = 4  # blocks that are repeated, so that depths can be compared
_DIMENSION = 4
_RADIUS, _SLOPE = 0.5, 0.5  # R and K of the neural ODE's class
_SAMPLES = 10**6


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that a scale may or may not keep bounded.

    Parameters
    ----------
    name : str
        What it is.
    claim : str
        Its claim's id.
    asked_by : str
        Whose question it is.
    law : callable
        Rule to :class:`~expansion.synthesis.laws.Law`, in closed form.
    measure : callable
        (rule, depth) to ln Q.
    depths : tuple of int
        Where it is measured.
    critical : float
        β: with λ = n^(−β) it stays bounded from this exponent on.
    """

    name: str
    claim: str
    asked_by: str
    law: Callable[[ScalingRule], Law]
    measure: Callable[[ScalingRule, int], float]
    depths: tuple[int, ...]
    critical: float


@cache
def _blocks() -> tuple[MLPBranch, ...]:
    """Random ReLU branches V relu(U x), the same on every run."""
    generator = np.random.default_rng(6)
    size = (_DIMENSION, _DIMENSION)
    return tuple(
        MLPBranch(
            generator.normal(size=size) / (4 * math.sqrt(_DIMENSION)),
            generator.normal(size=size) * math.sqrt(2 / _DIMENSION),
            activation="relu",
        )
        for _ in range(_CYCLE)
    )


@cache
def _layers() -> tuple[NDArray[np.float64], ...]:
    """Square Gaussian weights of variance 2/m, the same on every run."""
    scale = math.sqrt(2 / _DIMENSION)
    generator = np.random.default_rng(7)
    return tuple(generator.normal(scale=scale, size=(_CYCLE, _DIMENSION, _DIMENSION)))


def _norm(matrix: Any) -> float:
    return float(np.linalg.norm(matrix, 2))


def _lipschitz_gains() -> list[float]:
    return [_norm(block.outer) * _norm(block.inner) for block in _blocks()]


# --- measurements -----------------------------------------------------------------------------


@lru_cache(maxsize=256)  # two quantities look at the same towers
def _capacity(rule: ScalingRule, depth: int) -> CapacityBound:
    # Scales as a list: an exact root for each of many blocks would take seconds.
    tower = Tower(_blocks() * (depth // _CYCLE), rule.floats(depth).tolist())
    return capacity_bounds(tower, ["product"])[0]


@cache
def _majorant() -> Majorant:
    branch = MLPBranch([[0.5, 0.25], [-0.25, 0.5]], [[0.5, -0.5], [0.25, 0.5]], activation="tanh")
    with ctx.workprec(PRECISION):
        return branch_majorant(branch, [arb(0.5), arb(0.25)], 8)


def _inverse_radius(rule: ScalingRule, depth: int) -> float:
    with ctx.workprec(PRECISION):
        scales = tuple(arb(scale) for scale in abs(rule.floats(depth)).tolist())
        radius = float(TowerMajorant(scales, (_majorant(),) * depth, None, 2).radius)
    return -math.log(radius) if any(rule.floats(depth)) else -math.inf


def _neural_ode(rule: ScalingRule, depth: int) -> float:
    scales = depth * abs(rule.floats(depth))
    most, change = float(scales.max()), float(abs(np.diff(scales)).max(initial=0.0))
    towers = TowerClass(
        dimension=2,
        radius=_RADIUS * most,
        slope=_SLOPE * most + depth * change * _RADIUS,
        activation=1.0,
        input_radius=1.0,
        target_radius=1.0,
    )
    return neural_ode_bound(towers, _SAMPLES).log_gap


def _interlayer(rule: ScalingRule, depth: int) -> float:
    scales = abs(rule.floats(depth))[:, None, None]
    weights = np.array(_layers() * (depth // _CYCLE)) * scales
    return interlayer_certificate(list(weights), 1.0).log_exponential


def _positive(rule: ScalingRule, depth: int) -> float:
    scales = replace(rule, normalised=False)  # the scales alone, as in every other row
    return float(mean_field(Setting("relu", "post-activation"), scales, depth).log_energies[-1])


# --- closed forms -----------------------------------------------------------------------------


def _positive_law(rule: ScalingRule) -> Law:
    mean = 1 / math.sqrt(math.pi)
    scale = abs(float(rule.coefficient))
    if rule.exponent == 0 and scale:

        def moved(u: float) -> float:
            return (u + scale * mean) / math.sqrt(1 + 2 * scale * mean * u + scale**2) - u

        u = optimize.brentq(moved, 0.0, 1.0, xtol=1e-14)
        return Law("exponential", 1.0, math.log1p(2 * scale * mean * u + scale**2))
    found = sum_law(rule, 2 * mean)
    if found.kind == "power":
        return Law("exponential", found.power, found.coefficient)
    # e^{2Σλ/√π} bounds the share of the mean direction only; the limit is not e to that power.
    return Law("bounded", 0.0, None if found.coefficient else 1.0)


def _worst_case_law(rule: ScalingRule) -> Law:
    found = product_law(rule)
    if found.kind == "bounded" and found.coefficient is not None:
        return Law("bounded", 0.0, found.coefficient - 1)
    return found


@cache
def _blow_up() -> float:
    """T = ∫ dv/b(v) up to where the majorant b is infinite."""

    def inverse(v: float) -> float:
        size = _majorant()(arb(v))
        return 1 / float(size) if size.is_finite() else 0.0

    low, high = 0.0, 16.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if inverse(middle) > 0 else (low, middle)
    return float(integrate.quad(inverse, 0.0, low)[0])


def _inverse_radius_law(rule: ScalingRule) -> Law:
    return sum_law(rule, 1 / _blow_up())


def _neural_ode_law(rule: ScalingRule) -> Law:
    # The largest scale counts: of 1/√l it is 1.
    steady = rule.base == "block" or rule.exponent == 0
    rate = _RADIUS * abs(float(rule.coefficient))
    found = Law("power", 1.0, rate) if steady else sum_law(rule, _RADIUS)
    if found.kind == "power":
        return Law("exponential", found.power, found.coefficient)
    return Law("bounded", 0.0, None)


def _interlayer_law(rule: ScalingRule) -> Law:
    found = sum_law(rule, float(np.mean([_norm(weight) for weight in _layers()])))
    if found.kind == "power":
        return Law("exponential", found.power, found.coefficient)
    limit = None if found.coefficient is None else math.exp(found.coefficient)
    return Law("bounded", 0.0, limit)


_LONG = (2048, 4096, 8192)
_BLOCKS = (512, 1024, 2048)
_SHORT = (16, 32, 64)  # balls cost milliseconds a block

QUANTITIES: tuple[Quantity, ...] = (
    Quantity(
        "energy of independent branches",
        "G1",
        "De & Smith",
        lambda rule: product_law(rule, m=2),
        log_energy,
        _LONG,
        0.5,
    ),
    Quantity(
        "energy of aligned branches",
        "G3",
        "Dherin & Munn",
        lambda rule: product_law(rule, times=2.0),
        lambda rule, depth: 2 * log_coherent_amplitude(rule, depth),
        _LONG,
        1.0,
    ),
    Quantity(
        "energy of positive branches",
        "G6",
        "Frei, Cao & Gu",
        _positive_law,
        _positive,
        _LONG,
        1.0,
    ),
    Quantity(
        "worst-case displacement",
        "G8",
        "Dherin & Munn",
        _worst_case_law,
        lambda rule, depth: worst_case(rule, depth).log_displacement,
        _LONG,
        1.0,
    ),
    Quantity(
        "scales over radius of convergence",
        "B1",
        "Dherin & Munn",
        _inverse_radius_law,
        _inverse_radius,
        (128, 256, 512),
        1.0,
    ),
    Quantity(
        "Lipschitz constant",
        "B2",
        "Dherin & Munn",
        lambda rule: product_law(rule, _lipschitz_gains()),
        lambda rule, depth: _capacity(rule, depth).log_lipschitz,
        _BLOCKS,
        1.0,
    ),
    Quantity(
        "geometric complexity",
        "B2",
        "Dherin & Munn",
        lambda rule: _times(product_law(rule, _lipschitz_gains(), times=2.0), _DIMENSION),
        lambda rule, depth: _capacity(rule, depth).log_complexity,
        _BLOCKS,
        1.0,
    ),
    Quantity(
        "gap of neural ODEs",
        "B3",
        "Marion",
        _neural_ode_law,
        _neural_ode,
        _LONG,
        1.0,
    ),
    Quantity(
        "interlayer certificate",
        "B4",
        "Frei, Cao & Gu",
        _interlayer_law,
        _interlayer,
        _SHORT,
        1.0,
    ),
)
"""In the order of the synthesis."""


def _times(law: Law, factor: float) -> Law:
    """A constant factor shows in limits and power laws only."""
    if law.kind == "exponential" or law.coefficient is None:
        return law
    return Law(law.kind, law.power, law.coefficient * factor)
