r"""A tower's predictions against the forward passes of its network, to rounding.

Three routes that share no code with PyTorch's forward pass: the tower's own composition, the
frozen-gate orders (claims E7, E7b), which sum to the output at any scale, and the λ-series
(claim E5), whose order k is the derivative

.. math:: P_k = \frac{1}{k!} \frac{d^k}{dz^k} D(H_n(z\lambda)(E(x))) \Big|_{z=0}

that PyTorch takes by nesting its forward-mode derivative k times.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.series.gated_paths import gated_orders
from expansion.series.jets import jet_orders
from expansion.towers.tower import Tower
from torch_bridge.checks.comparison import Comparison, compare_arrays
from torch_bridge.networks.models import ResidualNetwork

__all__ = ["frozen_gates", "nested_orders", "output", "series"]


def output(tower: Tower, network: ResidualNetwork, inputs: Tensor) -> Comparison:
    """The tower's output beside the network's.

    Parameters
    ----------
    tower : Tower
        Exported from the network.
    network : ResidualNetwork
        In float64.
    inputs : Tensor, shape (samples, inputs)
        Of float64.

    Raises
    ------
    InputError
        For a network or inputs of another type: 1e-10 needs double precision.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.export import to_tower
    >>> from torch_bridge.networks.models import build
    >>> network = build(Architecture("marion", depth=5, dimension=3, activation="gelu"))
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> tower = to_tower(network).tower
    >>> [c(tower, network, x).within for c in (output, frozen_gates, series)]
    [True, True, True]
    """
    return compare_arrays("E1", "tower's output", tower(inputs.numpy()), _real(network, inputs))


def frozen_gates(tower: Tower, network: ResidualNetwork, inputs: Tensor) -> Comparison:
    """The sum of all frozen-gate orders beside the network's output; arguments as above."""
    orders = gated_orders(tower, inputs.numpy())
    real = _real(network, inputs)
    subject = f"sum of frozen-gate orders 0..{tower.depth}"
    return compare_arrays("E7b", subject, orders.sum(axis=0), real)


def series(tower: Tower, network: ResidualNetwork, inputs: Tensor, order: int = 3) -> Comparison:
    """The λ-series beside nested derivatives of the network, order by order; arguments as above.

    ``order`` K is small: nesting costs 2^K forward passes. Each order is compared relative to
    its own largest entry; the worst one counts.
    """
    _check_double(network, inputs)
    ours = jet_orders(tower, inputs.numpy(), order)
    real = nested_orders(network, inputs, order).numpy()
    sizes = np.abs(real).reshape(len(real), -1).max(axis=1)
    units = np.where(sizes > 0, sizes, 1.0).reshape(-1, *[1] * (real.ndim - 1))
    return compare_arrays("E5", f"λ-series to order {order}", ours / units, real / units)


def nested_orders(network: ResidualNetwork, inputs: Tensor, order: int) -> Tensor:
    """P_0..P_K by nesting torch.func.jvp.

    Parameters
    ----------
    network : ResidualNetwork
        Of any floating-point type.
    inputs : Tensor, shape (..., inputs)
        Of the same type.
    order : int
        K ≥ 0.

    Returns
    -------
    Tensor, shape (K + 1, ..., outputs)

    Notes
    -----
    Source: derived (claim E5).

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> network = build(Architecture("frei", depth=2, dimension=1, activation="linear", rule=1))
    >>> w = [branch.inner.weight.item() for branch in network.branches]
    >>> orders = nested_orders(network, torch.ones(1, dtype=torch.float64), 2)
    >>> np.allclose(orders[:, 0], [1, w[0] + w[1], w[0] * w[1]])
    True
    """
    order = check_count(order, "order", least=0)
    zero, one = torch.zeros((), dtype=network.dtype), torch.ones((), dtype=network.dtype)

    def derivative(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda z: torch.func.jvp(f, (z,), (one,))[1]

    def at(z: Tensor) -> Tensor:
        return network(inputs, scales=z * network.scales)

    orders: list[Tensor] = []
    derived: Callable[[Tensor], Tensor] = at
    with warnings.catch_warnings():
        # PyTorch scripts its own rules at the first derivative, and warns that it does.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", DeprecationWarning)
        for k in range(order + 1):
            orders.append(derived(zero).detach() / math.factorial(k))
            derived = derivative(derived)
    return torch.stack(orders)


def _real(network: ResidualNetwork, inputs: Tensor) -> Tensor:
    _check_double(network, inputs)
    with torch.no_grad():
        return network(inputs)


def _check_double(network: ResidualNetwork, inputs: Tensor) -> None:
    if network.dtype != torch.float64 or inputs.dtype != torch.float64:
        came = f"a network of {network.dtype} and inputs of {inputs.dtype}"
        raise InputError("double precision to compare to 1e-10", came, "call .double() on both")
