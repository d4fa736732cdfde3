r"""Capacity: how much a tower can change with its input, from its weights alone (claim B2).

With 𝓛_l a Lipschitz constant of branch l, in the Euclidean norm,

.. math::

   \mathrm{Lip}(D \circ H_n \circ E) \le \|D\| \|E\| \prod_l (1 + |\lambda_l| \mathcal{L}_l)
   \le \|D\| \|E\| \exp\Big(\sum_l |\lambda_l| \mathcal{L}_l\Big),

and the geometric complexity, the mean of :math:`\|\nabla_x f\|_F^2` over the data, is at most
:math:`d\, \mathrm{Lip}^2` with d the smallest dimension on the way.

*Proof.* Block l is Lipschitz with constant 1 + \|λ_l\| 𝓛_l by the triangle inequality,
constants multiply under composition, and 1 + t ≤ e^t. A matrix of rank at most d has
:math:`\|J\|_F^2 \le d \|J\|^2`. ∎

Only Σ \|λ_l\| 𝓛_l enters: at 1/n the bound is free of the depth, at 1/√n it is e^(c√n).

The ways to bound 𝓛 or the block for :math:`V \varphi(U x + b) + c` with slopes φ' in [a, b],
:math:`s = \max(|a|, |b|)`; each is :math:`\sup \|V D U\|` over diagonal D with entries in [a, b]:

============== ===========================================================================
method         bound
============== ===========================================================================
Frobenius      𝓛 = s ‖V‖_F ‖U‖_F, for ‖·‖ ≤ ‖·‖_F
sums           𝓛 = s √(largest column sum × largest row sum of |V| |U|), for
               ‖A‖² ≤ ‖A‖_1 ‖A‖_∞ and |V D U| ≤ s |V| |U| entry by entry
absolute       𝓛 = s ‖|V| |U|‖, for ‖A‖ ≤ ‖B‖ where |A| ≤ B
exponential    e^(Σ|λ|𝓛) with the next 𝓛
product        𝓛 = s ‖V‖ ‖U‖: the textbook bound
balanced       𝓛 = s ‖V S‖ ‖S^-1 U‖ with the best positive diagonal S found
centred        block: ‖I + λ c V U‖ + |λ| r 𝓛, c and r centre and radius of [a, b], 𝓛 the
               smaller of balanced and absolute without s: D = c + r T with ‖T‖ ≤ 1
consecutive    products of the middle matrices I + λ c V U of neighbouring blocks, see
               :mod:`expansion.bounds.consecutive`
============== ===========================================================================

Frobenius and sums are incomparable, and so are absolute and product; product ≤ exponential,
balanced ≤ product, centred ≤ balanced, and consecutive is compared in the table of ratios.
Source: the inequality of geometric complexity's definition: Dherin et al. 2022 (arXiv 2209.13083)
define it; the bounds: derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.consecutive import chain_bounds
from expansion.bounds.factors import Factor, Layers, layers_of
from expansion.bounds.rounded import Rounded
from expansion.errors import InputError
from expansion.towers.branches.branch import Branch
from expansion.towers.tower import Tower

__all__ = [
    "METHODS",
    "CapacityBound",
    "CapacityTerm",
    "capacity_bounds",
    "capacity_terms",
    "log_product_bound",
]

METHODS = (
    "exponential",
    "product",
    "Frobenius",
    "sums",
    "absolute",
    "balanced",
    "centred",
    "consecutive",
)
"""The ways to bound a tower's Lipschitz constant."""

_UP = 1 + 2.0**-40


@dataclass(frozen=True, slots=True)
class CapacityBound:
    """One way's bounds, as natural logarithms: deep towers overflow a float.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    log_lipschitz : float
        At or above ln Lip.
    log_complexity : float
        At or above ln of the geometric complexity, whatever the data.

    Examples
    --------
    >>> CapacityBound("product", 0.0, 0.0).lipschitz
    1.0
    """

    method: str
    log_lipschitz: float
    log_complexity: float

    @property
    def lipschitz(self) -> float:
        """The bound of Lip; infinite where a float cannot hold it."""
        return _exp(self.log_lipschitz)

    @property
    def complexity(self) -> float:
        """The bound of the geometric complexity; infinite where a float cannot hold it."""
        return _exp(self.log_complexity)


