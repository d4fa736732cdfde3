r"""The frozen-gate ensemble of any captured model, exact at its own scales (THEORY E7b).

At the actual forward pass every gate, denominator, attention pattern and choice is held at the
value that it has. What is left is affine in the signal, exactly at the visited point, so with a z
on every branch the output is a polynomial whose coefficient of z^k sums the paths through k
branches, and at z = 1

.. math:: \sum_{k=0}^{n} P_k = \mathrm{model}(x)

for every network and at any scales. Derived; what was frozen is part of the answer, for other
choices give other orders with the same sum.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from expansion.checking import check_count
from torch_bridge.orders.frozen_rules import Freezing, freezing
from torch_bridge.orders.linear import LINEAR
from torch_bridge.orders.memory import refuse_too_large
from torch_bridge.orders.plan import Step, argument_names, kept_plan, operation
from torch_bridge.orders.polynomial import Polynomial
from torch_bridge.orders.propagation import Call, restored, strengths_of, walk
from torch_bridge.orders.series import added, cut
from torch_bridge.tracing.captured import CapturedModel

__all__ = ["FrozenOrders", "frozen_orders"]


@dataclass(frozen=True, slots=True, eq=False)
class FrozenOrders:
    """The orders with every gate frozen at the forward pass, and what was frozen.

    Parameters
    ----------
    orders : list of K + 1 outputs
        Each with the model's own structure; with K = n they add up to the output.
    output : Any
        The model's output at these scales.
    frozen : mapping from str to str
        The operation, ``module: node``, to what was frozen of it: ``gate of gelu``.
    """

    orders: list[Any]
    output: Any
    frozen: Mapping[str, str]


def frozen_orders(
    captured: CapturedModel,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    K: int | None = None,
    scales: Any = None,
    *,
    differentiable: bool = False,
    memory: int | None = None,
) -> FrozenOrders:
    """The order-0..K parts of a model's output with every gate frozen.

    Parameters
    ----------
    captured : CapturedModel
        The model's graph and its residual additions.
    args, kwargs : sequence and mapping
        The model's inputs.
    K : int, optional
        Largest order ≥ 0; all n by default.
    scales : sequence of n floats, rule or Tensor of shape (n,), optional
        λ_1..λ_n; 1 by default, the model as it is.
    differentiable : bool
        Whether to keep what gradients need.
    memory : int, optional
        Bytes that may be used; by default what the device has free.

    Raises
    ------
    InputError
        When memory would not do, or the output is not of real numbers.

    Notes
    -----
    Source: derived (claim E7b). One forward pass, and one linear pass that carries at most
    min(K, additions passed) + 1 coefficients.
    """
    depth = len(captured.additions)
    order = depth if K is None else check_count(K, "order", least=0)
    strengths = strengths_of(scales, depth)
    treated = _treatment(captured)
    asked = min(order, depth)
    plan = kept_plan(captured, asked, lambda node, terms: _wants(node, terms, treated), "frozen")
    refuse_too_large(plan, order, differentiable=differentiable, budget=memory)
    inputs = captured.bind(tuple(args), dict(kwargs or {}))
    algebra = _FrozenAlgebra(treated)
    with nullcontext() if differentiable else torch.no_grad():
        found = walk(captured, inputs, plan, algebra, strengths)
        output = captured.restore([_value(entry) for entry in found])
        orders = restored(captured, [_polynomial(entry) for entry in found], order + 1)
    return FrozenOrders(orders, output, algebra.frozen)


@dataclass(frozen=True, slots=True, eq=False)
class _Visited:
    """A signal that depends on z: its value at the forward pass, and its polynomial."""

    value: Tensor
    polynomial: Polynomial


def _value(entry: Any) -> Any:
    if isinstance(entry, (list, tuple)):
        return type(entry)(_value(part) for part in entry)
    return entry.value if isinstance(entry, _Visited) else entry


def _polynomial(entry: Any) -> Any:
    if isinstance(entry, (list, tuple)):
        return type(entry)(_polynomial(part) for part in entry)
    return entry.polynomial if isinstance(entry, _Visited) else entry


class _FrozenAlgebra:
    """Values and polynomials side by side."""

    element = _Visited

    def __init__(self, treated: Mapping[fx.Node, Freezing]) -> None:
        self.treated = treated
        self.frozen: dict[str, str] = {}

    def sum(self, step: Step, skip: Any, branches: Sequence[Any], scale: Any) -> Any:
        total, value = None, None
        for branch in branches:
            value = _value(branch) if value is None else value + _value(branch)
        moved = value if not isinstance(scale, Tensor) and scale == 1 else value * scale
        whole = _value(skip) + moved
        if not step.terms:
            return whole
        base = _polynomial(skip)
        for branch in branches if step.terms > 1 else ():
            part = _polynomial(branch)
            stack = part.cut(step.terms - 1).stack if isinstance(part, Polynomial) else part[None]
            total = added(base if total is None else total, stack, scale, step.terms)
        if total is None:
            total = base.cut(1) if isinstance(base, Polynomial) else Polynomial(base[None])
            total = Polynomial(total.stack.expand(1, *whole.shape))
        return _Visited(whole, total)

    def apply(self, step: Step, call: Call) -> Any:
        arguments = {name: _value(entry) for name, entry in call.arguments.items()}
        value = call.again(**arguments)
        if not step.terms:
            return value
        treated = self.treated[step.node]
        live = arguments | {
            name: cut(_polynomial(call.arguments[name]), step.terms)
            for name in treated.live
            if name in arguments
        }
        found = treated.run(Call(call.target, call.name, live, step.terms), value, arguments)
        whole = f"{call.name} as a whole" if found is None and call.name in LINEAR else ""
        if what := treated.what or whole:
            self.frozen[_name(step.node)] = self._told(step.node, what)
        return _joined(value, found)

    def _told(self, node: fx.Node, what: str) -> str:
        """The words for what is frozen, with a frozen factor called by what made it."""
        arguments = _arguments(node)
        return what.format_map({n: self._origin(a) for n, a in arguments.items()})

    def _origin(self, node: Any) -> Any:
        """The nonlinear operation that a node is a linear rearrangement of."""
        while isinstance(node, fx.Node) and node in self.treated and not self.treated[node].what:
            sources = [s for s in node.all_input_nodes if s in self.treated]
            if len(sources) != 1:
                break
            node = sources[0]
        return node


def _joined(value: Any, found: Any) -> Any:
    if isinstance(value, (list, tuple)):
        parts = found if isinstance(found, list) else [None] * len(value)
        return [_joined(*pair) for pair in zip(value, parts, strict=True)]
    if isinstance(found, Polynomial):
        return _Visited(value, found)
    if isinstance(value, Tensor) and value.is_floating_point() and found is None:
        return _Visited(value, Polynomial(value[None]))
    return value


def _name(node: fx.Node) -> str:
    """The module that a node was traced in, and the node."""
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    return f"{path}: {node.name}" if path else node.name


def _treatment(captured: CapturedModel) -> dict[fx.Node, Freezing]:
    """What becomes of every operation that depends on z, decided before anything is run."""
    sums = {addition.sum: addition for addition in captured.additions}
    depths: dict[fx.Node, int] = {}  # through how many nonlinear operations, of what depends on z
    treated: dict[fx.Node, Freezing] = {}
    for node in captured.graph.nodes:
        if node in sums:
            sources = (sums[node].skip, *sums[node].branches)
            depths[node] = max(depths.get(source, 0) for source in sources)
            continue
        known = [depths[source] for source in node.all_input_nodes if source in depths]
        if not known or node.op != "call_function":
            continue
        if node.target is operator.getitem or not hasattr(node.target, "_schema"):
            depths[node] = max(known)
            continue
        named = {name: _deepest(a, depths) for name, a in _arguments(node).items()}
        found = freezing(operation(node.target), {n: d for n, d in named.items() if d is not None})
        treated[node] = found
        depths[node] = max(known) + bool(found.what)
    return treated


def _arguments(node: fx.Node) -> dict[str, Any]:
    return dict(zip(argument_names(node.target), node.args, strict=False)) | node.kwargs


def _deepest(argument: Any, depths: Mapping[fx.Node, int]) -> int | None:
    if isinstance(argument, fx.Node):
        return depths.get(argument)
    if isinstance(argument, (list, tuple)):
        found = [d for entry in argument if (d := _deepest(entry, depths)) is not None]
        return max(found, default=None)
    return None


def _wants(node: fx.Node, terms: int, treated: Mapping[fx.Node, Freezing]) -> dict[fx.Node, int]:
    """The live arguments are asked for polynomials, all others for their values."""
    wanted = dict.fromkeys(node.all_input_nodes, 0)
    if node.target is operator.getitem:
        return dict.fromkeys(wanted, terms)
    if not terms or node not in treated:
        return wanted
    arguments = _arguments(node)
    for name in treated[node].live:
        for source in _nodes(arguments.get(name)):
            wanted[source] = terms
    return wanted


def _nodes(argument: Any) -> list[fx.Node]:
    if isinstance(argument, fx.Node):
        return [argument]
    if isinstance(argument, (list, tuple)):
        return [node for entry in argument for node in _nodes(entry)]
    return []
