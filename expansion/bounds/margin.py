r"""The margin by random features, estimated from both sides (claim B4's hypothesis).

Frei, Cao & Gu (2019, arXiv 1910.02934) assume that the data are separated by a function
:math:`f_c(x) = E_u[c(u)\,\sigma(u^\top x)]`, u ~ N(0, I), σ = relu, \|c\| ≤ 1, with margin γ. For a
sample the largest margin and, by the minimax theorem, its dual are

.. math:: \gamma^* = \max_{|c| \le 1} \min_i y_i f_c(x_i)
          = \min_{p \ge 0,\, \sum p_i = 1} E_u \Big| \sum_i p_i y_i \sigma(u^\top x_i) \Big| .

**With N drawn features** in place of E_u both sides are one linear program (HiGHS), and its value
:math:`\hat\gamma_N` is a minimum of averages: so :math:`E \hat\gamma_N \le \gamma^*`, and it rises
with N. Its solution p̂ gives, on *fresh* features, where nothing was fitted,

* an upper bound: the mean of \|Σ p̂_i y_i σ(u·x_i)\| is at least γ* in expectation, for any p̂;
* a lower bound: the smallest margin of the function :math:`\hat c(u) = \mathrm{sign} \sum_i
  \hat p_i y_i \sigma(u^\top x_i)` (equal weights decide where that is 0), for it is allowed;
  the gap between the two bounds closes with N, seen to be slowly, like 1/√N;
* margins on *held-out* points of that same function: what a separation of the whole distribution
  would have to keep positive.

Source of the estimates: derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from expansion.bounds.surrogate import check_labels
from expansion.checking import check_count
from expansion.errors import InputError

__all__ = ["MarginEstimate", "margin_estimate", "one_against_rest"]

_Array = NDArray[np.float64]
_CHUNK = 4096  # fresh features held at a time


@dataclass(frozen=True, slots=True)
class MarginEstimate:
    """The margin of a sample, from below and from above.

    Parameters
    ----------
    features, fresh : int
        Features in the linear program, and fresh ones to judge its solution.
    fitted : float
        γ̂_N, the value of the linear program.
    lower, lower_error : float
        Smallest margin of ĉ on the sample, and the standard error at that point.
    upper, upper_error : float
        The dual at p̂, and its standard error.
    held_out : float, optional
        Smallest margin of ĉ on the held-out points.
    held_out_errors : float, optional
        Share of held-out points with a margin of at most 0.
    """

    features: int
    fresh: int
    fitted: float
    lower: float
    lower_error: float
    upper: float
    upper_error: float
    held_out: float | None = None
    held_out_errors: float | None = None

    @property
    def separated(self) -> bool:
        """Whether the sample is seen to be separated: the lower bound is 4 errors above 0."""
        return self.lower > 4 * self.lower_error


def margin_estimate(
    inputs: Any,
    labels: Any,
    *,
    features: int = 500,
    fresh: int = 20_000,
    held_out: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> MarginEstimate:
    """Estimate the largest margin γ of a sample.

    Parameters
    ----------
    inputs : array_like, shape (samples, d)
        x_i; the margin is proportional to their size (the paper has ‖x‖ = 1).
    labels : array_like, shape (samples,)
        ±1.
    features, fresh : int
        N ≥ 1, and at least 2 fresh ones.
    held_out : (inputs, labels), optional
        Points that the function was not fitted to.
    seed : int
        Of both kinds of features.

    Raises
    ------
    InputError
        For empty or non-finite inputs, or labels that are not ±1 or do not fit.

    Examples
    --------
    >>> found = margin_estimate([[1.0, 0.0], [-1.0, 0.0]], [1, -1], features=200)
    >>> found.separated, bool(found.lower < 0.399 + 4 * found.lower_error)  # γ* = 1/√(2π)
    (True, True)
    """
    points, signs = _sample(inputs, labels)
    number = check_count(features, "features", least=1)
    judges = check_count(fresh, "fresh features", least=2)
    others = None if held_out is None else _sample(*held_out)
    if others is not None and others[0].shape[1] != points.shape[1]:
        came = f"{others[0].shape[1]} numbers a point beside {points.shape[1]}"
        raise InputError("held-out points of the same dimension", came, "make them fit")
    generator = np.random.default_rng(check_count(seed, "seed", least=0))
    signed = signs[:, None] * _responses(points, generator, number)
    fitted, weights = _solve(signed)
    everything = points if others is None else np.concatenate([points, others[0]])
    all_signs = signs if others is None else np.concatenate([signs, others[1]])
    sums, squares = np.zeros(len(everything)), np.zeros(len(everything))
    dual, dual_squares = 0.0, 0.0
    for start in range(0, judges, _CHUNK):
        drawn = min(_CHUNK, judges - start)
        margins = all_signs[:, None] * _responses(everything, generator, drawn)
        mixed = weights @ margins[: len(points)]
        even = margins[: len(points)].sum(axis=0)  # decides where p̂ sees no active point
        signed = margins * np.where(mixed == 0, np.sign(even), np.sign(mixed))
        sums, squares = sums + signed.sum(axis=1), squares + (signed**2).sum(axis=1)
        dual, dual_squares = dual + float(np.abs(mixed).sum()), dual_squares + float(mixed @ mixed)
    means = sums / judges
    errors = np.sqrt(np.maximum(squares / judges - means**2, 0.0) / judges)
    upper = dual / judges
    place = int(means[: len(points)].argmin())
    outside = means[len(points) :]
    return MarginEstimate(
        number,
        judges,
        fitted,
        float(means[place]),
        float(errors[place]),
        upper,
        float(np.sqrt(max(dual_squares / judges - upper**2, 0.0) / judges)),
        float(outside.min()) if outside.size else None,
        float((outside <= 0).mean()) if outside.size else None,
    )


def one_against_rest(
    inputs: Any, labels: Any, positive: int
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array]]:
    """One class against the others, inputs of size 1, every second one held out.

    Parameters
    ----------
    inputs : array_like, shape (samples, d)
        None of them zero.
    labels : array_like of int, shape (samples,)
        Classes.
    positive : int
        The class that counts as +1.

    Returns
    -------
    sample, held_out : pairs of inputs and labels

    Examples
    --------
    >>> sample, held_out = one_against_rest([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]], [7, 1, 1], 7)
    >>> sample[0], sample[1], held_out[1]
    (array([[0.6, 0.8],
           [1. , 0. ]]), array([ 1., -1.]), array([-1.]))
    """
    classes = np.asarray(labels)
    if positive not in classes:
        found = ", ".join(map(str, sorted(set(classes.ravel().tolist()))))
        raise InputError(f"a class among {found}", positive, "choose one of these")
    points, signs = _sample(inputs, np.where(classes == positive, 1, -1))
    sizes = np.linalg.norm(points, axis=1, keepdims=True)
    if not sizes.all() or len(points) < 2:
        raise InputError("at least two inputs, none of them zero", sizes.min(), "remove it")
    points = points / sizes
    return (points[::2], signs[::2]), (points[1::2], signs[1::2])


def _solve(signed: _Array) -> tuple[float, _Array]:
    """The largest margin over |c| ≤ 1, and the weights p of the points that attain the dual."""
    points, features = signed.shape
    objective = np.append(np.zeros(features), -1.0)
    table = np.column_stack([-signed / features, np.ones(points)])
    bounds = [(-1.0, 1.0)] * features + [(None, None)]
    found = linprog(objective, A_ub=table, b_ub=np.zeros(points), bounds=bounds, method="highs")
    if found.status != 0:
        raise InputError("a linear program that HiGHS can solve", found.message, "rescale inputs")
    weights = np.maximum(-found.ineqlin.marginals, 0.0)
    return -float(found.fun), weights / weights.sum()


def _responses(points: _Array, generator: np.random.Generator, number: int) -> _Array:
    """σ(u·x) for each point and each drawn feature."""
    return np.maximum(points @ generator.normal(size=(points.shape[1], number)), 0.0)


def _sample(inputs: Any, labels: Any) -> tuple[_Array, _Array]:
    points, signs = np.asarray(inputs, dtype=np.float64), check_labels(labels)
    if points.ndim != 2 or not points.size or len(points) != len(signs):
        came = f"inputs of shape {points.shape}, {len(signs)} labels"
        raise InputError("inputs of shape (samples, d), one label each", came, "make them fit")
    if not np.isfinite(points).all():
        raise InputError("finite inputs", "an infinite or missing entry", "remove it")
    return points, signs
