r"""Do branches point the same way? The number that decides between 1/√n and 1/n (claim G3).

Give every branch output unit energy, :math:`u_l = f_l/\sqrt{E\|f_l\|^2}`, and let
:math:`W_m = E\|u_{l+1} + \dots + u_{l+m}\|^2` be the energy of m of them in a row, on average.
Independent branches give W_m = m, aligned ones m², and with the mean cosine c between two
branches :math:`W_n = n + n(n-1)c`. The scale that keeps Σ λ f as large as one branch is
:math:`\lambda = 1/\sqrt{W_n}`. Two laws are held against W_1, W_2, W_4, …:

* a *common part*, W_m = m + m(m−1)c: however deep, the cosine stays, and λ must fall like 1/n;
* a *power law*, W_m = m^{2β}: cosines that fade with distance, and λ = n^(−β).

Only the sums over windows of 1, 2, 4, … branches are kept, log₂ n tensors at a time. Where the
stream changes its shape, windows begin anew; to be flattened is no such change. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from torch_bridge.measuring.energies import energies

__all__ = ["Coherence", "CoherenceMeter"]

INCOHERENT = 1.5  # W_n/n up to this counts as independent: 1/√n is then off by at most 22 %


@dataclass(frozen=True, slots=True)
class Coherence:
    """How the sum of branches compares with independent ones.

    Parameters
    ----------
    windows : mapping from int to float
        W_m for windows of m = 1, 2, 4, … branches.
    cosine : float
        Mean cosine c between two branches of one stream; 0 where there is only one.
    pile_up : float
        W_n/n: energy of the sum of all branches, relative to independent ones.

    Examples
    --------
    >>> aligned = Coherence({1: 1.0, 2: 4.0, 4: 16.0}, cosine=1.0, pile_up=4.0)
    >>> aligned.kind, round(aligned.exponent, 6)
    ('coherent', 1.0)
    >>> Coherence({1: 1.0, 2: 2.1, 4: 3.9}, cosine=0.0, pile_up=0.98).kind
    'incoherent'
    """

    windows: Mapping[int, float] = field(default_factory=dict)
    cosine: float = 0.0
    pile_up: float = 1.0

    @property
    def exponent(self) -> float:
        """β of the power law W_m = m^{2β} that fits best; 1/2 where there is one branch."""
        sizes, values = self._logarithms()
        return 0.5 * float(sizes @ values / (sizes @ sizes)) if sizes.size else 0.5

    @property
    def kind(self) -> str:
        """``incoherent`` (1/√n), ``coherent`` (1/n) or ``intermediate`` (n^−β)."""
        if self.pile_up <= INCOHERENT:
            return "incoherent"
        sizes, values = self._logarithms()
        counts = np.exp(sizes)
        common = np.log(np.maximum(counts + counts * (counts - 1) * self.cosine, 1e-300))
        power = 2 * self.exponent * sizes
        fits = float(np.square(values - common).sum()) <= float(np.square(values - power).sum())
        return "coherent" if fits or self.exponent > 0.95 else "intermediate"

    def _logarithms(self) -> tuple[np.ndarray, np.ndarray]:
        kept = [(m, w) for m, w in self.windows.items() if m > 1 and w > 0]
        table = np.log(np.array(kept, dtype=float).reshape(-1, 2))
        return table[:, 0], table[:, 1]


class CoherenceMeter:
    """Takes in the branches of one forward pass after the other."""

    def __init__(self) -> None:
        self._energies: dict[int, list[float]] = {}
        self._summed = self._branches = self._pairs = 0.0
        self._restart()

    def _restart(self) -> None:
        self._parts: list[Tensor | None] = []  # windows of 1, 2, 4, … waiting for their twin
        self._total: Tensor | None = None
        self._count = 0

    def add(self, branch: Tensor) -> None:
        """Take in the next branch's output; one that is zero everywhere says nothing."""
        if self._total is not None and _flattened(branch, self._total):
            branch = branch.reshape(self._total.shape)
        size = float(energies(branch).mean())
        if not 0 < size < math.inf:
            return
        unit = branch.detach().double() / math.sqrt(size)
        if self._total is not None and unit.shape != self._total.shape:
            self.end()
        self._total = unit if self._total is None else self._total + unit
        self._count += 1
        level = 0
        self._note(1, unit)
        while level < len(self._parts) and (twin := self._parts[level]) is not None:
            unit = unit + twin
            self._parts[level] = None
            level += 1
            self._note(2**level, unit)
        if level == len(self._parts):
            self._parts.append(None)
        self._parts[level] = unit

    def end(self) -> None:
        """End a stream: the pass is over, or the next branch has another shape."""
        if self._total is not None:
            self._summed += float(energies(self._total).mean())
            self._branches += self._count
            self._pairs += self._count * (self._count - 1)
        self._restart()

    def _note(self, size: int, window: Tensor) -> None:
        self._energies.setdefault(size, []).append(float(energies(window).mean()))

    def result(self) -> Coherence:
        """The coherence over everything taken in."""
        if not self._branches:
            return Coherence()
        windows = {size: float(np.mean(found)) for size, found in self._energies.items()}
        excess = self._summed - self._branches
        cosine = excess / self._pairs if self._pairs else 0.0
        return Coherence(windows, cosine, self._summed / self._branches)


def _flattened(signal: Tensor, other: Tensor) -> bool:
    """Whether two signals have the same channels, at as many places in all."""
    return signal.numel() == other.numel() and signal.shape[-1:] == other.shape[-1:]
