"""Activations as compiled kernels meet them: by number, evaluated relative to a scale.

A signal may be as large as e^1000. It is held as a logarithm and a direction, and an activation
is evaluated as φ(s·z)/s: the same number for every s when φ is positively homogeneous, and never
an overflow for the others.
"""

from __future__ import annotations

import math

from expansion.compiling import compiled
from expansion.errors import InputError

__all__ = [
    "CODES",
    "HOMOGENEOUS",
    "LEAKY_SLOPE",
    "check_branch",
    "relative_slope",
    "relative_value",
]

# The order fixes the numbers below.
CODES = {
    name: code
    for code, name in enumerate(
        ("linear", "relu", "leaky-relu", "tanh", "erf", "sin", "gelu", "silu")
    )
}
HOMOGENEOUS = ("linear", "relu", "leaky-relu")  # φ(s z) = s φ(z) for s > 0
LEAKY_SLOPE = 0.01  # of negative arguments, as in the usual libraries


def check_branch(branch: str) -> str:
    """The branch's name, or an error that lists the known ones.

    Examples
    --------
    >>> check_branch("relu")
    'relu'
    """
    if branch not in CODES:
        raise InputError(f"a branch among {', '.join(CODES)}", branch, "choose one of these")
    return branch


@compiled()
def relative_value(code: int, z: float, scale: float) -> float:
    """φ(scale·z)/scale for scale > 0.

    Examples
    --------
    >>> relative_value(CODES["tanh"], 2.0, 0.5) == math.tanh(1.0) / 0.5
    True
    """
    if code == 0:
        return z
    if code == 1:
        return z if z > 0 else 0.0
    if code == 2:
        return z if z > 0 else LEAKY_SLOPE * z
    if code == 3:
        return math.tanh(scale * z) / scale
    if code == 4:
        return math.erf(scale * z) / scale
    if code == 5:
        return math.sin(scale * z) / scale
    if code == 6:
        return 0.5 * z * math.erfc(-scale * z / math.sqrt(2.0))
    return z * 0.5 * (1.0 + math.tanh(0.5 * scale * z))


@compiled()
def relative_slope(code: int, z: float, scale: float) -> float:
    """φ'(scale·z).

    Examples
    --------
    >>> relative_slope(CODES["relu"], -1.0, 3.0), relative_slope(CODES["gelu"], 0.0, 3.0)
    (0.0, 0.5)
    """
    u = scale * z
    if code == 0:
        return 1.0
    if code == 1:
        return 1.0 if z > 0 else 0.0
    if code == 2:
        return 1.0 if z > 0 else LEAKY_SLOPE
    if code == 3:
        t = math.tanh(u)
        return 1.0 - t * t
    if code == 4:
        return 2.0 / math.sqrt(math.pi) * math.exp(-u * u)
    if code == 5:
        return math.cos(u)
    if code == 6:
        density = math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)
        return 0.5 * math.erfc(-u / math.sqrt(2.0)) + u * density
    s = 0.5 * (1.0 + math.tanh(0.5 * u))
    return s + u * s * (1.0 - s)
