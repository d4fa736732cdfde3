r"""How every operation becomes linear at the visited point (THEORY E7b).

A rule says which of its signals stay polynomials and what the operation is to them once all the
rest is frozen at the forward pass:

* linear operations: all of their signals, nothing is frozen;
* products: the factor that went through fewer nonlinear operations stays, the other one is frozen;
  of two equal ones the second is. So :math:`\mathrm{silu}(g) \cdot u` freezes its gate, attention
  its pattern, and a hand-written normalisation its denominator;
* elementwise functions: :math:`\varphi(a) = \varphi(0) + \frac{\varphi(a) - \varphi(0)}{a}\, a`,
  with φ'(0) at a = 0; the offset φ(0) is of order 0;
* normalisations and softmax: their denominators are frozen;
* maxima: the choice is frozen;
* anything else is frozen as a whole: its value is of order 0.

Whatever the choice, the result at z = 1 is the operation's own value, so the orders always add up
to the model's output. Source: derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.derivatives import taylor_coefficients
from torch_bridge.orders.factors import FACTORS
from torch_bridge.orders.gates import CONSTANT, GATES, POOLS, dropped
from torch_bridge.orders.linear import LINEAR, LINEAR_IN, choose, counted
from torch_bridge.orders.polynomial import Polynomial, add, multiply
from torch_bridge.orders.propagation import Call, NotCoveredError
from torch_bridge.orders.recurrences import FUNCTIONS

__all__ = ["Freezing", "freezing"]


@dataclass(frozen=True, slots=True, eq=False)
class Freezing:
    """What becomes of one kind of operation.

    Parameters
    ----------
    live : tuple of str
        Arguments that may stay polynomials.
    run : callable
        ``run(call, value, visited)``: the call has polynomials in the live arguments and plain
        values elsewhere; then the operation's own value, and all its arguments at the visited
        point. Gives a polynomial, or None where the value has to be frozen as a whole.
    what : str
        What is frozen, in words; empty for linear operations.
    """

    live: tuple[str, ...]
    run: Callable[[Call, Any, Mapping[str, Any]], Any]
    what: str


def _linear(call: Call, _: Any, __: Mapping[str, Any]) -> Any:
    try:
        return LINEAR[call.name](call)
    except NotCoveredError:  # it is not linear with these options
        return None


def _as_a_whole(_: Call, __: Any, ___: Mapping[str, Any]) -> None:
    return None


def _elementwise(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial | None:
    """The gate (φ(a) − φ(0))/a, and φ(0) at order 0."""
    a = visited["self"]
    rest = {n: v for n, v in call.arguments.items() if n != "self"}

    def function(argument: Tensor) -> Tensor:
        result = call.target(self=argument, **rest)
        return result[0] if isinstance(result, tuple) else result

    offset = function(torch.zeros((), dtype=a.dtype, device=a.device))
    if not bool(torch.isfinite(offset).all()):
        return None
    value = value[0] if isinstance(value, (list, tuple)) else value
    at_zero = a == 0
    gate = (value - offset) / torch.where(at_zero, 1, a)
    if bool(at_zero.any()):
        gate = torch.where(at_zero, _slope_at_zero(function, a), gate)
    # An infinite signal has no gate: its value is of order 0.
    infinite = ~torch.isfinite(gate) | ~torch.isfinite(a)
    if bool(infinite.any()):
        gate = torch.where(infinite, 0, gate)
        stack = torch.where(infinite, 0, call["self"].stack) * gate
        return add(Polynomial(stack), torch.where(infinite, value, offset))
    moved = multiply(call["self"], gate)
    return moved if bool((offset == 0).all()) else add(moved, offset)


def _slope_at_zero(function: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """φ'(0), or 0 where it is infinite: a zero needs no gate to stay one."""
    slope = taylor_coefficients(function, 2, like)[1]
    return torch.where(torch.isfinite(slope), slope, 0)