@dataclass(frozen=True, slots=True)
class CapacityTerm:
    """What one part of a network contributes.

    Parameters
    ----------
    part : str
        ``encoder``, ``block 1``, … or ``decoder``.
    scale : float or None
        λ_l; None for the ends.
    product, balanced : float
        𝓛_l by the two methods.
    factor : float
        1 + |λ_l| 𝓛_l with the product's 𝓛_l: what the textbook bound multiplies.
    centred : float
        The centred bound of the whole block.
    """

    part: str
    scale: float | None
    product: float
    balanced: float
    factor: float
    centred: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "part": self.part,
            "scale": self.scale,
            "product": self.product,
            "balanced": self.balanced,
            "factor": self.factor,
            "centred": self.centred,
        }


def capacity_bounds(tower: Tower, methods: Sequence[str] = METHODS) -> tuple[CapacityBound, ...]:
    """Bound a network's Lipschitz constant and geometric complexity in several ways.

    Parameters
    ----------
    tower : Tower
        With affine or one-hidden-layer branches, encoder and decoder.
    methods : sequence of str
        Among :data:`METHODS`.

    Returns
    -------
    tuple of CapacityBound
        One for each method, in the order asked for.

    Raises
    ------
    InputError
        For an unknown method, a branch without a Lipschitz constant, or weights and scales that
        are not finite numbers.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> rotation = AffineBranch([[0.0, -1.0], [1.0, 0.0]])
    >>> bounds = capacity_bounds(Tower.tied(rotation, depth=2, rule="1"))
    >>> [(bound.method, round(bound.lipschitz, 3)) for bound in bounds[1::6]]
    [('product', 4.0), ('consecutive', 2.0)]
    """
    if unknown := [method for method in methods if method not in METHODS]:
        required = f"methods among {', '.join(METHODS)}"
        raise InputError(required, ", ".join(map(str, unknown)), "choose among these")
    chain = _chain(tower)
    return tuple(_bound(method, chain) for method in methods)


def capacity_terms(tower: Tower) -> tuple[CapacityTerm, ...]:
    """The terms of the bounds: each part's Lipschitz constants and factors.

    Parameters
    ----------
    tower : Tower
        As for :func:`capacity_bounds`.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> terms = capacity_terms(Tower((AffineBranch([[3.0]]),), "0.5"))
    >>> terms[0].part, round(terms[0].factor, 6)
    ('block 1', 2.5)
    """
    chain = _chain(tower)
    scales: list[float | None] = chain.scales.tolist()
    names = [f"block {block}" for block in range(1, len(scales) + 1)]
    parts = list(zip(names, chain.blocks, scales, strict=True))
    if chain.encoder is not None:
        parts.insert(0, ("encoder", chain.encoder, None))
    if chain.decoder is not None:
        parts.append(("decoder", chain.decoder, None))
    return tuple(_term(*part) for part in parts)


def _term(part: str, sizes: _Sizes, scale: float | None) -> CapacityTerm:
    product, balanced = sizes.lipschitz["product"], sizes.lipschitz["balanced"]
    factor = product if scale is None else 1 + abs(scale) * product
    return CapacityTerm(part, scale, product, balanced, factor, _exp(_log_centred(sizes, scale)))


def log_product_bound(lipschitz: Any, scales: Any) -> float:
    """ln Π(1 + |λ_l| 𝓛_l), the theorem itself, rounded upwards.

    Parameters
    ----------
    lipschitz : array_like
        𝓛_l ≥ 0, one number or one for each block.
    scales : array_like, shape (n,)
        λ_l.

    Raises
    ------
    InputError
        For a negative or non-finite Lipschitz constant or scale.

    Examples
    --------
    >>> round(log_product_bound(1.0, [0.5, -0.5]) / math.log(1.5), 6)
    2.0
    """
    constants, given = np.asarray(lipschitz, dtype=np.float64), np.asarray(scales, dtype=float)
    if not np.isfinite(constants).all() or (constants < 0).any():
        raise InputError("Lipschitz constants of at least 0", lipschitz, "give finite sizes")
    if not np.isfinite(given).all():
        raise InputError("finite scales", scales, "give numbers")
    return float(np.log1p(abs(given) * constants).sum()) * _UP


