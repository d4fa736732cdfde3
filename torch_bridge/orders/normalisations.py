r"""Softmax, normalisations and second moments of truncated power series (THEORY E5).

A normalisation divides by a series: :math:`y = (x - \bar x)\, r` with
:math:`r = (\overline{(x - \bar x)^2} + \varepsilon)^{-1/2}`, where the second moment is a
convolution averaged over the normalised dimensions, so that r costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.linear import counted
from torch_bridge.orders.polynomial import Polynomial, add, cauchy, multiply, product, squared
from torch_bridge.orders.propagation import Call, NotCoveredError, Rule
from torch_bridge.orders.recurrences import FUNCTIONS, divided, exponential, power

__all__ = ["NORMALISATIONS"]


def _all_dims(call: Call, rank: int) -> list[int]:
    dim = call.arguments.get("dim")
    if dim in (None, []):
        return list(range(-rank, 0))
    return counted(list(dim) if isinstance(dim, (list, tuple)) else [dim], rank)


def _exponentials(call: Call, dims: list[int]) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """exp(u − peak), the peak at order 0, and u itself."""
    stack = call["self"].stack
    if call.get("half_to_float", False):
        stack = stack.float()
    peak = stack[0].amax(dims, keepdim=True)
    # A row that is masked as a whole has no finite peak.
    peak = torch.where(torch.isfinite(peak), peak, 0)
    u = [stack[0] - peak, *stack[1:]]
    return exponential(u, call.terms), peak, u


def _softmax(call: Call) -> Polynomial:
    dims = counted([call["dim"]], len(call["self"].shape))
    raised, _, _ = _exponentials(call, dims)
    total = [e.sum(dims, keepdim=True) for e in raised]
    return Polynomial(torch.stack(divided(raised, total, call.terms)))


def _log_softmax(call: Call) -> Polynomial:
    dims = counted([call["dim"]], len(call["self"].shape))
    raised, _, u = _exponentials(call, dims)
    logarithm = FUNCTIONS["log"]([e.sum(dims, keepdim=True) for e in raised], call.terms)
    return add(Polynomial(torch.stack(u)), Polynomial(torch.stack(logarithm)), -1)


def _log_sum_exp(call: Call) -> Polynomial:
    dims = _all_dims(call, len(call["self"].shape))
    raised, peak, _ = _exponentials(call, dims)
    kept = call.get("keepdim", False)
    total = FUNCTIONS["log"]([e.sum(dims, keepdim=kept) for e in raised], call.terms)
    return add(Polynomial(torch.stack(total)), peak if kept else peak.sum(dims))


def _moments(
    stack: Tensor, dims: Sequence[int], terms: int, less: float = 0
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Centred stack, mean and variance along some dimensions, which are kept."""
    dims = list(dims)
    mean = stack.mean(dims, keepdim=True)
    centred = stack - mean
    size = prod(stack.shape[d] for d in dims)
    rows = centred.unbind()
    count = min(terms, 2 * len(rows) - 1)
    variance = [squared(rows, k).sum(dims, keepdim=True) / (size - less) for k in range(count)]
    return centred, mean, variance


