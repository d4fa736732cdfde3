"""Names of blocks: the modules that they come from, made unique.

A block is named after the module that its addition stands in. Where that module holds several
additions, as a transformer's layer does, each is named after the module of its branch:
``transformer.h.0.attn`` and ``transformer.h.0.mlp``. What is alike is told apart by the modules
on the way to the last operation, and what is still alike is numbered, ``layer:2``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from torch import fx

__all__ = ["numbered", "unique_names"]


def unique_names(sums: Sequence[fx.Node], work: Sequence[Sequence[fx.Node]]) -> list[str]:
    """One name for each addition.

    Parameters
    ----------
    sums : sequence of fx.Node
        The additions, in the order of execution.
    work : sequence of sequences of fx.Node
        The parametrised operations of each addition's branches, in the order of execution.
    """
    places = [_path(node) for node in sums]
    crowded = Counter(places)
    found: list[tuple[str, ...]] = []
    for place, nodes in zip(places, work, strict=True):
        if place and crowded[place] == 1:
            found.append(place)
            continue
        paths = [_path(node) for node in nodes]
        common = [parts[0] for parts in takewhile(_alike, zip(*paths, strict=False))]
        if paths and len(common) <= len(place):
            deeper = [path for path in paths if len(path) > len(common)]
            common = list(deeper[-1][: len(common) + 1]) if deeper else common
        found.append(tuple(common or place))
    told = [".".join(path) or "block" for path in _told_apart(found, work)]
    return numbered(told)


def _told_apart(
    names: Sequence[tuple[str, ...]], work: Sequence[Sequence[fx.Node]]
) -> list[tuple[str, ...]]:
    """Names as many modules deeper as tell equal ones apart."""
    deeper: list[tuple[str, ...]] = []
    for name, nodes in zip(names, work, strict=True):
        inside = [path for node in nodes if (path := _path(node))[: len(name)] == name]
        deeper.append(inside[-1][: len(name) + 1] if inside else name)
    kinds: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for name, longer in zip(names, deeper, strict=True):
        kinds.setdefault(name, set()).add(longer)
    told = [
        longer if len(kinds[name]) > 1 else name for name, longer in zip(names, deeper, strict=True)
    ]
    return told if told == list(names) else _told_apart(told, work)


def numbered(names: Sequence[str]) -> list[str]:
    """Tell equal names apart.

    Examples
    --------
    >>> numbered(["layer", "head", "layer"])
    ['layer', 'head', 'layer:2']
    """
    seen: Counter[str] = Counter()
    taken = set(names)
    unique = []
    for name in names:
        seen[name] += 1
        told = name if seen[name] == 1 else f"{name}:{seen[name]}"
        while told != name and told in taken:
            seen[name] += 1
            told = f"{name}:{seen[name]}"
        taken.add(told)
        unique.append(told)
    return unique


def _alike(parts: Sequence[str]) -> bool:
    return len(set(parts)) == 1


def _path(node: fx.Node) -> tuple[str, ...]:
    """The module that a node was traced in: ``("transformer", "h", "0")``."""
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    # A module that is called again is written name@1.
    return tuple(part.partition("@")[0] for part in path.split(".")) if path else ()
