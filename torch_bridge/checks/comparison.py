"""A prediction beside what a real forward pass gave, and how far apart they may be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from expansion.errors import InputError

__all__ = ["EXACT", "STANDARD_ERRORS", "Comparison", "compare_arrays", "compare_mean"]

EXACT = 1e-10  # relative, for numbers that differ by rounding alone in float64
STANDARD_ERRORS = 4.0  # how many of them a mean over draws may be off


@dataclass(frozen=True, slots=True)
class Comparison:
    """One prediction and its measurement.

    Parameters
    ----------
    claim : str
        Id of the claim that predicts.
    subject : str
        What is compared, in words.
    prediction, measurement : float
        The two numbers; a measurement that is not finite is never within.
    allowed : float
        Largest difference that counts as agreement; finite and not negative.
    standard_error : float, optional
        Of the measurement, where it is a mean over random draws.

    Raises
    ------
    InputError
        When what is predicted or allowed is not finite, so that nothing could be found wrong.

    Examples
    --------
    >>> Comparison("G1", "energy", prediction=2.0, measurement=2.5, allowed=0.1).within
    False
    """

    claim: str
    subject: str
    prediction: float
    measurement: float
    allowed: float
    standard_error: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.prediction) and 0 <= self.allowed < math.inf):
            came = f"{self.prediction} ± {self.allowed}"
            raise InputError("a finite prediction and tolerance", came, "measure on more draws")

    @property
    def within(self) -> bool:
        """Whether prediction and measurement agree."""
        return bool(abs(self.measurement - self.prediction) <= self.allowed)

    def to_dict(self) -> dict[str, Any]:
        """The fields and the verdict, ready for JSON; None for what is not finite."""
        fields = asdict(self)
        if not math.isfinite(self.measurement):
            fields["measurement"] = None
        return {**fields, "within": self.within}


def compare_arrays(claim: str, subject: str, ours: ArrayLike, real: ArrayLike) -> Comparison:
    """Compare arrays that are equal up to rounding, by their largest relative difference.

    Parameters
    ----------
    claim, subject : str
        As for :class:`Comparison`.
    ours, real : array_like, of one shape
        Predicted, and given by PyTorch. The difference is relative to the largest entry of
        ``real``.

    Raises
    ------
    InputError
        When shapes differ or nothing is there to compare.

    Examples
    --------
    >>> compare_arrays("E5", "orders", [1.0, 2.0], [1.0, 2.0 + 1e-13]).within
    True
    """
    predicted, measured = np.asarray(ours, dtype=float), np.asarray(real, dtype=float)
    if predicted.shape != measured.shape or not measured.size:
        came = f"shapes {predicted.shape} and {measured.shape}"
        raise InputError("two arrays of one shape, not empty", came, "compare like with like")
    largest = float(np.abs(measured).max())
    difference = float(np.abs(predicted - measured).max())
    relative = difference / largest if largest else difference
    return Comparison(claim, f"{subject}: relative difference", 0.0, relative, EXACT)


def compare_mean(
    claim: str, subject: str, prediction: float, measurement: float, standard_error: float
) -> Comparison:
    """Compare a prediction with a mean over draws, to four standard errors.

    Examples
    --------
    >>> compare_mean("G1", "energy", 2.0, 2.05, 0.02).within
    True
    """
    allowed = STANDARD_ERRORS * standard_error
    return Comparison(claim, subject, prediction, measurement, allowed, standard_error)
