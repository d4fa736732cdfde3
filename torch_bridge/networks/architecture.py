r"""Block orders and architectures: which residual network to build, as data.

============ ======================= ============================================= ==========
order        branch f(x)             weights at initialisation                     rule
============ ======================= ============================================= ==========
``mlp``      V φ(U x + b) + c        U ~ N(0, 2/width), V ~ N(0, 1/d)              1/sqrt(n)
``de-smith`` W φ(x)                  W ~ N(0, 2/d) (He)                            1
``marion``   W φ(x)                  W ~ N(0, 1/d)                                 1/n
``frei``     φ(W x)                  W ~ N(0, 2/d)                                 1/n
============ ======================= ============================================= ==========

The block is ``x ↦ x + λ f(x)``. With φ = relu the variances of ``mlp`` preserve the energy of
every input, E‖f(x)‖² = ‖x‖² (claim G1), those of ``frei`` too (claim G6); ``de-smith`` preserves
it where half of the energy of x sits in positive coordinates. They are used for every φ.
Sources: De & Smith 2020 (arXiv 2002.10444), Marion 2023 (arXiv 2305.06648), whose blocks are
here independent of each other in depth, and Frei, Cao & Gu 2019 (arXiv 1910.02934).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.activations import activation
from expansion.towers.scaling import ScalingRule

__all__ = ["ORDERS", "Architecture", "BlockOrder"]


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """What a branch is made of, and how a paper draws its weights.

    Parameters
    ----------
    name : str
        As options name it.
    rule : str
        The paper's own scaling rule.
    inner_gain : float, optional
        g in U ~ N(0, g/rows), the matrix before the activation; None: there is none.
    outer_gain : float, optional
        g in V ~ N(0, g/rows), the matrix after the activation; None: there is none.
    biases : bool
        Whether both layers have biases, which start at zero.
    """

    name: str
    rule: str
    inner_gain: float | None = None
    outer_gain: float | None = None
    biases: bool = False


ORDERS = {
    order.name: order
    for order in (
        BlockOrder("mlp", "1/sqrt(n)", inner_gain=2.0, outer_gain=1.0, biases=True),
        BlockOrder("de-smith", "1", outer_gain=2.0),
        BlockOrder("marion", "1/n", outer_gain=1.0),
        BlockOrder("frei", "1/n", inner_gain=2.0),
    )
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A residual network to build: one cell of an experiment.

    Parameters
    ----------
    order : str
        A block order: mlp, de-smith, marion or frei.
    depth : int
        n ≥ 1, the number of blocks.
    dimension : int
        d ≥ 1, the dimension of the residual stream.
    width : int, optional
        Hidden units of an ``mlp`` branch; d by default. The other orders have none.
    activation : str
        φ: one of linear, relu, gelu, tanh, erf, sin.
    rule : ScalingRule, str or number, optional
        The scales λ_1..λ_n; the block order's own by default.
    inputs : int, optional
        Entries of an input to the linear encoder; without it there is no encoder.
    classes : int, optional
        Outputs of the linear decoder; without it there is no decoder.
    normalised : bool
        Whether batch normalisation precedes every branch (De & Smith's BN network, claim G4).

    Raises
    ------
    InputError
        For an unknown order, activation or rule, a size below one, or a rule that already
        stands for normalised branches beside ``normalised``.

    Examples
    --------
    >>> Architecture("marion", depth=4, dimension=2).rule.text
    '1/n'
    """

    order: str = "mlp"
    depth: int = 8
    dimension: int = 16
    width: int | None = None
    activation: str = "relu"
    rule: Any = None  # a ScalingRule, once constructed
    inputs: int | None = None
    classes: int | None = None
    normalised: bool = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            known = ", ".join(ORDERS)
            raise InputError(f"a block order among {known}", self.order, "choose one of these")
        activation(self.activation)
        for name in ("depth", "dimension", "width", "inputs", "classes"):
            if getattr(self, name) is not None or name in ("depth", "dimension"):
                object.__setattr__(self, name, check_count(getattr(self, name), name, least=1))
        if self.width not in (None, self.dimension) and not self.has_hidden_layer:
            came = f"width {self.width} and dimension {self.dimension} in order {self.order}"
            raise InputError("a branch without a hidden layer is square", came, "leave width out")
        rule = ScalingRule.of(ORDERS[self.order].rule if self.rule is None else self.rule)
        rule.floats(self.depth)  # a list of scales must fit the depth
        if rule.normalised and self.normalised:
            came = f"{rule} beside normalised=True"
            raise InputError("normalisation once", came, "give rule 1, or normalised=False")
        object.__setattr__(self, "rule", rule)

    @property
    def has_hidden_layer(self) -> bool:
        """Whether the branch has a matrix on both sides of its activation."""
        order = ORDERS[self.order]
        return None not in (order.inner_gain, order.outer_gain)

    @property
    def hidden(self) -> int:
        """Number of units that φ acts on."""
        return self.width or self.dimension
