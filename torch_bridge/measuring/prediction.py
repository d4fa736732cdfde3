r"""Growth predicted from what every branch makes of the input's own direction (G1, G3, G4, G6).

One *straight* forward pass: each block's sum is replaced by its skip, brought to the energy
predicted so far. So branch l sees the input's direction at the right size, but never the output
of another branch. What enters the prediction are the weights, the inputs, and from them the
first-order terms :math:`f_l`; no sum that the model really forms enters it. With
:math:`\hat x_l = x_0 + \sum_{i \le l} \lambda_i f_i` along one stream, sample by sample,

.. math:: q_l = \|\hat x_l\|^2 = q_{l-1} + 2\lambda_l\langle \hat x_{l-1}, f_l\rangle
          + \lambda_l^2 \|f_l\|^2, \qquad
          f_l = f_l\big(\sqrt{q_{l-1}/q_0}\; x_0\big).

For independent branches of mean zero the products vanish: G1, Π(1 + λ² g) when a branch grows
with its input, and G4, additive growth, when its input is normalised. For branches with a mean it
is G6's recursion, for branches that all point one way G3's Π(1 + λ𝓛). What it assumes is that a
branch's energy and products do not depend on the direction of the signal. Trained networks, tied
branches and narrow ones break that, and the first block where prediction and measurement part
tells where. The *incoherent* prediction leaves the products out.

Where the skip is not the last sum itself (a shortcut with weights, a normalisation or an
activation between blocks) a new stream begins with that skip as its x_0.

The *degree* h of a branch says how its output grows with its input, :math:`\|f(sx)\| \propto s^h`:
1 for a ReLU branch without biases, 0 behind a normalisation. It comes from a second straight pass
at twice the signal, from those blocks whose skip is then another: one that was computed before the
first block, as in a U-Net, is not. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expansion.towers.scaling import ScalingRule
from torch_bridge.measuring.coherence import Coherence, CoherenceMeter
from torch_bridge.measuring.energies import check_signal, energies
from torch_bridge.measuring.measure import Measurement, scales_of
from torch_bridge.measuring.moments import Moments
from torch_bridge.measuring.samples import by_sample
from torch_bridge.measuring.stream import Batch, Blocks, as_batches

_Floats = NDArray[np.float64]

__all__ = ["BlockPrediction", "Prediction", "parting", "predict"]

NORMALISED = 0.25  # a mean degree below this: branches do not see the size of the signal
TOLERANCE = 0.25  # relative difference of energies beyond which two numbers part


@dataclass(frozen=True, slots=True)
class BlockPrediction:
    """One block's energies, predicted.

    Parameters
    ----------
    name : str
        The block.
    skip_energy, branch_energy, sum_energy : float
        As for :class:`~torch_bridge.measuring.measure.BlockMeasurement`.
    incoherent_energy : float
        Of the sum, if all products vanished.
    degree : float or None
        h; None where it cannot be told.
    """

    name: str
    skip_energy: float
    branch_energy: float
    sum_energy: float
    incoherent_energy: float
    degree: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's growth, predicted.

    Parameters
    ----------
    blocks : tuple of BlockPrediction
        In the order of execution.
    growth, incoherent_growth : float
        As :attr:`Measurement.growth`, with and without the products.
    degree : float or None
        Mean degree of the branches.
    coherence : Coherence
        Between the first-order terms.
    """

    blocks: tuple[BlockPrediction, ...]
    growth: float
    incoherent_growth: float
    degree: float | None
    coherence: Coherence

    @property
    def normalised(self) -> bool:
        """Whether branches do not see the size of the signal, so that growth is additive."""
        return self.degree is not None and self.degree < NORMALISED

    @property
    def law(self) -> str:
        """The law of growth that these branches follow, in words."""
        if self.normalised:
            return "additive: normalised branches"
        return f"multiplicative: {self.coherence.kind} branches"


def predict(
    blocks: Blocks,
    batches: Iterable[Any] | None = None,
    *,
    rule: ScalingRule | str | float = "1",
) -> Prediction:
    """Predict the growth of a model's signal at some scales.

    Parameters
    ----------
    blocks : Blocks
        The traced model.
    batches : iterable, optional
        Inputs, as for :func:`~torch_bridge.measuring.measure.measure`.
    rule : ScalingRule, str or number
        The scales.

    Raises
    ------
    InputError
        For a model without blocks, a list of scales of another length, or a signal that is not
        finite.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=4, dimension=64, rule="1"), seed=1)
    >>> x = torch.randn(32, 64, generator=torch.Generator().manual_seed(0)).double()
    >>> found = predict(trace(model, x))
    >>> 12 < found.growth < 20, round(found.degree, 6)  # 2^4: every block doubles the energy
    (True, 1.0)
    """
    scales, factor = scales_of(rule, blocks)
    coherent = _Straight(blocks, scales, factor, with_products=True)
    incoherent = _Straight(blocks, scales, factor, with_products=False)
    plain, doubled = np.zeros((2, len(scales))), np.zeros((2, len(scales)))
    with torch.no_grad():
        for batch in as_batches(batches, blocks):
            ratios, branches = coherent.run(batch)
            incoherent.run(batch)
            plain += branches
            doubled += _doubled(blocks, scales, batch, ratios)
    degrees = _degrees(plain, doubled)
    rows = tuple(
        BlockPrediction(name, float(row[0]), float(row[1]), float(row[2]), float(alone[2]), degree)
        for name, row, alone, degree in zip(
            blocks.names, coherent.means(), incoherent.means(), degrees, strict=True
        )
    )
    known = [degree for degree in degrees if degree is not None]
    return Prediction(
        rows,
        coherent.growth(),
        incoherent.growth(),
        float(np.mean(known)) if known else None,
        coherent.coherence.result(),
    )