def _normalised(
    stack: Tensor, dims: Sequence[int], eps: float, terms: int
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """(x − mean)/√(variance + eps), mean, 1/√(variance + eps) and variance."""
    centred, mean, variance = _moments(stack, dims, terms)
    gain = power([variance[0] + eps, *variance[1:]], terms, -0.5)
    result = torch.stack(cauchy(centred.unbind(), gain, terms))
    return result, mean, torch.stack(gain), variance


def _affine(stack: Tensor, weight: Any, bias: Any, terms: int) -> Polynomial:
    result = Polynomial(stack)
    if isinstance(weight, Polynomial):
        result = product(result, weight, terms)
    elif weight is not None:
        result = multiply(result, weight)
    return result if bias is None else add(result, bias)


def _layer_norm(call: Call) -> Any:
    stack = call["input"].stack
    dims = list(range(-len(call["normalized_shape"]), 0))
    result, mean, gain, _ = _normalised(stack, dims, call.get("eps", 1e-5), call.terms)
    found = _affine(result, call.get("weight"), call.get("bias"), call.terms)
    if call.name == "layer_norm":
        return found
    return [found, Polynomial(mean), Polynomial(gain)]


def _group_norm(call: Call) -> Any:
    stack, groups = call["input"].stack, call.get("group", call.get("num_groups"))
    shape = stack.shape
    grouped = stack.reshape(shape[0], shape[1], groups, -1)
    result, mean, gain, _ = _normalised(grouped, [-1], call.get("eps", 1e-5), call.terms)
    channels = [-1] + [1] * (len(shape) - 3)
    weight, bias = (_reshaped(call.get(name), channels) for name in ("weight", "bias"))
    found = _affine(result.reshape(len(result), *shape[1:]), weight, bias, call.terms)
    if call.name == "group_norm":
        return found
    return [found, Polynomial(mean.squeeze(-1)), Polynomial(gain.squeeze(-1))]


def _reshaped(value: Any, shape: list[int]) -> Any:
    if isinstance(value, Polynomial):
        return Polynomial(value.stack.reshape(value.terms, *shape))
    return None if value is None else value.reshape(shape)


def _batch_norm(call: Call) -> list[Any]:
    """By the statistics of the batch, as in training mode."""
    stack = call["input"].stack
    rank = stack.ndim - 1
    dims = [d for d in range(-rank, 0) if d != 1 - rank]
    channels = [-1] + [1] * (rank - 2)
    result, mean, gain, variance = _normalised(stack, dims, call["eps"], call.terms)
    weight, bias = (_reshaped(call.get(name), channels) for name in ("weight", "bias"))
    found = _affine(result, weight, bias, call.terms)
    flat = [s.reshape(len(s), -1) for s in (mean, gain, torch.stack(variance))]
    kept = [found, Polynomial(flat[0]), Polynomial(flat[1])]
    if call.name != "_native_batch_norm_legit_functional":
        return kept
    size, share = prod(stack.shape[d] for d in dims), call["momentum"]
    for name, now, factor in (
        ("running_mean", flat[0], share),
        ("running_var", flat[2], share * size / (size - 1)),
    ):
        kept.append(add(Polynomial(now * factor), call[name] * (1 - share)))
    return kept


def _variance(call: Call) -> Any:
    """var, std and var_mean."""
    polynomial = call["self"]
    dims = _all_dims(call, len(polynomial.shape))
    less = call.arguments.get("correction", call.arguments.get("unbiased", True))
    _, mean, variance = _moments(polynomial.stack, dims, call.terms, 1 if less is None else less)
    if call.name == "std":
        variance = power(variance, call.terms, 0.5)
    found = torch.stack(variance)
    if not call.get("keepdim", False):
        found, mean = (s.sum(dims) for s in (found, mean))
    return [Polynomial(found), Polynomial(mean)] if call.name == "var_mean" else Polynomial(found)


def _norm(call: Call) -> Polynomial:
    """The Euclidean norm."""
    kind = call.get("ord", call.get("p", 2))
    if kind != 2:
        raise NotCoveredError(f"the {kind}-norm")
    polynomial = call["self"]
    dims = _all_dims(call, len(polynomial.shape))
    rows, kept = polynomial.stack.unbind(), call.get("keepdim", False)
    count = min(call.terms, 2 * len(rows) - 1)
    squares = [squared(rows, k).sum(dims, keepdim=kept) for k in range(count)]
    return Polynomial(torch.stack(power(squares, call.terms, 0.5)))


def _gated_linear(call: Call) -> Polynomial:
    first, second = call["self"].stack.chunk(
        2, counted(call.get("dim", -1), call["self"].stack.ndim - 1)
    )
    gate = FUNCTIONS["sigmoid"](second.unbind(), call.terms)
    return product(Polynomial(first), Polynomial(torch.stack(gate)), call.terms)


NORMALISATIONS: Mapping[str, Rule] = {
    **dict.fromkeys(("_softmax", "softmax"), _softmax),
    **dict.fromkeys(("_log_softmax", "log_softmax"), _log_softmax),
    **dict.fromkeys(("native_layer_norm", "layer_norm"), _layer_norm),
    **dict.fromkeys(("native_group_norm", "group_norm"), _group_norm),
    **dict.fromkeys(
        ("_native_batch_norm_legit", "_native_batch_norm_legit_functional"), _batch_norm
    ),
    **dict.fromkeys(("var", "std", "var_mean"), _variance),
    **dict.fromkeys(("linalg_vector_norm", "norm"), _norm),
    "glu": _gated_linear,
    "logsumexp": _log_sum_exp,
}
