r"""The residual additions of a graph (THEORY M1).

A residual addition is a sum ``skip + Σ branches`` in which every branch is computed from the skip
by at least one parametrised operation. The skip may have been moved on its way (reshaped, cropped,
padded, pooled, multiplied by a constant), or be a *parametrised shortcut*: at most one convolution
or matrix, and any normalisations, of a value that the branches are computed from as well.

What follows from it, and what was decided:

- A sum of several terms is one addition with several branches if all of them start from one skip:
  ``x + attention(x) + mlp(x)``, and ``x + a(x) + m(a(x))``.
- A residual block inside a branch is an addition of its own. Additions are counted in the order of
  execution, so the inner one comes first.
- Only paths of floating-point values count: the embeddings of a token and of its position are
  both computed from integers, and their sum is no block. A bias, a position or a mask is computed
  from nothing; between the terms of GELU's inner sum ``x + 0.0447 x³``, and of rotary sums, there
  is no parametrised operation.
- A parametrised shortcut needs a branch with some non-linear operation: ``W x + B A x`` and
  ``conv₃(x) + conv₁(x)`` are one linear layer in two parts. A normalisation alone may be the
  shortcut of a branch that has a matrix.
- ``x - f(x)`` is the sum of x and of ``-f(x)``, but not inside ``f(x) + gate (x - f(x))``: a gate
  that mixes two values is no block, be it a highway's, an LSTM's or a GRU's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import fx

from torch_bridge.tracing.captured import Addition
from torch_bridge.tracing.dependence import Dependence, Work, name_of
from torch_bridge.tracing.naming import unique_names

__all__ = ["find_additions"]

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class _Shortcut:
    """How a term comes from the value that another term is computed from."""

    root: fx.Node
    moves: int
    norms: int
    mixes: int

    @property
    def length(self) -> tuple[int, int, int]:
        """What is done to the root, the weightiest first."""
        return self.mixes, self.norms, self.moves

    @property
    def kind(self) -> Literal["identity", "moved", "parametrised"]:
        if self.norms or self.mixes:
            return "parametrised"
        return "moved" if self.moves else "identity"


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum recognised as residual."""

    skip: fx.Node
    branches: tuple[fx.Node, ...]
    shortcut: _Shortcut


def find_additions(
    graph: fx.Graph, *, state: Set[fx.Node], parameters: Set[fx.Node]
) -> tuple[Addition, ...]:
    """All residual additions, in the order of execution.

    A subtraction that is one is rewritten in the graph as the addition of a negative.

    Parameters
    ----------
    graph : fx.Graph
        Of ATen operations in execution order, each with its example in ``meta["val"]``.
    state : set of fx.Node
        Placeholders of parameters, buffers and constants.
    parameters : set of fx.Node
        Those of them that are learned.

    Examples
    --------
    >>> from torch_bridge.tracing.capture import capture
    >>> class Block(torch.nn.Linear):
    ...     def forward(self, x):
    ...         return x + torch.relu(super().forward(x))
    >>> tower = torch.nn.Sequential(torch.nn.Linear(3, 2), Block(2, 2), Block(2, 2))
    >>> [addition.name for addition in capture(tower, (torch.ones(1, 3),)).additions]
    ['1', '2']
    """
    dependence = Dependence(graph, state, parameters)
    found: dict[fx.Node, _Sum] = {}
    for node in graph.nodes:
        if not _sums(node, dependence):
            continue
        for terms, opened in _groupings(node, dependence, found):
            whole = _split(terms, dependence)
            if whole is None or (name_of(node) == "sub" and not _taken_from(node, whole.skip)):
                continue
            # An inner block that starts elsewhere is a block of its own.
            roots = {found[inner].shortcut.root for inner in opened if inner in found}
            if roots <= {whole.shortcut.root}:
                for inner in opened:
                    found.pop(inner, None)
                found[node] = whole
                break
    names = unique_names(list(found), [_work(whole, dependence) for whole in found.values()])
    return tuple(
        Addition(name, *_as_addition(graph, node, whole), whole.shortcut.kind)
        for name, (node, whole) in zip(names, found.items(), strict=True)
    )


def _work(whole: _Sum, dependence: Dependence) -> list[fx.Node]:
    """The parametrised operations of the branches, in the order of execution."""
    root = whole.shortcut.root
    steps = {step for branch in whole.branches for step in dependence.between(root, branch)}
    return dependence.ordered(step for step in steps if dependence.work(step) is not Work.NOTHING)


