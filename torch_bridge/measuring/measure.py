r"""What every block does to the signal: energies, share, coherence, gradients (THEORY M2).

For block l with ``sum = skip + branch``, over samples (dimension 0; see
:mod:`~torch_bridge.measuring.samples` where that differs) of one or more batches:

* energies :math:`E\|\mathrm{skip}\|^2`, :math:`E\|\mathrm{branch}\|^2`,
  :math:`E\|\mathrm{sum}\|^2`, squared norms over all other dimensions;
* the residual share :math:`E\|b\|^2/(E\|s\|^2 + E\|b\|^2)` (De & Smith's 1/(l+1) behind batch
  normalisation);
* the cosine :math:`E\langle s, b\rangle/\sqrt{E\|s\|^2\,E\|b\|^2}`, so that
  :math:`E\|\mathrm{sum}\|^2` is exactly skip + branch + 2·cosine·√(skip·branch);
* the gradient energy :math:`E\|\partial P/\partial\,\mathrm{sum}\|^2` of a *probe* P. By default
  P = ⟨r, output⟩ with r of random signs: averaged over r this is ‖J‖_F² of the Jacobian from
  the sum to the output, sample by sample. A loss may be given instead.

Coherence between branches is measured beside it (:mod:`~torch_bridge.measuring.coherence`).
Standard errors are those of a mean over independent samples, the weights held fixed. Nothing is
kept but running sums; gradients keep what one batch's backward pass needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from torch_bridge.measuring.coherence import Coherence, CoherenceMeter
from torch_bridge.measuring.energies import check_signal, energies, products
from torch_bridge.measuring.moments import Moments
from torch_bridge.measuring.samples import by_sample
from torch_bridge.measuring.stream import Batch, Blocks, as_batches

__all__ = ["BlockMeasurement", "Measurement", "measure"]

Loss = Callable[[Any], Tensor]


@dataclass(frozen=True, slots=True)
class BlockMeasurement:
    """One block's signal; standard errors end in ``_error`` and are nan for a single sample.

    Parameters
    ----------
    name : str
        The block.
    skip_energy, branch_energy, sum_energy : float
        Mean squared norms of a sample.
    share : float
        branch/(skip + branch).
    cosine : float
        Between skip and branch, energies taken over all samples.
    size : int
        Numbers in one sample of the sum.
    gradient_energy : float, optional
        Mean squared norm of the probe's gradient with respect to the sum.
    """

    name: str
    skip_energy: float
    branch_energy: float
    sum_energy: float
    share: float
    cosine: float
    size: int
    skip_energy_error: float
    branch_energy_error: float
    sum_energy_error: float
    cosine_error: float
    gradient_energy: float | None = None
    gradient_energy_error: float | None = None

    @property
    def gain(self) -> float:
        """Branch energy relative to the skip's; infinite for a skip of zero."""
        return self.branch_energy / self.skip_energy if self.skip_energy else math.inf


@dataclass(frozen=True, slots=True)
class Measurement:
    """A model's blocks, measured.

    Parameters
    ----------
    blocks : tuple of BlockMeasurement
        In the order of execution.
    coherence : Coherence
        Between branches.
    samples, batches : int
        How much was measured.
    growth : float
        Mean square of a coordinate after the last block, relative to before the first; where the
        stream keeps its shape this is sum_energy/skip_energy.
    growth_error : float
        Its standard error.
    probe : str
        What the gradients are of; empty if none were taken.
    """

    blocks: tuple[BlockMeasurement, ...]
    coherence: Coherence
    samples: int
    batches: int
    growth: float
    growth_error: float
    probe: str = ""

    @property
    def depth(self) -> int:
        """n, the number of blocks."""
        return len(self.blocks)


