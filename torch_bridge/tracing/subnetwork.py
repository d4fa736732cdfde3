"""A model that runs some of its branches only (THEORY E8)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from torch import nn

from expansion.errors import InputError
from torch_bridge.tracing.runner import Block, Runner

__all__ = ["Subnetwork", "numbers_of"]


class Subnetwork(nn.Module):
    r"""F_S: the network with the branches in S, whose other blocks hand on their skip.

    It shares the parameters of the model that it was made of, under ``model``.

    Parameters
    ----------
    runner : Runner
        The traced model.
    kept : frozenset of int
        S, block numbers in 1..n.

    Examples
    --------
    >>> import torch
    >>> from torch_bridge.tracing.hooked import HookedModel
    >>> x = torch.ones(1, 2)
    >>> hooked = HookedModel(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), (x,), {}, ["0"])
    >>> bool((Subnetwork(hooked, frozenset())(x) == torch.tanh(x)).all())
    True
    """

    def __init__(self, runner: Runner, kept: frozenset[int]) -> None:
        super().__init__()
        self.model = runner.model
        self.kept = kept
        self._runner = runner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The sub-network's output, in the model's own structure."""
        scales = [float(block.number in self.kept) for block in self._runner.blocks]
        return self._runner.run(args, kwargs, scales=scales)

    def extra_repr(self) -> str:
        """Which blocks are kept."""
        return f"kept={sorted(self.kept)} of {len(self._runner.blocks)} blocks"


def numbers_of(keep: Iterable[str | int], blocks: Sequence[Block]) -> frozenset[int]:
    """Block numbers from names and numbers.

    Parameters
    ----------
    keep : iterable of str and int
        Names of blocks, or their numbers in 1..n.
    blocks : sequence of Block
        All blocks.

    Raises
    ------
    InputError
        For a name or a number that no block has.

    Examples
    --------
    >>> sorted(numbers_of({"head", 1}, [Block(1, "stem"), Block(2, "head")]))
    [1, 2]
    """
    if isinstance(keep, str | Integral):
        raise InputError("a set of blocks", f"{keep!r} alone", f"write {{{keep!r}}}")
    by_name = {block.name: block.number for block in blocks}
    found = set()
    for one in keep:
        if isinstance(one, Integral) and not isinstance(one, bool) and 1 <= one <= len(blocks):
            found.add(int(one))
        elif isinstance(one, str) and one in by_name:
            found.add(by_name[one])
        else:
            near = difflib.get_close_matches(str(one), by_name, n=3) or list(by_name)[:3]
            required = f"names of blocks, or numbers 1..{len(blocks)}"
            raise InputError(required, repr(one), f"there are e.g. {', '.join(near) or 'none'}")
    return frozenset(found)
