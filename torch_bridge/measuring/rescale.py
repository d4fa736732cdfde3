r"""A scale in every block of a model that was never written for one (THEORY M4).

.. math:: \mathrm{sum} = s\,(\mathrm{skip} + \lambda_l \textstyle\sum \mathrm{branches})

with s = 1 but for rule ``half``. The new model is the old one's graph with a multiplication in
every branch; its parameters and buffers are copies under the names they had, and λ_1..λ_n are one
vector more, ``residual_scales``: constants, or learned.

*SkipInit* (De & Smith 2020): a learned scale at the end of every branch that starts at 0; the rule
``skipinit`` makes the scales learned unless told otherwise. *Fixup* (Zhang, Dauphin & Ma 2019,
as De & Smith list its parts): see :mod:`torch_bridge.measuring.fixup`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from torch_bridge.measuring.measure import scales_of
from torch_bridge.tracing.captured import CapturedModel

__all__ = ["SCALES", "RescaledModel", "Source", "copied", "placeholder_names", "rescaled"]

SCALES = "residual_scales"
aten = torch.ops.aten


class Source(Protocol):
    """A traced model with its graph: a tower."""

    @property
    def model(self) -> nn.Module:
        """The user's model."""

    @property
    def names(self) -> Sequence[str]:
        """The blocks' names."""

    @property
    def has_graph(self) -> bool:
        """Whether the blocks were found in the model's graph."""

    @property
    def example(self) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The inputs that it was traced with."""

    def captured(self) -> CapturedModel:
        """Its graph for the example."""

    def run(self, args: Any, kwargs: Any, *, scales: Any, observe: Any) -> Any:
        """See :class:`~torch_bridge.measuring.stream.Blocks`."""


class RescaledModel(nn.Module):
    """A model with a scale in every block. Made by :func:`rescaled`.

    Holds for inputs of the shapes, and on the device, that the model was traced with.

    Attributes
    ----------
    residual_scales : Tensor or nn.Parameter, shape (n,)
        λ_1..λ_n.
    block_names : tuple of str
        Which block each belongs to.
    rule : ScalingRule
        Where they come from.
    """

    residual_scales: Tensor

    def __init__(
        self, model: nn.Module, captured: CapturedModel, rule: ScalingRule, *, learnable: bool
    ) -> None:
        super().__init__()
        self.rule = rule
        self.block_names = tuple(addition.name for addition in captured.additions)
        names = placeholder_names(model, captured)
        _adopt(self, model)
        kinds = [t.dtype for t in captured.state.values() if t.is_floating_point()]
        like = next(iter(captured.state.values()), torch.empty(0))
        numbers = rule.floats(len(self.block_names))
        scales = torch.tensor(numbers, dtype=(kinds or [torch.float32])[0], device=like.device)
        if learnable:
            self.residual_scales = nn.Parameter(scales)
        else:
            self.register_buffer(SCALES, scales)
        constants = {n: t for n, t in captured.state.items() if n not in names}
        for name, value in constants.items():
            self.register_buffer(f"_{name}", value.detach().clone(), persistent=False)
        self._places = {**names, **{name: f"_{name}" for name in constants}, SCALES: SCALES}
        self._bind, self._restore = captured.bind, captured.restore
        graph = _with_scales(captured, float(rule.block_factor_squared) ** 0.5)
        self._body = fx.GraphModule(nn.Module(), graph)
        self._order = [node.name for node in graph.find_nodes(op="placeholder")]
        self.train(model.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model would give with these scales, in the model's own structure."""
        values = self._bind(args, kwargs)
        for name, place in self._places.items():
            values[name] = _get(self, place)
        return self._restore(list(self._body(*(values[name] for name in self._order))))


