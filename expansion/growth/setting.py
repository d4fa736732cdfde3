r"""What a residual block is at initialisation: its kind, its activation, its variances (G7).

============================ ================================================ ==================
block                        one block                                        source
============================ ================================================ ==================
``pre-activation``           x + λ V φ(U x + b), V ~ N(0, 1/fan-in)           G1
``activation-first``         x + λ (W φ(x) + b)                               De & Smith; Marion
``post-activation``          x + λ φ(W x + b): the branch has a mean          Frei et al. (G6)
``pre-norm``                 x + λ V φ(U norm(x) + b)                         G4
``post-norm``                norm(x + λ V φ(U x + b))                         transformers
============================ ================================================ ==================

Matrices that meet an activation are N(0, σ_w²/fan-in), biases N(0, σ_b²), norm(x) = x/√(‖x‖²/d).
With ``layers`` = m a branch has m matrices and an activation between any two of them (and, by
kind, one before the first or after the last). A linear branch needs no second matrix: A x.
Energies are per coordinate, q = ‖x‖²/d.
"""

from __future__ import annotations

from dataclasses import dataclass

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.growth.moments import homogeneous_moments
from expansion.growth.units import HOMOGENEOUS, LEAKY_SLOPE, check_branch

__all__ = ["BLOCKS", "Setting"]

BLOCKS = ("pre-activation", "activation-first", "post-activation", "pre-norm", "post-norm")
_WEIGHT_VARIANCES = {"relu": 2.0, "leaky-relu": 2 / (1 + LEAKY_SLOPE**2)}


@dataclass(frozen=True, slots=True)
class Setting:
    """A block at initialisation, and the input that it meets.

    Parameters
    ----------
    branch : str
        The activation: linear, relu, leaky-relu, tanh, erf, sin, gelu or silu.
    block : str
        One of :data:`BLOCKS`.
    weight_variance : float, optional
        σ_w² ≥ 0; by default what preserves the energy of a homogeneous activation, 1 for the
        others.
    bias_variance : float
        σ_b² ≥ 0.
    layers : int, optional
        Matrices m ≥ 1 in a branch; 2 for V φ(U x), 1 for W φ(x), φ(W x) and a linear A x.
    input_energy : float
        q_0 = ‖x_0‖²/d > 0.
    overlap : float
        ⟨x_0, 1⟩/(√d ‖x_0‖) in [−1, 1]: how far the input points along the mean of positive
        branches. Only ``post-activation`` depends on it.

    Raises
    ------
    InputError
        For an unknown name or a number out of its range.

    Examples
    --------
    >>> Setting().weight_variance, Setting("tanh").weight_variance, Setting("linear").layers
    (2.0, 1.0, 1)
    """

    branch: str = "relu"
    block: str = "pre-activation"
    weight_variance: float | None = None
    bias_variance: float = 0.0
    layers: int | None = None
    input_energy: float = 1.0
    overlap: float = 0.0

    def __post_init__(self) -> None:
        check_branch(self.branch)
        if self.block not in BLOCKS:
            required = f"a block among {', '.join(BLOCKS)}"
            raise InputError(required, self.block, "choose one of these")
        variance = self.weight_variance
        if variance is None:
            variance = _WEIGHT_VARIANCES.get(self.branch, 1.0)
        object.__setattr__(self, "weight_variance", variance)
        for name in ("weight_variance", "bias_variance"):
            if not 0 <= check_finite(getattr(self, name), name.replace("_", " ")) <= 1e100:
                came = getattr(self, name)
                raise InputError(f"a {name.replace('_', ' ')} from 0 to 1e100", came, "give e.g. 1")
        if not 1e-100 <= check_finite(self.input_energy, "input energy") <= 1e100:
            required = "an input energy from 1e-100 to 1e100"
            raise InputError(required, self.input_energy, "give e.g. 1")
        if not -1 <= check_finite(self.overlap, "overlap") <= 1:
            raise InputError("an overlap from -1 to 1", self.overlap, "it is a cosine")
        layers = self.layers
        if layers is None:
            layers = 2 if self.opens and self.closes and self.branch != "linear" else 1
        object.__setattr__(self, "layers", check_count(layers, "layers", least=1))

    @property
    def opens(self) -> bool:
        """Whether the branch begins with a matrix."""
        return self.block != "activation-first"

    @property
    def closes(self) -> bool:
        """Whether the branch ends with a matrix; it then has mean zero, whatever came before."""
        return self.block != "post-activation"

    @property
    def activations(self) -> int:
        """How many activations a branch has."""
        layers = self.layers or 1
        return layers - 1 if self.opens and self.closes else layers

    @property
    def homogeneous(self) -> bool:
        """Whether a branch multiplied in scale with its input: no bias and φ(s u) = s φ(u)."""
        return self.branch in HOMOGENEOUS and self.bias_variance == 0

    @property
    def normalises_input(self) -> bool:
        """Whether the branch sees norm(x)."""
        return self.block == "pre-norm"

    @property
    def exact_at_every_width(self) -> bool:
        """Whether the predicted energy is an identity rather than a limit.

        So it is when the branch opens and closes with a matrix and E φ(u)² is proportional to
        the variance of u: then every layer's mean energy is a function of the last one's mean.
        """
        return self.opens and self.closes and self.branch in HOMOGENEOUS

    @property
    def gain(self) -> float | None:
        """E‖f(x)‖²/‖x‖² where it is one number: homogeneous branches (G1).

        Examples
        --------
        >>> Setting("linear", weight_variance=3.0, block="activation-first").gain
        3.0
        """
        if not self.homogeneous:
            return None
        variance = float(self.weight_variance or 0.0)
        energy = homogeneous_moments(self.branch)[0]
        matrices = (self.layers or 1) - (1 if self.unit_closing else 0)
        return float(energy**self.activations * variance**matrices)

    @property
    def unit_closing(self) -> bool:
        """Whether the last matrix is V ~ N(0, 1/fan-in), which meets no activation."""
        return self.opens and self.closes and (self.layers or 1) > 1

    @property
    def preserves_energy(self) -> bool:
        """Whether E‖f(x)‖² = ‖x‖² for every x, at every width (the hypothesis of G1 and G2)."""
        gain = self.gain
        exact = self.exact_at_every_width and not self.block.endswith("norm")
        return exact and gain is not None and abs(gain - 1) < 1e-12
