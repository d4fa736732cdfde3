r"""The sub-network ensemble of any network, at any scales, smooth or not (THEORY E8).

Let :math:`F_S` be the output with only the branches in S. Inclusion and exclusion,
:math:`\Delta_S = \sum_{T \subseteq S} (-1)^{|S \setminus T|} F_T`, splits it exactly, and the
order-k part :math:`A_k = \sum_{|S| = k} \Delta_S` needs only the sums over all sub-networks of one
size,

.. math:: A_k = \sum_{j \le k} (-1)^{k-j} \binom{n-j}{k-j} \sum_{|T| = j} F_T ,

for every T lies in that many sets S of size k. So outputs are added up as they come and never kept.
Where there are too many, :math:`A_k = \binom{n}{k} E\,\Delta_S` over uniform S of size k is
estimated without bias from a sample, each Δ_S by its 2^k sub-networks. Source: derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from math import comb
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from expansion.checking import check_count
from expansion.errors import InputError, TooManyTermsError

__all__ = ["SubnetworkOrders", "Sweep", "subnetwork_orders"]

#: From scales, shape (S, n), to the outputs at each row, with a new first dimension of S.
Sweep = Callable[[Tensor], Any]
_MOST = 1 << 13  # sub-networks that are run without being asked for


@dataclass(frozen=True, slots=True, eq=False)
class SubnetworkOrders:
    """The orders of an output by inclusion and exclusion.

    Parameters
    ----------
    depth : int
        n, the number of branches.
    orders : list of K + 1 outputs
        A_0..A_K, each with the model's own structure.
    evaluations : int
        How many sub-networks were run.
    half_widths : mapping from int to output
        For every order that was sampled, half the width of its confidence interval.
    confidence : float
        Of those intervals, entry by entry (Student's t).
    """

    depth: int
    orders: list[Any]
    evaluations: int
    half_widths: Mapping[int, Any] = field(default_factory=dict)
    confidence: float = 0.95

    def expected(self, survival: float) -> Any:
        """The mean output under stochastic depth: every branch survives with that probability.

        Raises
        ------
        InputError
            For a probability outside [0, 1], or when orders are missing.
        """
        if not 0 <= survival <= 1:
            raise InputError("a probability between 0 and 1", survival, "give e.g. 0.8")
        if len(self.orders) != self.depth + 1:
            came = f"orders 0..{len(self.orders) - 1} of {self.depth}"
            raise InputError("all orders for the stochastic-depth mean", came, "ask for all")
        powers = [survival**k for k in range(self.depth + 1)]
        return _combined(powers, self.orders)


def subnetwork_orders(
    sweep: Sweep,
    depth: int,
    K: int | None = None,
    *,
    scales: Sequence[float] | Tensor | None = None,
    samples: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    chunk: int = 64,
) -> SubnetworkOrders:
    """Orders of any network that can be run at several scales.

    Parameters
    ----------
    sweep : callable
        Runs the network at every row of a tensor of scales.
    depth : int
        n ≥ 0.
    K : int, optional
        Largest order; all n by default.
    scales : sequence of n floats or Tensor, shape (n,), optional
        λ_1..λ_n; 1 by default.
    samples : int, optional
        How many sets S ≥ 2 stand for all of each order that has too many; without it a request of
        more than 8192 sub-networks is refused.
    confidence : float
        Of the intervals of sampled orders.
    seed : int
        Of the sample.
    chunk : int
        Sub-networks run together.

    Raises
    ------
    TooManyTermsError
        When too many sub-networks would have to be run.

    Notes
    -----
    Source: derived (claim E8). Order k costs C(n, k) sub-networks beyond those of the lower orders,
    or 2^k for every sample.

    Examples
    --------
    >>> whole = subnetwork_orders(lambda rows: (1 + rows).prod(1), 3)
    >>> [float(a) for a in whole.orders], float(whole.expected(0.5))
    ([1.0, 3.0, 3.0, 1.0], 3.375)
    """
    depth = check_count(depth, "depth", least=0)
    largest = depth if K is None else min(check_count(K, "order", least=0), depth)
    given = [1.0] * depth if scales is None else scales
    row = given if isinstance(given, Tensor) else torch.tensor(given, dtype=torch.float64)
    if row.shape != (depth,):
        required = f"one scale for each of the {depth} blocks"
        raise InputError(required, f"shape {tuple(row.shape)}", f"give {depth} numbers")
    row = row if row.is_floating_point() else row.double()
    wanted = [comb(depth, k) for k in range(largest + 1)]
    exact = sum(1 for k in range(largest + 1) if sum(wanted[: k + 1]) <= _MOST) - 1
    if exact < largest and samples is None:
        raise TooManyTermsError(sum(wanted), _MOST, "ask for orders 0 to 2, or give samples=100")
    runner = _Runner(sweep, row, check_count(chunk, "chunk", least=1))
    sums = [runner.total(combinations(range(depth), j)) for j in range(exact + 1)]
    orders = []
    for k in range(exact + 1):
        weights = [(-1) ** (k - j) * comb(depth - j, k - j) for j in range(k + 1)]
        orders.append(_combined(weights, sums[: k + 1]))
    half_widths = {}
    generator = torch.Generator().manual_seed(seed)
    for k in range(exact + 1, largest + 1):
        count = check_count(samples, "samples", least=2)
        order, half_widths[k] = _sampled(runner, depth, k, count, confidence, generator)
        orders.append(order)
    return SubnetworkOrders(depth, orders, runner.evaluations, half_widths, confidence)


class _Runner:
    """Runs sub-networks a chunk at a time, and counts them."""

    def __init__(self, sweep: Sweep, row: Tensor, chunk: int) -> None:
        self.sweep, self.row, self.chunk = sweep, row, chunk
        self.evaluations = 0

    def total(self, sets: Iterator[tuple[int, ...]], signs: Sequence[int] | None = None) -> Any:
        """Σ_S sign_S F_S over sets of branches."""
        total, done = None, 0
        while kept := list(islice(sets, self.chunk)):
            masks = torch.zeros(len(kept), len(self.row), dtype=self.row.dtype)
            for i, members in enumerate(kept):
                masks[i, list(members)] = 1
            with torch.no_grad():
                outputs = self.sweep(masks.to(self.row.device) * self.row)
            weights = None if signs is None else signs[done : done + len(kept)]
            part = pytree.tree_map(lambda v, w=weights: _weighted(v, w), outputs)
            total = part if total is None else _combined([1, 1], [total, part])
            done += len(kept)
        self.evaluations += done
        return total


def _weighted(value: Any, weights: Sequence[int] | None) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value[0] if isinstance(value, Tensor) else value
    if weights is None:
        return value.sum(0)
    return torch.tensordot(torch.tensor(weights, dtype=value.dtype, device=value.device), value, 1)


def _combined(weights: Sequence[float], outputs: Sequence[Any]) -> Any:
    """Σ w_k output_k in the numbers; what is no number is taken from the first."""

    def one(*values: Any) -> Any:
        if not isinstance(values[0], Tensor) or not values[0].is_floating_point():
            return values[0]
        total = values[0] * weights[0]
        for weight, value in zip(weights[1:], values[1:], strict=True):
            total = total + weight * value
        return total

    return pytree.tree_map(one, *outputs)


def _sampled(
    runner: _Runner,
    depth: int,
    k: int,
    samples: int,
    confidence: float,
    generator: torch.Generator,
) -> tuple[Any, Any]:
    """C(n, k) times the mean of Δ_S over random S of size k, and half its interval's width."""
    from scipy.stats import t as student  # scipy costs a tenth of a second

    signs = [(-1) ** (k - j) for j in range(k + 1) for _ in range(comb(k, j))]
    mean = squares = None
    for number in range(1, samples + 1):
        members = torch.randperm(depth, generator=generator)[:k].tolist()
        subsets = (part for j in range(k + 1) for part in combinations(members, j))
        term = runner.total(subsets, signs)
        if mean is None:
            mean, squares = term, _combined([0.0], [term])
            continue
        before = mean  # Welford's running mean and sum of squares
        mean = _combined([1 - 1 / number, 1 / number], [mean, term])
        product = _map(lambda x, a, b: (x - a) * (x - b), term, before, mean)
        squares = _combined([1, 1], [squares, product])
    quantile = float(student.ppf((1 + confidence) / 2, samples - 1))
    factor = comb(depth, k) * quantile / (samples * (samples - 1)) ** 0.5
    half = _map(lambda s: s.sqrt() * factor, squares)
    return _combined([comb(depth, k)], [mean]), half


def _map(function: Callable[..., Any], *outputs: Any) -> Any:
    def one(*values: Any) -> Any:
        real = isinstance(values[0], Tensor) and values[0].is_floating_point()
        return function(*values) if real else values[0]

    return pytree.tree_map(one, *outputs)
