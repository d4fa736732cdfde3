r"""Scaling rules: from a depth to the exact scale λ of every block.

A rule is data: :math:`\lambda_l = c \cdot b^{p}`, where the base b is the depth n or the block's
own number l, or a list of scales; some rules also divide the whole block, skip included.

============== ============================= ====================================================
text           scales                        where it comes from
============== ============================= ====================================================
``1``, ``0.1`` λ_l = c                       a plain residual network
``1/n``        λ_l = 1/n                     the coherent (ODE) rule; Marion 2023, Frei et al. 2019
``1/sqrt(n)``  λ_l = 1/√n                    the incoherent rule; De & Smith 2020
``n^-0.75``    λ_l = n^(−3/4)                between the two
``batchnorm``  λ_l = 1/√l, on a branch whose De & Smith 2020: what normalising the branch does
               input is normalised
``skipinit``   λ_l = 0                       De & Smith 2020, α = 0 at initialisation
``half``       block / √2                    De & Smith 2020, "divided by √2"
``lambda``     λ_l = λ, a symbol             to read formulas with one scale
``lambda_l``   λ_l = λ_l, n symbols          to read formulas with a scale for every block
``@FILE``      one λ per line                the user's own
============== ============================= ====================================================

A number may be written ``0.1``, ``1/10`` or ``1e-1``; ``c/n``, ``c/sqrt(n)``, ``c*n^-0.75`` and
the same with the block number ``l`` are understood. All are read exactly: 0.1 is 1/10.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError

if TYPE_CHECKING:
    import sympy

Exact = Any  # Fraction, or a sympy number where a scale is irrational

__all__ = ["Exact", "ScalingRule"]

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?(?:/\d+)?"
_CONSTANT = re.compile(rf"(?P<c>{_NUMBER})")
_POWER = re.compile(rf"(?:(?P<c>{_NUMBER})\*)?(?P<base>[nl])\^\(?(?P<p>{_NUMBER})\)?")
_QUOTIENT = re.compile(rf"(?P<c>{_NUMBER})/(?:(?P<base>[nl])|sqrt\((?P<root>[nl])\))")
_BASES: dict[str, Literal["depth", "block"]] = {"n": "depth", "l": "block"}
_SPELLINGS = {"√n": "sqrt(n)", "√l": "sqrt(l)", "**": "^", "λ": "lambda"}
_LARGEST = 10**300
_LARGEST_FLOAT = 1e75
_MOST_DECADES = 300
_KNOWN = "1, 0.1, 1/n, 1/sqrt(n), n^-0.75, batchnorm, skipinit, half or @FILE"


@dataclass(frozen=True, slots=True)
class ScalingRule:
    """The scale of every block, as a function of the depth.

    Build one with :meth:`parse` or :meth:`of`, or give the fields.

    Parameters
    ----------
    text : str
        The rule as the user knows it.
    coefficient : Fraction
        c in λ_l = c · b^p.
    exponent : Fraction
        p in λ_l = c · b^p.
    base : {"depth", "block"}
        b: the depth n, or the block's number l = 1..n.
    listed : tuple of Fraction or sympy.Expr, optional
        One scale per block instead of the formula.
    block_factor_squared : Fraction
        s² when every block is ``x ↦ s·(x + λ f(x))``; 1 for an ordinary tower.
    normalised : bool
        Whether the scales stand for branches whose input is normalised (claim G4).
    symbolic : {"", "one", "each"}
        Whether the scales are symbols: one for all blocks, or one for each.

    Raises
    ------
    InputError
        When a scale cannot be read, is not finite, or the list does not fit the depth.

    Examples
    --------
    >>> ScalingRule.parse("1/n").scales(4)
    (Fraction(1, 4), Fraction(1, 4), Fraction(1, 4), Fraction(1, 4))
    >>> ScalingRule.parse("1/sqrt(n)").scales(2)
    (sqrt(2)/2, sqrt(2)/2)
    >>> ScalingRule.parse("batchnorm").squares(3)
    (Fraction(1, 1), Fraction(1, 2), Fraction(1, 3))
    """

    text: str
    coefficient: Fraction = Fraction(1)
    exponent: Fraction = Fraction(0)
    base: Literal["depth", "block"] = "depth"
    listed: tuple[Exact, ...] | None = None
    block_factor_squared: Fraction = Fraction(1)
    normalised: bool = False
    symbolic: Literal["", "one", "each"] = ""

    def __post_init__(self) -> None:
        if self.base not in ("depth", "block"):
            raise InputError("base must be 'depth' or 'block'", self.base, "choose one of the two")
        for name in ("coefficient", "exponent", "block_factor_squared"):
            object.__setattr__(self, name, _exact(getattr(self, name), name))
        if self.block_factor_squared <= 0:
            came = self.block_factor_squared
            raise InputError("a block factor above zero", came, "give e.g. 1/2 for blocks/√2")
        if self.listed is not None:
            object.__setattr__(self, "listed", tuple(_exact(s, "scale") for s in self.listed))

    @classmethod
    def of(cls, rule: ScalingRule | str | float | Fraction | Sequence[object]) -> ScalingRule:
        """A rule from anything that users write for one: a rule, text, a number, a list.

        Examples
        --------
        >>> ScalingRule.of([1, "1/2"]).scales(2)
        (Fraction(1, 1), Fraction(1, 2))
        >>> ScalingRule.of(0.5).text
        '1/2'
        """
        if isinstance(rule, ScalingRule):
            return rule
        if isinstance(rule, str):
            return cls.parse(rule)
        if isinstance(rule, Iterable):
            listed = tuple(_exact(scale, "scale") for scale in rule)
            return cls(f"{len(listed)} listed scales", listed=listed)
        scale = _exact(rule, "scale")
        return cls(str(scale), scale)

    @classmethod
    def parse(cls, text: str) -> ScalingRule:
        """Read a rule from text; see the table at the top of this module.

        Raises
        ------
        InputError
            For an unknown rule, a scale that is not finite, or a file that cannot be read.

        Examples
        --------
        >>> ScalingRule.parse("2*n^-1/3").exponent
        Fraction(-1, 3)
        """
        # Spaces are allowed around operators, not inside a number.
        word = re.sub(r"\s*([-+*/^()])\s*", r"\1", text.strip()).lower()
        if word.startswith("@"):
            return cls(text.strip(), listed=_read_scales(Path(text.strip()[1:])))
        word = (
            word.lower()
            .replace("√n", "sqrt(n)")
            .replace("√l", "sqrt(l)")
            .replace("**", "^")
            .replace("λ", "lambda")
        )
        if word in _NAMED:
            return _NAMED[word]
        if word.strip("+-") in ("nan", "inf", "infinity"):
            raise InputError("a scale must be a finite number", text, "give e.g. 0.1 or 1/sqrt(n)")
        if found := _CONSTANT.fullmatch(word):
            return cls(word, _number(found["c"], text))
        if found := _QUOTIENT.fullmatch(word):
            power = Fraction(-1) if found["base"] else Fraction(-1, 2)
            base = _BASES[found["base"] or found["root"]]
            return cls(word, _number(found["c"], text), power, base)
        if found := _POWER.fullmatch(word):
            coefficient = _number(found["c"] or "1", text)
            return cls(word, coefficient, _number(found["p"], text), _BASES[found["base"]])
        raise InputError(f"a scaling rule: {_KNOWN}", text, "write one of these")

    def __str__(self) -> str:
        return self.text

    def scales(self, depth: int) -> tuple[Exact, ...]:
        """Exact λ_1..λ_n: Fractions where rational, sympy numbers where not.

        Parameters
        ----------
        depth : int
            n ≥ 1.
        """
        bases = self._bases(depth)
        if self.listed is not None:
            return self.listed
        if self.symbolic:
            import sympy

            names = [f"lambda_{block}" if self.symbolic == "each" else "lambda" for block in bases]
            return tuple(sympy.Symbol(name) for name in names)
        if self.exponent.denominator == 1:
            power = self.exponent.numerator
            return tuple(self.coefficient * Fraction(base) ** power for base in bases)
        if not self.coefficient:
            return (Fraction(0),) * len(bases)
        import sympy  # a fifth of a second: only irrational scales need it

        exponent = sympy.Rational(self.exponent.numerator, self.exponent.denominator)
        factor = sympy.Rational(self.coefficient.numerator, self.coefficient.denominator)
        cache = {
            base: _rational_or_root(factor * sympy.Integer(base) ** exponent) for base in bases
        }
        return tuple(cache[base] for base in bases)

    def squares(self, depth: int) -> tuple[Exact, ...]:
        """Exact λ_1²..λ_n²: the weights by which energies add up (claims G1, G2)."""
        if self.listed is not None or self.symbolic:
            return tuple(scale**2 for scale in self.scales(depth))
        squared = ScalingRule(self.text, self.coefficient**2, 2 * self.exponent, self.base)
        return squared.scales(depth)

    def floats(self, depth: int) -> NDArray[np.float64]:
        """λ_1..λ_n as an array of shape (n,), fast at any depth."""
        bases = self._bases(depth)
        if not self.has_values:
            raise InputError("scales with values", self.text, "give numbers, or exact inputs")
        if self.listed is not None:
            # Compared exactly: float() itself fails on the greatest, and a tiny one is zero.
            beyond = any(abs(scale) > _LARGEST_FLOAT for scale in self.listed)
            values = np.array([math.inf] if beyond else [float(scale) for scale in self.listed])
        else:
            numbers = np.array(bases, dtype=np.float64)
            values = np.asarray(float(self.coefficient) * numbers ** float(self.exponent))
        if np.abs(values).max(initial=0.0) > _LARGEST_FLOAT:
            came = f"{self.text} at depth {depth}"
            raise InputError("scales of at most 1e75, for their fourth powers", came, "lower them")
        return values

    @property
    def has_values(self) -> bool:
        """Whether the scales are numbers, not symbols."""
        listed = self.listed or ()
        return not self.symbolic and not any(getattr(s, "free_symbols", None) for s in listed)

    @property
    def log_block_factor(self) -> float:
        """ln s for blocks ``s·(x + λ f(x))``; 0 for an ordinary tower."""
        return 0.5 * math.log(self.block_factor_squared)

    def _bases(self, depth: int) -> Sequence[int]:
        depth = check_count(depth, "depth", least=1)
        if self.listed is not None and len(self.listed) != depth:
            came = f"{len(self.listed)} scales for depth {depth}"
            raise InputError("one listed scale per block", came, "list as many as there are blocks")
        # Of numerator and denominator each: their quotient may be no float at all.
        size = abs(self.coefficient) or Fraction(1)
        decades = math.log10(size.numerator) - math.log10(size.denominator)
        decades += float(self.exponent) * math.log10(depth)
        if abs(decades) > _MOST_DECADES:
            came = f"{self.text} at depth {depth}"
            mend = "give scales of 1e-300 to 1e300, or zero"
            raise InputError("scales that a float can hold", came, mend)
        return [depth] * depth if self.base == "depth" else range(1, depth + 1)


def _number(text: str, whole: str) -> Fraction:
    """A number with an optional denominator, exactly."""
    numerator, _, denominator = text.partition("/")
    if denominator and int(denominator) == 0:
        raise InputError("a scale must be a finite number", whole, "divide by something else")
    number = Fraction(numerator) / int(denominator or 1)
    if abs(number) > _LARGEST:
        raise InputError("a scale that a float can hold", whole, "give one below 1e300")
    return number


def _exact(value: Any, name: str) -> Exact:
    if isinstance(value, str):
        if _CONSTANT.fullmatch(value.strip()):
            return _number(value.strip(), value)
    elif isinstance(value, (Integral, Fraction)) and not isinstance(value, (bool, np.bool_)):
        return Fraction(value)
    elif isinstance(value, (float, np.floating)) and math.isfinite(value):
        # The shortest decimal that reads back as this float is what its author meant.
        return Fraction(str(value))
    elif hasattr(value, "free_symbols") and value.is_finite is not False and not value.is_Float:
        return _rational_or_root(value)
    raise InputError(f"{name} must be a finite number", value, "give e.g. 0.1 or 1/10")


def _rational_or_root(value: sympy.Expr) -> Exact:
    return Fraction(int(value.p), int(value.q)) if value.is_Rational else value


def _read_scales(path: Path) -> tuple[Fraction, ...]:
    """One scale per line; blank lines and ``#`` comments are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        came = f"{path} ({getattr(error, 'strerror', None) or 'not a text file'})"
        raise InputError("a text file with one scale per line", came, "check the path") from None
    scales = []
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        if not _CONSTANT.fullmatch(word):
            mend = "write one finite number such as 0.1"
            raise InputError(f"a scale on line {number} of {path}", repr(word), mend)
        scales.append(_number(word, word))
    if not scales:
        raise InputError("at least one scale", f"{path} without any", "write one λ per line")
    return tuple(scales)


_NAMED = {
    "lambda": ScalingRule("lambda", symbolic="one"),
    "lambda_l": ScalingRule("lambda_l", base="block", symbolic="each"),
    "batchnorm": ScalingRule("batchnorm", exponent=Fraction(-1, 2), base="block", normalised=True),
    "skipinit": ScalingRule("skipinit", coefficient=Fraction(0)),
    "half": ScalingRule("half", block_factor_squared=Fraction(1, 2)),
}
