r"""The order spectrum at infinite width, for any activation (claims G2, G7).

Gates frozen at the pass, the Gram matrix G of the orders adds up to the energy, its rows to the
share of each order along the signal, and these to 1. For linear, ReLU and leaky ReLU branches G is
diagonal, with :math:`e_k(\lambda_l^2 g)` on it, g the branch's gain. For units of one hidden layer
in general

.. math:: G_{jk} \leftarrow G_{jk} + \lambda^2 \big[ \beta\, C_{j-1,k-1}
   + (\alpha - \beta)\, r_{j-1} r_{k-1} / h \big], \quad C = \sigma_w^2 G + \sigma_b^2 \delta_{00},
   \; r_j = \sum_k C_{jk},\; h = \sum_j r_j,

α = E φ²/h and β = E (φ/u)², is carried here in balls, for the two activations whose gate φ/u is
elementary, gelu and silu.

The mean order is Σ k along_k; in :func:`~expansion.growth.mean_field.mean_field` it comes from a
recursion without orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import arb, ctx

from expansion.growth.frozen import FrozenSpectrum, frozen_spectrum
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.growth.quadrature import BITS, true_moment
from proofs_check.growth.rules import squares

__all__ = ["CHECKS"]

Spectrum = Callable[[Setting, str, int, int], FrozenSpectrum]
MeanOrder = Callable[[Setting, str, int], float]

_GAINS = {"linear": arb(1), "relu": arb("0.5"), "leaky-relu": (1 + arb("0.01") ** 2) / 2}
_RULES = ("1", "1/sqrt(n)", "0.3", "1/n")
_SMALL = arb("1e-9")


# --- sums and closed forms --------------------------------------------------------------------


def _adds_up(subject: Spectrum, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 5), deep=(*range(1, 12), 30))
    kinds = ("pre-activation", "post-activation", "activation-first")

    def cases() -> Iterator[str | None]:
        for kind in kinds:
            for branch in (*_GAINS, "tanh", "gelu"):
                setting = Setting(branch, kind, 1.5, 0.25 if kind == "pre-activation" else 0.0)
                for depth in depths:
                    found = subject(setting, "0.5", depth, depth)
                    rows = [*found.grams.sum(axis=1), found.along.sum()]
                    true = [*found.along, 1.0]
                    given = {"branch": branch, "block": kind, "depth": depth}
                    close = np.abs(np.array(rows) - true).max() <= 1e-9
                    yield None if close else difference(rows, true, **given)

    reach = f"five activations, three kinds of blocks, depths ≤ {max(depths)}, to rounding (1e-9)"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _elementary(subject: Spectrum, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 6), deep=(*range(1, 12), 40))

    def cases() -> Iterator[str | None]:
        for branch, gain in _GAINS.items():
            setting = Setting(branch, weight_variance=1.5)
            for rule in _RULES:
                for depth in depths:
                    weights = [ball(s) * gain * 1.5 for s in squares(rule, depth)]
                    true = [arb(1), *[arb(0)] * depth]
                    for w in weights:
                        pairs = zip(true, [arb(0), *true[:-1]], strict=True)
                        true = [same + w * below for same, below in pairs]
                    found = subject(setting, rule, depth, depth)
                    whole = sum(true, arb(0))
                    given = {"branch": branch, "rule": rule, "depth": depth}
                    for k, value in enumerate(true):
                        claimed = float(found.grams[k, k])
                        yield near(claimed, value / whole, _SMALL, **given, order=k)
                        log = float(found.log_energies[k])
                        yield near(log, value.log(), _SMALL * (1 + abs(value.log())), **given)

    reach = f"three activations, four rules, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


# --- smooth gates -----------------------------------------------------------------------------


def _smooth(subject: Spectrum, effort: Effort) -> Evidence:
    depth = effort.pick(quick=2, deep=6)

    def cases() -> Iterator[str | None]:
        for branch in ("gelu", "silu"):
            for bias in (0.0, 0.5):
                setting = Setting(branch, "pre-activation", 1.5, bias)
                for n in range(1, depth + 1):
                    with ctx.workprec(BITS):
                        true = _carried(branch, arb("0.5"), arb(bias), n)
                    found = subject(setting, "0.5", n, n)
                    for j, row in enumerate(true):
                        for k, value in enumerate(row):
                            given = {"branch": branch, "bias": bias, "depth": n, "orders": [j, k]}
                            yield near(float(found.grams[j, k]), value, _SMALL, **given)

    return exhaust(cases(), Verdict.EXHAUSTED, f"gelu and silu, biases, depths ≤ {depth}, in balls")


def _carried(branch: str, scale: arb, bias: arb, depth: int) -> list[list[arb]]:
    """G over the energy of the output, from the input's energy 1."""
    size = range(depth + 1)
    grams = [[arb(int(j == k == 0)) for k in size] for j in size]
    for _ in range(depth):
        inside = [[arb("1.5") * v for v in row] for row in grams]
        inside[0][0] += bias
        along = [sum(row, arb(0)) for row in inside]
        h = sum(along, arb(0))
        alpha, beta = (true_moment(branch, name, h) for name in ("energy", "gate"))
        branches = [
            [beta * inside[j][k] + (alpha - beta) * along[j] * along[k] / h for k in size]
            for j in size
        ]
        for j in reversed(size[1:]):
            for k in reversed(size[1:]):
                grams[j][k] += scale**2 * branches[j - 1][k - 1]
    whole = sum((sum(row, arb(0)) for row in grams), arb(0))
    return [[v / whole for v in row] for row in grams]


