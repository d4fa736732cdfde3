r"""Piecewise linear operations on truncated power series: the gate is frozen where z starts.

For small positive z a signal :math:`u_0 + u_1 z + \ldots` lies on the side of a kink that its first
coefficient decides, and on the kink the first coefficient that moves. So every gate, maximum and
comparison takes the branch that the model takes for all small enough positive scales; the series is
exact as long as no kink is crossed (THEORY E5, M3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.linear import choose, counted, first_stack
from torch_bridge.orders.polynomial import Polynomial, add, multiply, product
from torch_bridge.orders.propagation import Call, Rule
from torch_bridge.orders.recurrences import FUNCTIONS

__all__ = ["CONSTANT", "GATES", "POOLS", "dropped", "leading", "pooled_positions"]

# What does not move with z at all, or only by jumps: a plain value, found at order 0.
CONSTANT = frozenset(
    {
        "any",
        "all",
        "argsort",
        "bernoulli",
        "bitwise_and",
        "bitwise_not",
        "bitwise_or",
        "bucketize",
        "ceil",
        "empty_like",
        "floor",
        "full_like",
        "histc",
        "isfinite",
        "isinf",
        "isnan",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "multinomial",
        "new_empty",
        "new_empty_strided",
        "new_full",
        "new_ones",
        "new_zeros",
        "ones_like",
        "rand_like",
        "randint_like",
        "randn_like",
        "round",
        "searchsorted",
        "sym_numel",
        "sym_size",
        "sym_stride",
        "trunc",
        "zeros_like",
    }
)


def leading(stack: Tensor) -> Tensor:
    """The first coefficient of every entry that is not zero: its sign for small positive z.

    Examples
    --------
    >>> leading(torch.tensor([[1.0, 0.0, 0.0], [5.0, -2.0, 0.0]]))
    tensor([ 1., -2.,  0.])
    """
    lead = stack[-1]
    for coefficient in stack[:-1].flip(0):
        lead = torch.where(coefficient != 0, coefficient, lead)
    return lead


def _compare(name: str, a: Any, b: Any, like: Tensor) -> Tensor:
    """A comparison for small positive z."""
    first, second = (v.start if isinstance(v, Polynomial) else v for v in (a, b))
    difference = add(a, b, -1).stack
    if len(difference) == 1:
        return _OF_NUMBERS[name](first, second)
    tied = torch.eq(first, second) if isinstance(first, Tensor) else torch.eq(second, first)
    moved = leading(difference[1:])
    # Two infinities stay equal, whatever is added to them.
    moved = torch.where(torch.isfinite(torch.as_tensor(first)) | ~tied, moved, 0)
    plain = _OF_NUMBERS[name](first, second)
    return torch.where(tied, _OF_NUMBERS[name](moved, torch.zeros_like(moved)), plain)


_OF_NUMBERS: Mapping[str, Any] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


def _comparison(call: Call) -> Tensor:
    return _compare(call.name, call["self"], call["other"], first_stack(call))


def _sign(call: Call) -> Tensor:
    return leading(call["self"].stack).sign()


def _relu(call: Call) -> Polynomial:
    stack = call["self"].stack
    return Polynomial(torch.where(leading(stack) > 0, stack, 0))


def _leaky_relu(call: Call) -> Polynomial:
    return _two_slopes(call["self"], call.get("negative_slope", 0.01))


def _prelu(call: Call) -> Polynomial:
    polynomial, slope = call["self"], call["weight"]
    channels = [-1] + [1] * (len(polynomial.shape) - 2)
    return _two_slopes(
        polynomial, slope.reshape(channels) if slope.numel() > 1 else slope.squeeze()
    )


def _two_slopes(polynomial: Polynomial, slope: Any) -> Polynomial:
    stack = polynomial.stack
    return Polynomial(torch.where(leading(stack) > 0, stack, stack * slope))


def _abs(call: Call) -> Polynomial:
    stack = call["self"].stack
    return Polynomial(torch.where(leading(stack) < 0, -stack, stack))


def _threshold(call: Call) -> Polynomial:
    polynomial = call["self"]
    above = _compare("gt", polynomial, call["threshold"], polynomial.stack)
    return choose(above, polynomial, call["value"], polynomial.stack)


def _clamped(polynomial: Any, low: Any, high: Any, like: Tensor) -> Polynomial:
    if low is not None:
        polynomial = choose(_compare("gt", polynomial, low, like), polynomial, low, like)
    if high is not None:
        polynomial = choose(_compare("lt", polynomial, high, like), polynomial, high, like)
    return polynomial


def _clamp(call: Call) -> Polynomial:
    low = call.get("min", call.get("min_val"))
    high = call.get("max", call.get("max_val"))
    if call.name == "hardtanh":
        low, high = call.get("min_val", -1.0), call.get("max_val", 1.0)
    return _clamped(call["self"], low, high, first_stack(call))


def _hard_sigmoid(call: Call) -> Polynomial:
    return _hard_gate(call["self"])


def _hard_gate(polynomial: Polynomial) -> Polynomial:
    clamped = _clamped(add(polynomial, 3.0), 0.0, 6.0, polynomial.stack)
    return multiply(clamped, 1 / 6)


def _hard_swish(call: Call) -> Polynomial:
    return product(call["self"], _hard_gate(call["self"]), call.terms)


def _elu(call: Call) -> Polynomial:
    polynomial = call["self"]
    alpha, scale = call.get("alpha", 1.0), call.get("scale", 1.0)
    inner = multiply(polynomial, call.get("input_scale", 1.0))
    below = torch.stack(FUNCTIONS["expm1"](inner.stack.unbind(), call.terms)) * (alpha * scale)
    positive = leading(polynomial.stack) > 0
    return choose(positive, multiply(polynomial, scale), Polynomial(below), below)


# ---- dropped at random -------------------------------------------------------------------------
def dropped(call: Call, kept: Tensor) -> Polynomial:
    """A dropout with a given choice of what is kept."""
    share = 1.0 if call.get("train") is False else 1 - call["p"]
    return multiply(call["input"], kept.to(call["input"].stack.dtype) / (share or 1.0))


def _dropout(call: Call) -> list[Any]:
    """One draw for all coefficients."""
    kept = call.again(input=torch.ones_like(call["input"].stack[0]))[1]
    return [dropped(call, kept), kept]


# ---- the largest of several --------------------------------------------------------------------
def _chosen(stack: Tensor, sign: int) -> Tensor:
    """Where along the last axis the largest (or smallest) entry is, ties broken by what moves."""
    tied = torch.ones_like(stack[0], dtype=torch.bool)
    for coefficient in stack:
        rest = torch.where(tied, coefficient * sign, -torch.inf)
        tied &= rest == rest.amax(-1, keepdim=True)
        if int(tied.sum()) == tied[..., 0].numel():
            break
    return tied.to(torch.uint8).argmax(-1, keepdim=True)


def _taken(stack: Tensor, positions: Tensor) -> Tensor:
    return stack.gather(-1, positions.expand(len(stack), *positions.shape)).squeeze(-1)


def _largest(call: Call) -> Any:
    """amax, amin, max, min, argmax, argmin over one dimension, several or all."""
    if "other" in call.arguments:
        return _larger(call)
    polynomial, sign = call["self"], -1 if "min" in call.name else 1
    rank = len(polynomial.shape)
    given = call.arguments.get("dim")
    given = list(range(rank)) if given in (None, []) else given
    dims = [d % rank - rank for d in (given if isinstance(given, (list, tuple)) else [given])]
    last = [*(d for d in range(-rank, 0) if d not in dims), *dims]
    stack = polynomial.stack.permute(0, *(d + rank + 1 for d in last)).flatten(-len(dims))
    positions = _chosen(stack, sign)
    result, where = _taken(stack, positions), positions.squeeze(-1)
    if call.get("keepdim", False):
        for d in sorted(d + rank for d in dims):
            result, where = result.unsqueeze(d + 1), where.unsqueeze(d)
    if call.name.startswith("arg"):
        return where
    by_index = call.name in ("max", "min") and call.arguments.get("dim") is not None
    return [Polynomial(result), where] if by_index else Polynomial(result)


def _larger(call: Call) -> Polynomial:
    name = "le" if call.name in ("minimum", "min", "fmin") else "ge"
    a, b, like = call["self"], call["other"], first_stack(call)
    return choose(_compare(name, a, b, like), a, b, like)


def _ordered(call: Call) -> list[Any]:
    """sort and topk: by the first coefficients, and where these are tied by those that follow."""
    stack = call["self"].stack
    dim = counted(call.get("dim", -1), stack.ndim - 1)
    descending = call.get("largest" if call.name == "topk" else "descending", call.name == "topk")
    positions: Tensor | None = None
    for coefficient in stack.flip(0):
        tried = coefficient if positions is None else coefficient.gather(dim, positions)
        order = torch.argsort(tried, dim=dim, descending=descending, stable=True)
        positions = order if positions is None else positions.gather(dim, order)
    assert positions is not None
    if call.name == "topk":
        positions = positions.narrow(dim, 0, call["k"])
    return [
        Polynomial(stack.gather(dim, positions.expand(len(stack), *positions.shape))),
        positions,
    ]


# ---- the largest in every window ---------------------------------------------------------------
def pooled_positions(call: Call, sizes: Sequence[int]) -> Tensor:
    """For every window of a pooling, the flat positions of its pixels; −1 beyond the edge.

    Parameters
    ----------
    call : Call
        A maximum over windows, adaptive or not.
    sizes : sequence of int
        Of the image's sides that are pooled.

    Returns
    -------
    Tensor of int, shape (windows, pixels in one)
    """
    image = call["self"].stack[0]
    sides = call.again(self=image)[0].shape[-len(sizes) :]
    find = _adaptive_sides if "adaptive" in call.name else _even_sides
    flat = torch.zeros((), dtype=torch.long, device=image.device)
    inside = torch.ones((), dtype=torch.bool, device=image.device)
    rank = len(sizes)
    for axis, found in enumerate(find(call, sides, sizes)):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = found.shape
        found = found.reshape(shape).to(image.device)
        flat = flat * sizes[axis] + found
        inside = inside & (found >= 0) & (found < sizes[axis])
    windows = math.prod(sides)
    return torch.where(inside, flat, -1).reshape(windows, -1)


def _even_sides(call: Call, out: Sequence[int], sizes: Sequence[int]) -> Iterator[Tensor]:
    """Along every axis the pixels of every window, shape (windows, pixels)."""
    rank = len(sizes)
    kernel, stride, padding, dilation = (_listed(call, n, rank) for n in _SHAPE)
    for axis in range(rank):
        starts = torch.arange(out[axis]) * stride[axis] - padding[axis]
        yield starts[:, None] + torch.arange(kernel[axis]) * dilation[axis]


def _adaptive_sides(_: Call, out: Sequence[int], sizes: Sequence[int]) -> Iterator[Tensor]:
    """Windows from ⌊i S/s⌋ up to ⌈(i + 1) S/s⌉; −1 in those that are shorter than others."""
    for count, size in zip(out, sizes, strict=True):
        number = torch.arange(count)
        starts, ends = number * size // count, -(-(number + 1) * size // count)
        pixels = starts[:, None] + torch.arange(int((ends - starts).max()))
        yield torch.where(pixels < ends[:, None], pixels, -1)


_SHAPE = ("kernel_size", "stride", "padding", "dilation")
#: Maxima over windows, and how many sides of an image they pool.
POOLS: Mapping[str, int] = {
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
}


def _listed(call: Call, name: str, rank: int) -> list[int]:
    default = {"stride": call["kernel_size"], "padding": [0], "dilation": [1]}.get(name)
    found: Any = call.get(name) or default
    return [int(side) for side in found] * (rank if len(found) == 1 else 1)


def _max_pool(call: Call) -> list[Any]:
    stack, rank = call["self"].stack, POOLS[call.name]
    shape = call.again(self=stack[0])[0].shape
    positions = pooled_positions(call, stack.shape[-rank:])
    windows = stack.flatten(-rank)[..., positions.clamp(min=0)]
    outside = torch.where(positions < 0, -torch.inf, 0.0).to(stack.dtype)
    judged = torch.cat([windows[:1] + outside, windows[1:]])
    chosen = _chosen(judged, 1)
    result = _taken(windows, chosen).reshape(len(stack), *shape)
    pixels = positions.expand(*chosen.shape[:-1], positions.shape[-1]).gather(-1, chosen)
    return [Polynomial(result), pixels.reshape(shape)]


GATES: Mapping[str, Rule] = {
    **dict.fromkeys(POOLS, _max_pool),
    **dict.fromkeys(("eq", "ne", "gt", "ge", "lt", "le"), _comparison),
    **dict.fromkeys(("amax", "amin", "max", "min", "argmax", "argmin"), _largest),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _larger),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), _clamp),
    **dict.fromkeys(("sort", "topk"), _ordered),
    "abs": _abs,
    "elu": _elu,
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "leaky_relu": _leaky_relu,
    "native_dropout": _dropout,
    "_prelu_kernel": _prelu,
    "prelu": _prelu,
    "relu": _relu,
    "sign": _sign,
    "threshold": _threshold,
}
