"""From a model to its graph: ``torch.export``, then composite operations written out.

What is captured holds for one shape of the inputs and one state of the model (device, dtype, mode),
as a graph of ATen operations whose parameters are the model's own tensors. Everything that depends
neither on the inputs nor on the model (masks of positions, ``arange``) is computed once. Objects in
the output that are neither tensors nor plain values, such as a cache of keys, become None.

A model in training mode is captured with batch statistics and dropout, but its running averages
stay as they are: nothing that a graph computes is written back. Evaluation mode is what one wants
to expand.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from expansion.errors import InputError
from torch_bridge.tracing.additions import find_additions
from torch_bridge.tracing.attention import attention
from torch_bridge.tracing.captured import CapturedModel
from torch_bridge.tracing.dataclasses import know_dataclasses
from torch_bridge.tracing.runner import check_runs

__all__ = ["LiveState", "capture"]

aten = torch.ops.aten
_MEND = "name its blocks yourself, which works for any model: blocks=[...], or --block"
_TALKERS = ("_subclasses.fake_tensor", "export", "fx.experimental.symbolic_shapes")
_KNOWN = (Tensor, bool, int, float, complex, str)
# They check what holds by construction, or give their input.
_EMPTY = {aten._assert_tensor_metadata.default, aten._assert_async.msg, aten.alias.default}


def capture(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> CapturedModel:
    """Capture the graph that a model runs on these inputs, and find its residual additions.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    args, kwargs : tuple and mapping
        Example inputs. The graph holds for inputs of these shapes, and for these very values of
        whatever is no tensor.

    Raises
    ------
    InputError
        When the model cannot be exported, with the cause; when its output has no floating-point
        tensor, or has complex ones.

    Examples
    --------
    >>> captured = capture(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), (torch.ones(1, 2),))
    >>> [str(node.target) for node in captured.graph.nodes if node.op == "call_function"]
    ['aten.permute.default', 'aten.addmm.default', 'aten.relu.default']
    >>> captured.additions
    ()
    """
    args, kwargs = tuple(args), dict(kwargs or {})
    program = _export(model, args, kwargs)
    graph, state = _plain_graph(program, model)
    _check_outputs(graph)
    _write_copies_out(graph)
    _fold_constants(graph, state)
    _write_alpha_out(graph)
    graph.eliminate_dead_code()
    learned = {
        node
        for node in graph.find_nodes(op="placeholder")
        if isinstance(state.peek(node.name), nn.Parameter)
    }
    held = {node for node in graph.find_nodes(op="placeholder") if node.name in state}
    structure = program.call_spec.out_spec  # which is unpickled at every look
    return CapturedModel(
        graph=graph,
        state=state,
        bind=_binder(program, args, kwargs),
        restore=lambda values: pytree.tree_unflatten(values, structure),
        additions=find_additions(graph, state=held, parameters=learned),
    )


class LiveState(Mapping[str, Tensor]):
    """Parameters and buffers looked up in the model at every access, and constants.

    Parameters
    ----------
    model : nn.Module
        Whose tensors these are.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> state = LiveState(model)
    >>> state.refer("p_weight", "weight")
    >>> model.weight = nn.Parameter(torch.zeros(1, 2))
    >>> state["p_weight"] is model.weight
    True
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._places: dict[str, tuple[nn.Module, str]] = {}
        self._constants: dict[str, Tensor] = {}

    def refer(self, name: str, target: str) -> None:
        """Let a placeholder stand for a parameter or a buffer: ``layers.0.weight``."""
        path, _, leaf = target.rpartition(".")
        self._places[name] = (self._model.get_submodule(path), leaf)

    def keep(self, name: str, value: Tensor) -> None:
        """Let a placeholder stand for a constant."""
        self._constants[name] = value

    def peek(self, name: str) -> Tensor | None:
        """What a placeholder stands for; None for an input."""
        return self.get(name)

    def __getitem__(self, name: str) -> Tensor:
        if name in self._constants:
            return self._constants[name]
        module, leaf = self._places[name]
        return getattr(module, leaf)

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._constants

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self._constants

    def __len__(self) -> int:
        return len(self._places) + len(self._constants)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own inner life."""
    loggers = [logging.getLogger(f"torch.{name}") for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _plain_outputs(model: nn.Module) -> Iterator[None]:
    """With None where the model gives back objects that the exporter does not know."""

    def plain(leaf: Any) -> Any:
        return leaf if leaf is None or isinstance(leaf, _KNOWN) else None

    def replace(module: nn.Module, args: Any, output: Any) -> Any:
        know_dataclasses(output)
        found = pytree.tree_map(plain, output)
        return () if found is None else found  # a hook that gives None changes nothing

    handle = model.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def _export(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> torch.export.ExportedProgram:
    """The exported program, with attention written out and the rest in core ATen."""
    try:
        with _quiet(), _plain_outputs(model):
            program = torch.export.export(model, args, kwargs, strict=False)
            for node in program.graph.nodes:
                if node.target is aten.view.default:  # strides change when attention does
                    node.target = aten.reshape.default
            return program.run_decompositions(_decompositions())
    except Exception as problem:  # whatever the model's own code raises
        check_runs(model, args, kwargs)
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        cause = f"{type(problem).__name__}: {lines[0] if lines else ''}"
        raise InputError("a model that torch.export can read", cause, _MEND) from problem


@cache
def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Core ATen's decompositions, and attention's; collecting them takes a while."""
    return {
        **torch.export.default_decompositions(),
        aten.scaled_dot_product_attention.default: attention,
        aten.lerp.Scalar: _mixture,
        aten.lerp.Tensor: _mixture,
    }