def _of_channels(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial:
    """The gate of a function with φ(0) = 0 that has parameters of its own, such as prelu."""
    a = visited["self"]
    return multiply(call["self"], torch.where(a == 0, 0, value / torch.where(a == 0, 1, a)))


def _centred(stack: Tensor, dims: list[int], gain: Tensor) -> Polynomial:
    return Polynomial((stack - stack.mean(dims, keepdim=True)) * gain)


def _affine(moved: Polynomial, call: Call, shape: list[int] | None = None) -> Polynomial:
    weight, bias = call.get("weight"), call.get("bias")
    if weight is not None:
        moved = multiply(moved, weight if shape is None else weight.reshape(shape))
    if bias is not None:
        moved = add(moved, bias if shape is None else bias.reshape(shape))
    return moved


def _layer_norm(call: Call, value: Any, _: Mapping[str, Any]) -> list[Any]:
    dims = list(range(-len(call["normalized_shape"]), 0))
    moved = _centred(call["input"].stack, dims, value[2])
    return [_affine(moved, call), *value[1:]]


def _group_norm(call: Call, value: Any, _: Mapping[str, Any]) -> list[Any]:
    stack = call["input"].stack
    grouped = stack.reshape(*stack.shape[:2], call["group"], -1)
    moved = _centred(grouped, [-1], value[2][..., None])
    whole = Polynomial(moved.stack.reshape(stack.shape))
    return [_affine(whole, call, [-1] + [1] * (stack.ndim - 3)), *value[1:]]


def _batch_norm(call: Call, value: Any, _: Mapping[str, Any]) -> list[Any]:
    stack = call["input"].stack
    rank = stack.ndim - 1
    dims, shape = [d for d in range(-rank, 0) if d != 1 - rank], [-1] + [1] * (rank - 2)
    moved = _centred(stack, dims, value[2].reshape(shape))
    return [_affine(moved, call, shape), *value[1:]]


def _softmax(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial:
    """exp(a)/S with the sum S frozen and exp gated: ((e^a − 1)/a · a + 1)/S."""
    a = visited["self"]
    share = torch.exp(-torch.logsumexp(a, call["dim"], keepdim=True)).to(value.dtype)
    gate = torch.where(a == 0, share, (value - share) / torch.where(a == 0, 1, a))
    masked = ~torch.isfinite(a) | ~torch.isfinite(share)
    stack = torch.where(masked, 0, call["self"].stack) * torch.where(masked, 0, gate)
    return add(Polynomial(stack), torch.where(masked, value, share))


def _log_softmax(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial:
    return add(call["self"], torch.logsumexp(visited["self"], call["dim"], keepdim=True), -1)


def _norm(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial | None:
    """‖x‖ = Σ x_i (x_i/‖x‖) with the direction frozen."""
    if call.get("ord", call.get("p", 2)) != 2:
        return None
    x, stack = visited["self"], call["self"].stack
    dim = call.arguments.get("dim")
    dims = list(range(-x.ndim, 0)) if dim in (None, []) else counted(list(dim), x.ndim)
    length = torch.linalg.vector_norm(x, dim=dims, keepdim=True)
    direction = x / torch.where(length == 0, 1, length)
    return Polynomial((stack * direction).sum(dims, keepdim=call.get("keepdim", False)))


def _choice(call: Call, value: Any, visited: Mapping[str, Any]) -> Any:
    """amax, max and the like: gathered where they are at the visited point."""
    polynomial = call["self"]
    if call.name in ("sort", "topk"):
        where = value[1].expand(polynomial.terms, *value[1].shape)
        dim = counted(call.get("dim", -1), visited["self"].ndim)
        return [Polynomial(polynomial.stack.gather(dim, where)), value[1]]
    # Gates look at the first coefficient: the visited point goes there, and is taken off again.
    stacked = Polynomial(torch.cat([visited["self"][None], polynomial.stack]))
    arguments = call.arguments | {"self": stacked}
    done = GATES[call.name](Call(call.target, call.name, arguments, stacked.terms))
    if isinstance(done, list):
        return [Polynomial(done[0].stack[1:]), *done[1:]]
    return Polynomial(done.stack[1:])


def _larger(call: Call, value: Tensor, visited: Mapping[str, Any]) -> Polynomial:
    a, b = visited["self"], visited["other"]
    first = a <= b if call.name.startswith(("min", "fmin")) else a >= b
    like = next(call[n].stack for n in ("self", "other") if isinstance(call[n], Polynomial))
    return choose(first, call["self"], call["other"], like)


def _pool(call: Call, value: Any, _: Mapping[str, Any]) -> list[Any]:
    stack, indices, rank = call["self"].stack, value[1], POOLS[call.name]
    where = indices.flatten(-rank).expand(len(stack), *indices.shape[:-rank], -1)
    taken = stack.flatten(-rank).gather(-1, where)
    return [Polynomial(taken.reshape(len(stack), *indices.shape)), indices]


def _dropout(call: Call, value: Any, _: Mapping[str, Any]) -> list[Any]:
    return [dropped(call, value[1]), value[1]]


_GATED = (
    *(name for name in FUNCTIONS if name != "pow"),
    "abs",
    "clamp",
    "clamp_max",
    "clamp_min",
    "elu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_sigmoid_forward",
    "relu",
    "threshold",
)
_BY_NAME: Mapping[str, Freezing] = {
    **dict.fromkeys(_GATED, Freezing(("self",), _elementwise, "gate of {name}")),
    **dict.fromkeys(
        ("prelu", "_prelu_kernel"), Freezing(("self",), _of_channels, "gate of {name}")
    ),
    "native_layer_norm": Freezing(("input",), _layer_norm, "denominator of {name}"),
    "native_group_norm": Freezing(("input",), _group_norm, "denominator of {name}"),
    "_native_batch_norm_legit": Freezing(("input",), _batch_norm, "denominator of {name}"),
    "_native_batch_norm_legit_functional": Freezing(
        ("input",), _batch_norm, "denominator of {name}"
    ),
    "_softmax": Freezing(("self",), _softmax, "gate and denominator of {name}"),
    "_log_softmax": Freezing(("self",), _log_softmax, "denominator of {name}"),
    "linalg_vector_norm": Freezing(("self",), _norm, "direction of {name}"),
    "native_dropout": Freezing(("input",), _dropout, "choice of {name}"),
    **dict.fromkeys(POOLS, Freezing(("self",), _pool, "choice of {name}")),
    **dict.fromkeys(
        ("amax", "amin", "max", "min", "sort", "topk"),
        Freezing(("self",), _choice, "choice of {name}"),
    ),
    **dict.fromkeys(
        ("maximum", "minimum", "fmax", "fmin"),
        Freezing(("self", "other"), _larger, "choice of {name}"),
    ),
}
# Operations whose result has no derivative, and so nothing to freeze.
_WITHOUT_A_WORD = CONSTANT | {"eq", "ne", "gt", "ge", "lt", "le", "argmax", "argmin", "sign"}


def freezing(name: str, depths: Mapping[str, int]) -> Freezing:
    """What becomes of an operation.

    Parameters
    ----------
    name : str
        The operation.
    depths : mapping from argument name to int
        For every argument that depends on z, through how many nonlinear operations it went at most.

    Examples
    --------
    >>> freezing("mul", {"self": 3, "other": 1}).live
    ('other',)
    >>> freezing("mul", {"self": 3}).live
    ('self',)
    >>> freezing("lgamma", {"self": 0}).what
    'lgamma as a whole'
    """
    whole = Freezing((), _as_a_whole, "" if name in _WITHOUT_A_WORD else f"{name} as a whole")
    if name in FACTORS:
        first, second = FACTORS[name]
        live = tuple(depths)
        if first in depths and second in depths:
            frozen = first if depths[first] > depths[second] else second
            live = tuple(n for n in depths if n != frozen)
            return Freezing(live, _linear, f"factor {{{frozen}}} of {name}")
        return Freezing(live, _linear, "")
    if name == "div":
        if "other" not in depths:
            return Freezing(("self",), _linear, "")
        return Freezing(("self",), _linear, "denominator of div") if "self" in depths else whole
    if name == "pow":
        return (
            Freezing(("self",), _elementwise, "gate of pow") if "exponent" not in depths else whole
        )
    if name in ("max", "min") and "other" in depths:
        return freezing(f"{name}imum", depths)
    if name in LINEAR:
        live = tuple(n for n in depths if n in LINEAR_IN.get(name, depths))
        return Freezing(live, _linear, "" if len(live) == len(depths) else f"choice of {name}")
    found = _BY_NAME.get(name)
    if found is None:
        return whole
    return Freezing(found.live, found.run, found.what.format(name=name))
