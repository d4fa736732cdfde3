r"""Operations whose higher forward-mode derivatives PyTorch has wrong, or not at all, written out.

``torch.func.jvp`` of ``torch.func.jvp`` treats the statistics that ``native_layer_norm`` and
``native_batch_norm`` (with batch statistics) give beside their result as constants: the second
derivative is wrong by a fifth, and nothing is said. ``silu``, ``mish``, ``glu`` and fused attention
have no second derivative. Inside ``with Composed():`` all of them are compositions of operations
that are differentiated rightly at every order (seen with PyTorch 2.13 on the CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from torch_bridge.tracing.attention import attention

__all__ = ["Composed"]

aten = torch.ops.aten


def _standardised(x: Tensor, dims: list[int], eps: float) -> Tensor:
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + eps).sqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _by_channel(x: Tensor, value: Tensor | None) -> Tensor | None:
    return None if value is None else value.reshape(1, -1, *[1] * (x.ndim - 2))


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    dims = list(range(-len(normalized_shape), 0))
    return _affine(_standardised(x, dims, eps), weight, bias)


def _native_layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, None, None]:
    return _layer_norm(x, shape, weight, bias, eps), None, None


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or running_mean is None or running_var is None:
        y = _standardised(x, [0, *range(2, x.ndim)], eps)
    else:
        shape = (1, -1, *[1] * (x.ndim - 2))
        y = (x - running_mean.reshape(shape)) / (running_var.reshape(shape) + eps).sqrt()
    return _affine(y, _by_channel(x, weight), _by_channel(x, bias))


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats:
        return _batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    y = _standardised(x, list(range(2, x.ndim)), eps)
    return _affine(y, _by_channel(x, weight), _by_channel(x, bias))


def _silu(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.sigmoid(x)


def _mish(x: Tensor, inplace: bool = False) -> Tensor:
    return x * torch.tanh(functional.softplus(x))


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return value * torch.sigmoid(gate)


_INSTEAD: Mapping[Any, Callable[..., Any]] = {
    functional.layer_norm: _layer_norm,
    functional.batch_norm: _batch_norm,
    functional.instance_norm: _instance_norm,
    functional.silu: _silu,
    functional.mish: _mish,
    functional.glu: _glu,
    functional.scaled_dot_product_attention: attention,
    aten.native_layer_norm.default: _native_layer_norm,
}


class Composed(TorchFunctionMode):
    """A context in which models run on compositions.

    Examples
    --------
    >>> x = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    >>> with Composed():
    ...     y = functional.layer_norm(x, (3,))
    >>> bool(torch.allclose(y, functional.layer_norm(x, (3,)), rtol=1e-12))
    True
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the composition where there is one."""
        return _INSTEAD.get(func, func)(*args, **(kwargs or {}))
