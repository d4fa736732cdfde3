r"""One walk through a captured graph, for any algebra of signals (THEORY E5, E7b).

The value of a node either does not depend on the scales, and is computed as the model does, or it
is an element of an algebra: a truncated polynomial in z. At every residual addition

.. math:: u_{\mathrm{sum}} = u_{\mathrm{skip}} + \lambda_i\, z \sum_b u_b .

What an algebra makes of every other operation is its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from expansion.errors import InputError
from torch_bridge.orders.plan import Plan, Step
from torch_bridge.orders.polynomial import Polynomial
from torch_bridge.tracing.captured import CapturedModel
from torch_bridge.tracing.runner import check_scales

__all__ = ["Algebra", "Call", "NotCoveredError", "Rule", "restored", "strengths_of", "walk"]


class NotCoveredError(Exception):
    """A rule meets options that it does not cover: the algebra's general route takes over.

    It never leaves :mod:`torch_bridge.orders`.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An operation and its arguments by the names of its schema.

    Parameters
    ----------
    target : callable
        The overload.
    name : str
        Of the operation, for all its overloads: ``add``.
    arguments : mapping from name to value
        As given; those left at their default are missing.
    terms : int
        How many coefficients are asked for.
    """

    target: Any
    name: str
    arguments: dict[str, Any]
    terms: int

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or the default of the schema, given here."""
        value = self.arguments.get(name)
        return default if value is None else value

    def again(self, /, **changes: Any) -> Any:
        """The operation itself, with some arguments changed."""
        return self.target(**(self.arguments | changes))


Rule = Callable[[Call], Any]
"""What an algebra does for one operation."""


class Algebra(Protocol):
    """What :func:`walk` needs to know of signals that depend on z."""

    @property
    def element(self) -> type:
        """The class of values that depend on z; all others are plain."""

    def apply(self, step: Step, call: Call) -> Any:
        """An operation with at least one element among its arguments."""
        ...

    def sum(self, step: Step, skip: Any, branches: Sequence[Any], scale: Any) -> Any:
        """skip + λ z Σ branches; a branch that the plan has put off comes as its call."""
        ...


def walk(
    captured: CapturedModel,
    inputs: Mapping[str, Any],
    plan: Plan,
    algebra: Algebra,
    scales: Sequence[Any],
) -> list[Any]:
    """The graph's flat outputs: elements, or plain values where they do not depend on z.

    Parameters
    ----------
    captured : CapturedModel
        The graph, its additions and the model's own tensors.
    inputs : mapping from placeholder name to value
        What ``captured.bind`` gives.
    plan : Plan
        Of the same graph and additions.
    algebra : Algebra
        What signals are.
    scales : sequence of float or 0-dim Tensor
        λ_1..λ_n.
    """
    values: dict[fx.Node, Any] = {}
    for step in plan.steps:
        node = step.node
        if step.number is not None:
            addition = captured.additions[step.number]
            branches = [values[b] for b in addition.branches if b in values]
            if step.product is not None:
                branches = [_call(step.product, values)]
            value = algebra.sum(step, values[addition.skip], branches, scales[step.number])
        elif node.op == "placeholder":
            value = inputs[node.name] if node.name in inputs else captured.state[node.name]
        else:
            value = _compute(captured, step, algebra, values)
        values[node] = value
        for last in step.last_uses:
            del values[last]
    return [_resolved(entry, values) for entry in plan.outputs]


def _compute(
    captured: CapturedModel, step: Step, algebra: Algebra, values: dict[fx.Node, Any]
) -> Any:
    if step.target is operator.getitem:
        arguments: Any = step.node.args
        return values[arguments[0]][arguments[1]]
    live = _any_is([values[source] for source in step.sources], algebra.element)
    if step.slots is None:
        if live:
            came = f"{step.target} {_where(captured, step.node)}"
            mend = "name the blocks by hand"
            raise InputError("operations of PyTorch on every signal", came, mend)
        named = {name: _resolved(a, values) for name, a in step.node.kwargs.items()}
        return step.target(*[_resolved(a, values) for a in step.node.args], **named)
    call = _call(step, values)
    if not live:
        named = step.node.kwargs  # PyTorch is slower at names than at places
        return call.target(**call.arguments) if named else call.target(*call.arguments.values())
    try:
        return algebra.apply(step, call)
    except InputError as error:
        came = f"{error.came} {_where(captured, step.node)}"
        raise InputError(error.required, came, error.mend) from error


def _call(step: Step, values: Mapping[fx.Node, Any]) -> Call:
    assert step.slots is not None
    bound = {name: _resolved(a, values) if nodes else a for name, a, nodes in step.slots}
    return Call(step.target, step.name, bound, step.terms)


def _resolved(argument: Any, values: Mapping[fx.Node, Any]) -> Any:
    if isinstance(argument, fx.Node):
        return values[argument]
    if isinstance(argument, (list, tuple)):
        return type(argument)([_resolved(a, values) for a in argument])
    return argument


def _any_is(values: Sequence[Any], element: type) -> bool:
    for value in values:
        if isinstance(value, element):
            return True
        if isinstance(value, (list, tuple)) and _any_is(value, element):
            return True
    return False


def _where(captured: CapturedModel, node: fx.Node) -> str:
    """The block that a node comes before the addition of, in words."""
    seen = False
    ends = {addition.sum: addition.name for addition in captured.additions}
    for other in captured.graph.nodes:
        seen = seen or other is node
        if seen and other in ends:
            return f"in block {ends[other]}"
    return "after the last block"


def strengths_of(scales: Any, depth: int) -> list[Any]:
    """λ_1..λ_n one by one: ones by default, the entries of a tensor as tensors.

    Raises
    ------
    InputError
        For another number of scales than there are blocks, or one that is not a finite number.

    Examples
    --------
    >>> strengths_of(None, 2), strengths_of("1/n", 2)
    ([1.0, 1.0], [0.5, 0.5])
    """
    found = check_scales(scales, depth)
    if found is None:
        return [1.0] * depth
    if isinstance(found, Tensor) and found.ndim != 1:
        came = f"a tensor of shape {tuple(found.shape)}"
        raise InputError("one row of scales for the orders", came, "take one row at a time")
    return list(found)


def restored(captured: CapturedModel, outputs: Sequence[Any], terms: int) -> list[Any]:
    """Order by order, the model's own output structure from flat outputs of coefficients.

    Parameters
    ----------
    captured : CapturedModel
        Whose structure it is.
    outputs : sequence
        Polynomials of at most ``terms`` coefficients, or plain values, which are of order 0.
    terms : int
        K + 1.

    Raises
    ------
    InputError
        When no output is a real floating-point tensor.
    """
    flat = [entry.stack if isinstance(entry, Polynomial) else entry for entry in outputs]
    if not any(isinstance(entry, Tensor) and entry.is_floating_point() for entry in flat):
        kinds = sorted({str(getattr(entry, "dtype", type(entry).__name__)) for entry in flat})
        came = f"outputs of {', '.join(kinds)}" if kinds else "no output"
        raise InputError("a model with an output of real numbers", came, "return e.g. the logits")
    orders = []
    for k in range(terms):
        row = []
        for entry in outputs:
            if isinstance(entry, Polynomial):
                here = k < entry.terms
                row.append(entry.stack[k] if here else torch.zeros_like(entry.start))
            elif k and isinstance(entry, Tensor):
                row.append(torch.zeros_like(entry))
            else:
                row.append(entry)
        orders.append(captured.restore(row))
    return orders
