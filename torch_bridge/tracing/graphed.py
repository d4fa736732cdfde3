"""A model whose blocks were found in its graph.

A graph holds for one shape of the inputs and one device, dtype and mode of the model. For others
the model is captured again, when they come; the last few captures are kept. The blocks must be the
same in all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from expansion.errors import InputError
from torch_bridge.tracing.capture import capture
from torch_bridge.tracing.captured import CapturedModel
from torch_bridge.tracing.interpreter import Observer, run, run_flat
from torch_bridge.tracing.runner import Block, Runner, check_devices, check_runs, stacked

__all__ = ["GraphedModel", "graph_of"]

_KEPT = 16


class GraphedModel:
    """A model run by its graph.

    Parameters
    ----------
    model : nn.Module
        The user's model.
    args, kwargs : tuple and mapping
        Example inputs.

    Raises
    ------
    InputError
        As :func:`~torch_bridge.tracing.capture.capture`; for inputs on another device.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> x = torch.ones(2, 3, dtype=torch.float64)
    >>> graphed = GraphedModel(build(Architecture(depth=4, dimension=3)), (x,))
    >>> len(graphed.blocks), graphed.run((x[:1],), {}).shape
    (4, torch.Size([1, 3]))
    """

    def __init__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.model = model
        self.example = (tuple(args), dict(kwargs or {}))
        self._captures: OrderedDict[Hashable, CapturedModel] = OrderedDict()
        self.blocks: tuple[Block, ...] = ()
        self.blocks = _blocks(self.captured(*self.example))

    def captured(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> CapturedModel:
        """The graph for inputs like these, captured now if it was not before.

        Raises
        ------
        InputError
            When the model cannot be captured for them, or has other blocks then.
        """
        key = self._key(args, kwargs)
        found = self._captures.get(key)
        if found is None:
            check_devices(self.model, args, kwargs)
            found = capture(self.model, args, kwargs)
            blocks = _blocks(found)
            if self._captures and blocks != self.blocks:
                came = f"{len(blocks)} other blocks for these inputs"
                mend = "trace the model with these inputs too"
                raise InputError(f"the {len(self.blocks)} blocks of the trace", came, mend)
            self._captures[key] = found
            while len(self._captures) > _KEPT:
                self._captures.popitem(last=False)
        self._captures.move_to_end(key)
        return found

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Sequence[float] | Tensor | None = None,
        observe: Observer | None = None,
    ) -> Any:
        """See :class:`~torch_bridge.tracing.runner.Runner`."""
        captured = self.captured(args, kwargs)
        try:
            return run(captured, args, kwargs, scales=scales, observe=observe)
        except RuntimeError:
            check_runs(self.model, args, kwargs)
            raise

    def sweep(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], scales: Tensor) -> Any:
        """See :class:`~torch_bridge.tracing.runner.Runner`; all at once by ``torch.vmap``."""
        captured = self.captured(args, kwargs)
        kept: list[Any] = []

        def tensors(row: Tensor) -> list[Tensor]:
            kept[:] = run_flat(captured, args, kwargs, scales=row)
            return [value for value in kept if isinstance(value, Tensor)]

        try:
            rows = iter(torch.vmap(tensors, randomness="same")(scales))
        except RuntimeError:  # an operation that vmap cannot batch
            return stacked([self.run(args, kwargs, scales=row) for row in scales])
        return captured.restore([next(rows) if isinstance(v, Tensor) else v for v in kept])

    def _key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        leaves, structure = pytree.tree_flatten((args, dict(kwargs)))
        inputs = tuple(_kind(leaf) for leaf in leaves)
        modes = tuple(module.training for module in self.model.modules())
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return (str(structure), inputs, modes, tuple((t.dtype, t.device) for t in tensors))


def graph_of(runner: Runner, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> CapturedModel:
    """The graph of a traced model for these inputs.

    Raises
    ------
    InputError
        For blocks that were named by hand: there is no graph.
    """
    if isinstance(runner, GraphedModel):
        return runner.captured(args, kwargs)
    mend = "trace without naming blocks, or use what needs no graph: methods series, subnetworks"
    raise InputError("a model traced through its graph", "blocks named by hand", mend)


def _kind(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return (value.dtype, tuple(value.shape), value.device)
    return repr(value)


def _blocks(captured: CapturedModel) -> tuple[Block, ...]:
    return tuple(
        Block(number, addition.name, addition.shortcut, len(addition.branches))
        for number, addition in enumerate(captured.additions, 1)
    )
