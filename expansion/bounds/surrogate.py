r"""The surrogate error of a classifier, between its 0-1 error and its loss (claim B4).

With the logistic loss :math:`\ell(z) = \log(1 + e^{-z})` of the margin z = y f(x), y = ±1,

.. math:: \tfrac12\, 1\{z \le 0\} \;\le\; -\ell'(z) = \frac{1}{1 + e^z} \;\le\; \ell(z) .

*Left*: if z ≤ 0 then e^z ≤ 1; otherwise the left side is 0 and the right side positive.
*Right*: with u = e^(−z) > 0 it says u/(1 + u) ≤ log(1 + u): both sides are 0 at u = 0, and the
derivative of the left, 1/(1 + u)², is at most that of the right, 1/(1 + u).

So the surrogate error :math:`E_S = -\tfrac1n \sum \ell'(y_i f(x_i))` is at least half the share of
wrong signs and at most the loss, on a sample as in expectation: a bound of the expected surrogate
error bounds the test error by its double. Source: Frei, Cao & Gu 2019 (arXiv 1910.02934) for the
left part; the right part is classical.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from expansion.errors import InputError

__all__ = ["Sandwich", "check_labels", "classification_errors"]


@dataclass(frozen=True, slots=True)
class Sandwich:
    """Three means over a sample: error/2 ≤ surrogate ≤ loss.

    Parameters
    ----------
    error : float
        Share of margins y f(x) ≤ 0; an output of 0 counts as wrong.
    surrogate : float
        E_S.
    loss : float
        Mean logistic loss.
    """

    error: float
    surrogate: float
    loss: float

    @property
    def sharpness(self) -> float:
        """error / 2E_S: 1 where the bound of the error is attained."""
        return self.error / (2 * self.surrogate) if self.surrogate else 0.0


def classification_errors(outputs: Any, labels: Any) -> Sandwich:
    """Error, surrogate error and loss of outputs f(x_i) for labels ±1.

    Parameters
    ----------
    outputs : array_like, shape (samples,)
        f(x_i), finite.
    labels : array_like, shape (samples,)
        ±1.

    Raises
    ------
    InputError
        For no samples, labels that are not ±1, lengths that differ, or outputs that are not finite.

    Examples
    --------
    >>> found = classification_errors([3.0, -1.0, 0.5, 2.0], [1, 1, 1, 1])
    >>> found.error, round(found.surrogate, 3), round(found.loss, 3)
    (0.25, 0.319, 0.491)
    """
    signs = check_labels(labels)
    values = np.asarray(outputs, dtype=np.float64)
    if values.shape != signs.shape or not np.isfinite(values).all():
        came = f"outputs of shape {values.shape} for {len(signs)} labels"
        raise InputError("one finite output per label", came, "give one number for each")
    margins = signs * values
    return Sandwich(
        float((margins <= 0).mean()),
        float(expit(-margins).mean()),
        float(np.logaddexp(0.0, -margins).mean()),
    )


def check_labels(labels: Any) -> NDArray[np.float64]:
    """Labels as floats ±1.

    Raises
    ------
    InputError
        For no labels, or others.

    Examples
    --------
    >>> check_labels([1, -1])
    array([ 1., -1.])
    """
    try:
        signs = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("labels of 1 and -1", labels, "recode the classes") from None
    if signs.ndim != 1 or not signs.size or not (np.abs(signs) == 1).all():
        wrong = signs[np.abs(signs) != 1][:1] if signs.ndim == 1 else f"shape {signs.shape}"
        came = "no labels" if not signs.size else wrong
        raise InputError("labels of 1 and -1, one per sample", came, "recode the classes")
    return signs
