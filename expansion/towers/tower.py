r"""Residual towers: what the theorem expands, and the ground truth that every formula answers to.

.. math:: H_n = (1 + \lambda_n f_n) \circ \cdots \circ (1 + \lambda_1 f_1)

A network is :math:`D \circ H_n \circ E`, with an encoder and a decoder.

Block 1 acts first. Calling a tower composes its blocks one after the other and knows nothing of
expansions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.arrays import Array, as_array, is_exact
from expansion.towers.branches.abstract import AbstractBranch
from expansion.towers.branches.branch import Branch
from expansion.towers.scaling import Exact, ScalingRule

__all__ = ["Tower"]


@dataclass(frozen=True, slots=True, eq=False)
class Tower:
    """A residual tower with its scaling rule, encoder and decoder.

    Parameters
    ----------
    branches : sequence of Branch, length n ≥ 1
        f_1..f_n; f_1 acts first.
    rule : ScalingRule, str, number or sequence, optional
        The scales λ_1..λ_n; 1 by default.
    encoder : Branch, optional
        E, applied before block 1.
    decoder : Branch, optional
        D, applied after block n.

    Attributes
    ----------
    scales : tuple
        Exact λ_1..λ_n: Fractions, or sympy numbers where irrational.

    Raises
    ------
    InputError
        When dimensions do not fit, or the rule is not a scaling of branches.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> shift = AffineBranch([[0, 1], [0, 0]])
    >>> tower = Tower.tied(shift, depth=3, rule="1/n")
    >>> [str(value) for value in tower([0, 1])]
    ['1', '1']
    """

    branches: tuple[Branch, ...]
    rule: Any = "1"  # a ScalingRule, once constructed
    encoder: Branch | None = None
    decoder: Branch | None = None
    scales: tuple[Exact, ...] = field(init=False, repr=False)
    _floats: Array | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.branches, Branch) or not isinstance(self.branches, Iterable):
            raise InputError("a list of branches", self.branches, "put them in a list, or use tied")
        branches = tuple(self.branches)
        for part in (*branches, self.encoder, self.decoder):
            if part is not None and not isinstance(part, Branch):
                raise InputError("a tower's parts must be branches", part, "wrap it in a Branch")
        check_count(len(branches), "a tower's depth", least=1)
        rule = ScalingRule.of(self.rule)
        if rule.block_factor_squared != 1:
            mend = "use growth and spectrum for this rule, or scale the branches only"
            raise InputError("a rule that scales branches and leaves the skip alone", rule, mend)
        _check_dimensions(branches, self.encoder, self.decoder)
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "scales", rule.scales(len(branches)))
        floats = rule.floats(len(branches)) if rule.has_values else None
        object.__setattr__(self, "_floats", floats)

    @classmethod
    def tied(cls, branch: Branch, depth: int, rule: Any = "1", **ends: Branch | None) -> Tower:
        """A tower whose blocks share one branch.

        Parameters
        ----------
        branch : Branch
            f.
        depth : int
            n ≥ 1.
        rule : optional
            As for the constructor.
        **ends : Branch
            ``encoder=`` and ``decoder=``.
        """
        return cls((branch,) * check_count(depth, "depth", least=1), rule, **ends)

    @classmethod
    def abstract(cls, depth: int, rule: Any = "1", *, tied: bool = False) -> Tower:
        """A tower of symbols f_1..f_n, for expansions to be read.

        Examples
        --------
        >>> Tower.abstract(4).depth
        4
        """
        depth = check_count(depth, "depth", least=1)
        if tied:
            return cls((AbstractBranch("f"),) * depth, rule)
        return cls(tuple(AbstractBranch("f") for _ in range(depth)), rule)

    @property
    def depth(self) -> int:
        """n, the number of blocks."""
        return len(self.branches)

    @property
    def is_tied(self) -> bool:
        """Whether all blocks share one branch."""
        return all(branch is self.branches[0] for branch in self.branches)

    @property
    def is_exact(self) -> bool:
        """Whether exact input gives exact output."""
        parts = (*self.branches, self.encoder, self.decoder)
        return all(part.is_exact for part in parts if part is not None)

    @property
    def is_abstract(self) -> bool:
        """Whether some branch is only a symbol."""
        return any(isinstance(branch, AbstractBranch) for branch in self.branches)

    def __call__(self, x: Any) -> Array:
        """D(H_n(E(x))) by composing the blocks.

        Parameters
        ----------
        x : array_like, shape (..., inputs)
            Exact numbers give an exact answer.

        Returns
        -------
        array, shape (..., outputs)
        """
        state = self.states(x)[-1]
        return state if self.decoder is None else self.decoder(state)

    def states(self, x: Any) -> list[Array]:
        """x_0 = E(x), x_1, …, x_n: the signal before the first and after every block."""
        states = [self.encode(x)]
        for scale, branch in zip(self.scales_for(states[0]), self.branches, strict=True):
            states.append(states[-1] + scale * branch(states[-1]))
        return states

    def encode(self, x: Any) -> Array:
        """E(x), after checking that x fits.

        Raises
        ------
        InputError
            When x is not an array of finite numbers of the tower's dimension.
        """
        vector = as_array(x, "the input")
        wanted = next((p.inputs for p in (self.encoder, *self.branches) if p is not None), None)
        if vector.ndim == 0 or (wanted is not None and vector.shape[-1] != wanted):
            required = f"an input of dimension {wanted or 'at least 1'}"
            raise InputError(required, f"shape {vector.shape}", "give that many coordinates")
        if is_exact(vector) and not self.is_exact:
            vector = vector.astype(np.float64)
        return vector if self.encoder is None else self.encoder(vector)

    def scales_for(self, x: Array) -> Any:
        """The scales in x's own kind of number: exact beside exact, floats beside floats."""
        if is_exact(x):
            return self.scales
        if self._floats is None:
            raise InputError("scales with values", self.rule, "give numbers, or an exact input")
        return self._floats

    def split(self, block: int) -> tuple[Tower, Tower]:
        """The first ``block`` blocks with the encoder, and the rest with the decoder (claim E4).

        Raises
        ------
        InputError
            Unless 1 ≤ block < n.
        """
        if not 1 <= check_count(block, "block", least=1) < self.depth:
            came = f"{block} of {self.depth}"
            raise InputError("a block before the last to split after", came, "choose a smaller one")
        return (
            Tower(self.branches[:block], self.scales[:block], encoder=self.encoder),
            Tower(self.branches[block:], self.scales[block:], decoder=self.decoder),
        )


def _check_dimensions(
    branches: Iterable[Branch], encoder: Branch | None, decoder: Branch | None
) -> None:
    width = None if encoder is None else encoder.outputs
    for number, branch in enumerate(branches, 1):
        if branch.inputs != branch.outputs:
            came = f"{branch.inputs} to {branch.outputs} in block {number}"
            raise InputError("a branch from a space to itself", came, "make the branch square")
        if width is not None and branch.inputs not in (None, width):
            came = f"dimension {branch.inputs} in block {number} after dimension {width}"
            raise InputError("branches of one dimension", came, "make all dimensions equal")
        width = width if branch.inputs is None else branch.inputs
    if decoder is not None and None not in (decoder.inputs, width) and decoder.inputs != width:
        came = f"decoder of input dimension {decoder.inputs} after dimension {width}"
        raise InputError("a decoder that fits the blocks", came, "make the dimensions equal")
