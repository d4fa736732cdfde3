"""Hypothesis strategies for trees, rules, branches and towers.

They serve the checks of this package, the project's own tests, and users who test the theorem on
branches of their own. Everything generated is small and exact, and shrinks towards the smallest
tower: fewer blocks, fewer monomials, numbers near zero.

Examples
--------
>>> from hypothesis import given, settings
>>> from expansion import expand, jet_orders
>>> @settings(max_examples=5, deadline=None, database=None)
... @given(polynomial_towers(depths=(1, 2)), points(2))
... def test_the_theorem(tower, x):
...     assert (expand(tower, 2).orders(x) == jet_orders(tower, x, 2)).all()
>>> test_the_theorem()
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from itertools import combinations_with_replacement
from operator import mul

import numpy as np
import sympy
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from expansion.towers.arrays import Array
from expansion.towers.branches.layered import MLPBranch, relu_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.trees.labelled import LabelledTree
from expansion.trees.tree import Tree

__all__ = [
    "float_towers",
    "labelled_trees",
    "points",
    "polynomial_branches",
    "polynomial_towers",
    "rationals",
    "relu_towers",
    "scaling_rules",
    "scalings",
    "trees",
]


def rationals(bound: int = 3, denominators: Sequence[int] = (1, 2, 3)) -> SearchStrategy[Fraction]:
    """Fractions p/q with |p| ≤ ``bound`` and q among ``denominators``."""
    return st.builds(Fraction, st.integers(-bound, bound), st.sampled_from(denominators))


def points(dimension: int) -> SearchStrategy[Array]:
    """Exact vectors of that dimension, as object arrays."""
    return st.lists(rationals(), min_size=dimension, max_size=dimension).map(_exact_vector)


def trees(max_order: int = 6) -> SearchStrategy[Tree]:
    """Rooted trees of at most ``max_order`` vertices."""

    def grow(parents: list[int]) -> Tree:
        children: list[list[Tree]] = [[] for _ in range(len(parents) + 1)]
        for vertex in range(len(parents), 0, -1):
            children[parents[vertex - 1]].append(Tree(tuple(children[vertex])))
        return Tree(tuple(children[0]))

    # Vertex v + 1 hangs below one of the vertices 0..v: every rooted tree arises so.
    sizes = st.integers(0, max_order - 1)
    return sizes.flatmap(lambda k: st.tuples(*[st.integers(0, v) for v in range(k)])).map(
        lambda parents: grow(list(parents))
    )


def labelled_trees(depth: int = 5, max_order: int = 6) -> SearchStrategy[LabelledTree]:
    """Labelled trees with labels in 1..``depth`` and at most ``max_order`` vertices."""

    @st.composite
    def below(draw: st.DrawFn, label: int, room: int) -> LabelledTree:
        children: list[LabelledTree] = []
        while label > 1 and room > 0 and draw(st.booleans()):
            child = draw(below(draw(st.integers(1, label - 1)), room - 1))
            children.append(child)
            room -= child.order
        return LabelledTree(label, tuple(children))

    return st.integers(1, depth).flatmap(lambda label: below(label, max_order - 1))


def scalings(depth: int) -> SearchStrategy[ScalingRule]:
    """One small exact scale for each of ``depth`` blocks."""
    return st.lists(rationals(2), min_size=depth, max_size=depth).map(ScalingRule.of)


def scaling_rules() -> SearchStrategy[ScalingRule]:
    """Rules that fit any depth, named ones and powers."""
    named = ["1", "1/n", "1/sqrt(n)", "batchnorm", "skipinit", "half", "0.1", "2/n"]
    exponents = st.integers(0, 8).map(lambda p: ScalingRule.parse(f"n^-{p}/4"))
    return st.one_of(st.sampled_from(named).map(ScalingRule.parse), exponents)


def polynomial_branches(
    dimension: int = 2, degree: int = 2, max_terms: int = 3
) -> SearchStrategy[SymbolicBranch]:
    """Polynomial maps of Q^d with few monomials of at most that degree in each coordinate."""
    variables = sympy.symbols(f"x1:{dimension + 1}")
    monomials = [
        reduce(mul, chosen, sympy.Integer(1))
        for size in range(degree + 1)
        for chosen in combinations_with_replacement(variables, size)
    ]
    terms = st.dictionaries(st.sampled_from(range(len(monomials))), rationals(), max_size=max_terms)

    def formula(chosen: dict[int, Fraction]) -> sympy.Expr:
        pairs = chosen.items()
        return sympy.Add(
            *(sympy.Rational(c.numerator, c.denominator) * monomials[k] for k, c in pairs)
        )

    coordinates = st.lists(terms.map(formula), min_size=dimension, max_size=dimension)
    return coordinates.map(lambda formulas: SymbolicBranch(tuple(variables), tuple(formulas)))


@st.composite
def polynomial_towers(
    draw: st.DrawFn,
    dimension: int = 2,
    depths: tuple[int, int] = (1, 4),
    degree: int = 2,
    *,
    tied: bool = False,
    ends: bool = False,
) -> Tower:
    """Towers of polynomial maps with exact scales of their own for every block.

    Parameters
    ----------
    dimension : int
        d ≥ 2: one dimension cannot see the theorem, because isomeric trees collapse there.
    depths : pair of int
        Smallest and largest depth.
    degree : int
        Largest degree of a branch.
    tied : bool
        One branch for all blocks.
    ends : bool
        Whether there is a polynomial encoder and a decoder.
    """
    branches = polynomial_branches(dimension, degree)
    depth = draw(st.integers(*depths))
    chosen = (draw(branches),) * depth if tied else tuple(draw(branches) for _ in range(depth))
    encoder, decoder = (draw(branches), draw(branches)) if ends else (None, None)
    return Tower(chosen, draw(scalings(depth)), encoder, decoder)


@st.composite
def relu_towers(
    draw: st.DrawFn, dimension: int = 2, width: int = 2, depths: tuple[int, int] = (1, 4)
) -> Tower:
    """Exact bias-free ReLU towers ``V relu(U x)`` (claim E7)."""
    depth = draw(st.integers(*depths))
    entries = st.lists(rationals(2), min_size=dimension * width, max_size=dimension * width)

    def matrix(rows: int) -> Array:
        return _exact_vector(draw(entries)).reshape(rows, -1)

    branches = tuple(relu_branch(matrix(dimension), matrix(width)) for _ in range(depth))
    return Tower(branches, draw(scalings(depth)))


@st.composite
def float_towers(
    draw: st.DrawFn,
    activations: Sequence[str] = ("tanh", "gelu", "erf", "sin"),
    dimension: int = 3,
    depths: tuple[int, int] = (1, 4),
) -> Tower:
    """Random one-hidden-layer towers in floats, drawn from a seed, scaled by 1/n."""
    depth = draw(st.integers(*depths))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.integers(1, 4))

    def branch() -> MLPBranch:
        outer = generator.normal(size=(dimension, width)) / width**0.5
        inner = generator.normal(size=(width, dimension)) / dimension**0.5
        biases = generator.normal(size=width), generator.normal(size=dimension)
        return MLPBranch(outer, inner, *biases, draw(st.sampled_from(activations)))

    return Tower(tuple(branch() for _ in range(depth)), "1/n")


def _exact_vector(values: Sequence[Fraction]) -> Array:
    vector = np.empty(len(values), dtype=object)
    vector[:] = values
    return vector
