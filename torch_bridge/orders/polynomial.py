r"""Polynomials in the bookkeeping variable z whose coefficients are tensors (THEORY E5, E7b).

.. math:: u(z) = u_0 + u_1 z + \ldots + u_m z^m

is one tensor of shape ``(m + 1, *shape)``: a linear operation acts on all coefficients in one
kernel. Missing coefficients are zero, so that a signal that has passed few additions is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Polynomial",
    "add",
    "aligned",
    "cauchy",
    "lifted",
    "multiply",
    "padded",
    "product",
    "squared",
]


@dataclass(frozen=True, slots=True, eq=False)
class Polynomial:
    """A polynomial in z with tensor coefficients.

    Parameters
    ----------
    stack : Tensor, shape (m + 1, ...)
        u_0..u_m; m + 1 ≥ 1.

    Examples
    --------
    >>> u = Polynomial(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> u.terms, u.shape
    (2, torch.Size([2]))
    """

    stack: Tensor

    @property
    def terms(self) -> int:
        """m + 1, the number of coefficients kept."""
        return self.stack.shape[0]

    @property
    def shape(self) -> torch.Size:
        """The shape of every coefficient."""
        return self.stack.shape[1:]

    @property
    def start(self) -> Tensor:
        """u_0."""
        return self.stack[0]

    def cut(self, terms: int) -> Polynomial:
        """The first ``terms`` coefficients."""
        return self if self.terms <= terms else Polynomial(self.stack[:terms])


def aligned(stack: Tensor, rank: int) -> Tensor:
    """The stack with its coefficients seen as tensors of at least that rank, as broadcasting does.

    Examples
    --------
    >>> aligned(torch.zeros(4, 3), 2).shape
    torch.Size([4, 1, 3])
    """
    missing = rank - (stack.ndim - 1)
    return stack if missing <= 0 else stack[(slice(None), *[None] * missing)]


def lifted(value: Any, like: Tensor) -> Tensor:
    """A stack of whatever a node may hold: polynomials as they are, the rest as a constant.

    Parameters
    ----------
    value : Polynomial, Tensor or number
        The constant keeps PyTorch's rules of type promotion where it is a tensor.
    like : Tensor
        Gives a number its type and device.
    """
    if isinstance(value, Polynomial):
        return value.stack
    if not isinstance(value, Tensor):
        value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return value[None]


def padded(stack: Tensor, terms: int) -> Tensor:
    """The stack with zeros behind it until it has ``terms`` coefficients."""
    missing = terms - stack.shape[0]
    if missing <= 0:
        return stack
    return torch.cat([stack, stack.new_zeros((missing, *stack.shape[1:]))])


def add(a: Any, b: Any, alpha: Any = 1) -> Polynomial:
    """a + α b, where at least one is a polynomial and the other one, a tensor or a number.

    Examples
    --------
    >>> u = Polynomial(torch.tensor([[1.0], [2.0]]))
    >>> add(u, 10, alpha=3).stack[:, 0]
    tensor([31.,  2.])
    """
    like = a.stack if isinstance(a, Polynomial) else b.stack
    first, second = lifted(a, like), lifted(b, like)
    rank = max(first.ndim, second.ndim) - 1
    first, second = aligned(first, rank), aligned(second, rank)
    common = min(len(first), len(second))
    if len(first) == len(second):
        return Polynomial(torch.add(first, second, alpha=alpha))
    head = torch.add(first[:common], second[:common], alpha=alpha)
    tail = first[common:] if len(first) > common else second[common:] * alpha
    return Polynomial(torch.cat([head, tail.expand(len(tail), *head.shape[1:])]))


def multiply(a: Any, b: Any) -> Polynomial:
    """The product of a polynomial and a tensor or number that does not depend on z."""
    polynomial, other = (a, b) if isinstance(a, Polynomial) else (b, a)
    rank = other.ndim if isinstance(other, Tensor) else 0
    return Polynomial(aligned(polynomial.stack, rank) * other)


def product(a: Polynomial, b: Polynomial, terms: int) -> Polynomial:
    """The Cauchy product of two polynomials, elementwise in their entries.

    Examples
    --------
    >>> u = Polynomial(torch.tensor([1.0, 1.0]))
    >>> product(u, u, 4).stack
    tensor([1., 2., 1.])
    """
    rank = max(a.stack.ndim, b.stack.ndim) - 1
    first, second = aligned(a.stack, rank), aligned(b.stack, rank)
    return Polynomial(torch.stack(cauchy(first.unbind(), second.unbind(), terms)))


def cauchy(
    a: Sequence[Tensor], b: Sequence[Tensor], terms: int, out: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """The first coefficients of a product, no more than it has; written to ``out`` if given."""
    count = min(terms, len(a) + len(b) - 1)
    return [_convolved(a, b, k, None if out is None else out[k]) for k in range(count)]


def _convolved(a: Sequence[Tensor], b: Sequence[Tensor], k: int, out: Tensor | None) -> Tensor:
    """Coefficient k of the product of two polynomials, for k below the sum of their lengths."""
    low, high = max(0, k - len(b) + 1), min(k, len(a) - 1)
    total = torch.mul(a[low], b[k - low], out=out)
    for j in range(low + 1, high + 1):
        total.addcmul_(a[j], b[k - j])
    return total


def squared(a: Sequence[Tensor], k: int) -> Tensor:
    """Coefficient k of the square of a polynomial, with half the products."""
    low, half = max(0, k - len(a) + 1), (k + 1) // 2
    if low >= half:
        return a[low] * a[k - low]
    total = torch.add(a[low], a[low]).mul_(a[k - low])
    for j in range(low + 1, half):
        total.addcmul_(a[j], a[k - j], value=2)
    return total if k % 2 else total.addcmul_(a[k // 2], a[k // 2])