def measure(
    blocks: Blocks,
    batches: Iterable[Any] | None = None,
    *,
    rule: ScalingRule | str | float = "1",
    gradients: bool = True,
    loss: Loss | None = None,
    seed: int = 0,
    on_batch: Callable[[], object] | None = None,
) -> Measurement:
    """Measure every block of a model.

    Parameters
    ----------
    blocks : Blocks
        The traced model.
    batches : iterable, optional
        Inputs: a DataLoader, or a list; see
        :func:`~torch_bridge.measuring.stream.as_batches`. The example of the trace by default.
    rule : ScalingRule, str or number
        Scales to run the model at; 1 is the model as it is. A scaled branch is measured.
    gradients : bool
        Whether to measure gradients as well.
    loss : callable, optional
        From the model's output to a scalar, or to one number for each sample (or token), which are
        summed; instead of the random probe.
    seed : int
        Of the random probe.
    on_batch : callable, optional
        Called after every batch.

    Raises
    ------
    InputError
        For a model without blocks, a signal that is not finite (naming the block where that
        begins), an output that has no real floating-point tensor, a loss of another kind or one
        that does not depend on the output.

    Examples
    --------
    >>> from torch_bridge.tower import trace
    >>> class Twice(torch.nn.Linear):
    ...     def forward(self, x):
    ...         return x + super().forward(x)
    >>> model = torch.nn.Sequential(Twice(2, 2, bias=False), Twice(2, 2, bias=False))
    >>> with torch.no_grad():
    ...     _ = [layer.weight.copy_(torch.eye(2)) for layer in model]
    >>> found = measure(trace(model, torch.ones(3, 2)))
    >>> found.growth, found.samples, [block.sum_energy for block in found.blocks]
    (16.0, 3, [8.0, 32.0])
    >>> found.blocks[0].share, round(found.blocks[0].cosine, 6)
    (0.5, 1.0)
    """
    scales, factor = scales_of(rule, blocks)
    recorder = _Recorder(blocks, scales, factor)
    signs = torch.Generator().manual_seed(seed)
    count = 0
    for batch in as_batches(batches, blocks):
        if gradients:
            recorder.with_gradients(batch, loss, signs)
        else:
            with torch.no_grad():
                recorder.run(batch)
        count += 1
        if on_batch is not None:
            on_batch()
    return recorder.result(count, _probe_text(loss) if gradients else "")


def scales_of(rule: ScalingRule | str | float, blocks: Blocks) -> tuple[list[float], float]:
    """λ of every block, and the factor of the whole block (1 but for rule ``half``).

    Raises
    ------
    InputError
        For a model without blocks, or a list of another length.
    """
    depth = len(blocks.names)
    if not depth:
        mend = "name its blocks yourself, or look at a residual network"
        raise InputError("a model with residual additions", "one without any", mend)
    chosen = ScalingRule.of(rule)
    return chosen.floats(depth).tolist(), math.exp(chosen.log_block_factor)


