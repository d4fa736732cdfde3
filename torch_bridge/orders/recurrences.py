r"""Elementwise functions of truncated power series, by recurrences (THEORY E5).

All follow from

.. math:: y' = g(u)\,u' \quad\Longrightarrow\quad k\,y_k = \sum_{j=1}^{k} j\,u_j\,g_{k-j},

so that a function costs O(K²) elementwise operations and no derivative is ever formed: the same
recurrences as :mod:`expansion.towers.power_series`, on tensors. Series are lists of coefficients;
those that are missing are zero. Where a function is not smooth, its branch is the one taken for
small positive z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.polynomial import cauchy, squared

__all__ = [
    "FUNCTIONS",
    "INTO",
    "divided",
    "exponential",
    "integrated",
    "log_sigmoid",
    "power",
    "sigmoid",
    "tanh",
]

Series = Sequence[Tensor]
Function = Callable[..., list[Tensor]]


def integrated(u: Series, slope: Series, k: int, out: Tensor | None = None) -> Tensor:
    """y_k for k ≥ 1 from y' = g u', given g_0..g_{k−1}; written to ``out`` if given."""
    last = min(k, len(u) - 1)
    if last < 1:
        return torch.mul(u[0] * 0, slope[0] * 0, out=out)
    total = torch.mul(u[last], slope[k - last], out=out)
    if last < k:
        total.mul_(last / k)
    for j in range(1, last):
        total.addcmul_(u[j], slope[k - j], value=j / k)
    return total


def _row(out: Series | None, k: int) -> Tensor | None:
    return None if out is None else out[k]


def divided(a: Series, b: Series, terms: int) -> list[Tensor]:
    """a/b, from a = b q."""
    inverse = b[0].reciprocal()
    quotient = [a[0] / b[0]]
    for k in range(1, terms):
        last = min(k, len(b) - 1)
        rest = a[k] * 1 if k < len(a) else torch.zeros_like(quotient[0])
        for j in range(1, last + 1):
            rest = torch.addcmul(rest, b[j], quotient[k - j], value=-1)
        quotient.append(rest * inverse)
    return quotient


def exponential(u: Series, terms: int, out: Series | None = None) -> list[Tensor]:
    """exp: g = y."""
    y = [torch.exp(u[0], out=_row(out, 0))]
    for k in range(1, terms):
        y.append(integrated(u, y, k, _row(out, k)))
    return y


def power(u: Series, terms: int, exponent: float) -> list[Tensor]:
    """u^a: u y' = a u' y, or repeated products for a whole a ≥ 0, where u_0 may vanish."""
    if exponent >= 0 and float(exponent).is_integer() and exponent <= 64:
        return _whole_power(u, terms, int(exponent))
    y = [u[0].pow(exponent)]
    inverse = u[0].reciprocal()
    for k in range(1, terms):
        last = min(k, len(u) - 1)
        total = torch.zeros_like(y[0])
        for j in range(1, last + 1):
            total = total.addcmul_(u[j], y[k - j], value=(exponent + 1) * j / k - 1)
        y.append(total * inverse)
    return y


def _whole_power(u: Series, terms: int, exponent: int) -> list[Tensor]:
    result: list[Tensor] = [torch.ones_like(u[0])]
    base = list(u)
    while exponent:
        if exponent & 1:
            result = cauchy(result, base, terms)
        exponent >>= 1
        if exponent:
            base = [squared(base, k) for k in range(min(terms, 2 * len(base) - 1))]
    return result


def _square(u: Series, terms: int) -> list[Tensor]:
    return [squared(u, k) for k in range(min(terms, 2 * len(u) - 1))]


def _shifted(u: Series, constant: float) -> list[Tensor]:
    return [u[0] + constant, *u[1:]]


def _scaled(u: Series, factor: float) -> list[Tensor]:
    return [c * factor for c in u]


def tanh(u: Series, terms: int, out: Series | None = None) -> list[Tensor]:
    """tanh: g = 1 − y²."""
    start = torch.tanh(u[0], out=_row(out, 0))
    return _by_its_square(u, start, 1 - start * start, start * -2, terms, out)


def sigmoid(u: Series, terms: int, out: Series | None = None) -> list[Tensor]:
    """1/(1 + e^−u): g = y − y²."""
    start = torch.sigmoid(u[0], out=_row(out, 0))
    return _by_its_square(u, start, start - start * start, 1 - 2 * start, terms, out)


def _by_its_square(
    u: Series, start: Tensor, slope: Tensor, bend: Tensor, terms: int, out: Series | None
) -> list[Tensor]:
    """y with g = a + b y − y², from y_0, g_0 and b − 2 y_0: half the products, and no more passes.

    For k ≥ 1, g_k = (b − 2 y_0) y_k − 2 Σ_{0 < j < k/2} y_j y_{k−j} − y_{k/2}².
    """
    y, slopes = [start], [slope]
    for k in range(1, terms):
        y.append(integrated(u, slopes, k, _row(out, k)))
        if k + 1 < terms:
            next_slope = bend * y[k]
            for j in range(1, (k + 1) // 2):
                next_slope.addcmul_(y[j], y[k - j], value=-2)
            if k % 2 == 0:
                next_slope.addcmul_(y[k // 2], y[k // 2], value=-1)
            slopes.append(next_slope)
    return y


def _circular(u: Series, terms: int, sign: int) -> tuple[list[Tensor], list[Tensor]]:
    """Sine and cosine, sign −1, or their hyperbolic kin, sign +1."""
    odd = [u[0].sin() if sign < 0 else u[0].sinh()]
    even = [u[0].cos() if sign < 0 else u[0].cosh()]
    for k in range(1, terms):
        next_odd = integrated(u, even, k)
        even.append(integrated(u, odd, k) * sign)
        odd.append(next_odd)
    return odd, even


def _gaussian(u: Series, terms: int, factor: float) -> list[Tensor]:
    """exp(−u²), times a factor."""
    negative = [c.neg() for c in _square(u, terms)]
    return [c * factor for c in exponential(negative, terms)]


def _erf(u: Series, terms: int) -> list[Tensor]:
    return _primitive(u, terms, torch.erf, _gaussian(u, terms, 2 / math.sqrt(math.pi)))


def _primitive(
    u: Series, terms: int, value: Callable[[Tensor], Tensor], slope: Series
) -> list[Tensor]:
    """y with y' = g u', where all of g is known; g is zero past its end."""
    y = [value(u[0])]
    whole = [*slope, *[torch.zeros_like(slope[0])] * max(0, terms - len(slope))]
    for k in range(1, terms):
        y.append(integrated(u, whole, k))
    return y


def _gelu(u: Series, terms: int, approximate: str = "none") -> list[Tensor]:
    if approximate == "tanh":
        cube = _whole_power(u, terms, 3)
        inner = [0.044715 * c for c in cube]
        inner = [c + u[k] if k < len(u) else c for k, c in enumerate(inner)]
        gate = tanh(_scaled(inner, math.sqrt(2 / math.pi)), terms)
    else:
        gate = _erf(_scaled(u, math.sqrt(0.5)), terms)
    return _scaled(cauchy(u, _shifted(gate, 1.0), terms), 0.5)


def _silu(u: Series, terms: int) -> list[Tensor]:
    return cauchy(u, sigmoid(u, terms), terms)


def _softplus(u: Series, terms: int, beta: float = 1.0, threshold: float = 20.0) -> list[Tensor]:
    smooth = torch.nn.functional.softplus(u[0], beta, threshold)
    y = _primitive(u, terms, lambda _: smooth, sigmoid(_scaled(u, beta), terms))
    far = u[0] * beta > threshold
    zero = torch.zeros_like(u[0])
    return [y[0], *(torch.where(far, u[k] if k < len(u) else zero, y[k]) for k in range(1, terms))]


def log_sigmoid(u: Series, terms: int) -> list[Tensor]:
    """log of the sigmoid: g = sigmoid(−u)."""
    slope = sigmoid([c.neg() for c in u], terms)
    return _primitive(u, terms, torch.nn.functional.logsigmoid, slope)


def _mish(u: Series, terms: int) -> list[Tensor]:
    return cauchy(u, tanh(_softplus(u, terms), terms), terms)


def _reciprocal(u: Series, terms: int) -> list[Tensor]:
    return divided([torch.ones_like(u[0])], u, terms)


def _of_square(sign: int, constant: float) -> Callable[[Series, int], list[Tensor]]:
    def inner(u: Series, terms: int) -> list[Tensor]:
        return _shifted(_scaled(_square(u, terms), sign), constant)

    return inner


def _inverse(
    value: Callable[[Tensor], Tensor],
    inner: Callable[[Series, int], list[Tensor]],
    exponent: float,
    factor: float = 1.0,
) -> Function:
    """The function whose slope is factor·inner(u)^exponent."""

    def function(u: Series, terms: int) -> list[Tensor]:
        slope = power(inner(u, terms), terms, exponent)
        return _primitive(u, terms, value, slope if factor == 1 else _scaled(slope, factor))

    return function


def _base(base: float) -> Function:
    """u ↦ base^u."""
    return lambda u, terms: exponential(_scaled(u, math.log(base)), terms)


def _less_one(u: Series, terms: int) -> list[Tensor]:
    return [torch.expm1(u[0]), *exponential(u, terms)[1:]]


def _power(u: Series, terms: int, exponent: Any = 1) -> list[Tensor]:
    if isinstance(exponent, Tensor):
        raise TypeError("an exponent that is a tensor")
    return power(u, terms, exponent)


def _tan(u: Series, terms: int) -> list[Tensor]:
    return divided(*_circular(u, terms, -1), terms)


def _itself(u: Series, terms: int) -> list[Tensor]:
    return list(u)


# Functions that can write their coefficients where they are told to.
INTO = frozenset({"exp", "sigmoid", "tanh"})
# Operation to function; arguments beside the signal are passed on by their names.
FUNCTIONS: Mapping[str, Function] = {
    "acos": _inverse(torch.acos, _of_square(-1, 1.0), -0.5, -1.0),
    "acosh": _inverse(torch.acosh, _of_square(1, -1.0), -0.5),
    "asin": _inverse(torch.asin, _of_square(-1, 1.0), -0.5),
    "asinh": _inverse(torch.asinh, _of_square(1, 1.0), -0.5),
    "atan": _inverse(torch.atan, _of_square(1, 1.0), -1.0),
    "atanh": _inverse(torch.atanh, _of_square(-1, 1.0), -1.0),
    "cos": lambda u, terms: _circular(u, terms, -1)[1],
    "cosh": lambda u, terms: _circular(u, terms, 1)[1],
    "erf": _erf,
    "erfc": lambda u, terms: _shifted(_scaled(_erf(u, terms), -1.0), 1.0),
    "exp": exponential,
    "exp2": _base(2.0),
    "expm1": _less_one,
    "gelu": _gelu,
    "log": _inverse(torch.log, _itself, -1.0),
    "log10": _inverse(torch.log10, _itself, -1.0, 1 / math.log(10)),
    "log1p": _inverse(torch.log1p, lambda u, terms: _shifted(u, 1.0), -1.0),
    "log2": _inverse(torch.log2, _itself, -1.0, 1 / math.log(2)),
    "mish": _mish,
    "pow": _power,
    "reciprocal": _reciprocal,
    "rsqrt": lambda u, terms: power(u, terms, -0.5),
    "sigmoid": sigmoid,
    "silu": _silu,
    "sin": lambda u, terms: _circular(u, terms, -1)[0],
    "sinh": lambda u, terms: _circular(u, terms, 1)[0],
    "softplus": _softplus,
    "sqrt": lambda u, terms: power(u, terms, 0.5),
    "square": _square,
    "tan": _tan,
    "tanh": tanh,
}
