r"""Activations with their value, their m-th derivative and their action on power series.

The derivative is a closed form (polynomials in tanh, Hermite polynomials, shifted sines); the
power series is a recurrence. They are two independent routes to the same Taylor coefficients.
ReLU is piecewise linear: its gate is taken where the series starts, and the expansion is exact
as long as no kink is crossed (claim E7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from expansion.errors import InputError
from expansion.towers.arrays import Array, is_exact
from expansion.towers.power_series import Series, apply_function

__all__ = ["ACTIVATIONS", "Activation", "activation"]


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise nonlinearity φ with φ(0) = 0.

    Parameters
    ----------
    name : str
        As files and options name it.
    value : callable
        φ(a), elementwise on arrays.
    derivative : callable
        φ^(m)(a) for m ≥ 1, elementwise.
    series : callable
        φ applied to a :class:`~expansion.towers.power_series.Series`.

    Examples
    --------
    >>> tanh = activation("tanh")
    >>> float(tanh.derivative(np.array(0.0), 3))
    -2.0
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array, int], Array]
    series: Callable[[Series], Series]

    def gate(self, pre_activation: Array) -> Array:
        """φ(a)/a, with φ'(0) where a = 0: the frozen gate of claim E7b."""
        slope = self.derivative(pre_activation, 1)
        zero = pre_activation == 0
        return np.where(zero, slope, self.value(pre_activation) / np.where(zero, 1, pre_activation))


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises
    ------
    InputError
        For a name that is not known.

    Examples
    --------
    >>> activation("relu").value(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise InputError(f"an activation among {known}", name, "choose one of these")
    return ACTIVATIONS[name]


def _identity_derivative(a: Array, m: int) -> Array:
    return a * 0 + (1 if m == 1 else 0)


def _step(a: Array) -> Array:
    return (a > 0).astype(bool)


def _relu(a: Array) -> Array:
    return np.where(_step(a), a, abs(a * 0))


def _relu_derivative(a: Array, m: int) -> Array:
    return _step(a) * (a * 0 + 1) if m == 1 else a * 0


def _relu_series(series: Series) -> Series:
    # On a kink the first coefficient that moves decides, as it does for small positive z.
    stacked = np.stack([np.asarray(c) for c in series.coefficients])
    leading = np.argmax(stacked != 0, axis=0)
    gate = _step(np.take_along_axis(stacked, leading[None], axis=0)[0])
    return Series([np.where(gate, c, c * 0) for c in series.coefficients])


def _tanh_derivative(a: Array, m: int) -> Array:
    # d/da P(t) = (1 − t²) P'(t) for t = tanh a, starting from P(t) = t.
    polynomial = [0, 1]
    for _ in range(m):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return _horner(polynomial, apply_function("tanh", a))


def _sin_derivative(a: Array, m: int) -> Array:
    name, sign = [("sin", 1), ("cos", 1), ("sin", -1), ("cos", -1)][m % 4]
    return sign * apply_function(name, a)


def _erf_derivative(a: Array, m: int) -> Array:
    # erf' = (2/√π) exp(−a²), and each further derivative brings −H_{m−1} (physicists').
    hermite = _hermite(m - 1, 2)
    return _root(4, a) * (-1) ** (m - 1) * _horner(hermite, a) * apply_function("exp", -a * a)


def _normal_derivative(a: Array, m: int) -> Array:
    """Φ^(m): the normal distribution function (m = 0) and its derivatives."""
    if m == 0:
        return (1 + apply_function("erf", a / _root(2, a, over_pi=False))) / 2
    density = apply_function("exp", -a * a / 2) * _root(4, a) / _root(2, a, over_pi=False) / 2
    return (-1) ** (m - 1) * _horner(_hermite(m - 1, 1), a) * density


def _gelu_derivative(a: Array, m: int) -> Array:
    return a * _normal_derivative(a, m) + m * _normal_derivative(a, m - 1)


def _gelu_series(series: Series) -> Series:
    scaled = series * (1 / _root(2, np.asarray(series.coefficients[0]), over_pi=False))
    return Series([c / 2 for c in (series * (apply_function("erf", scaled) + 1)).coefficients])


def _hermite(degree: int, step: int) -> list[int]:
    """Hermite polynomial coefficients: H_{k+1} = step·(x H_k) − step·k H_{k−1}."""
    before, now = [0], [1]
    for k in range(degree):
        raised = [0] + [step * c for c in now]
        lowered = [step * k * c for c in before] + [0] * (len(raised) - len(before))
        before, now = now, [r - low for r, low in zip(raised, lowered, strict=True)]
    return now


def _horner(coefficients: list[int], a: Array) -> Array:
    total = a * 0 + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * a + coefficient
    return total


def _root(number: int, like: Array, *, over_pi: bool = True) -> Any:
    """√(number/π), or √number: exact beside exact numbers."""
    if is_exact(np.asarray(like)):
        import sympy

        return sympy.sqrt(number / sympy.pi if over_pi else sympy.Integer(number))
    return np.sqrt(number / np.pi if over_pi else number)


def _elementary(name: str, derivative: Callable[[Array, int], Array]) -> Activation:
    def apply(argument: Any) -> Any:
        return apply_function(name, argument)

    return Activation(name, apply, derivative, apply)


ACTIVATIONS: dict[str, Activation] = {
    known.name: known
    for known in (
        Activation("linear", lambda a: a, _identity_derivative, lambda series: series),
        Activation("relu", _relu, _relu_derivative, _relu_series),
        Activation("gelu", lambda a: a * _normal_derivative(a, 0), _gelu_derivative, _gelu_series),
        _elementary("tanh", _tanh_derivative),
        _elementary("erf", _erf_derivative),
        _elementary("sin", _sin_derivative),
    )
}
