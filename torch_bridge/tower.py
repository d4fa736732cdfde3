r"""Any PyTorch model as a tower: ``trace`` it, then ask what its blocks do (THEORY M1–M4).

A block of the model is a residual addition ``skip + Σ branches``; in the tower it is
``skip + λ_l Σ branches``, l = 1..n, and all λ = 1 is the model as it is. The blocks are found in
the model's graph (:mod:`torch_bridge.tracing.additions` says by which rule), or are modules that
the user names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from torch_bridge.measuring.measure import Measurement, measure
from torch_bridge.measuring.recommend import Recommendation, recommend
from torch_bridge.measuring.rescale import RescaledModel, rescaled
from torch_bridge.orders.methods import orders_by
from torch_bridge.orders.pade import Resummation, resummed
from torch_bridge.orders.radius import Radius, estimate_radius, order_sizes
from torch_bridge.tracing.captured import CapturedModel
from torch_bridge.tracing.dataclasses import know_dataclasses
from torch_bridge.tracing.finite import check_finite_signal
from torch_bridge.tracing.graphed import GraphedModel, graph_of
from torch_bridge.tracing.hooked import HookedModel
from torch_bridge.tracing.interpreter import Observer
from torch_bridge.tracing.runner import Block, Runner, check_scales, float_tensors, some_tensor
from torch_bridge.tracing.subnetwork import Subnetwork, numbers_of

__all__ = ["TracedTower", "trace"]


def trace(
    model: nn.Module,
    args: Any,
    kwargs: Mapping[str, Any] | None = None,
    *,
    blocks: Sequence[str] | None = None,
) -> TracedTower:
    """See a model as a tower.

    Parameters
    ----------
    model : nn.Module
        Any model, best in evaluation mode. It is not changed, and stays live: training it or
        moving it to another device is seen by the tower.
    args : tuple or Tensor
        Example inputs; a lone tensor stands for one argument.
    kwargs : mapping, optional
        Named example inputs.
    blocks : sequence of str, optional
        Names of modules that are the blocks. Without them the blocks are found by exporting the
        model; with them nothing is exported, and any model will do.

    Raises
    ------
    InputError
        When the model cannot be exported, with the cause; for an output without floating-point
        tensors; for unknown modules; for inputs on another device than the model, or that are no
        tuple and no dictionary.

    Examples
    --------
    >>> import torch
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> model = build(Architecture("mlp", depth=3, dimension=4), seed=1)
    >>> x = torch.ones(2, 4, dtype=torch.float64)
    >>> tower = trace(model, x)
    >>> tower.depth, [block.name for block in tower.blocks]
    (3, ['branches.0', 'branches.1', 'branches.2'])
    >>> bool(torch.equal(tower(x), model(x)))
    True
    >>> bool(torch.equal(tower(x, scales="0"), x))
    True
    """
    if not isinstance(model, nn.Module):
        came = type(model).__name__
        raise InputError("a model that is a torch.nn.Module", came, "wrap it in one")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("a model in Python", "a scripted one", "give what it was scripted from")
    if not isinstance(args, (Tensor, tuple, list)):
        came = type(args).__name__
        raise InputError("example inputs in a tuple", came, "write e.g. trace(model, (x,))")
    if not isinstance(kwargs, Mapping | None):
        came = type(kwargs).__name__
        raise InputError("named inputs in a dictionary", came, "write e.g. {'mask': mask}")
    positional = (args,) if isinstance(args, Tensor) else tuple(args)
    named = dict(kwargs or {})
    know_dataclasses((positional, named))
    if blocks is None:
        return TracedTower(GraphedModel(model, positional, named))
    if isinstance(blocks, str):
        blocks = [blocks]
    return TracedTower(HookedModel(model, positional, named, blocks))


class TracedTower:
    """A model with a scale on every block. Made by :func:`trace`.

    Parameters
    ----------
    runner : GraphedModel or HookedModel
        The model and its blocks.

    Examples
    --------
    >>> import torch
    >>> class Block(nn.Linear):
    ...     def forward(self, x):
    ...         return x + super().forward(x)
    >>> tower = trace(nn.Sequential(Block(2, 2), Block(2, 2)), torch.ones(1, 2))
    >>> tower
    TracedTower(Sequential, depth=2, blocks: 0, 1)
    """

    def __init__(self, runner: GraphedModel | HookedModel) -> None:
        self._runner: Runner = runner

    @property
    def model(self) -> nn.Module:
        """The user's model."""
        return self._runner.model

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in the order of execution; none for a model without residual additions."""
        return self._runner.blocks

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the blocks."""
        return tuple(block.name for block in self.blocks)

    @property
    def depth(self) -> int:
        """n, the number of blocks."""
        return len(self.blocks)

    @property
    def runner(self) -> Runner:
        """What runs the model with a scale on every block."""
        return self._runner

    @property
    def has_graph(self) -> bool:
        """Whether the blocks were found in the model's graph, not named by hand."""
        return isinstance(self._runner, GraphedModel)

    @property
    def example(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inputs that the model was traced with."""
        return self._runner.example

    def __call__(
        self,
        *args: Any,
        scales: ScalingRule | str | float | Sequence[float] | Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """The model's output at any scales.

        Parameters
        ----------
        *args, **kwargs
            The model's inputs; those of the trace if there are none.
        scales : ScalingRule, str, number, sequence or Tensor, optional
            λ_1..λ_n: a rule such as ``"1/n"``, numbers, or a tensor in which the output can be
            differentiated. A tensor of shape (S, n) runs S towers at once: every tensor of the
            output gets a first dimension of S.

        Raises
        ------
        InputError
            For another number of scales than blocks, and inputs on another device.
        """
        if not args and not kwargs:
            args, kwargs = self.example
        chosen = check_scales(scales, self.depth, some_tensor(self.model, args, kwargs))
        if isinstance(chosen, Tensor) and chosen.ndim == 2:
            return self._runner.sweep(args, kwargs, chosen)
        return self._runner.run(args, kwargs, scales=chosen)

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Sequence[float] | Tensor | None = None,
        observe: Observer | None = None,
    ) -> Any:
        """The output, with a look at every block.

        Parameters
        ----------
        args, kwargs : tuple and mapping
            The model's inputs.
        scales : sequence of n floats or Tensor of shape (n,), optional
            λ_1..λ_n; 1 by default.
        observe : callable, optional
            See :func:`torch_bridge.tracing.interpreter.run`.
        """
        chosen = check_scales(scales, self.depth, some_tensor(self.model, args, kwargs))
        if isinstance(chosen, Tensor) and chosen.ndim == 2:
            raise InputError("one scale per block", "many", "call the tower with them")
        return self._runner.run(args, kwargs, scales=chosen, observe=observe)

    def captured(
        self, args: tuple[Any, ...] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> CapturedModel:
        """The graph of the model for these inputs, those of the trace by default.

        Raises
        ------
        InputError
            For a tower whose blocks were named by hand: there is no graph.
        """
        if args is None:
            args, kwargs = self.example
        return graph_of(self._runner, args, dict(kwargs or {}))

    def subnetwork(self, keep: Iterable[str | int]) -> Subnetwork:
        """The network with these branches only; its other blocks hand on their skip (claim E8).

        Parameters
        ----------
        keep : iterable of str and int
            Names of blocks, or their numbers in 1..n.

        Raises
        ------
        InputError
            For a block that does not exist.

        Examples
        --------
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> tower = trace(model, torch.ones(1, 2), blocks=["0", "1"])
        >>> tower.subnetwork({"1"})
        Subnetwork(
          kept=[2] of 2 blocks
          (model): Sequential(
            (0): Linear(in_features=2, out_features=2, bias=True)
            (1): Linear(in_features=2, out_features=2, bias=True)
          )
        )
        """
        return Subnetwork(self._runner, numbers_of(keep, self.blocks))

    def orders(
        self,
        K: int,
        method: Literal["series", "frozen", "subnetworks"] = "series",
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        scales: ScalingRule | str | float | Sequence[float] | Tensor | None = None,
        **options: Any,
    ) -> list[Any]:
        """The parts of order 0..K of the output.

        Frozen gates (claim E7b), inclusion and exclusion over sub-networks (E8), or the power
        series in the scales (E5): :mod:`torch_bridge.orders.methods` compares the three.

        Parameters
        ----------
        K : int
            Largest order ≥ 0.
        method : {"series", "frozen", "subnetworks"}
            Which ensemble.
        args, kwargs : tuple and mapping, optional
            The inputs; those of the trace by default.
        scales : ScalingRule, str, number, sequence or Tensor of shape (n,), optional
            λ_1..λ_n; 1 by default, the model as it is.
        **options
            Of the method: see :func:`~torch_bridge.orders.series.series_orders`,
            :func:`~torch_bridge.orders.frozen.frozen_orders` and
            :mod:`torch_bridge.orders.subnetworks`.

        Returns
        -------
        list of K + 1 outputs
            Each with the model's own structure; integers in it are of order 0.

        Raises
        ------
        InputError
            For a model without blocks, an unknown method, an operation that cannot be expanded,
            orders that do not fit into memory; for a signal that is not finite, naming the block
            where that begins.

        Examples
        --------
        >>> import torch
        >>> class Block(nn.Linear):
        ...     def forward(self, x):
        ...         return x + super().forward(x)
        >>> tower = trace(Block(1, 1, bias=False), torch.ones(1, 1))
        >>> with torch.no_grad():
        ...     _ = tower.model.weight.fill_(3.0)
        >>> [order.item() for order in tower.orders(2)]
        [1.0, 3.0, 0.0]
        """
        self._check_depth()
        if args is None:
            args, kwargs = self.example
        named = dict(kwargs or {})
        chosen = check_scales(scales, self.depth, some_tensor(self.model, args, named))
        orders = orders_by(method, self._runner, args, named, K, chosen, **options)
        if not all(bool(t.isfinite().all()) for t in float_tensors(orders)):
            check_finite_signal(self._runner, args, named, chosen)
        return orders

    def radius(
        self,
        K: int = 8,
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        scales: ScalingRule | str | float | Sequence[float] | Tensor | None = None,
    ) -> Radius:
        """How far the λ-series converges, estimated from its orders 0..K (THEORY M3).

        Parameters
        ----------
        K : int
            Largest order ≥ 4.
        args, kwargs : tuple and mapping, optional
            The inputs; those of the trace by default.
        scales : ScalingRule, str, number, sequence or Tensor of shape (n,), optional
            λ_1..λ_n at z = 1; 1 by default.

        Returns
        -------
        Radius
            In the common factor z of all scales; it has a sentence for people.
        """
        return estimate_radius(order_sizes(self.orders(K, args=args, kwargs=kwargs, scales=scales)))

    def resummed(
        self,
        K: int = 8,
        method: Literal["entries", "vector"] = "entries",
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        scales: ScalingRule | str | float | Sequence[float] | Tensor | None = None,
    ) -> Resummation:
        """A Padé approximant made of the λ-series, beside the real output (THEORY M3).

        Parameters
        ----------
        K : int
            Largest order ≥ 0 of the series.
        method : {"entries", "vector"}
            Every entry of the output by itself, or every tensor as one vector.
        args, kwargs : tuple and mapping, optional
            The inputs; those of the trace by default.
        scales : ScalingRule, str, number, sequence or Tensor of shape (n,), optional
            λ_1..λ_n; 1 by default.

        Returns
        -------
        Resummation
            With its measured error, and that of the plain sum.
        """
        orders = self.orders(K, args=args, kwargs=kwargs, scales=scales)
        if args is None:
            args, kwargs = self.example
        with torch.no_grad():
            output = self(*args, scales=scales, **(kwargs or {}))
        return resummed(orders, output, method)

    def measure(self, batches: Iterable[Any] | None = None, **options: Any) -> Measurement:
        """Energies, shares, cosines and gradients of every block (THEORY M2).

        Parameters
        ----------
        batches : iterable, optional
            Inputs, for instance a DataLoader; those of the trace by default.
        **options
            See :func:`torch_bridge.measuring.measure.measure`.
        """
        self._check_depth()
        return measure(self, batches, **options)

    def rescaled(
        self, rule: ScalingRule | str | float | Sequence[float], **options: Any
    ) -> RescaledModel:
        """A new model with a scale in every block (THEORY M4).

        Parameters
        ----------
        rule : ScalingRule, str, number or sequence
            λ_1..λ_n.
        **options
            See :func:`torch_bridge.measuring.rescale.rescaled`.
        """
        self._check_depth()
        return rescaled(self, rule, **options)

    def recommend(self, batches: Iterable[Any] | None = None, **options: Any) -> Recommendation:
        """A scaling rule for this model, and why (THEORY M4).

        Parameters
        ----------
        batches : iterable, optional
            Inputs to measure on; those of the trace by default.
        **options
            See :func:`torch_bridge.measuring.recommend.recommend`.
        """
        self._check_depth()
        return recommend(self, batches, **options)

    def _check_depth(self) -> None:
        if not self.blocks:
            came = f"{type(self.model).__name__}, in which there is none"
            mend = "name its blocks if you know better: trace(model, args, blocks=[...])"
            raise InputError("a model with residual additions", came, mend)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:4]) + (", …" if self.depth > 4 else "")
        kind = type(self.model).__name__
        return f"TracedTower({kind}, depth={self.depth}, blocks: {shown or 'none'})"
