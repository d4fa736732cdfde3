r"""Mean field: the maps of energy, correlation and gradient, against enclosed integrals (G7).

**Moments** of eight activations under one normal number, **kernels** of two, each an integral that
is enclosed (:mod:`~proofs_check.growth.quadrature`) and never computed by the code under test. At
c = 1 the kernel must give the moments back: correlation one is a fixed point of every map.

**Blocks**: one and several blocks of each kind, with the recursion of claim G7 carried in balls:
with κ, γ, μ and χ of the branch at variance :math:`h = \sigma_w^2 q + \sigma_b^2`,

.. math::

   q' = q + 2\lambda s\mu + \lambda^2\kappa, \quad p' = p + 2\lambda s\mu + \lambda^2\gamma, \quad
   s' = s + \lambda\mu, \quad \|g\|^2 \to \|g\|^2 (1 + \lambda^2\chi) .

**Fluctuation**: the variance of ln ‖x_n‖², claimed to first order in 1/width, against drawn towers.

tanh and silu of two inputs are mixtures that are 10⁻⁹ away at every argument, so their kernels may
be off by some 10⁻⁹, and their slopes by ten times that; everything else only by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import exp, log, sqrt
from typing import Any

import numpy as np
from flint import arb, ctx

from expansion.growth.mean_field import mean_field
from expansion.growth.moments import moment
from expansion.growth.pairs import pair_moments
from expansion.growth.setting import Setting
from expansion.growth.simulate import simulate
from expansion.growth.units import HOMOGENEOUS
from expansion.towers.activations import ACTIVATIONS
from proofs_check.balls import near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.growth.quadrature import BITS, BRANCHES, true_moment, true_pair

__all__ = ["CHECKS"]

Moment = Callable[[str, str, float], float]
Pair = Callable[[str, float, float], tuple[float, float]]
Blocks = Callable[[Setting, str, int, float], list[float]]
Spread = Callable[[Setting, str, int, int], float]

_NAMES = ("energy", "mean", "slope", "fourth", "third", "gate")
_GATED = (*HOMOGENEOUS, "gelu", "silu")  # φ(u)/u is elementary
_MIXED = ("tanh", "silu")
_ERRORS = 5.0


# --- moments ----------------------------------------------------------------------------------


def _moment(branch: str, name: str, variance: float) -> float:
    return moment(branch, name, variance).value


def _moments(subject: Moment, effort: Effort) -> Evidence:
    deep = tuple(4.0**k for k in range(-10, 11))
    variances = effort.pick(quick=(0.0625, 2.0, 400.0), deep=deep)

    def cases() -> Iterator[str | None]:
        for branch in BRANCHES:
            for h in variances:
                for name in _NAMES:
                    if name == "gate" and branch not in _GATED:
                        continue
                    true = true_moment(branch, name, h)
                    allowance = arb("1e-11") * (1 + abs(true))
                    given = {"branch": branch, "name": name, "variance": h}
                    yield near(subject(branch, name, h), true, allowance, **given)

    reach = f"eight activations, six moments, variances to {max(variances):g}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _few_nodes(branch: str, name: str, variance: float) -> float:
    """Gauss–Hermite with twenty nodes: blind to what is narrower than the normal law."""
    if branch not in ("tanh", "erf") or name == "third":
        return _moment(branch, name, variance)
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    phi = ACTIVATIONS[branch]
    u = sqrt(variance) * nodes
    values: dict[str, Any] = {
        "energy": phi.value(u) ** 2 / variance,
        "mean": phi.value(u) / sqrt(variance),
        "slope": phi.derivative(u, 1) ** 2,
    }
    if name == "fourth":
        second, fourth = (weights @ phi.value(u) ** p / weights.sum() for p in (2, 4))
        return float(fourth / second**2)
    return float(weights @ values[name] / weights.sum())


_WRONG_MOMENTS: dict[str, Moment] = {
    "variance for standard deviation": lambda b, n, h: _moment(b, n, h**2),
    "not relative to h": lambda b, n, h: _moment(b, n, h) * (h if n == "energy" else 1),
    "twenty Gauss–Hermite nodes": _few_nodes,
    "relu for leaky relu": lambda b, n, h: _moment(b.removeprefix("leaky-"), n, h),
    "mean of |φ|": lambda b, n, h: (
        sqrt(_moment(b, "energy", h)) if n == "mean" else _moment(b, n, h)
    ),
    "gate for its square": lambda b, n, h: (
        sqrt(_moment(b, n, h)) if n == "gate" else _moment(b, n, h)
    ),
    "fourth for third": lambda b, n, h: _moment(b, "fourth" if n == "third" else n, h),
}


# --- two inputs -------------------------------------------------------------------------------


def _pairs(subject: Pair, effort: Effort) -> Evidence:
    variances = effort.pick(quick=(0.25, 2.0), deep=tuple(2.0**k for k in range(-10, 10)))
    some = effort.pick(quick=(-0.4, 0.0, 0.3, 1.0), deep=(*(k / 25 for k in range(-10, 11)), 1.0))
    more = effort.pick(quick=(-0.9, 0.8), deep=tuple(k / 25 for k in range(-24, 25)))

    def cases() -> Iterator[str | None]:
        for branch in BRANCHES:
            for h in variances:
                for c in (*some, *more) if branch in HOMOGENEOUS else some:
                    claimed, true = subject(branch, h, c), true_pair(branch, h, c)
                    # A mixture off by δ moves E φφ/h by 2δ√(E φ²)/h.
                    size = arb("1e-8") if branch in _MIXED else arb("1e-12")
                    given = {"branch": branch, "variance": h, "correlation": c}
                    for one, value, times in zip(claimed, true, (1, 10), strict=True):
                        yield near(one, value, times * size * (1 + 1 / arb(h)), **given)

    reach = (
        f"eight activations, correlations to 0.4 and 1, variances to {max(variances):g}, in balls"
    )
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


_WRONG_PAIRS: dict[str, Pair] = {
    "correlation unchanged: c E φ²": lambda b, h, c: (
        c * pair_moments(b, h, 1.0)[0],
        pair_moments(b, h, c)[1],
    ),
    "covariance for the second moment": lambda b, h, c: (
        pair_moments(b, h, c)[0] - _moment(b, "mean", h) ** 2,
        pair_moments(b, h, c)[1],
    ),
    "slopes of one input": lambda b, h, c: (
        pair_moments(b, h, c)[0],
        pair_moments(b, h, 1.0)[1],
    ),
    "variance forgotten": lambda b, h, c: pair_moments(b, 1.0, c),
    "slope for value": lambda b, h, c: (pair_moments(b, h, c)[1],) * 2,
}


# --- blocks -----------------------------------------------------------------------------------

_KINDS = ("pre-activation", "post-activation", "activation-first", "pre-norm", "post-norm")
_SCALE = "0.5"


def _field(setting: Setting, rule: str, depth: int, correlation: float) -> list[float]:
    """ln q_n/q_0, c_n, overlap and ln of the gradient's growth, from block 1 and from block 2."""
    found = mean_field(setting, rule, depth, correlation=correlation)
    gradients = [found.log_gradient, float(found.log_gradients[1])]
    return [
        found.log_energy,
        float(found.correlation or 0.0),
        float(found.overlaps[-1]),
        *gradients,
    ]


