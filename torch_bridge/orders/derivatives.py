r"""Taylor coefficients of one operation by nested forward-mode derivatives: the way without a rule.

For polynomials :math:`u(z)` the coefficients of :math:`f(u(z))` are
:math:`\frac{1}{k!} \frac{d^k}{dz^k} f(u(z))|_{z=0}`, each derivative a ``torch.func.jvp`` of the
one before: the chain rule left to PyTorch. It costs 2^K evaluations of that operation alone.

What comes out is compared with backward derivatives, the first and, where there is one, the
second: PyTorch gives operations that others registered a forward derivative of zero. Fused
normalisations are refused: of layer and batch normalisation PyTorch (2.13, CPU) takes the
statistics beside the result for constants in the derivative of a derivative, and says nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_bridge.orders.polynomial import Polynomial
from torch_bridge.orders.propagation import Call

__all__ = ["by_derivatives", "taylor_coefficients"]


def taylor_coefficients(function: Callable[[Tensor], Tensor], terms: int, like: Tensor) -> Tensor:
    """f_0..f_K of a function of one number, at 0.

    Parameters
    ----------
    function : callable
        From a 0-dim tensor to a tensor.
    terms : int
        K + 1.
    like : Tensor
        Gives the number its type and device.

    Returns
    -------
    Tensor, shape (terms, ...)

    Examples
    --------
    >>> taylor_coefficients(lambda z: torch.exp(2 * z), 3, torch.zeros(()))
    tensor([1., 2., 2.])
    """
    zero = torch.zeros((), dtype=like.dtype, device=like.device)
    one = torch.ones_like(zero)

    def derivative(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda z: torch.func.jvp(f, (z,), (one,))[1]

    rows, factorial, derived = [], 1, function
    with warnings.catch_warnings():
        # PyTorch scripts its own rules at the first derivative, and warns that it does.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", DeprecationWarning)
        for k in range(terms):
            factorial *= max(k, 1)
            rows.append(derived(zero) / factorial)
            derived = derivative(derived)
    return torch.stack(rows)


# In the names of operations whose nested derivative is wrong, or was not tried on every device.
_WRONG = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")


def by_derivatives(call: Call) -> Any:
    """The result of any operation that PyTorch can differentiate forward, a tuple's entries too.

    Raises
    ------
    TypeError
        For a fused normalisation, complex results, what has no derivative at all, and one whose
        forward and backward derivatives differ.
    """
    running = call.name.endswith("no_training")  # by statistics that do not move
    if any(part in call.name for part in _WRONG) and not running:
        raise TypeError("PyTorch's nested derivative of it is wrong")
    like = next(_stacks(list(call.arguments.values())))
    plain = call.target(**_at(call.arguments, None))
    _check_differentiable(call, like)

    def coefficients(part: int | None) -> Any:
        value = plain if part is None else plain[part]
        if isinstance(value, Tensor) and value.is_complex():
            raise TypeError("its result is complex")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value

        def at(z: Tensor) -> Tensor:
            result = call.target(**_at(call.arguments, z))
            return result if part is None else result[part]

        found = taylor_coefficients(at, call.terms, like)
        _check_backward(at, found, like)
        return Polynomial(found)

    if isinstance(plain, (list, tuple)):
        return [coefficients(part) for part in range(len(plain))]
    return coefficients(None)


def _check_differentiable(call: Call, like: Tensor) -> None:
    """Refuse what has no derivative: forward mode would take it for a constant, and say nothing."""
    with torch.enable_grad():
        z = torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)
        found = call.target(**_at(call.arguments, z))
    for part in found if isinstance(found, (list, tuple)) else (found,):
        if isinstance(part, Tensor) and part.is_floating_point():
            name = "" if part.grad_fn is None else part.grad_fn.name()
            if name in ("", "NotImplemented"):
                raise TypeError("PyTorch has no derivative of it")


def _check_backward(function: Callable[[Tensor], Tensor], rows: Tensor, like: Tensor) -> None:
    """Refuse coefficients 1 and 2 that backward derivatives contradict, in one projection."""
    weights = torch.arange(1, rows[0].numel() + 1, dtype=rows.dtype, device=rows.device).cos()
    weights = weights.reshape(rows.shape[1:])
    tolerance = torch.finfo(rows.dtype).eps ** (1 / 3)
    with torch.enable_grad():
        z = torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)
        slope = (function(z) * weights).sum()
        for k, row in enumerate(rows[1:3], 1):
            try:
                (slope,) = torch.autograd.grad(slope, z, create_graph=True)
            except (NotImplementedError, RuntimeError):
                if k == 2:  # it has no second one
                    return
                raise
            terms = row * weights
            error = float(slope.detach()) / k - float(terms.sum())
            if abs(error) > tolerance * float(terms.abs().sum()):
                raise TypeError("its forward and backward derivatives differ")


def _stacks(arguments: Any) -> Any:
    for value in arguments:
        if isinstance(value, (list, tuple)):
            yield from _stacks(value)
        elif isinstance(value, Polynomial):
            yield value.stack


def _at(value: Any, z: Tensor | None) -> Any:
    """Arguments with every polynomial at z, or at 0 for None."""
    if isinstance(value, dict):
        return {name: _at(entry, z) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_at(entry, z) for entry in value)
    if not isinstance(value, Polynomial):
        return value
    if z is None:
        return value.start
    total = value.stack[-1] + 0 * z  # a constant depends on z too, by nothing
    for coefficient in value.stack[:-1].flip(0):
        total = total * z + coefficient
    return total
