"""Orders of a traced model by any of the three ensembles (THEORY M3).

======================= ============================== ===================================
``method``              order k is                     the orders add up to the output
======================= ============================== ===================================
``"series"`` (E5)       the coefficient of z^k when    in the limit of K, where the series
                        every λ is replaced by zλ      converges
``"frozen"`` (E7b)      the paths through k branches,  at K = n, for every model
                        gates held as they are
``"subnetworks"`` (E8)  inclusion and exclusion over   at K = n, for every model
                        k branches
======================= ============================== ===================================

No path and no set of branches has more of them than there are, so the orders of the last two stop
at n.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from expansion.checking import check_count
from expansion.errors import InputError
from torch_bridge.orders.frozen import frozen_orders
from torch_bridge.orders.series import series_orders
from torch_bridge.orders.subnetworks import subnetwork_orders
from torch_bridge.tracing.graphed import GraphedModel, graph_of
from torch_bridge.tracing.nested import nested_orders
from torch_bridge.tracing.runner import Runner, some_tensor

__all__ = ["METHODS", "orders_by"]

METHODS = ("frozen", "series", "subnetworks")


def orders_by(
    method: str,
    runner: Runner,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    K: int,
    scales: list[float] | Tensor | None = None,
    **options: Any,
) -> list[Any]:
    """The parts of order 0..K of a traced model's output.

    Parameters
    ----------
    method : {"series", "frozen", "subnetworks"}
        Which ensemble.
    runner : Runner
        The traced model.
    args, kwargs : tuple and mapping
        Its inputs.
    K : int
        Largest order ≥ 0.
    scales : list of n floats or Tensor of shape (n,), optional
        λ_1..λ_n; 1 by default, the model as it is.
    **options
        Of the method's own function.

    Returns
    -------
    list of K + 1 outputs
        Each with the model's own structure; integers in it are of order 0.

    Raises
    ------
    InputError
        For an unknown method, and whatever the method refuses.

    Examples
    --------
    >>> from torch import nn
    >>> from torch_bridge.tracing.hooked import HookedModel
    >>> model, x = nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    >>> with torch.no_grad():
    ...     _ = model.weight.fill_(3.0)
    >>> hooked = HookedModel(nn.Sequential(model), (x,), {}, ["0"])
    >>> [order.item() for order in orders_by("subnetworks", hooked, (x,), {}, 2)]
    [1.0, 2.0, 0.0]
    """
    order, depth = check_count(K, "order", least=0), len(runner.blocks)
    if method == "series":
        if not isinstance(runner, GraphedModel):
            return nested_orders(runner, args, kwargs, order, scales, **options)
        captured = runner.captured(args, kwargs)
        return series_orders(captured, args, kwargs, order, scales, **options)
    if method == "frozen":
        captured = graph_of(runner, args, kwargs)
        most = min(order, depth)
        found = frozen_orders(captured, args, kwargs, most, scales, **options).orders
    elif method == "subnetworks":

        def sweep(rows: Tensor) -> Any:
            return runner.sweep(args, kwargs, rows)

        like = some_tensor(runner.model, args, kwargs)
        given = [1.0] * depth if scales is None else scales
        row = torch.as_tensor(given, dtype=torch.float64, device=like.device)
        found = subnetwork_orders(sweep, depth, order, scales=row, **options).orders
    else:
        required = f"a method among {', '.join(METHODS)}"
        raise InputError(required, repr(method), "choose one of these")
    return found + [tree_map_only(Tensor, torch.zeros_like, found[0])] * (order - depth)