def _blocks(subject: Blocks, effort: Effort) -> Evidence:
    depth = effort.pick(quick=3, deep=30)
    # Where the signal itself meets the activation, the code under test makes slow tables.
    some = effort.pick(quick=("linear", "relu", "tanh"), deep=BRANCHES)

    def cases() -> Iterator[str | None]:
        for branch in BRANCHES:
            for kind in _KINDS:
                if kind == "activation-first" and branch not in some:
                    continue
                overlap = 0.25 if kind == "post-activation" else 0.0
                # The activation meets the variance 2 first, whatever the kind.
                start = 2.0 if kind == "activation-first" else 1.0
                setting = Setting(branch, kind, 1.5, 0.5, _LAYERS.get(kind), start, overlap)
                for n in (1, depth):
                    with ctx.workprec(BITS):  # narrow variances are integrated sooner
                        true = _carried(setting, 0.5, n, 0.3 if n == 1 else None)
                    claimed = subject(setting, _SCALE, n, 0.3)
                    given = {"branch": branch, "block": kind, "depth": n}
                    # The logarithms of n blocks add up, and so do the errors of the tables.
                    size = arb("1e-7") if branch in _MIXED else n * arb("3e-11")
                    for one, value in zip(claimed, true, strict=True):
                        if value is not None:
                            yield near(one, value, size, **given)

    reach = f"eight activations, five kinds of blocks, biases, depths 1 and {depth}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


_LAYERS = {"pre-activation": 2, "pre-norm": 2, "post-norm": 2}


def _carried(
    setting: Setting, scale: float, depth: int, correlation: float | None
) -> list[arb | None]:
    """The recursion in balls; the correlation only for a first block."""
    step, weight, bias = arb(scale), arb(1.5), arb(0.5)
    start = arb(setting.input_energy)
    s, q = setting.overlap * start.sqrt(), start
    back, later = arb(0), arb(0)  # through all blocks, and through all but the first
    p = None if correlation is None else arb(correlation) * start
    for block in range(depth):
        given = arb(1) if setting.block == "pre-norm" else q
        h: Any = given if setting.block == "activation-first" else weight * given + bias
        # The first variances are floats, so that their integrals are known already.
        h = float(h) if block == 0 else h
        energy = true_moment(setting.branch, "energy", h) * h
        chi = weight * true_moment(setting.branch, "slope", h)
        mean = arb(0)
        if setting.block == "post-activation":
            mean = true_moment(setting.branch, "mean", h) * arb(h).sqrt()
        if p is not None:
            c = p / h if setting.block == "activation-first" else (weight * p + bias) / h
            p += 2 * step * s * mean + step**2 * _closed(_cross(setting, float(h), c), setting)
        factor = (1 + step**2 * chi / (q if setting.block == "pre-norm" else 1)).log()
        q += 2 * step * s * mean + step**2 * _closed(energy, setting)
        s += step * mean
        if setting.block == "post-norm":
            factor -= q.log()
            p, s, q = None if p is None else p / q, s / q.sqrt(), arb(1)
        back += factor
        later += factor if block else 0
    return [(q / start).log(), None if p is None else p / q, s / q.sqrt(), back, later]


