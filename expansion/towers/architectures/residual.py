"""Residual towers: plain, with branches of several layers, of several branches, in stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight

__all__ = [
    "branch_edges",
    "check_counts",
    "check_flag",
    "layered_tower",
    "parallel_tower",
    "residual_tower",
    "staged_resnet",
]


def residual_tower(depth: int) -> Architecture:
    """n residual blocks ``h ↦ h + f_l(h)``; path polynomial (1 + z)ⁿ.

    Follows He et al. 2016 as Veit et al. 2016 count it: one branch per block.

    Parameters
    ----------
    depth : int
        n ≥ 1. Blocks are named ``block1``, ``block2``, ….

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(residual_tower(5)).counts
    (1, 5, 10, 10, 5, 1)
    """
    return parallel_tower(depth, branches=1)


def layered_tower(depth: int, layers: int = 2) -> Architecture:
    """n residual blocks whose branch is m layers, each counted: (1 + zᵐ)ⁿ.

    With two layers, the basic block of He et al. 2016.

    Parameters
    ----------
    depth : int
        n ≥ 1.
    layers : int
        m ≥ 1. Layers are named ``block1.layer1``, …; ``block1`` is all of them.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(layered_tower(3, layers=2)).counts
    (1, 0, 3, 0, 3, 0, 1)
    """
    depth = check_count(depth, "depth", least=1)
    names = _names("layer", check_count(layers, "layers", least=1))
    return Architecture.of(
        edge
        for block in range(1, depth + 1)
        for edge in _block(f"h{block - 1}", f"h{block}", [f"block{block}.{n}" for n in names])
    )


def parallel_tower(depth: int, branches: int = 2) -> Architecture:
    """n blocks ``h ↦ h + f_{l,1}(h) + … + f_{l,m}(h)``; path polynomial (1 + m z)ⁿ.

    With two branches, attention and MLP side by side as in PaLM (Chowdhery et al. 2022); with
    more, the aggregated branches of ResNeXt (Xie et al. 2017).

    Parameters
    ----------
    depth : int
        n ≥ 1.
    branches : int
        m ≥ 1. Named ``block1.branch1``, …; a single one is ``block1``.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(parallel_tower(3, branches=2)).counts
    (1, 6, 12, 8)
    """
    depth = check_count(depth, "depth", least=1)
    branches = check_count(branches, "branches", least=1)
    names = [f".{name}" for name in _names("branch", branches)] if branches > 1 else [""]

    def edges() -> Iterator[Edge]:
        for block in range(1, depth + 1):
            tail, head = f"h{block - 1}", f"h{block}"
            yield Edge(tail, head)
            for name in names:
                yield Edge(tail, head, f"block{block}{name}", 1)

    return Architecture.of(edges())


def staged_resnet(
    stages: int | str | Sequence[int] = (3, 4, 6, 3), layers: int = 1, shortcuts: bool | str = True
) -> Architecture:
    """A ResNet in stages; the first block of every later stage changes the resolution.

    Follows He et al. 2016: (2, 2, 2, 2) is ResNet-18 and (3, 4, 6, 3) ResNet-34 with two layers
    in a branch; (3, 4, 6, 3) with three is ResNet-50. Where the resolution changes, the skip is
    a projection, named ``shortcut.stage2``: an edge of order 0 that a lesion can remove.

    Parameters
    ----------
    stages : sequence of int
        Blocks in every stage, named ``stage1.block1``, ….
    layers : int
        Layers in a branch, each counted.
    shortcuts : bool
        Whether blocks that change the resolution have a shortcut; (1 + zᵐ)ⁿ if so, and without
        it every later stage turns one factor into zᵐ.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(staged_resnet((2, 2))).counts
    (1, 4, 6, 4, 1)
    >>> path_polynomial(staged_resnet((2, 2), shortcuts=False)).counts
    (0, 1, 3, 3, 1)
    """
    counts = check_counts(stages, "stages")
    names = _names("layer", check_count(layers, "layers", least=1))
    shortcut = check_flag(shortcuts, "shortcuts")

    def edges() -> Iterator[Edge]:
        done = 0
        for stage, blocks in enumerate(counts, 1):
            for block in range(1, blocks + 1):
                name = f"stage{stage}.block{block}"
                parts = [f"{name}.{part}" for part in names] if len(names) > 1 else [name]
                tail, head = f"h{done}", f"h{done + 1}"
                done += 1
                if block > 1 or stage == 1:
                    yield from _block(tail, head, parts)
                    continue
                if shortcut:
                    yield Edge(tail, head, f"shortcut.stage{stage}")
                yield from branch_edges(tail, head, parts)

    return Architecture.of(edges())


def branch_edges(
    tail: str, head: str, parts: Sequence[str], weight: Weight = 1, orders: Sequence[int] = ()
) -> Iterator[Edge]:
    """Blocks one after the other from ``tail`` to ``head``; between them, nodes of their names.

    Parameters
    ----------
    tail, head : str
        Where the branch begins and ends.
    parts : sequence of str
        Names of the blocks.
    weight : int or Fraction
        Of the last one, hence of the whole branch.
    orders : sequence of int, optional
        One per part; 1 each by default.
    """
    signals = [tail, *(f"{part} out" for part in parts[:-1]), head]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        order = orders[index] if orders else 1
        yield Edge(signals[index], signals[index + 1], part, order, weight if last else 1)


def check_counts(value: object, name: str) -> tuple[int, ...]:
    """One positive whole number or several, also as text: ``"3,4,6,3"``.

    Raises
    ------
    InputError
        When one of them is no positive whole number, or there is none.

    Examples
    --------
    >>> check_counts("3,4,6,3", "stages"), check_counts(5, "stages")
    ((3, 4, 6, 3), (5,))
    """
    if isinstance(value, str):
        parts: Sequence[object] = value.split(",")
    else:
        parts = value if isinstance(value, Sequence) else [value]
    if not parts:
        raise InputError(f"at least one number for {name}", "none", "give e.g. 3,4,6,3")
    return tuple(check_count(part, name, least=1) for part in parts)


def check_flag(value: object, name: str) -> bool:
    """A truth value, also as text: ``"yes"`` or ``"no"``.

    Examples
    --------
    >>> check_flag("no", "shortcuts")
    False
    """
    flags = {True: True, False: False, "yes": True, "no": False, "true": True, "false": False}
    if not isinstance(value, (bool, str)) or value not in flags:
        raise InputError(f"{name} must be yes or no", value, "write yes or no")
    return flags[value]


def _block(tail: str, head: str, parts: Sequence[str]) -> Iterator[Edge]:
    yield Edge(tail, head)
    yield from branch_edges(tail, head, parts)


def _names(word: str, count: int) -> list[str]:
    return [f"{word}{number}" for number in range(1, count + 1)]
