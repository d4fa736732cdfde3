r"""Operations that are linear in their signals: one kernel for all coefficients (THEORY E5, E7b).

If L is linear, :math:`L(\sum_k u_k z^k) = \sum_k L(u_k) z^k`; what is added besides, a bias,
belongs to order 0. The tables say how every operation is done to a whole stack: as it is, with its
dimensions counted from the end, with the coefficients folded into the batch, or under
``torch.vmap``. Operations with two factors are in :mod:`~torch_bridge.orders.factors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.factors import BY_ONE_FACTOR, fold
from torch_bridge.orders.polynomial import Polynomial, add, aligned, lifted, multiply, padded
from torch_bridge.orders.propagation import Call, NotCoveredError, Rule

__all__ = ["LINEAR", "LINEAR_IN", "choose", "counted", "first_stack"]

# Where another argument than these depends on z, the operation is not linear.
LINEAR_IN: Mapping[str, frozenset[str]] = {
    "_native_batch_norm_legit_no_training": frozenset({"input"}),
    "grid_sampler_2d": frozenset({"input"}),
    "masked_fill": frozenset({"self", "value"}),
    "prelu": frozenset({"self"}),
    "_prelu_kernel": frozenset({"self"}),
    "where": frozenset({"self", "other"}),
}

# ---- as it is: elementwise, or counted from the last axis already -----------------------------
_AS_IT_IS = (
    "neg",
    "positive",
    "pixel_shuffle",
    "pixel_unshuffle",
    "tril",
    "triu",
    "view_as_complex",
    "view_as_real",
)
_UNCHANGED = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "lift")
_RESHAPES = ("view", "reshape", "_unsafe_view")
# ---- with their dimensions counted from the end ------------------------------------------------
_FROM_THE_END: Mapping[str, tuple[str, ...]] = {
    "cumsum": ("dim",),
    "flip": ("dims",),
    "index_select": ("dim",),
    "select": ("dim",),
    "slice": ("dim",),
    "split": ("dim",),
    "split_with_sizes": ("dim",),
    "squeeze": ("dim",),
    "transpose": ("dim0", "dim1"),
    "unbind": ("dim",),
    "narrow": ("dim",),
}
_DEFAULT_DIM = {"slice": 0, "split": 0, "split_with_sizes": 0, "unbind": 0}
# ---- with the coefficients folded into the batch: the rank of a batch -------------------------
_FOLDED: Mapping[str, int] = {
    "_adaptive_avg_pool2d": 4,
    "_adaptive_avg_pool3d": 5,
    "adaptive_avg_pool1d": 3,
    "avg_pool1d": 3,
    "avg_pool2d": 4,
    "avg_pool3d": 5,
    "reflection_pad1d": 3,
    "reflection_pad2d": 4,
    "reflection_pad3d": 5,
    "replication_pad1d": 3,
    "replication_pad2d": 4,
    "replication_pad3d": 5,
    "_upsample_bicubic2d_aa": 4,
    "_upsample_bilinear2d_aa": 4,
    "_upsample_nearest_exact1d": 3,
    "_upsample_nearest_exact2d": 4,
    "_upsample_nearest_exact3d": 5,
    "upsample_bicubic2d": 4,
    "upsample_bilinear2d": 4,
    "upsample_linear1d": 3,
    "upsample_nearest1d": 3,
    "upsample_nearest2d": 4,
    "upsample_nearest3d": 5,
    "upsample_trilinear3d": 5,
}
# ---- under vmap; linear in these arguments together -------------------------------------------
_UNDER_VMAP: Mapping[str, tuple[str, ...]] = {
    "_fft_c2c": ("self",),
    "_fft_c2r": ("self",),
    "_fft_r2c": ("self",),
    "as_strided": ("self",),
    "col2im": ("self",),
    "diag_embed": ("self",),
    "diagonal": ("self",),
    "diagonal_scatter": ("self", "src"),
    "embedding": ("weight",),
    "gather": ("self",),
    "grid_sampler_2d": ("input",),
    "im2col": ("self",),
    "index": ("self",),
    "index_add": ("self", "source"),
    "index_put": ("self", "values"),
    "repeat": ("self",),
    "roll": ("self",),
    "scatter": ("self", "src"),
    "scatter_add": ("self", "src"),
    "unfold": ("self",),
}


def first_stack(call: Call) -> Tensor:
    """The first stack among the arguments."""
    for value in call.arguments.values():
        for entry in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(entry, Polynomial):
                return entry.stack
    raise AssertionError("no argument depends on z")


def _first(call: Call) -> Polynomial:
    name = "self" if "self" in call.arguments else "input"
    return call[name]


def _wrapped(result: Any) -> Any:
    if isinstance(result, (list, tuple)):
        return [Polynomial(part) for part in result]
    return Polynomial(result)


def _as_it_is(call: Call) -> Any:
    return _wrapped(call.again(self=_first(call).stack))


def _padding(call: Call) -> Polynomial:
    if not call.get("value", 0):
        return _as_it_is(call)
    shifted = add(_first(call), call["value"], alpha=-1)
    return add(Polynomial(call.again(self=shifted.stack, value=0)), call["value"])


def _unchanged(call: Call) -> Polynomial:
    return _first(call)


def _to(call: Call) -> Polynomial:
    stack = _first(call).stack
    kind, device = call.get("dtype", stack.dtype), call.get("device", stack.device)
    return Polynomial(stack.to(dtype=kind, device=device))


def _reshape(call: Call) -> Polynomial:
    stack = _first(call).stack
    size: Any = call.arguments.get("size", call.arguments.get("shape"))
    return Polynomial(stack.reshape(len(stack), *size))


def _permute(call: Call) -> Polynomial:
    stack, dims = _first(call).stack, list(call["dims"])
    return Polynomial(stack.permute([0, *(d % len(dims) + 1 for d in dims)]))


def _t(call: Call) -> Polynomial:
    polynomial = _first(call)
    return Polynomial(polynomial.stack.mT) if len(polynomial.shape) == 2 else polynomial


def _expand(call: Call) -> Polynomial:
    size = list(call["size"])
    stack = aligned(_first(call).stack, len(size))
    return Polynomial(stack.expand([len(stack), *size]))


def _unsqueeze(call: Call) -> Polynomial:
    dim = call["dim"]
    return Polynomial(_first(call).stack.unsqueeze(dim + 1 if dim >= 0 else dim))


def _squeeze_all(polynomial: Polynomial) -> Polynomial:
    return Polynomial(polynomial.stack.reshape(polynomial.terms, *polynomial.start.squeeze().shape))


def _from_the_end(call: Call) -> Any:
    polynomial = _first(call)
    rank = len(polynomial.shape)
    if call.name == "squeeze" and "dim" not in call.arguments:
        return _squeeze_all(polynomial)
    changes: dict[str, Any] = {"self": polynomial.stack}
    for name in _FROM_THE_END[call.name]:
        changes[name] = counted(call.arguments.get(name, _DEFAULT_DIM.get(call.name)), rank)
    return _wrapped(call.again(**changes))


def counted(dim: Any, rank: int) -> Any:
    """A dimension, or several, of a tensor of that rank, counted from the end.

    Examples
    --------
    >>> counted([0, -1], 3)
    [-3, -1]
    """
    if isinstance(dim, (list, tuple)):
        return [counted(d, rank) for d in dim]
    return dim - rank if dim >= 0 else dim


def _reduced(call: Call) -> Polynomial:
    """sum and mean."""
    polynomial = _first(call)
    rank = len(polynomial.shape)
    given = call.arguments.get("dim")
    dim = counted(given, rank) if given not in (None, []) else list(range(-rank, 0))
    if not rank:
        return polynomial
    reduce = torch.sum if call.name == "sum" else torch.mean
    kept = call.get("keepdim", False)
    return Polynomial(reduce(polynomial.stack, dim, keepdim=kept, dtype=call.get("dtype")))


def _folded(call: Call) -> Polynomial:
    name = "self" if "self" in call.arguments else "input"
    return Polynomial(fold(call, name, _FOLDED[call.name]))


def _under_vmap(call: Call) -> Any:
    if call.get("reduce") is not None:
        raise NotCoveredError("a scatter that multiplies")
    like = first_stack(call)
    names = [n for n in _UNDER_VMAP[call.name] if isinstance(call.get(n), (Polynomial, Tensor))]
    stacks = [lifted(call[name], like) for name in names]
    longest = max(map(len, stacks))
    stacks = [padded(stack.to(like.dtype), longest) for stack in stacks]
    rest = {name: value for name, value in call.arguments.items() if name not in names}

    def one(*coefficients: Tensor) -> Any:
        return call.target(**rest, **dict(zip(names, coefficients, strict=True)))

    return _wrapped(torch.vmap(one)(*stacks))


# ---- written into another tensor, as in-place operations are once they are functional -----------
def _fill(call: Call) -> Any:
    """The value in the shape, type and place of what it is written over, which is forgotten."""
    over, source = call["self"], call["value"]
    over = over.stack[0] if isinstance(over, Polynomial) else over
    if not isinstance(source, Polynomial):
        return call.target(over, source)
    stack = aligned(source.stack, over.ndim).to(over)
    return Polynomial(stack.expand(len(stack), *over.shape))


def _part_written(call: Call) -> Polynomial:
    """A slice written; torch.vmap cannot take the end that stands for the last place of all."""
    like = first_stack(call)
    whole, part = (lifted(call[name], like).to(like.dtype) for name in ("self", "src"))
    longest = max(len(whole), len(part))
    dim = counted(call.get("dim", 0), whole.ndim - 1)
    written = call.again(self=padded(whole, longest), src=padded(part, longest), dim=dim)
    return Polynomial(written)


def _scatter(call: Call) -> Any:
    if "value" not in call.arguments or call.get("reduce") is not None:
        return _under_vmap(call)
    return _overwritten(call)


def _overwritten(call: Call) -> Polynomial:
    """A number, or a 0-dim signal, written at some places: it is no more than of its own order."""
    polynomial, value = call["self"], call["value"]
    marked = torch.zeros(polynomial.shape, dtype=torch.bool, device=first_stack(call).device)
    place = torch.scatter if call.name == "scatter" else torch.index_fill
    marked = place(marked, call["dim"], call["index"], True)
    return choose(marked, value, polynomial, first_stack(call))


# ---- sums --------------------------------------------------------------------------------------
def _add(call: Call) -> Polynomial:
    return add(call["self"], call["other"], call.get("alpha", 1))


def _subtract(call: Call) -> Polynomial:
    alpha = call.get("alpha", 1)
    return add(call["self"], call["other"], -alpha)


def _subtract_from(call: Call) -> Polynomial:
    if call.get("alpha", 1) == 1:
        return add(call["other"], call["self"], -1)
    return add(call["other"], multiply(call["self"], call["alpha"]), -1)


def _cat(call: Call) -> Polynomial:
    like = first_stack(call)
    parts = [t for t in call["tensors"] if not _is_nothing(t)]
    stacks = [lifted(part, like) for part in parts]
    longest = max(map(len, stacks))
    dim = counted(call.get("dim", 0), like.ndim - 1)
    return Polynomial(torch.cat([padded(stack, longest) for stack in stacks], dim))


def _is_nothing(part: Any) -> bool:
    """An empty vector, which ``cat`` has always passed over."""
    return isinstance(part, Tensor) and part.shape == (0,)


def _stack(call: Call) -> Polynomial:
    like = first_stack(call)
    stacks = [lifted(part, like) for part in call["tensors"]]
    longest, dim = max(map(len, stacks)), call.get("dim", 0)
    stacks = [padded(stack, longest) for stack in stacks]
    return Polynomial(torch.stack(stacks, dim + 1 if dim >= 0 else dim))


def choose(condition: Tensor, yes: Any, no: Any, like: Tensor) -> Polynomial:
    """Entries of one signal where a plain condition holds, of the other elsewhere."""
    first, second = lifted(yes, like), lifted(no, like)
    longest = max(len(first), len(second))
    rank = max(first.ndim - 1, second.ndim - 1, condition.ndim)
    first, second = (aligned(padded(s, longest), rank) for s in (first, second))
    return Polynomial(torch.where(condition, first, second))


def _where(call: Call) -> Polynomial:
    return choose(call["condition"], call["self"], call["other"], first_stack(call))


def _masked_fill(call: Call) -> Polynomial:
    return choose(call["mask"], call["value"], call["self"], first_stack(call))


LINEAR: Mapping[str, Rule] = {
    **dict.fromkeys(_AS_IT_IS, _as_it_is),
    **dict.fromkeys(_UNCHANGED, _unchanged),
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(_FROM_THE_END, _from_the_end),
    **dict.fromkeys(_FOLDED, _folded),
    **dict.fromkeys(_UNDER_VMAP, _under_vmap),
    "constant_pad_nd": _padding,
    "fill": _fill,
    **dict.fromkeys(("select_scatter", "slice_scatter"), _part_written),
    "index_fill": _overwritten,
    "scatter": _scatter,
    "_to_copy": _to,
    "to": _to,
    "permute": _permute,
    "t": _t,
    "expand": _expand,
    "unsqueeze": _unsqueeze,
    "sum": _reduced,
    "mean": _reduced,
    "add": _add,
    "sub": _subtract,
    "rsub": _subtract_from,
    "cat": _cat,
    "stack": _stack,
    "where": _where,
    "masked_fill": _masked_fill,
    **BY_ONE_FACTOR,
}