def _cross(setting: Setting, h: float, c: arb) -> arb:
    return true_pair(setting.branch, h, float(c))[0] * h


def _closed(energy: arb, setting: Setting) -> arb:
    """What the last matrix makes of the activation's energy."""
    return arb(1.5) * energy + arb(0.5) if setting.block == "activation-first" else energy


def _no_cross_term(setting: Setting, rule: str, depth: int, correlation: float) -> list[float]:
    return _field(replace(setting, overlap=0.0), rule, depth, correlation)


def _energy_backwards(setting: Setting, rule: str, depth: int, correlation: float) -> list[float]:
    """The gradient taken to grow as the signal does."""
    found = _field(setting, rule, depth, correlation)
    return [*found[:3], found[0], found[4]]


def _one_gradient(setting: Setting, rule: str, depth: int, correlation: float) -> list[float]:
    """Every block's backward factor taken to be the same."""
    found = _field(setting, rule, depth, correlation)
    return [*found[:4], found[3] * (depth - 1) / depth]


_WRONG_BLOCKS: dict[str, Blocks] = {
    "biases forgotten": lambda s, rule, n, c: _field(replace(s, bias_variance=0.0), rule, n, c),
    "λ for λ²": lambda s, rule, n, c: _field(s, str(sqrt(float(rule))), n, c),
    "no cross term with the mean": _no_cross_term,
    "gradient as energy": _energy_backwards,
    "one backward factor for all blocks": _one_gradient,
    "depth off by one": lambda s, rule, n, c: _field(s, rule, n + 1, c),
    "the norm in front forgotten": lambda s, rule, n, c: _field(
        replace(s, block="pre-activation") if s.block == "pre-norm" else s, rule, n, c
    ),
}


# --- fluctuation ------------------------------------------------------------------------------


def _variance(setting: Setting, rule: str, depth: int, width: int) -> float:
    """Of ln ‖x_n‖² over draws of the weights."""
    found = mean_field(setting, rule, depth, width=width, dimension=_dimension(width))
    return float(found.variances[-1])


def _dimension(width: int) -> int:
    """Of the signal: another number than the width, so that the two cannot be mixed up."""
    return 2 * width // 3


def _fluctuation(subject: Spread, effort: Effort) -> Evidence:
    """The deviation of drawn towers, up to its standard error and the next order in 1/width."""
    number, trials = effort.samples(45), 400
    random = effort.random("fluctuation")
    sizes = f"three kinds of blocks, widths 64 to 192, depths ≤ 6, {trials} draws each"
    reach = f"{sizes}, within {_ERRORS:g} standard errors"
    for case in range(1, number + 1):
        kind = random.choice(("pre-activation", "post-activation", "activation-first"))
        setting = Setting(random.choice(("relu", "linear", "leaky-relu")), kind)
        rule, depth = random.choice(("1", "0.5", "1/sqrt(n)")), random.randrange(1, 7)
        width, seed = random.choice((64, 128, 192)), random.randrange(2**32)
        found = simulate(
            rule,
            depth,
            setting=setting,
            dimension=_dimension(width),
            width=width,
            trials=trials,
            seed=seed,
        )
        deviation, error = found.log_deviation or 0.0, found.log_deviation_error or 0.0
        claimed = sqrt(subject(setting, rule, depth, width))
        # What is left out is of relative size 1/width for each block, and grows with the variance.
        allowance = _ERRORS * error + deviation * (4 / width + claimed**2)
        if abs(deviation - claimed) > allowance:
            given = {"branch": setting.branch, "block": kind, "rule": rule, "depth": depth}
            given["width"] = width
            shown = difference(claimed, deviation, **given, seed=seed)
            return Evidence(Verdict.REFUTED, reach, case, effort.seed, shown)
    return Evidence(Verdict.SAMPLED, reach, number, effort.seed)


_WRONG_SPREADS: dict[str, Spread] = {
    "1/width² for 1/width": lambda s, rule, n, width: _variance(s, rule, n, width) / width,
    "variance for deviation": lambda s, rule, n, width: _variance(s, rule, n, width) ** 2,
    "shared among the blocks": lambda s, rule, n, width: (
        _variance(s, rule, n, width) / n if n > 1 else _variance(s, rule, n, 2 * width)
    ),
    "λ forgotten": lambda s, rule, n, width: _variance(s, "1", n, width) * exp(log(2.0)),
}

CHECKS: tuple[Check[Any], ...] = (
    Check("G7", "moments of one input, enclosed", _moments, _moment, _WRONG_MOMENTS),
    Check("G7", "kernels of two inputs, enclosed", _pairs, pair_moments, _WRONG_PAIRS),
    Check("G7", "blocks of every kind, in balls", _blocks, _field, _WRONG_BLOCKS),
    Check("G7", "fluctuation of drawn towers", _fluctuation, _variance, _WRONG_SPREADS),
)