def rescaled(
    tower: Source,
    rule: ScalingRule | str | float | Sequence[float],
    *,
    learnable: bool | None = None,
) -> RescaledModel:
    """A new model with a scale in every block; the original stays as it is.

    Parameters
    ----------
    tower : Source
        The traced model.
    rule : ScalingRule, str, number or sequence
        λ_1..λ_n, or what they start from where they are learned.
    learnable : bool, optional
        Whether they are parameters. By default they are for the rule ``skipinit`` alone.

    Raises
    ------
    InputError
        For a model without blocks or a list of scales of another length.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("marion", depth=2, dimension=3, rule="1"))
    >>> x = torch.ones(1, 3, dtype=torch.float64)
    >>> tower = trace(model, x)
    >>> half = rescaled(tower, "1/n")
    >>> half.residual_scales.tolist(), bool(torch.allclose(half(x), tower(x, scales="1/n")))
    ([0.5, 0.5], True)
    >>> sorted(set(half.state_dict()) - set(model.state_dict()))
    ['residual_scales']
    """
    chosen = ScalingRule.of(rule)
    scales_of(chosen, tower)
    if learnable is None:
        learnable = chosen.text == "skipinit"
    return RescaledModel(tower.model, tower.captured(), chosen, learnable=learnable)


def placeholder_names(model: nn.Module, captured: CapturedModel) -> dict[str, str]:
    """From the graph's placeholders to the model's own names of parameters and buffers."""
    own: dict[int, str] = {}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        own.setdefault(id(tensor), name)
    return {name: own[id(tensor)] for name, tensor in captured.state.items() if id(tensor) in own}


def _adopt(target: nn.Module, model: nn.Module) -> None:
    """Give a module copies of all parameters and buffers of another, under their names."""
    if hasattr(model, SCALES):
        mend = "rescale the original model"
        raise InputError("a model without residual_scales", "one that has them", mend)
    copies: dict[int, Tensor] = {}
    persistent = model.state_dict().keys()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) not in copies:
            data = parameter.detach().clone()
            copies[id(parameter)] = nn.Parameter(data, requires_grad=parameter.requires_grad)
        home, leaf = _home(target, name)
        home.register_parameter(leaf, copies[id(parameter)])  # type: ignore[arg-type]
    for name, buffer in model.named_buffers(remove_duplicate=False):
        home, leaf = _home(target, name)
        home.register_buffer(leaf, buffer.detach().clone(), persistent=name in persistent)


def _home(target: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that a dotted name belongs into, made where it is missing."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in target._modules:
            target.register_module(part, nn.Module())
        target = target.get_submodule(part)
    return target, leaf


def _get(module: nn.Module, place: str) -> Tensor:
    path, _, leaf = place.rpartition(".")
    return getattr(module.get_submodule(path), leaf)


def copied(graph: fx.Graph) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """A copy of a graph, placeholders under the names they had, and the copy of every node."""
    new = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    new.output(new.graph_copy(graph, copies))
    for node, copy in copies.items():
        if node.op == "placeholder":
            copy.name = node.name  # a copy gets another where the name is one of Python's own
    return new, copies


def _with_scales(captured: CapturedModel, factor: float) -> fx.Graph:
    """A copy of the graph with ``residual_scales`` as one more placeholder."""
    graph, copies = copied(captured.graph)
    with graph.inserting_before(next(iter(graph.nodes))):
        scales = graph.placeholder(SCALES)
    for number, addition in enumerate(captured.additions):
        total, skip = copies[addition.sum], copies[addition.skip]
        branches = [copies[branch] for branch in addition.branches]
        with graph.inserting_before(total):
            branch = branches[0]
            for other in branches[1:]:
                branch = graph.call_function(aten.add.Tensor, (branch, other))
            scale = graph.call_function(aten.select.int, (scales, 0, number))
            scaled = graph.call_function(aten.mul.Tensor, (branch, scale))
            new = graph.call_function(aten.add.Tensor, (skip, scaled))
            if factor != 1:
                new = graph.call_function(aten.mul.Tensor, (new, factor))
        total.replace_all_uses_with(new)
        for key, copy in copies.items():  # a later block starts from the new sum
            if copy is total:
                copies[key] = new
        graph.erase_node(total)
    graph.eliminate_dead_code()
    graph.lint()
    return graph
