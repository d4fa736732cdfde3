r"""The λ-series of any captured model: every order in one walk (THEORY E5).

Replace every λ_i by zλ_i and push polynomials in z through the graph. The coefficient of z^k of
the output is the part of order k,

.. math:: P_k = \frac{1}{k!}\, \partial_z^k\, \mathrm{model}(z\lambda)\big|_{z=0},

without a tree, a path or a derivative formed. Linear operations act on all coefficients in one
kernel, smooth ones by recurrences, piecewise linear ones with the gate of order 0, products by
convolution; an operation that has no rule is differentiated by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from expansion.checking import check_count
from expansion.errors import InputError
from torch_bridge.orders.derivatives import by_derivatives
from torch_bridge.orders.factors import FACTORS
from torch_bridge.orders.gates import CONSTANT, GATES
from torch_bridge.orders.linear import LINEAR, LINEAR_IN
from torch_bridge.orders.memory import refuse_too_large
from torch_bridge.orders.normalisations import NORMALISATIONS
from torch_bridge.orders.plan import Step, kept_plan
from torch_bridge.orders.polynomial import Polynomial, add, multiply, product
from torch_bridge.orders.propagation import (
    Call,
    NotCoveredError,
    Rule,
    restored,
    strengths_of,
    walk,
)
from torch_bridge.orders.recurrences import FUNCTIONS, INTO, divided, exponential, log_sigmoid
from torch_bridge.tracing.captured import CapturedModel

__all__ = ["RULES", "SeriesAlgebra", "has_rule", "series_orders"]


def series_orders(
    captured: CapturedModel,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    K: int = 2,
    scales: Any = None,
    *,
    differentiable: bool = False,
    memory: int | None = None,
) -> list[Any]:
    """The order-0..K parts of a model's output as a power series in its scales.

    Parameters
    ----------
    captured : CapturedModel
        The model's graph and its residual additions.
    args, kwargs : sequence and mapping
        The model's inputs.
    K : int
        Largest order ≥ 0.
    scales : sequence of n floats, rule or Tensor of shape (n,), optional
        λ_1..λ_n; 1 by default, the model as it is.
    differentiable : bool
        Whether to keep what gradients need.
    memory : int, optional
        Bytes that may be used; by default what the device has free.

    Returns
    -------
    list of K + 1 outputs
        Each with the model's own structure. They add up to the model's output where the series
        converges; for normalised networks it often does not at λ = 1 (THEORY M3).

    Raises
    ------
    InputError
        When memory would not do, an operation cannot be expanded, or the output is not of real
        numbers.

    Notes
    -----
    Source: derived (claim E5).
    """
    order = check_count(K, "order", least=0)
    strengths = strengths_of(scales, len(captured.additions))
    plan = kept_plan(captured, order)
    refuse_too_large(plan, order, differentiable=differentiable, budget=memory)
    inputs = captured.bind(tuple(args), dict(kwargs or {}))
    with nullcontext() if differentiable else torch.no_grad():
        outputs = walk(captured, inputs, plan, SeriesAlgebra(), strengths)
        return restored(captured, outputs, order + 1)


class SeriesAlgebra:
    """Truncated power series; see :class:`~torch_bridge.orders.propagation.Algebra`."""

    element = Polynomial

    def sum(self, step: Step, skip: Any, branches: Sequence[Any], scale: Any) -> Polynomial:
        """skip + λ z Σ branches, a lone product of matrices in the same kernel as the sum."""
        if branches and isinstance(branches[0], Call):
            call = branches[0]
            found = _added_product(step, skip, call, scale)
            if found is not None:
                return found
            live = any(isinstance(value, Polynomial) for value in call.arguments.values())
            branches = [self.apply(step, call) if live else call.again()]
        if not branches or step.terms < 2:
            start = skip if isinstance(skip, Polynomial) else Polynomial(skip[None])
            return start.cut(step.terms)
        total = branches[0]
        for branch in branches[1:]:
            plain = not isinstance(total, Polynomial) and not isinstance(branch, Polynomial)
            total = total + branch if plain else add(total, branch)
        moved = total.cut(step.terms - 1).stack if isinstance(total, Polynomial) else total[None]
        return added(skip, moved, scale, step.terms)

    def apply(self, step: Step, call: Call) -> Any:
        """Any operation on series."""
        known = {name: cut(value, call.terms) for name, value in call.arguments.items()}
        return _apply(Call(call.target, call.name, known, call.terms))


def added(skip: Any, moved: Tensor, scale: Any, terms: int) -> Polynomial:
    """skip + λ z moved, to so many terms."""
    if isinstance(scale, Tensor):
        moved, scale = moved * scale.to(moved.device), 1
    base = skip.cut(terms).stack if isinstance(skip, Polynomial) else skip[None]
    shape, length = base.shape[1:], 1 + len(moved)
    plain = not torch.is_grad_enabled() and base.dtype == moved.dtype
    if plain and moved.shape[1:] == shape and len(base) <= length:
        stack = base.new_empty((length, *shape))
        stack[0] = base[0]
        common = len(base) - 1
        torch.add(base[1:], moved[:common], alpha=scale, out=stack[1 : common + 1])
        torch.mul(moved[common:], scale, out=stack[common + 1 :])
        return Polynomial(stack)
    if moved.shape[1:] != shape:
        sample = base[0] + moved[0]
        base = base.expand(len(base), *sample.shape)
    if len(base) == 1:
        return Polynomial(torch.cat([base, moved * scale]))
    rest = add(Polynomial(base[1:]), Polynomial(moved), scale)
    return Polynomial(torch.cat([base[:1], rest.stack]))


def _added_product(step: Step, skip: Any, call: Call, scale: Any) -> Polynomial | None:
    """skip + λ z (b + A B) for a plain matrix B; None where it takes more than one kernel."""
    terms = step.terms
    first, second = FACTORS[call.name]
    rows, matrix, bias = call[first], call[second], call.arguments.get("self")
    signals = isinstance(skip, Polynomial) and isinstance(rows, Polynomial)
    if torch.is_grad_enabled() or isinstance(scale, Tensor) or not signals:
        return None
    if isinstance(matrix, Polynomial) or call.get("alpha", 1) != 1 or call.get("beta", 1) != 1:
        return None
    base, factor = skip.cut(terms).stack, rows.cut(terms - 1).stack
    shape = (*factor.shape[1:-1], matrix.shape[-1])
    if base.shape[1:] != shape or len(base) != 1 + len(factor) or base.dtype != factor.dtype:
        return None
    if isinstance(bias, Polynomial) and call.name == "addmm":
        return None
    stack = base
    if not (step.reuses and base.is_contiguous()):
        stack = torch.empty_like(base, memory_format=torch.contiguous_format)
        stack[0] = base[0]
    sums, moved = stack[1:].flatten(0, 1), factor.flatten(0, 1)
    torch.addmm(base[1:].flatten(0, 1), moved, matrix, alpha=scale, out=sums)
    if call.name == "addmm":
        stack[1].add_(bias, alpha=scale)
    return Polynomial(stack)


def cut(value: Any, terms: int) -> Any:
    """An argument without coefficients that nobody asked for."""
    if isinstance(value, Polynomial):
        return value if len(value.stack) <= terms else Polynomial(value.stack[:terms])
    if isinstance(value, (list, tuple)):
        return type(value)([cut(entry, terms) for entry in value])
    return value


def _apply(call: Call) -> Any:
    if call.name in CONSTANT:
        return call.target(**{n: _start(v) for n, v in call.arguments.items()})
    rule = rule_for(call)
    if rule is not None:
        try:
            return rule(call)
        except NotCoveredError:
            pass
    try:
        return by_derivatives(call)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        required = "operations that PyTorch can differentiate forward, for the λ-series"
        mend = "take the frozen-gate or the sub-network orders instead"
        raise InputError(required, f"{call.target} ({reason[:60]})", mend) from error


def rule_for(call: Call) -> Rule | None:
    """The rule for an operation with these arguments depending on z; None if there is none."""
    name = call.name
    if name in FACTORS:
        both = all(isinstance(call.get(factor), Polynomial) for factor in FACTORS[name])
        return _product if both else LINEAR[name]
    if name == "div":
        if call.get("rounding_mode") is not None:
            return None
        return _quotient if isinstance(call["other"], Polynomial) else LINEAR["div"]
    if name == "pow" and not isinstance(call["exponent"], (int, float)):
        return _raised if isinstance(call["self"], (int, float)) else None
    if name in ("_to_copy", "to") and not _is_number(call.get("dtype", torch.float32)):
        return _whole_number
    if name in LINEAR_IN:
        others = (n for n in call.arguments if n not in LINEAR_IN[name])
        if any(isinstance(call[n], Polynomial) for n in others):
            return None
    return RULES.get(name)


def _is_number(kind: torch.dtype) -> bool:
    return kind.is_floating_point or kind.is_complex


def _start(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_start(entry) for entry in value)
    return value.start if isinstance(value, Polynomial) else value


def _whole_number(call: Call) -> Tensor:
    return call.again(self=call["self"].start)


def _elementwise(call: Call) -> Polynomial:
    stack = call["self"].stack
    if call.name in INTO and not torch.is_grad_enabled():
        found = stack.new_empty((call.terms, *stack.shape[1:]))
        FUNCTIONS[call.name](stack.unbind(), call.terms, out=found.unbind())
        return Polynomial(found)
    rest = {n: v for n, v in call.arguments.items() if n != "self"}
    return Polynomial(torch.stack(FUNCTIONS[call.name](stack.unbind(), call.terms, **rest)))


def _product(call: Call) -> Polynomial:
    """A bilinear operation on two series, one batched kernel for each coefficient of the second."""
    first, second = FACTORS[call.name]
    a, b = call[first], call[second]
    if call.name == "mul":
        return product(a, b, call.terms)
    # The shorter factor gives the fewer kernels.
    name, many, few = (second, first, b) if b.terms <= a.terms else (first, second, a)
    rest = {n: v for n, v in call.arguments.items() if n not in ("bias", "self", "beta")}
    if "self" in FACTORS[call.name]:
        rest["self"] = call["self"]
    rest |= {"self": 0} if call.name in ("addmm", "baddbmm") else {}
    total: Polynomial | None = None
    for j in range(few.terms):
        arguments = rest | {many: call[many].cut(call.terms - j), name: few.stack[j]}
        part = LINEAR[call.name](Call(call.target, call.name, arguments, call.terms - j))
        total = part if total is None else _shifted_sum(total, part, j)
    assert total is not None
    return _biased(call, total)


def _shifted_sum(total: Polynomial, part: Polynomial, shift: int) -> Polynomial:
    """total + z^shift part."""
    head, tail = total.stack[:shift], total.stack[shift:]
    rest = add(Polynomial(tail), part) if len(tail) else part
    return Polynomial(torch.cat([head, rest.stack]))


def _biased(call: Call, total: Polynomial) -> Polynomial:
    if call.name in ("addmm", "baddbmm"):
        beta = call.get("beta", 1)
        bias = call["self"]
        return add(total, multiply(bias, beta) if isinstance(bias, Polynomial) else bias * beta)
    bias = call.get("bias")
    if bias is None:
        return total
    if call.name == "convolution":
        raise NotCoveredError("a bias beside a kernel that depends on z")
    return add(total, bias)


def _quotient(call: Call) -> Polynomial:
    upper, lower = call["self"], call["other"]
    rank = len(lower.shape)
    numerator = upper.stack if isinstance(upper, Polynomial) else torch.as_tensor(upper)[None]
    if isinstance(upper, Polynomial) and numerator.ndim - 1 < rank:
        numerator = numerator[(slice(None), *[None] * (rank - numerator.ndim + 1))]
    return Polynomial(torch.stack(divided(numerator.unbind(), lower.stack.unbind(), call.terms)))


def _raised(call: Call) -> Polynomial:
    """A number to the power of a series."""
    logarithm = torch.log(torch.as_tensor(call["self"], dtype=call["exponent"].stack.dtype))
    rows = (call["exponent"].stack * logarithm.to(call["exponent"].stack.device)).unbind()
    return Polynomial(torch.stack(exponential(rows, call.terms)))


def _log_sigmoid(call: Call) -> list[Any]:
    rows = log_sigmoid(call["self"].stack.unbind(), call.terms)
    return [Polynomial(torch.stack(rows)), rows[0].new_empty(0)]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, _elementwise),
    **GATES,
    **LINEAR,
    **NORMALISATIONS,
    "log_sigmoid_forward": _log_sigmoid,
}


def has_rule(name: str) -> bool:
    """Whether an operation has a rule of its own; the others are differentiated one by one.

    Examples
    --------
    >>> has_rule("tanh"), has_rule("lgamma")
    (True, False)
    """
    return name in RULES or name in CONSTANT
