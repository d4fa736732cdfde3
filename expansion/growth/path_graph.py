"""An architecture as links of polynomials: one for all parallel edges, cut into segments.

Between two nodes that all paths pass lies a segment, a factor of the path polynomial. A segment is
reduced by the arithmetic of series-parallel graphs: parallel links add, links in series multiply.
What that cannot reduce is left to the recurrence of ``path_polynomials``.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from flint import fmpq, fmpq_poly, fmpz_poly

from expansion.errors import TooManyTermsError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight
from expansion.trees.order_polynomials import to_fraction

__all__ = ["LARGEST_ANSWER", "Links", "PathGraph", "edges_removed", "links_of", "product"]

LARGEST_ANSWER = 2**33  # bits in all coefficients together: a gigabyte
Bundle = tuple[tuple[int, Weight], ...]  # orders and weights of parallel edges
_SHORT = 16  # degree below which polynomials are compared


class PathGraph:
    """Links between numbered nodes, each a polynomial in z; numbers rise along every path.

    Parameters
    ----------
    links : list of dict
        For every node, the nodes it leads to, and the polynomial of that link. All lie on paths
        from the first node, the source, to the last, the sink.
    one : fmpz_poly or fmpq_poly
        The polynomial 1 of the kind that the links are.
    natural : bool
        Whether all coefficients are whole and none is negative.
    """

    def __init__(self, links: list[dict[int, Any]], one: Any, natural: bool) -> None:
        self.links = links
        self.one = one
        self.natural = natural
        self.source, self.sink = 0, len(links) - 1
        self.tails: list[set[int]] = []  # only reduction needs them

    def nodes(self) -> Iterator[int]:
        """The nodes that still have links, from the source to the sink."""
        for node in range(len(self.links)):
            if self.links[node] or node == self.sink:
                yield node

    def reduce(self) -> None:
        """Replace whatever is in series or parallel by one link, as long as there is any."""
        self.tails = _tails(self.links)
        # First come, first served: what is nested deepest first, and equal blocks side by side.
        candidates = deque(node for node in range(len(self.links)) if self._in_series(node))
        while candidates:
            node = candidates.popleft()
            if not self._in_series(node):
                continue
            left, right, chain = self._chain(node)
            link = product(((link, 1) for link in chain), self.one)
            before = self.links[left].get(right)
            self.links[left][right] = link if before is None else before + link
            self.tails[right].add(left)
            candidates.extend((left, right))

    def _in_series(self, node: int) -> bool:
        return len(self.tails[node]) == 1 == len(self.links[node])

    def _chain(self, node: int) -> tuple[int, int, list[Any]]:
        """Take out the longest chain through a node; its ends, and its links one by one."""
        first, (left,) = node, self.tails[node]
        while self._in_series(left):
            first, (left,) = left, self.tails[left]
        chain, last, right = [self.links[left].pop(first)], left, first
        while self._in_series(right):
            last = right
            right, link = self.links[last].popitem()
            self.tails[last].clear()
            chain.append(link)
        self.tails[right].discard(last)
        return left, right, chain


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """All links of an architecture, on paths from its first node to its last.

    Parameters
    ----------
    size : int
        Number of nodes.
    table : dict
        ``tail * size + head`` to a link's place in ``kinds``. One flat table of integers: large
        graphs of many small objects keep Python's garbage collector busy.
    kinds : tuple of fmpz_poly or fmpq_poly
        Polynomials of parallel edges.
    one : fmpz_poly or fmpq_poly
        The polynomial 1 of that kind.
    natural : bool
        Whether all coefficients are whole and none is negative.
    """

    size: int
    table: dict[int, int]
    kinds: tuple[Any, ...]
    one: Any
    natural: bool

    def segments(self) -> tuple[Counter[int], list[PathGraph]]:
        """What lies between the nodes that all paths pass: kinds of single links, and graphs."""
        size, table = self.size, self.table
        # Only the others pass over nodes: tail·size + head is 1 modulo size + 1 for neighbours.
        far = [divmod(key, size) for key in table if key % (size + 1) != 1]
        if not far:
            return Counter(table.values()), []
        steps = [0] * size
        for tail, head in far:
            steps[tail + 1] += 1
            steps[head] -= 1
        cuts = [node for node, over in enumerate(accumulate(steps)) if not over]
        singles: list[int] = []
        graphs: list[PathGraph] = []
        inside: dict[int, tuple[PathGraph, int]] = {}  # by tail
        for first, last in pairwise(cuts):
            if last == first + 1:
                singles.append(table[first * size + last])
            else:
                links: list[dict[int, Any]] = [{} for _ in range(first, last + 1)]
                graphs.append(PathGraph(links, self.one, self.natural))
                inside.update(dict.fromkeys(range(first, last), (graphs[-1], first)))
        for key, kind in table.items():
            tail, head = divmod(key, size)
            if tail in inside:
                graph, first = inside[tail]
                graph.links[tail - first][head - first] = self.kinds[kind]
        return Counter(singles), graphs

    def refuse_if_too_large(self) -> None:
        """Say so when the coefficients of the answer together would need more than a gigabyte."""
        bound = max((_log2_sum(p) for p in self.kinds), default=0) + math.log2(self.size)
        longest = max((p.degree() for p in self.kinds), default=0)
        if self.size**2 * (longest + 1) * bound < LARGEST_ANSWER:
            return  # certainly small
        degree, bits = {0: 0}, {0: 0.0}
        sizes = [(polynomial.degree(), _log2_sum(polynomial)) for polynomial in self.kinds]
        for key in sorted(self.table):  # by tail: numbers rise along every path
            tail, head = divmod(key, self.size)
            longer, more = sizes[self.table[key]]
            degree[head] = max(degree.get(head, 0), degree[tail] + longer)
            bits[head] = _log2_add(bits.get(head, -math.inf), bits[tail] + more)
        last = self.size - 1
        terms, each = degree.get(last, 0) + 1, max(1, math.ceil(bits.get(last, 0.0)))
        if terms * each > LARGEST_ANSWER:
            instead = "ask for total_paths, mean_length or lesion_shares, or depth_formula"
            raise TooManyTermsError(terms, LARGEST_ANSWER // each, instead)


def links_of(architecture: Architecture, without: str | Iterable[str] = ()) -> Links:
    """The links of an architecture without some blocks; parallel edges are one link.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> links = links_of(residual_tower(2))
    >>> links.table, [str(kind) for kind in links.kinds]
    ({1: 2, 5: 2}, ['0', '1', 'x + 1'])
    """
    size, removed = len(architecture.nodes), edges_removed(architecture, without)
    table: dict[int, int] = {}
    bundles: list[Bundle] = [()]
    number: dict[tuple[int, int, Weight], int] = {}  # a bundle and one more edge: which bundle
    for (tail, head), edge in zip(architecture.ends, architecture.edges, strict=True):
        if removed and edge in removed:
            continue
        key = tail * size + head
        step = table.get(key, 0), edge.order, edge.weight
        if step not in number:
            number[step] = len(bundles)
            bundles.append((*bundles[step[0]], step[1:]))
        table[key] = number[step]
    weights = {weight for bundle in bundles for _, weight in bundle}
    whole = all(isinstance(weight, int) for weight in weights)
    ring = fmpz_poly if whole else fmpq_poly
    kinds = tuple(_polynomial(bundle, ring) for bundle in bundles)
    if removed or not all(kinds[1:]):
        table = _on_paths({key: kind for key, kind in table.items() if kinds[kind]}, size)
    return Links(size, table, kinds, ring([1]), whole and all(weight >= 0 for weight in weights))


def edges_removed(architecture: Architecture, without: str | Iterable[str]) -> frozenset[Edge]:
    """The edges that a lesion removes.

    Parameters
    ----------
    architecture : Architecture
        The whole.
    without : str or iterable of str
        Blocks to remove, by name.

    Raises
    ------
    InputError
        For an unknown block.
    """
    names = (without,) if isinstance(without, str) else tuple(without)
    return frozenset[Edge]().union(*map(architecture.edges_of, names))


def product(factors: Iterable[tuple[Any, int]], one: Any) -> Any:
    """A product of powers; equal factors are found if short, and the rest multiplied in a tree.

    Parameters
    ----------
    factors : iterable of (polynomial, count)
        Each with how often it occurs.
    one : polynomial
        The empty product.

    Examples
    --------
    >>> x = fmpz_poly([0, 1])
    >>> product([(x, 1), (x + 1, 1), (x, 2)], fmpz_poly([1]))
    x^4 + x^3
    """
    several: dict[Any, Any] = {}
    counted: Counter[Any] = Counter()
    for factor, count in factors:
        key = tuple(map(str, factor.coeffs())) if factor.degree() < _SHORT else id(factor)
        several[key] = factor
        counted[key] += count
    level = [_power(several[key], count) for key, count in counted.items()]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [a * b for a, b in pairs] + level[len(level) // 2 * 2 :]
    return level[0] if level else one


def _power(factor: Any, count: int) -> Any:
    """The power; FLINT is far quicker at (1 + z)ⁿ than at (z + z³)ⁿ, which is the same."""
    if count == 1 or not isinstance(factor, fmpz_poly) or not factor:
        return factor**count
    low = next(k for k, c in enumerate(factor.coeffs()) if c)
    inner, gap = factor.right_shift(low).deflation()
    return (inner**count).inflate(max(gap, 1)).left_shift(low * count)


def _polynomial(bundle: Bundle, ring: Any) -> Any:
    terms: Counter[int] = Counter()
    for order, weight in bundle:
        terms[order] += weight  # type: ignore[assignment]
    row: list[Any] = [0] * (max(terms, default=0) + 1)
    for order, weight in terms.items():
        row[order] = (
            weight if isinstance(weight, int) else fmpq(weight.numerator, weight.denominator)
        )
    return ring(row)


def _on_paths(table: dict[int, int], size: int) -> dict[int, int]:
    """The links on paths from the first node to the last, as a lesion leaves them."""
    heads: list[list[int]] = [[] for _ in range(size)]
    tails: list[list[int]] = [[] for _ in range(size)]
    for key in table:
        tail, head = divmod(key, size)
        heads[tail].append(head)
        tails[head].append(tail)
    ahead, behind = _reached(0, heads), _reached(size - 1, tails)
    return {
        key: kind for key, kind in table.items() if key // size in ahead and key % size in behind
    }


def _tails(links: Sequence[Iterable[int]]) -> list[set[int]]:
    """For every node, the nodes that lead to it."""
    tails: list[set[int]] = [set() for _ in links]
    for tail, heads in enumerate(links):
        for head in heads:
            tails[head].add(tail)
    return tails


def _reached(start: int, neighbours: Sequence[Iterable[int]]) -> set[int]:
    found, waiting = {start}, [start]
    while waiting:
        for node in neighbours[waiting.pop()]:
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


def _log2_sum(polynomial: Any) -> float:
    """About how many bits a product of this polynomial with others has more than theirs."""
    numbers = [abs(to_fraction(fmpq(c))) for c in polynomial.coeffs()]
    common = math.lcm(*(number.denominator for number in numbers))
    return math.log2(int(sum(numbers) * common) or 1)


def _log2_add(first: float, second: float) -> float:
    low, high = sorted((first, second))
    return high if low == -math.inf else high + math.log2(1 + 2 ** (low - high))
