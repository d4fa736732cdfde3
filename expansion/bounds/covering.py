r"""Covers of the weights of a tower whose weights vary slowly in depth (for claim B3).

**The class.** Weights :math:`W = (W_1 \ldots W_L)`, d × d, with
:math:`\|W\|_{1,1,\infty} = \max_k \sum_{ij} |W_{k,ij}| \le R` and
:math:`L \max_{k,ij} |W_{k+1,ij} - W_{k,ij}| \le K`. Every entry is a path on the times
:math:`(k-1)/L`, which last :math:`T = 1 - 1/L < 1` and, joined by straight lines, are
K-Lipschitz and bounded by R. A cover at ε is a finite set of weights such that every member of
the class is within ε of one of them in :math:`\|\cdot\|_{1,1,\infty}`. With :math:`m = d^2`:

**Lipschitz cover**, whatever the depth:

.. math:: \log N(\varepsilon) = m \left( \log \lceil R/\eta \rceil
          + \lceil K T/\eta \rceil \log 2 \right), \qquad \eta = \varepsilon/m .

*Construction.* A centre for one entry starts in the middle of one of ⌈R/η⌉ intervals of length
2η that cover [−R, R], and moves by ±η, with slope ±K, on every step of length h = η/K. Let z be
the centre and w the path. If \|w − z\| ≤ η at the beginning of a step, w ends it within 2η of
where z began; so the sign for which \|w − z\| ≤ η at the end exists: up if and only if w ends at
or above where z began. In between, going up, w − z does not exceed its value at the beginning,
for w has slope at most K; and it is at least its value at the end, for the same reason read
backwards. So \|w − z\| ≤ η at all times. Going down is the mirror image. All m entries within η
make ε. The exponent (K T/η) log 2 cannot be lowered for single paths: it is the entropy of
Lipschitz functions found by Kolmogorov and Tikhomirov (1959).
A centre need not be in the class, but its norm is at most R + ε. At ε ≥ R the centre 0 is enough,
in both covers.

**Parametric cover**, which does not know that weights vary slowly:

.. math:: \log N(\varepsilon) = L m \log(1 + 2R/\varepsilon), \qquad
          L = 1 \text{ if } K = 0 .

*Proof.* Take as many points of the ball as possible, more than ε apart; they are a cover. The
balls of radius ε/2 about them are disjoint and inside the ball of radius R + ε/2; compare
volumes, in each layer. These centres are in the ball of radius R.

Source: Marion 2023 (arXiv 2305.06648) for the first cover's shape; both constants derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count, check_finite
from expansion.errors import InputError

__all__ = ["PathCentre", "lipschitz_entropy", "parametric_entropy", "path_centre"]

_LOG_2 = math.log(2.0)


def lipschitz_entropy(
    dimension: int, radius: Any, slope: float, error: Any, depth: int | None = None
) -> NDArray[np.float64]:
    r"""log N(ε) of the Lipschitz cover.

    Parameters
    ----------
    dimension : int
        d ≥ 1.
    radius : float or array
        R ≥ 0.
    slope : float
        K ≥ 0.
    error : float or array
        ε > 0.
    depth : int, optional
        L; by default the cover serves every depth (T = 1).

    Examples
    --------
    >>> float(lipschitz_entropy(1, 1.0, 1.0, 0.26) / np.log(2))  # 4 starts, 4 steps
    6.0
    """
    entries, errors = _check(dimension, radius, error)
    _not_negative(slope, "the slope K")
    lasts = 1.0 if depth is None else 1 - 1 / check_count(depth, "depth", least=1)
    starts = np.maximum(1.0, _ceiling(radius * entries / errors))
    steps = _ceiling(slope * lasts * entries / errors)
    return np.where(errors >= radius, 0.0, entries * (np.log(starts) + steps * _LOG_2))


def parametric_entropy(
    dimension: int, radius: float, slope: float, error: Any, depth: int
) -> NDArray[np.float64]:
    """log N(ε) of the parametric cover, for towers of one depth.

    Parameters
    ----------
    dimension, depth : int
        d and L, at least 1.
    radius, slope : float
        R, K ≥ 0; of K it matters only whether it is zero.
    error : float or array
        ε > 0.

    Examples
    --------
    >>> float(parametric_entropy(1, 1.0, 1.0, 0.5, 3) / np.log(5))
    3.0
    """
    entries, errors = _check(dimension, radius, error)
    layers = 1 if _not_negative(slope, "the slope K") == 0 else check_count(depth, "depth", least=1)
    return np.where(errors >= radius, 0.0, layers * entries * np.log1p(2 * radius / errors))


@dataclass(frozen=True, slots=True)
class PathCentre:
    """A centre of the Lipschitz cover of one entry: a start and a sign for every step.

    Parameters
    ----------
    start : int
        Number of the first interval, 0 ≤ start < ``starts``.
    starts : int
        ⌈R/η⌉, at least 1.
    signs : tuple of int
        ±1 for each of the ⌈K T/η⌉ steps.
    values : tuple
        The centre at the times of the layers.
    """

    start: int
    starts: int
    signs: tuple[int, ...]
    values: tuple[Any, ...]


def path_centre(path: Sequence[Any], radius: Any, slope: Any, error: Any) -> PathCentre:
    """The centre that follows a path within η, by the construction above.

    Parameters
    ----------
    path : sequence of number
        w_1 … w_L, the entry in every layer; exact numbers give an exact centre.
    radius, slope : number
        R ≥ max |w_k| and K ≥ L max |w_{k+1} − w_k|.
    error : number
        η > 0.

    Raises
    ------
    InputError
        When the path is not in the class, or η is not positive.

    Examples
    --------
    >>> from fractions import Fraction as Q
    >>> centre = path_centre([Q(0), Q(1, 2), Q(1, 4)], 1, Q(3, 2), Q(1, 2))
    >>> centre.start, centre.signs, [str(value) for value in centre.values]
    (1, (1, -1), ['1/2', '1', '1/2'])
    """
    layers = len(path)
    if not layers or error <= 0:
        raise InputError("a path and a positive error", f"{layers} values, {error}", "give both")
    rises = [abs(b - a) * layers for a, b in pairwise(path)]
    if max(map(abs, path)) > radius or max(rises, default=0) > slope:
        came = f"values up to {max(map(abs, path))}, slopes up to {max(rises, default=0)}"
        raise InputError(
            f"a path with values ≤ {radius} and slopes ≤ {slope}", came, "enlarge them"
        )
    starts = max(1, math.ceil(radius / error))
    start = min(starts - 1, max(0, math.floor((path[0] / error + starts) / 2)))
    knots = [(2 * start + 1 - starts) * error]
    steps = math.ceil(slope * (layers - 1) / (layers * error))
    signs = []
    for step in range(1, steps + 1):
        end = _between(path, step * error / slope * layers)
        signs.append(1 if end >= knots[-1] else -1)
        knots.append(knots[-1] + signs[-1] * error)
    values = [_between(knots, layer * slope / (layers * error)) for layer in range(layers)]
    return PathCentre(start, starts, tuple(signs), tuple(values))


def _between(knots: Sequence[Any], place: Any) -> Any:
    """Straight lines between knots at 0, 1, 2 …, constant after the last."""
    below = math.floor(place)
    if below >= len(knots) - 1:
        return knots[-1]
    return knots[below] + (knots[below + 1] - knots[below]) * (place - below)


def _ceiling(quotient: Any) -> NDArray[np.float64]:
    """At least the ceiling of a rounded quotient's true value."""
    above = np.nextafter(quotient, np.inf)
    return np.where(np.asarray(quotient) > 0, np.ceil(above), 0.0)


def _check(dimension: int, radius: Any, error: Any) -> tuple[int, NDArray[np.float64]]:
    errors = np.asarray(error, dtype=np.float64)
    if not (np.isfinite(errors).all() and (errors > 0).all()):
        raise InputError("a positive ε", error, "give e.g. 0.01")
    for extreme in (np.min(radius), np.max(radius)):
        _not_negative(float(extreme), "the radius R")
    return check_count(dimension, "dimension", least=1) ** 2, errors


def _not_negative(value: float, name: str) -> float:
    if check_finite(value, name) < 0:
        raise InputError(f"{name} must be at least 0", value, "give a norm")
    return value