# --- mean orders ------------------------------------------------------------------------------


def _mean_orders(subject: MeanOrder, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 5), deep=tuple(range(1, 12)))
    kinds = ("pre-activation", "post-activation", "activation-first")

    def cases() -> Iterator[str | None]:
        for kind in kinds:
            for branch in (*_GAINS, "tanh", "gelu"):
                setting = Setting(branch, kind, 1.5, 0.25 if kind == "pre-activation" else 0.0)
                for depth in depths:
                    along = frozen_spectrum(setting, "0.5", depth, depth).along
                    true = float(along @ np.arange(depth + 1))
                    claimed = subject(setting, "0.5", depth)
                    given = {"branch": branch, "block": kind, "depth": depth}
                    close = abs(claimed - true) <= 1e-8 * (1 + abs(true))
                    yield None if close else difference(claimed, true, **given)

    reach = f"five activations, three kinds of blocks, depths ≤ {max(depths)}, to rounding (1e-8)"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _mean_order(setting: Setting, rule: str, depth: int) -> float:
    return mean_field(setting, rule, depth).mean_order


# --- mistakes ---------------------------------------------------------------------------------


def _changed(change: Callable[[Any], Any]) -> Spectrum:
    """Another Gram matrix, all else as it is."""

    def wrong(setting: Setting, rule: str, depth: int, order: int) -> FrozenSpectrum:
        found = frozen_spectrum(setting, rule, depth, order)
        grams = change(found.grams)
        return FrozenSpectrum(grams, found.along, found.log_energy, found.log_energies)

    return wrong


def _uncorrelated(grams: Any) -> Any:
    return np.diag(np.diag(grams))


def _one_block_more(setting: Setting, rule: str, depth: int, order: int) -> FrozenSpectrum:
    return frozen_spectrum(setting, rule, depth + 1, order)


def _twice(setting: Setting, rule: str, depth: int, order: int) -> FrozenSpectrum:
    return frozen_spectrum(setting, "1" if rule == "0.5" else "0.5", depth, order)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G2",
        "Gram matrices of orders add up",
        _adds_up,
        frozen_spectrum,
        {
            "uncorrelated whatever the activation": _changed(_uncorrelated),
            "the last order left out": _changed(
                lambda g: g * (np.arange(len(g)) < len(g) - 1)[:, None]
            ),
            "correlations of the wrong sign": _changed(lambda g: 2 * _uncorrelated(g) - g),
        },
    ),
    Check(
        "G2",
        "orders of homogeneous units, in balls",
        _elementary,
        frozen_spectrum,
        {
            "one block more": _one_block_more,
            "another scale": _twice,
            "relu for leaky relu": lambda s, rule, n, k: frozen_spectrum(
                Setting("relu", weight_variance=s.weight_variance), rule, n, k
            ),
        },
    ),
    Check(
        "G2",
        "orders of smooth units, in balls",
        _smooth,
        frozen_spectrum,
        {
            "uncorrelated whatever the activation": _changed(_uncorrelated),
            "another scale": _twice,
            "biases forgotten": lambda s, rule, n, k: frozen_spectrum(
                Setting(s.branch, s.block, s.weight_variance, 0.0), rule, n, k
            ),
        },
    ),
    Check(
        "G7",
        "mean orders from their spectra",
        _mean_orders,
        _mean_order,
        {
            "the depth": lambda setting, rule, n: float(n),
            "one block more": lambda setting, rule, n: _mean_order(setting, rule, n + 1),
            "Σ λ²/(1 + λ²)": lambda setting, rule, n: n * 0.25 / 1.25,
        },
    ),
)