class _Recorder:
    """Running sums over batches."""

    def __init__(self, blocks: Blocks, scales: list[float], factor: float) -> None:
        self.blocks, self.scales, self.factor = blocks, scales, factor
        self.names = list(blocks.names)
        # Per sample: skip, branch, product of the two, sum.
        self.signals = [Moments(4) for _ in self.names]
        self.slopes = [Moments(1) for _ in self.names]
        self.ends = Moments(2)
        self.sizes = [0] * len(self.names)
        self.samples = 0  # of the last batch
        self.coherence = CoherenceMeter()
        self.with_slopes = False

    def run(self, batch: Batch, sums: dict[int, Tensor] | None = None) -> Any:
        found: dict[int, np.ndarray] = {}
        numbers: dict[int, int] = {}

        def observe(number: int, skip: Tensor, branch: Tensor, total: Tensor) -> Tensor:
            if self.factor != 1:
                total = total * self.factor
            parts = {"skip": skip, "branch": branch, "sum": total}
            check_signal(number + 1, self.names[number], parts)
            skip = skip.expand_as(total)
            signals = [energies(skip), energies(branch), products(skip, branch), energies(total)]
            found[number] = torch.stack(signals, dim=1).cpu().numpy()
            numbers[number] = total.numel()
            self.coherence.add(branch)
            if sums is not None:
                if not total.requires_grad:  # frozen weights: the gradient begins here
                    total = total.detach().requires_grad_()
                sums[number] = total
            return total

        output = self.blocks.run(*batch, scales=self.scales, observe=observe)
        self.coherence.end()
        rows = by_sample(found)
        for number, entries in rows.items():
            self.samples = len(entries)
            self.signals[number].add(entries)
            self.sizes[number] = numbers[number] // self.samples
        first, last = min(rows), max(rows)
        self.ends.add(np.stack([rows[first][:, 0], rows[last][:, 3]], axis=1))
        return output

    def with_gradients(self, batch: Batch, loss: Loss | None, signs: torch.Generator) -> None:
        sums: dict[int, Tensor] = {}
        with torch.enable_grad():
            output = self.run(batch, sums)
            probe = _signed_sum(output, signs) if loss is None else _summed(loss(output))
        found = torch.autograd.grad(probe, list(sums.values()), allow_unused=True)
        for (number, total), slope in zip(sums.items(), found, strict=True):
            slope = torch.zeros_like(total) if slope is None else slope
            check_signal(number + 1, self.names[number], {"gradient": slope})
            rows = energies(slope).cpu().numpy().reshape(self.samples, -1)
            self.slopes[number].add(rows.sum(axis=1, keepdims=True))
        self.with_slopes = True

    def result(self, batches: int, probe: str) -> Measurement:
        rows = tuple(self._block(number) for number in range(len(self.names)))
        before, after = self.ends.mean
        sizes = self.sizes[0] / self.sizes[-1]
        growth = after / before * sizes if before else math.inf
        error = self.ends.error_of([-growth / before, sizes / before]) if before else math.nan
        samples = self.ends.count
        return Measurement(
            rows, self.coherence.result(), samples, batches, float(growth), float(error), probe
        )

    def _block(self, number: int) -> BlockMeasurement:
        moments = self.signals[number]
        skip, branch, product, total = moments.mean
        root = math.sqrt(skip * branch)
        cosine = product / root if root else 0.0
        slope = [0.0, 0.0, 0.0, 0.0]
        if root:
            slope = [-cosine / (2 * skip), -cosine / (2 * branch), 1 / root, 0.0]
        slopes = self.slopes[number] if self.with_slopes else None
        return BlockMeasurement(
            self.names[number],
            float(skip),
            float(branch),
            float(total),
            float(branch / (skip + branch)) if skip + branch else 0.0,
            float(cosine),
            self.sizes[number],
            moments.error_of([1, 0, 0, 0]),
            moments.error_of([0, 1, 0, 0]),
            moments.error_of([0, 0, 0, 1]),
            moments.error_of(slope),
            None if slopes is None else float(slopes.mean[0]),
            None if slopes is None else slopes.error_of([1]),
        )


def _signed_sum(output: Any, signs: torch.Generator) -> Tensor:
    """⟨r, output⟩ with random signs, over every floating-point tensor of the output."""
    tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor) and t.is_floating_point()]
    tensors = [t for t in tensors if t.requires_grad]
    if not tensors:
        mend = "give a model whose output is differentiable, or gradients=False"
        raise InputError("a real floating-point output", "none that can be differentiated", mend)
    total = torch.zeros((), dtype=tensors[0].dtype, device=tensors[0].device)
    for tensor in tensors:
        drawn = torch.randint(0, 2, tensor.shape, generator=signs) * 2 - 1
        total = total + (tensor * drawn.to(tensor)).sum()
    return total


def _summed(loss: object) -> Tensor:
    if not isinstance(loss, Tensor) or loss.ndim > 1 or not loss.is_floating_point():
        came = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError("a loss that is a scalar or one number per sample", came, "reduce it")
    if not loss.requires_grad:
        came = "one without a gradient"
        raise InputError("a loss that depends on the output", came, "compute it from the output")
    return loss.sum()


def _probe_text(loss: Loss | None) -> str:
    return "⟨random signs, output⟩" if loss is None else "the given loss"
