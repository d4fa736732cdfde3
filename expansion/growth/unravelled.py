"""All paths of a small architecture one by one: the unravelled view of Veit et al. 2016."""

from __future__ import annotations

from expansion.errors import TooManyTermsError
from expansion.growth.path_lesions import total_paths
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge

__all__ = ["Path", "list_paths"]

Path = tuple[Edge, ...]


def list_paths(architecture: Architecture, budget: int = 64) -> list[Path]:
    """Every path from the input to the output, sorted by order.

    Parameters
    ----------
    architecture : Architecture
        Weights play no part here.
    budget : int
        How many paths are allowed; their number is known beforehand.

    Returns
    -------
    list of tuple of Edge

    Raises
    ------
    TooManyTermsError
        Above the budget.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> [[e.block for e in path if e.block] for path in list_paths(residual_tower(2))]
    [[], ['block1'], ['block2'], ['block1', 'block2']]
    """
    plain = Architecture(tuple(Edge(e.tail, e.head, e.block, e.order) for e in architecture.edges))
    total = int(total_paths(plain))
    if total > budget:
        raise TooManyTermsError(total, budget, "count them by path_polynomial")
    reached: dict[str, list[Path]] = {architecture.source: [()]}
    for edge in architecture.ordered():
        extended = [(*path, edge) for path in reached[edge.tail]]
        reached.setdefault(edge.head, []).extend(extended)
    place = {name: number for number, name in enumerate(architecture.blocks)}

    def key(path: Path) -> tuple[int, list[int]]:
        return sum(e.order for e in path), [place[e.block] for e in path if e.block]

    return sorted(reached[architecture.sink], key=key)
