r"""The λ-series of any runner by nested forward-mode derivatives (THEORY E5).

.. math:: P_k = \frac{1}{k!} \frac{d^k}{dz^k}\, \mathrm{model}(z\lambda)\Big|_{z=0}

by ``torch.func.jvp`` of ``torch.func.jvp`` of … of the model: no graph, no rules but those of
PyTorch (:mod:`~torch_bridge.tracing.composed` says where they do not hold), and a cost of 2^K
forward passes. It is what there is for a model whose blocks were named by hand,
and the second route to the series of one that was captured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from math import factorial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from expansion.checking import check_count
from expansion.errors import InputError
from torch_bridge.tracing.composed import Composed
from torch_bridge.tracing.runner import Runner, some_tensor

__all__ = ["nested_orders"]

_LARGEST_ORDER = 12
_Flat = Callable[[Tensor], list[Tensor]]


def nested_orders(
    runner: Runner,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    K: int,
    scales: Sequence[float] | Tensor | None = None,
) -> list[Any]:
    """The parts of order 0..K of a model's output.

    Parameters
    ----------
    runner : Runner
        The traced model.
    args, kwargs : tuple and mapping
        Its inputs.
    K : int
        Largest order, 0 ≤ K ≤ 12: 2^K forward passes.
    scales : sequence of n floats or Tensor of shape (n,), optional
        λ_1..λ_n; 1 by default.

    Returns
    -------
    list of K + 1 outputs
        Each with the model's own structure; what is no floating-point tensor is as it is at order 0
        and zero, or itself where it is no tensor, at the others.

    Raises
    ------
    InputError
        For an order above 12; for an operation of the model without a forward-mode derivative.

    Notes
    -----
    Source: derived (claim E5).

    Examples
    --------
    >>> from torch import nn
    >>> from torch_bridge.tracing.hooked import HookedModel
    >>> model, x = nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    >>> with torch.no_grad():
    ...     _ = model.weight.fill_(3.0)
    >>> hooked = HookedModel(nn.Sequential(model), (x,), {}, ["0"])
    >>> [order.item() for order in nested_orders(hooked, (x,), {}, 2)]
    [1.0, 2.0, 0.0]
    """
    order = check_count(K, "order", least=0)
    if order > _LARGEST_ORDER:
        required = f"an order of at most {_LARGEST_ORDER} for nested derivatives"
        raise InputError(required, order, "lower it, or trace the model without blocks=")
    depth = len(runner.blocks)
    like = some_tensor(runner.model, args, kwargs)
    given = [1.0] * depth if scales is None else scales
    strengths = torch.as_tensor(given, dtype=like.dtype, device=like.device).detach()
    kept: list[Any] = []
    structure: list[Any] = []

    def model(z: Tensor) -> list[Tensor]:
        leaves, found = pytree.tree_flatten(runner.run(args, kwargs, scales=z * strengths))
        kept[:], structure[:] = leaves, [found]
        return [leaf for leaf in leaves if _floating(leaf)]

    zero = torch.zeros((), dtype=like.dtype, device=like.device)
    rows = []
    derived: _Flat = model
    with warnings.catch_warnings(), torch.no_grad(), Composed():
        # PyTorch scripts its own rules at the first derivative, and warns that it does.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", DeprecationWarning)
        for k in range(order + 1):
            try:
                rows.append([value / factorial(k) for value in derived(zero)])
            except (NotImplementedError, RuntimeError) as problem:
                cause = str(problem).partition("\n")[0]
                required = "operations with a forward-mode derivative"
                raise InputError(required, cause, "use method='subnetworks'") from problem
            derived = _derivative(derived)
        model(zero)
    return [
        pytree.tree_unflatten(_merged(kept, iter(row), first=not k), structure[0])
        for k, row in enumerate(rows)
    ]


def _derivative(function: _Flat) -> _Flat:
    def derived(z: Tensor) -> list[Tensor]:
        return torch.func.jvp(function, (z,), (torch.ones_like(z),))[1]

    return derived


def _floating(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _merged(leaves: Sequence[Any], floats: Any, *, first: bool) -> list[Any]:
    """The leaves of an output with its floating-point tensors replaced."""
    return [
        next(floats)
        if _floating(leaf)
        else torch.zeros_like(leaf)
        if isinstance(leaf, Tensor) and not first
        else leaf
        for leaf in leaves
    ]