def _mixture(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    """x + w (f(x) - x), a sum as people write it; PyTorch's own chooses where x and f(x) stand."""
    return start + weight * (end - start)


def _plain_graph(
    program: torch.export.ExportedProgram, model: nn.Module
) -> tuple[fx.Graph, LiveState]:
    """The graph without side effects, and what its placeholders stand for."""
    graph, signature = program.graph, program.graph_signature
    state = LiveState(model)
    for spec in signature.input_specs:
        name = spec.arg.name
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            assert spec.target is not None
            state.refer(name, spec.target)
        elif spec.kind == InputKind.CONSTANT_TENSOR:
            state.keep(name, program.constants[str(spec.target)])
        elif spec.kind != InputKind.USER_INPUT:
            raise InputError("a model of tensors", f"an input {name} of {spec.kind.name}", _MEND)
    for node in list(graph.nodes):
        if node.target in _EMPTY:
            if node.users:
                node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
        elif node.op == "get_attr":
            cause = ", ".join(sorted({user.name for user in node.users}))
            raise InputError("a model without data-dependent control flow", cause, _MEND)
    output = graph.output_node()
    kept: list[Any] = []
    for spec, value in zip(signature.output_specs, output.args[0], strict=True):
        if spec.kind == OutputKind.USER_OUTPUT:
            constant = isinstance(spec.arg, ConstantArgument)
            kept.append(spec.arg.value if constant else value)
    output.args = (tuple(kept),)
    return graph, state


def _check_outputs(graph: fx.Graph) -> None:
    """Refuse a model whose output has no floating-point tensor, or complex ones."""
    values = [node.meta["val"] for node in graph.output_node().all_input_nodes]
    kinds = [value.dtype for value in values if isinstance(value, Tensor)]
    required = "a model whose output is a floating-point tensor"
    if any(kind.is_complex for kind in kinds):
        raise InputError(required, "a complex one", "give back real and imaginary parts")
    if not any(kind.is_floating_point for kind in kinds):
        came = ", ".join(str(kind) for kind in kinds) or "no tensor"
        raise InputError(required, came, "give back the logits or the hidden states")


def _fold_constants(graph: fx.Graph, state: LiveState) -> None:
    """Compute once what depends neither on the inputs nor on the model."""
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op != "call_function" or node.is_impure():
            continue
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags:
            continue
        if all(source in values for source in node.all_input_nodes):
            arguments = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*arguments[0], **arguments[1])
    first = next(iter(graph.nodes))
    for node, value in values.items():
        outside = [user for user in node.users if user not in values]
        if not outside or not isinstance(value, Tensor):
            continue
        with graph.inserting_before(first):
            constant = graph.placeholder(f"constant_{node.name}")
        constant.meta = dict(node.meta)
        constant.target = constant.name
        state.keep(constant.name, value)
        for user in outside:
            user.replace_input_with(node, constant)


def _write_copies_out(graph: fx.Graph) -> None:
    """Let what is copied over something else, of which PyTorch has no derivative, be its source."""
    for node in graph.find_nodes(op="call_function", target=aten.copy.default):
        over, source = node.args[:2]
        old, new = over.meta["val"], source.meta["val"]
        with graph.inserting_before(node):
            if (old.dtype, old.device) != (new.dtype, new.device):
                kinds = {"dtype": old.dtype, "device": old.device}
                source = graph.call_function(aten._to_copy.default, (source,), kinds)
                source.meta = {**node.meta, "val": new.to(**kinds)}
            if old.shape != new.shape:
                source = graph.call_function(aten.expand.default, (source, list(old.shape)))
                source.meta = dict(node.meta)
        node.replace_all_uses_with(source)
        graph.erase_node(node)


def _write_alpha_out(graph: fx.Graph) -> None:
    """Let a + α b be the sum of a and of α b."""
    for node in graph.find_nodes(op="call_function", target=aten.add.Tensor):
        alpha = node.kwargs.get("alpha", 1)
        if alpha == 1 or not isinstance(node.args[1], fx.Node):
            continue
        with graph.inserting_before(node):
            term = graph.call_function(aten.mul.Tensor, (node.args[1], alpha))
        term.meta = {**node.args[1].meta, "nn_module_stack": node.meta.get("nn_module_stack", {})}
        node.args, node.kwargs = (node.args[0], term), {}


def _binder(
    program: torch.export.ExportedProgram, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]]:
    """The function that gives the placeholders their inputs."""
    names = [
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.USER_INPUT
    ]
    example, structure = pytree.tree_flatten((args, kwargs))
    order = list(kwargs)

    def bind(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        named = {key: kwargs[key] for key in order if key in kwargs} | dict(kwargs)
        values, given = pytree.tree_flatten((tuple(args), named))
        if given != structure:
            required = f"{len(example)} inputs arranged as in the capture"
            raise InputError(required, f"{len(values)} inputs", "give the same arguments")
        for name, old, new in zip(names, example, values, strict=True):
            if _kind(old) != _kind(new):
                raise InputError(
                    f"{name} as captured, {_kind(old)}", _kind(new), "capture the model for it"
                )
        return dict(zip(names, values, strict=True))

    return bind


def _kind(value: Any) -> str:
    """What a capture holds for: the type, shape and device of a tensor, or the value itself."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)} on {value.device}"
    return repr(value)