@dataclass(frozen=True, slots=True, eq=False)
class _Sizes:
    """What is computed once for each different branch."""

    layers: Layers
    lipschitz: dict[str, float]

    @property
    def rank(self) -> int:
        """The smaller of the dimensions that the branch maps between."""
        return min(self.layers.outer.centre.shape[-2], self.layers.inner.centre.shape[-1])


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """An encoder, blocks with their scales, and a decoder."""

    encoder: _Sizes | None
    blocks: tuple[_Sizes, ...]
    scales: NDArray[np.float64]
    decoder: _Sizes | None

    @property
    def ends(self) -> list[_Sizes]:
        return [end for end in (self.encoder, self.decoder) if end is not None]

    def factors(self) -> list[Factor]:
        """The Jacobians of encoder, blocks and decoder."""
        found = [] if self.encoder is None else [self.encoder.layers.factor(None)]
        pairs = zip(self.blocks, self.scales.tolist(), strict=True)
        found += [block.layers.factor(scale) for block, scale in pairs]
        return found if self.decoder is None else [*found, self.decoder.layers.factor(None)]


def _chain(tower: Tower) -> _Chain:
    cache: dict[int, _Sizes] = {}
    blocks = tuple(_sizes(branch, cache) for branch in tower.branches)
    ends = [None if e is None else _sizes(e, cache) for e in (tower.encoder, tower.decoder)]
    return _Chain(ends[0], blocks, tower.rule.floats(tower.depth), ends[1])


def _sizes(branch: Branch, cache: dict[int, _Sizes]) -> _Sizes:
    if id(branch) not in cache:
        layers = layers_of(branch)
        outer, inner = layers.outer, layers.inner
        left, right = layers.balanced()
        mixed = outer.absolute() @ inner.absolute()
        sizes: dict[str, Any] = {
            "Frobenius": outer.frobenius() * inner.frobenius(),
            "sums": math.sqrt(_line(mixed, 0) * _line(mixed, 1)),
            "absolute": mixed.norm(),
            "product": outer.norm() * inner.norm(),
            "balanced": left.norm() * right.norm(),
        }
        steepest = layers.steepest * _UP
        cache[id(branch)] = _Sizes(layers, {k: float(v) * steepest for k, v in sizes.items()})
    return cache[id(branch)]


def _line(matrix: Rounded, axis: int) -> float:
    """The largest column (0) or row (1) sum of absolute values."""
    sums = abs(matrix.centre).sum(axis=axis)
    # The error's own sums are at most √k times its Frobenius norm.
    extra = float(matrix.error) * math.sqrt(matrix.centre.shape[axis])
    return (float(sums.max(initial=0.0)) + extra) * _UP


def _bound(method: str, chain: _Chain) -> CapacityBound:
    rank = min(part.rank for part in (*chain.blocks, *chain.ends))
    wide = math.inf
    if method == "consecutive":
        log_lipschitz, wide = chain_bounds(chain.factors())
    elif method == "centred":
        pairs = zip(chain.blocks, chain.scales.tolist(), strict=True)
        log_lipschitz = math.fsum(_log_centred(block, scale) for block, scale in pairs)
        log_lipschitz += sum(_log_centred(end, None) for end in chain.ends)
    else:
        name = "product" if method == "exponential" else method
        constants = np.array([block.lipschitz[name] for block in chain.blocks])
        log_lipschitz = math.fsum(_log(end.lipschitz[name]) for end in chain.ends)
        if method == "exponential":
            log_lipschitz += float((abs(chain.scales) * constants).sum()) * _UP
        else:
            log_lipschitz += log_product_bound(constants, chain.scales)
    log_complexity = min(2 * wide, 2 * log_lipschitz + math.log(rank))
    slack = 2.0**-40  # of the logarithms' own rounding
    return CapacityBound(
        method,
        log_lipschitz + slack * (1 + abs(log_lipschitz)),
        log_complexity + slack * (1 + abs(log_complexity)),
    )


def _log_centred(part: _Sizes, scale: float | None) -> float:
    """ln(‖I + λ c V U‖ + |λ| r 𝓛) of one block, or of an end, which has no identity."""
    layers, factor = part.layers, part.layers.factor(scale)
    size = float(factor.middle.norm())
    if factor.left is not None and factor.right is not None:
        radius = (layers.high - layers.low) / 2 * (1.0 if scale is None else abs(scale))
        absolute = radius * part.lipschitz["absolute"] / layers.steepest
        size += min(float(factor.left.norm() * factor.right.norm()), absolute * _UP)
    return _log(size * _UP)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _exp(log_value: float) -> float:
    return math.exp(log_value) if log_value < 709 else math.inf