def _sums(node: fx.Node, dependence: Dependence) -> bool:
    """Whether a node adds, or subtracts, two values that depend on the inputs."""
    return (
        node.target in (aten.add.Tensor, aten.sub.Tensor)
        and dependence.active(node)
        and not node.kwargs
        and len(dependence.sources(node)) == 2
    )


def _taken_from(node: fx.Node, skip: fx.Node) -> bool:
    """Whether a difference is the skip without the branch, and no part of a mixture."""
    first, second = node.args
    mixed = any(
        name_of(last) == "add" and second in last.all_input_nodes
        for user in node.users
        if name_of(user) == "mul"
        for last in user.users
    )
    return skip is first and not mixed


def _groupings(
    node: fx.Node, dependence: Dependence, found: dict[fx.Node, _Sum]
) -> Iterator[tuple[Sequence[fx.Node], list[fx.Node]]]:
    """The ways to read a sum as a sum of terms, with the inner sums that are opened for it.

    All inner sums opened; all but those that are residual themselves; none.
    """
    operands = dependence.sources(node)
    seen: list[list[fx.Node]] = []
    for closed in ({}, found, None):
        opened: list[fx.Node] = []

        def terms(
            term: fx.Node, closed: dict[fx.Node, _Sum] | None = closed, into: list[fx.Node] = opened
        ) -> list[fx.Node]:
            alone = len(term.users) == 1 and term.target is aten.add.Tensor
            if closed is None or term in closed or not alone or not _sums(term, dependence):
                return [term]
            into.append(term)
            return list(chain.from_iterable(terms(t) for t in dependence.sources(term)))

        if name_of(node) == "sub":
            found_terms = operands
        else:
            found_terms = list(chain.from_iterable(terms(term) for term in operands))
        if found_terms not in seen:
            seen.append(found_terms)
            yield found_terms, opened


def _split(terms: Sequence[fx.Node], dependence: Dependence) -> _Sum | None:
    """The skip among the terms, if there is one that all others are branches of."""
    if len(set(terms)) < len(terms):
        return None
    since = dependence.ordered(node for term in terms for node in dependence.line(term))[0]
    upstream = {term: dependence.upstream(term, since) for term in terms}
    candidates = []
    for skip in terms:
        branches = tuple(term for term in terms if term is not skip)
        shortcuts = [_shortcut(skip, branch, upstream[branch], dependence) for branch in branches]
        known = [shortcut for shortcut in shortcuts if shortcut is not None]
        if len(known) == len(branches):
            worst = max(known, key=lambda shortcut: shortcut.length)
            candidates.append(_Sum(skip, branches, worst))
    return min(candidates, key=lambda candidate: candidate.shortcut.length, default=None)


def _shortcut(
    skip: fx.Node, branch: fx.Node, upstream: dict[fx.Node, Work], dependence: Dependence
) -> _Shortcut | None:
    """How ``skip`` comes from a value that feeds the branch through parameters, if it does."""
    moves = norms = mixes = 0
    root = skip
    while root not in upstream:  # the nearest value that both are computed from
        sources = dependence.sources(root)
        if root is branch or len(sources) != 1:
            return None
        work = dependence.work(root)
        if work is Work.MIXES:
            mixes += 1
        elif work is Work.NORMALISES:
            norms += 1
        elif dependence.moves(root):
            moves += 1
        else:
            return None
        if mixes > 1:
            return None
        root = sources[0]
    strength = upstream[root]
    if mixes:
        steps = dependence.between(root, branch)
        suits = strength > Work.SCALES and not all(dependence.linear(step) for step in steps)
    elif norms or moves:
        suits = strength is Work.MIXES
    else:
        suits = strength is not Work.NOTHING
    return _Shortcut(root, moves, norms, mixes) if suits else None


def _as_addition(
    graph: fx.Graph, node: fx.Node, whole: _Sum
) -> tuple[fx.Node, fx.Node, tuple[fx.Node, ...]]:
    """Sum, skip and branches; a difference becomes a sum."""
    if node.target is aten.add.Tensor:
        return node, whole.skip, whole.branches
    (branch,) = whole.branches
    with graph.inserting_before(node):
        negative = graph.call_function(aten.neg.default, (branch,))
    negative.meta = {**node.meta, "val": branch.meta["val"]}
    node.target, node.args = aten.add.Tensor, (whole.skip, negative)
    return node, whole.skip, (negative,)
