r"""Schemes: what keeps a residual network tame, by the name that users and the papers give it.

=================== =========================================================================
text                block
=================== =========================================================================
a scaling rule      x + λ f(x), λ fixed: ``1`` (nothing), ``1/n``, ``1/sqrt(n)``, ``0.1``, …
``half``            (x + f(x))/√2
``batchnorm``       x + f(BN(x)), and BN before the readout
``layernorm``       x + f(LN(x)), and LN before the readout
``skipinit``        x + α f(x), α a number of the block's own that is trained and starts at 0
``skipinit:RULE``   the same, started at the scales of a rule: ``skipinit:1/sqrt(n)``
``fixup``           x + α f(x), α trained from 1; the branch's last matrix and the readout start
                    at zero, the m − 1 others are multiplied by n^(−1/(2m−2)); with biases
=================== =========================================================================

Source: De & Smith 2020 (arXiv 2002.10444), Zhang, Dauphin & Ma 2019 for Fixup, whose scalar
biases are here one number per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule

__all__ = ["DE_SMITH", "Scheme"]

# The columns of De & Smith's table, and the two rules of Dherin & Munn.
DE_SMITH = (
    "batchnorm",
    "1",
    "skipinit",
    "skipinit:1/sqrt(n)",
    "skipinit:1",
    "half",
    "fixup",
    "1/sqrt(n)",
    "1/n",
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scaling rule, and what goes with it.

    Parameters
    ----------
    text : str
        As users name it.
    rule : ScalingRule
        The scales at the start.
    normalisation : {"", "batch", "layer"}
        Of every branch's input and of the readout's.
    learned : bool
        Whether the scales are trained.
    fixup : bool
        Whether matrices start as Fixup's do.

    Examples
    --------
    >>> scheme = Scheme.parse("skipinit:1/sqrt(n)")
    >>> scheme.rule.text, scheme.learned, Scheme.parse("batchnorm").normalisation
    ('1/sqrt(n)', True, 'batch')
    """

    text: str
    rule: ScalingRule
    normalisation: Literal["", "batch", "layer"] = ""
    learned: bool = False
    fixup: bool = False

    @classmethod
    def parse(cls, text: str) -> Scheme:
        """Read a scheme.

        Raises
        ------
        InputError
            For text that is neither a scheme nor a scaling rule with numbers.
        """
        word = text.strip().lower()
        one = ScalingRule.parse("1")
        if word == "batchnorm":
            return cls(word, one, normalisation="batch")
        if word == "layernorm":
            return cls(word, one, normalisation="layer")
        if word == "fixup":
            return cls(word, one, learned=True, fixup=True)
        learned = word.startswith("skipinit")
        name, colon, start = word.partition(":")
        rule = ScalingRule.parse(start if learned and colon else text)
        named = not rule.has_values or rule.normalised or rule.listed is not None
        if named or (learned and name != "skipinit"):
            required = "a scaling rule for every depth, or batchnorm, layernorm, skipinit or fixup"
            raise InputError(required, text, "choose one of these")
        if learned and rule.block_factor_squared != 1:
            raise InputError("a rule that leaves the skip alone", text, "start from another")
        return cls(f"skipinit:{rule.text}" if learned and colon else rule.text, rule,
                   learned=learned)  # fmt: skip
