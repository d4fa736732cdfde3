"""Random towers of every kind that has a bound, and their activations in mpmath."""

import math

import mpmath
import numpy as np
import sympy

from expansion.towers.branches.layered import AffineBranch, MLPBranch, sigmoid_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower

ACTIVATIONS = ("tanh", "sin", "erf", "gelu", "linear", "sigmoid")
X, Y = sympy.symbols("x y")
MP = {
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "erf": mpmath.erf,
    "gelu": lambda a: a * (1 + mpmath.erf(a / mpmath.sqrt(2))) / 2,
    "linear": lambda a: a,
}


def random_tower(seed):
    """Depth, widths, sizes, signs, scales, ends and the kind of branch, all from the seed."""
    g = np.random.default_rng(seed)
    d, width, depth = (int(v) for v in g.integers(1, (4, 4, 5)))
    kind = int(g.integers(0, 9))
    if kind == 8:
        d = 2
    size = math.exp(g.uniform(-2, 1))

    def branch(inputs, outputs):
        if kind == 7:
            return AffineBranch(size * g.normal(size=(outputs, inputs)), g.normal(size=outputs))
        if kind == 8 and inputs == outputs == 2:
            return random_formulas(g)
        parts = [size * g.normal(size=shape) for shape in ((outputs, width), (width, inputs))]
        biases = g.normal(size=width) * g.choice([0, 1, 3]), g.normal(size=outputs)
        name = ACTIVATIONS[kind % len(ACTIVATIONS)]
        return (
            sigmoid_branch(*parts, *biases)
            if name == "sigmoid"
            else MLPBranch(*parts, *biases, name)
        )

    branches = tuple(branch(d, d) for _ in range(depth))
    scales = (g.normal(size=depth) * g.choice([0.02, 0.1, 0.5, 1.0])).tolist()
    ends = {}
    inputs = d
    if g.random() < 0.2:
        inputs = int(g.integers(1, 4))
        ends["encoder"] = branch(inputs, d)
    if g.random() < 0.3:
        ends["decoder"] = branch(d, int(g.integers(1, 4)))
    return Tower(branches, scales, **ends), g.normal(size=inputs) * g.choice([0, 0.3, 2])


def random_formulas(g):
    c = [[int(v) for v in row] for row in g.integers(-3, 4, size=(2, 6))]
    last = [sympy.sin(X * Y / 2), Y**3, sympy.tanh(X + Y**2) / 2, 1 / (1 + sympy.exp(-X)), X * Y**2]
    return SymbolicBranch(
        (X, Y),
        tuple(
            (a[0] + a[1] * X + a[2] * Y + a[3] * X * Y + a[4] * X**2) / sympy.Integer(3)
            + sympy.Rational(a[5], 7) * last[int(g.integers(len(last)))]
            for a in c
        ),
    )


def as_mp(value):
    return mpmath.mpf(value.mid().str(45, radius=False))
