"""One map of an architecture: a branch or a skip from a signal to a signal."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule

__all__ = ["Edge", "Weight", "exact_weight"]

Weight = int | Fraction


@dataclass(frozen=True, slots=True)
class Edge:
    """A branch (order 1) or a skip (order 0) from one signal to another.

    Parameters
    ----------
    tail, head : str
        The signal it reads, and the signal it is added to.
    block : str
        Its name, so that a lesion can ask for it; dots nest: ``layer1.attention``. Several edges
        of one name are one block. Empty only for a plain skip.
    order : int
        What it adds to a path's order: 1 for a branch, 0 for a skip; more for a branch that
        stands for several layers.
    weight : int, Fraction, float or str
        Exact factor of every path through it; 1 counts paths.

    Raises
    ------
    InputError
        For a node or a branch without a name, a loop, a negative order, or a weight that
        is not a finite number.

    Examples
    --------
    >>> Edge("x", "y", "block1", order=1, weight=0.25).weight
    Fraction(1, 4)
    """

    tail: str
    head: str
    block: str = ""
    order: int = 0
    weight: Weight = 1

    def __post_init__(self) -> None:
        for name in (self.tail, self.head):
            if type(name) is not str or not name:
                raise InputError("an edge between two named nodes", repr(name), "name the node")
        if self.tail == self.head:
            mend = "give the edge two different ends"
            raise InputError("an architecture without cycles", f"a loop at {self.tail}", mend)
        if type(self.block) is not str or (self.block and not all(self.block.split("."))):
            mend = "write words joined by dots, such as layer1.attention"
            raise InputError("a block's name", repr(self.block), mend)
        if type(self.order) is not int or self.order < 0:
            object.__setattr__(self, "order", check_count(self.order, "order", least=0))
        if self.order and not self.block:
            came = f"none from {self.tail} to {self.head}"
            raise InputError("a name for every branch", came, "name the block, or give it order 0")
        if type(self.weight) is not int:
            object.__setattr__(self, "weight", exact_weight(self.weight))


def exact_weight(value: object) -> Weight:
    """The number exactly, from any way of writing one; a whole number as an int.

    Parameters
    ----------
    value : int, Fraction, float or str
        A float means its shortest decimal: 0.1 is 1/10.

    Raises
    ------
    InputError
        When it is not a finite number.

    Examples
    --------
    >>> exact_weight("3/4"), exact_weight(0.1), exact_weight(2.0)
    (Fraction(3, 4), Fraction(1, 10), 2)
    """
    if isinstance(value, Rational):
        number = Fraction(int(value.numerator), int(value.denominator))
    else:
        number = _read(value)
    return number.numerator if number.denominator == 1 else number


def _read(value: object) -> Fraction:
    try:
        (number,) = ScalingRule.of([value]).listed or ()
    except InputError:
        number = None
    if not isinstance(number, Fraction):  # no number, or an irrational one
        mend = "give e.g. 0.25 or 1/4"
        raise InputError("a weight must be a finite rational number", value, mend)
    return number