def parting(
    measured: Measurement, predicted: Prediction, tolerance: float = TOLERANCE
) -> str | None:
    """The first block after which measured and predicted energy differ by more than a tolerance.

    Parameters
    ----------
    measured, predicted : Measurement and Prediction
        Of one model, at the same scales.
    tolerance : float
        Relative to the prediction.

    Returns
    -------
    str or None
        The block's name.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=4, dimension=64, rule="1"), seed=1)
    >>> x = torch.randn(32, 64, generator=torch.Generator().manual_seed(0)).double()
    >>> tower = trace(model, x)
    >>> from torch_bridge.measuring.measure import measure
    >>> measured = measure(tower, gradients=False)
    >>> parting(measured, predict(tower)) is None
    True
    >>> parting(measured, predict(tower, rule="1/n"))  # of another model: the first block says so
    'branches.0'
    """
    for ours, theirs in zip(predicted.blocks, measured.blocks, strict=True):
        if not abs(theirs.sum_energy - ours.sum_energy) <= tolerance * ours.sum_energy:
            return theirs.name
    return None


class _Straight:
    """Running sums of straight passes, with or without the products between branches."""

    def __init__(
        self, blocks: Blocks, scales: list[float], factor: float, *, with_products: bool
    ) -> None:
        self.blocks, self.scales, self.factor = blocks, scales, factor
        self.with_products = with_products
        self.moments = [Moments(3) for _ in scales]  # skip, branch, sum
        self.sizes = [1] * len(scales)
        self.coherence = CoherenceMeter()

    def run(self, batch: Batch) -> tuple[dict[int, Tensor], _Floats]:
        """One pass; how much each stream was stretched, and energies as of :func:`_doubled`."""
        ratios: dict[int, Tensor] = {}
        found = np.zeros((2, len(self.scales)))
        energy: dict[int, _Floats] = {}
        numbers: dict[int, int] = {}
        stream: _Stream | None = None

        def observe(number: int, skip: Tensor, branch: Tensor, total: Tensor) -> Tensor:
            nonlocal stream
            check_signal(number + 1, self.blocks.names[number], {"skip": skip, "branch": branch})
            if stream is None or skip is not stream.given:
                stream = _Stream(skip.expand(total.shape))
            before, own = stream.energy, energies(branch).expand_as(stream.energy)
            stream.add(branch, own, self.factor, self.with_products)
            energy[number] = torch.stack([before, own, stream.energy], dim=1).cpu().numpy()
            numbers[number] = total.numel()
            found[:, number] = float(energies(skip).mean()), energy[number][:, 1].mean()
            self.coherence.add(branch)
            ratios[number] = stream.ratio
            return stream.given

        self.blocks.run(*batch, scales=self.scales, observe=observe)
        self.coherence.end()
        for number, rows in by_sample(energy).items():
            self.moments[number].add(rows)
            self.sizes[number] = numbers[number] // len(rows)
        return ratios, found

    def means(self) -> list[_Floats]:
        """Mean energies of skip, branch and sum, block by block."""
        return [moments.mean for moments in self.moments]

    def growth(self) -> float:
        """Mean square of a coordinate after the last block, relative to before the first."""
        seen = [number for number, moments in enumerate(self.moments) if moments.count]
        before, after = self.moments[seen[0]].mean[0], self.moments[seen[-1]].mean[2]
        sizes = self.sizes[seen[0]] / self.sizes[seen[-1]]
        return float(after / before * sizes) if before else math.inf


class _Stream:
    """A signal on its way straight through: its direction stays, its energy is predicted."""

    def __init__(self, origin: Tensor) -> None:
        self.origin = origin
        self.start = self.energy = energies(origin)
        self.sum = origin
        self.given = origin
        self.ratio = torch.ones_like(self.start)

    def add(self, branch: Tensor, own: Tensor, factor: float, with_products: bool) -> None:
        """Take in a branch."""
        self.sum = (self.sum + branch) * factor
        self.energy = energies(self.sum) if with_products else (self.energy + own) * factor**2
        empty = self.start == 0  # no direction to stretch: the sum itself goes on
        self.ratio = torch.where(empty, 1.0, (self.energy / self.start).sqrt())
        ways = _stretched(torch.ones_like(self.origin), empty)
        self.given = torch.where(ways > 0, self.sum, _stretched(self.origin, self.ratio))


def _doubled(
    blocks: Blocks, scales: list[float], batch: Batch, ratios: dict[int, Tensor]
) -> _Floats:
    """Mean energies of skips and branches, shape (2, n), with every signal twice as large."""
    found = np.zeros((2, len(scales)))
    origin: Tensor | None = None
    given: Tensor | None = None

    def observe(number: int, skip: Tensor, branch: Tensor, total: Tensor) -> Tensor:
        nonlocal origin, given
        found[:, number] = float(energies(skip).mean()), float(energies(branch).mean())
        if origin is None:
            origin = 2 * skip.expand(total.shape)
        elif skip is not given:  # a later stream starts from what is doubled already
            origin = skip.expand(total.shape)
        given = _stretched(origin, ratios[number])
        return given

    blocks.run(*batch, scales=scales, observe=observe)
    return found


def _degrees(plain: _Floats, doubled: _Floats) -> list[float | None]:
    """h from the energies of skips and branches, where doubling the signal reached the skip."""
    usable = (plain[0] != doubled[0]) & (plain[1] > 0) & (doubled[1] > 0)
    return [
        0.5 * math.log2(twice / once) if use else None
        for once, twice, use in zip(plain[1], doubled[1], usable, strict=True)
    ]


def _stretched(signal: Tensor, ratio: Tensor) -> Tensor:
    return signal * ratio.to(signal.dtype).reshape(-1, *[1] * (signal.ndim - 1))
