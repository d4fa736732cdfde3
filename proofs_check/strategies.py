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
from functools import lru_cache
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight
from expansion.towers.arrays import Array
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch, relu_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.trees.labelled import LabelledTree
from expansion.trees.tree import Tree

__all__ = [
    "affine_towers",
    "architectures",
    "float_towers",
    "labelled_trees",
    "layered_towers",
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
    """Fractions p/q with |p| ≤ ``bound`` and q among ``denominators``, simplest first."""
    # One draw from a sorted list shrinks in far fewer steps than a numerator and a denominator.
    values = {Fraction(p, q) for p in range(-bound, bound + 1) for q in denominators}
    return st.sampled_from(sorted(values, key=_simplicity))


def _simplicity(value: Fraction) -> tuple[int, bool, Fraction]:
    return (abs(value.numerator) + value.denominator if value else 0, value < 0, abs(value))


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
    """Polynomial maps of Q^d of at most that degree, with at most d·``max_terms`` monomials."""
    places = [
        (coordinate, monomial)
        for size in range(degree + 1)
        for monomial in combinations_with_replacement(range(dimension), size)
        for coordinate in range(dimension)
    ]
    term = st.tuples(st.sampled_from(places), rationals())
    terms = st.lists(term, max_size=dimension * max_terms)
    return terms.map(lambda chosen: _polynomial_branch(dimension, tuple(chosen)))


@lru_cache(maxsize=4096)  # while a counterexample shrinks, the same branches come again and again
def _polynomial_branch(
    dimension: int, terms: tuple[tuple[tuple[int, tuple[int, ...]], Fraction], ...]
) -> SymbolicBranch:
    variables = sympy.symbols(f"x1:{dimension + 1}")
    formulas = [sympy.Integer(0)] * dimension
    for (coordinate, monomial), c in terms:
        factors = (variables[a] for a in monomial)
        formulas[coordinate] += prod(factors, start=sympy.Rational(c.numerator, c.denominator))
    return SymbolicBranch(variables, tuple(formulas))


def polynomial_towers(
    dimension: int = 2,
    depths: tuple[int, int] = (1, 4),
    degree: int = 2,
    *,
    tied: bool = False,
    ends: bool = False,
) -> SearchStrategy[Tower]:
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
    if tied:
        scales = st.lists(rationals(2), min_size=depths[0], max_size=depths[1])
        blocks = st.tuples(branches, scales).map(lambda drawn: [(drawn[0], s) for s in drawn[1]])
    else:
        blocks = _blocks(branches, depths)
    if ends:
        return st.tuples(blocks, branches, branches).map(lambda drawn: _tower(*drawn))
    return blocks.map(_tower)


def affine_towers(dimension: int = 2, depths: tuple[int, int] = (1, 4)) -> SearchStrategy[Tower]:
    """Exact towers of affine branches x ↦ A x + b (claim E7)."""
    matrices, biases = _matrices(dimension, dimension), points(dimension)
    return _blocks(st.builds(AffineBranch, matrices, biases), depths).map(_tower)


def relu_towers(
    dimension: int = 2, width: int = 2, depths: tuple[int, int] = (1, 4)
) -> SearchStrategy[Tower]:
    """Exact bias-free ReLU towers ``V relu(U x)`` (claim E7)."""
    outer, inner = _matrices(dimension, width), _matrices(width, dimension)
    return _blocks(st.builds(relu_branch, outer, inner), depths).map(_tower)


def layered_towers(
    dimension: int = 2, width: int = 2, depths: tuple[int, int] = (1, 4), *, ends: bool = False
) -> SearchStrategy[Tower]:
    """Exact towers ``V φ(U x + b) + c`` with φ relu or linear, biases included (claim E7b).

    Parameters
    ----------
    dimension, width : int
        Of the state, and of the hidden layer.
    depths : pair of int
        Smallest and largest depth.
    ends : bool
        Whether there is an encoder and a decoder of the same kind.
    """
    branches = st.builds(
        MLPBranch,
        _matrices(dimension, width),
        _matrices(width, dimension),
        points(width),
        points(dimension),
        st.sampled_from(["relu", "linear"]),
    )
    if ends:
        blocks = _blocks(branches, depths)
        return st.tuples(blocks, branches, branches).map(lambda drawn: _tower(*drawn))
    return _blocks(branches, depths).map(_tower)


def _blocks(
    branches: SearchStrategy[Any], depths: tuple[int, int]
) -> SearchStrategy[list[tuple[Any, Fraction]]]:
    """Branches with their scales: a list, so that Hypothesis can leave out whole blocks."""
    return st.lists(st.tuples(branches, rationals(2)), min_size=depths[0], max_size=depths[1])


def _tower(
    blocks: Sequence[tuple[Any, Fraction]],
    encoder: Branch | None = None,
    decoder: Branch | None = None,
) -> Tower:
    branches, scales = zip(*blocks, strict=True)
    return Tower(branches, ScalingRule.of(scales), encoder, decoder)


def _matrices(rows: int, columns: int) -> SearchStrategy[Array]:
    entries = st.lists(rationals(2), min_size=rows * columns, max_size=rows * columns)
    return entries.map(lambda values: _exact_vector(values).reshape(rows, columns))


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


@st.composite
def architectures(
    draw: st.DrawFn,
    max_nodes: int = 6,
    max_extra: int = 6,
    weights: SearchStrategy[Weight] | None = None,
) -> Architecture:
    """Random graphs with parallel edges, skips, branches, and blocks of several edges (claim C4).

    Parameters
    ----------
    max_nodes : int
        At least 2.
    max_extra : int
        Edges beyond those that make the graph one.
    weights : strategy of exact numbers, optional
        Of the edges; 1 by default.
    """
    last = draw(st.integers(1, max_nodes - 1))
    ends = [(draw(st.integers(0, head - 1)), head) for head in range(1, last + 1)]
    pairs = [(tail, head) for head in range(1, last + 1) for tail in range(head)]
    ends += draw(st.lists(st.sampled_from(pairs), max_size=max_extra))
    tails = {tail for tail, _ in ends}
    ends += [(node, last) for node in range(last) if node not in tails]
    # Names that stand alone, that several edges share, and that are parts of a block.
    names = ["", "a", "b", "c.one", "c.two", *(f"own{number}" for number in range(len(ends)))]
    chosen = []
    for tail, head in ends:
        name = draw(st.sampled_from(names))
        order = draw(st.integers(0, 2)) if name else 0
        weight = draw(weights) if weights is not None else 1
        chosen.append(Edge(f"v{tail}", f"v{head}", name, order, weight))
    return Architecture(tuple(draw(st.permutations(chosen))))
