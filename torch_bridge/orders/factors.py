r"""Operations with two factors, of which one is plain: matrices, convolutions, gains (THEORY E5).

Linear in the factor that depends on z: :math:`A \sum_k u_k z^k = \sum_k A u_k z^k`, one kernel for
all coefficients; a bias belongs to order 0. With both factors depending on z they are products,
which an algebra makes of them as it can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.polynomial import Polynomial, add, aligned, multiply
from torch_bridge.orders.propagation import Call, NotCoveredError, Rule

__all__ = ["BY_ONE_FACTOR", "FACTORS", "fold"]

# Operations with two factors, and what their arguments are called. With one factor plain they are
# linear; with both depending on z they are products.
FACTORS: Mapping[str, tuple[str, str]] = {
    "mul": ("self", "other"),
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "mv": ("self", "vec"),
    "dot": ("self", "tensor"),
    "matmul": ("self", "other"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "linear": ("input", "weight"),
    "grouped_mm_fallback": ("input", "weight"),
    "_grouped_mm": ("self", "mat2"),
    "convolution": ("input", "weight"),
}


def fold(call: Call, name: str, rank: int, **changes: Any) -> Tensor:
    """The operation with the coefficients as part of its batch, or as its batch."""
    stack = call[name].stack
    if stack.ndim == rank:  # the input was one example without a batch
        return call.again(**{name: stack}, **changes)
    done = call.again(**{name: stack.flatten(0, 1)}, **changes)
    return done.unflatten(0, stack.shape[:2])


def _multiply(call: Call) -> Polynomial:
    return multiply(call["self"], call["other"])


def _divide(call: Call) -> Polynomial:
    other = call["other"]
    rank = other.ndim if isinstance(other, Tensor) else 0
    return Polynomial(aligned(call["self"].stack, rank) / other)


def _matrices(a: Any, b: Any) -> Polynomial:
    if isinstance(a, Polynomial):
        vector = len(a.shape) == 1  # torch.matmul would take the stack for a matrix, and be right
        if vector and b.ndim > 2:
            return Polynomial((a.stack[(slice(None), *[None] * (b.ndim - 1))] @ b).squeeze(-2))
        if a.stack.ndim == 3 and b.ndim == 2 and a.stack.is_contiguous():  # saves checks
            terms, rows, inner = a.stack.shape
            product = torch.mm(a.stack.view(terms * rows, inner), b)
            return Polynomial(product.view(terms, rows, b.shape[1]))
        return Polynomial(aligned(a.stack, b.ndim if b.ndim > 2 else 0) @ b)
    if len(b.shape) == 1:
        if a.ndim == 1:
            return Polynomial(b.stack @ a)
        return Polynomial((a @ b.stack[(..., None)][(slice(None), *[None] * (a.ndim - 2))])[..., 0])
    stack = aligned(b.stack, a.ndim)
    return Polynomial(a @ stack)


def _product_of_matrices(call: Call) -> Polynomial:
    first, second = FACTORS[call.name]
    return _matrices(call[first], call[second])


def _grouped_product(call: Call) -> Polynomial:
    """Rows times the matrix of their group: mixtures of experts."""
    names = [n for n in FACTORS[call.name] if isinstance(call[n], Polynomial)]
    if len(names) > 1 or call.get("bias") is not None:
        raise NotCoveredError("a grouped product of two series")
    rows = [call.again(**{names[0]: row}) for row in call[names[0]].stack]
    return Polynomial(torch.stack(rows))


def _matrix_product_and_sum(call: Call) -> Polynomial:
    first, second = FACTORS[call.name]
    beta, alpha = call.get("beta", 1), call.get("alpha", 1)
    bias, a, b = call["self"], call[first], call[second]
    if not isinstance(a, Polynomial) and not isinstance(b, Polynomial):
        moved: Any = (a @ b) * alpha
    else:
        moved = _matrices(a, b)
        if alpha != 1:
            moved = multiply(moved, alpha)
    return _with_bias(moved, bias if beta == 1 else _times(bias, beta))


def _times(value: Any, number: Any) -> Any:
    return multiply(value, number) if isinstance(value, Polynomial) else value * number


def _with_bias(moved: Any, bias: Any) -> Polynomial:
    if isinstance(bias, Polynomial) or not isinstance(moved, Polynomial):
        return add(moved, bias)
    if torch.is_grad_enabled():
        return add(moved, bias)
    moved.stack[0] += bias  # the product's own fresh memory
    return moved


def _linear(call: Call) -> Polynomial:
    weight, bias = call["weight"], call.get("bias")
    transposed = Polynomial(weight.stack.mT) if isinstance(weight, Polynomial) else weight.mT
    moved = _matrices(call["input"], transposed)
    return moved if bias is None else _with_bias(moved, bias)


def _convolution(call: Call) -> Polynomial:
    bias, weight = call.get("bias"), call["weight"]
    if isinstance(call["input"], Polynomial):
        moved = Polynomial(fold(call, "input", weight.ndim, bias=None))
    elif isinstance(weight, Polynomial):
        stacked = torch.stack([call.again(weight=w, bias=None) for w in weight.stack])
        moved = Polynomial(stacked)
    else:
        moved = Polynomial(call.again(bias=None)[None])
    if bias is None:
        return moved
    rank = len(moved.shape)
    channels = [-1] + [1] * (rank - 2)
    if isinstance(bias, Polynomial):
        return add(moved, Polynomial(bias.stack.reshape(bias.terms, *channels)))
    return _with_bias(moved, bias.reshape(channels))


def _normalised_by_statistics(call: Call) -> list[Any]:
    """Batch normalisation in evaluation mode: the affine map by its running statistics."""
    polynomial = call["input"]
    channels = [-1] + [1] * (len(polynomial.shape) - 2)
    weight, bias = call.get("weight"), call.get("bias")
    gain = (call["running_var"] + call["eps"]).rsqrt()
    gain = gain if weight is None else gain * weight
    shift = -call["running_mean"] * gain
    shift = shift if bias is None else shift + bias
    moved = Polynomial(polynomial.stack * gain.reshape(channels))
    empty = gain.new_empty(0)
    return [_with_bias(moved, shift.reshape(channels)), empty, empty]


BY_ONE_FACTOR: Mapping[str, Rule] = {
    "mul": _multiply,
    "div": _divide,
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "matmul"), _product_of_matrices),
    **dict.fromkeys(("addmm", "baddbmm"), _matrix_product_and_sum),
    **dict.fromkeys(("_grouped_mm", "grouped_mm_fallback"), _grouped_product),
    "linear": _linear,
    "convolution": _convolution,
    "_native_batch_norm_legit_no_training": _normalised_by_statistics,
}
