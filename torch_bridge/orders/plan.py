r"""Who is computed, with how many coefficients, and when each value can be freed.

Decided once for a graph and an order, before anything is run: a branch is multiplied by z, so it
needs one coefficient less than its sum; what nobody asks for is left out; and the memory that the
signals will need is known in advance.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, fx

from torch_bridge.tracing.captured import CapturedModel

__all__ = ["Plan", "Step", "Wants", "argument_names", "kept_plan", "operation"]

Wants = Callable[[fx.Node, int], Mapping[fx.Node, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node to compute.

    Parameters
    ----------
    node : fx.Node
        Whose value it is.
    terms : int
        How many coefficients of it are asked for; 0 where only its plain value is.
    number : int or None
        Which residual addition it is, if it is one.
    sources : tuple of fx.Node
        Whose values it is made of.
    last_uses : tuple of fx.Node
        Whose values nobody needs afterwards.
    target : Any
        What is called.
    name : str
        Of the operation, for all its overloads.
    slots : tuple of (str, Any, bool) or None
        The arguments by their names in the schema of an operation of PyTorch, and whether each has
        a node in it; None for anything else.
    product : Step or None
        Of an addition with one branch, the matrix product that this branch is, where nothing else
        reads it: it is added in the same kernel and has no step of its own.
    reuses : bool
        Whether the sum may take the memory of its skip: that is such a sum too, which nobody will
        read again, and what was made of it has memory of its own.
    """

    node: fx.Node
    terms: int
    number: int | None
    sources: tuple[fx.Node, ...]
    last_uses: tuple[fx.Node, ...]
    target: Any
    name: str
    slots: tuple[tuple[str, Any, bool], ...] | None
    product: Step | None = None
    reuses: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The steps of a walk, and the memory that it needs.

    Parameters
    ----------
    steps : tuple of Step
        In the order of execution.
    outputs : tuple
        The graph's flat outputs: nodes or constants.
    most : int
        Bytes of signals alive at once, at most.
    total : int
        Bytes of all signals, where none is freed because gradients will be asked for.
    """

    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]
    most: int
    total: int


def kept_plan(
    captured: CapturedModel, order: int, wants: Wants | None = None, kind: str = "series"
) -> Plan:
    """The plan for outputs with K + 1 coefficients, made once for every graph and order.

    Parameters
    ----------
    captured : CapturedModel
        The graph and its additions.
    order : int
        K.
    wants : callable, optional
        ``wants(node, terms)``: the number of coefficients that ``terms`` coefficients of the node
        need from each of its inputs; 0 for a plain value. By default as many from each, and what
        is asked for none is left out.
    kind : str
        Tells the plans of different ``wants`` apart.

    Examples
    --------
    >>> import torch
    >>> from torch_bridge.tracing.capture import capture
    >>> captured = capture(torch.nn.ReLU(), (torch.ones(2),))
    >>> plan = kept_plan(captured, 3)
    >>> [step.node.name for step in plan.steps], plan is kept_plan(captured, 3)
    (['input', 'relu'], True)
    """
    # On the graph itself, so that it goes when the graph goes.
    kept = captured.graph.output_node().meta.setdefault("plans", {})
    key = (kind, order, captured.additions)
    if key not in kept:
        kept[key] = _plan(captured, order, wants)
    return kept[key]


def _plan(captured: CapturedModel, order: int, wants: Wants | None) -> Plan:
    numbers = {addition.sum: i for i, addition in enumerate(captured.additions)}
    inputs: dict[fx.Node, tuple[fx.Node, ...]] = {}
    asked: dict[fx.Node, int] = {}
    products: dict[fx.Node, fx.Node] = {}

    def ask(node: fx.Node, terms: int) -> None:
        asked[node] = max(asked.get(node, 0), terms)

    output = captured.graph.output_node()
    for source in output.all_input_nodes:
        ask(source, order + 1)
    for node in reversed(captured.graph.nodes):
        if node not in asked:
            continue
        terms = asked[node]
        if node in numbers:
            addition = captured.additions[numbers[node]]
            branches = addition.branches
            if terms > 1 and wants is None and _is_product(branches, node, numbers):
                products[node] = branches[0]
                branches = tuple(branches[0].all_input_nodes)
            inputs[node] = (addition.skip, *branches)
            ask(addition.skip, terms)
            if terms > 1 or wants is not None:
                for branch in branches:
                    ask(branch, max(terms - 1, 0))
        else:
            inputs[node] = tuple(node.all_input_nodes)
            wanted = dict.fromkeys(inputs[node], terms) if wants is None else wants(node, terms)
            for source, number in wanted.items():
                ask(source, number)
    used = set(output.all_input_nodes)
    steps = []
    for node in inputs:  # last first
        sources = tuple(dict.fromkeys(source for source in inputs[node] if source in asked))
        last = tuple(source for source in sources if source not in used)
        used.update(sources)
        product, reuses = None, False
        if node in products:
            part, skip = products[node], captured.additions[numbers[node]].skip
            reads = tuple(part.all_input_nodes)
            product = Step(part, asked[node] - 1, None, reads, (), *_called(part))
            reuses = skip in last and skip in products and _only_copied(skip, node, reads)
        numbered = (node, asked[node], numbers.get(node), sources, last)
        steps.append(Step(*numbered, *_called(node), product, reuses))
    ordered = tuple(reversed(steps))
    (outputs,) = output.args
    assert isinstance(outputs, (tuple, list))
    return Plan(ordered, tuple(outputs), _memory(ordered, free=True), _memory(ordered, free=False))


def _is_product(branches: Sequence[fx.Node], total: fx.Node, sums: Container[fx.Node]) -> bool:
    """Whether an addition is skip + A B, with a product that nothing else reads."""
    if len(branches) != 1 or branches[0] in sums:
        return False
    is_product = branches[0].op == "call_function" and operation(branches[0].target) in _PRODUCTS
    return is_product and list(branches[0].users) == [total]


_PRODUCTS = frozenset({"mm", "addmm"})
# Operations whose rules give results in memory of their own.
_COPYING = frozenset({"mm", "addmm", "convolution", "native_layer_norm", "tanh", "gelu"})


def _only_copied(node: fx.Node, total: fx.Node, factors: Sequence[fx.Node]) -> bool:
    """Whether all that is made of a value beside one sum is in memory of its own by then."""
    users = [user for user in node.users if user is not total]
    return node not in factors and all(
        user.op == "call_function" and operation(user.target) in _COPYING for user in users
    )


def _called(node: fx.Node) -> tuple[Any, str, tuple[tuple[str, Any, bool], ...] | None]:
    """Target, name and slots of a step."""
    if not hasattr(node.target, "_schema"):
        return node.target, "", None
    bound = dict(zip(argument_names(node.target), node.args, strict=False)) | node.kwargs
    slots = tuple((name, value, _has_nodes(value)) for name, value in bound.items())
    return node.target, operation(node.target), slots


def _has_nodes(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return any(map(_has_nodes, argument))
    return isinstance(argument, fx.Node)


def _memory(steps: Sequence[Step], *, free: bool) -> int:
    """Bytes of signals, from the shapes that the graph recorded.

    Every node counts with the coefficients asked of it once an addition was passed, and twice
    while it is computed. The model's own tensors are not counted.
    """
    alive: dict[fx.Node, int] = {}
    total = most = 0
    dependent: set[fx.Node] = set()
    for step in steps:
        if step.number is not None or not dependent.isdisjoint(step.sources):
            dependent.add(step.node)
        if step.node.op != "placeholder":
            copies = max(step.terms, 1) if step.node in dependent else 1
            alive[step.node] = copies * _bytes(step.node.meta.get("val"))
            total += alive[step.node]
            most = max(most, total + alive[step.node])
        for last in step.last_uses if free else ():
            total -= alive.pop(last, 0)
    return most


def _bytes(value: Any) -> int:
    # The entries of a tuple are nodes themselves.
    return int(value.numel()) * value.element_size() if isinstance(value, Tensor) else 0


@cache
def argument_names(target: Any) -> tuple[str, ...]:
    """The names of an operation's arguments, in order.

    Examples
    --------
    >>> import torch
    >>> argument_names(torch.ops.aten.mm.default)
    ('self', 'mat2')
    """
    return tuple(argument.name for argument in target._schema.arguments)


@cache
def operation(target: Any) -> str:
    """The name that an operation's overloads share.

    Examples
    --------
    >>> import torch
    >>> operation(torch.ops.aten.add.Tensor)
    'add'
    """
    name = str(getattr(target, "_schema", target))
    return name.partition("(")[0].rpartition("::")[2].partition(".")[0]
